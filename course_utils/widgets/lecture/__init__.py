"""Lecture panels: the presenter bar, the list of demos, and recordings."""
