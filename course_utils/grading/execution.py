"""nbgrader's autograding with a box around the kernel, plain outputs, and an end to notebooks that have none."""

import ast
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import filterfalse
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    Execute,
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import is_grade

from course_utils.grading.course import Course, nbgraders_warnings
from course_utils.grading.marks import write_whole
from course_utils.grading.sandbox_kernel import WHY

KERNEL = "course-sandbox"
PRIVATE = "COURSE_GRADING_PRIVATE"  # names the folder of one grading, while it goes on
OUTCOME = "execution.json"
MOST_SECONDS = 240.0  # for a whole notebook
MOST_OUTPUT = 2_000_000  # characters of a whole notebook
LONGEST_ERROR = 5000  # characters
MOST_CANARIES = 6
PLAIN_KINDS = ("text/plain", "image/png", "image/jpeg")
# Checks that must fail, run when all cells have run: a kernel in which they pass hands out points.
CANARIES = {
    "AssertionError": "assert 'canary' == '{nonce}'",
    "AnswerError": "from course_utils.grading.expect import expect as _e\n_e(len, '{nonce}', gives=-1)",
}


class BoundedExecute(Execute):
    """Run a notebook as nbgrader does, but only so long and so much; then see whether its checks still can fail."""

    def preprocess(self, nb: NotebookNode, resources: dict, km: object = None) -> tuple[NotebookNode, dict]:
        """Run all cells and write down how that went."""
        self._begun, self._written, self._is_closed, nonce = time.monotonic(), 0, False, os.urandom(8).hex()
        order, canaries = list(nb.cells), [_cell(code.format(nonce=nonce)) for code in CANARIES.values()]
        own = [_cell(code) for code in _own_canaries(order, nonce)]
        # Hidden checks run last: nothing of them can get into what a student will be shown of the others.
        nb.cells = [*filterfalse(_is_hidden, order), *filter(_is_hidden, order), *canaries, *own]
        nb, resources = super().preprocess(nb, resources, km)
        nb.cells = order
        tampered = [_errors_of(cell)[:1] for cell in canaries] != [[name] for name in CANARIES]
        tampered = tampered or not all(map(_errors_of, own))
        late = [cell.id for cell in order if "CellTimeoutError" in _errors_of(cell)]
        told = {"tampered": tampered, "timeouts": late, "seconds": round(time.monotonic() - self._begun, 1)}
        (Path(os.environ[PRIVATE]) / OUTCOME).write_text(json.dumps(told), "utf-8")
        return nb, resources

    async def async_execute_cell(self, cell: NotebookNode, cell_index: int, *more: object, **named: object) -> object:
        """Run a cell, unless all of them took too long by now."""
        if time.monotonic() - self._begun > MOST_SECONDS:
            self._close(f"its cells took more than {MOST_SECONDS:g} seconds in all")
        return await super().async_execute_cell(cell, cell_index, *more, **named)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take what a cell writes, up to an end."""
        if self._is_closed:
            return None
        content = msg.get("content", {})
        self._written += len(str(content.get("text", ""))) + len(str(content.get("data", "")))
        self._written += len(str(content.get("evalue", ""))) + len(str(content.get("traceback", "")))
        if self._written > MOST_OUTPUT:
            self._close(f"it wrote more than {MOST_OUTPUT:,} characters")
            return None
        return super().process_message(msg, cell, cell_index)

    def _close(self, why: str) -> None:
        """End the kernel; nbclient notices, and nothing of this run is graded."""
        self._is_closed = True
        (Path(os.environ[PRIVATE]) / WHY).write_text(why, "utf-8")
        self._ending = asyncio.ensure_future(self.km.signal_kernel(signal.SIGKILL))


class PlainOutputs(NbGraderPreprocessor):
    """Keep of outputs what cannot act in a grader's page, and do not take points for a warning.

    nbgrader counts anything on stderr in a graded cell as a failure; a library's warning is none.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: dict, _index: int) -> tuple[NotebookNode, dict]:
        """Look at one cell."""
        if cell.cell_type == "code":
            kept = [_plain(output) for output in cell.outputs]
            graded = is_grade(cell)
            cell.outputs = [each for each in kept if each and not (graded and each.get("name") == "stderr")]
        return cell, resources


class OnlyByTheCourse(NbGraderPreprocessor):
    """Refuse what nbgrader's own commands would do: run students' code with the grader's rights, tell hidden tests."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Stop."""
        raise NbGraderException(
            "This course is graded by make grade and make feedback, or: python -m course_utils grade --help"
        )


SANITIZE = [ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata]  # as nbgrader does


