"""Import of a learning platform's download: each goes to its student, or to a person with a reason.

A zip archive of Canvas, Moodle, Brightspace or Blackboard is taken as it is, unpacked or not. Whose a file is stands in
its name (`lms_names`); the gradebook's list of participants tells which student that is (`roster`). What cannot be
assigned with certainty is kept in ``unassigned``.
"""

import collections
import dataclasses
import functools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from course_utils.core.files import printable, replace_file, write_errors
from course_utils.errors import SettingsError, TextError
from course_utils.grading.course.course import MAX_FILE_KB, MAX_FOLDER_KB, Course
from course_utils.grading.course.roster import Hints, Person, find_participant, participants
from course_utils.grading.submissions.archives import Archive, safe_path
from course_utils.grading.submissions.arrival_notes import read_note, release_time, write_arrival
from course_utils.grading.submissions.collect import SECRET, TIME, set_aside, time_beside
from course_utils.grading.submissions.contents import ZIP_START, fingerprint
from course_utils.grading.submissions.find import read_plain, safe_id
from course_utils.grading.submissions.ignored_files import is_clutter
from course_utils.grading.submissions.lms_names import OTHER, LmsName, read_lms_name, read_receipt
from course_utils.grading.submissions.timestamps import NotATime, course_zone, read_time, utc_text

UNASSIGNED = "unassigned"
WHY = "why.txt"
MAX_UNPACKED_BYTES = 20_000_000_000  # of a class
MAX_FILES = 20_000
PART = re.compile(r" - |_|--| \(|\)")  # between the parts of a name that follows no platform's convention
Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a download: its path, and how it is read. ``why_not`` says why it cannot be."""

    path: str
    read: Callable[[], bytes] = dataclasses.field(repr=False)
    n_bytes: int = 0
    why_not: str = ""


@dataclasses.dataclass
class Attempt:
    """What one person handed in at one time."""

    key: str
    platform: str
    time: str
    files: list[tuple[str, File]] = dataclasses.field(default_factory=list)
    hints: list[Hints] = dataclasses.field(default_factory=list)
    is_late: bool = False


def import_submissions(
    course: Course, assignment: str, source: str | Path, who: Mapping[str, str] | None = None, say: Say = print
) -> list[str]:
    """Lay the submissions of a platform's download into ``submitted``; return whose are new here.

    Parameters
    ----------
    course : Course
    assignment : str
    source : str or Path
        A zip archive as the platform gives it to an instructor, or a folder with its files.
    who : mapping of str to str, optional
        Which student is meant: by the name that stands in ``unassigned``, the student's id.
    say : callable
        Told a line about each, and about whatever could not be assigned.

    Raises
    ------
    TextError
        There is no such file, or it is no zip archive.
    SettingsError
        ``who`` names nobody of the gradebook.
    NoSpace
        The disk is full. What was imported before is there still; the same command goes on.

    Notes
    -----
    Of several attempts of one person the newest counts; the others, and what lay in ``submitted`` before, are moved to
    ``earlier``. Nothing is deleted.
    """
    course.source(assignment)
    people, who = participants(course), dict(who or {})
    if unknown := sorted(set(who.values()) - {person.id for person in people}):
        raise SettingsError(
            f"Nobody in the gradebook is called {printable(unknown[0])!r}.", "A student's id.", "grade roster FILE"
        )
    if not people:
        raise TextError(
            "The gradebook has no students, so nobody can be found by name.",
            "A list of participants.", "grade roster FILE, then the same import again.",
        )  # fmt: skip
    new, n_attempts, n_unassigned = [], 0, 0
    with _Download(Path(source)) as files:
        by_person, unassigned = _assigned(_attempts(files, assignment, course, people, say), people, who)
        for attempt, why in unassigned:
            n_unassigned += 1
            _keep_for_a_person(course, assignment, attempt, why, say)
        for student in sorted(by_person):
            n_attempts += 1
            if _lay_down(course, assignment, student, by_person[student], Path(source).name, say):
                new.append(student)
            for attempt in by_person[student]:
                shutil.rmtree(_unassigned_folder(course, assignment, attempt.key), ignore_errors=True)
    counts = f"{n_attempts} people, {len(new)} new, {n_unassigned} for a person to assign"
    say(f"{assignment}: {counts}, from {Path(source).name}.")
    return new


# -- what the download holds -------------------------------------------------------------------------------------------


class _Download:
    """A download, open: its files, from a folder or a zip archive or zip archives in one."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._open: list[Archive] = []

    def __enter__(self) -> list[File]:
        if self._source.is_dir():
            return list(_files_below(self._source))
        if not self._source.is_file():
            raise TextError(f"There is no file {self._source}.", "A zip archive or a folder.", "Check the path.")
        return self._members(self._source)

    def _members(self, source: Path | bytes) -> list[File]:
        try:
            archive = Archive(source, MAX_UNPACKED_BYTES)
        except OSError as problem:
            raise TextError(
                f"{self._source} cannot be read: {problem.strerror}.", "A zip archive as the platform gives it.",
                "Download it again, or unpack it and import the folder.",
            ) from problem  # fmt: skip
        self._open.append(archive)
        files = [
            File(member.name, functools.partial(member.read, MAX_FILE_KB * 1000), member.n_bytes, member.why_not)
            for member in archive.members
            if not is_clutter(member.name)
        ]
        if archive.n_left_out:
            notice = f"of the files in it only the first {len(archive.members):,} are read"
            raise TextError(
                f"{self._source} holds too many files: {notice}.", "The files of a class.", "Import it in parts."
            )
        return self._without_zips_around(files)

    def _without_zips_around(self, files: list[File]) -> list[File]:
        """Return the files in archives in an archive, where it holds nothing else and they are nobody's."""
        nested = [file for file in files if file.path.lower().endswith(".zip") and not file.why_not]
        if not files or len(nested) < len(files) or any(read_lms_name(file.path) for file in files):
            return files
        if len(nested) > 1 or len(self._open) > 2:
            return files  # an archive for each person, by a name of its own
        content = nested[0].read()
        return self._members(content) if content.startswith(ZIP_START) else files

    def __exit__(self, *_: object) -> None:
        for archive in self._open:
            archive.close()


