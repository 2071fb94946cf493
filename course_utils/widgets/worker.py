"""One thread that does the slow work of every panel of a kernel: the newest request wins.

A cell or a button's callback must never write text itself: while it runs, the kernel hears no Stop. Here it only hands
the work over and returns. Two models writing at once on two cores are slower than one after the other, so there is one
thread, and a new request stops the one before it.
"""

import atexit
import functools
import queue
import threading
import time
from collections.abc import Callable

Work = Callable[[threading.Event], object]
Report = Callable[[BaseException], object]


class Job:
    """One piece of work, from when it was asked for until it has ended.

    Parameters
    ----------
    run : callable
        Called once, in the worker's thread, with the job's cancel event: it looks at the event often and returns soon
        after it was set. A job that was overtaken while waiting is called all the same, with the event already set.
    failed : callable
        Called with the exception that `run` raised, so that none is lost.
    is_request : bool
        Whether a newer request stops it.

    Attributes
    ----------
    cancel : threading.Event
        Setting it asks the job to end.
    error : BaseException or None
        What `run`, or `failed` itself, raised.
    """

    def __init__(self, run: Work, failed: Report, is_request: bool) -> None:
        self.cancel = threading.Event()
        self.error: BaseException | None = None
        self.is_request = is_request
        self._run, self._failed = run, failed
        self._ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended; return whether it has."""
        return self._ended.wait(timeout)

    def do(self) -> None:
        """Run it to its end, whatever happens."""
        try:
            try:
                self._run(self.cancel)
            except BaseException as error:  # a thread that died here would leave every panel waiting for ever
                self.error = error
                self._failed(error)
        except BaseException as error:
            self.error = error
        finally:
            self._ended.set()


class Worker:
    """A thread that does one job at a time; it starts with the first job, and ends with the kernel.

    Examples
    --------
    >>> done = []
    >>> job = Worker().submit(lambda cancel: done.append("written"), failed=print)
    >>> job.wait(timeout=5), done
    (True, ['written'])
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._open: list[Job] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, run: Work, failed: Report) -> Job:
        """Ask for work now: every request before it is told to end."""
        return self._add(Job(run, failed, is_request=True))

    def prepare(self, run: Work, failed: Report) -> Job:
        """Ask for work that can wait its turn, such as loading a model: it stops nothing."""
        return self._add(Job(run, failed, is_request=False))

    def finish(self, timeout: float = 3) -> None:
        """Tell every job to end, and wait a little until the one that runs has."""
        with self._lock:
            for job in self._open:
                job.cancel.set()
        end = time.monotonic() + timeout
        for job in self._open:
            job.wait(max(0, end - time.monotonic()))

    def rest(self, timeout: float) -> bool:
        """Wait until every job has ended, and let the thread go; return whether it went. The next job starts another.

        For a process that is about to split: the thread would be missing in the new one.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._jobs.put(None)
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _add(self, job: Job) -> Job:
        with self._lock:
            self._open = [other for other in self._open if not other.has_ended]
            for other in self._open:
                if job.is_request and other.is_request:
                    other.cancel.set()
            self._open.append(job)
            self._jobs.put(job)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="course-worker", daemon=True)
                self._thread.start()
                # A thread cut off inside torch would end the kernel with a crash report.
                atexit.register(self.finish)
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()


@functools.cache
def the_worker() -> Worker:
    """Return the kernel's one worker."""
    return Worker()
