"""Collection of submissions from the exchange: the newest of each student, whole or not at all, none overwritten."""

import collections
import dataclasses
import datetime
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from course_utils.core.files import printable, replace_file, write_errors
from course_utils.errors import TextError
from course_utils.grading.course.course import Course
from course_utils.grading.submissions.arrival_notes import read_note, release_time, write_arrival
from course_utils.grading.submissions.find import SubmittedFile, copy_plain, is_link_or_device, safe_id
from course_utils.grading.submissions.timestamps import NotATime, course_zone, read_time, utc_text

if sys.platform != "win32":
    import pwd

TIME, SECRET = "timestamp.txt", "submission_secret.txt"
OF_NO_COURSE = re.compile(r"[^+].*\+[^+]+\+\d{4}-\d\d-\d\d .*", re.DOTALL)
AN_OFFSET = re.compile(r"\d{1,2}(?::?\d\d)?", re.ASCII)  # of a zone; what nbgrader adds to a name is 12 characters long
MAX_MARK_BYTES = 1000
MIN_SHARE_OF_COLLECTOR = 0.5  # the share of the students from which on one system user is the one who hands in for all
Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Handed:
    """A submission in the exchange.

    Parameters
    ----------
    folder : Path
    student : str
        The name of its folder in ``submitted``.
    assignment : str
    time : datetime.datetime or None
        In UTC; None where it cannot be read.
    why_no_time : str
    raw_time : str
        As it was written.
    uid : int or None
        The system user who owns the folder; None where the system knows none.
    other_files : tuple of str
        Files in it that belong to somebody else.
    """

    folder: Path
    student: str
    assignment: str
    time: datetime.datetime | None
    why_no_time: str = ""
    raw_time: str = ""
    uid: int | None = None
    other_files: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[bool, datetime.datetime, str]:
        """Return by what submissions of one student are sorted: those without a time come first."""
        return self.time is not None, self.time or datetime.datetime.min.replace(tzinfo=datetime.UTC), self.folder.name

    @property
    def told_time(self) -> str:
        """Return its time in words."""
        return utc_text(self.time) if self.time else f"at a time that cannot be read ({self.why_no_time})"


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
    NoSpace
        The disk is full; what was collected before is there still.

    Notes
    -----
    What lies in the exchange is not changed. A submission that a newer one takes the place of is moved to ``earlier``.
    A submission that belongs to another system user than the student's does not take the place of one that does not:
    the student's report says so, and a person decides. ``c.ExchangeCollect.check_owner = False`` turns that off.
    """
    inbound = course.own_exchange / "inbound"
    if not inbound.is_dir():
        raise TextError(
            f"The folder {inbound} does not exist.", "The folder into which students submit.", "make release"
        )
    handed = _handed(course, inbound, say)
    foreign = _foreign(course, handed, inbound)
    of_student: dict[str, list[Handed]] = collections.defaultdict(list)
    for submission in handed:
        if submission.assignment == assignment:
            of_student[submission.student].append(submission)
    new = [student for student in of_student if _collect_one(course, of_student[student], foreign, say)]
    say(f"{assignment}: {len(of_student)} in the exchange, {len(new)} new.")
    return new


def _collect_one(course: Course, handed: Sequence[Handed], foreign: Mapping[Path, str], say: Say) -> bool:
    """Collect the submission of one student that counts; return whether it was copied."""
    *others, newest = sorted(handed, key=lambda submission: (submission.folder not in foreign, *submission.order))
    student, assignment = newest.student, newest.assignment
    there = course.folder("submitted", student, assignment)
    here = time_beside(course, there) if there.is_dir() else None
    is_here = read_note(course, student, assignment).get("from") == newest.folder.name or (here and here == newest.time)
    chosen: Handed | None = newest
    if newest.folder in foreign and there.is_dir() and not is_here:
        others, chosen = [*others, newest], None
    why = [
        _about_foreign(submission, foreign)
        for submission in others
        if submission.folder in foreign and _is_later(submission, chosen, here)
    ]
    why += [
        f"Another submission in this name was handed in {submission.told_time}; {_in_exchange(submission)}"
        for submission in others
        if submission.time is None and submission.folder not in foreign
    ]
    for line in why:
        say(f"{printable(student)}: {line}")
    if chosen is None:
        _note_again(course, student, assignment, why)
        return False
    if chosen.folder in foreign:
        note = f"It was handed in in the name of {printable(student)}, and {foreign[chosen.folder]}."
        say(f"{printable(student)}: {note}")
        why.append(note)
    return _take(course, chosen, why, say)


def _about_foreign(submission: Handed, foreign: Mapping[Path, str]) -> str:
    note = f"Another submission in this name was handed in {submission.told_time}, and {foreign[submission.folder]}."
    return f"{note} It was not taken; {_in_exchange(submission)}"


def _in_exchange(submission: Handed) -> str:
    return f"it lies in the exchange as {printable(submission.folder.name)}."


def _is_later(submission: Handed, chosen: Handed | None, here: datetime.datetime | None) -> bool:
    """Tell whether a submission would count if its owner were right: one that is older than what counts would not."""
    times = [time for time in (chosen.time if chosen else None, here) if time]
    return submission.time is None or not times or submission.time > max(times)


# -- what lies in the exchange -----------------------------------------------------------------------------------------


def _handed(course: Course, inbound: Path, say: Say) -> list[Handed]:
    """Return the submissions of all assignments in the exchange; say what else lies there."""
    assignments = sorted({file.parent.name for file in course.root.glob("source/*/*.ipynb")}, key=len, reverse=True)
    released = {assignment: release_time(course, assignment) for assignment in assignments}
    found = []
    for folder in sorted(inbound.iterdir()):
        if folder.is_symlink() or not folder.is_dir():
            say(f"Left alone: {printable(folder.name)} is no submission.")
        elif (handed := _read_folder(course, folder, released)) is not None:
            found.append(handed)
        elif OF_NO_COURSE.fullmatch(folder.name):
            say(f"Left alone: {printable(folder.name)} is of no assignment of this course.")
        else:
            say(f"Left alone: {printable(folder.name)} is no submission.")
    return found


def _read_folder(course: Course, folder: Path, released: Mapping[str, datetime.datetime | None]) -> Handed | None:
    """Return a submission from the name that nbgrader gave it: STUDENT+ASSIGNMENT+TIME+RANDOM."""
    possible = []
    for assignment in released:
        mark, at = f"+{assignment}+", folder.name.rfind(f"+{assignment}+")
        while at > 0:  # a student's id may have a plus sign too
            possible.append((at, assignment, folder.name[at + len(mark) :]))
            at = folder.name.rfind(mark, 0, at)
    possible = [submission for submission in sorted(possible, reverse=True) if re.search(r"\d", submission[2])]
    if not possible:
        return None
    uid, other_files = _owners(folder)
    why = ""
    for at, assignment, text in possible:
        try:
            time = read_time(_without_random(text), course_zone(course), released=released[assignment])
        except NotATime as problem:
            why = why or str(problem)
        else:
            return Handed(folder, _folder_of(folder.name[:at]), assignment, time, "", text, uid, other_files)
    at, assignment, text = possible[0]
    beside, raw = time_beside(course, folder, released[assignment]), _without_random(text)
    why = "" if beside else why
    return Handed(folder, _folder_of(folder.name[:at]), assignment, beside, why, raw, uid, other_files)


def _without_random(text: str) -> str:
    """Return the time in the name of a submission, without the random letters that nbgrader adds."""
    time, _, last = text.rpartition("+")
    return text if not time or AN_OFFSET.fullmatch(last) else time


def time_beside(course: Course, folder: Path, released: datetime.datetime | None = None) -> datetime.datetime | None:
    """Return the time that lies beside a submission; None where none that can be read does."""
    try:
        with (folder / TIME).open("rb") as file:
            return read_time(file.read(MAX_MARK_BYTES), course_zone(course), released=released)
    except (OSError, NotATime):
        return None


def _folder_of(student: str) -> str:
    """Return the name of a student's folder: their own, where a folder can have it."""
    return student if student.strip(". ") and len(os.fsencode(student)) <= 200 else safe_id(student)


