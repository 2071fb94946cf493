"""nbgrader's database after a grading: what a person must mark is marked so, and what a person has marked stays."""

from collections.abc import Mapping

from nbgrader.api import Gradebook, MissingEntry, SubmittedNotebook

from course_utils.grading.course import Course, nbgraders_warnings
from course_utils.grading.late import refresh_penalty

NOT_RUN = ("failed", "not run", "tampered")


def settle(
    course: Course, student: str, assignment: str, report: Mapping[str, object], before: Mapping[str, object]
) -> list[str]:
    """Bring the database into line with a report.

    Parameters
    ----------
    course : Course
    student, assignment : str
    report, before : mapping
        The new report, and the one it takes the place of.

    Returns
    -------
    list of str
        Why, besides what the report says, a person must look at it.

    Notes
    -----
    A part that the machine could not judge fairly has no points until a person gives some: nbgrader would count 0.
    What a person gave stays, and counts, as long as the submission is the one that it was given for.
    """
    told = []
    with course.gradebook() as gradebook:
        notebook = _submitted(gradebook, student, assignment)
        is_same = not before.get("content") or before.get("content") == report.get("content")
        marked = [grade for grade in notebook.grades if grade.manual_score is not None]
        for grade in notebook.grades:
            _settle(grade, report, is_same)
        gradebook.db.flush()
        if marked and not is_same:
            told.append(f"It was handed in anew after {len(marked)} of its parts had been marked: mark them again.")
        refresh_penalty(notebook)
        gradebook.db.commit()
    return told


def _settle(grade: object, report: Mapping[str, object], is_same: bool) -> None:
    if grade.manual_score is not None:
        grade.needs_manual_grade = not is_same
        return
    if grade.cell.type == "TaskCell":
        return
    status = report["execution"]["status"]
    if status in NOT_RUN:
        grade.auto_score, grade.needs_manual_grade = None, True
    elif report["why"] and grade.auto_score is not None and grade.auto_score < grade.cell.max_score:
        grade.needs_manual_grade = True  # points may be missing for a reason that is not the student's


def _submitted(gradebook: Gradebook, student: str, assignment: str) -> SubmittedNotebook:
    """Return the submission's row, made if nbgrader had not come so far."""
    try:
        return gradebook.find_submission_notebook(assignment, assignment, student)
    except MissingEntry:
        with nbgraders_warnings():
            gradebook.update_or_create_student(student)
            gradebook.update_or_create_submission(assignment, student)
        return gradebook.find_submission_notebook(assignment, assignment, student)
