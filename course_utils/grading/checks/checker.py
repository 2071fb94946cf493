"""Checker process for one submission: instructors' checks run here, students' cells in a sandbox.

It is started with ``python -m``. It gets a job as one message on standard input, and answers with one message on
standard output. It ends when standard input is closed, and with it the sandbox.

The student's cells run in the sandbox, in their order; no test cell ever goes there. The instructor's test cells come
from the instructor's notebook, never from the submission. Each runs at its place between the student's cells, because a
later cell may give a name another meaning; those at one place run in the order of a seed. Visible checks have one
sandbox, and hidden checks another that starts anew. So no function can tell by order or count for which check it is
called, and nothing of a hidden check can get into what a student is shown of a visible one.
"""

import ast
import builtins
import contextlib
import copy
import dataclasses
import io
import json
import linecache
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from course_utils.errors import CourseError
from course_utils.grading.checks import codec, expect
from course_utils.grading.checks.expect import AnswerError, CheckContext
from course_utils.grading.checks.plain_values import Stopped, UnsupportedCheck, one_line, plain
from course_utils.grading.checks.plan import Cell, CheckResults, Job, VerdictData, names_set_by, read_plan
from course_utils.grading.checks.runner import KEPT
from course_utils.grading.checks.student_process import TAMPERED, Process, ProcessEnded, Student, TimeBudget
from course_utils.grading.sandbox.sandbox import Limits

MAX_ENDED_CELLS = 4  # of cells that end their Python: each is left out when the others are run again
LIMITS = Limits(memory_mb=2000)
MAX_ERROR_CHARACTERS = 5_000  # characters of a message
MAX_SOURCE_CHARACTERS = 100_000  # characters of a cell that is parsed
MAX_OUTPUT_BYTES = 6_000_000  # bytes of all outputs of a submission, as they are sent


@dataclasses.dataclass
class Verdict:
    """Verdict of one check.

    Parameters
    ----------
    points : float or None
        None where it could not be decided.
    error : list of str
        What it said when it failed, as a notebook holds it: name, message, place; empty where it passed.
    why : str
        Why it could not be decided.
    """

    points: float | None
    error: list[str] = dataclasses.field(default_factory=list)
    why: str = ""

    def as_data(self) -> VerdictData:
        """Return it as a message holds it."""
        return {"points": self.points, "error": self.error, "why": self.why}


Step = tuple[list[Mapping[str, str]], list[Cell]]  # cells of the student's that are run, and then checks


def _steps(submission: Sequence[Mapping[str, str]], checks: Mapping[str, Cell], shuffled: random.Random) -> list[Step]:
    """Return a submission as steps; checks that have no place in it come last."""
    steps: list[Step] = [([], [])]
    for cell in submission:
        if "source" in cell:
            if steps[-1][1]:
                steps.append(([], []))
            steps[-1][0].append(cell)
        elif cell["id"] in checks:
            steps[-1][1].append(checks[cell["id"]])
    placed = {cell.name for _, found in steps for cell in found}
    steps[-1][1].extend(cell for name, cell in checks.items() if name not in placed)
    for _, found in steps:
        shuffled.shuffle(found)
    return steps


