"""Feedback page of exercises: points, the answer, what a visible check said, and of hidden ones how they went."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from course_utils.grading.assignments.parts import HEADING, Check, Part
from course_utils.grading.checks.plan import HIDDEN, text_of
from course_utils.grading.course.course import Course
from course_utils.grading.feedback.totals import ask_again, card, head, label, sums
from course_utils.grading.html.page import element, items, page, paragraph, section, student_text, typed
from course_utils.grading.marking.submission_status import SubmissionStatus

MAX_MESSAGE_CHARACTERS = 1500  # characters
MAX_ANSWER_CHARACTERS = (
    200_000  # characters in which words of hidden checks are looked for; later ones count as secrets
)
COLOURED = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # how a terminal is told to write in colour
SECRET = re.compile(r"\d[\d_.]*\d|[^\W\d_]{3,}")  # numbers of two digits and more, words of three letters and more
OF_CHECKS = ("AssertionError", "AnswerError")  # say all in their message
WITHHELD = "Its message is not shown here: run the check in your own notebook to read it."

Cells = Mapping[str, Mapping[str, Any]]  # by their names in nbgrader


def exercises_page(course: Course, assignment: str, status: SubmissionStatus) -> str:
    """Return the page of marked exercises.

    Raises
    ------
    OSError, ValueError
        What was handed in cannot be read any more.
    """
    file = course.folder("autograded", status.student, assignment) / f"{assignment}.ipynb"
    source = _cells_of(json.loads(course.source(assignment).read_text("utf-8")))
    handed_in = _cells_of(json.loads(file.read_text("utf-8")))
    cells = {_name(cell): cell for cell in handed_in if _name(cell)}
    answers = {name for part in status.parts for name in part.answers}
    secrets = secrets_of(
        source, [text_of(cell)[:MAX_ANSWER_CHARACTERS] for cell in handed_in if _name(cell) in answers]
    )
    levels = {part.id: _passed_in_words(part, status) for part in status.parts}
    cards = [_card(number, part, status, cells, secrets) for number, part in enumerate(status.parts, 1)]
    title = _title(source) or assignment
    first = [head(title, "Feedback on your exercises", status.student), sums(status, levels, "Exercise")]
    return page(f"Feedback: {title}", [*first, section("exercises", "Exercise by exercise", *cards), ask_again()])


def secrets_of(source: Iterable[Mapping[str, Any]], own: Iterable[str] = ()) -> set[str]:
    """Return numbers and words that stand in hidden checks and nowhere else.

    Parameters
    ----------
    source : iterable of cells
        The instructor's.
    own : iterable of str
        What the student wrote: that is no secret from them.
    """
    texts = [text_of(cell) for cell in source]
    hidden = {word for text in texts for block in HIDDEN.findall(text) for word in _words(block)}
    return hidden - {word for text in (*(HIDDEN.sub("", text) for text in texts), *own) for word in _words(text)}


def message_of(cell: Mapping[str, Any], secrets: set[str]) -> str:
    """Return what a visible check said when it failed, without the traceback.

    A student's code can carry what a hidden check called it with into a later message; such a message is withheld.
    """
    for output in cell.get("outputs", ()):
        if output.get("output_type") == "error":
            named = (str(output.get(key, ""))[:MAX_ANSWER_CHARACTERS] for key in ("ename", "evalue"))
            name, message = (COLOURED.sub("", part).strip() for part in named)
            message = message if message and name in OF_CHECKS else f"{name}: {message}".strip(": ")
            return WITHHELD if secrets & _words(message) else message[:MAX_MESSAGE_CHARACTERS]
        if output.get("output_type") == "stream" and output.get("name") == "stderr":
            return "It wrote a warning or an error message, and then nothing counts: see what your code prints."
    return ""


def _words(text: str) -> set[str]:
    """Return a text's numbers and words, each in one form however it was written."""
    found = set()
    for word in SECRET.findall(text):
        try:
            found.add(repr(float(word.replace("_", ""))))
        except ValueError:
            found.add(word.casefold())
    return found


def _card(number: int, part: Part, status: SubmissionStatus, cells: Cells, secrets: set[str]) -> str:
    inside = []
    for name in part.answers:
        code = text_of(cells[name]) if name in cells else ""
        shown = typed(code, aria_label="Your answer")
        inside += [label("Your answer"), shown if code.strip() else paragraph("Nothing was written here.")]
    inside += [label("How it was tried"), items(_check(check, status, cells, secrets) for check in part.checks)]
    given = status.given[part.id]
    grades = [status.grades.get(check.cell) for check in part.checks]
    by_machine = [grade for grade in grades if grade is not None]
    if len(by_machine) < len(grades) or abs(sum(by_machine) - given) > 1e-9:
        inside.append(paragraph("A person has looked at this exercise and given its points."))
    for comment in filter(None, (status.comments.get(name, "") for name in _names(part))):
        inside += [label("What your grader says"), student_text(comment, class_="theirs said")]
    return card(number, part.name, given, part.most, *inside)


def _check(check: Check, status: SubmissionStatus, cells: Cells, secrets: set[str]) -> str:
    """Return how one check went; of a hidden one nothing else."""
    what = "Tried with other values: " if check.is_hidden else "The check that you can see: "
    given = status.grades.get(check.cell)
    if given is None:
        return what + "not run"
    if given >= check.most - 1e-9:
        return what + element("span", "passed", class_="good")
    heading = what + element("span", "not passed", class_="mend")
    message = "" if check.is_hidden else message_of(cells.get(check.cell, {}), secrets)
    return heading + (student_text(message, class_="theirs small") if message else "")


def _passed_in_words(part: Part, status: SubmissionStatus) -> str:
    given = [(status.grades.get(check.cell), check.most) for check in part.checks]
    passed = sum(points is not None and points >= most - 1e-9 for points, most in given)
    return f"{passed} of {len(given)} checks passed"


def _names(part: Part) -> Sequence[str]:
    return tuple(dict.fromkeys([*part.answers, *(check.cell for check in part.checks)]))


def _cells_of(notebook: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise ValueError("it holds no cells")
    return cells


def _title(source: Iterable[Mapping[str, Any]]) -> str:
    texts = (text_of(cell) for cell in source if cell.get("cell_type") == "markdown")
    return next((found[1] for text_of_cell in texts if (found := HEADING.search(text_of_cell))), "")


def _name(cell: Mapping[str, Any]) -> str:
    return str((cell.get("metadata", {}).get("nbgrader") or {}).get("grade_id", ""))
