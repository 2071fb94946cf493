"""Grading a class by machine: every submission ends in the database and in a report, or in a person's hands."""

import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import nbformat
from nbformat import NotebookNode

from course_utils.errors import NoSpace, TextError
from course_utils.grading.assignment import generate
from course_utils.grading.course import Course
from course_utils.grading.database import settle, waiting
from course_utils.grading.examination import examined
from course_utils.grading.execution import autograde, outcome_of
from course_utils.grading.intake import Taken, fingerprint, stand_in, take_in
from course_utils.grading.marks import write_whole
from course_utils.grading.papers import REPORT, read_report
from course_utils.grading.rubric import NAME
from course_utils.grading.sandbox import prefix, remove, remove_old, require_sandbox, why_not
from course_utils.grading.submissions import Submission, files_of, find_submissions, safe_id, strays

GRADED, NEEDS_A_PERSON = "graded", "needs a person"
EDITION = 2  # of this procedure: a higher one grades everything anew
N_AGAIN = 2  # records of each essay that are done again
DEATHS = {
    "DeadKernelError": "its kernel died",
    "Kernel died": "its kernel died",
    "unresponsive": "its kernel neither answered nor could be interrupted",
}
Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Graded:
    """What became of one submission: its report, and whether it was graded now or had been before."""

    submission: Submission
    report: dict
    is_new: bool


def grade(
    course: Course,
    assignment: str,
    students: Sequence[str] = (),
    force: bool = False,
    unsafe: bool = False,
    n_again: int = N_AGAIN,
    say: Say = print,
) -> list[Graded]:
    """Grade all submissions of an assignment that are new or changed.

    Parameters
    ----------
    course : Course
    assignment : str
    students : sequence of str
        Only these; all, if left out.
    force : bool
        Those too that have not changed. Marks that people gave stay.
    unsafe : bool
        Run students' code without a sandbox where there is none.
    n_again : int
        How many cited records of each essay are done again.
    say : callable
        Told a line about each.

    Raises
    ------
    NoSandbox
        Code would have to run, and there is no sandbox.
    CourseError
        The assignment itself cannot be graded. What is wrong with one submission stands in its report.
    """
    reference = _reference(course, assignment, say)
    found = find_submissions(course, assignment)
    wanted = {name for each in students for name in (each, safe_id(each))}
    if wanted:
        found = [each for each in found if each.student in wanted or each.folder.parent.name in wanted]
        _require_found(course, assignment, students, found)
    if runs_code(reference) and not unsafe and found:
        require_sandbox()
    with one_at_a_time(course):
        remove_old(Path(_short_place() or tempfile.gettempdir()))
        graded = []
        for number, submission in enumerate(found, 1):
            graded.append(_grade_one(course, submission, reference, force, unsafe, n_again))
            say(f"{number:3} of {len(found)}  {_line(graded[-1])}")
    for stray in strays(course, assignment):
        say(f"Left alone: {stray}")
    return graded


def _require_found(course: Course, assignment: str, students: Sequence[str], found: Sequence[Submission]) -> None:
    """Refuse a name that nobody has, rather than grade nobody in silence."""
    if not found:
        raise TextError(
            f"Nobody called {', '.join(map(str, students))[:100]} has handed in {assignment}.",
            f"The name of a folder in {course.folder('submitted')}.", "python -m course_utils grade status",
        )  # fmt: skip


def runs_code(reference: NotebookNode) -> bool:
    """Tell whether an assignment has cells that the machine marks by running them."""
    marks = [cell.metadata.get("nbgrader", {}) for cell in reference.cells if cell.cell_type == "code"]
    return any(each.get("grade") and not each.get("solution") for each in marks)


@contextmanager
def one_at_a_time(course: Course) -> Iterator[None]:
    """Keep a second grading of the same course waiting outside; the system lets go when a process dies."""
    lock = filelock.FileLock(course.root / ".grading.lock", timeout=1)
    try:
        lock.acquire()
    except filelock.Timeout as problem:
        raise NoSpace(
            "Another grading of this course is going on.", "One at a time.", "Wait until it has ended."
        ) from problem
    try:
        yield
    finally:
        lock.release()


# -- one submission ----------------------------------------------------------------------------------------------------


def _grade_one(
    course: Course, submission: Submission, reference: NotebookNode, force: bool, unsafe: bool, n_again: int
) -> Graded:
    """Grade one; whatever happens to it, the others go on."""
    student, assignment = submission.student, submission.assignment
    before, content = read_report(course, student, assignment), ""
    waited = waiting(course, student, assignment)
    try:
        content = fingerprint(submission.folder)
        whole = f"{EDITION}:{content}:{_version(course, assignment)}"
        if not force and before.get("fingerprint") == whole and _is_there(course, submission):
            return Graded(submission, before, False)
        report = _newly_graded(course, submission, reference, unsafe, n_again)
        report |= {"fingerprint": whole, "content": content}
    except Exception as problem:  # whatever it was, the other submissions go on, and this one is told
        why = f"It could not be graded: {type(problem).__name__}: {' '.join(str(problem).split())[:300]}"
        report = _empty(submission) | {"why": [why], "fingerprint": "", "content": content or before.get("content", "")}
        _give_to_a_person(course, submission, reference, why)
    report["why"] += settle(course, student, assignment, report, before, waited)
    report["status"] = NEEDS_A_PERSON if report["why"] else GRADED
    write_whole(_report_file(course, submission), json.dumps(report, indent=1))
    return Graded(submission, report, True)


