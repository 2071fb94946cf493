"""Sampling experiments: effects of temperature, top-k, top-p and of choosing the best of several texts."""
