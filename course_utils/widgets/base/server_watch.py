"""Server watch: a panel's notices about its model server, and the reconnection when the server is back."""

import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

import traitlets

from course_utils.models.client.connection import PAUSES_S, NoServer, ServerConnection
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.widgets.base.panel import Panel

NOT_THERE = "The model's process does not answer. This page goes on by itself when it is back."

T = TypeVar("T")


class ServerWatch(Panel):
    """Server watch of a panel whose models may be on a model server; the panel defines `_see_server`.

    Attributes
    ----------
    waiting : str
        What is waited for, in words; empty when nothing is.
    lacks : dict
        What the model that speaks does not give: words, settings (names), ranks and alternatives (whether they lack).
        Empty where all is given.
    """

    waiting = traitlets.Unicode().tag(sync=True)
    lacks = traitlets.Dict().tag(sync=True)

    _watcher: threading.Thread | None = None
    _has_page = False  # until then nothing runs by itself: the process may yet split, and threads would stay behind

    def _see_server(self) -> None:
        """Do what could not be done while the server was away."""
        raise NotImplementedError

    def _miss_server(self, url: str) -> None:
        """Say that nobody answers at an address, and look for it until somebody does."""
        self.waiting = NOT_THERE
        if self._has_page and (self._watcher is None or not self._watcher.is_alive()):
            panel = weakref.ref(self)
            self._watcher = threading.Thread(target=_look_for, args=(url, panel), name="course-watch", daemon=True)
            self._watcher.start()

    def _show_waiting(self, words: str) -> None:
        """Show what is waited for."""
        if words != self.waiting:
            self.set_traits(waiting=words)

    def _at_last(self, attempt: Callable[[], T], url: str, cancel: threading.Event, tell: Callable[[str], object]) -> T:
        """Return what an attempt returns, however long its server is away; Cancelled at the stop signal."""
        while True:
            try:
                found = attempt()
            except NoServer:
                ServerConnection(url).wait(cancel, tell)
            else:
                tell("")
                return found

    @staticmethod
    def _lacks_of(model: BaseLanguageModel) -> dict[str, object]:
        """Return what a model does not give, for `lacks`."""
        had = model.capabilities
        if not had.in_words():
            return {}
        told = {"words": had.in_words(), "settings": had.missing_settings}
        return told | {"ranks": not had.ranks, "alternatives": not had.alternatives}


def _look_for(url: str, panel: "weakref.ref[ServerWatch]") -> None:
    line, pauses = ServerConnection(url), iter(PAUSES_S)
    while not line.is_there():
        if threading.Event().wait(next(pauses, PAUSES_S[-1])) or is_gone(panel()):
            return
    found = panel()
    if found is not None and not is_gone(found):
        found._see_server()


def is_gone(panel: Panel | None) -> bool:
    """Tell whether nobody has that panel any more, or it was closed."""
    return panel is None or getattr(panel, "comm", None) is None
