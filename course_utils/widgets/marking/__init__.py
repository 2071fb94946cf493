"""Panels for graders: the rubric, calibration, the marking desk and self-assessment."""
