"""Ledger format: the fields and the hash of one record, and the chain of records that a file's bytes hold.

Every record names the hash of the record before it. So the records alone tell their order, and whether one is missing
or was changed. Another program may change the file around the records: line ends, a byte order mark, spaces, the order
of keys, an array around the records, the marks of a git merge. That is no fault; it is reported in the notes.

Two copies of a ledger that went on separately and were merged are a tree. All of their records count.
"""

import bisect
import codecs
import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
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
LARGEST_MB = 200
# UTF-32 first: its mark begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
LINE_END = re.compile(rb"\r\n|\r|\n")
OF_A_MERGE = re.compile(rb"(?:<{7}|={7}|>{7}|\|{7})(?: .{0,200})?")
BLANKS = b" \t\x0b\x0c"
BETWEEN_OBJECTS = re.compile(r"[\s,\[\]]*")


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """Record of a measurement in the ledger; its fields stand in this order in the ledger.

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


class InvalidRecord(ValueError):
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
            f"This result cannot be recorded: {error}.",
            "Plain values in settings, inputs and rows.",
            "Tell the author of the experiment.",
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
    except (InvalidRecord, KeyError) as error:
        raise TextError(
            f"This is not a measurement: it {error}.", "What result.record() returns.", "keep(result)"
        ) from error


def parse(line: bytes) -> Record:
    """Read a record from one line of a ledger, without its line end.

    Another program may have written the line anew: other spaces, escapes or order of keys do not change what was
    measured. The record is accepted if its hash holds. ``record.line()`` returns the usual form.

    Raises
    ------
    InvalidRecord
        It is no record, or its content is not what was sealed; says what differs.
    """
    text = _decoded(line)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRecord(_what_else(line)) from None
    return from_values(values)


def from_values(values: object) -> Record:
    """Return the record that a JSON object holds, with its fields in any order; see `parse`."""
    if not looks_like_record(values):
        raise InvalidRecord("is not a record of evidence")
    if set(values) != set(FIELDS):
        raise InvalidRecord(f"has not the fields of a record: {', '.join(sorted(set(values) ^ set(FIELDS)))[:100]}")
    record = _checked(values)
    try:
        holds = record.hash in _hashes_of(record.values())
    except RecursionError:
        raise InvalidRecord("is nested too deeply") from None
    if not holds and "procedure" not in record.versions and len(values["versions"]) > 1 and _is_sorted(values):
        raise InvalidRecord(
            "has its keys sorted by another program; the hash of a record of this format depends on their order"
        )
    if not holds:
        raise InvalidRecord("has been changed since it was written: its hash does not match its content")
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
            raise InvalidRecord(f"has as its {name} {str(value)[:40]!r}")
    for name, shape in (("id", ID), ("previous", HASH), ("hash", HASH)):
        if not shape.fullmatch(values[name]):
            raise InvalidRecord(f"has as its {name} {values[name][:40]!r}")
    if not all(isinstance(row, dict) for row in values["rows"]):
        raise InvalidRecord("has rows that are not a list of objects")
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
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else value


def _dumped(values: JsonObject, without: tuple[str, ...] = (), *, sort: bool = False) -> bytes:
    """Return the one way in which these values are written."""
    kept = {name: values[name] for name in FIELDS if name not in without}
    try:
        return json.dumps(kept, ensure_ascii=False, allow_nan=False, sort_keys=sort).encode("utf-8")
    except (ValueError, RecursionError):  # NaN, or half a character
        raise InvalidRecord("holds a value that JSON cannot hold: NaN, an infinity, or half a surrogate pair") from None


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


# -- the chain of records in a file ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """Hash chain of records, as read from the bytes of a ledger.

    Parameters
    ----------
    records : tuple of Record
        In the order in which they were kept; only those before the first fault.
    faults : tuple of (int, str)
        Line and what is wrong with it, in order.
    torn : bytes
        The beginning of a record at the end: its writing was cut off. That is no fault: nothing that was kept is lost.
    notes : tuple of str
        What another program changed around the records, and what was normalised; one sentence each.
    whole : bytes
        The ledger in its usual form, without what is torn: one record a line. The bytes as they came if there are
        faults.
    hashes : tuple of str
        Of all records in `whole`, in order.
    content : bytes
        As they came.
    """

    records: tuple[Record, ...]
    faults: tuple[tuple[int, str], ...]
    torn: bytes = b""
    notes: tuple[str, ...] = ()
    whole: bytes = b""
    hashes: tuple[str, ...] = ()
    content: bytes = b""

    @property
    def is_usual(self) -> bool:
        """Return whether the bytes are as the course writes them, but for what is torn."""
        return self.content == self.whole + self.torn

    def __str__(self) -> str:
        """Return the counts, then the notes and the faults."""
        n = len(self.records)
        lines = [f"{n} {'record' if n == 1 else 'records'}, {len(self.faults)} faults", *self.notes]
        lines += [f"line {line} {what}" for line, what in self.faults]
        return "\n".join(lines + (["The end was cut off while it was written."] if self.torn else []))

    __repr__ = __str__


@dataclasses.dataclass(frozen=True, eq=False)
class _ParsedLine:
    """One line, or one JSON object over several lines: the record in it, or what is wrong with it."""

    line: int
    found: Record | str
    is_usual: bool  # written as the course writes it
    is_like: bool  # meant as a record


def read_ledger_bytes(content: bytes, known: Sequence[str] = ()) -> Chain:
    """Read the records that a ledger's bytes hold, whatever program saved them last.

    Parameters
    ----------
    content : bytes
        Of the whole file.
    known : sequence of str
        The hashes that this machine wrote there so far, to notice whole records that went from the end.

    Returns
    -------
    Chain

    Notes
    -----
    The time is linear in the length. More than `LARGEST_MB` are not read.
    """
    if len(content) > LARGEST_MB * 1e6:
        return Chain(
            (), ((1, f"is of a file larger than {LARGEST_MB} MB, which no ledger is"),), whole=content, content=content
        )
    pieces, torn, notes = _pieces(content)
    placed, faults, more = _placed(pieces)
    notes += more
    hashes = tuple(record.hash for record in placed)
    faults = faults or _gone(placed, pieces, known, bool(torn))
    if faults:
        first = min(line for line, _ in faults)
        sound = {id(piece.found) for piece in pieces if piece.line < first}
        records = tuple(record for record in placed if id(record) in sound)
        return Chain(records, tuple(faults), torn, tuple(notes), content, hashes, content)
    records, more = _without_doubled_ids(placed)
    whole = b"".join(record.line() for record in placed)
    return Chain(records, (), torn, tuple(notes + more), whole, hashes, content)


def looks_like_ledger(content: bytes) -> bool:
    """Tell by its content whether a file is meant as a ledger, also one that is damaged, cut off or reformatted.

    Examples
    --------
    >>> looks_like_ledger(b'{"cells": [], "nbformat": 4}')
    False
    """
    if len(content) > LARGEST_MB * 1e6:
        return False
    pieces, torn, _ = _pieces(content)
    return bool(len(torn) > len(START) and torn.startswith(START)) or any(piece.is_like for piece in pieces)


# -- from bytes to records ---------------------------------------------------------------------------------------------


def _pieces(content: bytes) -> tuple[list[_ParsedLine], bytes, list[str]]:
    """Return the pieces of a file, what is torn at its end, and what had to be normalised."""
    content, notes = _as_utf8(content)
    ends = [found[0] for found in LINE_END.finditer(content)]
    *lines, tail = LINE_END.split(content)
    torn = tail if _is_torn(tail) else b""
    if tail and not torn:
        lines.append(tail)
        notes.append("The last line had no line end.")
    numbered = list(enumerate((line.strip(BLANKS) for line in lines), start=1))
    kept = [(number, line) for number, line in numbered if line and not OF_A_MERGE.fullmatch(line)]
    if n_other := sum(end != b"\n" for end in ends):
        notes.append(f"{_lines(n_other)} ended in a carriage return, as Windows programs write it.")
    if n_blank := sum(bool(line.strip(BLANKS)) and line != line.strip(BLANKS) for line in lines):
        notes.append(f"{_lines(n_blank)} had spaces before or after the record.")
    if n_empty := sum(not line for _, line in numbered):
        notes.append(f"{_lines(n_empty)} {'was' if n_empty == 1 else 'were'} empty.")
    if sum(map(bool, (line for _, line in numbered))) > len(kept):
        notes.append("Lines with the marks of a git merge were left out; the records of both sides are taken.")
    pieces = [_piece(number, line) for number, line in kept]
    if any(isinstance(piece.found, str) for piece in pieces):
        pieces = _objects(kept) or pieces
    if n_anew := sum(isinstance(piece.found, Record) and not piece.is_usual for piece in pieces):
        what = "1 record was" if n_anew == 1 else f"{n_anew} records were"
        notes.append(f"{what} written anew by another program; what was measured is unchanged.")
    return pieces, torn, notes


def _lines(n: int) -> str:
    return "1 line" if n == 1 else f"{n} lines"


def _as_utf8(content: bytes) -> tuple[bytes, list[str]]:
    """Return a file's bytes in UTF-8 without a byte order mark."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            without = content.removeprefix(mark)
            with contextlib.suppress(ValueError):
                if encoding != "utf-8":
                    without = without.decode(encoding).encode("utf-8", "surrogatepass")
                return without, [f"The file began with a byte order mark, as programs that save {encoding} write it."]
    return content, []


