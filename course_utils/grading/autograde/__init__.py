"""Automatic grading: worker processes, execution of notebooks, examination of essays."""
