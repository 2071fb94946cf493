"""Bias experiments: completions, sentence scores and audits by hand."""
