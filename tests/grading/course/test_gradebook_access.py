"""The gradebook under any path; locked, damaged or of another version it gives three lines and stays as it is."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_course import ESSAY_NAME, make_course
from sqlalchemy.engine import make_url

from course_utils.__main__ import main
from course_utils.errors import CourseError
from course_utils.grading.assignments.generate import generate
from course_utils.grading.course.course import COURSE_ID, find_course
from course_utils.grading.course.gradebook_access import (
    WAIT_S,
    WAIT_VARIABLE,
    GradebookError,
    gradebook_file,
    gradebook_url,
    require_writable,
    wait_seconds,
)
from course_utils.grading.course.literal_glob import literal_glob
from course_utils.grading.marking.submission_status import submission_statuses
from course_utils.grading.release.release import release
from course_utils.grading.submissions.collect import collect

pytestmark = pytest.mark.slow

MEANINGFUL = "%?#;'\"{}[]*!&=+@:~ $()^`,|<>\\äЖ李é"  # in an address, a pattern, a format string or a shell
names = st.text(st.sampled_from(MEANINGFUL + "a2%20"), min_size=1, max_size=12).filter(
    lambda name: name.strip() == name and name not in (".", "..")
)
few = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@given(names)
@few
def test_an_address_leads_back_to_its_file_whatever_the_path_is_called(name):
    file = Path("/course") / name / "gradebook.db"
    assert gradebook_file(gradebook_url(file)) == file
    assert make_url(gradebook_url(file)).query == {}


@given(names, names)
@few
def test_patterns_below_a_folder_find_what_lies_there_whatever_the_folder_is_called(tmp_path_factory, outer, inner):
    folder = tmp_path_factory.mktemp("glob") / outer / "submitted"
    (folder / inner).mkdir(parents=True)
    (folder / inner / "a.ipynb").touch()
    assert literal_glob(str(folder / inner / "*.ipynb")) == [str(folder / inner / "a.ipynb")]
    assert literal_glob(str(folder / "*" / "a.ipynb")) == [str(folder / inner / "a.ipynb")]
    assert literal_glob(str(folder / inner)) == [str(folder / inner)]
    assert literal_glob(str(folder / inner / "*.html")) == []


@given(names)
@settings(few, max_examples=8)
def test_a_gradebook_is_made_and_read_in_the_courses_own_folder(tmp_path_factory, name):
    top = tmp_path_factory.mktemp("course")
    course = make_course(top / name)
    with course.gradebook() as gradebook:
        gradebook.add_student("ann")
        gradebook.db.commit()
    assert [each.student for each in submission_statuses(course, ESSAY_NAME)] == ["ann"]
    assert [file.relative_to(top) for file in top.rglob("*.db")] == [Path(name) / "gradebook.db"]


@pytest.mark.parametrize("name", ["model%20release", "a?b#c;d", 'o\'brien "x"', "{assignment_id} [ab] é", "100% *"])
def test_release_and_collect_work_in_a_folder_of_that_name(tmp_path, name, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / name / "exchange"))
    course = make_course(tmp_path / name)
    release(course, ESSAY_NAME, lambda line: None)
    assert (course.own_exchange / "outbound" / ESSAY_NAME / f"{ESSAY_NAME}.ipynb").is_file()
    assert collect(course, ESSAY_NAME, lambda line: None) == []
    release(course, ESSAY_NAME, lambda line: None)  # once more, over what is there
    with course.gradebook() as gradebook:
        assert [each.name for each in gradebook.assignments] == [ESSAY_NAME]


@pytest.mark.parametrize("place", ["before", "after"])
def test_all_commands_use_the_course_id_of_the_settings(tmp_path, monkeypatch, place):
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / "exchange"))
    course = make_course(tmp_path / "course")
    file, line = course.root / "nbgrader_config.py", "get_config().CourseDirectory.course_id = 'NEW'\n"
    text = file.read_text()
    file.write_text(line + text if place == "before" else text + line)
    course = find_course(course.root)
    assert course.id == "NEW" != COURSE_ID
    release(course, ESSAY_NAME, lambda line: None)
    collect(course, ESSAY_NAME, lambda line: None)
    assert [folder.name for folder in (tmp_path / "exchange").iterdir()] == ["NEW"]
    with course.gradebook() as gradebook:
        assert gradebook.course_id == "NEW"


# -- gradebooks that cannot be used ------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setenv(WAIT_VARIABLE, "0.1")
    return make_course(tmp_path / "course")


def damage(file: Path, how: str) -> None:
    if how == "no database":
        file.write_bytes(b"these are my notes\n" * 1000)
    elif how == "cut off":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif how == "zeros inside":
        data = file.read_bytes()
        file.write_bytes(data[:4096] + bytes(len(data) - 4096))
    elif how == "a folder":
        file.unlink()
        file.mkdir()
    else:
        with contextlib.closing(sqlite3.connect(file)) as database:
            if how == "newer":
                database.execute("UPDATE alembic_version SET version_num = 'abcdef012345'")
            elif how == "older":
                database.execute("UPDATE alembic_version SET version_num = '724cde206c17'")
            elif how == "very old":
                database.execute("DROP TABLE alembic_version")
            database.commit()


@pytest.mark.parametrize(
    "how", ["no database", "cut off", "zeros inside", "a folder", "newer", "older", "very old", "locked"]
)
@pytest.mark.parametrize("verb", ["status", "release", "run", "feedback", "export"])
def test_a_gradebook_that_cannot_be_used_is_told_in_three_lines_and_not_changed(course, capsys, tmp_path, how, verb):
    file = course.root / "gradebook.db"
    with contextlib.ExitStack() as stack:
        if how == "locked":
            other = stack.enter_context(contextlib.closing(sqlite3.connect(file, isolation_level=None)))
            other.execute("BEGIN EXCLUSIVE")
        else:
            damage(file, how)
        before = file.read_bytes() if file.is_file() else None
        more = ["--to", str(tmp_path / "x.csv")] if verb == "export" else []
        assert main(["grade", verb, ESSAY_NAME, "--course", str(course.root), *more]) == 1
        assert (file.read_bytes() if file.is_file() else None) == before
    told = capsys.readouterr().err.strip()
    assert "gradebook.db" in told and len(told.splitlines()) <= 3 and "Traceback" not in told, told


def test_a_gradebook_on_a_disk_that_cannot_be_written_is_read_all_the_same(course, monkeypatch):
    with course.gradebook() as gradebook:
        gradebook.add_student("ann")
        gradebook.db.commit()
    require_writable(course.db_url)
    real = sqlite3.connect

    def read_only(file, *more, **named):  # root may write any file: only SQLite itself can be made to refuse
        return real(f"file:{file}?mode=ro", *more, uri=True, **named)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(GradebookError, match="cannot be written"):
        require_writable(course.db_url)
    assert [each.student for each in submission_statuses(course, ESSAY_NAME)] == ["ann"]


@pytest.mark.parametrize("content", ["{", '{"cells": 1}', "[]", "", '{"cells": [{"cell_type": 1}]}', "\x00\x01"])
@pytest.mark.parametrize("verb", ["status", "release", "run"])
def test_a_broken_source_notebook_is_told_with_its_path(course, capsys, content, verb):
    course.source("size_comparison").write_text(content)
    assert main(["grade", verb, "size_comparison", "--course", str(course.root)]) == 1
    told = capsys.readouterr().err.strip()
    assert str(course.source("size_comparison")) in told and len(told.splitlines()) <= 3, told


def test_one_broken_assignment_does_not_stop_the_others(course, capsys):
    course.source("size_comparison").write_text("{")
    assert main(["grade", "status", "--course", str(course.root)]) == 1
    out, err = capsys.readouterr()
    assert "release_strategy\n  nothing yet" in out and "size_comparison" in err


@pytest.mark.parametrize("text", ["raise ValueError('x')", "import nothing_of_this_name", "c = (", "1/0"])
def test_settings_that_cannot_be_run_are_told_with_their_path(course, capsys, text):
    (course.root / "nbgrader_config.py").write_text(text)
    assert main(["grade", "status", "--course", str(course.root)]) == 1
    told = capsys.readouterr().err.strip()
    assert "nbgrader_config.py cannot be run" in told and len(told.splitlines()) <= 3


@pytest.mark.parametrize(("chosen", "seconds"), [("3", 3), ("0", 0), ("-1", WAIT_S), ("x", WAIT_S), ("nan", WAIT_S)])
def test_the_wait_for_a_lock_is_a_setting(monkeypatch, chosen, seconds):
    monkeypatch.setenv(WAIT_VARIABLE, chosen)
    assert wait_seconds() == seconds


def test_an_address_that_is_none_is_told(course):
    course = find_course(course.root)
    course.config.CourseDirectory.db_url = "no address"
    with pytest.raises(CourseError, match="no address"), course.gradebook():
        pass


def test_a_copy_of_a_course_uses_its_own_gradebook(course, tmp_path):
    generate(course, ESSAY_NAME, lambda line: None)
    shutil.copytree(course.root, tmp_path / "copy")
    copy = find_course(tmp_path / "copy")
    with copy.gradebook() as gradebook:
        gradebook.add_student("only here")
        gradebook.db.commit()
    assert not submission_statuses(course, ESSAY_NAME) and len(submission_statuses(copy, ESSAY_NAME)) == 1
