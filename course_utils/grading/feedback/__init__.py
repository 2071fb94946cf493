"""Feedback pages for students: marks, comments and results of checks, as HTML."""
