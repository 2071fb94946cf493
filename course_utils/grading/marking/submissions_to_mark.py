"""Submissions to mark, anonymous: each paper has a number, and the gradebook alone knows whose it is."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_utils.errors import TextError
from course_utils.evidence.essay.essay import Essay, read_essay
from course_utils.grading.course.course import ESSAY, Course

REPORT = "report.json"
UNFINISHED = "unfinished"  # the status of a report while a submission is being graded


@dataclasses.dataclass(frozen=True)
class Paper:
    """Submission in the list of those to mark.

    Parameters
    ----------
    key : str
        nbgrader's id of the submitted notebook: what formgrader's addresses hold.
    number : int
        From 1, the same number as in formgrader.
    student : str
        Whose it is; never shown to a marker who does not ask.
    needs : tuple of str
        Why a person must look at it besides marking it, in sentences.
    """

    key: str
    number: int
    student: str = dataclasses.field(repr=False)
    needs: tuple[str, ...] = dataclasses.field(default=(), repr=False)  # may name a file, and so a person


@dataclasses.dataclass(frozen=True)
class PaperContents:
    """Contents of a paper: its essay, its report and the folder of its pictures.

    Parameters
    ----------
    paper : Paper
    essay : Essay
    report : mapping
        What autograding found out, as `report.json` holds it.
    folder : Path
        Where the report's pictures lie.
    """

    paper: Paper
    essay: Essay
    report: Mapping[str, Any]
    folder: Path


def list_papers(course: Course, assignment: str = ESSAY) -> list[Paper]:
    """Return the papers that have been graded by machine, in the order of their numbers."""
    with course.gradebook() as gradebook:
        found = [
            (submission.id, submission.student.id)
            for submission in gradebook.notebook_submissions(assignment, assignment)
        ]
    there = sorted(
        (key, student)
        for key, student in found
        if (course.folder("autograded", student, assignment) / f"{assignment}.ipynb").is_file()
    )
    reports = [read_report(course, student, assignment) for _, student in there]
    return [
        Paper(key, number, student, tuple(map(str, report.get("why", ()))))
        for number, ((key, student), report) in enumerate(zip(there, reports, strict=True), 1)
    ]


def open_paper(course: Course, paper: Paper, assignment: str = ESSAY) -> PaperContents:
    """Return a paper with its essay and report.

    Raises
    ------
    TextError
        Its files have gone.
    """
    file = course.folder("autograded", paper.student, assignment) / f"{assignment}.ipynb"
    if not file.is_file():
        raise TextError(
            f"Paper {paper.number} is no longer in the folder autograded.", "A graded paper.", "Grade again: make grade"
        )
    report = read_report(course, paper.student, assignment)
    return PaperContents(paper, read_essay(file), report, course.folder("reports", paper.student, assignment))


def read_report(course: Course, student: str, assignment: str) -> dict[str, Any]:
    """Return what the machine wrote about a submission; empty where it has written nothing."""
    try:
        found = json.loads((course.folder("reports", student, assignment) / REPORT).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
