"""Marking of essays by graders: marks, marking sessions, agreement of graders, status of submissions."""
