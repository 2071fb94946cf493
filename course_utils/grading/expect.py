"""What test cells call: a student's function is tried, and a wrong answer told in a few lines, not a traceback."""

import contextlib
import copy
import dataclasses
import fractions
import io
import linecache
import math
import traceback
from collections.abc import Callable

from course_utils.errors import CourseError
from course_utils.grading.answers import one_line, plain, shown, type_name

PER_CENT = 100
ROUNDING = 1e-9
TOLD_FROM = 1e-6  # a wider tolerance than this stands in the message
KINDS = {bool: "Return True or False.", str: "Return a text.", type(None): ""}
LOOK = "Make this call yourself in a new cell, and follow it step by step."


class AnswerError(CourseError):
    """An answer is not the one that was asked for."""


@dataclasses.dataclass(frozen=True)
class _Trial:
    """What was called, what came back or was raised, and where."""

    call: str
    answer: object = None
    error: BaseException | None = None
    where: str = ""

    def __str__(self) -> str:
        if self.error is None:
            return one_line(f"{self.call} gave {shown(self.answer)}", end=".")
        said = _said(self.error)
        stopped = f"{self.call} stopped with {type_name(self.error)}" + (f": {said}" if said else "")
        return one_line(stopped + self.where, end=".")


def expect(
    function: Callable, *args: object, gives: object, within: float | None = None, hint: str = "", **named: object
) -> None:
    """Try a function; say nothing where its answer is right.

    Parameters
    ----------
    function : callable
        The student's.
    *args, **named
        What it is called with; it gets copies.
    gives : number, bool, str, None, or a tuple or list of these
        The right answer. A number may come as any kind of number, a tuple as a list or array.
    within : float, optional
        How far a number may be off, as a share of the right one; of 1 where that is smaller than 1. When left out, a
        whole number must be exact, and another to nine digits.
    hint : str
        What a student should look at whose answer is of the right kind and still wrong.

    Raises
    ------
    AnswerError
        It is wrong: what was called, what came back, what was expected and what to do next.

    Examples
    --------
    >>> expect(round, 2.6, gives=3)
    >>> expect(round, 2.4, gives=3, hint="Is it rounded up?")
    Traceback (most recent call last):
    course_utils.grading.expect.AnswerError: round(2.4) gave 2.
    Expected: 3.
    Next: Is it rounded up?
    """
    trial = _try(function, args, named)
    if trial.error is None:
        cure = _cure(trial.answer, gives, within)
    else:
        takes_others = isinstance(trial.error, TypeError) and not trial.where
        cure = "Let it take what this call gives it, in this order." if takes_others else ""
    if cure is not None:
        tolerance = f", give or take {within:g}" if within and within > TOLD_FROM else ""
        raise AnswerError(str(trial), f"{shown(gives)}{tolerance}.", cure or hint or LOOK)


def expect_error(
    function: Callable,
    *args: object,
    error: type[Exception] = ValueError,
    saying: str = "",
    hint: str = "",
    **named: object,
) -> None:
    """Try a function with what it must refuse; say nothing where it does.

    Parameters
    ----------
    function : callable
        The student's.
    *args, **named
        What it is called with; it gets copies.
    error : type
        What it must raise.
    saying : str
        Words that its message must hold, in capitals or not.
    hint : str
        What a student should look at whose function does something else.

    Raises
    ------
    AnswerError
        It does something else.

    Examples
    --------
    >>> expect_error(int, "four", saying="invalid")
    >>> expect_error(int, "4", hint="Which texts are numbers?")
    Traceback (most recent call last):
    course_utils.grading.expect.AnswerError: int('4') gave 4.
    Expected: A ValueError.
    Next: Which texts are numbers?
    """
    trial = _try(function, args, named)
    if isinstance(trial.error, error) and saying.lower() in _said(trial.error).lower():
        return
    expected = f"A {error.__name__}" + (f" whose message holds {saying!r}" if saying else "")
    ask = f'Ask for this case first: if …: raise {error.__name__}("… {saying} …")'
    raise AnswerError(str(trial), f"{expected}.", hint or ask)


