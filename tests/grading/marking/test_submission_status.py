"""Every submission is told once, and no score is told that nobody gave."""

import math
import shutil

import pytest
from made_course import hand_in
from made_marks import FORMULA, PEOPLE, give, machine, submitted, write_report

from course_utils.errors import TextError
from course_utils.grading.assignments.parts import exercises, parts_of
from course_utils.grading.course.course import ESSAY, EXERCISES
from course_utils.grading.marking.submission_status import (
    MARKED,
    NOT_GRADED,
    NOTHING,
    PERSON,
    STATES,
    TO_MARK,
    overview,
    submission_statuses,
)
from course_utils.grading.submissions.ingest import fingerprint


def by_student(course, assignment=ESSAY):
    return overview(course, assignment).set_index("student")


def test_everybody_stands_there_once_in_the_right_state(marked_course):
    table = overview(marked_course, ESSAY)
    assert table["student"].tolist() == sorted(PEOPLE)
    assert table.set_index("student")["state"].to_dict() == {
        "ann": MARKED, "=1-1": MARKED, "李": TO_MARK, "bo": PERSON, "cy": NOT_GRADED, "dee": NOTHING, FORMULA: NOTHING,
    }  # fmt: skip
    assert set(table["state"]) <= set(STATES)


@pytest.mark.parametrize("assignment", [ESSAY, EXERCISES])
def test_a_score_is_a_number_where_and_only_where_it_is_marked(marked_course, assignment):
    table = overview(marked_course, assignment)
    for column in ("raw", "late_penalty", "score"):
        assert (table[column].notna() == (table["state"] == MARKED)).all(), column
    assert ((table["why"] == "") == (table["state"] == MARKED)).all()


def test_a_zero_stands_there_only_if_somebody_gave_it(marked_course):
    """nbgrader itself counts a part without any mark as 0."""
    give(marked_course, "李", ESSAY, criterion_evidence=0)
    table = by_student(marked_course)
    assert table.loc["李", ["evidence", "score"]].tolist() == [0, 2]
    give(marked_course, "李", ESSAY, criterion_evidence=None)
    assert math.isnan(by_student(marked_course).loc["李", "evidence"])
    with marked_course.gradebook() as gradebook:
        assert gradebook.find_submission(ESSAY, "李").score == 2


def test_lateness_costs_what_the_marks_say_now_and_never_more_than_they_are(marked_course):
    """The database holds what lateness cost when the marks were others."""
    with marked_course.gradebook() as gradebook:
        gradebook.find_submission_notebook(ESSAY, ESSAY, "=1-1").late_submission_penalty = 101
        gradebook.db.commit()
    row = by_student(marked_course).loc["=1-1"]
    assert (row["raw"], row["late_penalty"], row["score"], row["max"]) == (2, 0.2, 1.8, 10)
    give(marked_course, "=1-1", ESSAY, criterion_thesis=4, criterion_evidence=6)
    assert by_student(marked_course).loc["=1-1", "score"] == 9


def test_checks_that_did_not_run_give_nothing(marked_course):
    table = by_student(marked_course, EXERCISES)
    assert table.loc["ann", "score"] == 4 and table.loc["=1-1", "score"] == 0
    assert table.loc["李", "state"] == TO_MARK and math.isnan(table.loc["李", "score"])
    machine(marked_course, "李", see=2, unseen=None)
    assert math.isnan(by_student(marked_course, EXERCISES).loc["李", "score"])
    give(marked_course, "李", EXERCISES, unseen=1)
    assert by_student(marked_course, EXERCISES).loc["李", "score"] == 3


def test_what_a_person_must_see_counts_only_when_a_person_gave_points(marked_course):
    row = by_student(marked_course, EXERCISES).loc["bo"]
    assert row["state"] == PERSON and "Two cells had the same name." in row["why"] and math.isnan(row["score"])
    give(marked_course, "bo", EXERCISES, see=1)
    row = by_student(marked_course, EXERCISES).loc["bo"]
    assert (row["state"], row["score"]) == (MARKED, 3)


def test_an_essay_that_a_person_must_see_is_marked_when_every_criterion_is(marked_course):
    give(marked_course, "bo", ESSAY, criterion_thesis=2)
    assert by_student(marked_course).loc["bo", "state"] == PERSON
    give(marked_course, "bo", ESSAY, criterion_evidence=3)
    assert by_student(marked_course).loc["bo", ["state", "score"]].tolist() == [MARKED, 5]


