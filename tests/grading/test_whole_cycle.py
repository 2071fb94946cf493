"""The whole story: two students, two graders, from the source to the feedback that a student fetches."""

import csv
import datetime
import html
import io
import shutil
from pathlib import Path

import nbformat
import pytest
from made_course import released
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default import ExchangeFetchAssignment, ExchangeFetchFeedback, ExchangeSubmit
from repository import ROOT

from course_utils.grading.autograde.grade import grade
from course_utils.grading.autograde.gradebook import confirm
from course_utils.grading.course.course import ESSAY, EXERCISES, Course, find_course, ignore_nbgrader_warnings
from course_utils.grading.feedback.feedback import release_feedback
from course_utils.grading.marking.agreement import two_graders
from course_utils.grading.marking.marking_session import open_marking_session
from course_utils.grading.marking.sample_essays import load_samples, sample_ledger
from course_utils.grading.marking.submission_status import overview
from course_utils.grading.marking.submissions_to_mark import read_report
from course_utils.grading.release.release import release
from course_utils.grading.reports.exports import export_csv
from course_utils.grading.sandbox.sandbox import sandbox_problem
from course_utils.grading.submissions.collect import collect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}"),
]
SOLVED = "### BEGIN SOLUTION"


def quietly(line: str) -> None:
    """Say nothing."""


class Student:
    """A student with a folder of their own, who uses nbgrader's own fetch and submit."""

    def __init__(self, name: str, course: Course, folder: Path) -> None:
        self.name, self.course, self.folder = name, course, folder / name
        self.folder.mkdir()

    def exchange(self, kind: type, assignment: str) -> None:
        settings = {"assignment_dir": str(self.folder), "cache": str(self.folder / ".cache")}
        config = self.course.changed(
            CourseDirectory={"student_id": self.name, "assignment_id": assignment},
            Exchange={"root": str(self.course.exchange), **settings},
        )
        with ignore_nbgrader_warnings():
            kind(
                coursedir=CourseDirectory(config=config), authenticator=Authenticator(config=config), config=config
            ).start()

    def fetch(self, assignment: str) -> nbformat.NotebookNode:
        self.exchange(ExchangeFetchAssignment, assignment)
        return nbformat.read(self.folder / assignment / f"{assignment}.ipynb", as_version=4)

    def submit(self, assignment: str, notebook: nbformat.NotebookNode) -> None:
        nbformat.write(notebook, self.folder / assignment / f"{assignment}.ipynb")
        self.exchange(ExchangeSubmit, assignment)

    def feedback(self, assignment: str) -> str:
        self.exchange(ExchangeFetchFeedback, assignment)
        return "\n".join(path.read_text("utf-8") for path in (self.folder / assignment).rglob("feedback/**/*.html"))


def write_essay(notebook: nbformat.NotebookNode, sample) -> nbformat.NotebookNode:
    for cell in notebook.cells:
        if cell.id.startswith("text-"):
            cell.source = sample.essay.section(cell.id.removeprefix("text-")).text
        elif cell.id == "strategy":
            cell.source = f"strategy = {sample.essay.strategy!r}"
    return notebook


