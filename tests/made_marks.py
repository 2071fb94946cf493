"""Marked work of a made-up class in every state that there is: names, essays and answers that no program would like."""

import dataclasses
import datetime
import json
from pathlib import Path

import nbformat
from made_course import GOOD, WRONG, hand_in, make_course, released, with_answer

from course_utils.grading.assignments.generate import generate
from course_utils.grading.course.course import ESSAY, EXERCISES, Course, ignore_nbgrader_warnings

HOSTILE = "</style></script><script>window.__xss=1</script><img src=x onerror=window.__xss=1> \u202eRTL\u202c مرحبا"
DUE = datetime.datetime(2026, 5, 1, 12, 0)
FORMULA = "=cmd|'/c calc'!A1"  # a name that no folder can have
PEOPLE = {  # id: first name, last name, email, number in the learning platform
    "ann": ("Ann, Marie", "O'Brien", "ann@example.org", "101"),
    "=1-1": ("+49", "-5", "", "102"),
    FORMULA: ('=HYPERLINK("x")', "\uff1dSUM(1)", "@mail", ""),
    "李": ("小龙", "李", "li@example.org", "104"),
    "bo": ("Bo\nor Bob", "tab\there", "bo@example.org", "105"),
    "cy": ("Cy", "\u200b=hidden", "cy@example.org", "106"),
    "dee": ("", "", "", ""),
}
LATE = datetime.timedelta(hours=25)


def record(id: str, status: str, **changes: object) -> dict:
    """An entry of a report's evidence, as the grading writes it."""
    told = {"finding": f"Found {HOSTILE}", "note": "mine", "metric": "auc", "of": "small", "value": 0.91234, "low": 0.9}
    told |= {
        "high": 0.93,
        "n": 20,
        "unit": "share",
        "experiment": "detection.transfer",
        "models": {},
        "seed": 1,
        "time": "",
    }
    again = {"status": status, "value": 0.5, "why": f"auc of small was 0.912 and is now 0.5 {HOSTILE}"}
    return {"id": id, "cited": True, "record": told, "again": again, "picture": None, "alt": ""} | changes


def write_report(course: Course, student: str, assignment: str, **changes: object) -> None:
    """A report in the documented form."""
    findings = [
        {"kind": "word count", "severity": "fault", "says": f"Too short. {HOSTILE}", "section": "thesis"},
        {"kind": "comparison", "severity": "hint", "says": "Larger than what?", "section": ""},
    ]
    essay = {"n_words": 120, "strategy": "staged release", "sections": {}, "findings": findings}
    report = {
        "student": student, "assignment": assignment, "fingerprint": "", "made": "", "status": "graded", "why": [],
        "intake": {"notebook": None, "files": []}, "repairs": [],
        "execution": {"status": "run", "why": "", "seconds": 1},
        "essay": essay if assignment == ESSAY else None, "ledger": {"status": "sound", "n_records": 2, "why": ""},
        "evidence": [record("E-07f3", "reproduced"), record("E-9c01", "not reproduced")] if assignment == ESSAY else [],
    }  # fmt: skip
    folder = course.folder("reports", student, assignment)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report | changes), "utf-8")


def graded(course: Course, student: str, assignment: str, content: nbformat.NotebookNode, late: bool = False) -> None:
    """What grading leaves behind: a notebook in autograded, and rows without marks in nbgrader's database."""
    folder = course.folder("autograded", student, assignment)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{assignment}.ipynb").write_text(
        json.dumps(content)
    )  # holds half characters too, as a browser may write
    with course.gradebook() as gradebook, ignore_nbgrader_warnings():
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_assignment(assignment, duedate=DUE)
        gradebook.update_or_create_submission(assignment, student, timestamp=DUE + (LATE if late else -LATE))


def give(course: Course, student: str, assignment: str, comment: str = "", **points: float) -> None:
    """Marks of a person, by the name of the cell, ``_`` standing for ``-``."""
    with course.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook(assignment, assignment, student)
        for grade in notebook.grades:
            if (name := grade.name.replace("-", "_")) in points:
                grade.manual_score, grade.needs_manual_grade = points[name], points[name] is None
        for each in notebook.comments:
            if comment and each.name.replace("-", "_") in points:
                each.manual_comment = comment
        gradebook.db.commit()


def machine(course: Course, student: str, **points: float | None) -> None:
    """What the checks gave; None where they did not run."""
    with course.gradebook() as gradebook:
        for grade in gradebook.find_submission_notebook(EXERCISES, EXERCISES, student).grades:
            grade.auto_score, grade.needs_manual_grade = points[grade.name], points[grade.name] is None
        gradebook.db.commit()


