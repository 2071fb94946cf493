"""Execution of submissions for nbgrader, with points that are decided outside of the students' process.

nbgrader runs a notebook, checks included, in one kernel, and reads the points from that kernel's outputs. Whatever
runs there can write those outputs. Here the checks run in a process of the grader's (`checker`), and the points that
nbgrader stores are that process's verdicts. Nothing in a notebook is read as a score.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, is_task

from course_utils.core.files import replace_file
from course_utils.core.paths import python_path, source_file
from course_utils.grading.checks import checker, codec, runner
from course_utils.grading.checks.plain_values import one_line
from course_utils.grading.checks.plan import CheckResults, Job, VerdictData
from course_utils.grading.checks.student_sandbox import student_command
from course_utils.grading.course.course import Course, ignore_nbgrader_warnings
from course_utils.grading.sandbox.sandbox import temporary_prefix

OUTCOME = "execution.json"
MAX_SUBMISSION_SECONDS = 240.0  # for a whole submission
CALL_SECONDS = 10.0  # for one call of a student's function
CELL_SECONDS = 60.0  # for one of a student's cells
SPARE_SECONDS = 60.0  # for what the instructor's own code takes
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
NOT_FOR_STUDENTS = ("*.ipynb", ".*", "submission_secret.txt")


@dataclasses.dataclass
class ExecutionResult:
    """Result of executing a submission's code and its checks.

    Parameters
    ----------
    verdicts : dict
        For each check, by nbgrader's name: points (None where undecided), error, why.
    outputs : dict
        What each of the student's cells showed.
    stopped : dict
        Cells that ended their Python or did not end, and why.
    late : list of str
        Cells and calls that did not end in time.
    tampered : list of str
        Cells and checks in which the student's code wrote what looks like an answer into the grader's pipe.
    vanished : list of str
        Names that one of the cells sets without an error, and that were not there afterwards.
    seed : str
    order : list of str
        In which the checks were run.
    seconds : float
    closed : str
        Why nothing could be decided; "" where that is not so.
    """

    verdicts: dict[str, VerdictData] = dataclasses.field(default_factory=dict)
    outputs: dict[str, list[list[Any]]] = dataclasses.field(default_factory=dict)
    stopped: dict[str, str] = dataclasses.field(default_factory=dict)
    late: list[str] = dataclasses.field(default_factory=list)
    tampered: list[str] = dataclasses.field(default_factory=list)
    vanished: list[str] = dataclasses.field(default_factory=list)
    seed: str = ""
    order: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    closed: str = ""

    def doubts(self) -> list[str]:
        """Return, a sentence each, why a person should look at what was lost."""
        doubts = [
            f"The cell {name} could not be run to its end: {why}." for name, why in list(self.stopped.items())[:5]
        ]
        if calls := [name for name in self.late if name not in self.stopped]:
            doubts.append(f"A call did not end in time ({', '.join(calls[:3])}): see what it was worth.")
        if self.tampered:
            named = ", ".join(list(dict.fromkeys(self.tampered))[:3])
            doubts.append(f"Its code wrote into the pipe between it and the grader ({named}): points are lost by that.")
        if self.vanished:
            named = ", ".join(map(one_line, sorted(self.vanished)[:5]))
            doubts.append(f"Its cells set {named} without an error, and nothing of that name was there afterwards.")
        undecided = {name: verdict["why"] for name, verdict in self.verdicts.items() if verdict["points"] is None}
        doubts += [f"The check {name} could not be decided: {why}" for name, why in list(undecided.items())[:3]]
        return doubts

    def outcome(self) -> dict[str, object]:
        """Return what a report says of it."""
        facts = {"seconds": self.seconds, "seed": self.seed, "order": self.order, "doubts": self.doubts()}
        return facts | ({"closed": self.closed} if self.closed else {})


# -- the checker's process ---------------------------------------------------------------------------------------------


def check(
    source: Sequence[Mapping[str, Any]],
    submission: Sequence[Mapping[str, str]],
    instructor: Path,
    given: Path | None,
    boxed: bool = True,
    cell_seconds: float = CELL_SECONDS,
    private: Path | None = None,
) -> ExecutionResult:
    """Run a student's cells and the instructor's checks of them.

    Parameters
    ----------
    source : sequence of cells
        The instructor's notebook.
    submission : sequence of dict
        The student's code cells in order: id and source. Of a check its id stands at its place, and no source.
    instructor : Path
        The folder of the instructor's notebook, in which the checks run.
    given : Path or None
        A folder whose files the student's code finds in its own.
    boxed : bool
        In a sandbox.
    cell_seconds : float
        The limit of a cell; a call has `CALL_SECONDS` at most.
    private : Path, optional
        A folder for files of the run, in place of the usual one for temporary files.
    """
    seed = hashlib.sha256(json.dumps([list(source), list(submission)], sort_keys=True).encode()).hexdigest()[:16]
    with tempfile.TemporaryDirectory(prefix=temporary_prefix(), dir=private) as folder:
        line = student_command(given, allowed_packages(source)) if boxed else _bare_command(given, Path(folder))
        job: Job = {
            "source": list(source), "submission": list(submission), "instructor": str(instructor.resolve()),
            "line": line, "environment": {} if boxed else _bare_environment(folder), "folder": folder, "seed": seed,
            "seconds": MAX_SUBMISSION_SECONDS, "cell_seconds": cell_seconds,
            "call_seconds": min(cell_seconds, CALL_SECONDS),
        }  # fmt: skip
        try:
            data = codec.message(job)
        except codec.TooLarge as limit:
            return ExecutionResult(closed=f"its cells are too long: {limit}")
        found = _asked(data)
    if isinstance(found, str):
        return ExecutionResult(closed=found, seed=seed)
    marking = ExecutionResult(**found)
    undecided = [verdict["why"] for verdict in marking.verdicts.values() if verdict["points"] is None]
    if undecided and len(undecided) == len(marking.verdicts):
        marking.closed = undecided[0]
    return marking


def allowed_packages(source: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which packages an instructor's notebook lets students import besides the usual ones."""
    found: set[str] = set()
    for cell in source:
        wanted = cell.get("metadata", {}).get("course", {}).get("packages", ())
        found |= {str(name) for name in wanted} if isinstance(wanted, list | tuple) else set()
    return sorted(found)