def test_a_mark_to_be_looked_at_again_is_none(marked_course):
    with marked_course.gradebook() as gradebook:
        for grade in gradebook.find_submission_notebook(ESSAY, ESSAY, "ann").grades:
            grade.needs_manual_grade = True
        gradebook.db.commit()
    assert by_student(marked_course).loc["ann", ["state"]].tolist() == [TO_MARK]


def test_extra_credit_counts(marked_course):
    with marked_course.gradebook() as gradebook:
        grade = gradebook.find_grade("criterion-thesis", ESSAY, ESSAY, "ann")
        grade.extra_credit = 1
        gradebook.db.commit()
    assert by_student(marked_course).loc["ann", ["thesis", "score"]].tolist() == [5, 9.5]


def test_what_was_handed_in_again_after_grading_has_no_score(marked_course):
    content = fingerprint(marked_course.root / "submitted/ann" / ESSAY)
    write_report(marked_course, "ann", ESSAY, content=content)
    assert by_student(marked_course).loc["ann", "state"] == MARKED
    hand_in(marked_course, "ann", ESSAY, {"cells": [{}]})
    row = by_student(marked_course).loc["ann"]
    assert row["state"] == NOT_GRADED and "again" in row["why"] and math.isnan(row["score"])


def test_a_submission_that_nobody_registered_and_one_without_its_folder_are_told(marked_course):
    submitted(marked_course, "new[one]", ESSAY)
    shutil.rmtree(marked_course.root / "submitted/ann")
    table = by_student(marked_course)
    assert table.loc["new%5Bone%5D", "state"] == NOT_GRADED
    assert table.loc["ann", "state"] == MARKED


def test_a_registered_name_and_the_name_that_its_folder_got_are_one_person(marked_course):
    with marked_course.gradebook() as gradebook:
        gradebook.add_student("a[b]", last_name="Registered")
        gradebook.add_student("a%5Bb%5D")
    assert by_student(marked_course).loc["a%5Bb%5D", "state"] == NOTHING
    submitted(marked_course, "a[b]", ESSAY)
    found = [each for each in submission_statuses(marked_course, ESSAY) if each.student.startswith("a")]
    assert [(each.student, each.person.last_name, each.state) for each in found if "ann" not in each.student] == [
        ("a%5Bb%5D", "Registered", NOT_GRADED)
    ]


def test_an_assignment_that_nbgrader_does_not_know_yet_has_no_marks(marked_course):
    (marked_course.root / "gradebook.db").unlink()
    table = overview(marked_course, ESSAY)
    assert set(table["state"]) == {NOT_GRADED, PERSON} and table["score"].isna().all()


def test_an_unknown_assignment_is_told_the_known_ones(marked_course):
    with pytest.raises(TextError, match=ESSAY):
        overview(marked_course, "esssay")


def test_the_columns_are_the_parts_of_the_assignment(marked_course):
    assert overview(marked_course, ESSAY).columns[3:5].tolist() == ["thesis", "evidence"]
    assert overview(marked_course, EXERCISES).columns[3:4].tolist() == ["answer-double"]
    assert [(part.name, part.most) for part in parts_of(marked_course, EXERCISES)] == [("Double a number", 4)]


def test_each_check_belongs_to_the_exercise_before_it():
    def cell(kind, source="", **marks):
        flags = {"grade_id": source or kind, **marks} if marks else {}
        return {"cell_type": kind, "source": source, "metadata": {"nbgrader": flags}}

    hidden = "### BEGIN HIDDEN TESTS\nassert f(12)\n### END HIDDEN TESTS"
    found = exercises([
        cell("markdown", "# All\n\n## One"), cell("code", "a", solution=True), cell("code", "b", solution=True),
        cell("code", "c", grade=True, points=1), cell("code", hidden, grade=True, points=2),
        cell("markdown", "## Two"), cell("code", "d", solution=True), cell("code", "e", grade=True, points=4),
        cell("code", "f", solution=True, grade=True, points=8), cell("code", "# not a heading"),
    ])  # fmt: skip
    told = [(part.name, part.answers, part.most, [check.is_hidden for check in part.checks]) for part in found]
    assert told == [("One", ("a", "b"), 3, [False, True]), ("Two", ("d",), 4, [False]), ("f", ("f",), 8, [False])]
