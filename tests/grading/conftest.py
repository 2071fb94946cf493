"""A course whose submissions stand in every state that there is, made through nbgrader and copied for each test."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_course import make_course
from made_marks import ClassOfMany, make_marked_course

from course_utils.grading.assignments.generate import generate
from course_utils.grading.course.course import ESSAY, Course, find_course, ignore_nbgrader_warnings


@pytest.fixture(scope="session")
def _made_course(tmp_path_factory) -> Course:
    return make_marked_course(tmp_path_factory.mktemp("courses") / "class")


@pytest.fixture
def marked_course(_made_course, tmp_path) -> Course:
    """A copy that a test may change: ann and =1-1 are marked, 李 in part, bo needs a person, cy is not graded."""
    shutil.copytree(_made_course.root, tmp_path / "class")
    return find_course(tmp_path / "class")


@pytest.fixture(scope="session")
def _bare_course(tmp_path_factory) -> Course:
    course = make_course(tmp_path_factory.mktemp("courses") / "bare")
    with ignore_nbgrader_warnings():
        generate(course, ESSAY, say=lambda _: None)
    return course


@pytest.fixture
def class_of_many(_bare_course, tmp_path) -> ClassOfMany:
    """An empty class to which a test adds people."""
    shutil.copytree(_bare_course.root, tmp_path / "bare")
    return ClassOfMany(find_course(tmp_path / "bare"))


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, by name."""
    return lambda folder: {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }
