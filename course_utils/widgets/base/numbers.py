"""Number fields of panels: how a typed number is read, and what is said of one that cannot be used.

A person types ``0,3`` or ``0.3``. Some browsers read a decimal comma, and others drop it. So a page sends what was
typed, and this module reads it. What cannot be read with one meaning is refused, never guessed.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, ClassVar

import traitlets

from course_utils.widgets.base.panel import Panel

# Names of settings as a page shows them.
LABELS = {
    "max_new_tokens": "Max tokens", "temperature": "Temperature", "top_k": "Top-k", "top_p": "Top-p",
    "repetition_penalty": "Repetition penalty", "n_samples": "Samples", "seed": "Seed", "n_pairs": "Headlines",
    "n_words": "Words a text", "one_in": "Base rate",
}  # fmt: skip

# Signs that mean the same as an ASCII sign. U+066B is the Arabic decimal separator.
SAME_SIGN = str.maketrans({"\u066b": ".", "\uff0e": ".", "\uff0c": ",", "\u2212": "-", "\uff0d": "-", "\uff0b": "+"})
NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d*)(?:(?P<mark>[.,])(?P<part>\d*))?(?P<power>[eE][+-]?\d{1,3})?")
LOOKS_GROUPED = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u2009\u202f\u2019\u066c]\d{3})+([.,]\d*)?")
LONGEST = 40  # characters of a typed number, and of what a message quotes


def number_in(typed: object, is_whole: bool = False) -> float | int | None:
    """Read a number that a person typed; None where it is no number, or could be more than one.

    Parameters
    ----------
    typed : object
        Text from a field. Numbers are returned as they are.
    is_whole : bool
        Whether the field takes whole numbers only. There ``1,000`` could mean 1 or 1000, so it is None.

    Returns
    -------
    int, float or None
        An int where no decimal separator and no exponent was typed, and for a whole number of a whole field.

    Examples
    --------
    >>> [number_in(typed) for typed in ("0,3", " 0.3 ", ".5", "5.", "+0.3", "1e-3", "٠٫٣")]
    [0.3, 0.3, 0.5, 5.0, 0.3, 0.001, 0.3]
    >>> [number_in(typed) for typed in ("1.234,5", "0,3,1", "½", "", "many", "nan", "1_0")]
    [None, None, None, None, None, None, None]
    """
    if isinstance(typed, bool):
        return None
    if isinstance(typed, int | float):
        return typed if math.isfinite(typed) else None
    if not isinstance(typed, str):
        return None
    text = _ascii(typed)
    found = NUMBER.fullmatch(text) if len(text) <= LONGEST else None
    if not found or not (found["whole"] or found["part"]):
        return None
    if is_whole and found["mark"] and len(found["part"]) >= 3:
        return None
    if found["mark"] is None and found["power"] is None:
        return int(found["sign"] + found["whole"])
    value = float(f"{found['sign']}{found['whole'] or 0}.{found['part'] or 0}{found['power'] or ''}")
    if not math.isfinite(value):
        return None
    return int(value) if is_whole and value == int(value) else value


def read_fields(values: Mapping[str, object], whole: Mapping[str, bool]) -> dict[str, object]:
    """Return values with each typed number read; what cannot be read stays as it was typed.

    Parameters
    ----------
    values : mapping
        By the field's name; other fields are returned as they are.
    whole : mapping of str to bool
        The names of number fields, and whether each takes whole numbers only.
    """
    read = {name: number_in(values[name], whole[name]) for name in values if name in whole}
    return {name: value if read.get(name) is None else read[name] for name, value in values.items()}


def problem_of(name: str, value: object, lowest: float, highest: float, is_whole: bool) -> str:
    """Return in one or two sentences what is wrong with a field's number; empty where it can be used.

    Examples
    --------
    >>> problem_of("temperature", "0,3", 0, 5, False)
    ''
    >>> problem_of("temperature", 7, 0, 5, False)
    'Temperature is 7. Expected: a number from 0 to 5.'
    >>> problem_of("seed", "1,000", 0, 5000, True)
    'Seed: “1,000” can mean 1 or 1000. Expected: digits without separators.'
    """
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    kind = f"a whole number from {lowest} to {highest}" if is_whole else f"a number from {lowest} to {highest}"
    number = number_in(value, is_whole)
    if number is None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return f"{label} is empty. Expected: {kind}."
        return f"{label}: {_unread(str(value), is_whole)} Expected: {_example(str(value), kind, is_whole)}."
    if not lowest <= number <= highest:
        return f"{label} is {_told(number)}. Expected: {kind}."
    if is_whole and number != int(number):
        return f"{label} is {_told(number)}. Expected: {kind}."
    return ""


class NumberFields(Panel):
    """Number fields of a panel, with a message under each that is wrong; the panel has a state.

    Attributes
    ----------
    problems : dict of str to str
        By the field's name, what is wrong with it; fields that can be used are left out.
    """

    problems = traitlets.Dict().tag(sync=True)

    fields_trait: ClassVar[str] = "values"
    state: Any  # the panel's own trait; each panel has other states
    _before_blame: dict[str, object] | None = None

    def _on_message(self, widget: object, content: dict[str, Any], buffers: list[Any]) -> None:
        """Read what was typed, and say which typing was read: a page takes no older answer for the newest typing."""
        match content:
            case {"kind": "typed", "fields": dict(typed), "n": int(n), "view": str(view)}:
                known = getattr(self, self.fields_trait)
                self.set_traits(
                    **{self.fields_trait: {**known, **{name: typed[name] for name in typed if name in known}}}
                )
                self.send({"kind": "read", "n": n, "view": view})
            case _:
                super()._on_message(widget, content, buffers)

    def _note_problems(self, values: Mapping[str, object], limits: Mapping[str, tuple]) -> None:
        """Find what is wrong in the fields; take back a message about fields once nothing is wrong any more."""
        found = {name: problem_of(name, values.get(name), *limit[:3]) for name, limit in limits.items()}
        self.problems = {name: problem for name, problem in found.items() if problem}
        if not self.problems:
            self._forgive()

    def _blame(self) -> bool:
        """Say which fields cannot be used, if any, and return whether there are some."""
        if not self.problems:
            return False
        names = ", ".join(LABELS.get(name, name) for name in self.problems)
        which = "A field cannot be used" if len(self.problems) == 1 else "Some fields cannot be used"
        if self._before_blame is None:
            self._before_blame = {"state": self.state, "message": self.message}
        self.set_traits(state="failed", message=f"{which}: {names}.\nNext: Put it right; the note there says how.")
        return True

    def _forgive(self) -> None:
        before, self._before_blame = self._before_blame, None
        if before is not None and self.state == "failed":
            self.set_traits(**before)


def _ascii(typed: str) -> str:
    """Return a typed number with ASCII digits and signs, without blanks around it."""
    text = typed.strip(" \t\r\n\u00a0\u2009\u202f\u200e\u200f\u061c").translate(SAME_SIGN)
    return "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in text)


def _unread(typed: str, is_whole: bool) -> str:
    """Say why a typed number cannot be read."""
    text = _ascii(typed)
    quoted = f"“{typed.strip()[:LONGEST]}{'…' if len(typed.strip()) > LONGEST else ''}”"
    found = NUMBER.fullmatch(text)
    if is_whole and found and found["mark"] and LOOKS_GROUPED.fullmatch(text):
        return f"{quoted} can mean {int(found['whole'])} or {int(found['whole'] + found['part'])}."
    if LOOKS_GROUPED.fullmatch(text) and not found:
        return f"{quoted} has a separator between thousands."
    return f"{quoted} cannot be read as a number."


def _example(typed: str, kind: str, is_whole: bool) -> str:
    if LOOKS_GROUPED.fullmatch(_ascii(typed)):
        return "digits without separators" if is_whole else "no separator but one decimal point or comma"
    return kind if is_whole else f"{kind}, such as 0.7 or 0,7"


def _told(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.10g}"
