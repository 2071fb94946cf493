"""Worker pool for grading: several submissions at once, each with a time limit and a memory limit.

A worker is this module, started with ``python -m``. It gets one task after another over a socket, and answers
each with one result. The parent process kills a worker that exceeds a limit, and starts another one in its place.
"""

import contextlib
import ctypes
import dataclasses
import importlib
import multiprocessing.connection
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import psutil

from course_utils.core.limits import cpu_limit, memory_available_mb
from course_utils.core.paths import python_path
from course_utils.errors import CourseError
from course_utils.grading.course.course import Course, find_course

LOOK_EVERY_S = 0.5
MEMORY_MB = 2000  # of the worker itself; what it starts in a sandbox has limits of its own
MEMORY_MB_A_JOB = 2500  # what one job may need with its sandbox: more jobs than fit would be killed by the system
START_S = 120.0  # a worker that has not imported its modules by then will not


@dataclasses.dataclass(frozen=True)
class Task:
    """A function call that a worker makes.

    Parameters
    ----------
    function : str
        Its module and its name, as ``package.module:function``. It is called with the course first.
    arguments : tuple
        The other arguments; they are pickled.
    """

    function: str
    arguments: tuple[object, ...] = ()


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """Result of a task: a value; or why there is none, if its worker was killed or died."""

    value: Any = None
    killed: str = ""


def default_jobs() -> int:
    """Return how many workers this machine carries: one a usable core, and no more than fit into memory."""
    by_memory = int(memory_available_mb() // MEMORY_MB_A_JOB)
    return max(1, min(cpu_limit(), by_memory))


def run_tasks(
    course: Course, tasks: Sequence[Task], n_jobs: int, seconds: float, memory_mb: float = MEMORY_MB
) -> Generator[tuple[int, TaskResult], None, None]:
    """Run tasks in worker processes, and yield each result with the number of its task as soon as it is there.

    Parameters
    ----------
    course : Course
    tasks : sequence of Task
    n_jobs : int
        Workers at the same time.
    seconds : float
        The time limit of one task.
    memory_mb : float
        The memory limit of a worker process, in megabytes.

    Raises
    ------
    CourseError
        The system lets no process start.

    Notes
    -----
    All workers are dead when the iterator ends, however it ends. A worker also dies with its parent.
    """
    waiting = deque(range(len(tasks)))
    workers: list[_Worker] = []
    n_threads = max(1, cpu_limit() // max(1, min(n_jobs, len(tasks) or 1)))
    try:
        while waiting or any(worker.task is not None for worker in workers):
            n_idle = sum(worker.task is None for worker in workers)
            for _ in range(min(len(waiting) - n_idle, n_jobs - len(workers))):
                try:
                    workers.append(_Worker(course, tasks[waiting[0]].function.partition(":")[0], n_threads))
                except OSError as problem:
                    if not workers:
                        raise _no_process(problem) from problem
                    n_jobs = len(workers)  # the system gives no more: these do all the tasks
            for worker in workers:
                if worker.task is None and waiting:
                    number = waiting.popleft()
                    worker.give(number, tasks[number], seconds)
            busy = [worker for worker in workers if worker.task is not None]
            multiprocessing.connection.wait([worker.connection for worker in busy], LOOK_EVERY_S)
            for worker in busy:
                task, answer = worker.task, worker.answer() or worker.over_limit(memory_mb)
                if answer is None or task is None:
                    continue
                worker.task = None
                if answer.killed:
                    worker.kill()
                    workers.remove(worker)
                yield task, answer
    finally:
        for worker in workers:
            worker.kill()


def _no_process(problem: OSError) -> CourseError:
    return CourseError(
        f"No grading process can be started: {problem.strerror or problem}.",
        "Free memory, a free process and room in the folder for temporary files.",
        "End other programs, then: make grade",
    )


class _Worker:
    """A worker process, seen from its parent."""

    def __init__(self, course: Course, module: str, n_threads: int) -> None:
        self.connection, child_connection = multiprocessing.connection.Pipe()
        self.error_log = tempfile.TemporaryFile()  # noqa: SIM115 (`kill` closes it)
        self.task: int | None = None
        self.is_ready, self.end, self.seconds = False, 0.0, 0.0
        threads = os.environ.get("OMP_NUM_THREADS") or str(n_threads)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(child_connection.fileno()), str(os.getpid()), module],
                pass_fds=[child_connection.fileno()], stdin=subprocess.DEVNULL,
                stdout=self.error_log, stderr=self.error_log,
                start_new_session=True, env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": threads},
            )  # fmt: skip
        except OSError:
            self.connection.close()
            self.error_log.close()
            raise
        finally:
            child_connection.close()
        self._send(_packed(course))

    def give(self, number: int, task: Task, seconds: float) -> None:
        """Send a task; its time begins when the worker has imported its modules."""
        self.task, self.seconds = number, seconds
        self.end = time.monotonic() + (seconds if self.is_ready else START_S)
        self._send(pickle.dumps(task))

    def answer(self) -> TaskResult | None:
        """Return what has come; None while nothing has."""
        try:
            if not self.connection.poll():
                return None
            value = self.connection.recv()
            if not self.is_ready:
                self.is_ready, self.end = True, time.monotonic() + self.seconds
                return None
            return TaskResult(value)
        except (EOFError, OSError):
            return TaskResult(killed=f"its grading process ended without an answer ({self._last_words()})")
        except Exception as problem:  # what it sent cannot be unpickled
            return TaskResult(killed=f"its grading process sent what cannot be read ({type(problem).__name__})")

    def over_limit(self, memory_mb: float) -> TaskResult | None:
        """Return which limit is exceeded; None where none is."""
        if time.monotonic() > self.end:
            if not self.is_ready:
                return TaskResult(killed=f"its grading process did not start within {START_S:g} seconds")
            return TaskResult(killed=f"its grading took more than {self.seconds:g} seconds")
        with contextlib.suppress(psutil.Error):
            if psutil.Process(self.process.pid).memory_info().rss / 1e6 > memory_mb:
                return TaskResult(killed=f"its grading used more than {memory_mb:,.0f} MB of memory")
        return None

    def kill(self) -> None:
        """End the process and everything that it started."""
        below: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        for process in below:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.connection.close()
        self.error_log.close()

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it has died: its answer tells so
            self.connection.send_bytes(data)

    def _last_words(self) -> str:
        code = self.process.wait()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        self.error_log.seek(max(0, self.error_log.seek(0, os.SEEK_END) - 2000))
        lines = self.error_log.read().decode("utf-8", "replace").strip().splitlines()
        return f"exit code {code}: {lines[-1][:200]}" if lines else f"exit code {code}"


