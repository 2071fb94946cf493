"""Prediction panel: a guess before a measurement, kept and shown beside the result."""
