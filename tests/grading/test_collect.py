"""Out of the exchange comes the newest of each student, whole, and nothing that was there before is lost."""

import os
from pathlib import Path

import pytest
from made_course import make_course

from course_utils.errors import TextError
from course_utils.grading.collect import collect
from course_utils.grading.course import COURSE_ID
from course_utils.grading.submissions import find_submissions, safe_id

NAME = "size_comparison"


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / "exchange"))
    (tmp_path / "exchange" / COURSE_ID / "inbound").mkdir(parents=True)
    return make_course(tmp_path / "course")


def put(
    course, student: str, time: str = "2026-01-02 10:00:00.000000 UTC", text: str = "{}", end: str = "+abc"
) -> Path:
    """Hand in as nbgrader's submit does."""
    folder = course.exchange / COURSE_ID / "inbound" / f"{student}+{NAME}+{time}{end}"
    folder.mkdir()
    (folder / f"{NAME}.ipynb").write_text(text)
    (folder / "timestamp.txt").write_text(time)
    (folder / "submission_secret.txt").write_text("s" * 64)
    return folder


def here(course, student: str) -> str:
    return (course.folder("submitted", safe_id(student), NAME) / f"{NAME}.ipynb").read_text()


def test_the_newest_counts_and_collecting_twice_changes_nothing(course):
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    put(course, "bob")
    assert collect(course, NAME, lambda line: None) == ["ann", "bob"]
    assert here(course, "ann") == "new"
    assert collect(course, NAME, lambda line: None) == []


def test_a_newer_one_takes_the_place_and_the_older_is_kept(course):
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    collect(course, NAME, lambda line: None)
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    assert collect(course, NAME, lambda line: None) == ["ann"]
    assert here(course, "ann") == "new"
    kept = list((course.root / "earlier").rglob(f"{NAME}.ipynb"))
    assert [path.read_text() for path in kept] == ["old"]


@pytest.mark.parametrize("student", ["..", "../../evil", "O'Brien", "李", "a+b", "=1+1", "[a]*", "-rf", "\n"])
def test_no_name_leads_out_of_the_folder(course, student, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "submitted" not in path.parts and "exchange" not in path.parts}
    name = student.replace("/", "\u2044")  # a slash cannot be in a folder's name; its look-alike can
    put(course, name)
    folder = safe_id(name) if name == ".." else name
    assert collect(course, NAME, lambda line: None) == [folder]
    assert (course.folder("submitted", folder, NAME) / f"{NAME}.ipynb").read_text() == "{}"
    assert [each.student for each in find_submissions(course, NAME)] == [safe_id(folder)]
    assert collect(course, NAME, lambda line: None) == []
    after = {path for path in tmp_path.rglob("*") if "submitted" not in path.parts and "exchange" not in path.parts}
    assert after == before


def test_what_is_no_submission_is_told_and_stops_nobody(course, tmp_path):
    inbound = course.exchange / COURSE_ID / "inbound"
    (inbound / "rubbish").mkdir()
    (inbound / f"ann+{NAME}+yesterday+abc").mkdir()
    (inbound / "file").write_text("x")
    (inbound / f"eve+{NAME}+2026-01-02 10:00:00.000000 UTC+x").symlink_to(tmp_path)
    put(course, "bob")
    said = []
    assert collect(course, NAME, said.append) == ["bob"]
    assert sum("Left alone" in line for line in said) == 4


def test_links_and_pipes_stay_in_the_exchange(course, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    folder = put(course, "ann")
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    said = []
    collect(course, NAME, said.append)
    assert {path.name for path in course.folder("submitted", "ann", NAME).iterdir()} == {
        f"{NAME}.ipynb", "timestamp.txt", "submission_secret.txt",
    }  # fmt: skip
    assert sum("was left in the exchange" in line for line in said) == 2


def test_a_copy_that_was_cut_off_leaves_the_old_one(course, monkeypatch):
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    collect(course, NAME, lambda line: None)
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    monkeypatch.setattr("course_utils.grading.collect.replace_file", _die)
    with pytest.raises(KeyboardInterrupt):
        collect(course, NAME, lambda line: None)
    assert here(course, "ann") == "old"
    monkeypatch.undo()


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_an_exchange_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / "nowhere"))
    with pytest.raises(TextError, match="make release"):
        collect(make_course(tmp_path / "course"), NAME)
