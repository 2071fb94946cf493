"""Detector panel: detectors are compared on pairs of texts."""
