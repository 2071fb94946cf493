"""Autograding of a class: each submission gets marks and a report, or a reason why it was not graded.

Each submission is graded in a worker process (`worker_pool`). Nothing that happens to one submission, to the
gradebook or to the disk stops the grading of the others:

* What is wrong with a submission, a crash and an exceeded limit included, gives it to a person.
* What is wrong with the machine (a locked gradebook, a full disk) leaves it for the next run. Its report says
  "unfinished" from the first change to the last, so that nothing half-done counts as a mark.
"""

import dataclasses
import errno
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import filelock
import nbformat
from nbformat import NotebookNode

from course_utils.core.files import no_space, replace_file, try_replace_file, write_errors
from course_utils.errors import CourseError, NoSpace, TextError
from course_utils.grading.assignments.generate import generate
from course_utils.grading.assignments.rubric import NAME
from course_utils.grading.assignments.source_notebooks import read_notebook
from course_utils.grading.autograde.essay import examine_essay, require_room
from course_utils.grading.autograde.execute import autograde, outcome_of
from course_utils.grading.autograde.gradebook import clear_submission_time, parts_awaiting_marks, update_gradebook
from course_utils.grading.autograde.worker_pool import Task, TaskResult, default_jobs, run_tasks
from course_utils.grading.course.course import Course
from course_utils.grading.course.gradebook_access import (
    GradebookError,
    gradebook_trouble,
    is_gradebook_trouble,
    require_writable,
)
from course_utils.grading.marking.submissions_to_mark import REPORT, UNFINISHED, read_report
from course_utils.grading.sandbox.sandbox import (
    remove_folder,
    remove_stale_folders,
    require_sandbox,
    sandbox_problem,
    temporary_prefix,
)
from course_utils.grading.submissions.arrival_notes import release_time
from course_utils.grading.submissions.collect import TIME
from course_utils.grading.submissions.contents import (
    arrival_fingerprint,
    fingerprint,
    fingerprint_of_bytes,
    is_same_work,
)
from course_utils.grading.submissions.find import Submission, files_of, find_misplaced, find_submissions, safe_id
from course_utils.grading.submissions.ingest import IngestedSubmission, ingest, placeholder_notebook
from course_utils.grading.submissions.timestamps import course_zone

GRADED, NEEDS_A_PERSON = "graded", "needs a person"
EDITION = 3  # of this procedure: a higher one grades everything anew
N_AGAIN = 2  # records of each essay that are done again
SECONDS = 900.0  # for one submission, with everything that belongs to it
HAND_OVER_SECONDS = 120.0  # to lay down a submission for a person, without reading it
N_ROUNDS = 2  # what the machine prevented is tried once more at the end
UNTOUCHED = "Nothing was written into it. Its points count when a person has confirmed them with `grade confirm`."
# Errors of the system that the next run may not meet. Others, such as a name that is too long, come with a submission.
OF_THE_MACHINE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE,
    errno.ESTALE, errno.ENOMEM, errno.EAGAIN,
}  # fmt: skip
DEATHS = {
    "DeadKernelError": "its kernel died",
    "Kernel died": "its kernel died",
    "unresponsive": "its kernel neither answered nor could be interrupted",
}
Say = Callable[[str], object]


class TryAgain(CourseError):
    """A submission cannot be graded now, for a reason that is not in it."""


Make = Callable[[dict[str, Any]], dict[str, Any]]  # given the report before, it makes the new one


@dataclasses.dataclass(frozen=True)
class GradingResult:
    """Result of grading one submission.

    Parameters
    ----------
    submission : Submission
    report : dict
        Its report; where it is left, the one from before.
    is_new : bool
        It was graded now, and not before.
    left : str
        Why it could not be graded now; "" where it was. The next run tries it again.
    """

    submission: Submission
    report: dict[str, Any]
    is_new: bool
    left: str = ""


