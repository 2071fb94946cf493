"""A submission taken in: which of its files is the notebook, what it holds, and what else came with it."""

import dataclasses
import datetime
import hashlib
import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course_utils.grading.notebooks import Unreadable, read_cells
from course_utils.grading.repair import Repaired, repair
from course_utils.grading.submissions import Found, Submission, files_of, looks_like_a_notebook, read_plain, shown

LEDGER = "evidence.jsonl"
CHECKPOINTS = ".ipynb_checkpoints/"
NBGRADERS = ("timestamp.txt", "submission_secret.txt")
KEPT_ENDS = (".png", ".jpg", ".jpeg", ".csv", ".txt")  # what may lie beside a graded notebook: none of it can act
GIVEN_OUT = ("rubric.yaml", "rubric.html")
LONGEST_EXCERPT = 4000  # characters


@dataclasses.dataclass
class Taken:
    """A submission, ready to be graded.

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
    files: list[dict] = dataclasses.field(default_factory=list)
    repairs: list[str] = dataclasses.field(default_factory=list)
    doubts: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    is_readable: bool = True
    is_untouched: bool = False
    kept: dict[str, bytes] = dataclasses.field(default_factory=dict)
    given_out: NotebookNode | None = None


def fingerprint(folder: Path) -> str:
    """Return a hash of all that was handed in, names and bytes."""
    digest = hashlib.sha256()
    for file in files_of(folder):
        content = b"" if file.why_not else _bytes(file)
        parts = (
            file.name.encode("utf-8", "surrogateescape"),
            file.why_not.encode(),
            str(len(content)).encode(),
            content,
        )
        for part in parts:
            digest.update(part + b"\0")
    return digest.hexdigest()


def take_in(submission: Submission, reference: NotebookNode) -> Taken:
    """Read a submission; whatever it is, something comes back that can be graded or looked at.

    Parameters
    ----------
    submission : Submission
    reference : NotebookNode
        The assignment as it was given out.
    """
    files = files_of(submission.folder)
    chosen, repaired, doubts = _choose(submission, files, reference)
    taken = Taken(submission, reference, doubts=doubts, given_out=reference)
    if repaired is None:
        taken.is_readable = False
        taken.notebook = stand_in(reference, doubts, files)
    else:
        taken.notebook, taken.name = repaired.notebook, shown(chosen)
        taken.repairs, taken.doubts = list(repaired.told), [*doubts, *repaired.doubts]
        taken.notes = list(repaired.notes)
        taken.is_untouched = _is_untouched(repaired.notebook, reference)
    ledger = _ledger_among(files)
    for file in files:
        why = file.why_not or ("" if file is ledger else _why_left(file, chosen))
        if not why:
            taken.kept[LEDGER if file is ledger else _kept_as(file)] = _bytes(file)
        taken.files.append({"name": shown(file.name), "bytes": file.n_bytes, "kept": not why, "why": why})
    _check_time(taken)
    return taken


def lost_ledgers(taken: Taken) -> list[str]:
    """Return, a sentence each, files that seem to be a ledger and could not be taken for one."""
    if LEDGER in taken.kept:
        return []
    like = [file for file in taken.files if re.search(r"(?i)evidence[^/]*\.jsonl", file["name"])]
    return [
        f"{file['name']} may be the ledger, and was not read: {file['why'] or 'it is not one of one'}." for file in like
    ]


def _ledger_among(files: list[Found]) -> Found | None:
    """Return the file that is the ledger: the one of that name, or the only one that is nearly called so."""
    named = [each for each in files if each.name == LEDGER]
    like = [each for each in files if re.search(r"(?i)(?:^|/)evidence[^/]*\.jsonl$", each.name) and not each.why_not]
    return named[0] if named else like[0] if len(like) == 1 else None


# -- which file --------------------------------------------------------------------------------------------------------


def _choose(
    submission: Submission, files: list[Found], reference: NotebookNode
) -> tuple[str, Repaired | None, list[str]]:
    """Return the name of the notebook's file, the notebook made whole, and what is doubtful about it."""
    tried, doubts = [], []
    notebooks = [each for each in files if looks_like_a_notebook(each.name)]
    saved = [each for each in notebooks if CHECKPOINTS not in each.name]
    for file in saved or notebooks:  # what Jupyter keeps beside a notebook counts only where that one is gone
        if file.why_not:
            doubts.append(f"{shown(file.name)} was not read: {file.why_not}.")
            continue
        try:
            cells = read_cells(_bytes(file))
        except Unreadable as why:
            doubts.append(f"{shown(file.name)} could not be read: {why}.")
            continue
        repaired = repair(cells.cells, reference)
        lost = [] if cells.is_whole else [f"{shown(file.name)} is damaged; text may be lost."]
        repaired = dataclasses.replace(repaired, told=(*cells.told, *repaired.told), doubts=(*lost, *repaired.doubts))
        tried.append((_rank(file, repaired, submission, reference), file.name, repaired))
    if not tried:
        return "", None, doubts or ["No notebook was handed in."]
    (_, name, best), *others = sorted(tried, key=lambda each: each[0], reverse=True)
    if name != f"{submission.assignment}.ipynb":
        doubts.append(f"The notebook graded is {shown(name)}: there was none, or an empty one, of the expected name.")
    if others and _differs(best, others[0][2]):
        doubts.append(f"Of {len(tried)} notebooks {shown(name)} was graded; see also {shown(others[0][1])}.")
    if best.n_matched == 0:
        doubts.append("It holds none of the assignment's cells: it may be another notebook.")
    return name, best, doubts