def essay_of(course: Course, words: str) -> nbformat.NotebookNode:
    return with_answer(released(course, ESSAY), text_thesis=words, strategy='strategy = "staged release"')


def exercise_of(course: Course, answer: str, *errors: tuple[str, str, str]) -> nbformat.NotebookNode:
    """An exercise that has been run: errors are a cell, the error's name, and what it says."""
    notebook = with_answer(released(course, EXERCISES), answer_double=answer)
    for cell, name, said in errors:
        traceback = [f"Traceback of {cell}: double(21) == 42"]
        found = next(each for each in notebook.cells if each.id == cell)
        found.outputs = [nbformat.v4.new_output("error", ename=name, evalue=said, traceback=traceback)]
    return notebook


def submitted(course: Course, student: str, assignment: str, secret: str = "") -> None:
    """A folder as a student hands it in; through nbgrader where there is a secret."""
    keys = {"submission_secret.txt": secret.encode(), "timestamp.txt": b"2026-04-30 11:00:00.000000 UTC"}
    hand_in(course, student, assignment, {"cells": []}, **(keys if secret else {}))


def make_marked_course(root: Path) -> Course:
    """ann and =1-1 are marked, 李 in part, bo needs a person, cy is not graded, the others handed in nothing."""
    course = make_course(root)
    for assignment in (ESSAY, EXERCISES):
        with ignore_nbgrader_warnings():
            generate(course, assignment, say=lambda _: None)
    with course.gradebook() as gradebook:
        for id, (first, last, email, number) in PEOPLE.items():
            gradebook.add_student(id, first_name=first, last_name=last, email=email, lms_user_id=number)
    for student, secret in (("ann", "secret of ann"), ("=1-1", ""), ("李", "secret of li"), ("bo", ""), ("cy", "")):
        submitted(course, student, ESSAY, secret)
    for student in ("ann", "=1-1", "李", "bo"):
        graded(course, student, ESSAY, essay_of(course, f"I argue. {HOSTILE}"), late=student == "=1-1")
        write_report(course, student, ESSAY)
    give(course, "ann", ESSAY, f"Well argued. {HOSTILE}", criterion_thesis=4, criterion_evidence=4.5)
    give(course, "=1-1", ESSAY, criterion_thesis=2, criterion_evidence=0)
    give(course, "李", ESSAY, criterion_thesis=2)
    write_report(course, "bo", ESSAY, status="needs a person", why=["Its ledger cannot be read."])
    _make_exercises(course)
    return course


def _make_exercises(course: Course) -> None:
    for student in ("ann", "=1-1", "李", "bo"):
        submitted(course, student, EXERCISES, f"another secret of {student}" if student == "ann" else "")
        write_report(course, student, EXERCISES)
    seen, unseen = ("see", "AssertionError", "double(2) gave 2"), ("unseen", "AssertionError", "double(21) gave 21")
    graded(course, "ann", EXERCISES, exercise_of(course, GOOD))
    graded(course, "=1-1", EXERCISES, exercise_of(course, f"{WRONG}\n# {HOSTILE}", seen, unseen))
    graded(course, "李", EXERCISES, exercise_of(course, WRONG))
    graded(course, "bo", EXERCISES, exercise_of(course, GOOD))
    machine(course, "ann", see=2, unseen=2)
    machine(course, "=1-1", see=0, unseen=0)
    machine(course, "李", see=None, unseen=None)
    machine(course, "bo", see=2, unseen=2)
    write_report(course, "bo", EXERCISES, status="needs a person", why=["Two cells had the same name."])


@dataclasses.dataclass(frozen=True)
class ClassOfMany:
    """Adds marked essays to a course: levels by criterion, strategy, words and outcomes of each person."""

    course: Course

    def add(self, student: str, thesis: float, evidence: float, **essay: object) -> None:
        outcomes = essay.pop("again", ())
        graded(self.course, student, ESSAY, essay_of(self.course, "words"))
        told = {"n_words": 100, "strategy": "staged release", "sections": {}, "findings": []} | essay
        cited = [record(f"E-{place:04x}", status) for place, status in enumerate(outcomes)]
        write_report(self.course, student, ESSAY, essay=told, evidence=cited)
        give(self.course, student, ESSAY, criterion_thesis=thesis, criterion_evidence=evidence)
