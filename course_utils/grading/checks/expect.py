"""Assertions for test cells: they call a student's function and describe a wrong answer in a few lines.

In a student's notebook the function runs there. When a submission is graded it runs in another process: the test cell
then has an `RemoteValue` in its place, and all that this module does with a function and its answer works with both.
"""

import ast
import contextlib
import copy
import dataclasses
import fractions
import inspect
import io
import linecache
import math
import random
import textwrap
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from course_utils.errors import CourseError
from course_utils.grading.checks.plain_values import Stopped, UnsupportedCheck, one_line, plain, shown, type_name

PER_CENT = 100
ROUNDING = 1e-9
MIN_SHOWN_TOLERANCE = 1e-6  # a wider tolerance than this stands in the message
KINDS = {bool: "Return True or False.", str: "Return a text.", type(None): ""}
COMPARED = (*KINDS, set, frozenset, bytes, complex)
TRY_THE_CALL = "Make this call yourself in a new cell, and follow it step by step."


class AnswerError(CourseError):
    """An answer is not the one that was asked for."""


class CheckContext:
    """Context in which checks run: a notebook; the checker replaces it by its own.

    Attributes
    ----------
    seed : str
        From which `cases` draws.
    """

    seed = "0"

    def reference(self, function: Callable[..., object]) -> Callable[..., object]:
        """Return the instructor's own version of a function; here there is none other than the function."""
        return function

    def source(self, function: Any) -> str:
        """Return the text in which a function is defined."""
        return inspect.getsource(function)


setting = CheckContext()


@dataclasses.dataclass(frozen=True)
class _Fault:
    """What a function raised: its type's name and message, where, and whether it is of a given type."""

    kind: str
    message: str
    where: str
    is_a: Callable[[type], bool]


@dataclasses.dataclass(frozen=True)
class _Trial:
    """What was called, and what came back or was raised."""

    call: str
    answer: object = None
    fault: _Fault | None = None

    def __str__(self) -> str:
        if self.fault is None:
            return one_line(f"{self.call} gave {shown(self.answer)}", end=".")
        message = self.fault.message
        stopped = f"{self.call} stopped with {self.fault.kind}" + (f": {message}" if message else "")
        return one_line(stopped + self.fault.where, end=".")


def expect(
    function: Callable[..., object],
    *args: object,
    gives: object,
    within: float | None = None,
    hint: str = "",
    **named: object,
) -> None:
    """Try a function; say nothing where its answer is right.

    Parameters
    ----------
    function : callable
        The student's.
    *args, **named
        What it is called with; it gets copies.
    gives : number, bool, str, None, or a tuple, list, dict or set of these
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
    course_utils.grading.checks.expect.AnswerError: round(2.4) gave 2.
    Expected: 3.
    Next: Is it rounded up?
    """
    trial = _try(function, args, named)
    if trial.fault is None:
        cure = _cure(trial.answer, gives, within)
    else:
        takes_others = trial.fault.is_a(TypeError) and not trial.fault.where
        cure = "Let it take what this call gives it, in this order." if takes_others else ""
    if cure is not None:
        tolerance = f", give or take {within:g}" if within and within > MIN_SHOWN_TOLERANCE else ""
        raise AnswerError(str(trial), f"{shown(gives)}{tolerance}.", cure or hint or TRY_THE_CALL)