def _asked(job: bytes) -> CheckResults | str:
    """Return a checker's answer, or why there is none."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", checker.__name__],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        alarm = threading.Timer(MAX_SUBMISSION_SECONDS + SPARE_SECONDS, process.kill)
        alarm.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(job)
                process.stdin.flush()
            found = codec.read(process.stdout.read)
        finally:
            alarm.cancel()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # it ends with all that it has started
            process.wait()
            process.stdout.close()
        if found is not None:
            return cast(CheckResults, found)  # the checker is ours
        if process.returncode < 0:
            return f"the checks took more than {MAX_SUBMISSION_SECONDS + SPARE_SECONDS:g} seconds"
        log.seek(0)
        lines = log.read(100_000).decode("utf-8", "replace").strip().splitlines()
        return f"the checks could not be run: {lines[-1][:300] if lines else 'no reason is known'}"


def _bare_command(given: Path | None, folder: Path) -> list[str]:
    work = folder / "work"
    work.mkdir()
    return [sys.executable, "-I", str(source_file(runner.__name__)), "", str(given) if given else "", str(work)]


def _bare_environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"HOME": folder, "IPYTHONDIR": folder, "MPLCONFIGDIR": folder}


# -- steps of nbgrader's -----------------------------------------------------------------------------------------------


class RunChecks(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Preprocessor that runs a student's cells and the checks, and writes the outputs into the notebook.

    Parameters
    ----------
    course : Course
    assignment : str
    boxed : bool
    private : Path
        An empty folder.
    marking : ExecutionResult
        Is filled.
    """

    def __init__(self, course: Course, assignment: str, boxed: bool, private: Path, marking: ExecutionResult) -> None:
        super().__init__()
        self._course, self._assignment, self._boxed, self._private = course, assignment, boxed, private
        self._marking = marking

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Look at all cells."""
        source = self._course.source(self._assignment)
        cells: dict[str, NotebookNode] = {}
        submission: list[dict[str, str]] = []
        for number, cell in enumerate(nb.cells, 1):
            name = str(cell.metadata.get("nbgrader", {}).get("grade_id") or f"number {number}")
            if _is_check(cell):
                submission.append({"id": name})
            elif cell.cell_type == "code":
                name = name if name not in cells else f"number {number}"
                cells[name] = cell
                submission.append({"id": name, "source": cell.source})
        found = check(
            json.loads(source.read_text("utf-8"))["cells"], submission, source.parent,
            self._given(Path(resources["metadata"]["path"])), self._boxed,
            float(self._course.config.Execute.get("timeout", None) or CELL_SECONDS), self._private,
        )  # fmt: skip
        for field in dataclasses.fields(ExecutionResult):
            setattr(self._marking, field.name, getattr(found, field.name))
        if found.closed:
            raise NbGraderException(found.closed)
        for name, cell in cells.items():
            cell.outputs = [made for output_data in found.outputs.get(name, ()) if (made := _output(output_data))]
        for cell in nb.cells:
            if cell.cell_type == "code" and _is_check(cell):
                cell.outputs = _verdict_outputs(found.verdicts.get(cell.metadata.nbgrader.grade_id))
        return nb, resources

    def _given(self, folder: Path) -> Path | None:
        """Return a folder with what lies beside the notebook: never a notebook, as hidden tests stand in it."""
        given = self._private / "given"
        shutil.copytree(folder, given, ignore=shutil.ignore_patterns(*NOT_FOR_STUDENTS))
        return given if any(given.iterdir()) else None


class SaveVerdicts(SaveAutoGrades):  # type: ignore[misc]  # nbgrader has no types
    """Preprocessor that stores the checker's verdicts as nbgrader's automatic points.

    Parameters
    ----------
    marking : ExecutionResult
    """

    def __init__(self, marking: ExecutionResult) -> None:
        super().__init__()
        self._marking = marking

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Look at all cells, and write the database once: a commit for each cell takes most of nbgrader's time."""
        nbgrader = resources["nbgrader"]
        self.notebook_id, self.assignment_id, self.student_id = (
            nbgrader[name] for name in ("notebook", "assignment", "student")
        )
        with Gradebook(nbgrader["db_url"]) as self.gradebook:
            for index, cell in enumerate(nb.cells):
                self.preprocess_cell(cell, resources, index)
            self.gradebook.db.commit()
        return nb, resources

    def _add_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        name = cell.metadata.nbgrader.grade_id
        grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        if _is_check(cell):
            grade.auto_score = verdict["points"] if (verdict := self._marking.verdicts.get(name)) else None
        else:  # an answer that a person marks: nbgrader gives 0 where nothing was written
            grade.auto_score, _ = determine_grade(cell, self.log)
        grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None

    def _add_comment(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        name = cell.metadata.nbgrader.grade_id
        comment = self.gradebook.find_comment(name, self.notebook_id, self.assignment_id, self.student_id)
        is_as_given_out = cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)
        comment.auto_comment = "No response." if is_as_given_out and not is_task(cell) else None