# -- trying ------------------------------------------------------------------------------------------------------------


def _try(function: Callable, args: tuple, named: dict[str, object]) -> _Trial:
    """Call a function; what it writes to stderr is dropped, because nbgrader gives no points for a cell that does."""
    if not callable(function):
        raise AnswerError(
            f"What is tried here is {shown(function)}, and no function.",
            "A function, made with def.",
            "Run the cell in which you write it, and use its name for nothing else.",
        )
    name = _name(function)
    given = [shown(each) for each in args] + [f"{key}={shown(each)}" for key, each in named.items()]
    call = f"{name}({', '.join(given)})"
    own_args, own_named = copy.deepcopy((args, named))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return _Trial(call, plain(function(*own_args, **own_named)))
    except KeyboardInterrupt:  # the stop button, and nbgrader's time limit
        raise
    except NotImplementedError:
        raise AnswerError(
            f"{name} is not written yet.",
            "A function that returns its answer.",
            "Write it in place of raise NotImplementedError(), and run its cell.",
        ) from None
    except BaseException as error:  # whatever a student's function raises, SystemExit included
        return _Trial(call, error=error, where=_where(function, error))


def _name(function: Callable) -> str:
    name = getattr(function, "__name__", None)
    return one_line(name) if type(name) is str else "your function"


def _where(function: Callable, error: BaseException) -> str:
    """Return the last line of the function's own cell that ran."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f", in line {lines[-1]} of its cell: {linecache.getline(file, lines[-1]).strip()}" if lines else ""


def _said(error: BaseException | None) -> str:
    try:
        return one_line(str(error))
    except Exception:  # its own __str__ is wrong
        return ""


# -- comparing ---------------------------------------------------------------------------------------------------------


def _cure(answer: object, right: object, within: float | None) -> str | None:
    """Return None for a right answer; else what to do about it, "" where that cannot be told from the answer."""
    answer = plain(answer)
    if answer is None and right is not None:
        return "Let the function end in return …: what print(…) shows is not returned."
    if type(right) in (tuple, list):
        return _cure_of_row(answer, right, within)
    if type(right) in (int, float):
        return _cure_of_number(answer, right, within)
    if type(answer) is not type(right):
        return KINDS[type(right)]
    return None if answer == right else ""


def _cure_of_row(answer: object, right: tuple | list, within: float | None) -> str | None:
    if type(answer) not in (tuple, list):
        return f"Return a {type(right).__name__} of {len(right)} values."
    if len(answer) != len(right):
        return f"Return {len(right)} values; these are {len(answer)}."
    cures = [_cure(each, wanted, within) for each, wanted in zip(answer, right, strict=True)]
    wrong = [cure for cure in cures if cure is not None]
    if not wrong:
        return None
    turned = [_cure(each, wanted, within) for each, wanted in zip(answer[::-1], right, strict=True)]
    return "The right values, in the other order." if set(turned) == {None} else next(filter(None, wrong), "")


def _cure_of_number(answer: object, right: float, within: float | None) -> str | None:
    if type(answer) not in (int, float):
        return "Return a number: no text, no True or False, no row of numbers."
    if not (_is_finite(answer) and _is_finite(right)):
        return None if answer == right else ""
    found, exact = fractions.Fraction(answer), fractions.Fraction(right)  # neither is ever too large, as floats can be
    share = fractions.Fraction((0 if type(right) is int else ROUNDING) if within is None else within)
    if abs(found - exact) <= share * max(1, abs(exact)):
        return None
    slips = {
        -found: "The size is right, the sign is not.",
        found / PER_CENT: "This is 100 times as much: a share of 0.05 is asked, not its 5 %.",
        found * PER_CENT: "This is a hundredth: per cent are asked, so 5 and not 0.05.",
    }
    return next((cure for meant, cure in slips.items() if abs(meant - exact) <= share * abs(exact)), "")


def _is_finite(number: float) -> bool:
    return type(number) is int or math.isfinite(number)