def _is_torn(tail: bytes) -> bool:
    """Tell whether what stands after the last line end is the beginning of a record, or zeros left by a power cut."""
    try:
        json.JSONDecoder().raw_decode(tail.decode("utf-8"))
        return False  # whole, but for the line end that some editors take away
    except (ValueError, RecursionError):
        written = tail.rstrip(b"\x00")
        return bool(tail) and (written.startswith(START) or START.startswith(written))


def _piece(number: int, line: bytes) -> _ParsedLine:
    try:
        record = parse(line)
        return _ParsedLine(number, record, record.line()[:-1] == line, is_like=True)
    except InvalidRecord as why:
        return _ParsedLine(number, str(why), is_usual=False, is_like=line.startswith(START) or _is_like(line))


def _is_like(line: bytes) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        return looks_like_record(json.loads(line))
    return False


def _objects(kept: list[tuple[int, bytes]]) -> list[_ParsedLine]:
    """Return the records of JSON objects that go over several lines, or stand in an array; none if that is no JSON."""
    try:
        text = b"\n".join(line for _, line in kept).decode("utf-8")
    except UnicodeDecodeError:
        return []
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    decoder, position = json.JSONDecoder(), _next_object(text, 0)
    pieces: list[_ParsedLine] = []
    while position < len(text):
        line = kept[bisect.bisect_right(starts, position) - 1][0]
        try:
            values, end = decoder.raw_decode(text, position)
            pieces.append(_ParsedLine(line, from_values(values), is_usual=False, is_like=True))
        except InvalidRecord as why:
            pieces.append(_ParsedLine(line, str(why), is_usual=False, is_like=looks_like_record(values)))
        except (ValueError, RecursionError):
            return []
        position = _next_object(text, end)
    return pieces