def _rank(file: Found, repaired: Repaired, submission: Submission, reference: NotebookNode) -> tuple:
    """Return by what notebooks are compared: work in it, cells of the assignment, the expected name, its place."""
    is_named = file.name == f"{submission.assignment}.ipynb"
    has_work = repaired.n_matched > 0 and not _is_untouched(repaired.notebook, reference)
    return has_work, is_named, repaired.n_matched, -file.name.count("/"), file.name


def _differs(one: Repaired, other: Repaired) -> bool:
    return [cell.source for cell in one.notebook.cells] != [cell.source for cell in other.notebook.cells]


def _is_untouched(notebook: NotebookNode, reference: NotebookNode) -> bool:
    return [cell.source.strip() for cell in notebook.cells] == [cell.source.strip() for cell in reference.cells]


# -- what else came ----------------------------------------------------------------------------------------------------


def _why_left(file: Found, chosen: str) -> str:
    """Return why a file is not kept beside the graded notebook; it stays in the submission in any case."""
    if file.name == chosen:
        return ""
    if file.name.rpartition("/")[2] in (LEDGER, *NBGRADERS) and "/" not in file.name.removeprefix(_folder(chosen)):
        return ""
    if file.name in GIVEN_OUT:
        return "it was given out with the assignment"
    return "" if file.name.lower().endswith(KEPT_ENDS) and "/" not in file.name else "only its name is told to graders"


def _folder(name: str) -> str:
    return name[: name.rfind("/") + 1]


def _kept_as(file: Found) -> str:
    return file.name.rpartition("/")[2]


def _check_time(taken: Taken) -> None:
    """Keep a time of submission only if it is one; nbgrader would stop at any other."""
    from nbgrader.utils import parse_utc

    if (written := taken.kept.pop("timestamp.txt", None)) is None:
        return
    try:
        time = parse_utc(written.decode("utf-8").strip())
        if not isinstance(time, datetime.datetime) or abs(time.year - 2050) > 80:
            raise ValueError
        taken.kept["timestamp.txt"] = written
    except (ValueError, OverflowError, TypeError, UnicodeDecodeError):
        taken.doubts.append("The time of submission cannot be read, so whether it is late is for a person to say.")


def _bytes(file: Found) -> bytes:
    try:
        return read_plain(file.path)
    except OSError:
        return b""


def stand_in(reference: NotebookNode, doubts: list[str], files: list[Found]) -> NotebookNode:
    """Return the assignment as it was given out, with what is known of the submission at its head.

    Parameters
    ----------
    reference : NotebookNode
    doubts : list of str
        Why it stands in the submission's place.
    files : list of Found
    """
    listed = "\n".join(f"- `{shown(file.name)}`, {file.n_bytes:,} bytes" for file in files) or "- no file at all"
    told = "\n".join(f"- {doubt}" for doubt in doubts)
    head = "**This submission could not be read.** The original lies untouched in `submitted`."
    head = f"{head}\n\n{told}\n\nIt holds:\n\n{listed}"
    cells = [new_markdown_cell(head, id="could-not-be-read")]
    for file in files:
        if looks_like_a_notebook(file.name) and not file.why_not and (text := _excerpt(_bytes(file))):
            cells.append(new_markdown_cell(f"The beginning of `{shown(file.name)}`:\n\n{text}"))
    made = NotebookNode(reference.copy())
    made.cells = cells[:4] + list(reference.cells)
    return made


def _excerpt(content: bytes) -> str:
    """Return the beginning of a file as an indented block, if it is text."""
    text = content[: 4 * LONGEST_EXCERPT].decode("utf-8", "replace")[:LONGEST_EXCERPT]
    odd = sum(not (c.isprintable() or c in "\n\t") or c == "\ufffd" for c in text)
    return "" if not text.strip() or odd > len(text) / 10 else "\n".join(f"    {line}" for line in text.splitlines())
