"""Command line: one module for each group of commands of ``python -m course_utils``."""