def _files_below(folder: Path) -> Iterator[File]:
    """Yield the files of an unpacked download; links are told and not followed."""
    n = 0
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            inside = path.relative_to(folder).as_posix()
            if is_clutter(inside):
                continue
            if (n := n + 1) > MAX_FILES:
                raise TextError(
                    f"{folder} holds more than {MAX_FILES:,} files.", "The files of one class.", "Import it in parts."
                )
            why = "it is a link to another place" if path.is_symlink() else ""
            size = 0 if why else path.stat().st_size
            yield File(inside, functools.partial(read_plain, path), size, why)


def _attempts(
    files: Sequence[File], assignment: str, course: Course, people: Sequence[Person], say: Say
) -> list[Attempt]:
    """Return the files by person and time."""
    others = {file.parent.name for file in course.root.glob("source/*/*.ipynb")} - {assignment}
    found: dict[tuple[str, str], Attempt] = {}
    for file in files:
        if file.path.lower() in ("index.html", "index.htm"):
            say(f"Left alone: {file.path} is the platform's own list.")
            continue
        name = read_lms_name(file.path) or _named_otherwise(file.path, assignment, people)
        if name.base.partition("/")[0] in others and "/" in name.base:
            say(f"Left alone: {printable(file.path)} is of another assignment.")
            continue
        attempt = found.setdefault((name.key, name.time), Attempt(name.key, name.platform, name.time))
        attempt.files.append((name.base, file))
        attempt.hints.append(name.hints)
        attempt.is_late |= name.is_late
        if name.is_receipt and not file.why_not:
            hints, time = read_receipt(file.read())
            attempt.hints.append(hints)
            attempt.time = _surer(time, attempt.time, course)
    return list(found.values())


def _surer(time: str, before: str, course: Course) -> str:
    """Return the time in a receipt, which names its zone, if it can be read; else the one in the file's name."""
    try:
        read_time(time, course_zone(course))
    except NotATime:
        return before
    return time