# -- whose it is -------------------------------------------------------------------------------------------------------


def _owners(folder: Path) -> tuple[int | None, tuple[str, ...]]:
    """Return the system user who owns a submission, and files in it that belong to somebody else."""
    if sys.platform == "win32":
        return None, ()
    try:
        uid = folder.stat(follow_symlinks=False).st_uid
        files = [(entry.name, entry.stat(follow_symlinks=False).st_uid) for entry in os.scandir(folder)]
    except OSError:
        return None, ()
    return uid, tuple(name for name, owner in sorted(files) if owner != uid)


def _foreign(course: Course, handed: Sequence[Handed], inbound: Path) -> dict[Path, str]:
    """Return which submissions belong to another system user than their student, and what is to be said of each."""
    if sys.platform == "win32" or not course.config.ExchangeCollect.get("check_owner", True):
        return {}
    trusted = {0, os.geteuid(), inbound.stat().st_uid}  # the collecting user may write there in any case
    before: dict[str, int | None] = {}
    for submission in handed:
        uid = read_note(course, submission.student, submission.assignment).get("uid")
        before.setdefault(submission.student, uid if isinstance(uid, int) else None)
    return foreign_owners(handed, _accounts(course, handed), trusted, before, _account)


def foreign_owners(
    handed: Sequence[Handed],
    accounts: Mapping[str, set[str]],
    trusted: set[int],
    before: Mapping[str, int | None],
    account_of: Callable[[int], str],
) -> dict[Path, str]:
    """Return which submissions belong to a system user who is not their student, and what is to be said of each.

    Parameters
    ----------
    handed : sequence of Handed
        Of all assignments and all students.
    accounts : mapping of str to set of str
        By student, the names that the student's system user may have, in small letters.
    trusted : set of int
        System users who may hand in for anybody.
    before : mapping of str to (int or None)
        By student, who owned the submission that was collected earlier.
    account_of : callable
        Returns the name of a system user; "" where there is none.

    Notes
    -----
    nbgrader compares the name of the owner with the student's id. Where no name is the same at all, because accounts
    are called otherwise or one account hands in for everybody, owners are compared with each other instead: each
    student's are the same, and no two students have the same.
    """
    owned = [(submission, submission.uid) for submission in handed if submission.uid is not None]
    named = {
        submission.folder
        for submission, uid in owned
        if account_of(uid).lower() in accounts.get(submission.student, set())
    }
    students_of: dict[int, set[str]] = collections.defaultdict(set)
    first: dict[str, int] = {}
    for submission, uid in sorted(owned, key=lambda pair: pair[0].order):
        students_of[uid].add(submission.student)
        earlier = before.get(submission.student)
        first.setdefault(submission.student, uid if earlier is None else earlier)
    n_single = sum(len(students) == 1 for students in students_of.values())
    of_first = collections.Counter(first.values())
    common = {uid for uid, n in of_first.items() if n > max(1, MIN_SHARE_OF_COLLECTOR * len(first))}
    found = {}
    for submission, uid in owned:
        who = f"the system user {account_of(uid) or uid}"
        strangers = (
            [name for name in submission.other_files if name not in (TIME, SECRET)]
            if submission.uid not in trusted
            else []
        )
        if strangers and submission.folder in named:
            listed = ", ".join(map(printable, strangers[:5]))
            found[submission.folder] = f"files in it belong to another system user: {listed}"
        if submission.uid in trusted or submission.folder in named or (len(students_of) == 1 and not named):
            continue
        others = sorted(
            student for student, uid in first.items() if uid == submission.uid and student != submission.student
        )
        if named:
            found[submission.folder] = f"it belongs to {who}"
        elif first[submission.student] != submission.uid:
            earlier = first[submission.student]
            found[submission.folder] = f"it belongs to {who}, and an earlier one to {account_of(earlier) or earlier}"
        elif common and submission.uid not in common:
            found[submission.folder] = (
                f"it belongs to {who}, while most belong to {account_of(min(common)) or min(common)}"
            )
        elif others and submission.uid not in common and 2 * n_single > len(students_of):
            listed = ", ".join(map(printable, others[:3]))
            found[submission.folder] = f"it belongs to {who}, who has handed in for {listed} too"
    return found


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""


