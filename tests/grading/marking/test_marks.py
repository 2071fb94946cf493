"""Marks are in range whoever writes them, the same wherever they are read, and undone at a word."""

import math

import pytest
from made_course import ESSAY_NAME, make_course, released
from nbgrader.api import Gradebook
from tornado.web import HTTPError

from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.grading.assignments.generate import generate
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.course.course import ignore_nbgrader_warnings
from course_utils.grading.course.late_penalty import GRACE_S, MAX_SHARE, late_penalty
from course_utils.grading.course.score_guard import require_mark
from course_utils.grading.marking.marking_session import MarkingSession
from course_utils.grading.marking.marks import FileMarks, GradebookMarks, Mark
from course_utils.grading.marking.submissions_to_mark import Paper

pytestmark = pytest.mark.slow

IMPOSSIBLE = [-1, -0.01, 4.5, 99, math.nan, math.inf, "abc", "3", True, [], {}]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("marks") / "course")
    generate(course, ESSAY_NAME, lambda line: None)
    with course.gradebook() as gradebook, ignore_nbgrader_warnings():
        for student in ("ann", "bob"):
            gradebook.update_or_create_student(student)
            gradebook.add_submission(ESSAY_NAME, student)
    return course


@pytest.fixture(params=["gradebook", "file"])
def desk(request, course, tmp_path):
    """A desk with two papers, whose marks lie in nbgrader's database or in a file."""
    rubric = load_rubric(course.source(ESSAY_NAME).parent / "rubric.yaml")
    with course.gradebook() as gradebook:
        keys = sorted(each.id for each in gradebook.notebook_submissions(ESSAY_NAME, ESSAY_NAME))
    marks = GradebookMarks(course, rubric) if request.param == "gradebook" else FileMarks(tmp_path / "m.json", rubric)
    papers = [Paper(key, number, "", ()) for number, key in enumerate(keys, 1)]
    desk = MarkingSession(rubric, papers, lambda paper: None, marks, "me", tmp_path / "journal.jsonl")
    for paper in papers:
        for criterion in rubric.criteria:
            desk.mark(paper.key, criterion.id, None)
            desk.comment(paper.key, criterion.id, "")
    desk._done.clear()
    return desk


def test_what_is_written_is_read(desk):
    key = desk.papers[0].key
    desk.mark(key, "thesis", 2.5)
    desk.comment(key, "thesis", "Fine – “so far”.\nGo on.")
    assert desk.marks(key)["thesis"] == Mark(2.5, "Fine – “so far”.\nGo on.")
    assert desk.marks(desk.papers[1].key)["thesis"] == Mark()


@pytest.mark.parametrize("value", IMPOSSIBLE, ids=str)
def test_a_mark_that_cannot_be_changes_nothing(desk, value):
    key = desk.papers[0].key
    desk.mark(key, "thesis", 3)
    with pytest.raises(SettingsError):
        desk.mark(key, "thesis", value)
    assert desk.marks(key)["thesis"].points == 3


def test_zero_is_a_mark_and_no_mark_is_none(desk):
    key = desk.papers[0].key
    desk.mark(key, "thesis", 0)
    assert desk.total(key) is None
    desk.mark(key, "evidence", 0)
    assert desk.total(key) == 0
    desk.mark(key, "thesis", None)
    assert desk.total(key) is None


def test_undo_takes_back_one_change_at_a_time_to_the_beginning(desk):
    key, states = desk.papers[0].key, []
    changes = [
        lambda: desk.mark(key, "thesis", 1),
        lambda: desk.comment(key, "evidence", "a"),
        lambda: desk.mark(key, "thesis", 4),
    ]
    for change in changes:
        states.append(desk.marks(key))
        change()
    for state in reversed(states):
        assert desk.undo() is not None
        assert desk.marks(key) == state
    assert desk.undo() is None


def test_a_level_earns_its_points_and_points_their_level(desk):
    key = desk.papers[0].key
    for level in range(len(desk.rubric.levels)):
        points = desk.mark_level(key, "evidence", level).points
        assert desk.rubric.level_of("evidence", points) == level
    with pytest.raises(SettingsError):
        desk.mark_level(key, "evidence", 9)


def test_every_change_stands_in_the_journal_with_the_rubrics_version(desk):
    key, journal = desk.papers[0].key, desk._journal
    before = len(journal.read_text().splitlines()) if journal.exists() else 0
    desk.mark(key, "thesis", 1)
    desk.mark(key, "thesis", 1)
    desk.undo()
    lines = journal.read_text().splitlines()[before:]
    assert len(lines) == 2 and all(desk.rubric.version in line for line in lines)


