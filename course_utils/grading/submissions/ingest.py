"""Ingestion of a submission: its notebook is chosen, read and repaired, and all other files are listed."""

import dataclasses
import datetime
import re
from collections.abc import Sequence
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course_utils.core.files import printable
from course_utils.grading.submissions.contents import (
    ARCHIVE,
    GIVEN_OUT,
    LEDGER_FILE,
    LEDGER_NAME,
    NOTEBOOK,
    OURS,
    Item,
    fingerprint,
    items_of,
    notebooks_of,
    read_ledgers,
)
from course_utils.grading.submissions.find import Submission, SubmittedFile, is_named_like_a_notebook, read_plain
from course_utils.grading.submissions.ignored_files import is_clutter
from course_utils.grading.submissions.read_notebook import Unreadable, read_cells
from course_utils.grading.submissions.repair import Repaired, is_answer, is_as_given_out, name_of, plain_text, repair
from course_utils.grading.submissions.timestamps import NotATime, read_time, utc_text

__all__ = ["LEDGER", "IngestedSubmission", "fingerprint", "lost_ledgers", "placeholder_notebook", "ingest"]

LEDGER = "evidence.jsonl"
KEPT_ENDS = (".png", ".jpg", ".jpeg", ".csv", ".txt")  # what may lie beside a graded notebook: none of it can act
MAX_EXCERPT_CHARACTERS = 4000  # characters
UPLOAD_NUMBER = re.compile(r"(?:-| \()(\d{1,3})\)?\.ipynb")  # of Canvas, for a second upload; of a browser


@dataclasses.dataclass
class IngestedSubmission:
    """An ingested submission, ready to be graded.

    Parameters
    ----------
    submission : Submission
    notebook : NotebookNode
        Whole; where nothing could be read, the one that was given out with a note at its head.
    name : str
        Of the file that it was; "" where there was none that could be read.
    files : list of dict
        Every file, whether it is kept beside the notebook, and if not, why.
    repairs : list of str
    doubts : list of str
        Why a person must look at it.
    notes : list of str
        What may explain lost points, if any are lost.
    is_readable : bool
    is_untouched : bool
        Nothing was written into it.
    kept : dict of str to bytes
        What is kept beside it.
    given_out : NotebookNode
        The assignment as students got it.
    """

    submission: Submission
    notebook: NotebookNode
    name: str = ""
    files: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    repairs: list[str] = dataclasses.field(default_factory=list)
    doubts: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    is_readable: bool = True
    is_untouched: bool = False
    kept: dict[str, bytes] = dataclasses.field(default_factory=dict)
    given_out: NotebookNode | None = None


def ingest(
    submission: Submission,
    reference: NotebookNode,
    zone: str = "UTC",
    released: datetime.datetime | None = None,
) -> IngestedSubmission:
    """Read a submission; whatever it is, something comes back that can be graded or looked at.

    Parameters
    ----------
    submission : Submission
    reference : NotebookNode
        The assignment as it was given out.
    zone : str
        The course's time zone, for a time of submission that names none.
    released : datetime, optional
        When the assignment was given out first, with a zone.
    """
    items = items_of(submission.folder)
    notebooks = notebooks_of(items)
    chosen, notes, doubts = _choose(submission, notebooks, reference)
    doubts = [*submission.arrival.why, *_left_behind(submission), *doubts, *_unread_archives(items)]
    ingested = IngestedSubmission(submission, reference, repairs=notes, doubts=doubts, given_out=reference)
    if chosen is None:
        ingested.is_readable = False
        ingested.notebook = placeholder_notebook(reference, doubts, items)
    else:
        ingested.notebook, ingested.name = chosen.repaired.notebook, printable(chosen.item.name)
        ingested.repairs = [*notes, *chosen.repaired.changes]
        ingested.doubts = [*doubts, *chosen.repaired.doubts]
        ingested.notes = list(chosen.repaired.notes)
        ingested.is_untouched = chosen.is_untouched
        if ingested.is_untouched and (others := _other_files(chosen.item, items)):
            listed = ", ".join(map(printable, others[:5]))
            ingested.doubts.append(
                f"Nothing was written into the notebook; the work may be in what came with it: {listed}."
            )
    ledgers = read_ledgers(items)
    ingested.repairs += ledgers.notes
    ingested.doubts += ledgers.doubts
    if ledgers.files:
        ingested.kept[LEDGER] = ledgers.content
    _list_files(ingested, items, chosen.item if chosen else None, ledgers.files)
    _check_time(ingested, zone, released)
    return ingested


