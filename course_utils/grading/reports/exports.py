"""Exports of marks: the course's own table, Canvas's gradebook, Moodle's grading worksheet."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin
from traitlets import Unicode

from course_utils.core.files import read_errors, replace_file
from course_utils.core.safe_csv import UNWRITABLE, Cell, guard, write_csv
from course_utils.errors import SettingsError
from course_utils.grading.assignments.parts import parts_of
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.course.course import ASSIGNMENTS, ESSAY, Course, find_course
from course_utils.grading.course.roster import Person
from course_utils.grading.marking.submission_status import MARKED, SubmissionStatus, submission_statuses
from course_utils.grading.reports.moodle_worksheet import Mark, fill_worksheet

DEFAULT = "grades.csv"
CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
MOODLE = [
    "Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed",
    "Last modified (submission)", "Last modified (grade)", "Feedback comments",
]  # fmt: skip
POINTS_POSSIBLE = "    Points Possible"  # with the four blanks that Canvas writes
PARTICIPANT = "Participant "  # what Moodle writes before its own number of a participant

# What Moodle's mod/assign/feedback/offline does with an uploaded file.
ABOUT_MOODLE = (
    "Moodle skips everybody who has a grade there already, as this file does not say when that was given: tick "
    "'Allow updating records that have been modified more recently in Moodle than in the spreadsheet'.",
    "Moodle knows these headings in English only: set your language there to English for the upload.",
    "Neither is needed with Moodle's own file: grade export --shape moodle --worksheet FILE.",
)

Row = list[Cell]
Rows = list[Row]


def export_csv(
    course: Course,
    assignment: str,
    file: str | Path,
    shape: str = "course",
    number: str | int = "",
    worksheet: str | Path | None = None,
) -> list[str]:
    """Write the marks of an assignment into a file.

    Parameters
    ----------
    course : Course
    assignment : str
    file : str or Path
        Written whole or not at all.
    shape : {"course", "canvas", "moodle"}
        *course*: everybody, with points by criterion or exercise, state, why, and the version of the rubric; opens
        in a spreadsheet. *canvas*: what Canvas's gradebook imports. *moodle*: what *Upload grading worksheet* of a
        Moodle assignment takes.
    number : int, optional
        Canvas's own number of the assignment, the last one in its address there: by it a renamed assignment is found.
    worksheet : str or Path, optional
        Moodle's own grading worksheet of the assignment, to be filled in: grades and comments are written, and every
        other byte stays. Only with *moodle*.

    Returns
    -------
    list of str
        Notes for the person who uploads the file, in sentences.

    Raises
    ------
    SettingsError
        No such shape; number is none; or number or worksheet with another shape than theirs.
    TextError
        No such assignment; or the worksheet is none.
    NoSpace
        The file cannot be written.

    Notes
    -----
    Canvas takes an empty cell for a mark that is to be deleted, and Moodle an empty comment for one. So their files
    hold only who is marked; who is not is told in the sentences, and keeps there what they have there. Canvas and
    Moodle know people by numbers of their own: the gradebook's ``lms_user_id``. Texts that a spreadsheet might run
    carry an apostrophe, which `safe_csv.unguard` takes away.
    """
    found = submission_statuses(course, assignment)
    if worksheet is None:
        return _export(course, assignment, Path(file), shape, number, found)
    if shape != "moodle":
        raise SettingsError(f"shape is {shape[:40]!r}, with a worksheet.", "moodle.", "grade export --shape moodle ...")
    return _fill(assignment, Path(worksheet), Path(file), found)


def course_rows(
    course: Course, assignment: str, found: Sequence[SubmissionStatus], _number: str
) -> tuple[Rows, list[str]]:
    """Return everybody with everything, and how many are not marked."""
    parts = [part.id for part in parts_of(course, assignment)]
    who = ["assignment", "student", "last_name", "first_name", "email", "state", "why"]
    head: Row = [*who, *parts, "raw", "late_penalty", "score", "max", "rubric"]
    version = _version(course, assignment)
    return [head, *(_course_row(status, assignment, version) for status in found)], _unmarked(
        found, "stand there without a score"
    )


def canvas_rows(
    course: Course, assignment: str, found: Sequence[SubmissionStatus], number: str
) -> tuple[Rows, list[str]]:
    """Return what Canvas's gradebook imports: a heading, the points that can be had, and a row for each who is marked.

    Canvas finds a person by ID, else by SIS Login ID, else by name; and an assignment by the number in brackets, else
    by its whole name, and makes a new one where it has none.
    """
    marked = [status for status in found if status.state == MARKED]
    most = sum(part.most for part in parts_of(course, assignment))
    title = f"{assignment} ({number})" if number else assignment
    rows: Rows = [[*CANVAS, title], [POINTS_POSSIBLE, "", "", "", "", most]]
    for status in marked:
        name = status.person.last_name and f"{status.person.last_name}, {status.person.first_name}".strip(", ")
        rows.append([name or status.person.id, status.person.lms_id, "", status.person.id, "", _score(status)])
    notes = _unmarked(found, "are left out: Canvas would delete what an empty cell stands for")
    return rows, notes + _unknown(marked, "Canvas looks for them by their login, then by their name")


def moodle_rows(
    _course: Course, _assignment: str, found: Sequence[SubmissionStatus], _number: str
) -> tuple[Rows, list[str]]:
    """Return what Moodle's *Upload grading worksheet* takes: a row for each who is marked."""
    marked = [status for status in found if status.state == MARKED]
    rows: Rows = [list(MOODLE)]
    for status in marked:
        who = f"{PARTICIPANT}{status.person.lms_id}" if status.person.lms_id else ""
        last: Row = [_score(status), status.most, "Yes", "", "", _comments(status)]
        rows.append([who, _name(status.person), status.person.email, "Submitted for grading", *last])
    notes = _unmarked(found, "are left out: Moodle would empty what is said to them there")
    notes += _unknown(marked, "Moodle passes over them: copy Identifier from the worksheet that it gives")
    return rows, notes + list(ABOUT_MOODLE)