def expect_error(
    function: Callable[..., object],
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
    course_utils.grading.checks.expect.AnswerError: int('4') gave 4.
    Expected: A ValueError.
    Next: Which texts are numbers?
    """
    trial = _try(function, args, named)
    if trial.fault is not None and trial.fault.is_a(error) and saying.lower() in trial.fault.message.lower():
        return
    name = one_line(str(error.__name__))
    expected = f"A {name}" + (f" whose message holds {saying!r}" if saying else "")
    ask = f'Ask for this case first: if …: raise {name}("… {saying} …")'
    raise AnswerError(str(trial), f"{expected}.", hint or ask)


def expect_same(
    function: Callable[..., object], inputs: Iterable[object], within: float | None = None, hint: str = ""
) -> None:
    """Try a function on many inputs; say nothing where it answers as the instructor's own version does.

    It is for hidden checks. The solution cells of the instructor's notebook are run in the grader's process for it.

    Parameters
    ----------
    function : callable
        The student's.
    inputs : iterable
        A tuple of arguments for each call; anything else counts as the only argument. See `cases`.
    within : float, optional
        As for `expect`.
    hint : str
        As for `expect`.

    Raises
    ------
    AnswerError
        An answer differs. Where the instructor's version raises an error, the student's must raise one of that type.

    Examples
    --------
    >>> expect_same(abs, cases(lambda draw: draw.uniform(-9, 9), 5))
    """
    reference = setting.reference(function)
    for input in inputs:
        args = input if type(input) is tuple else (input,)
        try:
            right = plain(reference(*copy.deepcopy(args)))
        except Exception as error:
            expect_error(function, *args, error=type(error), hint=hint)
        else:
            expect(function, *args, gives=right, within=within, hint=hint)


def cases(draw_one: Callable[[random.Random], object], n: int = 20) -> list[object]:
    """Draw inputs for `expect_same`: others for each submission, and the same ones when it is graded again.

    Parameters
    ----------
    draw_one : callable
        Gets a random.Random and returns the arguments of one call, as a tuple.
    n : int

    Examples
    --------
    >>> cases(lambda draw: (draw.randint(1, 6), draw.choice("ab")), 2)
    [(2, 'a'), (1, 'a')]
    """
    draw = random.Random(f"cases:{setting.seed}")
    return [draw_one(draw) for _ in range(n)]


def source_of(function: object) -> str:
    """Return the text of the cell in which a function is defined: data to look at, which is never run.

    Parameters
    ----------
    function : callable or str
        When a submission is graded, also the id of a cell.
    """
    return setting.source(function)


def tree_of(function: object) -> ast.Module:
    """Return the syntax tree of the cell in which a function is defined.

    Parameters
    ----------
    function : callable or str
        As for `source_of`.

    Raises
    ------
    AnswerError
        It is no Python.

    Examples
    --------
    >>> any(isinstance(node, ast.ListComp) for node in ast.walk(tree_of(cases)))
    True
    """
    try:
        return ast.parse(textwrap.dedent(source_of(function)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise AnswerError(
            f"This cell is not valid Python: {one_line(str(problem))}.", "A cell without a syntax error."
        ) from None


# -- trying ------------------------------------------------------------------------------------------------------------


def _try(function: Callable[..., object], args: tuple[object, ...], named: dict[str, object]) -> _Trial:
    """Call a function; what it writes to stderr is dropped, because nbgrader gives no points for a cell that does."""
    if not callable(function):
        raise AnswerError(
            f"The check calls {shown(function)}, which is not a function.",
            "A function, made with def.",
            "Run the cell in which you write it, and use its name for nothing else.",
        )
    name = _name(function)
    given = [shown(argument) for argument in args] + [f"{key}={shown(argument)}" for key, argument in named.items()]
    call = f"{name}({', '.join(given)})"
    own_args, own_named = copy.deepcopy((args, named))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return _Trial(call, plain(function(*own_args, **own_named)))
    except (KeyboardInterrupt, UnsupportedCheck):  # the stop button, and nbgrader's time limit; a check that cannot be
        raise
    except BaseException as error:  # whatever a student's function raises, SystemExit included
        fault = _fault_elsewhere(error) if isinstance(error, Stopped) else _fault(function, error)
    if fault.is_a(NotImplementedError):
        raise AnswerError(
            f"{name} is not written yet.",
            "A function that returns its answer.",
            "Write it in place of raise NotImplementedError(), and run its cell.",
        )
    return _Trial(call, fault=fault)


def _name(function: Callable[..., object]) -> str:
    name = getattr(function, "__name__", None)
    return one_line(name) if type(name) is str and name else "your function"


def _fault(function: Callable[..., object], error: BaseException) -> _Fault:
    return _Fault(
        type_name(error), _error_message(error), _where(function, error), lambda wanted: isinstance(error, wanted)
    )


def _fault_elsewhere(error: Stopped) -> _Fault:
    def is_a(wanted: type) -> bool:
        return wanted.__name__ == error.kind or (isinstance(wanted, type) and wanted.__name__ in error.bases)

    return _Fault(one_line(error.kind), one_line(error.message), error.where, is_a)


def _where(function: Callable[..., object], error: BaseException) -> str:
    """Return the last line of the function's own cell that ran."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    if not isinstance(file, str):  # it is no function of Python's
        return ""
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f", in line {lines[-1]} of its cell: {linecache.getline(file, lines[-1]).strip()}" if lines else ""


def _error_message(error: BaseException | None) -> str:
    try:
        return one_line(str(error))
    except Exception:  # its own __str__ is wrong
        return ""


# -- comparing ---------------------------------------------------------------------------------------------------------


def _cure(answer: Any, right: Any, within: float | None) -> str | None:
    """Return None for a right answer; else what to do about it, "" where that cannot be told from the answer."""
    answer = plain(answer)
    if answer is None and right is not None:
        return "Let the function end in return …: what print(…) shows is not returned."
    if type(right) in (tuple, list):
        return _cure_of_row(answer, right, within)
    if type(right) is dict:
        return _cure_of_table(answer, right, within)
    if type(right) in (int, float):
        return _cure_of_number(answer, right, within)
    if type(right) in (set, frozenset) and type(answer) in (set, frozenset):
        return None if answer == right else ""
    if type(answer) is not type(right):
        return KINDS.get(type(right), f"Return a {type(right).__name__}.")
    return None if type(right) in COMPARED and answer == right else ""


def _cure_of_row(answer: Any, right: tuple[Any, ...] | list[Any], within: float | None) -> str | None:
    if type(answer) not in (tuple, list):
        return f"Return a {type(right).__name__} of {len(right)} values."
    if len(answer) != len(right):
        return f"Return {len(right)} values; these are {len(answer)}."
    cures = [_cure(item, wanted, within) for item, wanted in zip(answer, right, strict=True)]
    wrong = [cure for cure in cures if cure is not None]
    if not wrong:
        return None
    turned = [_cure(item, wanted, within) for item, wanted in zip(answer[::-1], right, strict=True)]
    return "The right values, in the other order." if set(turned) == {None} else next(filter(None, wrong), "")


def _cure_of_table(answer: Any, right: dict[Any, Any], within: float | None) -> str | None:
    if type(answer) is not dict:
        return f"Return a dict of {len(right)} values."
    if answer.keys() != right.keys():
        return f"Return a dict with the keys {', '.join(map(shown, list(right)[:3]))}{', …' if len(right) > 3 else ''}."
    cures = [_cure(answer[key], wanted, within) for key, wanted in right.items()]
    wrong = [cure for cure in cures if cure is not None]
    return next(filter(None, wrong), "") if wrong else None


def _cure_of_number(answer: Any, right: float, within: float | None) -> str | None:
    if type(answer) not in (int, float):
        return "Return a number: no text, no True or False, no row of numbers."
    if not (_is_finite(answer) and _is_finite(right)):
        return None if answer == right else ""
    found, exact = fractions.Fraction(answer), fractions.Fraction(right)  # neither is ever too large, as floats can be
    share = fractions.Fraction((0 if type(right) is int else ROUNDING) if within is None else within)
    if abs(found - exact) <= share * max(fractions.Fraction(1), abs(exact)):
        return None
    slips = {
        -found: "The size is right, the sign is not.",
        found / PER_CENT: "This is 100 times as much: a share of 0.05 is asked, not its 5 %.",
        found * PER_CENT: "This is a hundredth: per cent are asked, so 5 and not 0.05.",
    }
    return next((cure for meant, cure in slips.items() if abs(meant - exact) <= share * abs(exact)), "")


def _is_finite(number: float) -> bool:
    return type(number) is int or math.isfinite(number)
