"""Files made to stop a parser, or to read what is another person's: each costs little, and a person is told."""

import io
import json
import os
import struct
import time
import zipfile
from pathlib import Path

import pytest
from made_course import GOOD, hand_in, make_course, released, with_answer

from course_utils.grading.assignments.generate import generate
from course_utils.grading.autograde import grade as grading
from course_utils.grading.autograde.grade import grade_one, hand_over
from course_utils.grading.course.course import EXERCISES as EXERCISES_NAME
from course_utils.grading.course.course import ignore_nbgrader_warnings
from course_utils.grading.marking.submissions_to_mark import read_report
from course_utils.grading.submissions import archives, contents, find
from course_utils.grading.submissions.archives import Archive
from course_utils.grading.submissions.contents import fingerprint
from course_utils.grading.submissions.find import IS_OF_ANOTHER, copy_plain, find_submissions
from course_utils.grading.submissions.read_notebook import read_cells
from course_utils.grading.submissions.repair import plain_text

ACCENTS = ("\u0301", "\u0323", "\u0301\u0323", "\u0f71\u0f74", "\u05b0\u05bc", "\U0001d165\U0001d16d")


def cpu_seconds(function, *args) -> float:
    begun = time.process_time()
    function(*args)
    return time.process_time() - begun


@pytest.mark.parametrize("accents", [*ACCENTS, "\u0301+\u0323"])
def test_accents_without_end_take_time_in_proportion_to_their_number(accents):
    def text(n: int) -> str:
        first, plus, second = accents.partition("+")
        return "a" + first * n + second * n * bool(plus)

    assert cpu_seconds(plain_text, text(300_000)) < 1  # hours, where all accents of one letter are sorted


def test_accents_are_the_same_in_whatever_form_an_editor_saved_them():
    composed, taken_apart = "é ắ ệ 각 न्‍ि", "e\u0301 a\u0306\u0301 e\u0323\u0302 \u1100\u1161\u11a8 न्‍ि"
    assert plain_text(taken_apart) == plain_text(composed)
    assert plain_text("e" + "\u0301" * 31) == "e" + "\u0301" * 31


@pytest.mark.parametrize(
    "sign", ["&#" + "9" * 5000 + ";", "&#x" + "f" * 100_000 + ";", "&#0000000065", "&#" + "1" * 4301]
)
def test_numbers_of_characters_that_no_program_can_read_stop_no_reading(sign):
    notebook = json.dumps({"cells": [{"cell_type": "markdown", "source": f"before {sign} after &lt;"}], "nbformat": 4})
    read = read_cells(f"<html><pre>{notebook}</pre></html>".encode())
    assert read.cells[0].source.startswith("before ") and read.cells[0].source.endswith(" after <")


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_long_list_of_members_is_refused_before_it_is_read(tmp_path, is_large, on_disk):
    n, listed = 1000, b"PK\x01\x02" + bytes(24) + struct.pack("<H", 5) + bytes(16) + b"a.txt"
    directory = listed * n
    most = len(directory) - is_large
    told = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    far = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, n, n, len(directory), 0)
    far += b"PK\x06\x07" + struct.pack("<IQI", 0, len(directory), 1)
    content = directory + far + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, *told, 0)
    (tmp_path / "many.zip").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "MAX_DIRECTORY_BYTES", most)
        source = tmp_path / "many.zip" if on_disk else content
        if is_large:
            with pytest.raises(OSError, match="list of members"):
                Archive(source, 1000)
        else:
            with Archive(source, 1000) as archive:
                assert len(archive.members) == n


def test_an_honest_archive_is_read_whole(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        made.writestr("a.txt", b"x" * 3_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "MAX_DIRECTORY_BYTES", 1000)
        with Archive(buffer.getvalue(), 4_000_000) as archive:
            assert len(archive.members[0].read(4_000_000)) == 3_000_000


# -- folders of students -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("inside", ["a.ipynb", "deep/down/a.txt"])
def test_a_second_name_of_somebody_elses_file_is_not_copied(tmp_path, inside):
    secret, handed = tmp_path / "solution.ipynb", tmp_path / "handed"
    secret.write_text("the solution")
    (handed / inside).parent.mkdir(parents=True)
    os.link(secret, handed / inside)
    (handed / "own.txt").write_text("own")
    os.link(handed / "own.txt", handed / "own again.txt")
    for path in (handed, handed / "own.txt"):
        os.chown(path, 2001, 2001)
    left = copy_plain(handed, tmp_path / "copy")
    assert [(file.name, file.why_not) for file in left] == [(inside, f"it cannot be read: {IS_OF_ANOTHER}")]
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()) == [
        "own again.txt",
        "own.txt",
    ]


@pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="folders cannot be opened one by one here")
@pytest.mark.parametrize("swapped", ["", "deep", "deep/down"])
def test_a_folder_that_becomes_a_link_while_it_is_copied_is_not_followed(tmp_path, monkeypatch, swapped):
    secret, handed = tmp_path / "secret", tmp_path / "handed"
    for place, words in ((secret, "secret"), (handed, "own")):
        (place / "deep" / "down").mkdir(parents=True)
        (place / "deep" / "down" / "a.txt").write_text(words)
    files_of = find.files_of

    def seen(folder: Path) -> list:
        found = files_of(folder)
        (handed / swapped).rename(tmp_path / "aside")
        (handed / swapped).symlink_to(secret / swapped)
        return found

    monkeypatch.setattr(find, "files_of", seen)
    copied = tmp_path / "copy"
    try:
        assert copy_plain(handed, copied)[0].why_not
    except OSError:
        assert not swapped  # the whole submission is left where it is
    assert not [path for path in copied.rglob("*") if path.is_file()]


# -- what no parser comes to an end with -------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path):
    course = make_course(tmp_path / "class")
    with ignore_nbgrader_warnings():
        generate(course, EXERCISES_NAME, say=lambda _: None)
    return course


def test_a_submission_that_cannot_be_parsed_goes_to_a_person_and_its_marks_wait_only_when_its_files_change(
    course, monkeypatch
):
    sheet = with_answer(released(course, EXERCISES_NAME), answer_double=GOOD)
    folder = hand_in(course, "ann", EXERCISES_NAME, sheet)
    (submission,) = find_submissions(course, EXERCISES_NAME)

    def stopped(*_: object) -> str:
        raise AssertionError("this submission was parsed")

    with monkeypatch.context() as patch:
        for module in (grading, contents):
            for name in ("fingerprint", "items_of", "ingest"):
                patch.setattr(module, name, stopped, raising=False)
        told = [hand_over(course, submission, "It took too long.")["report"] for _ in range(2)]
        assert told[0]["content"] == told[1]["content"] != ""
        assert read_report(course, "ann", EXERCISES_NAME)["status"] == grading.NEEDS_A_PERSON
        (folder / "more.txt").write_text("another version")
        assert hand_over(course, submission, "It took too long.")["report"]["content"] != told[0]["content"]


def test_an_error_of_a_parser_leaves_a_report_for_a_person(course, monkeypatch):
    hand_in(course, "ann", EXERCISES_NAME, released(course, EXERCISES_NAME))
    (submission,) = find_submissions(course, EXERCISES_NAME)

    def stumbled(*_: object) -> str:
        raise ValueError("no number of so many digits")

    monkeypatch.setattr(grading, "fingerprint", stumbled)
    monkeypatch.setattr(grading, "ingest", stumbled)
    report = grade_one(course, submission, False, 0)["report"]
    assert report["status"] == grading.NEEDS_A_PERSON and report["content"]
    monkeypatch.undo()
    assert fingerprint(submission.folder) != report["content"]
