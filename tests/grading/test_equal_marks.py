"""A mark of a drawn class is the same in the database, the status, the page, each export and nbgrader's own pages."""

import csv
import io
import math
import random
import re

import pytest
from made_course import GOOD, WRONG
from made_marks import exercise_of, give, graded, machine, write_report

from course_utils.cli.grade import status_table
from course_utils.core.safe_csv import unguard
from course_utils.grading.course.course import EXERCISES, ignore_nbgrader_warnings
from course_utils.grading.course.late_penalty import refresh_penalty
from course_utils.grading.feedback.feedback import write_feedback
from course_utils.grading.marking.submission_status import MARKED, overview
from course_utils.grading.reports.exports import export_csv

NAMES = ("ann", "=1-1", "李", "bo")  # those of the marked class whose work can be marked again
POINTS = (0, 0.1, 1 / 3, 0.5, 1.05, 1.25, 1.995, 2)  # of 2


def hundredths(points: float) -> float:
    """Return points as they are written: to two places, a half upwards."""
    return math.floor(round(100 * points, 6) + 0.5) / 100


def rows_of(course, shape: str, folder) -> list[dict[str, str]]:
    export_csv(course, EXERCISES, folder / f"{shape}.csv", shape)
    text = (folder / f"{shape}.csv").read_text("utf-8-sig")
    return [{name: unguard(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]


@pytest.mark.parametrize("seed", range(3))
def test_a_mark_is_the_same_wherever_it_is_read(seed, marked_course, tmp_path):
    draw, course, expected = random.Random(seed), marked_course, {}
    for student in NAMES:
        see, unseen = draw.choice(POINTS), draw.choice(POINTS)
        graded(course, student, EXERCISES, exercise_of(course, draw.choice((GOOD, WRONG))), late=draw.random() < 0.5)
        machine(course, student, see=see, unseen=unseen)
        if draw.random() < 0.5:
            unseen = draw.choice(POINTS)
            give(course, student, EXERCISES, "Seen.", unseen=unseen)
        write_report(course, student, EXERCISES)
        with course.gradebook() as gradebook, ignore_nbgrader_warnings():
            notebook = gradebook.find_submission_notebook(EXERCISES, EXERCISES, student)
            refresh_penalty(notebook)
            gradebook.db.commit()
            penalty = notebook.late_submission_penalty or 0.0
        expected[student] = (see + unseen, penalty)
    table = overview(course, EXERCISES).set_index("student")
    shown = status_table(overview(course, EXERCISES))
    pages = {each.student: each.file for each in write_feedback(course, EXERCISES, lambda _: None)}
    whole = {row["student"]: row for row in rows_of(course, "course", tmp_path)}
    canvas = [row for row in rows_of(course, "canvas", tmp_path) if row["Student"].strip() != "Points Possible"]
    moodle = rows_of(course, "moodle", tmp_path)
    with course.gradebook() as gradebook:  # the rows of formgrader's page
        formgrader = {each["student"]: each["score"] for each in gradebook.submission_dicts(EXERCISES)}
    n_marked = 0
    for student, (raw, penalty) in expected.items():
        row, score = table.loc[student], hundredths(raw - penalty)
        assert row["state"] == MARKED, row["why"]
        n_marked += 1
        with course.gradebook() as gradebook:
            notebook = gradebook.find_submission_notebook(EXERCISES, EXERCISES, student)
            assert (notebook.score, notebook.late_submission_penalty or 0.0) == pytest.approx((raw, penalty))
        assert (row["raw"], row["late_penalty"], row["score"]) == pytest.approx((raw, penalty, score), abs=1e-4)
        line = next(each for each in shown.splitlines() if re.match(rf"\s*{re.escape(student)}\s", each))
        assert f"{score:g}" in line
        assert (float(whole[student]["raw"]), float(whole[student]["score"])) == pytest.approx((raw, score), abs=1e-4)
        assert f"<strong>{score:g} of 4</strong>" in pages[student].read_text("utf-8")
        uploaded = [float(each[EXERCISES]) for each in canvas if each["SIS Login ID"] == student]
        assert uploaded == pytest.approx([score])
        assert formgrader[student] == pytest.approx(raw)
    assert len(canvas) == len(moodle) == n_marked
    assert sorted(float(each["Grade"]) for each in moodle) == pytest.approx(
        sorted(hundredths(raw - penalty) for raw, penalty in expected.values())
    )
