"""Storage of marks and comments: nbgrader's gradebook, which formgrader shows too, or a JSON file."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from course_utils.core.files import replace_file
from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.grading.assignments.rubric import CELL_PREFIX, Rubric
from course_utils.grading.course.course import ESSAY, Course
from course_utils.grading.course.late_penalty import refresh_penalty
from course_utils.grading.course.score_guard import require_mark

MAX_COMMENT_CHARACTERS = 10_000  # characters


@dataclasses.dataclass(frozen=True)
class Mark:
    """Points for one criterion, None where there are none yet, and what was said about it."""

    points: float | None = None
    comment: str = ""


class Marks(Protocol):
    """Interface of a storage of marks."""

    def read(self, paper: str) -> dict[str, Mark]:
        """Return a paper's marks by criterion."""

    def write(self, paper: str, criterion: str, mark: Mark) -> None:
        """Put one mark in the place of another."""


class GradebookMarks:
    """Marks in nbgrader's database: one task cell a criterion.

    Parameters
    ----------
    course : Course
    rubric : Rubric
    """

    def __init__(self, course: Course, rubric: Rubric) -> None:
        self.course, self.rubric = course, rubric

    def read(self, paper: str) -> dict[str, Mark]:
        """Return a paper's marks by criterion."""
        with self.course.gradebook() as gradebook:
            notebook = gradebook.find_submission_notebook_by_id(paper)
            points = {grade.name: (grade.manual_score, grade.needs_manual_grade) for grade in notebook.grades}
            comments = {comment.name: comment.manual_comment or "" for comment in notebook.comments}
        found = {}
        for criterion in self.rubric.criteria:
            value, needs = points.get(CELL_PREFIX + criterion.id, (None, True))
            found[criterion.id] = Mark(None if needs else value, comments.get(CELL_PREFIX + criterion.id, ""))
        return found

    def write(self, paper: str, criterion: str, mark: Mark) -> None:
        """Write one mark, and what late submission costs after it.

        Raises
        ------
        SettingsError
            The mark cannot be.
        """
        mark = checked(self.rubric, criterion, mark)
        with self.course.gradebook() as gradebook:
            notebook = gradebook.find_submission_notebook_by_id(paper)
            grade = next((grade for grade in notebook.grades if grade.name == CELL_PREFIX + criterion), None)
            comment = next((comment for comment in notebook.comments if comment.name == CELL_PREFIX + criterion), None)
            if grade is None or comment is None:
                raise SettingsError(
                    f"The database has no criterion {criterion!r} for this paper.",
                    "The criteria with which it was graded.",
                    "The rubric was changed since: make release, then make grade",
                )
            grade.manual_score, grade.needs_manual_grade = mark.points, mark.points is None
            comment.manual_comment = mark.comment or None
            gradebook.db.flush()
            refresh_penalty(notebook)
            gradebook.db.commit()


class FileMarks:
    """Marks in a JSON file: a second reader's, a learner's, or a student's own view of an essay.

    Parameters
    ----------
    file : Path
    rubric : Rubric
    """

    def __init__(self, file: Path, rubric: Rubric) -> None:
        self.file, self.rubric = file, rubric

    def read(self, paper: str) -> dict[str, Mark]:
        """Return a paper's marks by criterion."""
        found = self.all().get(paper, {})
        return {criterion.id: found.get(criterion.id, Mark()) for criterion in self.rubric.criteria}

    def write(self, paper: str, criterion: str, mark: Mark) -> None:
        """Write one mark; the file is whole at any moment."""
        everything = self.all()
        everything.setdefault(paper, {})[criterion] = checked(self.rubric, criterion, mark)
        journal = {
            key: {criterion_id: dataclasses.asdict(mark) for criterion_id, mark in marks.items()}
            for key, marks in everything.items()
        }
        content = json.dumps({"rubric": self.rubric.version, "marks": journal}, ensure_ascii=False, indent=1)
        replace_file(self.file, content)

    def all(self) -> dict[str, dict[str, Mark]]:
        """Return every paper's marks.

        Raises
        ------
        DamagedFile
            The file holds something else.
        """
        if not self.file.exists():
            return {}
        try:
            marks = json.loads(self.file.read_text("utf-8"))["marks"]
            return {
                key: {criterion_id: Mark(**mark) for criterion_id, mark in marks_of_paper.items()}
                for key, marks_of_paper in marks.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise DamagedFile(
                f"{self.file} holds no marks.", "A file that this page wrote.", "Move it away; nothing was changed."
            ) from problem


def checked(rubric: Rubric, criterion: str, mark: Mark) -> Mark:
    """Return a mark whose points and comment are in range.

    Raises
    ------
    SettingsError, TextError
        Its points are out of range, or its comment is too long.
    """
    points = require_mark(mark.points, rubric.criterion(criterion).weight, rubric.criterion(criterion).name)
    if not isinstance(mark.comment, str) or len(mark.comment) > MAX_COMMENT_CHARACTERS:
        raise TextError(
            f"The comment is {len(str(mark.comment)):,} characters long.",
            f"Up to {MAX_COMMENT_CHARACTERS:,}.",
            "Shorten it.",
        )
    return Mark(points, mark.comment)


def total(marks: Mapping[str, Mark]) -> float | None:
    """Return the sum, or None while a criterion has no points."""
    points = [mark.points for mark in marks.values()]
    given = [point for point in points if point is not None]
    return sum(given) if len(given) == len(points) else None


def marks_of(course: Course, rubric: Rubric, second_reader: str = "") -> Marks:
    """Return the marks that count, or those of a second reader, which count for agreement only."""
    if not second_reader:
        return GradebookMarks(course, rubric)
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in second_reader)[:40]
    return FileMarks(course.folder("marking") / ESSAY / f"{name}.json", rubric)