class CheckRun(CheckContext):
    """A run of all checks of one submission.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self.job, self.time_budget = job, TimeBudget(job["seconds"])
        self.plan, self.uses = read_plan(job["source"])
        locked = (cell.sets for cell in self.plan if not cell.is_check and not cell.is_student)
        self.shared = frozenset().union(*locked)
        self.spaces: dict[str, dict[str, object]] = {}  # of the instructor's cells that have run
        self.verdicts: dict[str, Verdict] = {}
        self.outputs: dict[str, list[list[Any]]] = {}
        self.stopped: dict[str, str] = {}  # cells that ended their Python, and why
        self.tried: set[str] = set()  # cells and checks whose process was lost once: they get a fresh one, once
        self.is_late: list[str] = []  # cells and calls that did not end in time
        self.tampered: list[str] = []  # cells and checks in which the student's code wrote what looks like an answer
        self.vanished: list[str] = []  # names that a cell without an error sets, and that were not there afterwards
        self.is_hidden = False  # what cells show is kept from the visible pass only: they have seen no hidden input
        self.order: list[str] = []
        self.seed = str(job["seed"])
        self._solution: dict[str, object] | None = None
        self._n_output = 0

    def run(self) -> CheckResults:
        """Run all, and return what came of it."""
        shuffled = random.Random(f"order:{self.seed}")
        before, expect.setting = expect.setting, self
        try:
            for is_hidden in (False, True):
                self.is_hidden = is_hidden
                checks = {cell.name: cell for cell in self.plan if cell.is_check and cell.is_hidden is is_hidden}
                if checks or not is_hidden:
                    self._run_all(_steps(self.job["submission"], checks, shuffled))
        finally:
            expect.setting = before  # checks that run in this process later, in a notebook, are not of this submission
        return {
            "verdicts": {name: verdict.as_data() for name, verdict in self.verdicts.items()},
            "outputs": self.outputs, "stopped": self.stopped, "late": self.is_late, "tampered": self.tampered,
            "vanished": self.vanished, "order": self.order, "seed": self.seed,
            "seconds": round(self.time_budget.seconds - self.time_budget.left(), 2),
        }  # fmt: skip

    # -- the student's process -----------------------------------------------------------------------------------------

    def _run_all(self, steps: Sequence[Step]) -> None:
        """Run the student's cells in a process of its own, and the checks between them."""
        student: Student | None = None
        done = 0
        self.tried = set()
        try:
            for index, (_, checks) in enumerate(steps):
                for cell in checks:
                    student, done = self._brought_to(index, steps, student, done)
                    if self._was_lost(cell, student):
                        student, done = self._brought_to(index, steps, student, done)
                        self._judge(cell, student)
            if not steps[-1][1]:  # cells after the last check are run once, for what they show
                student, done = self._brought_to(len(steps) - 1, steps, student, done)
        except ProcessEnded as ended:  # no process could be brought so far that it answers
            for _, checks in steps:
                for cell in checks:
                    self.verdicts.setdefault(cell.name, Verdict(None, why=ended.why))
        finally:
            if student is not None:
                student.process.close()

    def _brought_to(self, index: int, steps: Sequence[Step], student: Student | None, done: int) -> tuple[Student, int]:
        """Return a process in which the cells up to a place have run, without those that ended it; and how many."""
        while True:
            if self.time_budget.left() <= 0:
                raise ProcessEnded(
                    f"all of it together took longer than {self.time_budget.seconds:g} seconds", is_late=True
                )
            if student is None or student.process.end_reason:
                job = self.job
                process = Process(job["line"], LIMITS, job["environment"], Path(job["folder"]), self.time_budget)
                student, done = Student(process, job["call_seconds"], self.shared), 0
            try:
                for cells, _ in steps[done : index + 1]:
                    self._run_cells(student.process, cells)
                return student, max(done, index + 1)
            except ProcessEnded:
                if len(self.stopped) > MAX_ENDED_CELLS:
                    raise ProcessEnded("too many of its cells ended their Python") from None
            except BaseException:
                student.process.close()
                raise

    def _run_cells(self, process: Process, cells: Sequence[Mapping[str, str]]) -> None:
        for cell in cells:
            if cell["id"] in self.stopped:
                continue
            try:
                answer = process.ask(self.job["cell_seconds"], op="run", source=cell["source"])
            except codec.TooLarge as limit:
                self.stopped[cell["id"]] = f"it is too long: {limit}"
                continue
            except ProcessEnded as ended:
                if ended.why == TAMPERED:
                    self.tampered.append(cell["id"])
                if not ended.is_late and cell["id"] not in self.tried:
                    # A function that an earlier check called may have left processes that answer in its place.
                    self.tried.add(cell["id"])
                    raise
                if self.time_budget.left() > 0:
                    self.stopped[cell["id"]] = ended.why
                    self.outputs[cell["id"]] = [["error", "CellStopped", one_line(ended.why), []]]
                if ended.is_late:
                    self.is_late.append(cell["id"])
                raise
            if cell["id"] not in self.outputs and not self.is_hidden:
                self.outputs[cell["id"]] = self._kept(answer.get("ok"))

    def _kept(self, outputs: object) -> list[list[Any]]:
        """Return outputs whose form is right, up to a limit."""
        kept: list[list[Any]] = []
        for output in outputs if type(outputs) is list else ():
            form = [type(part) for part in output] if type(output) is list else []
            if form == [str, str] or form == [str, dict] or form == [str, str, str, list]:
                *first, last = output
                if type(last) is dict:
                    last = {kind: last[kind] for kind in KEPT if type(last.get(kind)) is str}
                elif type(last) is list:
                    last = [line for line in last if type(line) is str]
                output = [*first, last]
                self._n_output += len(json.dumps(output))
                if self._n_output > MAX_OUTPUT_BYTES:
                    return [*kept, ["stream", "\n(There was more; the rest is left out.)\n"]]
                kept.append(output)
        return kept

    # -- the instructor's cells ----------------------------------------------------------------------------------------

    def _judge(self, cell: Cell, student: Student) -> None:
        """Run a check, and write down its verdict."""
        if cell.name in self.verdicts:
            return
        n_late = len(student.late)
        try:
            value = self._execute(cell, student)
            verdict = Verdict(_points(value, cell))
        except UnsupportedCheck as problem:
            verdict = Verdict(None, why=str(problem))
        except BaseException as error:  # whatever a check raises, it has failed
            verdict = Verdict(0.0, _error_lines(error, cell))
            if self.time_budget.left() <= 0:
                why = f"all of it together took longer than {self.time_budget.seconds:g} seconds"
                verdict = Verdict(None, verdict.error, why)
        self.is_late += student.late[n_late:]
        if student.process.end_reason == TAMPERED:
            self.tampered.append(cell.name)
        self.verdicts[cell.name] = verdict
        self.order.append(cell.name)

    def _was_lost(self, cell: Cell, student: Student) -> bool:
        """Run a check; tell whether it must be run again, in a fresh process.

        A check that lost its process may have lost it to the function of another check: one that forks leaves copies of
        the process, and these read the questions and write answers.
        """
        self._judge(cell, student)
        is_lost = bool(student.process.end_reason) and not student.late and self.time_budget.left() > 0
        if not is_lost or cell.name in self.tried:
            return False
        self.tried.add(cell.name)
        self.verdicts.pop(cell.name)
        self.order.remove(cell.name)
        return True

    def _execute(self, cell: Cell, student: Student) -> object:
        """Run one of the instructor's cells; return the value of its last line, if that is an expression."""
        use = self.uses[cell.name]
        space: dict[str, object] = {"__name__": "__main__", "__builtins__": builtins}
        self.spaces[cell.name] = space
        copied: dict[int, object] = {}
        for name, owner in use.of_cells.items():
            if owner.name not in self.spaces:
                self._run_first(owner, student)
            if name in self.spaces[owner.name]:
                space[name] = _own_copy(self.spaces[owner.name][name], copied)
        if use.of_student:
            found = student.fetch(sorted(use.of_student))
            self.vanished += [
                name for name in use.of_student - found.keys() if name not in self.vanished and self._is_set(name)
            ]
            space |= found
        file = f"<{cell.name}>"
        linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
        tree = ast.parse(cell.source, file)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(tree, file, "exec"), space)
            if not isinstance(last, ast.Expr):
                return None
            value = eval(compile(ast.Expression(last.value), file, "eval"), space)
        return None if _is_call_of(last.value, use.of_student) else value

    def _is_set(self, name: str) -> bool:
        """Tell whether one of the student's cells sets a name, and showed no error: then its Python was spoilt."""
        for cell in self.job["submission"]:
            if any(shown[0] == "error" for shown in self.outputs.get(cell["id"], ())) or "source" not in cell:
                continue
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                if name in names_set_by(cell["source"][:MAX_SOURCE_CHARACTERS]):
                    return True
        return False

    def _run_first(self, owner: Cell, student: Student) -> None:
        """Run a cell whose names another one needs; where it is a check, its verdict counts too."""
        if owner.is_check and not owner.is_hidden:
            self._judge(owner, student)
        else:
            with contextlib.suppress(Exception):
                self._execute(owner, student)

    # -- what checks may ask for ---------------------------------------------------------------------------------------

    def reference(self, function: object) -> Callable[..., object]:
        """Return the function of this name in the instructor's solution, which is run here."""
        if self._solution is None:
            self._solution = {"__name__": "__main__"}
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                for cell in self.plan:
                    if not cell.is_check and not cell.name.startswith("imports of "):
                        with contextlib.suppress(Exception):
                            exec(compile(cell.source, f"<{cell.name}>", "exec"), self._solution)
        name = getattr(function, "__name__", "")
        if name not in self._solution:
            raise UnsupportedCheck(f"The solution defines no {one_line(str(name))}.", "A function with a solution.")
        return cast("Callable[..., object]", self._solution[name])  # where it is none, calling it says so

    def source(self, function: Any) -> str:
        """Return the student's text of the cell with this id, or of the last one that sets this name.

        Raises
        ------
        AnswerError
            There is none.
        """
        texts = {
            cell["id"]: cell["source"][:MAX_SOURCE_CHARACTERS] for cell in self.job["submission"] if "source" in cell
        }
        name = function if type(function) is str else getattr(function, "__name__", "")
        if type(function) is str and name in texts:
            return texts[name]
        for text in reversed(texts.values()):
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                if name in names_set_by(text):
                    return text
        raise AnswerError(f"No cell sets {one_line(str(name))}.", "A function of this name, made with def.")


