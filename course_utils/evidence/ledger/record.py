"""One record of evidence: a line that a person can read, sealed by a hash to the line before."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection
from typing import Any, TypeGuard

from course_utils.core.json_types import JsonObject
from course_utils.errors import TextError

ID = re.compile(r"E-[0-9a-f]{4,64}")
HASH = re.compile(r"[0-9a-f]{64}")
FIRST = "0" * 64  # what the first record names as the hash before it
START = b'{"id": "E-'  # how every line begins
LARGEST = 1e300  # a number that no measurement has, and with which nobody can reckon
SHORTEST_ID = 4  # hex digits
SEALED = ("id", "time", "previous", "hash")  # what is added to a measurement when it is kept


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """A measurement that was kept; its fields stand in this order in the ledger.

    Parameters
    ----------
    id : str
        How an essay cites it, such as ``E-07f3``: from its content, and no other record of its ledger has it.
    finding : str
        The sentence in which the experiment told its result.
    note : str
        What the student wrote beside it.
    metric, of, value, unit, low, high, n, row
        The number that it stands for; see ``experiments.result.Metric``.
    experiment : str
        What does it again; "" where nothing does.
    inputs : dict or None
        With which arguments.
    settings, models, seed, rows, versions
        As in the Result: models names each model's sha256 of its weights.
    time : str
        When it was kept, UTC, ISO 8601.
    previous : str
        The hash of the record before it.
    hash : str
        sha256 of all fields above, as JSON with sorted keys; in records of older versions, of its line up to here.
    """

    id: str
    finding: str
    note: str
    metric: str
    of: str
    value: float
    unit: str
    low: float | None
    high: float | None
    n: int | None
    row: int | None
    experiment: str
    inputs: JsonObject | None
    settings: JsonObject
    models: dict[str, str]
    seed: int | None
    rows: list[JsonObject]
    versions: dict[str, str]
    time: str
    previous: str
    hash: str

    def line(self) -> bytes:
        """Return the record as it stands in the ledger, with its line end."""
        return _dumped(self.values()) + b"\n"

    def values(self) -> JsonObject:
        """Return its fields by name, in order."""
        return {name: getattr(self, name) for name in FIELDS}

    def measured(self) -> JsonObject:
        """Return what was measured, without what keeping added."""
        return {name: value for name, value in self.values().items() if name not in SEALED}

    def __str__(self) -> str:
        """Return id, finding and the number to cite."""
        ends = "" if self.low is None or self.high is None else f" ({self.low:.4g} to {self.high:.4g})"
        counted = "" if self.n is None else f", n = {self.n}"
        number = f"{self.metric} of {self.of}: {self.value:.4g}{ends}{counted}, {self.unit}"
        return f"{self.id} · {self.finding}\n    {number}" + (f"\n    note: {self.note}" if self.note else "")

    __repr__ = __str__


FIELDS = tuple(field.name for field in dataclasses.fields(Record))
_TYPES = {
    "value": (int, float), "low": (int, float, None), "high": (int, float, None), "n": (int, None), "row": (int, None),
    "inputs": (dict, None), "settings": (dict,), "models": (dict,), "seed": (int, None), "rows": (list,),
    "versions": (dict,),
}  # fmt: skip


class NotARecord(ValueError):
    """A line that is no record; says why in a few words."""


def plain(measured: JsonObject) -> JsonObject:
    """Return a measurement as it comes back from a ledger.

    Raises
    ------
    TextError
        It holds what JSON does not know.
    """
    try:
        line = json.dumps(measured, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TextError(
            f"This result cannot be written down: {error}.",
            "Plain values in settings, inputs and rows.",
            "Tell whoever wrote the experiment.",
        ) from error
    # Half a character cannot be written:
    read: JsonObject = json.loads(line.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return read


def seal(measured: JsonObject, time: str, previous: str, taken: Collection[str]) -> Record:
    """Make a record of a measurement: give it an id that is not taken, and the hash that binds it.

    Raises
    ------
    TextError
        It is no measurement: its metric is missing, or a field has the wrong type.
    """
    values = plain(measured) | {"time": time, "previous": previous}
    try:
        values["id"] = _id_of(values, taken)
        values["hash"] = _hashes_of(values)[0]
        return _checked(values)
    except (NotARecord, KeyError) as error:
        raise TextError(
            f"This is no measurement: it {error}.", "What result.record() returns.", "keep(result)"
        ) from error


def parse(line: bytes) -> Record:
    """Read a record from one line of a ledger, without its line end.

    Another program may have written the line anew: other spaces, escapes or order of keys do not change what was
    measured. The record is accepted if its hash holds. ``record.line()`` returns the usual form.

    Raises
    ------
    NotARecord
        It is no record, or its content is not what was sealed; says what differs.
    """
    text = _decoded(line)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise NotARecord(_what_else(line)) from None
    return from_values(values)


def from_values(values: object) -> Record:
    """Return the record that a JSON object holds, with its fields in any order; see `parse`."""
    if not looks_like_record(values):
        raise NotARecord("is not a record of evidence")
    if set(values) != set(FIELDS):
        raise NotARecord(f"has not the fields of a record: {', '.join(sorted(set(values) ^ set(FIELDS)))[:100]}")
    record = _checked(values)
    try:
        holds = record.hash in _hashes_of(record.values())
    except RecursionError:
        raise NotARecord("is nested too deeply") from None
    if not holds and "procedure" not in record.versions and len(values["versions"]) > 1 and _is_sorted(values):
        raise NotARecord("has its keys sorted by another program; the seal of so old a record depends on their order")
    if not holds:
        raise NotARecord("has been changed since it was written: its hash is that of another text")
    return record


def looks_like_record(values: object) -> TypeGuard[JsonObject]:
    """Tell whether a JSON value is meant as a record, sound or not."""
    return isinstance(values, dict) and "finding" in values and "hash" in values


def interval_of(record: Record) -> tuple[float, float] | None:
    """Return the interval of a record's number, lower end first; None where it has not both ends."""
    return None if record.low is None or record.high is None else (record.low, record.high)


