"""Gradings that meet a locked, full or vanished something: the others are graded, nothing half-done is a mark."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest
from made_course import ESSAY_NAME, GOOD, WRONG, hand_in, make_course, released, with_answer

from course_utils.__main__ import main
from course_utils.errors import CourseError
from course_utils.grading.assignments.generate import generate
from course_utils.grading.autograde.grade import GRADED, NEEDS_A_PERSON, UNTOUCHED, grade
from course_utils.grading.autograde.gradebook import confirm
from course_utils.grading.course.course import find_course
from course_utils.grading.course.gradebook_access import WAIT_VARIABLE
from course_utils.grading.feedback.feedback import write_feedback
from course_utils.grading.marking.submission_status import (
    MARKED,
    NOT_GRADED,
    PERSON,
    TO_MARK,
    overview,
    submission_statuses,
)
from course_utils.grading.marking.submissions_to_mark import UNFINISHED, read_report
from course_utils.grading.sandbox.sandbox import sandbox_problem

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}"),
]
NAME = "size_comparison"


@pytest.fixture(scope="module")
def _released(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("released") / "course")
    for name in (NAME, ESSAY_NAME):
        generate(course, name, lambda line: None)
    return course


@pytest.fixture(scope="module")
def _handed_in(_released, tmp_path_factory):
    shutil.copytree(_released.root, root := tmp_path_factory.mktemp("handed-in") / "course")
    course = find_course(root)
    for student, answer in (("ann", GOOD), ("bob", WRONG)):
        hand_in(course, student, NAME, with_answer(released(course, NAME), answer_double=answer))
    return course


@pytest.fixture(scope="module")
def _graded(_handed_in, tmp_path_factory):
    shutil.copytree(_handed_in.root, root := tmp_path_factory.mktemp("graded") / "course")
    course = find_course(root)
    grade(course, NAME, say=quietly)
    return course


@pytest.fixture
def course(_handed_in, tmp_path, monkeypatch):
    """A course with two sheets handed in: one right, one wrong."""
    monkeypatch.setenv(WAIT_VARIABLE, "0.2")
    return find_course(shutil.copytree(_handed_in.root, tmp_path / "course"))


@pytest.fixture
def graded_course(_graded, tmp_path, monkeypatch):
    """The same course after its grading."""
    monkeypatch.setenv(WAIT_VARIABLE, "0.2")
    return find_course(shutil.copytree(_graded.root, tmp_path / "course"))


def quietly(_line: str) -> None:
    """Say nothing."""


def states(course, assignment: str = NAME) -> dict[str, str]:
    return {each.student: each.state for each in submission_statuses(course, assignment)}


def scores(course) -> dict[str, float]:
    table = overview(course, NAME).set_index("student")["score"]
    return {student: score for student, score in table.items() if score == score}


@contextlib.contextmanager
def locked(course):
    """Keep the gradebook locked, as a database browser does."""
    with contextlib.closing(sqlite3.connect(course.root / "gradebook.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def test_a_gradebook_that_is_locked_meanwhile_leaves_the_others_for_the_next_run(course):
    with contextlib.ExitStack() as lock:

        def lock_after_the_first(line: str) -> None:
            if "ann: graded" in line:
                lock.enter_context(locked(course))

        ann, bob = grade(course, NAME, say=lock_after_the_first, n_jobs=1)
    assert (ann.left, ann.report["status"]) == ("", GRADED)
    assert "is in use by another program" in bob.left and not bob.is_new
    assert states(course) == {"ann": MARKED, "bob": NOT_GRADED} and scores(course) == {"ann": 4}
    again = grade(course, NAME, say=quietly, n_jobs=1)
    assert [(each.left, each.is_new) for each in again] == [("", False), ("", True)]
    assert scores(course) == {"ann": 4, "bob": 0}


def test_the_command_says_what_is_left_and_its_exit_code_does(course, capsys):
    (course.root / "reports").mkdir()
    (course.root / "reports" / "ann").write_text("a file where a folder must be")
    assert main(["grade", "run", NAME, "--course", str(course.root)]) == 1
    told = capsys.readouterr().out
    assert "ann: left for later" in told and "bob: graded" in told and f"{NAME}: 1 of 2 submissions are left." in told
    assert states(course) == {"ann": NOT_GRADED, "bob": MARKED}
    (course.root / "reports" / "ann").unlink()
    assert main(["grade", "run", NAME, "--course", str(course.root)]) == 0
    assert scores(course) == {"ann": 4, "bob": 0}


def test_a_folder_that_vanishes_meanwhile_leaves_the_report_from_before(graded_course):
    course = graded_course
    before = read_report(course, "ann", NAME)

    def remove_it(line: str) -> None:
        shutil.rmtree(course.folder("submitted", "ann", NAME), ignore_errors=True)

    hand_in(course, "aaa", NAME, with_answer(released(course, NAME), answer_double=GOOD))
    hand_in(course, "ann", NAME, with_answer(released(course, NAME), answer_double=WRONG))
    first, ann, _ = grade(course, NAME, force=True, say=remove_it, n_jobs=1)
    assert first.left == "" and "is no longer there" in ann.left
    report = read_report(course, "ann", NAME)
    assert report["status"] == UNFINISHED and report["content"] == before["content"]
    assert states(course)["ann"] == NOT_GRADED


@pytest.mark.parametrize("moment", [1, 6])
def test_an_interrupted_grading_is_no_mark_and_goes_on(course, moment):
    """Killed some moments after a submission was begun: wherever that is, the next run makes the same marks."""
    line = [sys.executable, "-m", "course_utils", "grade", "run", NAME, "--course", str(course.root), "--jobs", "1"]
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    report = course.folder("reports", "ann", NAME) / "report.json"
    while running.poll() is None and not report.is_file():
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(moment / 4)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGINT if moment % 2 else signal.SIGKILL)
    running.wait()
    whole = {student for student in ("ann", "bob") if read_report(course, student, NAME).get("fingerprint")}
    assert set(scores(course)) == whole
    grade(course, NAME, say=quietly, n_jobs=1)
    assert scores(course) == {"ann": 4, "bob": 0}


def test_marks_that_wait_for_a_person_still_do_after_an_interruption(graded_course):
    """nbgrader lets every mark wait while it grades; what a person has confirmed must not be asked for again."""
    course = graded_course
    with course.gradebook() as gradebook:
        part = gradebook.find_grade("see", NAME, NAME, "bob")
        part.manual_score, part.needs_manual_grade = 1.5, False
        gradebook.db.commit()
    report = read_report(course, "bob", NAME)
    with course.gradebook() as gradebook:  # as it is when a grading is killed after nbgrader's last step
        gradebook.find_grade("see", NAME, NAME, "bob").needs_manual_grade = True
        gradebook.db.commit()
    unfinished = {**report, "status": UNFINISHED, "fingerprint": "", "waited": {"see": False}}
    (course.folder("reports", "bob", NAME) / "report.json").write_text(json.dumps(unfinished))
    assert states(course)["bob"] == NOT_GRADED
    grade(course, NAME, say=quietly, n_jobs=1)
    assert scores(course)["bob"] == 1.5


def test_a_submission_that_takes_too_long_goes_to_a_person_and_is_not_tried_each_time(graded_course):
    course = graded_course
    slow = "import time\ntime.sleep(300)\n"
    hand_in(course, "slow", NAME, with_answer(released(course, NAME), answer_double=slow + GOOD))
    course.config.Execute.timeout = 300
    (found,) = grade(course, NAME, ["slow"], say=quietly, seconds=3, n_jobs=1)
    assert found.report["status"] == NEEDS_A_PERSON and "took more than 3 seconds" in found.report["why"][0]
    again = {each.submission.student: each.is_new for each in grade(course, NAME, say=quietly, n_jobs=1)}
    assert again == {"ann": False, "bob": False, "slow": False}
    assert states(course) == {"ann": MARKED, "bob": MARKED, "slow": PERSON}


def test_a_full_disk_leaves_submissions_and_says_so(course, tmp_path):
    """A real one: a file system of a few megabytes, mounted where nobody else sees it."""
    small = tmp_path / "small"
    small.mkdir()
    script = f"""set -e
