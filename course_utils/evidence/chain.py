"""Do the lines of a ledger hold together? If not: which line, and what is wrong with it."""

import dataclasses
import json
from collections.abc import Sequence

from course_utils.evidence.record import FIRST, START, NotARecord, Record, has_its_id, parse


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """What a file's bytes say.

    Parameters
    ----------
    records : tuple of Record
        From the first line to the one before the first fault.
    faults : tuple of (int, str)
        Line and what is wrong with it, in order.
    torn : bytes
        What was left at the end by a writing that was cut off; no fault, for nothing that was kept is lost.
    n_whole : int
        Bytes before it.
    lacks_line_end : bool
        The last record is whole but for its line end.
    """

    records: tuple[Record, ...]
    faults: tuple[tuple[int, str], ...]
    torn: bytes = b""
    n_whole: int = 0
    lacks_line_end: bool = False


def look(content: bytes, known: Sequence[str] = ()) -> Chain:
    """Compare every line of a ledger with the one before it.

    Parameters
    ----------
    content : bytes
        Of the whole file.
    known : sequence of str
        The hashes that this machine wrote there so far, to notice whole lines that went from the end.
    """
    *lines, tail = content.split(b"\n")
    torn = tail if _is_torn(tail) else b""
    if tail and not torn:
        lines.append(tail)
    parsed = [_parsed(line) for line in lines]
    faults = _faults(parsed) or _gone([record.hash for record in parsed], known, bool(torn))
    n_sound = min((line for line, _ in faults), default=len(parsed) + 1) - 1
    lacks_line_end = bool(tail and not torn)
    return Chain(tuple(parsed[:n_sound]), tuple(faults), torn, len(content) - len(torn), lacks_line_end)


def _is_torn(tail: bytes) -> bool:
    """Tell whether what stands after the last line end is the beginning of a record, or zeros left by a power cut."""
    try:
        json.loads(tail)
        return False  # whole, but for the line end that some editors take away
    except (ValueError, RecursionError):
        written = tail.rstrip(b"\x00")
        return bool(tail) and (written.startswith(START) or START.startswith(written))


def _parsed(line: bytes) -> Record | str:
    """Return the record, or what is wrong with the line."""
    try:
        return parse(line)
    except NotARecord as why:
        return str(why)


def _faults(parsed: list[Record | str]) -> list[tuple[int, str]]:
    line_of = {}
    for number, each in enumerate(parsed, start=1):
        if isinstance(each, Record):
            line_of.setdefault(each.hash, number)
    faults, ids, before = [], set(), FIRST
    for number, each in enumerate(parsed, start=1):
        if isinstance(each, str):
            faults.append((number, each))
            before = None  # what follows cannot be compared with it
            continue
        if line_of[each.hash] < number:
            faults.append((number, f"({each.id}) is a copy of line {line_of[each.hash]}"))
            continue
        if before not in (None, each.previous):
            faults.append(_out_of_place(each, number, line_of))
        elif not has_its_id(each, ids):
            faults.append((number, f"is called {each.id}, which is not the id of its content"))
        ids.add(each.id)
        before = each.hash
    return sorted(faults)


def _out_of_place(record: Record, number: int, line_of: dict[str, int]) -> tuple[int, str]:
    """Say why a whole record does not follow the line before it."""
    belongs = line_of.get(record.previous)
    if belongs:
        return number, f"({record.id}) belongs after line {belongs}: lines were moved, or one was put between"
    if record.previous == FIRST:
        return number, f"({record.id}) is the beginning of another ledger"
    if number == 1:
        return number, f"({record.id}) is not the first of its ledger: what came before it is missing"
    return number - 1, f"was changed, or a line after it is missing: line {number} ({record.id}) does not follow it"


def _gone(hashes: list[str], known: Sequence[str], is_torn: bool) -> list[tuple[int, str]]:
    """Compare a chain that holds in itself with what this machine wrote there."""
    for number, (here, was) in enumerate(zip(hashes, known, strict=False), start=1):
        if here != was:
            return [(number, "is not what this machine wrote there: this is another ledger, or it was written anew")]
    n_gone = len(known) - len(hashes)
    if n_gone <= 0:
        return []
    what = "has been changed since it was written, or cut off" if is_torn else "was there before and is missing"
    return [(len(hashes) + 1, what + (f", and {n_gone - 1} more after it" if n_gone > 1 else ""))]