def _accounts(course: Course, handed: Sequence[Handed]) -> dict[str, set[str]]:
    """Return, by student, how their system user may be called."""
    found = {submission.student: {submission.student, f"jupyter-{submission.student}"} for submission in handed}
    with course.gradebook() as gradebook:
        for student in gradebook.students:
            if (names := found.get(_folder_of(student.id))) is not None:
                names |= {
                    student.id,
                    *filter(None, [(student.email or "").partition("@")[0], student.lms_user_id or ""]),
                }
    return {student: {name.lower() for name in names} for student, names in found.items()}


# -- copying -----------------------------------------------------------------------------------------------------------


def _take(course: Course, handed: Handed, why: list[str], say: Say) -> bool:
    """Copy one submission, unless it is here already; return whether it was copied."""
    student, assignment = handed.student, handed.assignment
    there = course.folder("submitted", student, assignment)
    if there.is_dir() and _is_here(course, handed, there, why, say):
        return False
    new = there.with_name(f".{assignment}.{secrets.token_hex(4)}")
    with write_errors(new, "Make room, then collect again."):
        new.mkdir(parents=True)
        try:
            left = copy_plain(handed.folder, new)
            for file in left:
                say(f"{printable(student)}: {printable(file.name)} was left in the exchange: {file.why_not}.")
            if handed.time or not (new / TIME).is_file():
                replace_file(new / TIME, utc_text(handed.time) if handed.time else handed.raw_time)
            _write_note(course, handed, why, left)
            if there.exists():
                set_aside(course, student, assignment)
            os.replace(new, there)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    say(f"{printable(student)}: handed in {handed.told_time}")
    return True


