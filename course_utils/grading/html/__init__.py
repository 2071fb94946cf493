"""HTML of the grading pages: layout, style sheet, safe HTML of students' text and its limits of size."""
