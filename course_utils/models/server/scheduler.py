"""Fair queue of requests: clients take turns, however many requests each of them sends."""

import collections
import dataclasses
import itertools
from collections.abc import Callable
from typing import Generic, TypeVar

from course_utils.models.server.protocol import Refusal


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may be asked for at once.

    Parameters
    ----------
    rows : int
        Texts that one model writes at once.
    at_once : int
        Requests of one viewer that are served at once.
    waiting_a_viewer, waiting_in_all : int
        Requests that may wait.
    """

    rows: int = 16
    at_once: int = 2
    waiting_a_viewer: int = 4
    waiting_in_all: int = 64


class QueuedRequest:
    """What the queue knows of one request: how many of its samples have not begun, and how many are being written.

    Parameters
    ----------
    viewer : str
        Who asked.
    n : int
        Samples; each takes its turn by itself.
    """

    def __init__(self, viewer: str, n: int) -> None:
        self.viewer, self.n_left, self.n_open, self.has_begun = viewer, n, 0, False

    @property
    def is_over(self) -> bool:
        """Whether all its samples have been served."""
        return self.n_left == 0 and self.n_open == 0


AnyRequest = TypeVar("AnyRequest", bound=QueuedRequest)


class FairQueue(Generic[AnyRequest]):
    """The requests of all viewers. A free place goes to the viewer who holds the fewest.

    Among equals it goes to who has waited longest since their last turn. So eight samples of one viewer do not keep
    another's single one waiting for all eight.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of: dict[str, list[AnyRequest]] = {}
        self._last: dict[str, int] = collections.defaultdict(int)
        self._clock = itertools.count(1)

    @property
    def n_waiting(self) -> int:
        """Requests that have not begun."""
        return sum(not request.has_begun for requests in self._of.values() for request in requests)

    def all(self) -> list[AnyRequest]:
        """Return all requests that wait or are being served."""
        return [request for requests in self._of.values() for request in requests]

    def add(self, request: AnyRequest) -> None:
        """Let a request wait, or raise Refusal when too many do."""
        own = self._of.get(request.viewer, [])
        if len(own) >= self._limits.at_once + self._limits.waiting_a_viewer:
            raise Refusal(
                f"{len(own)} of your texts are being written or wait for their turn.",
                f"At most {len(own)} at once for each viewer.",
                "Wait until one is finished, or stop one.",
                status=429, code="too_many_for_viewer", retry_after=3, name="TooBusy",
            )  # fmt: skip
        if self.n_waiting >= self._limits.waiting_in_all:
            raise Refusal(
                f"{self.n_waiting} texts are queued: more is asked for than this machine can write.",
                f"At most {self._limits.waiting_in_all} in the queue.",
                "Ask again in a few seconds.",
                status=429, code="queue_full", retry_after=5, name="TooBusy",
            )  # fmt: skip
        self._of.setdefault(request.viewer, []).append(request)

    def next(self, has_room: Callable[[AnyRequest], bool]) -> AnyRequest | None:
        """Return the request whose next sample begins now, or None where nothing can."""
        able = {viewer: request for viewer, requests in self._of.items() if (request := self._able(requests, has_room))}
        if not able:
            return None
        viewer = min(able, key=self._rank)
        request = able[viewer]
        request.n_left, request.n_open, request.has_begun = request.n_left - 1, request.n_open + 1, True
        self._last[viewer] = next(self._clock)
        return request

    def end(self, request: AnyRequest) -> None:
        """Count one sample of a request as served."""
        request.n_open -= 1
        if request.is_over:
            self.remove(request)

    def remove(self, request: AnyRequest) -> None:
        """Forget a request, whatever is left of it."""
        own = self._of.get(request.viewer, [])
        if request in own:
            own.remove(request)
        if not own:
            self._of.pop(request.viewer, None)
            self._last.pop(request.viewer, None)

    def queue_position(self, request: AnyRequest) -> int:
        """Return a request's place among those that wait, 1 for the next; 0 when it has begun."""
        if request.has_begun or request not in self._of.get(request.viewer, []):
            return 0
        order = []
        for client_index, (viewer, requests) in enumerate(self._of.items()):
            n_held, last = self._rank(viewer)
            waiting = (request for request in requests if not request.has_begun)
            order += [((n_held + i, last, client_index), queued) for i, queued in enumerate(waiting)]
        return 1 + [queued for _, queued in sorted(order, key=lambda pair: pair[0])].index(request)

    def _rank(self, viewer: str) -> tuple[int, int]:
        return sum(request.n_open for request in self._of[viewer]), self._last[viewer]

    def _able(self, requests: list[AnyRequest], has_room: Callable[[AnyRequest], bool]) -> AnyRequest | None:
        n_begun = sum(request.has_begun for request in requests)
        may = (
            request for request in requests if request.n_left and (request.has_begun or n_begun < self._limits.at_once)
        )
        return next(filter(has_room, may), None)
