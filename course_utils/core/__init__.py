"""Shared building blocks below every other layer: files, and later paths and wheels."""