def _next_object(text: str, position: int) -> int:
    """Return where the next object may begin: after blanks, commas and brackets."""
    between = BETWEEN_OBJECTS.match(text, position)
    return between.end() if between else position


# -- from records to a chain -------------------------------------------------------------------------------------------


def _placed(pieces: list[_ParsedLine]) -> tuple[list[Record], list[tuple[int, str]], list[str]]:
    """Return the records, each after the one that it follows; what is wrong; and what had to be normalised."""
    pieces, n_copies = _once_each(pieces)
    notes = [f"{_lines(n_copies)} stood there twice; each record is taken once."] if n_copies else []
    line_of = {piece.found.hash: piece.line for piece in pieces if isinstance(piece.found, Record)}
    faults, n_explained = [], 0  # a faulty piece explains one record after it that follows nothing
    waiting: dict[str, list[Record]] = {}
    placed: list[Record] = []
    placed_hashes = {FIRST}
    is_moved = False
    before: _ParsedLine | None = None
    for piece in pieces:
        found = piece.found
        if isinstance(found, str):
            faults.append((piece.line, found))
            n_explained += 1
        elif found.previous in placed_hashes:
            placed += _with_followers(found, waiting, placed_hashes)
        elif found.previous in line_of:
            waiting.setdefault(found.previous, []).append(found)
            is_moved = True
        else:
            placed_hashes.add(found.previous)  # others that follow the same missing record are told once
            if n_explained:
                n_explained -= 1
            else:
                faults.append(_follows_nothing(piece.line, found.id, before))
            placed += _with_followers(found, waiting, placed_hashes)
        if isinstance(found, Record) and not has_its_id(found):
            faults.append((piece.line, f"is called {found.id}, which is not the id of its content"))
        before = piece
    placed += [
        record for records in waiting.values() for record in records
    ]  # a circle cannot be made, but may be claimed
    if is_moved:
        notes.append("The records stood in another order than they were kept in; they were sorted.")
    return placed, sorted(faults), notes + _branches(placed, line_of)


