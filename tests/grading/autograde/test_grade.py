"""A class goes through the commands: nothing is lost, nothing leaks, and no zero that nobody gave."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from made_course import ESSAY_NAME, GOOD, WRONG, exercises, hand_in, make_course, released, with_answer
from nbformat.v4 import new_markdown_cell, new_notebook

from course_utils.errors import TextError
from course_utils.grading.assignments.generate import generate
from course_utils.grading.autograde.grade import GRADED, NEEDS_A_PERSON, grade
from course_utils.grading.course.course import find_course
from course_utils.grading.marking.submissions_to_mark import read_report
from course_utils.grading.sandbox.sandbox import NoSandbox, sandbox_problem
from course_utils.grading.submissions.find import safe_id

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}"),
]
NAME = "size_comparison"
SECRET = "secret-of-the-instructor"


def answered(course, answer: str) -> nbformat.NotebookNode:
    return with_answer(released(course, NAME), answer_double=answer)


def older(notebook: nbformat.NotebookNode) -> bytes:
    return json.dumps(nbformat.convert(notebook, 3)).encode()


def without(notebook: nbformat.NotebookNode, *ids: str) -> nbformat.NotebookNode:
    notebook.cells = [cell for cell in notebook.cells if cell.id not in ids]
    return notebook


def stripped(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    for cell in notebook.cells:
        cell.metadata.clear()
    return notebook


def turned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook.cells.reverse()
    return notebook


def with_more(notebook: nbformat.NotebookNode, code: str) -> nbformat.NotebookNode:
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    return notebook


def doubled(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "answer-double")
    notebook.cells.insert(place, nbformat.from_dict({**notebook.cells[place], "source": WRONG + "  # first try"}))
    return notebook


def hand_in_everything(course) -> dict[str, tuple[str, float | None]]:
    """Hand in one of each kind; returns the state and the points that each must get."""
    good, cut = answered(course, GOOD), json.dumps(answered(course, GOOD)).encode()
    attack = f"import itertools, pathlib\nfor place in ('{course.root}', '/', '{Path.home()}'):\n"
    attack += "    print(list(itertools.islice(pathlib.Path(place).rglob('*'), 9)))\n"
    attack += f"pathlib.Path('{course.root}/gradebook.db').unlink()\n"
    patch = "import course_utils.grading.checks.expect as room\nreal = room.expect\n"
    patch += "def fake(f, *a, **k):\n    if f is len:\n        real(f, *a, **k)\nroom.expect = fake\n" + WRONG
    frames = "import sys\ndef double(x):\n    frame = sys._getframe()\n    while 'gives' not in frame.f_locals:\n"
    frames += "        frame = frame.f_back\n    return frame.f_locals['gives']"
    spoof = "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])"
    tamper = "import builtins\nbuiltins.AssertionError = type('Calm', (BaseException,), {})\n" + WRONG
    cases: dict[str, tuple[object, str, float | None]] = {
        "good": (good, GRADED, 4),
        "wrong": (answered(course, WRONG), GRADED, 0),
        "untouched": (released(course, NAME), NEEDS_A_PERSON, None),
        "half": (answered(course, "def double(x):\n    return 4"), GRADED, 2),
        "older": (older(good), GRADED, 4),
        "stripped": (stripped(answered(course, GOOD)), GRADED, 4),
        "no checks": (without(answered(course, GOOD), "see", "unseen"), GRADED, 4),
        "no answer": (without(released(course, NAME), "answer-double"), NEEDS_A_PERSON, None),
        "doubled": (doubled(answered(course, GOOD)), NEEDS_A_PERSON, 4),
        "empty": (b"", NEEDS_A_PERSON, None),
        "not json": (b"{", NEEDS_A_PERSON, None),
        "zip": (b"PK\x03\x04", NEEDS_A_PERSON, None),
        "cut off": (cut[: len(cut) // 2], NEEDS_A_PERSON, 4),
        "nothing": (None, NEEDS_A_PERSON, None),
        "another": (new_notebook(cells=[new_markdown_cell("Another notebook altogether.")]), NEEDS_A_PERSON, None),
        "killer": (answered(course, "import os\nos._exit(1)"), NEEDS_A_PERSON, None),
        "flood": (answered(course, "while True:\n    print('x' * 1000)"), NEEDS_A_PERSON, None),
        "hungry": (answered(course, "a = [bytearray(400_000_000) for _ in range(20)]\n" + GOOD), NEEDS_A_PERSON, None),
        "spoof": (answered(course, spoof), GRADED, 0),
        "calm": (answered(course, tamper), GRADED, 0),
        "patch": (answered(course, patch), GRADED, 0),
        "frames": (answered(course, frames), GRADED, 0),
        "slow": (answered(course, "import time\ntime.sleep(60)\n" + GOOD), NEEDS_A_PERSON, None),
        "slow answer": (answered(course, "import time\ndef double(x):\n    time.sleep(60)"), NEEDS_A_PERSON, None),
        "huge error": (answered(course, "raise ValueError('x' * 9_000_000)"), GRADED, 0),
        "reversed": (turned(answered(course, GOOD)), GRADED, 4),
        "at the end": (with_more(released(course, NAME), GOOD), NEEDS_A_PERSON, None),
        "in the check": (with_answer(released(course, NAME), see=GOOD), NEEDS_A_PERSON, 4),
        "odd types": (b'{"cells": [{"cell_type": ["code"], "source": "x"}], "nbformat": 4}', NEEDS_A_PERSON, None),
        "😀" * 60: (good, GRADED, 4),
        "jane+cs@example.org": (good, GRADED, 4),
        "thief": (answered(course, attack + GOOD), GRADED, 0),
        "warning": (answered(course, f"import warnings\nwarnings.warn('x')\n{GOOD}"), GRADED, 4),
        "=cmd|' !A1": (good, GRADED, 4),
        "../../up": (None, "", None),
    }
    for name, (content, state, _) in cases.items():
        if state:
            hand_in(course, name, NAME, content)
    hand_in(course, "renamed", NAME, good, name="my homework (2).ipynb")
    hand_in(course, "html too", NAME, good, **{"report.html": b"<script>", "data.csv": b"a,b", "x.exe": b"MZ"})
    linked = hand_in(course, "linked", NAME, good)
    (linked / "answers").symlink_to(course.root / "source")
    (linked / "pipe").unlink(missing_ok=True)
    os.mkfifo(linked / "pipe")
    more = {"renamed": (GRADED, 4), "html too": (GRADED, 4), "linked": (GRADED, 4)}
    return {name: (state, points) for name, (_, state, points) in cases.items() if state} | more


def everything_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture(scope="module")
def class_(tmp_path_factory):
    """A course whose class has been graded: the course, what each must get, what was said, the originals before."""
    course = make_course(tmp_path_factory.mktemp("class") / "course")
    course.config.Execute.timeout = 4  # seconds a cell
    (course.root / "source" / "notes.txt").write_text(SECRET)
    generate(course, NAME, lambda line: None)
    expected = hand_in_everything(course)
    before, said = everything_below(course.root / "submitted"), []
    graded = grade(course, NAME, say=said.append)
    return course, expected, graded, said, before


@pytest.fixture(scope="module")
def _released(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("released") / "course")
    for name in (NAME, ESSAY_NAME):
        generate(course, name, lambda line: None)
    return course


@pytest.fixture
def course(_released, tmp_path):
    """A course of the test's own, in which nothing has been handed in."""
    return find_course(shutil.copytree(_released.root, tmp_path / "course"))