def lost_ledgers(ingested: IngestedSubmission) -> list[str]:
    """Return, a sentence each, files that seem to be a ledger and could not be ingested for one."""
    if LEDGER in ingested.kept:
        return []
    like = [file for file in ingested.files if LEDGER_NAME.search(file["name"]) and file["why"]]
    return [f"{file['name']} may be the ledger, and was not read: {file['why']}." for file in like]


# -- which file --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A notebook of a submission, made whole, with what decides which of several is graded."""

    item: Item
    repaired: Repaired
    is_untouched: bool
    answers: dict[str, str]  # written ones only
    is_named: bool

    @property
    def rank(self) -> tuple[bool, int, int, int, bool, int, str]:
        """Return by what notebooks are compared: work in it, answers, cells of the assignment, the later upload."""
        has_work = self.repaired.n_matched > 0 and not self.is_untouched
        number = UPLOAD_NUMBER.search(self.item.base)
        later = int(number[1]) if number else 0
        depth = self.item.name.count("/")
        return has_work, len(self.answers), self.repaired.n_matched, later, self.is_named, -depth, self.item.name


def _choose(
    submission: Submission, notebooks: Sequence[Item], reference: NotebookNode
) -> tuple[_Candidate | None, list[str], list[str]]:
    """Return the notebook that is graded, what is said about the choice, and why a person must look at it."""
    tried, doubts = [], []
    for item in notebooks:
        content = item.read()
        if item.why_not:
            doubts.append(f"{printable(item.name)} was not read: {item.why_not}.")
            continue
        try:
            cells = read_cells(content)
        except Unreadable as why:
            doubts.append(f"{printable(item.name)} could not be read: {why}.")
            continue
        repaired = repair(cells.cells, reference)
        lost = [] if cells.is_whole else [f"{printable(item.name)} is damaged; text may be lost. {_where(cells.notes)}"]
        repaired = dataclasses.replace(
            repaired, changes=(*cells.notes, *repaired.changes), doubts=(*map(str.strip, lost), *repaired.doubts)
        )
        is_untouched = cells.is_whole and is_as_given_out(repaired.notebook, reference)
        answers, is_named = _written(repaired.notebook, reference), item.name == f"{submission.assignment}.ipynb"
        tried.append(_Candidate(item, repaired, is_untouched, answers, is_named))
    if not tried:
        return None, [], doubts or ["No notebook was handed in."]
    best, *others = sorted(tried, key=lambda candidate: candidate.rank, reverse=True)
    notes = [] if best.is_named else [f"The notebook was called {printable(best.item.name)}."]
    if others:
        notes.append(_why_this_one(best, others))
        different = [candidate for candidate in others if candidate.answers and candidate.answers != best.answers]
        if different:
            choice = _why_this_one(best, different)
            doubts.append(f"{1 + len(different)} notebooks hold different answers. {choice} See which is meant.")
    if best.item.is_clutter:
        doubts.append(f"Only a copy that an editor had made was there: {printable(best.item.name)}.")
    if best.repaired.n_matched == 0:
        doubts.append("It holds none of the assignment's cells: it may be another notebook.")
    return best, notes, doubts


def _why_this_one(best: _Candidate, others: Sequence[_Candidate]) -> str:
    listed = ", ".join(f"{printable(candidate.item.name)} with {len(candidate.answers)}" for candidate in others[:5])
    return f"Graded was {printable(best.item.name)} with {len(best.answers)} answers; kept beside it: {listed}."


def _written(notebook: NotebookNode, reference: NotebookNode) -> dict[str, str]:
    """Return the answers that are not as they were given out, by their names."""
    given = {name_of(cell): plain_text(cell.source) for cell in reference.cells if is_answer(cell)}
    found = {name_of(cell): plain_text(cell.source) for cell in notebook.cells if name_of(cell) in given}
    return {name: text for name, text in found.items() if text and text != given[name]}


def _where(notes: Sequence[str]) -> str:
    return " ".join(note for note in notes if note.startswith("The file is damaged in"))[:300]


def _other_files(chosen: Item, items: Sequence[Item]) -> list[str]:
    """Return the names of files that may be work, besides the notebook that was chosen."""
    return [item.base for item in items if item is not chosen and not item.is_clutter and not _is_expected(item)]


def _is_expected(item: Item) -> bool:
    return item.name in (*OURS, *GIVEN_OUT) or item.kind == LEDGER_FILE


def _left_behind(submission: Submission) -> list[str]:
    """Say which files that may be the work were not copied when the submission was collected."""
    may_be_work = re.compile(r"(?i)ipynb|\.json|\.zip|\.gz|evidence|…")
    left = [
        (name, why) for name, _, why in submission.arrival.left if may_be_work.search(name) and not is_clutter(name)
    ]
    return [f"{printable(name)} was not read: {why}." for name, why in left]


