"""Verification of checks before a release: an empty notebook earns no points, the solution earns all."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat

from course_utils.errors import CourseError
from course_utils.grading.autograde.execute import NOT_FOR_STUDENTS, check
from course_utils.grading.checks.plan import VerdictData, read_plan, text_of
from course_utils.grading.course.course import Course
from course_utils.grading.sandbox.sandbox import sandbox_problem, temporary_prefix

Say = Callable[[str], object]


def verify_checks(course: Course, assignment: str, say: Say = print) -> None:
    """Grade the students' version and the instructor's solution as submissions, and compare their points.

    Parameters
    ----------
    course : Course
    assignment : str
        Its students' version has been made.
    say : callable
        Told a line when it is done. Nothing is said of an assignment without checks that a machine makes.

    Raises
    ------
    CourseError
        A check gives points to a sheet that nobody has answered, or not all of its points to the solution, or it asks
        for something that cannot be done with a student's code in another process.
    """
    source = course.source(assignment)
    cells = json.loads(source.read_text("utf-8"))["cells"]
    try:
        most = {cell.name: cell.most for cell in read_plan(cells)[0] if cell.is_check}
    except SyntaxError as problem:
        raise CourseError(
            f"A check of {assignment} is not plain Python: {problem}.",
            "Python without magics in every cell that gives points.", "Correct the source notebook.",
        ) from problem  # fmt: skip
    if not most:
        return
    released = course.folder("assignments", "", assignment) / f"{assignment}.ipynb"
    empty = nbformat.read(released, as_version=4).cells
    boxed = not sandbox_problem()
    with tempfile.TemporaryDirectory(prefix=temporary_prefix()) as folder:
        given = Path(folder) / "given"
        shutil.copytree(released.parent, given, ignore=shutil.ignore_patterns(*NOT_FOR_STUDENTS))
        for sheet, is_solution in ((cells, True), (empty, False)):
            found = check(cells, submission_cells(sheet), source.parent, given, boxed)
            for name in most:
                verdict = found.verdicts.get(name, {"points": None, "why": found.closed, "error": []})
                _require(name, verdict, most[name], is_solution)
    say(f"{assignment}: {len(most)} checks give the solution {sum(most.values()):g} points, and an empty sheet none.")


def submission_cells(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return a notebook's code cells as `execute.check` takes a submission."""
    found = []
    for number, cell in enumerate(cells, 1):
        if cell["cell_type"] == "code":
            marks = cell.get("metadata", {}).get("nbgrader", {})
            name = {"id": str(marks.get("grade_id") or f"number {number}")}
            is_check = marks.get("grade") and not marks.get("solution")
            found.append(name if is_check else {**name, "source": text_of(cell)})
    return found


def _require(name: str, verdict: VerdictData, most: float, is_solution: bool) -> None:
    points = verdict["points"]
    if points is None:
        raise CourseError(
            f"The check {name} cannot be made: {verdict['why']}",
            "A check that can be run on the solution.",
            "Correct the source notebook.",
        )
    if is_solution and points < most:
        message = verdict["error"][1] if verdict["error"] else "it says nothing"
        raise CourseError(
            f"The check {name} gives the solution {points:g} of {most:g} points: {' '.join(message.split())[:200]}",
            "All points for the instructor's own solution.",
            "Run the source notebook: which of the two is wrong? Values reach a function as copies.",
        )
    if not is_solution and points > 0:
        raise CourseError(
            f"The check {name} gives {points:g} points to a sheet that nobody has answered.",
            "No points without an answer.",
            "Let it ask the student's functions for values that a stub cannot give.",
        )
