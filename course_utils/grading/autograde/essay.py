"""Examination of an essay in a sandboxed process that can read the models and the submission only."""

import errno
import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course_utils.core.files import no_space, replace_file
from course_utils.core.paths import cache_folder, course_models_folder, own_models_folder
from course_utils.evidence.essay.essay import n_words, read_essay
from course_utils.grading.assignments.rubric import NAME, load_rubric
from course_utils.grading.autograde import essay_worker
from course_utils.grading.course.course import Course
from course_utils.grading.marking import sample_essays
from course_utils.grading.sandbox.sandbox import Limits, run, sandbox_command, sandbox_problem
from course_utils.grading.submissions.ingest import LEDGER, IngestedSubmission, lost_ledgers
from course_utils.grading.submissions.repair import name_of

MIN_FREE_MB = 20  # on a disk: with less, a failure is the disk's
MANY_WORDS = 60  # fewer are a note, a heading or a line of thanks
LIMITS = Limits(seconds=420, cpu_seconds=800, memory_mb=6000)
CACHE = Path("/tmp/cache")  # in the box: the course writes there what nobody needs afterwards


def examine_essay(
    course: Course, ingested: IngestedSubmission, n_again: int, folder: Path, why: list[str]
) -> dict[str, Any]:
    """Examine an essay in a process of its own, in a sandbox where there is one.

    Parameters
    ----------
    course : Course
    ingested : IngestedSubmission
    n_again : int
        How many of the records that it cites are done again.
    place : Path
        An empty folder.
    why : list of str
        Why a person must look at it: what is found out here is added.

    Returns
    -------
    dict
        essay, ledger and evidence, as a report holds them.
    """
    submission = ingested.submission
    work = folder / "essay"
    replace_file(work / essay_worker.NOTEBOOK, nbformat.writes(ingested.notebook))
    if LEDGER in ingested.kept:
        replace_file(work / essay_worker.LEDGER, ingested.kept[LEDGER])
    rubric = load_rubric(course.source(submission.assignment).parent / NAME)
    asked = {"n_again": n_again, "words": rubric.words, "seed": secrets.randbits(32)}
    replace_file(work / essay_worker.ASKED, json.dumps(asked))
    line = [sys.executable, "-m", essay_worker.__name__, str(work)]
    read, variables = model_folders()
    boxed = not sandbox_problem()
    outcome = run(
        sandbox_command(line, work, read, variables=variables, hidden=[sample_essays.FOLDER]) if boxed else line,
        work, LIMITS,
        variables=None if boxed else {"COURSE_LEDGER": ""},
    )  # fmt: skip
    found = _found(work)
    if outcome.why or outcome.code or not found:
        require_room(work)
        reason = outcome.why or (outcome.printed.strip().splitlines() or ["it ended without a word"])[-1][:300]
        why.append(f"Its examination was not finished: {reason}.")
    elif found["ledger"]["status"] == "tampered":
        why.append(f"Its ledger is not as the course wrote it: {found['ledger']['why']}")
    if lost := lost_ledgers(ingested):
        found["ledger"] = {"status": "too large", "n_records": 0, "why": " ".join(lost)[:500]}
        why.extend(lost)
    why.extend(_words_elsewhere(ingested, found))
    _keep_pictures(found, work, course.folder("reports", submission.student, submission.assignment))
    return found


def require_room(folder: Path) -> None:
    """Refuse to blame a submission where the disk of a folder is full.

    Raises
    ------
    NoSpace
    """
    if shutil.disk_usage(folder).free < MIN_FREE_MB * 1e6:
        raise no_space(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "Make room there, then: make grade")


def _words_elsewhere(ingested: IngestedSubmission, found: dict[str, Any]) -> list[str]:
    """Return where an essay's words may be that are in none of its sections."""
    n_inside = (found.get("essay") or {}).get("n_words", 0)
    reasons = []
    n_outside = _n_outside(ingested.notebook) - _n_outside(ingested.given_out) - sum(map(n_words, _texts(ingested)))
    if n_outside > MANY_WORDS:
        reasons.append(
            f"About {n_outside:,} words stand in cells that belong to no section: they are in the notebook only."
        )
    others = [
        file["name"] for file in ingested.files if not file["kept"] and file["bytes"] > 0 and not _is_given_out(file)
    ]
    if n_inside < MANY_WORDS and others:
        reasons.append(
            f"The essay has {n_inside} words; these files came with it and were not read: {', '.join(others[:5])}."
        )
    return reasons


def _n_outside(notebook: NotebookNode | None) -> int:
    """Return how many words stand in cells that are no part of the assignment."""
    return sum(n_words(cell.source) for cell in (notebook.cells if notebook else ()) if not name_of(cell))


def _texts(ingested: IngestedSubmission) -> list[str]:
    """Return what was added to a section in cells of one's own: it is part of that section."""
    essay = read_essay(ingested.notebook)
    answers = {name_of(cell).removeprefix("answer:"): cell.source for cell in ingested.notebook.cells}
    return [section.text.replace(answers.get(section.key, ""), "", 1) for section in essay.sections]


def _is_given_out(file: dict[str, Any]) -> bool:
    return bool(file["why"] == "it was given out with the assignment")


def _keep_pictures(found: dict[str, Any], work: Path, folder: Path) -> None:
    """Put the records' pictures beside the report; the report itself stays until a new one takes its place."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for evidence in found.get("evidence", ()):
        if evidence["picture"]:
            shutil.copyfile(work / Path(evidence["picture"]).name, folder / Path(evidence["picture"]).name)


def _found(work: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((work / essay_worker.FOUND).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def model_folders() -> tuple[list[Path | tuple[Path, Path]], dict[str, str]]:
    """Return which folders a box reads, and the variables that tell the course where they are in it."""
    read: list[Path | tuple[Path, Path]] = []
    variables = {"COURSE_CACHE": str(CACHE)}
    for name in ("models", "texts", "wheels"):
        if (cache_folder() / name).is_dir():
            read.append(((cache_folder() / name).resolve(), CACHE / name))
    for folder in (course_models_folder(), own_models_folder()):
        if folder and folder.is_dir():
            read.append((folder.resolve(), folder))
    if own := own_models_folder():
        variables["COURSE_MODELS"] = str(own)
    elif "COURSE_MODELS" in os.environ:
        variables["COURSE_MODELS"] = os.environ["COURSE_MODELS"]
    return read, variables