def _is_call_of(node: ast.expr, names: frozenset[str]) -> bool:
    """Tell whether a value comes straight from a student's name: then it is no number of points."""
    while isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id in names


def _own_copy(value: object, copied: dict[int, object]) -> object:
    """Return a copy of a list, dict or set of another cell, and anything else as it is.

    A student's function changes its arguments here too. What a visible check gave it must be whole for a hidden one.
    """
    if type(value) in (list, dict, set):
        with contextlib.suppress(Exception):  # something in it cannot be copied
            return copy.deepcopy(value, copied)
    return value


def _points(value: object, cell: Cell) -> float:
    """Return the points of a check that did not fail: a number in its last line is a part of them, as in nbgrader.

    Raises
    ------
    UnsupportedCheck
        The last line is no number of points: below 0, more than there are, or True or False, which nbgrader would take
        for all points.
    """
    value = plain(value)
    if type(value) is bool:
        raise UnsupportedCheck(
            f"The check {cell.name} ends in {value}.",
            "An assert, which fails, or a number of points.",
            f"Write assert before the last line, or {cell.most:g} * ( ) around it.",
        )
    if type(value) is not int and type(value) is not float:
        return cell.most
    if not 0 <= value <= cell.most:
        raise UnsupportedCheck(
            f"The check {cell.name} ends in {value!r}.", f"A number of points from 0 to {cell.most:g}, or no number."
        )
    return float(value)


