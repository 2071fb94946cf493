"""Parts of an assignment that earn points: a rubric's criteria, or exercises with visible and hidden checks."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from course_utils.grading.course.course import ESSAY, Course
from course_utils.grading.assignments.source_notebooks import read_notebook
from course_utils.grading.checks.plan import HIDDEN, text_of
from course_utils.grading.assignments.rubric import CELL_PREFIX, Rubric, load_rubric

HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Check:
    """A cell that earns points: its name in nbgrader, how many, its instructor's text, and whether it is hidden."""

    cell: str
    most: float
    source: str = dataclasses.field(default="", repr=False)
    is_hidden: bool = False


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of an assignment with points of its own: a criterion or an exercise.

    Parameters
    ----------
    id, name : str
    answers : tuple of str
        The cells that a student writes for it, by their names in nbgrader; none for a criterion.
    checks : tuple of Check
        The cells that earn its points.
    """

    id: str
    name: str
    answers: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def most(self) -> float:
        """Return the points that it earns at most."""
        return sum(check.most for check in self.checks)


def parts_of(course: Course, assignment: str) -> list[Part]:
    """Return the parts of an assignment that earn points, in its order.

    Raises
    ------
    TextError, DamagedFile
        There is no such assignment, or its rubric cannot be used.
    """
    source = course.source(assignment)
    if assignment == ESSAY:
        return criteria(load_rubric(source.with_name("rubric.yaml")))
    return exercises(read_notebook(source, "Put a sound copy in its place, then: make release").cells)


def criteria(rubric: Rubric) -> list[Part]:
    """Return each criterion as a part: one cell that a person marks."""
    return [Part(criterion.id, criterion.name, (), (Check(CELL_PREFIX + criterion.id, criterion.weight),)) for criterion in rubric.criteria]


def exercises(cells: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the exercises of an instructor's notebook: cells to answer in, and the checks up to the next such cell.

    Examples
    --------
    >>> def cell(id, **marks):
    ...     flags = {"grade_id": id, "grade": False, "solution": False, **marks}
    ...     return {"cell_type": "code", "source": "", "metadata": {"nbgrader": flags}}
    >>> found = exercises([cell("mean", solution=True), cell("mean-check", grade=True, points=2)])
    >>> [(part.id, part.most) for part in found]
    [('mean', 2.0)]
    """
    found: list[Part] = []
    heading, named = "", ""
    for cell in cells:
        marks = cell.get("metadata", {}).get("nbgrader", {})
        if cell["cell_type"] == "markdown" and (titles := HEADING.findall(text_of(cell))):
            heading = titles[-1]
        answers, checks = _of(cell, marks)
        if answers and (not found or found[-1].checks) or (checks and not found):
            part_id = str(marks["grade_id"])
            found.append(Part(part_id, heading if heading and heading != named else part_id, (), ()))
            named = heading
        if answers or checks:
            last = found[-1]
            found[-1] = dataclasses.replace(last, answers=last.answers + answers, checks=last.checks + checks)
    return [part for part in found if part.checks]


def _of(cell: Mapping[str, Any], marks: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    """Return what a cell adds to its exercise."""
    name = str(marks.get("grade_id", ""))
    answers = (name,) if marks.get("solution") else ()
    if not (marks.get("grade") or marks.get("task")):
        return answers, ()
    source = text_of(cell)
    return answers, (Check(name, float(marks.get("points", 0)), source, HIDDEN.search(source) is not None),)
