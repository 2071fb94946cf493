"""Student bundle: the course as a zip, without sources, solutions, hidden tests, mark schemes or submissions."""

import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.assignments.generate import find_leaks
from course_utils.grading.course.course import Course

TOP = "model-release-course"
LEFT_OUT = ("source/", "tests/grading/", "tests/made_course.py")
ALWAYS_SAME = (2019, 2, 14, 0, 0, 0)  # the time of every file in it: the same course makes the same bytes
Say = Callable[[str], object]


def bundle(course: Course, file: Path, say: Say = print) -> Path:
    """Write the zip that students get.

    Parameters
    ----------
    course : Course
    file : Path
    say : callable

    Raises
    ------
    CourseError
        Something in it is not for students; nothing is written.
    """
    names = sorted(set(_names(course)))
    for folder in sorted({Path(name).parts[1] for name in names if name.startswith("assignments/")}):
        if leaks := find_leaks(course.folder("assignments", "", folder)):
            raise CourseError(
                f"The bundle would hold a secret: {leaks[0]}.",
                "A release without solutions and hidden checks.",
                "make release",
            )
    new = file.with_name(f".{file.name}.new")
    new.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            path = course.root / name
            entry = zipfile.ZipInfo(f"{TOP}/{name}", ALWAYS_SAME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (path.stat().st_mode & 0xFFFF) << 16
            archive.writestr(entry, path.read_bytes())
    new.replace(file)
    say(f"{file}: {len(names)} files, {file.stat().st_size / 1e6:.1f} MB")
    return file


def _names(course: Course) -> Iterator[str]:
    """Yield the files that belong to the course, as git knows them: what people made here is none of them."""
    for name in [*_git(course, "-c"), *_git(course, "-o", "--exclude-standard", "assignments")]:
        path = course.root / name
        if not name.startswith(LEFT_OUT) and path.is_file() and not path.is_symlink():
            yield name


def _git(course: Course, *options: str) -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z", *options], cwd=course.root, capture_output=True, check=False)
    if done.returncode:
        raise CourseError(
            f"{course.root} is not a git checkout, so the files of the course are not known.",
            "A git checkout.",
            "Make the bundle where the course was cloned.",
        )
    return [name for name in done.stdout.decode().split("\0") if name]
