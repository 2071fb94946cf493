"""Worker thread: the one thread of a kernel that does the slow work of every panel; the newest request wins.

A cell or a button's callback must not let a model write: while it runs, the kernel hears no Stop. It hands the work to
the worker and returns. Two models that write at once on two cores are slower than one after the other. So there is one
thread, and a new request stops the one before it.
"""

import atexit
import functools
import math
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

    def __repr__(self) -> str:
        """Say how far the job is."""
        how = "ended" if self.has_ended else "told to end" if self.cancel.is_set() else "waiting or running"
        return f"Job ({how}{f'; {type(self.error).__name__}: {self.error}' if self.error else ''})"


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
        self._is_ending = False  # whether the thread has been told to end after the jobs that it has
        self._is_at_exit = False

    def __repr__(self) -> str:
        """Say how many jobs are open."""
        with self._lock:
            n_open = sum(not job.has_ended for job in self._open)
        return f"Worker ({n_open} {'job' if n_open == 1 else 'jobs'} open)"

    def submit(self, run: Work, failed: Report) -> Job:
        """Ask for work now: every request before it is told to end."""
        return self._add(Job(run, failed, is_request=True))

    def prepare(self, run: Work, failed: Report) -> Job:
        """Ask for work that can wait its turn, such as loading a model: it stops nothing."""
        return self._add(Job(run, failed, is_request=False))

    def finish(self, timeout: float = 3) -> None:
        """Tell every job to end, and wait at most that many seconds until the one that runs has."""
        with self._lock:
            open_jobs = list(self._open)
        for job in open_jobs:
            job.cancel.set()
        end = time.monotonic() + timeout
        for job in open_jobs:
            job.wait(max(0, end - time.monotonic()))

    def rest(self, timeout: float) -> bool:
        """Wait until every job has ended, and let the thread end; return whether it has. The next job starts another.

        For a process that is about to fork: the thread would be missing in the new process. After a time-out the old
        thread still does its last job. The thread of the next job waits for it, so that two never run side by side.
        """
        with self._lock:
            thread = self._thread
            if thread is not None and thread.is_alive() and not self._is_ending:
                self._is_ending = True
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
            if self._thread is None or self._is_ending or not self._thread.is_alive():
                self._start_thread()
            self._jobs.put(job)
        return job

    def _start_thread(self) -> None:
        # A queue of its own: the old thread may still have to read the order to end from the old one, and in a forked
        # process nobody reads the old one any more.
        previous, self._jobs, self._is_ending = self._thread, queue.SimpleQueue(), False
        self._thread = threading.Thread(
            target=self._work, args=(self._jobs, previous), name="course-worker", daemon=True
        )
        self._thread.start()
        if not self._is_at_exit:  # a thread cut off inside torch would end the kernel with a crash report
            self._is_at_exit = True
            atexit.register(self.finish)

    @staticmethod
    def _work(jobs: "queue.SimpleQueue[Job | None]", previous: threading.Thread | None) -> None:
        if previous is not None:
            previous.join()
        while (job := jobs.get()) is not None:
            job.do()


@functools.cache
def the_worker() -> Worker:
    """Return the kernel's one worker."""
    return Worker()


class Throttle:
    """Rate limit of a display: true at most once in so many seconds.

    Parameters
    ----------
    every_s : float
        Seconds between two times.
    is_due_at_once : bool
        Whether the first time is now, or only after that many seconds.

    Examples
    --------
    >>> throttle = Throttle(60)
    >>> throttle.is_due(), throttle.is_due()
    (True, False)
    """

    def __init__(self, every_s: float, is_due_at_once: bool = True) -> None:
        self._every_s = every_s
        self._last = -math.inf if is_due_at_once else time.monotonic()

    def is_due(self) -> bool:
        """Return whether enough time has passed since this last returned True."""
        now = time.monotonic()
        if now - self._last < self._every_s:
            return False
        self._last = now
        return True


class BackgroundJob:
    """Background job of one panel: a new job stops the one before, whose results are no longer shown.

    Jobs run in the worker's thread. Each has a number, and a trait is set only while the number of its job is the
    panel's and the panel's lock is held: a callback of an older job cannot overwrite what a newer one shows.

    Parameters
    ----------
    lock : threading.RLock
        The lock under which the panel's traits are set.

    Attributes
    ----------
    number : int
        The number of the newest job; a panel that moves on without a job counts it up too.
    is_asked_to_stop : bool
        Whether a person stopped the newest job; otherwise another panel's request did.
    """

    def __init__(self, lock: "threading.RLock") -> None:
        self._lock = lock
        self._job: Job | None = None
        self.number = 0
        self.is_asked_to_stop = False

    def __repr__(self) -> str:
        """Return the number and the state of the newest job."""
        return f"BackgroundJob (number {self.number}, {self._job!r})"

    @property
    def is_running(self) -> bool:
        """Whether the newest job waits or runs."""
        return self._job is not None and not self._job.has_ended

    def submit(self, work: Callable[[int, threading.Event], object], failed: Report, number: int | None = None) -> None:
        """Start a job; the one before is stopped.

        Parameters
        ----------
        work : callable
            Called in the worker's thread with the job's number and its cancel event.
        failed : callable
            Called with the exception that ``work`` raised, if the job is still the newest.
        number : int, optional
            The job's number, where the panel counts its jobs itself; one more than before when left out.
        """
        with self._lock:
            self.stop()
            self.is_asked_to_stop = False
            self.number = job_number = self.number + 1 if number is None else number
            self._job = the_worker().submit(
                lambda cancel: work(job_number, cancel), lambda error: self.if_current(job_number, failed, error)
            )

    def stop(self) -> bool:
        """Ask the newest job to end soon; return whether one was running."""
        with self._lock:
            if self._job is None or self._job.has_ended:
                return False
            self.is_asked_to_stop = True
            self._job.cancel.set()
            return True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the newest job has ended; return whether it has."""
        return self._job is None or self._job.wait(timeout)

    def if_current(self, number: int, show: Callable[..., object], *arguments: object, **named: object) -> None:
        """Call ``show`` under the panel's lock, if the job of that number is the newest."""
        with self._lock:
            if number == self.number:
                show(*arguments, **named)
