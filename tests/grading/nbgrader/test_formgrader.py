"""nbgrader's own interface and commands in a course of ours do what the course's commands do, or refuse first."""

import subprocess
import sys

import nbformat
import pytest
import yaml
from made_course import ESSAY_NAME, GOOD, RUBRIC, hand_in, make_course, released, with_answer

from course_utils.grading.course.course import Course, ignore_nbgrader_warnings

pytestmark = pytest.mark.slow

NAME = "size_comparison"


@pytest.fixture
def course(tmp_path, monkeypatch) -> Course:
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / "exchange"))
    return make_course(tmp_path / "course")


def press(course: Course, button: str, *more: object) -> dict:
    """Call what a button of formgrader calls."""
    with ignore_nbgrader_warnings():
        return getattr(course.api(), button)(*more)


def weights(course: Course) -> dict[str, float]:
    with course.gradebook() as gradebook:
        return {cell.name: cell.max_score for cell in gradebook.find_notebook(ESSAY_NAME, ESSAY_NAME).task_cells}


@pytest.mark.parametrize("button", ["generate_assignment", "release_assignment"])
def test_a_changed_rubric_arrives_by_the_buttons_too(course, button):
    assert press(course, "generate_assignment", ESSAY_NAME)["success"]
    assert weights(course) == {"criterion-thesis": 4, "criterion-evidence": 6}
    changed = {**RUBRIC, "criteria": [{**each, "weight": each["weight"] + 1} for each in RUBRIC["criteria"]]}
    (course.source(ESSAY_NAME).parent / "rubric.yaml").write_text(yaml.safe_dump(changed))
    done = press(course, button, ESSAY_NAME)
    assert done["success"], done
    assert weights(course) == {"criterion-thesis": 5, "criterion-evidence": 7}
    assert (course.folder("assignments", "", ESSAY_NAME) / "rubric.html").is_file()
    assert (course.own_exchange / "outbound" / ESSAY_NAME).is_dir() == (button == "release_assignment")


def test_what_would_tell_students_a_secret_is_refused_by_the_button_too(course):
    notebook = nbformat.read(course.source(NAME), 4)
    notebook.cells[0].source += "\n### BEGIN HIDDEN TESTS"
    nbformat.write(notebook, course.source(NAME))
    done = press(course, "generate_assignment", NAME)
    assert not done["success"] and len(done["error"].splitlines()) <= 3


def test_a_broken_source_is_told_by_the_button(course):
    course.source(NAME).write_text("{")
    done = press(course, "generate_assignment", NAME)
    assert not done["success"] and "is no notebook" in done["error"] and "Traceback" not in done["error"]


def test_nbgraders_own_commands_refuse_before_they_delete_anything(course, files_of):
    press(course, "generate_assignment", NAME)
    hand_in(course, "ann", NAME, with_answer(released(course, NAME), answer_double=GOOD))
    for step, name in (("autograded", f"{NAME}.ipynb"), ("feedback", f"{NAME}.html")):
        folder = course.folder(step, "ann", NAME)
        folder.mkdir(parents=True)
        (folder / name).write_text("what was made of it")

    def kept() -> dict[str, bytes]:
        """Every file but nbgrader's own notes and its database, which it opens."""
        found = files_of(course.root).items()
        return {name: data for name, data in found if not name.startswith(".nbgrader") and "gradebook.db" not in name}

    before = kept()
    for command in ("autograde", "generate_feedback"):
        line = [sys.executable, "-m", "nbgrader", command, NAME, "--force"]
        done = subprocess.run(line, cwd=course.root, capture_output=True, text=True, check=False)
        assert done.returncode and "graded by make grade and make feedback" in done.stderr + done.stdout, done
        assert kept() == before