def grade(
    course: Course,
    assignment: str,
    students: Sequence[str] = (),
    force: bool = False,
    unsafe: bool = False,
    n_again: int = N_AGAIN,
    say: Say = print,
    n_jobs: int | None = None,
    seconds: float = SECONDS,
) -> list[GradingResult]:
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
    n_jobs : int, optional
        Submissions that are graded at the same time; as many as the machine carries, if left out.
    seconds : float
        The time limit of one submission. A submission that exceeds it goes to a person.

    Returns
    -------
    list of GradingResult
        In the order of their names.

    Raises
    ------
    NoSandbox
        Code would have to run, and there is no sandbox.
    CourseError
        The assignment itself cannot be graded. What is wrong with one submission stands in its report or in ``left``.
    """
    reference = _reference(course, assignment, say)
    found = find_submissions(course, assignment)
    wanted = {name for student in students for name in (student, safe_id(student))}
    if wanted:
        found = [
            submission
            for submission in found
            if submission.student in wanted or submission.folder.parent.name in wanted
        ]
        _require_found(course, assignment, students, found)
    if runs_code(reference) and not unsafe and found:
        require_sandbox()
    with one_at_a_time(course):
        remove_stale_folders(Path(_short_place() or tempfile.gettempdir()))
        tell = _Teller(say, len(found))
        graded = {submission: known for submission in found if not force and (known := _as_before(course, submission))}
        for known in graded.values():
            tell(known)
        left = [submission for submission in found if submission not in graded]
        for number in range(N_ROUNDS):
            is_last = number == N_ROUNDS - 1
            new_ones = _graded_now(course, left, unsafe, n_again, n_jobs or default_jobs(), seconds)
            with closing(new_ones):  # also an interrupt ends all workers at once
                for new in new_ones:
                    graded[new.submission] = new
                    if is_last or not new.left:
                        tell(new)
            left = [submission for submission in left if graded[submission].left]
            if not left:
                break
    for stray in find_misplaced(course, assignment):
        say(f"Left alone: {stray}")
    return [graded[submission] for submission in found]


@dataclasses.dataclass
class _Teller:
    """The lines that a grading says, numbered as they come."""

    say: Say
    n: int
    number: int = 0

    def __call__(self, graded: GradingResult) -> None:
        self.number += 1
        self.say(f"{self.number:3} of {self.n}  {_line(graded)}")


def _graded_now(
    course: Course, submissions: Sequence[Submission], unsafe: bool, n_again: int, n_jobs: int, seconds: float
) -> Generator[GradingResult, None, None]:
    """Let workers grade submissions; yield each as soon as it is done."""
    tasks = [Task(f"{__name__}:grade_one", (submission, unsafe, n_again)) for submission in submissions]
    killed: list[tuple[Submission, str]] = []
    with closing(run_tasks(course, tasks, n_jobs, seconds)) as found:
        for number, answer in found:
            if answer.killed:
                killed.append((submissions[number], answer.killed))
            else:
                yield _read_answer(course, submissions[number], answer)
    remove_stale_folders(Path(_short_place() or tempfile.gettempdir()))
    tasks = [
        Task(f"{__name__}:hand_over", (killed_submission, f"It could not be graded: {why}."))
        for killed_submission, why in killed
    ]
    with closing(run_tasks(course, tasks, n_jobs, HAND_OVER_SECONDS)) as found:
        for number, answer in found:
            submission, why = killed[number]
            if answer.killed:
                yield _left(course, submission, f"{why}, and then {answer.killed}")
            else:
                yield _read_answer(course, submission, answer)


def _read_answer(course: Course, submission: Submission, answer: TaskResult) -> GradingResult:
    report: dict[str, Any] = dict(answer.value)
    if report.get("left"):
        return _left(course, submission, report["left"])
    return GradingResult(submission, report["report"], True)


def _left(course: Course, submission: Submission, why: str) -> GradingResult:
    """Return a submission as left for the next run; its report says why, where the report can be written."""
    report = read_report(course, submission.student, submission.assignment)
    if report.get("status") == UNFINISHED:
        report["unfinished"] = why
        try_replace_file(_report_file(course, submission), json.dumps(report, indent=1))
    return GradingResult(submission, report, False, why)


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
    return any(mark.get("grade") and not mark.get("solution") for mark in marks)


@contextmanager
def one_at_a_time(course: Course) -> Iterator[None]:
    """Keep a second grading of the same course waiting outside; the system lets go when a process dies."""
    lock = filelock.FileLock(course.root / ".grading.lock", timeout=1)
    try:
        with write_errors(course.root / ".grading.lock", "Let yourself write in the course's folder."):
            lock.acquire()
    except filelock.Timeout as problem:
        raise NoSpace(
            "Another process is grading this course.", "One grading at a time.", "Wait until it has ended."
        ) from problem
    try:
        yield
    finally:
        lock.release()


# -- one submission, in a worker ---------------------------------------------------------------------------------------


def grade_one(course: Course, submission: Submission, unsafe: bool, n_again: int) -> dict[str, Any]:
    """Grade one submission; called in a worker process.

    Returns
    -------
    dict
        report, or left: why it cannot be graded now.
    """
    reference = _released(course, submission.assignment)

    def graded(before: dict[str, Any]) -> dict[str, Any]:
        content = _content(submission)
        try:
            return _newly_graded(course, submission, reference, unsafe, n_again, content)
        except Exception as problem:
            if _is_outside(problem):
                raise
            why = f"It could not be graded: {_in_words(problem)}"
            report = _handed_over(course, submission, reference, why)
            return report | {"fingerprint": "", "content": content or before.get("content", "")}

    return _whole(course, submission, graded)


def hand_over(course: Course, submission: Submission, why: str) -> dict[str, Any]:
    """Give a submission to a person without reading it; called in a worker process.

    Returns
    -------
    dict
        As `grade_one` returns it.
    """
    reference = _released(course, submission.assignment)

    def handed_over(before: dict[str, Any]) -> dict[str, Any]:
        raw = _content(submission, is_read=False)
        content = before.get("content") if before.get("bytes") == raw else raw  # the same files hold the same work
        report = _handed_over(course, submission, reference, why) | {"bytes": raw}
        # With its fingerprint: the next run does not spend the same time on it again, unless it is forced.
        return report | {"fingerprint": _fingerprint(course, submission), "content": content}

    return _whole(course, submission, handed_over, is_read=False)


def _whole(course: Course, submission: Submission, make: Make, is_read: bool = True) -> dict[str, Any]:
    """Make a report between a mark that says "unfinished" and the report itself.

    With ``is_read=False`` no file of the submission is parsed: that is what took too long or too much.
    """
    student, assignment = submission.student, submission.assignment
    try:
        _require_machine(course)
        before = read_report(course, student, assignment)
        if is_read and before.get("content") and is_same_work(submission.folder, str(before["content"])):
            before["content"] = _content(submission)  # an earlier version of the course wrote another one
        waited = parts_awaiting_marks(course, student, assignment)
        if before.get("status") == UNFINISHED:  # what nbgrader has written since is not what a person said
            earlier = before.get("waited") or {}
            waited = {name: waits and earlier.get(name, waits) for name, waits in waited.items()}
        begun = {**_empty(submission), **before, "status": UNFINISHED, "fingerprint": "", "waited": waited}
        begun["unfinished"] = "It was interrupted."
        replace_file(_report_file(course, submission), json.dumps(begun, indent=1))
        report = make(before)
        if report.get("untouched"):
            report["why"].append(UNTOUCHED)
        report["why"] += update_gradebook(course, student, assignment, report, before, waited)
        report["status"] = NEEDS_A_PERSON if report["why"] else GRADED
        replace_file(_report_file(course, submission), json.dumps(report, indent=1))
    except Exception as problem:
        if not _is_outside(problem):
            return {"left": f"It could not be graded: {_in_words(problem)}"}
        return {"left": problem.what if isinstance(problem, CourseError) else _in_words(problem)}
    return {"report": report}


_patience: dict[str, float] = {}


def _require_machine(course: Course) -> None:
    """Refuse to begin while gradebook or disk cannot be written; wait long only once in a row."""
    try:
        require_writable(course.db_url, _patience.get(course.db_url))
    except GradebookError:
        _patience[course.db_url] = 1.0
        raise
    _patience.pop(course.db_url, None)


def _is_outside(problem: Exception) -> bool:
    """Tell whether an error comes from the machine and not from the submission."""
    if isinstance(problem, GradebookError | TryAgain):
        return True
    cause = problem.__cause__ if isinstance(problem, NoSpace) else problem
    if isinstance(cause, OSError):
        return cause.errno in OF_THE_MACHINE
    return isinstance(problem, NoSpace)


def _in_words(problem: Exception) -> str:
    """Return an error as a sentence; a KeyError alone would name a field and nothing else."""
    if isinstance(problem, CourseError):
        return " ".join(problem.what.split())[:300]
    if isinstance(problem, OSError):
        return f"{problem.filename or 'A file'} cannot be used: {problem.strerror or problem}."[:300]
    description = " ".join(f"{type(problem).__name__}: {problem}".split())[:250]
    return f"Something in it is not as the grading expects it ({description})."


def _content(submission: Submission, is_read: bool = True) -> str:
    """Return the hash of what was handed in; of the files as they are, where they shall not or cannot be parsed.

    Raises
    ------
    TryAgain
        Its folder is gone.
    """
    if not submission.folder.is_dir():
        raise TryAgain(f"{submission.folder} is no longer there: collect it again.")
    if is_read:
        try:
            return fingerprint(submission.folder)
        except OSError:
            raise
        except Exception:  # a parser that stumbles over a hostile file: `ingest` tells a person about it
            return fingerprint_of_bytes(submission.folder)
    return fingerprint_of_bytes(submission.folder)


def _fingerprint(course: Course, submission: Submission) -> str:
    """Return a hash of all that a report depends on: every file, how they arrived, and the assignment."""
    arrived = arrival_fingerprint(submission.folder, submission.arrival)
    return f"{EDITION}:{arrived}:{_version(course, submission.assignment)}"


def _as_before(course: Course, submission: Submission) -> GradingResult | None:
    """Return a submission as it was graded before, if neither it nor the assignment has changed since."""
    report = read_report(course, submission.student, submission.assignment)
    if report.get("status") not in (GRADED, NEEDS_A_PERSON) or not report.get("fingerprint"):
        return None
    try:
        whole = _fingerprint(course, submission)
    except OSError:
        return None  # the worker tells why
    is_same = report["fingerprint"] == whole and _is_there(course, submission)
    return GradingResult(submission, report, False) if is_same else None


def _newly_graded(
    course: Course, submission: Submission, reference: NotebookNode, unsafe: bool, n_again: int, content: str
) -> dict[str, Any]:
    report = _empty(submission)
    released = release_time(course, submission.assignment)
    ingested = ingest(submission, reference, course_zone(course), released)
    if _content(submission) != content:
        raise TryAgain(f"{submission.folder} was changed while it was read.")
    report |= {"fingerprint": _fingerprint(course, submission), "content": content}
    report["bytes"] = _content(submission, is_read=False)
    report["intake"] = {"notebook": ingested.name or None, "files": ingested.files}
    report["repairs"], report["why"] = ingested.repairs, list(ingested.doubts)
    _lay_down(course.folder("repaired", submission.student, submission.assignment), ingested)
    folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=_short_place()))
    try:
        report["execution"] = _run(course, submission, ingested, runs_code(reference), unsafe, folder, report["why"])
        if has_sections(reference) and ingested.is_readable:
            report |= examine_essay(course, ingested, n_again, folder, report["why"])
    finally:
        remove_folder(folder)
    if TIME not in ingested.kept:
        clear_submission_time(course, submission.student, submission.assignment)
    report["if_points_are_lost"] = ingested.notes
    report["untouched"] = ingested.is_untouched
    return report


def _handed_over(course: Course, submission: Submission, reference: NotebookNode, why: str) -> dict[str, Any]:
    """Lay down what is known of a submission that could not be graded, so that it can be marked all the same."""
    student, assignment = submission.student, submission.assignment
    ingested = IngestedSubmission(submission, placeholder_notebook(reference, [why], files_of(submission.folder)))
    _lay_down(course.folder("repaired", student, assignment), ingested)
    folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=_short_place()))
    report = _empty(submission) | {"why": [why]}
    try:
        done = autograde(course, student, assignment, False, False, folder)
    finally:
        remove_folder(folder)
    _require_no_outside_fault(course, done)
    if not done["success"]:
        report["why"].append(f"nbgrader cannot show it: {_reason(done)}")
    return report


def has_sections(reference: NotebookNode) -> bool:
    """Tell whether an assignment is an essay."""
    return any(cell.metadata.get("course", {}).get("section") for cell in reference.cells)


def _run(
    course: Course,
    submission: Submission,
    ingested: IngestedSubmission,
    has_code: bool,
    unsafe: bool,
    folder: Path,
    why: list[str],
) -> dict[str, Any]:
    """Let nbgrader grade it; where its code cannot be run to the end, a person marks what the machine would have."""
    student, assignment = submission.student, submission.assignment
    run_report: dict[str, Any] = {"status": "nothing to run", "why": "", "seconds": 0.0}
    if has_code and ingested.is_readable:
        done = autograde(course, student, assignment, True, not (unsafe and sandbox_problem()), folder)
        _require_no_outside_fault(course, done)
        ran = outcome_of(folder)
        problem = ran.get("closed") or ("" if done["success"] else _reason(done))
        run_report = {"status": "failed" if problem else "run", "why": problem, "seconds": ran.get("seconds", 0.0)}
        run_report |= {name: ran[name] for name in ("seed", "order") if name in ran}
        if problem:
            why.append(f"Its code could not be run to the end: {problem}. All of it is to be marked by a person.")
        else:
            why.extend(ran.get("doubts", ()))
        if not problem:
            return run_report
    elif has_code:
        run_report = {"status": "not run", "why": "There is nothing to run.", "seconds": 0.0}
    done = autograde(course, student, assignment, False, False, folder)
    _require_no_outside_fault(course, done)
    if not done["success"]:
        why.append(f"nbgrader cannot show it: {_reason(done)}")
    return run_report


def _require_no_outside_fault(course: Course, done: dict[str, Any]) -> None:
    """Refuse to blame a submission for what the gradebook or the disk did while nbgrader graded it.

    Raises
    ------
    GradebookError, NoSpace
    """
    if done["success"]:
        return
    log = f"{done.get('error') or ''}\n{done.get('log') or ''}"
    if is_gradebook_trouble(log):
        raise gradebook_trouble(course.db_url, log)
    for line in log.splitlines():
        found = re.match(r"(?:OSError|PermissionError|FileExistsError|NotADirectoryError): \[Errno (\d+)\] (.*)", line)
        if found and int(found[1]) in OF_THE_MACHINE:
            raise no_space(course.root, OSError(int(found[1]), found[2]), "Make room, then: make grade")
    for folder in (course.root, Path(tempfile.gettempdir())):
        require_room(folder)


# -- files -------------------------------------------------------------------------------------------------------------


def _reference(course: Course, assignment: str, say: Say) -> NotebookNode:
    """Return the assignment as it was given out; made first, if need be, so that the database knows it."""
    course.source(assignment)
    file = course.folder("assignments", "", assignment) / f"{assignment}.ipynb"
    with course.gradebook() as gradebook:
        known = any(entry.name == assignment and entry.notebooks for entry in gradebook.assignments)
    if not file.is_file() or not known:
        generate(course, assignment, say)
    return _released(course, assignment)


def _released(course: Course, assignment: str) -> NotebookNode:
    """Return the assignment as it was given out.

    Raises
    ------
    DamagedFile
        Its file is no notebook any more.
    """
    return read_notebook(course.folder("assignments", "", assignment) / f"{assignment}.ipynb", "make release")


def _version(course: Course, assignment: str) -> str:
    """Return a hash of what a submission is graded by."""
    folder = course.source(assignment).parent
    files = [file for file in (course.source(assignment), folder / NAME) if file.is_file()]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _lay_down(folder: Path, ingested: IngestedSubmission) -> None:
    """Write what is graded; nbgrader reads it from there, and the original stays as it came."""
    with write_errors(folder, "Make room there, then: make grade"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    replace_file(folder / f"{folder.name}.ipynb", nbformat.writes(ingested.notebook))
    for name, content in ingested.kept.items():
        if not name.lower().endswith(".ipynb"):
            replace_file(folder / name, content)


def _is_there(course: Course, submission: Submission) -> bool:
    file = course.folder("autograded", submission.student, submission.assignment) / f"{submission.assignment}.ipynb"
    return file.is_file()


def _report_file(course: Course, submission: Submission) -> Path:
    return course.folder("reports", submission.student, submission.assignment) / REPORT


def _short_place() -> str | None:
    """Return a folder whose path is short enough for a socket's name."""
    return "/tmp" if len(tempfile.gettempdir()) > 40 and Path("/tmp").is_dir() else None