SHAPES: dict[str, Callable[[Course, str, Sequence[SubmissionStatus], str], tuple[Rows, list[str]]]] = {
    "course": course_rows,
    "canvas": canvas_rows,
    "moodle": moodle_rows,
}


class RubricExport(ExportPlugin):  # type: ignore[misc]  # nbgrader has no types
    """``nbgrader export``: the same tables as `export_csv`, of one assignment or of all.

    ``nbgrader export --RubricExport.shape=canvas --assignment "['release_strategy']" --to marks.csv``
    """

    shape = Unicode("course", help="course, canvas or moodle").tag(config=True)
    number = Unicode("", help="Canvas's own number of the assignment").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the file, or one for each assignment; the course is the one whose settings nbgrader has read."""
        course = self._course()
        there = [name for name in ASSIGNMENTS if (course.folder("source", "", name) / f"{name}.ipynb").is_file()]
        chosen = [str(name) for name in self.assignment] or there
        to, wanted = Path(self.to or DEFAULT), {str(name) for name in self.student}
        for assignment in chosen:
            file = to if len(chosen) == 1 else to.with_name(f"{to.stem}-{assignment}{to.suffix}")
            found = submission_statuses(course, assignment)
            found = [status for status in found if not wanted or {status.student, status.person.id} & wanted]
            for note in _export(course, assignment, file, self.shape, self.number, found):
                self.log.info(note)

    def _course(self) -> Course:
        """Return the course of the command that this runs in; without one, that of the folder here."""
        settings = getattr(self.parent, "coursedir", None)
        if settings is None:
            return find_course()
        course = Course(Path(settings.root), self.parent.config)
        return Course(course.root, course.changed(CourseDirectory={"db_url": settings.db_url}))


def _export(
    course: Course, assignment: str, file: Path, shape: str, number: str | int, found: Sequence[SubmissionStatus]
) -> list[str]:
    if shape not in SHAPES:
        raise SettingsError(f"shape is {str(shape)[:40]!r}.", f"One of {', '.join(SHAPES)}.", 'shape="course"')
    if str(number) and not (str(number).isascii() and str(number).isdigit()):
        raise SettingsError(f"number is {str(number)[:40]!r}.", "Digits, as in Canvas's address.", "number=1234")
    if str(number) and shape != "canvas":
        raise SettingsError(f"shape is {shape[:40]!r}, with a number.", "canvas.", "grade export --shape canvas ...")
    rows, notes = SHAPES[shape](course, assignment, found, str(number))
    write_csv(file, rows, for_excel=shape == "course")
    return [f"{assignment}: {file} holds {len(rows) - (2 if shape == 'canvas' else 1)} rows.", *notes]


def _fill(assignment: str, worksheet: Path, file: Path, found: Sequence[SubmissionStatus]) -> list[str]:
    """Write the marks into Moodle's own worksheet, as another file."""
    with read_errors(worksheet, "Moodle's grading worksheet."):
        content = worksheet.read_bytes()
    marked = [status for status in found if status.state == MARKED]
    marks = [
        Mark(
            status.person.id, status.person.lms_id, status.person.email, _name(status.person), _score(status),
            guard(UNWRITABLE.sub("\ufffd", _comments(status))),
        )
        for status in marked
    ]  # fmt: skip
    filled = fill_worksheet(content, marks, found[0].most if found else 0, str(worksheet))
    replace_file(file, filled.content)
    n = len(filled.written)
    notes = _unmarked(found, "are not marked: their rows were left as they were")
    return [f"{assignment}: {file} is {worksheet.name} with {n} of {len(marked)} marks.", *filled.notes, *notes]


