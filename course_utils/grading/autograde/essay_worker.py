"""Worker process that examines an essay: counts words, compares claims with evidence, re-runs some records.

Run as a program of its own, in a box: ``python -m course_utils.grading.autograde.essay_worker FOLDER``.
"""

import dataclasses
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.core.files import replace_file
from course_utils.errors import CourseError
from course_utils.evidence.essay.essay import Essay, read_essay
from course_utils.evidence.ledger.ledger import Ledger, read
from course_utils.evidence.ledger.record import Record

ASKED, FOUND = "asked.json", "found.json"
NOTEBOOK, LEDGER = "essay.ipynb", "evidence.jsonl"
MAX_PICTURES = 20
RECORD_FIELDS = (
    "finding",
    "note",
    "metric",
    "of",
    "value",
    "low",
    "high",
    "n",
    "unit",
    "experiment",
    "models",
    "seed",
    "time",
)
MAX_FIELD_CHARACTERS = 500  # characters of a field that a grader reads


def examine(folder: Path, n_again: int, words: tuple[int, int], seed: int) -> dict[str, Any]:
    """Examine the essay in a folder, and write what is known into it after every step.

    Parameters
    ----------
    folder : Path
        Holds `NOTEBOOK` and perhaps `LEDGER`; pictures and `FOUND` are written there.
    n_again : int
        How many of the records that the essay cites are done again.
    words : tuple of (int, int)
        The fewest and the most.
    seed : int
        Draws which.

    Returns
    -------
    dict
        essay, ledger, evidence, as a report holds them.
    """
    from course_utils.evidence.claims.check import check

    essay = read_essay(folder / NOTEBOOK)
    ledger, notes = _ledger(folder / LEDGER)
    findings = [dataclasses.asdict(finding) for finding in check(essay, ledger.records, words)]
    by_id = {record.id: record for record in ledger.records}
    evidence = [_evidence(record_id, by_id.get(record_id)) for record_id in essay.cited_evidence]
    found = {"essay": {**_counted(essay), "findings": findings}, "ledger": notes, "evidence": evidence}
    _write(folder, found)
    for entry in evidence[:MAX_PICTURES]:
        _draw(folder, entry, by_id.get(entry["id"]))
    for record_id in chosen([entry["id"] for entry in evidence if entry["record"]], n_again, seed):
        _write(folder, found)  # if the box is closed during a record, the others are known
        _do_again(next(entry for entry in evidence if entry["id"] == record_id), by_id[record_id])
    _write(folder, found)
    return found


def chosen(ids: Sequence[str], n: int, seed: int) -> list[str]:
    """Return which records are done again: n of them, drawn; all where there are no more.

    Examples
    --------
    >>> chosen(["E-07f3"], 3, 0)
    ['E-07f3']
    """
    return sorted(random.Random(seed).sample(list(ids), min(n, len(ids))))


def main(arguments: list[str]) -> int:
    """Examine the folder that is named, as the file there asks."""
    folder = Path(arguments[0])
    asked = json.loads((folder / ASKED).read_text("utf-8"))
    examine(folder, asked["n_again"], tuple(asked["words"]), asked["seed"])
    return 0


def _ledger(file: Path) -> tuple[Ledger, dict[str, Any]]:
    if not file.is_file():
        return Ledger(file, ()), {"status": "missing", "n_records": 0, "why": "No ledger was handed in."}
    try:
        ledger = read(file)
    except CourseError as error:
        return Ledger(file, ()), {"status": "too large", "n_records": 0, "why": error.what}
    status, why = "sound", " ".join(ledger.notes)  # what another program changed around sound records
    if ledger.faults:
        line, what = ledger.faults[0]
        status, why = "tampered", f"Line {line} {what}."
    elif ledger.torn:
        status, why = "torn", "Its last line was cut off while it was written; the records before it are whole."
    return ledger, {"status": status, "n_records": len(ledger.records), "why": why[:MAX_FIELD_CHARACTERS]}


def _counted(essay: Essay) -> dict[str, Any]:
    from course_utils.evidence.essay.essay import n_words

    sections = {section.key: n_words(section.text) for section in essay.sections}
    return {"n_words": essay.n_words, "strategy": essay.strategy[:MAX_FIELD_CHARACTERS], "sections": sections}


def _evidence(record_id: str, record: Record | None) -> dict[str, Any]:
    """Return a cited record as graders see it, before it is done again."""
    fields = None
    if record is not None:
        fields = {name: _short(getattr(record, name)) for name in RECORD_FIELDS}
    why = "It was not drawn." if record is not None else "It stands in no ledger that was handed in."
    again = {"status": "not sampled", "value": None, "why": why}
    return {"id": record_id, "cited": True, "record": fields, "again": again, "picture": None, "alt": ""}


def _short(value: object) -> object:
    if isinstance(value, str):
        return value[:MAX_FIELD_CHARACTERS]
    if isinstance(value, Mapping):
        return {str(name)[:80]: str(content)[:80] for name, content in list(value.items())[:20]}
    return value


def _draw(folder: Path, entry: dict[str, Any], record: Record | None) -> None:
    from course_utils.evidence.rerun import redraw
    from course_utils.plots.picture import Picture

    if record is None or not isinstance(picture := redraw(record), Picture):
        return
    entry["picture"], entry["alt"] = f"{record.id}.png", picture.alt[:2000]
    replace_file(folder / entry["picture"], picture.png())


def _do_again(entry: dict[str, Any], record: Record) -> None:
    from course_utils.evidence.rerun import rerun

    try:
        found = rerun(record)
        entry["again"] = {"status": found.status, "value": found.again, "why": found.why[:MAX_FIELD_CHARACTERS]}
    except Exception as problem:  # an experiment may stumble over what a file says; the other records go on
        why = f"{type(problem).__name__}: {str(problem)[:200]}"
        entry["again"] = {"status": "cannot be tried", "value": None, "why": why}


def _write(folder: Path, found: dict[str, Any]) -> None:
    replace_file(folder / FOUND, json.dumps(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
