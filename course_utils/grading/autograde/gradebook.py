"""Gradebook updates after autograding: cells that need a person are flagged, and marks by a person stay."""

from collections.abc import Mapping
from typing import Any

from nbgrader.api import Grade, Gradebook, MissingEntry, SubmittedNotebook

from course_utils.errors import TextError
from course_utils.grading.course.course import Course, ignore_nbgrader_warnings
from course_utils.grading.course.late_penalty import refresh_penalty
from course_utils.grading.marking.submissions_to_mark import UNFINISHED, read_report
from course_utils.grading.submissions.find import safe_id

NOT_RUN = ("failed", "not run", "tampered")


def parts_awaiting_marks(course: Course, student: str, assignment: str) -> dict[str, bool]:
    """Return which parts that a person has marked wait for a new mark, by name, before a grading touches them."""
    with course.gradebook() as gradebook:
        try:
            notebook = gradebook.find_submission_notebook(assignment, assignment, student)
        except MissingEntry:
            return {}
        return {grade.name: grade.needs_manual_grade for grade in notebook.grades if grade.manual_score is not None}


def clear_submission_time(course: Course, student: str, assignment: str) -> None:
    """Take the time of an earlier submission away: nbgrader keeps it where a new one has none that can be read."""
    with course.gradebook() as gradebook:
        try:
            gradebook.find_submission(assignment, student).timestamp = None
        except MissingEntry:
            return
        gradebook.db.commit()


def update_gradebook(
    course: Course,
    student: str,
    assignment: str,
    report: Mapping[str, Any],
    before: Mapping[str, Any],
    waited: Mapping[str, bool],
) -> list[str]:
    """Update the gradebook after a grading, by its report.

    Parameters
    ----------
    course : Course
    student, assignment : str
    report, before : mapping
        The new report, and the one it takes the place of.
    waited : mapping
        As `parts_awaiting_marks` returned it before this grading.

    Returns
    -------
    list of str
        Why, besides what the report says, a person must look at it.

    Notes
    -----
    A part that the machine could not judge fairly has no points until a person gives some: nbgrader would count 0.
    What a person gave stays, and counts, as long as the submission is the one that it was given for; when it is not,
    the mark waits until a person gives it again.
    """
    doubts = []
    with course.gradebook() as gradebook:
        notebook = _submitted(gradebook, student, assignment)
        is_same = not before.get("content") or before.get("content") == report.get("content")
        doubts += _doubts_that_count(notebook, report)
        for grade in notebook.grades:
            _settle(grade, report, bool(report["why"] or doubts), not is_same or waited.get(grade.name, False))
        gradebook.db.flush()
        again = [grade for grade in notebook.grades if grade.manual_score is not None and grade.needs_manual_grade]
        if again:
            doubts.append(f"It was handed in anew after {len(again)} of its parts had been marked: mark them again.")
        refresh_penalty(notebook)
        gradebook.db.commit()
    return doubts


def confirm(course: Course, assignment: str, student: str) -> list[str]:
    """Let the points of a submission that needs a person stand, as a person's decision.

    Every part without a mark that counts gets the points that the machine found. In a sheet into which nothing was
    written, or that could not be read, a part for which the machine found none gets 0. In any other sheet such a part
    is left as it is: somebody has to read it.

    Parameters
    ----------
    course : Course
    assignment, student : str

    Returns
    -------
    list of str
        What was written, a line a part.

    Raises
    ------
    TextError
        Nothing of this student has been graded, or its grading is not finished.
    """
    student = student if read_report(course, student, assignment) else safe_id(student)
    report = read_report(course, student, assignment)
    if not report or report.get("status") == UNFINISHED:
        raise TextError(
            f"{student[:100]} has no graded submission of {assignment}.",
            "A student whose submission has been graded by machine to its end.", "make grade",
        )  # fmt: skip
    lines, unread = [], []
    is_empty = bool(report.get("untouched")) or not (report.get("intake") or {}).get("notebook")
    with course.gradebook() as gradebook:
        notebook = _submitted(gradebook, student, assignment)
        is_confirmed = any(grade.manual_score is not None and not grade.needs_manual_grade for grade in notebook.grades)
        for grade in notebook.grades:
            if not grade.needs_manual_grade and (grade.manual_score is not None or is_confirmed or not report["why"]):
                continue
            given = grade.manual_score if grade.manual_score is not None else grade.auto_score
            if given is None and not is_empty:
                unread.append(grade.name)
                continue
            given = given or 0.0
            grade.manual_score, grade.needs_manual_grade = given, False
            lines.append(f"{student}: {grade.name}: {given:g} of {grade.cell.max_score:g}")
        gradebook.db.flush()
        refresh_penalty(notebook)
        gradebook.db.commit()
    if unread:
        lines.append(f"{student}: has to be read and marked: {', '.join(unread)}. These have no points yet.")
    return lines or [f"{student}: all parts have marks already; nothing was changed."]


def _doubts_that_count(notebook: SubmittedNotebook, report: Mapping[str, Any]) -> list[str]:
    """Return what may explain lost points; nothing where none were lost."""
    lost = any(
        grade.auto_score is not None and grade.auto_score < grade.cell.max_score and grade.cell.type != "TaskCell"
        for grade in notebook.grades
    )
    return list(report.get("if_points_are_lost", ())) if lost else []


def _settle(grade: Grade, report: Mapping[str, Any], is_doubted: bool, waits: bool) -> None:
    if grade.manual_score is not None:
        grade.needs_manual_grade = waits
        return
    if grade.cell.type == "TaskCell":
        return
    status = report["execution"]["status"]
    if status in NOT_RUN:
        grade.auto_score, grade.needs_manual_grade = None, True
    elif is_doubted and grade.auto_score is not None and grade.auto_score < grade.cell.max_score:
        grade.needs_manual_grade = True  # points may be missing for a reason that is not the student's


def _submitted(gradebook: Gradebook, student: str, assignment: str) -> SubmittedNotebook:
    """Return the submission's row, made if nbgrader had not come so far."""
    try:
        return gradebook.find_submission_notebook(assignment, assignment, student)
    except MissingEntry:
        with ignore_nbgrader_warnings():
            gradebook.update_or_create_student(student)
            gradebook.update_or_create_submission(assignment, student)
        return gradebook.find_submission_notebook(assignment, assignment, student)