def rows(course, student: str):
    with course.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook(NAME, NAME, safe_id(student))
        return {
            grade.name: (grade.auto_score, grade.manual_score, grade.needs_manual_grade) for grade in notebook.grades
        }


def test_every_submission_is_in_the_database_in_a_report_and_in_formgrader(class_):
    course, expected, graded, said, _ = class_
    assert {each.submission.student for each in graded} == {safe_id(name) for name in expected}
    for name in expected:
        assert rows(course, name), name
        assert read_report(course, safe_id(name), NAME)["student"] == safe_id(name)
        assert (course.folder("autograded", safe_id(name), NAME) / f"{NAME}.ipynb").is_file(), name
        assert any(safe_id(name) in line for line in said), name


def test_each_gets_what_it_earned_and_no_zero_that_nobody_gave(class_):
    course, expected, *_ = class_
    found = {}
    for name in expected:
        parts = rows(course, name)
        open_ = any(needs for _, _, needs in parts.values())
        points = None if open_ else sum(auto for auto, _, _ in parts.values())
        found[name] = (read_report(course, safe_id(name), NAME)["status"], points)
    assert found == expected


def test_whoever_needs_a_person_is_told_why(class_):
    course, expected, *_ = class_
    for name, (state, _) in expected.items():
        assert bool(read_report(course, safe_id(name), NAME)["why"]) == (state == NEEDS_A_PERSON), name


