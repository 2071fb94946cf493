"""Assignments: rubric, release to students, verification of checks, and the student bundle."""