def _is_here(course: Course, handed: Handed, there: Path, why: list[str], say: Say) -> bool:
    """Tell whether a submission was collected before, or a newer one lies here; its note is brought up to date."""
    student, assignment = handed.student, handed.assignment
    note, time = read_note(course, student, assignment), time_beside(course, there)
    is_same = time == handed.time if handed.time else note.get("from") == handed.folder.name
    is_newer = bool(time and handed.time and time > handed.time)
    if time and is_newer and note.get("from") != handed.folder.name:
        say(f"{printable(student)}: what lies in submitted is newer ({utc_text(time)}) than what lies in the exchange.")
    if is_same or is_newer:
        _note_again(course, student, assignment, why)
    return is_same or is_newer


def set_aside(course: Course, student: str, assignment: str) -> Path:
    """Move a submission to ``earlier``, where all earlier ones stay."""
    earlier = course.folder("earlier", student, assignment)
    earlier.mkdir(parents=True, exist_ok=True)
    kept = earlier / f"until {datetime.datetime.now():%Y-%m-%d %H%M%S} {secrets.token_hex(2)}"
    os.replace(course.folder("submitted", student, assignment), kept)
    return kept


def _write_note(course: Course, handed: Handed, why: Sequence[str], left: Sequence[SubmittedFile]) -> None:
    files = [
        {"name": printable(file.name), "bytes": file.n_bytes, "why": f"{file.why_not}; it was left in the exchange"}
        for file in left
        if not is_link_or_device(file)
    ]
    write_arrival(
        course, handed.student, handed.assignment, why, files, **{"from": handed.folder.name, "uid": handed.uid}
    )


def _note_again(course: Course, student: str, assignment: str, why: Sequence[str]) -> None:
    """Bring the sentences of a note up to date; what else it says stays."""
    note = read_note(course, student, assignment)
    if why or note.get("why"):
        facts = {name: value for name, value in note.items() if name not in ("why", "left")}
        write_arrival(course, student, assignment, why, note.get("left") or (), **facts)
