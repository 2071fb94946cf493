"""Viewer sessions: one kernel for each page, from its first request until its viewer has left."""

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.core.limits import memory_available_mb

KEEP_S = 30  # a page whose line broke: a reload, a phone that was put away
ARRIVE_S = 60  # a page that was fetched and never opened its line: a robot, a preview, a browser that gave up
IDLE_S = 2 * 3600  # a page that is open and that nobody touched
ROOM_FOR_NEW_S = 10  # after this long without a line, a page makes room for a new one when the hall is full

log = logging.getLogger("course_utils.hall")


class HallFull(Exception):
    """No further kernel can be given now."""


@dataclass
class Viewer:
    """One page and its kernel."""

    kernel_id: str
    demo: str
    folder: Path
    came_at: float
    touched_at: float
    left_at: float | None = None
    has_arrived: bool = False
    lines: set[Any] = field(default_factory=set)

    def is_over(self, now: float) -> str:
        """Return why this viewer's kernel should end, or nothing."""
        if not self.has_arrived:
            return "its page never opened its line" if now - self.came_at > ARRIVE_S else ""
        if not self.lines:
            left_at = self.came_at if self.left_at is None else self.left_at
            return "its page was left" if now - left_at > KEEP_S else ""
        return "nobody touched its page" if now - self.touched_at > IDLE_S else ""


class SessionManager:
    """All viewers, and the rules of who may stay.

    Parameters
    ----------
    folder : Path
        Where each kernel gets a folder of its own, which goes with it.
    n_seats : int
        How many kernels may live at once.
    floor_mb : float
        How much free memory this machine keeps for those who are in already.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self, folder: Path, n_seats: int, floor_mb: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.n_seats, self.floor_mb = n_seats, floor_mb
        self._folder, self._clock = folder, clock
        self._viewers: dict[str, Viewer] = {}

    def __len__(self) -> int:
        """Return how many are in."""
        return len(self._viewers)

    def __iter__(self) -> Iterator[Viewer]:
        """Go through all who are in now."""
        return iter(list(self._viewers.values()))

    def get(self, kernel_id: str) -> Viewer | None:
        """Return a viewer, if in the hall."""
        return self._viewers.get(kernel_id)

    def open_session(self, demo: str) -> tuple[Viewer, Viewer | None]:
        """Let a viewer in; return also the one who makes room, if the hall was full.

        Raises
        ------
        HallFull
            All seats are taken, or memory is short.
        """
        if memory_available_mb() < self.floor_mb:
            raise HallFull(f"less than {self.floor_mb:,.0f} MB of memory are free")
        leaving = self._who_makes_room() if len(self) >= self.n_seats else None
        if leaving is not None:
            self.forget(leaving.kernel_id)
        if len(self) >= self.n_seats:
            raise HallFull(f"all {self.n_seats} seats are taken")
        kernel_id, now = str(uuid.uuid4()), self._clock()
        folder = self._folder / kernel_id[:8]
        folder.mkdir(mode=0o700)
        viewer = self._viewers[kernel_id] = Viewer(kernel_id, demo, folder, now, now)
        return viewer, leaving

    def open_line(self, kernel_id: str, line: Any) -> None:
        """Note that a page has opened its line."""
        viewer = self._viewers[kernel_id]
        viewer.lines.add(line)
        viewer.has_arrived, viewer.left_at = True, None
        self.touch(kernel_id)

    def close_line(self, kernel_id: str, line: Any) -> None:
        """Note that a page's line was closed, or broke."""
        viewer = self._viewers.get(kernel_id)
        if viewer is not None:
            viewer.lines.discard(line)
            viewer.left_at = self._clock()

    def touch(self, kernel_id: str) -> None:
        """Note that somebody uses the page."""
        if kernel_id in self._viewers:
            self._viewers[kernel_id].touched_at = self._clock()

    def over(self) -> list[tuple[Viewer, str]]:
        """Return those whose kernel should end now, each with the reason."""
        now = self._clock()
        return [(viewer, why) for viewer in self if (why := viewer.is_over(now))]

    def forget(self, kernel_id: str) -> Viewer | None:
        """Let a viewer go; its folder goes too, its lines are closed."""
        viewer = self._viewers.pop(kernel_id, None)
        if viewer is not None:
            for line in list(viewer.lines):
                line.close(4000, "this page's kernel has ended")
            shutil.rmtree(viewer.folder, ignore_errors=True)
        return viewer

    def environment(self, viewer: Viewer) -> dict[str, str]:
        """Return what a viewer's kernel finds in its environment."""
        return {
            "COURSE_LEDGER": str(viewer.folder / "evidence.jsonl"),
            "COURSE_VIEWER": viewer.kernel_id,
            "TMPDIR": os.fspath(viewer.folder),
        }

    def _who_makes_room(self) -> Viewer | None:
        waiting = [each for each in self if not each.has_arrived and self._clock() - each.came_at > ROOM_FOR_NEW_S]
        return min(waiting, key=lambda each: each.came_at, default=None)
