"""Assignments: rubrics, parts that earn points, and the students' versions made from source notebooks."""
