"""Bias panel: completions counted and audited."""
