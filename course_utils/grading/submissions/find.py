"""Search for submissions in their folders; copies of their files, without following links."""

import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from course_utils.core.files import printable, replace_file
from course_utils.grading.course.course import MAX_FILE_KB, MAX_FOLDER_KB, Course
from course_utils.grading.submissions.arrival_notes import Arrival, read_arrival

NOT_PLAIN = '/\\*?[]{}%<>|:"'  # what a path, a pattern or nbgrader would understand
MAX_ID_BYTES = 160  # bytes: a name may have 255, and nbgrader adds to it
MAX_DEPTH, MAX_FILES = 5, 300
IS_A_LINK, IS_NOT_PLAIN = "it is a link to another place", "it is no plain file"
IS_OF_ANOTHER = "it is a second name of a file that belongs to another system user"
PLAIN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclasses.dataclass(frozen=True)
class Submission:
    """What one student handed in for one assignment.

    Parameters
    ----------
    student : str
        The folder's name, with characters that no path or pattern can hold written as ``%2F``.
    assignment : str
    folder : Path
        Where it lies; nothing is ever changed there.
    arrival : Arrival
        What is known of how it arrived.
    """

    student: str
    assignment: str
    folder: Path
    arrival: Arrival = Arrival()


@dataclasses.dataclass(frozen=True)
class SubmittedFile:
    """A file of a submission: where it lies, how large it is, and why it is left out, if it is."""

    path: Path
    name: str
    n_bytes: int
    why_not: str = ""


def find_submissions(course: Course, assignment: str) -> list[Submission]:
    """Return all submissions of an assignment, in the order of their names."""
    found = []
    for folder in _folders(course.folder("submitted")):
        own = folder / assignment
        if own.is_dir() and not own.is_symlink():
            found.append(
                Submission(safe_id(folder.name), assignment, own, read_arrival(course, folder.name, assignment))
            )
    return sorted(found, key=lambda submission: submission.student)


def find_misplaced(course: Course, assignment: str) -> list[str]:
    """Return, a sentence each, what lies in ``submitted`` and is no submission: a person must see to it."""
    notes = []
    top = course.folder("submitted")
    for entry in sorted(os.scandir(top), key=lambda entry: entry.name) if top.is_dir() else ():
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() or not entry.is_dir():
            notes.append(f"submitted/{printable(entry.name)} is {_kind(entry)}: a folder a student was expected.")
            continue
        inside = sorted(os.listdir(entry.path))
        own = top / entry.name / assignment
        if own.is_symlink() or (own.exists() and not own.is_dir()):
            notes.append(f"submitted/{printable(entry.name)}/{assignment} is no folder: it was not followed.")
        elif others := [name for name in inside if name not in _known(course) and not name.startswith(".")]:
            listed = ", ".join(map(printable, others[:5]))
            notes.append(f"submitted/{printable(entry.name)} holds what is no assignment's folder: {listed}.")
        elif not inside:
            notes.append(f"submitted/{printable(entry.name)} is empty.")
    unassigned = course.folder("unassigned", "", assignment)
    for folder in sorted(unassigned.iterdir()) if unassigned.is_dir() else ():
        notes.append(
            f"unassigned/{assignment}/{printable(folder.name)} is a submission that nobody has assigned to a student."
        )
    return notes


def safe_id(name: str) -> str:
    """Return a name by which nbgrader can find a submission; only what it cannot hold is changed.

    Examples
    --------
    >>> safe_id("O'Brien"), safe_id("李"), safe_id("a/b*"), safe_id("..")
    ("O'Brien", '李', 'a%2Fb%2A', '%2E.')
    """
    last = len(name) - 1
    encoded = "".join(c if _is_plain(c, i in (0, last), i == 0) else _percent(c) for i, c in enumerate(name)) or "%00"
    if len(encoded.encode()) <= MAX_ID_BYTES:
        return encoded
    short = encoded.encode()[: MAX_ID_BYTES - 20].decode("utf-8", "ignore")
    return f"{short}%~{hashlib.sha256(encoded.encode()).hexdigest()[:16]}"


def files_of(folder: Path) -> list[SubmittedFile]:
    """Return every file below a folder; links, pipes and devices are told and never opened."""
    found: list[SubmittedFile] = []
    n_kb, n_seen = 0.0, 0
    for path, entry in _walk(folder, 0):
        name, n_seen = path.relative_to(folder).as_posix(), n_seen + 1
        if n_seen > MAX_FILES and not is_named_like_a_notebook(name):
            continue
        if len(found) >= 2 * MAX_FILES:
            break
        try:
            size = entry.stat(follow_symlinks=False)
        except OSError as problem:
            found.append(SubmittedFile(path, name, 0, f"it cannot be looked at: {problem.strerror}"))
            continue
        if entry.is_dir(follow_symlinks=False):
            found.append(SubmittedFile(path, name, 0, f"folders more than {MAX_DEPTH} deep are not looked into"))
            continue
        n_kb += size.st_size / 1000 if stat.S_ISREG(size.st_mode) else 0
        found.append(SubmittedFile(path, name, size.st_size, _why_not(size, n_kb)))
    if n_seen > MAX_FILES:
        found.append(
            SubmittedFile(folder, "…", 0, f"of {n_seen:,} files the first {MAX_FILES} and all notebooks are told")
        )
    return found