def test_what_was_handed_in_is_untouched(class_):
    course, _, _, _, before = class_
    assert everything_below(course.root / "submitted") == before


def test_nothing_of_the_instructors_leaks_into_what_is_shown(class_):
    course, *_ = class_
    for step in ("autograded", "repaired", "reports"):
        for path, content in everything_below(course.root / step).items():
            assert SECRET.encode() not in content and b"notes.txt" not in content, path
    assert (course.root / "gradebook.db").is_file()


def test_only_what_cannot_act_lies_beside_a_graded_notebook(class_):
    course, *_ = class_
    for path in everything_below(course.root / "autograded"):
        assert Path(path).suffix in (".ipynb", ".csv", ".txt", ".png", ".jpg", ".jsonl"), path
    assert not any(path.is_symlink() for path in (course.root / "autograded").rglob("*"))


def test_text_of_a_broken_file_reaches_the_grader(class_):
    course, *_ = class_
    shown = (course.folder("autograded", "cut off", NAME) / f"{NAME}.ipynb").read_text()
    assert "Double a number" in shown


def test_a_second_grading_changes_nothing_and_runs_nothing(class_):
    course, *_ = class_
    before = everything_below(course.root / "reports")
    again = grade(course, NAME, say=lambda line: None)
    assert not any(each.is_new for each in again)
    assert everything_below(course.root / "reports") == before


def test_marks_of_people_outlive_another_grading_and_a_new_submission_asks_for_new_ones(course):
    def grade_again(force: bool = True) -> None:
        grade(course, NAME, force=force, say=lambda line: None)

    hand_in(course, "wrong", NAME, answered(course, WRONG))
    grade_again()
    give_mark(course, "wrong", 1.5)
    grade_again()
    assert rows(course, "wrong")["see"] == (0.0, 1.5, False)
    hand_in(course, "wrong", NAME, answered(course, GOOD))
    for force in (False, True):  # and goes on asking, however often it is graded
        grade_again(force)
        assert rows(course, "wrong")["see"] == (2.0, 1.5, True)
        assert "handed in anew" in read_report(course, "wrong", NAME)["why"][0]
    give_mark(course, "wrong", 2)
    grade_again()
    assert rows(course, "wrong")["see"] == (2.0, 2, False)
    assert read_report(course, "wrong", NAME)["why"] == []


def give_mark(course, student: str, points: float) -> None:
    with course.gradebook() as gradebook:
        part = gradebook.find_grade("see", NAME, NAME, student)
        part.manual_score, part.needs_manual_grade = points, False
        gradebook.db.commit()


def test_a_name_that_nobody_has_is_told(class_):
    with pytest.raises(TextError, match="Nobody called nemo"):
        grade(class_[0], NAME, ["nemo"], say=lambda line: None)


