"""Which experiments a record may run again, and with what: a ledger is a file, and a file may say anything.

To let one more be done again, add its row to `EXPERIMENTS`. Its Result must carry ``experiment`` (the row's name) and
``inputs`` (plain values of exactly the keyword arguments named here, besides progress and cancel).
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from course_utils.evidence.record import Record

if TYPE_CHECKING:
    from course_utils.models.language_model import LanguageModel

MOST_TEXTS, LONGEST_TEXTS = 2000, 5_000_000  # characters in all
LARGEST_SEED = 2**31 - 1

Kind = Callable[[object, Record], object]


class Refused(ValueError):
    """An input with which nothing is run; says why."""


def whole(low: int, high: int) -> Kind:
    """Accept whole numbers of a range."""
    return lambda value, record: _accepted(value, type(value) is int and low <= value <= high, f"from {low} to {high}")


def number(low: float, high: float) -> Kind:
    """Accept numbers of a range."""

    def kind(value: object, record: Record) -> object:
        fits = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
        return _accepted(value, fits, f"from {low} to {high}")

    return kind


def one_of(*choices: str | bool) -> Kind:
    """Accept what stands in a list."""
    texts = ", ".join(map(str, choices))
    return lambda value, record: _accepted(value, any(value is each or value == each for each in choices), texts)


def optional(kind: Kind) -> Kind:
    """Accept what a kind accepts, and None."""
    return lambda value, record: None if value is None else kind(value, record)


def several(kind: Kind, most: int) -> Kind:
    """Accept a list of what a kind accepts."""

    def each(value: object, record: Record) -> list:
        _accepted(value, isinstance(value, list) and 1 <= len(value) <= most, f"a list of 1 to {most}")
        return [kind(one, record) for one in value]

    return each


def text(value: object, record: Record) -> str:
    """Accept a text."""
    return _accepted(value, isinstance(value, str) and len(value) <= LONGEST_TEXTS, "a text")


def texts(value: object, record: Record) -> list[str]:
    """Accept texts that the record carries whole."""
    if isinstance(value, dict):
        raise Refused("its texts were too long to be kept: only their hash is in the record")
    found = several(text, MOST_TEXTS)(value, record)
    return _accepted(found, sum(map(len, found)) <= LONGEST_TEXTS, f"{LONGEST_TEXTS:,} characters at most")


def model_name(value: object, record: Record) -> str:
    """Accept a name on this machine's shelf whose weights are those that were measured; never a path."""
    from course_utils.models import shelf

    _accepted(value, isinstance(value, str) and value in record.models, f"of {', '.join(record.models) or 'no model'}")
    if value not in [entry.name for entry in shelf.entries()]:
        raise Refused(f"{value} is not on this machine's shelf (COURSE_MODELS names a folder with models of your own)")
    here, measured = shelf.weights_sha256(value), record.models[value]
    if here != measured:
        raise Refused(
            f"{value} has other weights here (sha256 {here[:12]}…) than were measured ({str(measured)[:12]}…)"
        )
    return value


def model(value: object, record: Record) -> "LanguageModel":
    """Load such a model, in the precision that the record's settings name, or else in fp32."""
    from course_utils.models.language_model import load

    precision = one_of("fp32", "int8")(record.settings.get("precision", "fp32"), record)
    return load(model_name(value, record), precision)


def settings(value: object, record: Record) -> object:
    """Accept what sampling ``Settings`` accept, by name."""
    from course_utils.models.sampling import RANGES, Settings

    _accepted(value, isinstance(value, dict) and set(value) <= set(RANGES), f"of {', '.join(RANGES)}")
    return Settings(**value)


SEED = whole(0, LARGEST_SEED)
EXPERIMENTS: dict[str, dict[str, Kind]] = {
    "sizes.compare_sizes": {
        "models": several(model_name, 8),
        "documents": optional(texts),
        "n_documents": whole(1, MOST_TEXTS),
        "seed": SEED,
        "stride": optional(whole(1, 4096)),
    },
}


def _accepted(value: object, fits: bool, expected: str) -> object:
    if not fits:
        raise Refused(f"{str(value)[:60]!r} is not {expected}")
    return value