def _once_each(pieces: list[_ParsedLine]) -> tuple[list[_ParsedLine], int]:
    kept: dict[object, _ParsedLine] = {}
    for index, piece in enumerate(pieces):
        kept.setdefault(piece.found.hash if isinstance(piece.found, Record) else index, piece)
    return list(kept.values()), len(pieces) - len(kept)


def _with_followers(record: Record, waiting: dict[str, list[Record]], placed_hashes: set[str]) -> Iterator[Record]:
    """Yield a record and all that waited for it."""
    stack = [record]
    while stack:
        follower = stack.pop()
        placed_hashes.add(follower.hash)
        yield follower
        stack += reversed(waiting.pop(follower.hash, ()))


def _follows_nothing(line: int, id: str, before: _ParsedLine | None) -> tuple[int, str]:
    """Say why a whole record does not follow another."""
    if before is None:
        return line, f"({id}) is not the first of its ledger: what came before it is missing"
    what = f"was changed, or a line after it is missing: line {line} ({id}) does not follow it"
    return before.line, what


def _branches(placed: list[Record], line_of: dict[str, int]) -> list[str]:
    """Say where several ledgers, or copies of one that went on separately, stand in one file."""
    notes: list[str] = []
    followed: dict[str, Record] = {}
    for record in placed:
        first = followed.setdefault(record.previous, record)
        if first is record:
            continue
        line = line_of[record.hash]
        if record.previous == FIRST:
            notes.append(f"Line {line} ({record.id}) begins another ledger; the records of all are taken.")
        else:
            what = f"Two copies of the ledger went on separately, here from {first.id} and {record.id} (line {line})"
            notes.append(f"{what}; the records of both are taken.")
    return notes


def _without_doubled_ids(placed: list[Record]) -> tuple[tuple[Record, ...], list[str]]:
    """Return the records without those of a merged copy that have, by chance, the id of another."""
    first: dict[str, Record] = {}
    for record in placed:
        first.setdefault(record.id, record)
    doubled = [record.id for record in placed if first[record.id] is not record]
    notes = [
        f"{record_id} names two records of the merged copies; a citation means the first." for record_id in doubled
    ]
    return tuple(first.values()), notes


def _gone(
    placed: list[Record], pieces: list[_ParsedLine], known: Sequence[str], is_torn: bool
) -> list[tuple[int, str]]:
    """Compare a chain that holds in itself with what this machine wrote there."""
    here = {record.hash for record in placed}
    gone = [digest for digest in known if digest not in here]
    if not gone:
        return []
    if placed and known[0] not in here:
        return [(1, "is not what this machine wrote there: this is another ledger, or it was written anew")]
    what = "has been changed since it was written, or cut off" if is_torn else "was there before and is missing"
    line = max((piece.line for piece in pieces), default=0) + 1
    return [(line, what + (f", and {len(gone) - 1} more after it" if len(gone) > 1 else ""))]
