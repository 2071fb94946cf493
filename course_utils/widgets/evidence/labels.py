"""Labels of the evidence board: a record as a line and in full, faults of a ledger, results of re-runs."""

import re
from collections.abc import Mapping

from course_utils.evidence.ledger.ledger import Ledger
from course_utils.evidence.ledger.record import Record
from course_utils.evidence.rerun import CANNOT, NOT, REPRODUCED, WITHIN, Reproduction, can_rerun
from course_utils.widgets.base.keep_button import digits, value_in_words

NOT_YET = "not done again"
STATUSES = [REPRODUCED, WITHIN, NOT, CANNOT, NOT_YET]
MOST_ROWS, MOST_COLUMNS, LONGEST_CELL = 200, 30, 300
SHORT_HASH = 12  # hex digits of a model's sha256


def row(record: Record) -> dict[str, str]:
    """Return a record as one line of the list."""
    return {
        "id": record.id,
        "time": in_time(record.time),
        "experiment": record.experiment or "–",
        "what": f"{record.metric.replace('_', ' ')}, {record.of}"[:LONGEST_CELL],
        "value": value_in_words(record)[:LONGEST_CELL],
        "models": ", ".join(record.models)[:LONGEST_CELL],
    }


def whole(record: Record) -> dict[str, object]:
    """Return all of a record: as a person reads it, with a table of as many rows as a page can show."""
    columns = list(dict.fromkeys(name for each in record.rows[:MOST_ROWS] for name in each))[:MOST_COLUMNS]
    return {
        **row(record),
        "hash": record.hash,
        "finding": record.finding,
        "facts": facts(record),
        "settings": _pairs(record.settings),
        "versions": _pairs(record.versions),
        "columns": columns,
        "rows": [[cell(each.get(name)) for name in columns] for each in record.rows[:MOST_ROWS]],
        "n_rows": len(record.rows),
        "why_not": "" if can_rerun(record) else f"It cannot be done again: {why_not(record)}.",
    }


def facts(record: Record) -> list[list[str]]:
    """Return the origin of a record as names and values: time, experiment, models, seed and note."""
    pairs = [
        ("Kept", f"{in_time(record.time)} UTC"),
        ("Experiment", record.experiment or "none that can be done again"),
        *[("Model", f"{name} · sha256 {str(sha256)[:SHORT_HASH]}…") for name, sha256 in record.models.items()],
        ("Seed", "none: nothing was drawn" if record.seed is None else str(record.seed)),
        ("Note", record.note or "–"),
    ]
    return [[name, cell(value)] for name, value in pairs]


def why_not(record: Record) -> str:
    """Say why nothing can do a record again, where that is seen without trying."""
    if not record.experiment:
        return "it does not say which experiment it came from"
    return f"{record.experiment[:60]!r} is not one of the experiments that are done again from a record"


def outcome(found: Reproduction) -> dict[str, str]:
    """Return how a re-run came out: the status, both numbers, and why."""
    again = "" if found.again is None else digits(found.again)
    return {"status": found.status, "recorded": digits(found.recorded), "again": again, "why": found.why}


def faults(ledger: Ledger) -> list[str]:
    """Return what is wrong with a ledger, each fault at its line."""
    told = [f"Line {line} {what}." for line, what in ledger.faults]
    if ledger.torn:
        line = len(ledger.records) + 1
        told.append(f"Line {line} was cut off while it was written; the next number that is kept sets it aside.")
    return told


def in_time(time: str) -> str:
    """Return a time without its letters.

    Examples
    --------
    >>> in_time("2026-05-04T03:02:01Z")
    '2026-05-04 03:02'
    """
    found = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", time)
    return f"{found[1]} {found[2]}" if found else time[:20]


def cell(value: object) -> str:
    """Return a value as a table tells it."""
    if value is None:
        return "–"
    told = digits(value) if isinstance(value, float) else str(value)
    return told if len(told) <= LONGEST_CELL else f"{told[:LONGEST_CELL]}…"


def _pairs(values: Mapping[str, object], before: str = "") -> list[list[str]]:
    """Return names and values, those within others too."""
    told = []
    for name, value in list(values.items())[:60]:
        if isinstance(value, dict) and value:
            told += _pairs(value, f"{before}{name} · ")
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            for place, each in enumerate(value[:12], start=1):
                told += _pairs(each, f"{before}{name} {place} · ")
        else:
            told.append([cell(f"{before}{name}"), cell(value)])
    return told[:200]