def _named_otherwise(path: str, assignment: str, people: Sequence[Person]) -> LmsName:
    """Return who is meant by a path of no platform: a folder or a part of the name that is somebody's."""
    *folders, file = path.split("/")
    for index, folder in enumerate(folders):
        hints = _hints(folder, assignment)
        person = find_participant(hints, people)[0]
        if person is not None or index == len(folders) - 1:
            rest = "/".join([*folders[index + 1 :], file]).removeprefix(f"{assignment}/")
            return LmsName(OTHER, person.id if person else folder, hints, rest)
    stem = file
    while "." in stem.strip("."):
        stem = stem.rpartition(".")[0]
    hints = _hints(stem, assignment)
    person = find_participant(hints, people)[0]
    return LmsName(OTHER, person.id if person else stem, hints, file)


def _hints(name: str, assignment: str) -> Hints:
    """Return what a name that follows no convention may say: all of it, its parts, and it without the assignment."""
    without = re.sub(rf"(?i)[\s_-]*{re.escape(assignment)}[\s_-]*", " ", name).strip()
    parts = [part.strip() for hint_name in (name, without) for part in PART.split(hint_name)]
    parts = [part for part in parts if len(part) > 2 and not (part.isdigit() and len(part) < 5)]  # no "(1)" or "v2"
    kept = tuple(dict.fromkeys(part for part in (name, without, *parts) if part))[:20]
    return Hints(logins=kept, names=kept)


# -- whose it is -------------------------------------------------------------------------------------------------------


def _assigned(
    attempts: Sequence[Attempt], people: Sequence[Person], who: Mapping[str, str]
) -> tuple[dict[str, list[Attempt]], list[tuple[Attempt, str]]]:
    """Return the attempts by student, the newest last, and those that nobody can be found for, with why."""
    by_person: dict[str, list[Attempt]] = collections.defaultdict(list)
    keys_of: dict[str, set[str]] = collections.defaultdict(set)
    unassigned, found = [], []
    for attempt in attempts:
        if attempt.key in who or _unassigned_name(attempt.key) in who:
            person, why = who.get(attempt.key) or who[_unassigned_name(attempt.key)], ""
        else:
            hints = Hints(*(tuple(dict.fromkeys(spelling for hint in attempt.hints for spelling in getattr(hint, name)))
                            for name in ("logins", "lms_ids", "names")))  # fmt: skip
            participant, why = find_participant(hints, people)
            person = participant.id if participant else ""
        if person:
            found.append((attempt, person))
            keys_of[person].add(attempt.key)
        else:
            unassigned.append((attempt, why))
    for attempt, person in found:
        if len(keys_of[person]) > 1 and attempt.key not in who:
            also = ", ".join(printable(key) for key in sorted(keys_of[person] - {attempt.key})[:3])
            unassigned.append((attempt, f"{printable(person)} is also who {also} seems to be"))
        else:
            by_person[person].append(attempt)
    return by_person, unassigned


def _unassigned_name(key: str) -> str:
    return safe_id(safe_path(key).replace("/", " "))


def _unassigned_folder(course: Course, assignment: str, key: str) -> Path:
    return course.folder(UNASSIGNED, assignment) / _unassigned_name(key)


def _keep_for_a_person(course: Course, assignment: str, attempt: Attempt, why: str, say: Say) -> None:
    """Keep files that nobody can be found for, with the reason."""
    folder = _unassigned_folder(course, assignment, attempt.key)
    folder = folder / safe_path(attempt.time) if attempt.time else folder
    for base, file in attempt.files:
        content, _ = _content(file)
        if content is not None:
            replace_file(folder / safe_path(base), content)
    name = _unassigned_name(attempt.key)
    option = f"--who {_quoted(f'{name}=ID')}"
    replace_file(folder / WHY, f"{why}\nOnce you know who it is, import the same file again with {option}\n")
    where = folder.relative_to(course.root)
    say(f"For a person: {printable(attempt.key)}: {why}. Kept in {printable(where)}; import again with {option}.")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# -- laying down -------------------------------------------------------------------------------------------------------


