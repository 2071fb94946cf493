"""Inference engine of the server: one thread takes requests from the fair queue and computes batch after batch."""

import collections
import gc
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

from course_utils.models.inference.base import LocalModel
from course_utils.models.inference.tokens import TokenStep
from course_utils.models.quantization import precision
from course_utils.models.server.batching import Batch, Row, Scoring
from course_utils.models.server.protocol import Refusal
from course_utils.models.server.request import CompletionRequest
from course_utils.models.server.scheduler import FairQueue, Limits, QueuedRequest

MAX_UNREAD_STEPS = 600  # steps that wait for a slow reader


class SampleUpdate(NamedTuple):
    """News of one sample: its steps since the last time, and ``"stop"`` or ``"length"`` where it has ended, else ""."""

    sample: int
    steps: list[TokenStep]
    ended: str


class Job(QueuedRequest):
    """One request on its way: the engine's thread puts its text here, and its reader takes it away.

    Parameters
    ----------
    model : LanguageModel
    request : CompletionRequest
    ids : list of int
        The prompt as the model sees it.
    viewer : str
    bell : callable
        Called, by the engine's thread, when there is something to take and nothing was there before.
    """

    def __init__(
        self, model: LocalModel, request: CompletionRequest, ids: list[int], viewer: str, notify: Callable[[], object]
    ) -> None:
        super().__init__(viewer, request.n)
        self.model, self.request, self.ids = model, request, ids
        self.is_cancelled = False
        self.error: Refusal | None = None
        self._bell, self._lock, self._n_unread = notify, threading.Lock(), 0
        self._news: collections.deque[SampleUpdate] = collections.deque()

    def take(self) -> list[SampleUpdate]:
        """Return the news that has come since the last time."""
        with self._lock:
            news, self._news, self._n_unread = list(self._news), collections.deque(), 0
        return news

    def tell(self, sample: int, steps: list[TokenStep], ended: str) -> None:
        """Put down news; a reader who leaves too much of it lying is given up.

        News that come in one large piece, as a scored text does, are no sign of a slow reader.
        """
        with self._lock:
            was_empty = not self._news
            self._news.append(SampleUpdate(sample, steps, ended))
            self._n_unread += len(steps)
            is_slow = not was_empty and self._n_unread > MAX_UNREAD_STEPS
        if is_slow:
            self.fail(Refusal(
                f"{self._n_unread} tokens of the text were not read by the client.",
                "A client that reads as fast as the model writes.",
                "Ask again over a better connection.",
                status=408, code="slow_reader", name="TooSlow",
            ))  # fmt: skip
        elif was_empty:
            self._bell()

    def fail(self, error: Refusal) -> None:
        """Give the request up, and say why."""
        self.error, self.is_cancelled = self.error or error, True
        self._bell()

    def cancel(self) -> None:
        """Nobody wants it any more; its rows leave before the next step."""
        self.is_cancelled = True


