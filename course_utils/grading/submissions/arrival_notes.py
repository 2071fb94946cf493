"""Arrival notes of submissions: files left behind, an owner that does not fit, a time that cannot be right.

`collect` and the import of a learning platform's files write them. They lie in ``submitted/.arrivals`` and not beside
the submission: there a student might write one.
"""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.core.files import replace_file
from course_utils.grading.course.course import Course

FOLDER = ".arrivals"  # no student's folder begins with a point
MAX_REASONS, MAX_REASON = 20, 600  # sentences; characters of one


@dataclasses.dataclass(frozen=True)
class Arrival:
    """How a submission arrived.

    Parameters
    ----------
    why : tuple of str
        Why a person must look at it, in sentences.
    left : tuple of (str, int, str)
        Files that were not copied: name, bytes, and why.
    """

    why: tuple[str, ...] = ()
    left: tuple[tuple[str, int, str], ...] = ()


def write_arrival(
    course: Course,
    student: str,
    assignment: str,
    why: Sequence[str],
    left: Sequence[Mapping[str, object]] = (),
    **facts: object,
) -> None:
    """Write why a person must look at how a submission arrived, and what else is known of it.

    Parameters
    ----------
    course : Course
    student : str
        The name of the folder in ``submitted``.
    assignment : str
    why : sequence of str
        Sentences; none where nothing was odd.
    left : sequence of mapping
        Files that were not copied: name, bytes and why of each.
    facts
        Plain values by name, such as the system user who owned the files.

    Raises
    ------
    NoSpace
        The note cannot be written.
    """
    note = {"why": [str(reason)[:MAX_REASON] for reason in list(why)[:MAX_REASONS]], "left": list(left), **facts}
    replace_file(_file(course, student, assignment), json.dumps(note, indent=1))


def read_note(course: Course, student: str, assignment: str) -> dict[str, Any]:
    """Return all that was written about an arrival; empty where nothing was."""
    try:
        found = json.loads(_file(course, student, assignment).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_arrival(course: Course, student: str, assignment: str) -> Arrival:
    """Return how a submission arrived, as far as it matters for the grader."""
    note = read_note(course, student, assignment)
    why, left = note.get("why"), note.get("left")
    sentences = tuple(reason for reason in why if isinstance(reason, str)) if isinstance(why, list) else ()
    files = [file for file in left if isinstance(file, dict)] if isinstance(left, list) else []
    return Arrival(sentences, tuple((str(file.get("name")), _size(file), str(file.get("why"))) for file in files))


def _size(file: Mapping[str, object]) -> int:
    size = file.get("bytes")
    return size if isinstance(size, int) else 0


def note_release(course: Course, assignment: str) -> None:
    """Remember when an assignment was given out first; a submission cannot be older."""
    file = _release_file(course, assignment)
    if not file.exists():
        replace_file(file, datetime.datetime.now(datetime.UTC).isoformat())


def release_time(course: Course, assignment: str) -> datetime.datetime | None:
    """Return when an assignment was given out first, if it is due after that; None where that is not known.

    Without a due date nothing depends on a time. A due date before the release is one of an earlier term.
    """
    from nbgrader.api import MissingEntry

    released = _first_release(course, assignment)
    if released is None:
        return None
    with course.gradebook() as gradebook:
        try:
            due = gradebook.find_assignment(assignment).duedate
        except MissingEntry:
            return None
    return released if due and due.replace(tzinfo=datetime.UTC) > released else None


def _first_release(course: Course, assignment: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(_release_file(course, assignment).read_text("utf-8").strip())
    except (OSError, ValueError):
        return None
    return found if found.tzinfo else None


def _release_file(course: Course, assignment: str) -> Path:
    return course.folder("submitted", FOLDER) / f"{assignment}.released.txt"


def _file(course: Course, student: str, assignment: str) -> Path:
    return course.folder("submitted", FOLDER) / f"{student}+{assignment}.json"