def _newly_graded(
    course: Course, submission: Submission, reference: NotebookNode, unsafe: bool, n_again: int
) -> dict[str, object]:
    report = _empty(submission)
    taken = take_in(submission, reference)
    report["intake"] = {"notebook": taken.name or None, "files": taken.files}
    report["repairs"], report["why"] = taken.repairs, list(taken.doubts)
    _lay_down(course.folder("repaired", submission.student, submission.assignment), taken)
    place = Path(tempfile.mkdtemp(prefix=prefix(), dir=_short_place()))
    try:
        report["execution"] = _run(course, submission, taken, runs_code(reference), unsafe, place, report["why"])
        if has_sections(reference) and taken.is_readable:
            report |= examined(course, taken, n_again, place, report["why"])
    finally:
        remove(place)
    report["if_points_are_lost"] = taken.notes
    report["untouched"] = taken.is_untouched
    return report


def _give_to_a_person(course: Course, submission: Submission, reference: NotebookNode, why: str) -> None:
    """Lay down what is known of a submission that could not be graded, so that it can be marked all the same."""
    taken = Taken(submission, stand_in(reference, [why], files_of(submission.folder)))
    _lay_down(course.folder("repaired", submission.student, submission.assignment), taken)
    place = Path(tempfile.mkdtemp(prefix=prefix(), dir=_short_place()))
    try:
        autograde(course, submission.student, submission.assignment, False, False, place)
    finally:
        remove(place)


def has_sections(reference: NotebookNode) -> bool:
    """Tell whether an assignment is an essay."""
    return any(cell.metadata.get("course", {}).get("section") for cell in reference.cells)


def _run(
    course: Course, submission: Submission, taken: Taken, has_code: bool, unsafe: bool, place: Path, why: list[str]
) -> dict[str, object]:
    """Let nbgrader grade it; where its code cannot be run to the end, a person marks what the machine would have."""
    student, assignment = submission.student, submission.assignment
    told: dict[str, object] = {"status": "nothing to run", "why": "", "seconds": 0.0}
    if has_code and taken.is_readable:
        done = autograde(course, student, assignment, True, not (unsafe and why_not()), place)
        ran = outcome_of(place)
        problem = ran.get("closed") or ("" if done["success"] else _reason(done))
        told = {"status": "failed" if problem else "run", "why": problem, "seconds": ran.get("seconds", 0.0)}
        if problem:
            why.append(f"Its code could not be run to the end: {problem}. All of it is to be marked by a person.")
        elif ran.get("tampered"):
            told["status"] = "tampered"
            why.append("Its checks had been made unable to fail: none of its points counts before a person has looked.")
        elif ran.get("timeouts"):
            why.append(f"A cell did not end in time ({', '.join(ran['timeouts'][:5])}): see what it was worth.")
        if not problem:
            return told
    elif has_code:
        told = {"status": "not run", "why": "There is nothing to run.", "seconds": 0.0}
    done = autograde(course, student, assignment, False, False, place)
    if not done["success"]:
        why.append(f"nbgrader cannot show it: {_reason(done)}")
    return told


# -- files -------------------------------------------------------------------------------------------------------------


def _reference(course: Course, assignment: str, say: Say) -> NotebookNode:
    """Return the assignment as it was given out; made first, if need be, so that the database knows it."""
    course.source(assignment)
    file = course.folder("assignments", "", assignment) / f"{assignment}.ipynb"
    with course.gradebook() as gradebook:
        known = any(each.name == assignment and each.notebooks for each in gradebook.assignments)
    if not file.is_file() or not known:
        generate(course, assignment, say)
    return nbformat.read(file, as_version=4)


def _version(course: Course, assignment: str) -> str:
    """Return a hash of what a submission is graded by."""
    folder = course.source(assignment).parent
    files = [file for file in (course.source(assignment), folder / NAME) if file.is_file()]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _lay_down(folder: Path, taken: Taken) -> None:
    """Write what is graded; nbgrader reads it from there, and the original stays as it came."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    nbformat.write(taken.notebook, folder / f"{folder.name}.ipynb")
    for name, content in taken.kept.items():
        if not name.lower().endswith(".ipynb"):
            (folder / name).write_bytes(content)


def _is_there(course: Course, submission: Submission) -> bool:
    file = course.folder("autograded", submission.student, submission.assignment) / f"{submission.assignment}.ipynb"
    return file.is_file()


def _report_file(course: Course, submission: Submission) -> Path:
    return course.folder("reports", submission.student, submission.assignment) / REPORT


def _short_place() -> str | None:
    """Return a folder whose path is short enough for a socket's name."""
    return "/tmp" if len(tempfile.gettempdir()) > 40 and Path("/tmp").is_dir() else None


def _empty(submission: Submission) -> dict[str, object]:
    return {
        "student": submission.student, "assignment": submission.assignment, "status": GRADED, "why": [],
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "intake": {"notebook": None, "files": []}, "repairs": [],
        "execution": {"status": "not run", "why": "", "seconds": 0.0}, "essay": None,
        "ledger": {"status": "missing", "n_records": 0, "why": "No ledger was handed in."}, "evidence": [],
    }  # fmt: skip


def _reason(done: dict) -> str:
    """Return why nbgrader did not come to the end, in a few words."""
    told = f"{done.get('error')} {done.get('log')}"
    for sign, words in DEATHS.items():
        if sign in told:
            return words
    errors = [line.strip() for line in told.splitlines() if re.match(r"\s*[\w.]*(?:Error|Exception|Entry)\b", line)]
    errors = [line for line in errors if "NbGraderException" not in line]
    return errors[-1][:300] if errors else "nbgrader does not say why"


def _line(graded: Graded) -> str:
    report = graded.report
    if not graded.is_new:
        return f"{graded.submission.student}: as before, {report['status']}"
    told = f"{graded.submission.student}: {report['status']}"
    return f"{told}. {report['why'][0]}" if report["why"] else told