def _error_lines(error: BaseException, cell: Cell) -> list[str]:
    """Return an error as a notebook holds it, with the check's own line."""
    name = type(error).__name__
    if isinstance(error, NameError) and (missing := getattr(error, "name", None)) and not isinstance(error, Stopped):
        error = AnswerError(
            f"{missing} is not defined.", "A name that one of your cells defines.", "Run all your cells: does one stop?"
        )
    if isinstance(error, Stopped):
        name, message = "AnswerError", str(error)
    elif isinstance(error, CourseError):
        name, message = type(error).__name__, str(error)
    else:
        try:
            message = str(error)
        except Exception:
            message = ""
    message = message.encode("utf-8", "replace").decode("utf-8")[:MAX_ERROR_CHARACTERS]
    lines = [
        number
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == f"<{cell.name}>"
    ]
    source_line = linecache.getline(f"<{cell.name}>", lines[-1]).strip()[:200] if lines else ""
    return [name, message, f"line {lines[-1]}: {source_line}" if lines else ""]


def main() -> None:
    """Read the job, do it, and write what came of it."""
    outgoing = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    job = codec.read(sys.stdin.buffer.read)
    if job is None:
        return
    threading.Thread(target=_end_with_grader, daemon=True).start()
    sys.path.append(job["instructor"])
    os.chdir(job["instructor"])
    found = CheckRun(cast(Job, job)).run()  # the grader's own message
    data = memoryview(codec.message(found))
    while data:
        data = data[os.write(outgoing, data) :]


def _end_with_grader() -> None:
    while os.read(0, 1):
        continue
    os._exit(1)


if __name__ == "__main__":
    main()