mount -t tmpfs -o size=6m tmpfs {small}
cp -a {course.root}/. {small}/
dd if=/dev/zero of={small}/filler bs=4k 2>/dev/null || true
{sys.executable} -m course_utils grade run {NAME} --course {small} --jobs 1 || echo exit $?
rm {small}/filler
{sys.executable} -m course_utils grade run {NAME} --course {small} --jobs 1 && echo fine
{sys.executable} -m course_utils grade status {NAME} --course {small}
"""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces for this user")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, cwd=os.getcwd())
    first, _, second = done.stdout.partition("exit 1")
    assert "2 of 2 submissions are left" in first or "disk is full" in done.stderr, done
    assert "fine" in second and "Traceback" not in done.stderr, done
    assert second.count("marked") == 2


def test_a_whole_cycle_in_a_folder_whose_name_means_something_everywhere(_released, tmp_path, capsys):
    root = tmp_path / "a%20b?c#d;e'f\"g {x}[y]* é 李"
    shutil.copytree(_released.root, root)
    course = find_course(root)
    hand_in(course, "ann", NAME, with_answer(released(course, NAME), answer_double=GOOD))
    for words in (("run", NAME), ("status",), ("feedback", NAME), ("export", NAME, "--to", str(root / "marks.csv"))):
        assert main(["grade", *words, "--course", str(root)]) == 0, capsys.readouterr().err
    assert scores(course) == {"ann": 4}
    assert (course.folder("feedback", "ann", NAME) / f"{NAME}.html").is_file() and (root / "marks.csv").is_file()
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name]


# -- sheets into which nothing was written -----------------------------------------------------------------------------


def test_an_untouched_sheet_waits_for_a_person_and_one_command_confirms_its_zero(graded_course, capsys):
    course = graded_course
    hand_in(course, "cy", NAME, released(course, NAME))
    hand_in(course, "dee", NAME, b"\x00\x01 no notebook")
    grade(course, NAME, say=quietly, n_jobs=1)
    assert states(course) == {"ann": MARKED, "bob": MARKED, "cy": PERSON, "dee": PERSON}
    assert read_report(course, "cy", NAME)["why"] == [UNTOUCHED]
    assert set(scores(course)) == {"ann", "bob"}
    pages = {each.student: each.is_there for each in write_feedback(course, NAME, quietly)}
    assert pages == {"ann": True, "bob": True, "cy": False, "dee": False}
    assert main(["grade", "confirm", NAME, "cy", "dee", "--course", str(course.root)]) == 0
    assert "cy: see: 0 of 2" in capsys.readouterr().out
    assert scores(course) == {"ann": 4, "bob": 0, "cy": 0, "dee": 0}
    grade(course, NAME, ["cy", "dee"], force=True, say=quietly, n_jobs=1)
    assert scores(course) == {"ann": 4, "bob": 0, "cy": 0, "dee": 0}  # a person's decision stays
    hand_in(course, "cy", NAME, with_answer(released(course, NAME), answer_double=GOOD))
    grade(course, NAME, say=quietly, n_jobs=1)
    assert states(course)["cy"] == PERSON  # until it is another submission


def test_nobody_is_confirmed_who_has_not_been_graded(course):
    for student in ("ann", "nemo", "../ann"):
        with pytest.raises(CourseError, match="no graded submission"):
            confirm(course, NAME, student)


def test_what_somebody_has_to_read_is_not_confirmed_as_zero(course):
    essay = with_answer(released(course, ESSAY_NAME), text_thesis="A thesis of my own.")
    hand_in(course, "ann", ESSAY_NAME, essay)
    grade(course, ESSAY_NAME, say=quietly, n_again=0, n_jobs=1)
    (line,) = confirm(course, ESSAY_NAME, "ann")
    assert "has to be read" in line
    assert states(course, ESSAY_NAME)["ann"] == TO_MARK


def test_confirming_twice_changes_nothing(graded_course):
    course = graded_course
    before = scores(course)
    assert "nothing was changed" in confirm(course, NAME, "ann")[0]
    assert scores(course) == before
