"""Checks of exercises: they run in the grader's process and call the student's functions in the sandbox."""
