"""Lecture panels: presenter's tools, recordings and their player."""