def has_its_id(record: Record) -> bool:
    """Tell whether a record's id is one that its content can get."""
    return any(digest.startswith(record.id[2:]) for digest in _digests(record.values(), without=("id", "hash")))


def _checked(values: JsonObject) -> Record:
    for name in FIELDS:
        value, types = values[name], _TYPES.get(name, (str,))
        fits = (value is None and None in types) or type(value) in types
        if not fits or (isinstance(value, int | float) and not abs(value) < LARGEST):
            raise NotARecord(f"has as its {name} {str(value)[:40]!r}")
    for name, shape in (("id", ID), ("previous", HASH), ("hash", HASH)):
        if not shape.fullmatch(values[name]):
            raise NotARecord(f"has as its {name} {values[name][:40]!r}")
    if not all(isinstance(row, dict) for row in values["rows"]):
        raise NotARecord("has rows that are none")
    return Record(**{name: values[name] for name in FIELDS})


def _id_of(values: JsonObject, taken: Collection[str]) -> str:
    """Return the shortest id from the content that is not taken."""
    digest = _digests(values, without=("id", "hash"))[0]
    lengths = range(SHORTEST_ID, len(digest) + 1)
    return next(found for found in (f"E-{digest[:length]}" for length in lengths) if found not in taken)


def _hashes_of(values: JsonObject) -> tuple[str, ...]:
    return _digests(values, without=("hash",))


def _digests(values: JsonObject, without: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sha256 of the canonical form, which new records carry, and of the line, which older records carry.

    The canonical form has sorted keys, and whole numbers without a decimal point. So a program that sorts keys or
    writes 1.0 as 1 does not break the seal.
    """
    forms = (_dumped(_canonical(values), without, sort=True), _dumped(values, without))
    return tuple(hashlib.sha256(form).hexdigest() for form in forms)


def _is_sorted(value: object) -> bool:
    """Tell whether the keys of all objects stand in the order of the alphabet, as some formatters write them."""
    if isinstance(value, dict):
        return list(value) == sorted(value) and all(map(_is_sorted, value.values()))
    return all(map(_is_sorted, value)) if isinstance(value, list) else True


def _canonical(value: Any) -> Any:
    """Return a value in which floats without decimals are whole numbers, as JavaScript writes them."""
    if isinstance(value, dict):
        return {name: _canonical(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else value


def _dumped(values: JsonObject, without: tuple[str, ...] = (), *, sort: bool = False) -> bytes:
    """Return the one way in which these values are written."""
    kept = {name: values[name] for name in FIELDS if name not in without}
    try:
        return json.dumps(kept, ensure_ascii=False, allow_nan=False, sort_keys=sort).encode("utf-8")
    except (ValueError, RecursionError):  # NaN, or half a character
        raise NotARecord("holds what no record can: not a number, or half a character") from None


def _decoded(line: bytes) -> str:
    """Return a line as text. Old Windows editors save in code page 1252; the hash tells whether that was right."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _what_else(line: bytes) -> str:
    """Say what a line that is no record seems to be."""
    if line.startswith(START):
        return "has been changed since it was written, or cut off"
    return f"is not a record of evidence: {line[:40].decode('utf-8', 'replace')!r}"
