"""Submissions are found under any name, copied without following where files point, and never changed."""

import os
from pathlib import Path

import pytest
from made_course import hand_in, make_course

from course_utils.core.files import printable
from course_utils.grading.submissions.find import (
    copy_plain,
    files_of,
    find_misplaced,
    find_submissions,
    original_name,
    safe_id,
)

NAMES = [
    "ann",
    "O'Brien",
    "Ann, Marie",
    "李小龍",
    "e\u0301lodie",
    "..",
    ".",
    " a ",
    "a/b",
    "a*",
    "[x]",
    "+plus+",
    "a+b",
    "=cmd|' /C calc'!A1",
    "line\nbreak",
    "tab\t",
    "%2F",
    "a%b",
    "\u202eevil",
    "{0}",
    "${HOME}",
    "`id`",
    "-rf",
    "a\\b",
    "NUL",
    "ﬁ",
    "x" * 300,
    "x" * 299 + "y",
    "😀" * 60,
    "😀👩‍🎓",
]


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "course")


@pytest.mark.parametrize("name", NAMES)
def test_an_id_can_be_part_of_a_path_and_tells_its_name(name):
    safe = safe_id(name)
    assert not set(safe) & set("/\\*?[]\n\t\0\u202e{}") and not safe.startswith(".") and safe == safe.strip()
    assert len(safe.encode()) <= 160
    assert original_name(safe) == name or len(name.encode()) > 40


def test_two_names_never_share_an_id():
    assert len({safe_id(name) for name in NAMES}) == len(NAMES)


def test_every_folder_is_a_submission_under_its_id(course):
    on_disk = [name for name in NAMES if name not in (".", "..") and "/" not in name and len(name) < 200]
    for name in on_disk:
        hand_in(course, name, "size_comparison", b"{}")
    found = find_submissions(course, "size_comparison")
    assert {each.student for each in found} == {safe_id(name) for name in on_disk}
    assert all(each.folder.is_dir() for each in found)


def test_what_is_no_submission_is_told(course, tmp_path):
    hand_in(course, "ann", "size_comparison", b"{}")
    top = course.root / "submitted"
    (top / "loose.ipynb").write_text("{}")
    (top / "linked").symlink_to(tmp_path)
    (top / "bob").mkdir()
    (top / "bob" / "essay.docx").write_text("x")
    (top / "cat").mkdir()
    (top / "cat" / "size_comparison").symlink_to("/etc")
    told = find_misplaced(course, "size_comparison")
    assert len(told) == 4
    for name in ("loose.ipynb", "linked", "bob", "cat"):
        assert any(name in line for line in told), name
    assert [each.student for each in find_submissions(course, "size_comparison")] == ["ann"]


def hostile_folder(folder: Path, secret: Path) -> Path:
    """Links to a file, a folder and nowhere, a pipe, a loop, and one honest file."""
    folder.mkdir(parents=True)
    (folder / "honest.txt").write_text("mine")
    (folder / "file").symlink_to(secret)
    (folder / "folder").symlink_to(secret.parent)
    (folder / "nowhere").symlink_to("/does/not/exist")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    return folder


def test_links_and_pipes_are_told_and_never_opened(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("not yours")
    folder = hostile_folder(tmp_path / "handed-in", secret)
    left_out = copy_plain(folder, tmp_path / "copy")
    assert {each.name for each in left_out} == {"file", "folder", "nowhere", "loop", "pipe"}
    copied = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert [path.read_text() for path in copied] == ["mine"]
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))


def test_a_folder_of_too_many_files_has_an_end(tmp_path):
    for number in range(400):
        (tmp_path / f"{number}.txt").write_text("x")
    (tmp_path / "z.ipynb").write_text("{}")
    found = files_of(tmp_path)
    assert len(found) < 400 and "401 files" in found[-1].why_not
    assert "z.ipynb" in [each.name for each in found]


def test_depth_has_an_end(tmp_path):
    deep = tmp_path
    for _ in range(50):
        deep = deep / "d"
        deep.mkdir()
    (deep / "x.txt").write_text("x")
    assert [each.why_not for each in files_of(tmp_path)] == ["folders more than 5 deep are not looked into"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_from_outside_can_be_printed(name):
    assert printable(name).isprintable() and len(printable(name)) <= 120