def solve(notebook: nbformat.NotebookNode, course: Course) -> nbformat.NotebookNode:
    """Write the instructor's own answers."""
    solved = {
        cell.id: cell.source for cell in nbformat.read(course.source(EXERCISES), 4).cells if SOLVED in cell.source
    }
    for cell in notebook.cells:
        cell.source = solved.get(cell.id, cell.source).replace(SOLVED, "").replace("### END SOLUTION", "")
    return notebook


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """All of it, once; the laws below look at what came of it."""
    with pytest.MonkeyPatch.context() as patch:
        top = tmp_path_factory.mktemp("story")
        patch.setenv("NBGRADER_EXCHANGE", str(top / "exchange"))
        shutil.copytree(ROOT / "source", top / "course" / "source", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        shutil.copy(ROOT / "nbgrader_config.py", top / "course")
        course = find_course(top / "course")
        for name in (ESSAY, EXERCISES):
            release(course, name, quietly)
        samples = {sample.name: sample for sample in load_samples()}
        students = {name: Student(name, course, top) for name in ("ann", "bob")}
        for student, sample in zip(students.values(), (samples["three"], samples["two"]), strict=True):
            essay = student.fetch(ESSAY)
            shutil.copy(sample_ledger(), student.folder / ESSAY / "evidence.jsonl")
            student.submit(ESSAY, write_essay(essay, sample))
            sheet = student.fetch(EXERCISES)
            student.submit(EXERCISES, solve(sheet, course) if student.name == "ann" else sheet)
        for name in (ESSAY, EXERCISES):
            collect(course, name, quietly)
        with course.gradebook() as gradebook:  # both are two begun days late
            ago = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(hours=26)
            gradebook.find_assignment(ESSAY).duedate = ago
            gradebook.db.commit()
        for name in (ESSAY, EXERCISES):
            grade(course, name, n_again=1, say=quietly)
        with course.gradebook() as gradebook:
            gradebook.grant_extension(ESSAY, "ann", days=3)
        confirm(course, EXERCISES, "bob")  # his sheet is as it was given out: a person lets the 0 stand
        mark_all(course, samples)
        for name in (ESSAY, EXERCISES):
            release_feedback(course, name, quietly)
        yield course, students, samples


def mark_all(course: Course, samples: dict) -> None:
    """The first grader gives our levels; the second one is a level harsher where that is possible."""
    first, second = open_marking_session(course, "first"), open_marking_session(course, "second", second_reader=True)
    for paper in first.papers:
        sample = samples["three" if paper.student == "ann" else "two"]
        for criterion, level in sample.levels.items():
            first.mark_level(paper.key, criterion, level)
            first.comment(paper.key, criterion, f"Seen: {criterion}. <b>Go on</b> & on.")
            second.mark_level(paper.key, criterion, max(0, level - 1))


def expected(story, student: str) -> tuple[float, float]:
    """The raw points and the penalty."""
    course, _, samples = story
    rubric = open_marking_session(course).rubric
    sample = samples["three" if student == "ann" else "two"]
    raw = sum(rubric.points_of(criterion, level) for criterion, level in sample.levels.items())
    return raw, (0.0 if student == "ann" else round(0.1 * raw, 2))


@pytest.mark.parametrize("student", ["ann", "bob"])
def test_marks_are_equal_on_the_page_in_the_database_in_the_overview_and_in_the_csv(story, student, tmp_path):
    course, *_ = story
    raw, penalty = expected(story, student)
    desk = open_marking_session(course)
    key = next(paper.key for paper in desk.papers if paper.student == student)
    with course.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook(ESSAY, ESSAY, student)
        in_database = notebook.score, notebook.late_submission_penalty or 0.0
    row = overview(course, ESSAY).set_index("student").loc[student]
    export_csv(course, ESSAY, tmp_path / "marks.csv")
    rows = csv.DictReader(io.StringIO((tmp_path / "marks.csv").read_text("utf-8-sig")))
    exported = next(each for each in rows if student in each.values())
    assert desk.total(key) == in_database[0] == row["raw"] == float(exported["raw"]) == raw
    assert in_database[1] == row["late_penalty"] == penalty
    assert row["score"] == float(exported["score"]) == raw - penalty
    assert f"{raw - penalty:g}" in story[1][student].feedback(ESSAY)


def test_model_answers_earn_all_points_and_an_untouched_sheet_none(story):
    table = overview(story[0], EXERCISES).set_index("student")
    assert table.loc["ann", "score"] == table.loc["ann", "max"] == 20
    assert table.loc["bob", "score"] == 0
    assert set(table["state"]) == {"marked"}


def test_evidence_was_done_again_and_the_tale_that_was_told_is_in_the_report(story):
    strong, weak = (read_report(story[0], student, ESSAY) for student in ("ann", "bob"))
    for report in (strong, weak):
        assert report["ledger"]["status"] == "sound"
        again = [each["again"]["status"] for each in report["evidence"]]
        assert again.count("not sampled") == len(again) - 1
        assert set(again) <= {"not sampled", "reproduced", "within tolerance"}
    assert not any(each["severity"] == "fault" for each in strong["essay"]["findings"])
    assert sum(each["severity"] == "fault" for each in weak["essay"]["findings"]) >= 4


def test_a_students_feedback_tells_level_next_step_comment_and_evidence_and_no_secret(story):
    course, students, _ = story
    rubric = open_marking_session(course).rubric
    page = students["bob"].feedback(ESSAY)
    for criterion in rubric.criteria:
        assert criterion.name in page and f"Seen: {criterion.id}." in page
    assert "<b>Go on</b>" not in page and "&lt;b&gt;Go on" in page
    secrets = (ROOT / "source" / ESSAY / "mark_scheme.yaml").read_text("utf-8").split("\n")
    assert not [line for line in secrets if len(line) > 40 and line.strip() in page]
    hidden = [cell.source for cell in nbformat.read(course.source(EXERCISES), 4).cells if "BEGIN HIDDEN" in cell.source]
    sheet = students["bob"].feedback(EXERCISES)
    assert sheet and hidden
    for source in hidden:
        assert not [line for line in source.splitlines()[1:-1] if len(line) > 20 and line.strip() in sheet]


def test_neither_student_sees_the_others_words(story):
    _, students, samples = story
    pages = {name: html.unescape(students[name].feedback(ESSAY)) for name in ("ann", "bob")}
    begun = {name: samples[key].essay.section("thesis").text[:40] for name, key in (("ann", "three"), ("bob", "two"))}
    for name, page in pages.items():
        assert [other for other, words in begun.items() if words in page] == [name]


def test_two_graders_are_compared(story):
    table = two_graders(story[0], "second").set_index("criterion")
    assert table.loc["all", "n"] == 10
    assert -1 <= table.loc["all", "bias"] < 0
    assert 0 < table.loc["all", "mean_absolute_error"] <= 1


def test_what_students_fetched_holds_no_secret(story):
    course, *_ = story
    for name in (ESSAY, EXERCISES):
        text = str(released(course, name))
        assert "BEGIN HIDDEN" not in text and "MARK SCHEME" not in text and "BEGIN SOLUTION" not in text
