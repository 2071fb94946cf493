"""Experiment base: results, statistics, caching and the registry of experiments."""