def _empty(submission: Submission) -> dict[str, Any]:
    return {
        "student": submission.student, "assignment": submission.assignment, "status": GRADED, "why": [],
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "intake": {"notebook": None, "files": []}, "repairs": [],
        "execution": {"status": "not run", "why": "", "seconds": 0.0}, "essay": None,
        "ledger": {"status": "missing", "n_records": 0, "why": "No ledger was handed in."}, "evidence": [],
    }  # fmt: skip


def _reason(done: dict[str, Any]) -> str:
    """Return why nbgrader did not come to the end, in a few words."""
    log = f"{done.get('error')} {done.get('log')}"
    for sign, words in DEATHS.items():
        if sign in log:
            return words
    errors = [line.strip() for line in log.splitlines() if re.match(r"\s*[\w.]*(?:Error|Exception|Entry)\b", line)]
    errors = [line for line in errors if "NbGraderException" not in line]
    return errors[-1][:300] if errors else "nbgrader does not say why"


def _line(graded: GradingResult) -> str:
    report = graded.report
    if graded.left:
        return f"{graded.submission.student}: left for later. {graded.left}"
    if not graded.is_new:
        return f"{graded.submission.student}: as before, {report['status']}"
    line = f"{graded.submission.student}: {report['status']}"
    return f"{line}. {report['why'][0]}" if report["why"] else line
