"""Kernels of the demo server: a fork server gives each viewer a kernel that has run already."""