class CourseAutograde(Autograde):
    """nbgrader's Autograde, with the steps of this course."""

    sanitize_preprocessors = SANITIZE
    autograde_preprocessors = [BoundedExecute, PlainOutputs, LimitOutput, SaveAutoGrades, CheckCellMetadata]


class ManualAutograde(Autograde):
    """The same without running anything: all marks are a person's."""

    sanitize_preprocessors = SANITIZE
    autograde_preprocessors = [PlainOutputs, LimitOutput, CheckCellMetadata]


def autograde(course: Course, student: str, assignment: str, run: bool, boxed: bool, private: Path) -> dict:
    """Let nbgrader grade one repaired submission; returns what it says, as its own interface does.

    Parameters
    ----------
    course : Course
    student, assignment : str
    run : bool
        Run the notebook's cells; otherwise all of its marks are left to a person.
    boxed : bool
        In a sandbox.
    private : Path
        A short path to an empty folder, for the box and for `outcome_of`.
    """
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.utils import capture_log

    settings = {"student_id": student, "assignment_id": assignment, "submitted_directory": "repaired"}
    config = course.changed(CourseDirectory=settings)
    if run and boxed:
        config.Execute.kernel_name = KERNEL
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = str(private / "k" / "s")
        _write_kernel(private)
    with _private_folder(private), course.gradebook():
        api = NbGraderAPI(config=config)
        grader = (CourseAutograde if run else ManualAutograde)(coursedir=api.coursedir, parent=api)
        grader.force = grader.create_student = True
        with nbgraders_warnings():
            done = capture_log(grader)
    if "KeyboardInterrupt" in str(done.get("error", "")):  # nbgrader catches even that
        raise KeyboardInterrupt
    return done


def outcome_of(private: Path) -> dict[str, object]:
    """Return how the cells ran: tampered, timeouts, seconds, closed; empty where they did not run to their end."""
    told: dict[str, object] = {}
    if (private / OUTCOME).is_file():
        told = json.loads((private / OUTCOME).read_text("utf-8"))
    if (private / WHY).is_file():
        told["closed"] = (private / WHY).read_text("utf-8")
    return told


def _write_kernel(private: Path) -> None:
    (private / "k").mkdir(parents=True, exist_ok=True)
    line = [sys.executable, "-m", "course_utils.grading.sandbox_kernel", "{connection_file}", str(private)]
    told = {"argv": line, "display_name": "Python in a box", "language": "python", "interrupt_mode": "message"}
    write_whole(private / "kernels" / KERNEL / "kernel.json", json.dumps(told))


@contextmanager
def _private_folder(private: Path) -> Iterator[None]:
    """Let Jupyter keep this grading's kernel and its connection file in a folder of their own."""
    (private / "runtime").mkdir(parents=True, exist_ok=True)
    wanted = {PRIVATE: str(private), "JUPYTER_PATH": str(private), "JUPYTER_RUNTIME_DIR": str(private / "runtime")}
    before, usual = {name: os.environ.get(name) for name in wanted}, tempfile.tempdir
    os.environ.update(wanted)
    tempfile.tempdir = str(private / "runtime")  # where a kernel's connection file is made: the box shows that folder
    try:
        yield
    finally:
        tempfile.tempdir = usual
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _cell(code: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(code)


def _is_hidden(cell: NotebookNode) -> bool:
    return is_grade(cell) and "BEGIN HIDDEN TESTS" in cell.source


def _own_canaries(cells: list[NotebookNode], nonce: str) -> list[str]:
    """Return checks of this sheet that ask a function for an answer that it cannot know, so that they must fail."""
    found = []
    for cell in filter(is_grade, cells):
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "expect":
                    wanted = [word for word in node.keywords if word.arg != "gives"]
                    node.keywords = [*wanted, ast.keyword("gives", ast.Constant(nonce))]
                    found.append(ast.unparse(node))
                    break
    return found[:MOST_CANARIES]


def _errors_of(cell: NotebookNode) -> list[str]:
    return [str(output.get("ename")) for output in cell.get("outputs", ()) if output.output_type == "error"]


def _plain(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "error":
        output.ename, output.evalue = str(output.ename)[:100], str(output.evalue)[:LONGEST_ERROR]
        output.traceback = [str(line)[:LONGEST_ERROR] for line in output.traceback[:50]]
        return output
    if output.output_type == "stream":
        return output
    kept = {kind: data for kind, data in output.get("data", {}).items() if kind in PLAIN_KINDS}
    if not kept:
        return None
    output.data, output.metadata = NotebookNode(kept), NotebookNode({})
    return output
