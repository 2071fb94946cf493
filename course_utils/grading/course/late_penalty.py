"""Late penalty: a share of the marks for each day begun, at most a half, computed after the marks."""

import math
import os

from nbgrader.api import Grade, SubmittedNotebook
from nbgrader.plugins import LateSubmissionPlugin

SHARE_A_DAY = 0.05
MAX_SHARE = 0.5
GRACE_S = 300  # a slow network is no lateness


class DailyLatePenalty(LateSubmissionPlugin):  # type: ignore[misc]  # nbgrader has no types
    """nbgrader's plugin: the share of the marks that each begun day costs."""

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Return the points to take off; None where it came in time."""
        return late_penalty(score, total_seconds_late)


def late_penalty(score: float, seconds_late: float) -> float | None:
    """Return the points that lateness costs, None where there is none.

    Parameters
    ----------
    score : float
        The marks so far.
    seconds_late : float

    Examples
    --------
    >>> late_penalty(20.0, 25 * 3600)
    2.0
    >>> late_penalty(20.0, 60) is None
    True
    """
    if not (math.isfinite(seconds_late) and seconds_late > GRACE_S and score > 0):
        return None
    days = math.ceil((seconds_late - GRACE_S) / 86_400)
    return round(score * min(days * share_a_day(), MAX_SHARE), 2)


def share_a_day() -> float:
    """Return the share of the marks that a day costs: ``COURSE_LATE_SHARE``, such as ``0``, or 0.05."""
    try:
        chosen = float(os.environ.get("COURSE_LATE_SHARE", SHARE_A_DAY))
    except ValueError:
        return SHARE_A_DAY
    return chosen if 0 <= chosen <= 1 else SHARE_A_DAY


def refresh_penalty(notebook: SubmittedNotebook) -> None:
    """Compute a submission's penalty anew, from the marks that it has now."""
    score = sum(_points(grade) for grade in notebook.grades)
    notebook.late_submission_penalty = late_penalty(score, notebook.assignment.total_seconds_late)


def _points(grade: Grade) -> float:
    """Return what a grade counts, also while the database has not yet summed it up."""
    given = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return float((given or 0.0) + (grade.extra_credit or 0.0))