def _unread_archives(items: Sequence[Item]) -> list[str]:
    return [
        f"{printable(item.name)} was not read: {item.why_not}."
        for item in items
        if item.kind == ARCHIVE and item.why_not
    ]


# -- what else came ----------------------------------------------------------------------------------------------------


def _list_files(
    ingested: IngestedSubmission, items: Sequence[Item], chosen: Item | None, ledgers: Sequence[Item]
) -> None:
    """List every file, and keep beside the notebook what may lie there."""
    for item in items:
        why = item.why_not or _why_left(item, chosen, ledgers)
        if not why and item is not chosen and item not in ledgers:
            content = item.read()
            why = item.why_not
            if not why:
                ingested.kept.setdefault(item.base, content)
        ingested.files.append({"name": printable(item.name), "bytes": item.n_bytes, "kept": not why, "why": why})
    for name, n_bytes, why in ingested.submission.arrival.left:
        ingested.files.append({"name": printable(name), "bytes": n_bytes, "kept": False, "why": why})


def _why_left(item: Item, chosen: Item | None, ledgers: Sequence[Item]) -> str:
    """Return why a file is not kept beside the graded notebook; it stays in the submission in any case."""
    if item is chosen or item in ledgers:
        return ""
    if item.is_clutter:
        return "a system or an editor made it: it is no part of the work"
    folder = chosen.name[: chosen.name.rfind("/") + 1] if chosen and isinstance(chosen.source, SubmittedFile) else ""
    beside = "/" not in item.name or "/" not in item.name.removeprefix(folder)
    if item.base in OURS:
        return "" if beside and isinstance(item.source, SubmittedFile) else "only the time that nbgrader wrote counts"
    if item.name in GIVEN_OUT:
        return "it was given out with the assignment"
    if item.kind == ARCHIVE:
        return "it was unpacked: its files are listed by themselves"
    is_plain = item.kind not in (NOTEBOOK, LEDGER_FILE) and item.name.lower().endswith(KEPT_ENDS)
    return "" if is_plain and beside else "only its name is told to graders"


def _check_time(ingested: IngestedSubmission, zone: str, released: datetime.datetime | None) -> None:
    """Keep the time of submission in nbgrader's own form; a time that cannot be is for a person."""
    if (written := ingested.kept.pop("timestamp.txt", None)) is None:
        return
    try:
        ingested.kept["timestamp.txt"] = utc_text(read_time(written, zone, released=released)).encode()
    except NotATime as why:
        notice = f"The time of submission does not count: {why}."
        ingested.doubts.append(f"{notice} Whether it is late is for a person to say; nothing is deducted.")


def placeholder_notebook(
    reference: NotebookNode, doubts: list[str], files: Sequence[SubmittedFile | Item]
) -> NotebookNode:
    """Return the assignment as it was given out, with what is known of the submission at its head.

    Parameters
    ----------
    reference : NotebookNode
    doubts : list of str
        Why it stands in the submission's place.
    files : sequence of SubmittedFile or Item
    """
    listed = "\n".join(f"- `{printable(file.name)}`, {file.n_bytes:,} bytes" for file in files) or "- no file at all"
    reasons = "\n".join(f"- {doubt}" for doubt in doubts)
    head = "**This submission could not be read.** The original lies untouched in `submitted`."
    head = f"{head}\n\n{reasons}\n\nIt holds:\n\n{listed}"
    cells = [new_markdown_cell(head, id="could-not-be-read")]
    for file in files:
        if is_named_like_a_notebook(file.name) and not file.why_not and (text := _excerpt(_beginning(file))):
            cells.append(new_markdown_cell(f"The beginning of `{printable(file.name)}`:\n\n{text}"))
    made = NotebookNode(reference.copy())
    made.cells = cells[:4] + list(reference.cells)
    return made


def _beginning(file: SubmittedFile | Item) -> bytes:
    try:
        return file.beginning() if isinstance(file, Item) else read_plain(file.path, 4 * MAX_EXCERPT_CHARACTERS)
    except OSError:
        return b""


def _excerpt(content: bytes) -> str:
    """Return the beginning of a file as an indented block, if it is text."""
    text = content[: 4 * MAX_EXCERPT_CHARACTERS].decode("utf-8", "replace")[:MAX_EXCERPT_CHARACTERS]
    odd = sum(not (c.isprintable() or c in "\n\t") or c == "\ufffd" for c in text)
    return "" if not text.strip() or odd > len(text) / 10 else "\n".join(f"    {line}" for line in text.splitlines())
