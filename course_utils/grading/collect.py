"""Submissions fetched from the exchange folder: the newest of each student, whole or not at all, none written over."""

import datetime
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from course_utils.errors import TextError
from course_utils.grading.course import Course
from course_utils.grading.marks import write_whole
from course_utils.grading.submissions import copy_plain, safe_id, shown

NAME = re.compile(
    r"(?P<student>.*)\+(?P<assignment>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d [\d:.]+ [^+]+?)(\+[^+]*)?", re.DOTALL
)
TIME, SECRET = "timestamp.txt", "submission_secret.txt"
Say = Callable[[str], object]


def collect(course: Course, assignment: str, say: Say = print) -> list[str]:
    """Copy the newest submission of every student out of the exchange; return whose are new here.

    Parameters
    ----------
    course : Course
    assignment : str
    say : callable
        Told a line about each, and about whatever lies there and is no submission.

    Raises
    ------
    TextError
        There is no exchange folder yet.

    Notes
    -----
    What lies in the exchange is not changed. A submission that a newer one takes the place of is moved to ``earlier``.
    """
    inbound = course.own_exchange / "inbound"
    if not inbound.is_dir():
        raise TextError(f"{inbound} is not there.", "The folder into which students submit.", "make release")
    newest: dict[str, tuple[datetime.datetime, Path]] = {}
    for folder in sorted(inbound.iterdir()):
        found = _read_name(folder.name)
        if found is None or folder.is_symlink() or not folder.is_dir():
            say(f"Left alone: {shown(folder.name)} is no submission.")
            continue
        student, of, time = found
        if not (course.root / "source" / of).is_dir():
            say(f"Left alone: {shown(folder.name)} is of no assignment of this course.")
        elif of == assignment and (student not in newest or time > newest[student][0]):
            newest[student] = (time, folder)
    new = [
        student for student, (time, folder) in newest.items() if _take(course, student, assignment, time, folder, say)
    ]
    say(f"{assignment}: {len(newest)} in the exchange, {len(new)} new.")
    return new


def _read_name(name: str) -> tuple[str, str, datetime.datetime] | None:
    """Return student, assignment and time from the name that nbgrader gives a submission."""
    from nbgrader.utils import parse_utc

    found = NAME.fullmatch(name)
    try:
        return (_folder_of(found["student"]), found["assignment"], parse_utc(found["time"])) if found else None
    except (ValueError, OverflowError):
        return None


def _folder_of(student: str) -> str:
    """Return the name of a student's folder: their own, where a folder can have it."""
    return student if student.strip(". ") and len(os.fsencode(student)) <= 200 else safe_id(student)


def _take(course: Course, student: str, assignment: str, time: datetime.datetime, folder: Path, say: Say) -> bool:
    """Copy one submission, unless it is here already; return whether it was copied."""
    there = course.folder("submitted", student, assignment)
    mark = there / TIME
    if there.is_dir() and mark.is_file() and mark.read_text("utf-8", "replace").strip() == _told(time):
        return False
    new = there.with_name(f".{assignment}.{secrets.token_hex(4)}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for left_out in copy_plain(folder, new):
        say(f"{student}: {shown(left_out.name)} was left in the exchange: {left_out.why_not}.")
    write_whole(new / TIME, _told(time))
    if there.exists():
        earlier = course.folder("earlier", student, assignment)
        earlier.mkdir(parents=True, exist_ok=True)
        os.replace(there, earlier / f"until {datetime.datetime.now():%Y-%m-%d %H%M%S} {secrets.token_hex(2)}")
    os.replace(new, there)
    say(f"{student}: handed in {_told(time)}")
    return True


def _told(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S.%f} UTC"