def _lay_down(
    course: Course, assignment: str, student_id: str, attempts: Sequence[Attempt], origin: str, say: Say
) -> bool:
    """Lay the newest attempt of a student into ``submitted``; return whether it is new here."""
    student = (
        student_id
        if student_id.strip(". ") and len(os.fsencode(student_id)) <= 200 and "/" not in student_id
        else safe_id(student_id)
    )
    *older, newest = sorted(attempts, key=lambda attempt: _order(course, attempt))
    for attempt in older:
        folder = course.folder("earlier", student, assignment) / safe_path(attempt.time or attempt.key)
        if not folder.exists():
            _write_files(folder, attempt)
    there = course.folder("submitted", student, assignment)
    new = there.with_name(f".{assignment}.{secrets.token_hex(4)}")
    with write_errors(new, "Make room, then import again."):
        new.mkdir(parents=True)
        try:
            return _exchange_folders(course, assignment, student, newest, new, origin, say)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _exchange_folders(
    course: Course, assignment: str, student: str, attempt: Attempt, new: Path, origin: str, say: Say
) -> bool:
    """Put a new submission in the place of the one before, unless that one is the same or newer."""
    left = _write_files(new, attempt)
    why, time = [], None
    if attempt.time:
        try:
            time = read_time(attempt.time, course_zone(course), released=release_time(course, assignment))
            replace_file(new / TIME, utc_text(time))
        except NotATime:
            replace_file(new / TIME, attempt.time)  # the report will say what is wrong with it
    elif not (new / TIME).exists() and attempt.is_late:
        notice = "how late it is for a person to say; nothing is deducted"
        why.append(f"{attempt.platform} marks it as late, and no name of its files tells the time: {notice}.")
    note = {"from": f"import of {origin}", "key": attempt.key}
    there = course.folder("submitted", student, assignment)
    if there.exists():
        time_before, before = time_beside(course, there), read_note(course, student, assignment)
        is_same = fingerprint(there) == fingerprint(new)
        if is_same and (time_before == time or time is None):
            say(f"{printable(student)}: as before")
            return False
        if time_before and time and time_before > time:
            newer, older = utc_text(time_before), utc_text(time)
            say(f"{printable(student)}: what lies in submitted is newer ({newer}) than {older}.")
            return False
        is_other_way = not str(before.get("from", "")).startswith("import of ")
        if is_other_way and time is None and not is_same:
            kept = course.folder("earlier", student, assignment) / f"import {secrets.token_hex(4)}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(new, kept)
            where = kept.relative_to(course.root)
            notice = f"{attempt.platform} has another submission, without a time: it lies in {where}."
            say(f"{printable(student)}: {notice}")
            facts = {name: value for name, value in before.items() if name not in ("why", "left")}
            write_arrival(
                course, student, assignment, [f"{notice} See which one counts."], before.get("left") or (), **facts
            )
            return False
        set_aside(course, student, assignment)
    write_arrival(course, student, assignment, why, left, **note)
    os.replace(new, there)
    say(
        f"{printable(student)}: {len(attempt.files)} files from {printable(attempt.key)}"
        f"{f', {utc_text(time)}' if time else ''}"
    )
    return True


def _order(course: Course, attempt: Attempt) -> tuple[bool, str]:
    try:
        return True, read_time(attempt.time, course_zone(course)).isoformat()
    except NotATime:
        return False, attempt.time


def _write_files(folder: Path, attempt: Attempt) -> list[dict[str, object]]:
    """Write the files of an attempt; return those that could not be read, with why."""
    left, n_bytes = [], 0
    for base, file in attempt.files:
        content, why = _content(file)
        n_bytes += len(content or b"")
        if n_bytes > MAX_FOLDER_KB * 1000:
            content, why = None, f"the submission is larger than {MAX_FOLDER_KB // 1000} MB"
        name = safe_path(base)
        if name in (TIME, SECRET) and attempt.platform != OTHER:
            name = f"handed in {name}"  # nbgrader and this course write files of these names, no student does
        if content is None:
            left.append({"name": name, "bytes": file.n_bytes, "why": why})
        else:
            replace_file(_free(folder / name), content)
    return left


def _free(path: Path) -> Path:
    """Return the path, with a number where a file of that name is there."""
    number, free = 2, path
    while free.exists():
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return free


def _content(file: File) -> tuple[bytes | None, str]:
    if file.why_not:
        return None, file.why_not
    if file.n_bytes > MAX_FILE_KB * 1000:
        return None, f"it is larger than {MAX_FILE_KB // 1000} MB"
    try:
        return file.read(), ""
    except OSError as problem:
        return None, problem.strerror or "it cannot be read"
