"""HTML of the grading pages: layout and style sheet."""
