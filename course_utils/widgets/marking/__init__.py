"""Marking panels: rubric view, calibration, self-assessment and the page for graders."""