def _packed(course: Course) -> bytes:
    """Return a course as bytes; where its settings cannot be pickled, the worker reads them again from their file."""
    try:
        return pickle.dumps(course)
    except Exception:
        return pickle.dumps(course.root)


# -- in the worker -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Do tasks until the parent closes the connection.

    Parameters
    ----------
    arguments : sequence of str
        The file descriptor of the connection, the process id of the parent, and a module that the tasks need.
    """
    _die_with(int(arguments[1]))
    from course_utils.grading.course.gradebook_access import install_immediate_transactions

    connection = multiprocessing.connection.Connection(int(arguments[0]))
    install_immediate_transactions()
    unpacked = pickle.loads(connection.recv_bytes())
    course = unpacked if isinstance(unpacked, Course) else find_course(unpacked)
    importlib.import_module(arguments[2])  # takes a second or two, which is nobody's time limit
    connection.send("ready")
    while True:
        try:
            task: Task = pickle.loads(connection.recv_bytes())
        except EOFError:
            return 0
        connection.send(_function(task.function)(course, *task.arguments))


def _function(name: str) -> Callable[..., object]:
    module, _, function = name.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), function)
    return found


def _die_with(parent: int) -> None:
    """Let the system end this process when its parent has ended."""
    pr_set_pdeathsig = 1
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the line above
        os._exit(1)


if __name__ == "__main__":
    from course_utils.grading.autograde.worker_pool import (
        main as work,  # the module as others import it, so that pickles fit
    )

    sys.exit(work(sys.argv[1:]))
