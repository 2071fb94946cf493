"""Blind-test panel: readers guess whether a person or a model wrote a text."""