def test_the_comment_bank_gives_what_was_said_most_first(desk):
    first, second = (paper.key for paper in desk.papers)
    desk.comment(first, "thesis", "Say who decides.")
    desk.comment(second, "thesis", "Say who decides.")
    desk.comment(first, "evidence", "Elsewhere.")
    assert desk.comment_bank("thesis") == ["Say who decides."]


@pytest.mark.parametrize("text", ["x" * 10_001, None, 5])
def test_a_comment_that_cannot_be_is_refused(desk, text):
    with pytest.raises(TextError):
        desk.comment(desk.papers[0].key, "thesis", text)


def test_an_unknown_paper_or_criterion_is_told(desk):
    for key, criterion in (("nobody", "thesis"), (desk.papers[0].key, "beauty")):
        with pytest.raises(SettingsError, match="There is no"):
            desk.mark(key, criterion, 1)


@pytest.mark.parametrize("value", [-3, 999, "abc", math.nan])
def test_nbgraders_own_classes_refuse_it_too_and_go_on(course, value):
    """What formgrader's page sends arrives at this attribute; its error must leave the session usable."""
    with course.gradebook() as gradebook:
        grade = gradebook.find_grade("criterion-thesis", ESSAY_NAME, ESSAY_NAME, "ann")
        grade.manual_score = 2
        gradebook.db.commit()
        with pytest.raises(SettingsError) as refused:
            grade.manual_score = value
        assert isinstance(refused.value, HTTPError) and refused.value.status_code == 400
        gradebook.db.commit()
    with Gradebook(course.db_url) as gradebook:
        assert gradebook.find_grade("criterion-thesis", ESSAY_NAME, ESSAY_NAME, "ann").manual_score == 2


@pytest.mark.parametrize(("typed", "points"), [("3", 3), (" 2.5 ", 2.5), ("", None), ("0", 0)])
def test_nbgraders_classes_take_what_formgraders_page_sends(course, typed, points):
    with course.gradebook() as gradebook:
        grade = gradebook.find_grade("criterion-thesis", ESSAY_NAME, ESSAY_NAME, "ann")
        grade.manual_score = typed
        gradebook.db.commit()
        assert grade.manual_score == points


def test_a_file_of_marks_that_is_none_is_left_alone(desk, tmp_path):
    file = tmp_path / "other.json"
    file.write_text("my diary")
    with pytest.raises(DamagedFile):
        FileMarks(file, desk.rubric).write("a", "thesis", Mark(1.0))
    assert file.read_text() == "my diary"


def test_a_whole_number_above_all_floats_is_no_mark():
    with pytest.raises(SettingsError, match="1e308"):  # formgrader reads it from JSON, whose numbers may be that long
        require_mark(10**5000, 4)


@pytest.mark.parametrize("value", IMPOSSIBLE, ids=str)
def test_only_numbers_in_range_are_marks(value):
    with pytest.raises(SettingsError):
        require_mark(value, 4)


def test_lateness_costs_by_the_day_and_never_more_than_its_share():
    assert late_penalty(20, GRACE_S) is None and late_penalty(20, -5) is None and late_penalty(0, 1e9) is None
    costs = [late_penalty(20, GRACE_S + hours * 3600) for hours in range(1, 2000, 7)]
    assert costs == sorted(costs)
    assert costs[-1] == 20 * MAX_SHARE


def test_a_late_mark_is_counted_after_it_is_given(course):
    import datetime

    rubric = load_rubric(course.source(ESSAY_NAME).parent / "rubric.yaml")
    with course.gradebook() as gradebook:
        due = datetime.datetime(2026, 1, 1)
        gradebook.find_assignment(ESSAY_NAME).duedate = due
        gradebook.find_submission(ESSAY_NAME, "bob").timestamp = due + datetime.timedelta(days=1, hours=1)
        gradebook.db.commit()
        key = gradebook.find_submission_notebook(ESSAY_NAME, ESSAY_NAME, "bob").id
    marks = GradebookMarks(course, rubric)
    for points, penalty in ((4.0, 0.4), (2.0, 0.2), (0.0, None)):
        marks.write(key, "evidence", Mark(0.0))
        marks.write(key, "thesis", Mark(points))
        with course.gradebook() as gradebook:
            found = gradebook.find_submission_notebook(ESSAY_NAME, ESSAY_NAME, "bob").late_submission_penalty
        assert found == penalty


def test_released_cells_of_the_rubric_hold_no_mark_scheme(course):
    assert "secret advice" not in str(released(course, ESSAY_NAME))
    assert "secret advice" in course.source(ESSAY_NAME).read_text()