class Engine:
    """The batches of all models, and the thread that alone computes.

    Parameters
    ----------
    limits : Limits

    Attributes
    ----------
    n_steps : int
        Steps of any batch so far.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.n_steps = limits, 0
        self._turns: FairQueue[Job] = FairQueue(limits)
        self._batches: dict[LocalModel, Batch] = {}
        self._retired: weakref.WeakSet[LocalModel] = (
            weakref.WeakSet()
        )  # models to let go of when their last text has ended
        self._jobs: dict[Row | Scoring, Job] = {}
        self._change = threading.Condition()
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="model engine", daemon=True)

    def start(self) -> None:
        """Begin to compute."""
        self._thread.start()

    def close(self, timeout: float = 1.0) -> bool:
        """Give up what is being written; return whether the thread has ended in time."""
        with self._change:
            self._is_open = False
            self._change.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Let a request wait for its turn; Refusal when too many wait."""
        with self._change:
            if not self._is_open:
                raise closing()
            self._turns.add(job)
            self._change.notify()

    def cancel(self, job: Job) -> None:
        """Take a request back, whether it waits or is being served."""
        with self._change:
            job.cancel()
            job.n_left = 0
            if job.is_over:
                self._turns.remove(job)

    def queue_position(self, job: Job) -> int:
        """Return a request's place among those that wait; 0 when it has begun."""
        with self._change:
            return self._turns.queue_position(job)

    def state(self) -> dict[str, int]:
        """Return how many rows are being written and how many requests wait."""
        with self._change:
            return {"rows": sum(batch.n_rows for batch in self._batches.values()), "waiting": self._turns.n_waiting}

    def forget(self, models: Sequence[LocalModel]) -> list[LocalModel]:
        """Let go of those models that write nothing and that no request waits for; return them.

        A model that is at work stays: its texts go on to their end.
        """
        with self._change:
            idle = [model for model in models if not self._is_busy(model)]
            for model in idle:
                self._batches.pop(model, None)
        gc.collect()
        return idle

    def retire(self, model: LocalModel) -> None:
        """Let go of a model as soon as its last text has ended: another one has taken its place."""
        with self._change:
            self._retired.add(model)
            self._let_go()

    def _is_busy(self, model: LocalModel) -> bool:
        """Tell whether a model has a text that is being written, or one that waits for its turn."""
        return any(job.model is model for job in (*self._jobs.values(), *self._turns.all()))

    def _let_go(self) -> None:
        for model in [model for model in self._retired if not self._is_busy(model)]:
            self._batches.pop(model, None)

    def _run(self) -> None:
        precision.leave_a_core_free()  # PyTorch counts threads for each thread that asks
        while self._admit():
            for model, batch in list(self._batches.items()):
                if batch.n_rows:
                    self._step(model, batch)
        with self._change:
            for model in list(self._batches):
                self._give_up(model, closing())
            while job := self._turns.next(lambda job: True):
                job.fail(closing())
                self._turns.remove(job)

    def _admit(self) -> bool:
        """Let samples join while there is room; wait where there is nothing to do; say whether the engine is open."""
        with self._change:
            while self._is_open:
                while job := self._turns.next(self._has_room):
                    self._join(job)
                if any(batch.n_rows for batch in self._batches.values()):
                    break
                self._change.wait()
            return self._is_open

    def _has_room(self, job: Job) -> bool:
        batch = self._batches.get(job.model)
        return batch is None or batch.n_rows < self.limits.rows

    def _join(self, job: Job) -> None:
        """Put a request's next sample into its model's batch."""
        sample = job.request.n - job.n_left - 1
        try:
            if job.model not in self._batches:
                self._batches[job.model] = Batch(job.model)
            row = _row_of(job, sample)
        except Exception:
            job.fail(_problem())
            job.n_left = 0
            self._turns.end(job)
            return
        self._jobs[row] = job
        self._batches[job.model].add(row)

    def _step(self, model: LocalModel, batch: Batch) -> None:
        try:
            left = batch.turn()
        except Exception:  # whatever it is, the texts of this model are lost, and the others go on
            with self._change:
                self._give_up(model, _problem())
            return
        self.n_steps += 1
        if left:
            with self._change:
                self._end(left)

    def _give_up(self, model: LocalModel, error: Refusal) -> None:
        """Let all rows of a model go, and tell their readers why."""
        batch = self._batches.get(model)
        if batch is not None:
            batch.clear()
        rows = [row for row, job in self._jobs.items() if job.model is model]
        for row in rows:
            self._jobs[row].fail(error)
        self._end(rows)

    def _end(self, rows: Sequence[Row | Scoring]) -> None:
        """Take note that rows have left."""
        for row in rows:
            job = self._jobs.pop(row)
            if job.is_cancelled:
                job.n_left = 0
            self._turns.end(job)
        self._let_go()


def _row_of(job: Job, sample: int) -> Row | Scoring:
    request = job.request

    def tell(steps: list[TokenStep], ended: str) -> None:
        job.tell(sample, steps, ended)

    def is_wanted() -> bool:
        return not job.is_cancelled

    if request.scores:
        return Scoring(job.model, job.ids, request.stride, tell, is_wanted)
    seed = request.settings.seed_of(sample)
    return Row(
        sample,
        job.ids,
        request.settings,
        seed,
        request.first_step,
        request.looks,
        request.stop,
        tell,
        is_wanted,
        request.written,
    )


def _problem() -> Refusal:
    """Write the traceback to stderr, for the operator of the server; return the error for the client."""
    traceback.print_exc(file=sys.stderr)
    return Refusal(
        "The model failed with an internal error on this text.", "", "Ask again, or with another text.",
        status=500, code="server_error", name="ServerProblem",
    )  # fmt: skip


def closing() -> Refusal:
    """Return what is said to those whose text is cut off because the server ends."""
    return Refusal(
        "The model's process is being closed.", "", "Ask again when it is back.",
        status=503, code="closing", retry_after=2, name="ServerProblem",
    )  # fmt: skip
