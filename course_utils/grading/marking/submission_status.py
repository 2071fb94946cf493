"""Status of every submission: the points of each part, and why marks are missing."""

import dataclasses
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from course_utils.grading.assignments.parts import Part, parts_of
from course_utils.grading.course.course import Course
from course_utils.grading.course.late_penalty import late_penalty
from course_utils.grading.course.roster import Person, person_of
from course_utils.grading.marking.submissions_to_mark import UNFINISHED, read_report
from course_utils.grading.submissions.contents import is_same_work
from course_utils.grading.submissions.find import find_submissions, safe_id

if TYPE_CHECKING:
    from nbgrader.api import Grade, Gradebook, SubmittedNotebook

NOTHING, NOT_GRADED, PERSON, TO_MARK, MARKED = (
    "not handed in", "not graded yet", "needs a person", "to mark", "marked",
)  # fmt: skip
STATES = (NOTHING, NOT_GRADED, PERSON, TO_MARK, MARKED)
DIGITS = 4  # of a sum of points: what floating point adds behind them is nobody's mark


@dataclasses.dataclass(frozen=True)
class SubmissionStatus:
    """Status of one student's submission.

    Parameters
    ----------
    student : str
        As the folders are called.
    state : str
        One of STATES.
    why : str
        What is missing, in sentences; "" where it is marked.
    parts : tuple of Part
    points : mapping of str to float or None
        By part; None where nobody, and no check that ran, has given any.
    person : Person
    key : str
        nbgrader's id of the submitted notebook; "" where it has none.
    seconds_late : float
    comments : mapping of str to str
        What was said, by the name of the cell.
    grades : mapping of str to (float or None)
        What the machine gave, by the name of the cell.
    """

    student: str
    state: str
    why: str
    parts: tuple[Part, ...] = dataclasses.field(repr=False)
    points: Mapping[str, float | None]
    person: Person
    key: str = ""
    seconds_late: float = 0.0
    comments: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    grades: Mapping[str, float | None] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def given(self) -> dict[str, float]:
        """Return the points by part, of those parts that have any: of a marked submission of all."""
        return {part: points for part, points in self.points.items() if points is not None}

    @property
    def raw(self) -> float | None:
        """Return the sum of the points, None while a part has none or the submission is not marked."""
        if self.state != MARKED or len(self.given) < len(self.points):
            return None
        return round(sum(self.given.values()), DIGITS)

    @property
    def penalty(self) -> float | None:
        """Return what lateness costs, computed from the points that stand there now."""
        return None if self.raw is None else late_penalty(self.raw, self.seconds_late) or 0.0

    @property
    def score(self) -> float | None:
        """Return the mark, to two places: never below 0, and None where nobody gave one.

        It is rounded here, once: a learning platform takes two places, and the page must not say another number.
        """
        return None if self.raw is None else _to_a_hundredth(max(0.0, self.raw - (self.penalty or 0.0)))

    @property
    def most(self) -> float:
        """Return the points that can be had."""
        return sum(part.most for part in self.parts)


def _to_a_hundredth(points: float) -> float:
    """Return points to two places as on paper: a half goes up, whatever the nearest binary number is."""
    written = Decimal(repr(round(points, DIGITS)))
    return float(written.quantize(Decimal("0.01"), ROUND_HALF_UP))


def overview(course: Course, assignment: str) -> pd.DataFrame:
    """Return one row for every submission found anywhere, and for everybody who has handed in nothing.

    Parameters
    ----------
    course : Course
    assignment : str

    Returns
    -------
    pandas.DataFrame
        student, state, why, a column of points for each criterion or exercise, raw, late_penalty, score, max. A
        score is a number only where a person, or checks that ran, gave every part of it; otherwise it is NaN, and
        why says why.

    Raises
    ------
    TextError
        There is no such assignment.
    """
    parts = parts_of(course, assignment)
    columns = ["student", "state", "why", *[part.id for part in parts], "raw", "late_penalty", "score", "max"]
    rows = [
        [
            status.student,
            status.state,
            status.why,
            *status.points.values(),
            status.raw,
            status.penalty,
            status.score,
            status.most,
        ]
        for status in submission_statuses(course, assignment)
    ]
    numbers = dict.fromkeys(columns[3:], "float64")
    return pd.DataFrame(rows, columns=columns).astype(numbers).astype(dict.fromkeys(columns[:3], "object"))


def submission_statuses(course: Course, assignment: str) -> list[SubmissionStatus]:
    """Return the status of every student's submission, in the order of their names; see `overview`.

    Raises
    ------
    TextError
        There is no such assignment.
    """
    parts = tuple(parts_of(course, assignment))
    folders = {submission.student: submission.folder for submission in find_submissions(course, assignment)}
    with course.gradebook() as gradebook:
        people, notebooks = _people(gradebook, set(folders)), _notebooks(gradebook, assignment)
        found = []
        for student in sorted(people | dict.fromkeys([*folders, *notebooks])):
            person = people.get(student) or Person(student)
            report = read_report(course, student, assignment)
            newer = _newer(folders.get(student), report)
            if student in notebooks and not newer and _is_finished(report):
                found.append(_graded(student, person, parts, notebooks[student], report))
            else:
                found.append(_ungraded(student, person, parts, student in folders, newer, report))
    return found


