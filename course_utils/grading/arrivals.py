"""Notes on how submissions arrived: files that were left behind, an owner that does not fit, a time that cannot be.

`collect` and the import of a learning platform's files write them. They lie in ``arrivals`` and not beside the
submission: there a student might write one.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from course_utils.core.files import replace_file
from course_utils.grading.course import Course

FOLDER = "arrivals"
MAX_REASONS, MAX_REASON = 20, 600  # sentences; characters of one


def write_arrival(course: Course, student: str, assignment: str, why: Sequence[str], **facts: object) -> None:
    """Write why a person must look at how a submission arrived, and what else is known of it.

    Parameters
    ----------
    course : Course
    student : str
        The name of the folder in ``submitted``.
    assignment : str
    why : sequence of str
        Sentences; none where nothing was odd.
    facts
        Plain values by name, such as the system user who owned the files.

    Raises
    ------
    NoSpace
        The note cannot be written.
    """
    note = {"why": [str(each)[:MAX_REASON] for each in list(why)[:MAX_REASONS]], **facts}
    replace_file(_file(course, student, assignment), json.dumps(note, indent=1))


def read_note(course: Course, student: str, assignment: str) -> dict[str, object]:
    """Return all that was written about an arrival; empty where nothing was."""
    try:
        found = json.loads(_file(course, student, assignment).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_arrival(course: Course, student: str, assignment: str) -> tuple[str, ...]:
    """Return why a person must look at how a submission arrived, in sentences."""
    why = read_note(course, student, assignment).get("why")
    return tuple(each for each in why if isinstance(each, str)) if isinstance(why, list) else ()


def _file(course: Course, student: str, assignment: str) -> Path:
    return course.folder(FOLDER, student) / f"{assignment}.json"