class RefusingExporter(NotebookExporter):
    """Exporter that refuses nbgrader's own autograding and feedback commands.

    They would run students' code with the grader's rights, and show hidden tests to students.

    nbgrader makes its exporter before it looks at any submission, so this refuses before anything is removed.
    """

    def __init__(self, *, parent: Any = None, **named: Any) -> None:
        super().__init__(parent=parent, **named)  # type: ignore[no-untyped-call]  # nbconvert's has no types
        why = "This course is graded by make grade and make feedback, or: python -m course_utils grade --help"
        self.log.error("%s. Nothing was changed.", why)
        raise NbGraderException(why)


SANITIZE = [ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata]  # as nbgrader does


class CourseAutograde(Autograde):  # type: ignore[misc]  # nbgrader has no types
    """nbgrader's Autograde, with the steps of this course."""

    sanitize_preprocessors = SANITIZE
    exporter_class = NotebookExporter  # the configuration names one that refuses


def autograde(course: Course, student: str, assignment: str, run: bool, boxed: bool, private: Path) -> dict[str, Any]:
    """Let nbgrader grade one repaired submission; returns what it says, as its own interface does.

    Several processes may do this at once for different students. Threads may not: nbgrader changes the folder.

    Parameters
    ----------
    course : Course
    student, assignment : str
    run : bool
        Run the notebook's cells and checks; otherwise all of its marks are left to a person.
    boxed : bool
        In a sandbox.
    private : Path
        An empty folder, for `outcome_of` too.
    """
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.utils import capture_log

    settings = {"student_id": student, "assignment_id": assignment, "submitted_directory": "repaired"}
    config = course.changed(CourseDirectory=settings)
    marking = ExecutionResult()
    with course.gradebook():
        api = NbGraderAPI(config=config)
        grader = CourseAutograde(coursedir=api.coursedir, parent=api)
        steps = [RunChecks(course, assignment, boxed, private, marking)] if run else []
        saved = [SaveVerdicts(marking)] if run else []
        grader.autograde_preprocessors = [*steps, LimitOutput, *saved, CheckCellMetadata]
        grader.force = grader.create_student = True
        with ignore_nbgrader_warnings():
            done: dict[str, Any] = capture_log(grader)
    if "KeyboardInterrupt" in str(done.get("error", "")):  # nbgrader catches even that
        raise KeyboardInterrupt
    if run:
        replace_file(private / OUTCOME, json.dumps(marking.outcome()))
    return done


