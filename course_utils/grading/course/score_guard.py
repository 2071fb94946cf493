"""Range checks of scores in the gradebook, for every writer: the grader's page, formgrader or a script."""

import functools
import math
from numbers import Real
from typing import TYPE_CHECKING

from course_utils.errors import SettingsError

if TYPE_CHECKING:
    from nbgrader.api import Grade


def require_mark(value: object, most: float | None, of: str = "this part") -> float | None:
    """Return a mark as a number; None takes it back.

    Parameters
    ----------
    value : object
        What somebody wrote.
    most : float or None
        The points that can be had; None where that is not known yet.
    of : str
        What it is a mark of.

    Raises
    ------
    SettingsError
        It is no number, or out of its range.

    Examples
    --------
    >>> require_mark(2, 4), require_mark(None, 4)
    (2.0, None)
    """
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number above all floats
        number, value = math.inf, "a number above 1e308"
    if not math.isfinite(number) or number < 0 or (most is not None and number > most + 1e-9):
        upto = f"A number from 0 to {most:g}." if most is not None else "A number from 0."
        raise SettingsError(f"The mark of {of} is {str(value)[:40]!r}.", upto, "Nothing was changed; give it again.")
    return number


@functools.cache
def install_score_guard() -> None:
    """Install range checks in nbgrader's database classes: marks out of range are refused before the write."""
    from nbgrader.api import Grade
    from sqlalchemy import event

    @event.listens_for(Grade.manual_score, "set", retval=True)
    def _check_mark(grade: Grade, value: object, _old: object, _initiator: object) -> float | None:
        return _required(value, _most(grade), grade)

    @event.listens_for(Grade.extra_credit, "set", retval=True)
    def _check_extra(grade: Grade, value: object, _old: object, _initiator: object) -> float | None:
        return _required(value, _most(grade), grade)


def _most(grade: "Grade") -> float | None:
    return grade.cell.max_score if grade.cell is not None else None


def _required(value: object, most: float | None, grade: "Grade") -> float | None:
    try:
        return require_mark(_number(value), most, grade.cell.name if grade.cell is not None else "this part")
    except SettingsError as error:
        raise _refusal(error) from error


def _number(value: object) -> object:
    """Return what formgrader's page means: it sends the box as it was typed."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value


def _refusal(error: SettingsError) -> SettingsError:
    """Make it an error that formgrader answers with 400 and goes on; what is no answer of a page would be a 500."""
    from tornado.web import HTTPError

    class MarkRefused(SettingsError, HTTPError):
        """A mark that cannot be."""

        def __init__(self) -> None:
            SettingsError.__init__(self, error.what, error.expected, error.next_step)
            HTTPError.__init__(self, 400, reason="This mark is out of its range")

    return MarkRefused()
