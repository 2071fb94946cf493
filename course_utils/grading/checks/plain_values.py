"""Plain values from students' results, and short descriptions of them.

No method of a student's own class is called here, because it may answer anything.
"""

import decimal
import fractions
import math
import sys
from typing import Any

from course_utils.errors import CourseError

MAX_LINE_CHARACTERS, MAX_SHOWN_CHARACTERS, MAX_SHOWN_DIGITS = 200, 40, 40  # characters, characters, digits
MAX_SHOWN_VALUES, MAX_DEPTH = 4, 2  # values of a row, rows within rows


class UnsupportedCheck(CourseError):
    """A test cell asks for something that cannot be done with a student's code in another process."""


class RemoteValue:
    """An object of another process, of which this one knows a description only.

    A grader's program has these in the place of a student's functions. In a student's own notebook there are none.

    Attributes
    ----------
    kind : str
        The name of its type, as the other process tells it.
    note : str
        Why it did not come as a plain value, where it could have; else "".
    """

    kind, note = "object", ""


class Stopped(Exception):
    """A function of another process raised an error, or that process ended.

    Parameters
    ----------
    kind : str
        The name of the error's type, as the other process tells it.
    message : str
        Its message.
    bases : sequence of str
        The names of Python's own errors that it is one of.
    where : str
        The line of the function's cell in which it was raised, in words.
    call : str
        What was called, as it would be typed.
    """

    def __init__(
        self, kind: str, message: str = "", bases: tuple[str, ...] = (), where: str = "", call: str = "It"
    ) -> None:
        self.kind, self.message, self.bases, self.where, self.call = kind, message, bases, where, call

    def __str__(self) -> str:
        """Return the error as a sentence about the call."""
        return one_line(
            f"{self.call} stopped with {self.kind}" + (f": {self.message}" if self.message else "") + self.where,
            end=".",
        )


def plain(value: Any) -> Any:  # the checker does not follow `issubclass(kind, base)`
    """Return what a value stands for, as Python's own type where there is one; anything else as it is.

    Parameters
    ----------
    value : object
        Anything. An object that is derived from a number counts as the number in it, whatever it says of itself.

    Examples
    --------
    >>> import numpy
    >>> plain(numpy.float32(0.5)), plain(numpy.arange(3)), plain(fractions.Fraction(1, 4))
    (0.5, [0, 1, 2], 0.25)
    """
    kind = type(value)
    try:
        for base in (bool, int, float, str, tuple, list):
            if issubclass(kind, base):
                return _inside(value, base)
        if kind in (fractions.Fraction, decimal.Decimal):
            return float(value)
        if getattr(sys.modules.get("numpy"), kind.__name__, None) is kind:
            return value.tolist()
    except Exception:  # a decimal that is no number, a fraction beyond all floats
        return value
    return value


def shown(value: Any, depth: int = 0) -> str:
    """Return a value as it would be typed, cut to a few words; of an unknown object only its type is told.

    Parameters
    ----------
    value : object
        Anything.
    depth : int
        Within how many rows it stands.

    Examples
    --------
    >>> shown((1_000_000, 0.5, "four", [1, 2, 3, 4, 5]))
    "(1_000_000, 0.5, 'four', [1, 2, 3, 4, … 5 in all])"
    """
    kind = type(value)
    if kind is int:
        digits = int(value.bit_length() * math.log10(2)) + 1
        return f"{value:_}" if digits <= MAX_SHOWN_DIGITS else f"a whole number of about {digits} digits"
    if kind is str:
        return repr(value if len(value) <= MAX_SHOWN_CHARACTERS else value[:MAX_SHOWN_CHARACTERS] + "…")
    if kind in (bool, float, complex, type(None)):
        return repr(value)
    if kind in (tuple, list, dict, set, frozenset):
        return _shown_row(value, depth)
    if kind is bytes:
        return repr(value[:MAX_SHOWN_CHARACTERS])
    if issubclass(kind, RemoteValue):
        return f"an object of type {one_line(value.kind)[:MAX_SHOWN_CHARACTERS]}" + (
            f" ({value.note})" if value.note else ""
        )
    return f"an object of type {type_name(value)}"


def type_name(value: object) -> str:
    """Return the name of a value's type, cut."""
    return one_line(type.__dict__["__name__"].__get__(type(value)))[:MAX_SHOWN_CHARACTERS]


def one_line(text: str, end: str = "") -> str:
    """Return text as one line that is not too long."""
    one = " ".join(text.split())
    return one + end if len(one) <= MAX_LINE_CHARACTERS else one[: MAX_LINE_CHARACTERS - 1] + "…"


def _inside(value: Any, base: Any) -> object:
    """Return the plain value inside one of a derived type."""
    if base in (int, float):
        return base.__pos__(value)
    if base in (tuple, list):
        return base(base.__iter__(value))
    return value if base is bool else str.__str__(value)


def _shown_row(values: tuple[Any, ...] | list[Any] | dict[Any, Any] | set[Any] | frozenset[Any], depth: int) -> str:
    if values and depth >= MAX_DEPTH:
        return "…"
    if isinstance(values, set | frozenset):
        if not values:
            return "set()"
        parts = sorted(shown(value, depth + 1) for value in values)
        more = f", … {len(parts)} in all" if len(parts) > MAX_SHOWN_VALUES else ""
        return f"{{{', '.join(parts[:MAX_SHOWN_VALUES])}{more}}}"
    start, end = {tuple: ("(", ")"), list: ("[", "]"), dict: ("{", "}")}[type(values)]
    if isinstance(values, dict):
        parts = [
            f"{shown(key, depth + 1)}: {shown(value, depth + 1)}" for key, value in [*values.items()][:MAX_SHOWN_VALUES]
        ]
    else:
        parts = [shown(value, depth + 1) for value in values[:MAX_SHOWN_VALUES]]
    more = f", … {len(values)} in all" if len(values) > len(parts) else ""
    comma = "," if type(values) is tuple and len(values) == 1 else ""
    return f"{start}{', '.join(parts)}{comma}{more}{end}"