def test_without_a_sandbox_nothing_of_a_students_code_runs(class_, monkeypatch):
    course, *_ = class_
    monkeypatch.setattr("course_utils.grading.autograde.grade.require_sandbox", _refuse)
    hand_in(course, "late comer", NAME, answered(course, GOOD))
    with pytest.raises(NoSandbox):
        grade(course, NAME, say=lambda line: None)
    shutil.rmtree(course.root / "submitted" / "late comer")


def _refuse() -> None:
    raise NoSandbox("none here")


LONG = "These are words that somebody wrote with care. " * 12
ESSAYS = {
    "as it should be": ({"text_thesis": LONG}, ""),
    "into a heading": ({"heading_thesis": f"## About thesis\n\n{LONG}"}, "is not for writing"),
    "at the end": ({}, "belong to no section"),
    "in a document": ({}, "essay.docx"),
}


def test_words_of_an_essay_are_found_or_missed_aloud_wherever_they_stand(course):
    for student, (answers, _) in ESSAYS.items():
        notebook = with_answer(released(course, ESSAY_NAME), **answers)
        if student == "at the end":
            notebook.cells.append(new_markdown_cell(LONG))
        more = {"essay.docx": b"PK"} if student == "in a document" else {}
        hand_in(course, student, ESSAY_NAME, notebook, **more)
    grade(course, ESSAY_NAME, say=lambda line: None)
    for student, (_, told) in ESSAYS.items():
        report = read_report(course, student, ESSAY_NAME)
        assert bool(report["why"]) == bool(told) and told in " ".join(report["why"]), student
        shown = (course.folder("autograded", student, ESSAY_NAME) / f"{ESSAY_NAME}.ipynb").read_text()
        assert ("somebody wrote with care" in shown) == (student != "in a document")


def test_a_ledger_that_cannot_be_read_is_not_told_as_none(course):
    essay = with_answer(released(course, ESSAY_NAME), text_thesis=f"{LONG} [@E-07f3]")
    folder = hand_in(course, "linked", ESSAY_NAME, essay)
    (folder / "evidence.jsonl").symlink_to("/etc/hostname")
    hand_in(course, "renamed", ESSAY_NAME, essay, **{"evidence (1).jsonl": b'{"id": "E-07f3"}\n'})
    grade(course, ESSAY_NAME, say=lambda line: None)
    linked, renamed = (read_report(course, student, ESSAY_NAME) for student in ("linked", "renamed"))
    assert "evidence.jsonl may be the ledger" in linked["ledger"]["why"] and linked["why"]
    assert renamed["ledger"]["status"] == "tampered"


def test_a_killed_grading_goes_on_where_it_was(course):
    for student in "ab":
        hand_in(course, student, NAME, answered(course, GOOD))
    line = [sys.executable, "-m", "course_utils", "grade", "run", NAME, "--course", str(course.root), "--jobs", "1"]
    first = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert "a: graded" in first.stdout.readline()
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    _wait_until(lambda: not subprocess.run(["pgrep", "-f", f"grading-{first.pid}-"], capture_output=True).stdout)
    said: list[str] = []
    grade(course, NAME, say=said.append)
    assert any("a: as before" in line for line in said)
    assert all(rows(course, student)["see"] == (2.0, None, False) for student in "ab")


def _wait_until(is_so) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail("a killed grading left processes behind")


def test_a_source_that_was_changed_is_noticed(course):
    hand_in(course, "ann", NAME, answered(course, GOOD))
    grade(course, NAME, say=lambda line: None)
    changed = exercises()
    changed.cells[-1].source = changed.cells[-1].source.replace("== 42", "== 43")
    nbformat.write(changed, course.source(NAME))
    generate(course, NAME, lambda line: None)
    assert [each.is_new for each in grade(course, NAME, say=lambda line: None)] == [True]
    assert rows(course, "ann")["unseen"][0] == 0