def is_named_like_a_notebook(name: str) -> bool:
    """Tell by its name whether a file may be one."""
    return ".ipynb" in name.lower() or name.lower().endswith(".json")


def copy_plain(folder: Path, into: Path) -> list[SubmittedFile]:
    """Copy a folder's plain files, and return what was left out.

    Raises
    ------
    NoSpace
        A copy cannot be written.
    """
    left_out = []
    for file in files_of(folder):
        if file.why_not:
            left_out.append(file)
            continue
        try:
            content = _read_below(folder, file.name)
        except OSError as problem:
            left_out.append(dataclasses.replace(file, why_not=f"it cannot be read: {problem.strerror}"))
            continue
        replace_file(into / file.name, content)
    return left_out


def read_plain(path: Path, n_bytes: int = MAX_FILE_KB * 1000 + 1) -> bytes:
    """Return the first bytes of a plain file; a link or pipe that took its place meanwhile raises OSError."""
    return _read(os.open(path, PLAIN), n_bytes)


def _read_below(folder: Path, name: str) -> bytes:
    """Return the bytes of a plain file in a folder that belongs to a student, who may change it at any moment.

    Each folder on the way is opened by itself, so that a link in its place is not followed. A second name (hard link)
    of another user's file is refused: its owner has not handed it in, and perhaps may not even know of it.
    """
    if os.open not in os.supports_dir_fd:
        return read_plain(folder / name)
    opened = os.open(folder, PLAIN | os.O_DIRECTORY)
    try:
        owner = os.fstat(opened).st_uid
        *folders, last = name.split("/")
        for part in folders:
            inner = os.open(part, PLAIN | os.O_DIRECTORY, dir_fd=opened)
            os.close(opened)
            opened = inner
        descriptor = os.open(last, PLAIN, dir_fd=opened)
    finally:
        os.close(opened)
    status = os.fstat(descriptor)
    if status.st_nlink > 1 and status.st_uid != owner:
        os.close(descriptor)
        raise OSError(0, IS_OF_ANOTHER)
    return _read(descriptor, MAX_FILE_KB * 1000 + 1)


def _read(descriptor: int, n_bytes: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no plain file")
        return file.read(n_bytes)


def is_link_or_device(file: SubmittedFile) -> bool:
    """Tell whether a file was left out because it is none of its own."""
    return file.why_not in (IS_A_LINK, IS_NOT_PLAIN)


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, os.DirEntry[str]]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if depth >= MAX_DEPTH:
                yield folder / entry.name, entry
            elif entry.name not in ("__pycache__", "__MACOSX"):
                yield from _walk(folder / entry.name, depth + 1)
        else:
            yield folder / entry.name, entry


def _why_not(size: os.stat_result, n_kb: float) -> str:
    if stat.S_ISLNK(size.st_mode):
        return IS_A_LINK
    if not stat.S_ISREG(size.st_mode):
        return IS_NOT_PLAIN
    if size.st_size > MAX_FILE_KB * 1000:
        return f"it is larger than {MAX_FILE_KB // 1000} MB"
    return f"the folder is larger than {MAX_FOLDER_KB // 1000} MB" if n_kb > MAX_FOLDER_KB else ""


def _folders(top: Path) -> list[Path]:
    if not top.is_dir():
        return []
    return [top / entry.name for entry in os.scandir(top) if entry.is_dir(follow_symlinks=False)]


def _known(course: Course) -> list[str]:
    return [found.parent.name for found in course.root.glob("source/*/*.ipynb")]


def _kind(entry: os.DirEntry[str]) -> str:
    return "a link" if entry.is_symlink() else "a file"


def _is_plain(character: str, at_an_end: bool, at_the_start: bool) -> bool:
    """Tell whether a character of a name may stay: what can be printed, and means nothing to a path or pattern."""
    if character in NOT_PLAIN or (character == " " and at_an_end) or (character == "." and at_the_start):
        return False
    return character == " " or (character.isprintable() and not character.isspace())


def _percent(character: str) -> str:
    raw = os.fsencode(character) if "\udc80" <= character <= "\udcff" else character.encode("utf-8", "replace")
    return "".join(f"%{byte:02X}" for byte in raw)


def original_name(student: str) -> str:
    """Return the folder's own name of a student's id."""
    return unquote(student, errors="surrogateescape")