def _graded(
    student: str, person: Person, parts: tuple[Part, ...], notebook: "SubmittedNotebook", report: Mapping[str, Any]
) -> SubmissionStatus:
    """Return where a submission stands that has been through the machine."""
    grades = {grade.name: grade for grade in notebook.grades}
    points = {part.id: _points(part, grades) for part in parts}
    missing = [part.name for part in parts if points[part.id] is None]
    doubts = _doubts(report)
    unseen = bool(doubts) and not any(_is_by_hand(grade) for grade in grades.values())
    state = PERSON if unseen or (doubts and missing) else TO_MARK if missing else MARKED
    lines = [
        *doubts,
        f"No mark yet: {', '.join(missing)}." if missing else "Give any of its points by hand to confirm them.",
    ]
    why = "" if state == MARKED else " ".join(lines)
    return SubmissionStatus(
        student, state, why, parts, points, person, notebook.id, notebook.assignment.total_seconds_late,
        {comment.name: comment.manual_comment or "" for comment in notebook.comments},
        {name: grade.auto_score for name, grade in grades.items()},
    )  # fmt: skip


def _ungraded(
    student: str, person: Person, parts: tuple[Part, ...], is_here: bool, newer: str, report: Mapping[str, Any]
) -> SubmissionStatus:
    """Return where a submission stands that the machine has not seen, could not read, or that is not there."""
    nothing = dict.fromkeys((part.id for part in parts), None)
    if not is_here and not report:
        return SubmissionStatus(student, NOTHING, "Nothing was handed in.", parts, nothing, person)
    if report.get("status") == PERSON and not newer:
        return SubmissionStatus(student, PERSON, " ".join(_doubts(report)), parts, nothing, person)
    why = newer or "It has not been graded yet."
    if report.get("status") == UNFINISHED:
        why = f"Its grading was not finished: {report.get('unfinished') or 'it was interrupted.'} Next: make grade"
    return SubmissionStatus(student, NOT_GRADED, why, parts, nothing, person)


def _is_finished(report: Mapping[str, Any]) -> bool:
    """Tell whether a report is one of a whole grading: nbgrader's rows alone may be those of an interrupted one."""
    return bool(report) and report.get("status") != UNFINISHED


def _doubts(report: Mapping[str, Any]) -> list[str]:
    """Return why a person must look at a submission; nothing where nobody must."""
    doubts = [str(reason) for reason in report.get("why") or ()]
    return doubts or (["A person must look at it."] if report.get("status") == PERSON else [])


def _points(part: Part, grades: Mapping[str, "Grade"]) -> float | None:
    """Return what was given for a part; None where one of its cells has nothing that counts."""
    given = [points for check in part.checks if (points := _given(grades.get(check.cell))) is not None]
    return round(sum(given), DIGITS) if len(given) == len(part.checks) else None


def _given(grade: "Grade | None") -> float | None:
    """Return what a person gave for a cell, else what its check gave; what waits for a person is nothing yet.

    nbgrader counts a cell without any mark as 0.
    """
    if grade is None or grade.needs_manual_grade:
        return None
    given = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return None if given is None else given + (grade.extra_credit or 0.0)


def _is_by_hand(grade: "Grade") -> bool:
    return grade.manual_score is not None and not grade.needs_manual_grade


def _people(gradebook: "Gradebook", folders: set[str]) -> dict[str, Person]:
    """Return everybody in the gradebook by the name of their folder.

    A list of participants may hold a name that no folder can have; nbgrader then knows both, and they are one person.
    """
    registered = {student.id: student for student in gradebook.students}
    found: dict[str, Person] = {}
    twice: dict[str, Person] = {}
    for student_id, student in registered.items():
        folder = safe_id(student_id)
        is_both = folder != student_id and (folder in folders or folder in registered)
        (twice if is_both else found)[folder if is_both else student_id] = person_of(student)
    return found | twice  # the list knows their name, nbgrader's own row does not


def _notebooks(gradebook: "Gradebook", assignment: str) -> dict[str, "SubmittedNotebook"]:
    """Return the graded notebooks of an assignment by student; none while nbgrader does not know it."""
    from nbgrader.api import MissingEntry

    try:
        found = gradebook.notebook_submissions(assignment, assignment)
    except MissingEntry:
        return {}
    return {status.student.id: status for status in found}


def _newer(folder: Path | None, report: Mapping[str, Any]) -> str:
    """Say that what lies there is not what was graded; "" where that is not so."""
    if folder is None or not report.get("content") or is_same_work(folder, str(report["content"])):
        return ""
    return "It was handed in again since it was graded; marks that stand there are of the version before."