def outcome_of(private: Path) -> dict[str, Any]:
    """Return how the code ran: seconds, seed, order, doubts, closed; empty where it did not run."""
    file = private / OUTCOME
    facts: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return facts


# -- outputs -----------------------------------------------------------------------------------------------------------


def _is_check(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


def _verdict_outputs(verdict: VerdictData | None) -> list[NotebookNode]:
    """Return a check's outputs: nothing where it passed."""
    if verdict is None:
        return []
    if why := verdict["why"]:
        return [_new_output("stream", name="stdout", text=f"Not decided: {_clean(why)}\n")]
    if not (error := verdict["error"]):
        return []
    name, message, source_line = map(_clean, error)
    lines = [*([source_line] if source_line and name != "AnswerError" else []), f"{name}: {message}"]
    return [_new_output("error", ename=name, evalue=message, traceback=lines)]


def _output(packed: Sequence[Any]) -> NotebookNode | None:
    """Return an output of a student's cell as a notebook holds it: text and pictures, nothing that can act."""
    if packed[0] == "stream":
        return _new_output("stream", name="stdout", text=_clean(packed[1])[: runner.MAX_STREAM_CHARACTERS])
    if packed[0] == "error" and len(packed) == 4:
        name, message, *lines = (
            _clean(line)[: runner.MAX_ERROR_CHARACTERS] for line in (*packed[1:3], *packed[3]) if type(line) is str
        )
        return _new_output("error", ename=name, evalue=message, traceback=lines[: runner.MAX_TRACEBACK_LINES])
    if packed[0] == "data" and type(packed[1]) is dict:
        data = {}
        for kind in runner.KEPT:
            if type(text := packed[1].get(kind)) is str and kind == "text/plain":
                data[kind] = _clean(text)[: runner.MAX_STREAM_CHARACTERS]
            elif type(text) is str and BASE64.fullmatch(picture := "".join(text.split())):
                data[kind] = picture
        return _new_output("display_data", data=data) if data else None
    return None


def _new_output(kind: str, **named: object) -> NotebookNode:
    output: NotebookNode = nbformat.v4.new_output(kind, **named)
    return output


def _clean(text: str) -> str:
    """Return text that any file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