def _course_row(status: SubmissionStatus, assignment: str, version: str) -> list[Cell]:
    who = [assignment, status.person.id, status.person.last_name, status.person.first_name, status.person.email]
    numbers = [*status.points.values(), status.raw, status.penalty, status.score, status.most]
    return [*who, status.state, status.why, *numbers, version]


def _version(course: Course, assignment: str) -> str:
    """Return the version of the rubric that the points are of; "" where an assignment has none."""
    return load_rubric(course.source(assignment).with_name("rubric.yaml")).version if assignment == ESSAY else ""


def _score(marked: SubmissionStatus) -> float:
    """Return the mark of a submission that is marked."""
    return marked.score or 0.0


def _name(person: Person) -> str:
    return f"{person.first_name} {person.last_name}".strip() or person.id


def _comments(status: SubmissionStatus) -> str:
    """Return points and comment of each part, one below the other, as the HTML for which Moodle takes a comment."""
    lines = []
    for part in status.parts:
        comments = " ".join(filter(None, (status.comments.get(check.cell, "") for check in part.checks)))
        lines.append(f"{part.name}: {status.points[part.id]:g} of {part.most:g}{'. ' + comments if comments else ''}")
    late = [f"Late submission: {status.penalty:g} points off"] if status.penalty else []
    return "<br>".join(html.escape(line, quote=False).replace("\n", "<br>") for line in lines + late)


def _unmarked(found: Sequence[SubmissionStatus], so: str) -> list[str]:
    without = [status for status in found if status.state != MARKED]
    listed = [f"{status.student}: {status.state}. {status.why}" for status in without]
    return [f"{len(without)} of {len(found)} {so}.", *listed] if without else []


def _unknown(marked: Sequence[SubmissionStatus], so: str) -> list[str]:
    without = [status.student for status in marked if not status.person.lms_id]
    return [f"No number of the other system (lms_user_id) is known of {', '.join(without)}. {so}."] if without else []
