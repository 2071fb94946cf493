"""Panel base class: the browser code, the static view and error messages of every panel."""

import datetime
import logging
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import anywidget
import traitlets

from course_utils.core.files import append_to_file
from course_utils.core.paths import PACKAGE, cache_folder
from course_utils.errors import CourseError, NoSpace
from course_utils.widgets.base.static_view import (
    VIEW,
    Fact,
    Part,
    StaticOutput,
    is_in_notebook,
    is_on_page_of_its_own,
    to_html,
    to_line,
    to_text,
)
from course_utils.widgets.base.worker import BackgroundJob

if TYPE_CHECKING:
    from course_utils.widgets.lecture.recording import Playback

logger = logging.getLogger(__name__)

BUNDLES = PACKAGE / "widgets" / "bundles"


def browser_bundle(name: str) -> tuple[str, str]:
    """Return script and style of a panel, as ``make browser`` has bundled them from its sources.

    Each has all that it needs inside: a widget sends one script and one style to the page.

    Parameters
    ----------
    name : str
        The panel's own source file without its ending.

    Examples
    --------
    >>> script, style = browser_bundle("playground")
    >>> "as default" in script, ".cp" in style
    (True, True)
    """
    script, style = ((BUNDLES / f"{name}{end}").read_text("utf-8") for end in (".js", ".css"))
    return script, style


class Panel(anywidget.AnyWidget):
    """A panel that can be dark and large, and that shows an error where it happened; a subclass adds what it is for.

    Parameters
    ----------
    projector : bool
        Large type, for a lecture hall.
    traits : dict
        First values of the subclass's traits.
    """

    message = traitlets.Unicode().tag(sync=True)
    large = traitlets.Bool(False).tag(sync=True)
    theme = traitlets.Enum(("auto", "light", "dark"), "auto").tag(sync=True)
    projector = traitlets.Bool(False).tag(sync=True)
    recorded = traitlets.Dict().tag(sync=True)  # of a recording that is shown: by, day, is_playing

    panel_title: ClassVar[str] = "Panel"
    has_static_output: ClassVar[bool] = True  # whether the static view is an output beside the widget's
    busy_states: ClassVar[frozenset[str]] = frozenset({"loading", "generating", "working", "preparing", "training"})
    allowed_during_playback: frozenset[str] = frozenset()  # wishes that a recording can answer

    _lock: threading.RLock
    _background: BackgroundJob  # of panels that start one

    def __new__(cls, *given, **named):
        """Keep what the panel is made with: it can be made again, as the page opened."""
        panel = super().__new__(cls, *given, **named)
        panel._constructor_arguments = (given, named)
        panel._lock = threading.RLock()  # traits are set from the worker's thread and from callbacks on any thread
        panel._background = BackgroundJob(panel._lock)
        return panel

    def __init__(self, projector: bool = False, **traits) -> None:
        self.listeners: list[Callable[[dict], object]] = []  # called with every message to the page
        self.playback: Playback | None = None  # the recording that is shown; see course_utils.widgets.lecture.recording
        super().__init__(projector=projector, large=projector, **traits)
        self.on_msg(self._on_message)

    def set_state(self, sync_data: dict) -> None:
        """Take trait values from the browser, when no other thread is setting any."""
        with self._lock:
            super().set_state(sync_data)
        self.update_static_view()

    def recreate(self) -> "Panel":
        """Return a new panel, made as this one was."""
        given, named = self._constructor_arguments
        return type(self)(*given, **named)

    def send(self, content: dict, buffers: list | None = None) -> None:
        """Send a message to the page."""
        for listener in getattr(self, "listeners", ()):
            listener(content)
        super().send(content, buffers)

    def close(self) -> None:
        """Stop the panel's job and take the panel away; this is also called on a panel whose ``__init__`` failed."""
        self._background.stop()
        playback: Playback | None = getattr(self, "playback", None)
        if playback is not None:
            playback.stop()
        super().close()

    # -- the static view -----------------------------------------------------------------------------------------------

    def static_parts(self) -> list[Part]:
        """Return what the panel shows, as parts of a static view; a subclass adds its own."""
        return []

    def state_in_words(self) -> str:
        """Return the panel's state in a word or two."""
        return getattr(self, "state", "") or "ready"

    def as_text(self) -> str:
        """Return what the panel shows as plain text: what was asked, of which model, and what came of it."""
        return to_text(self.panel_title, self._all_parts())

    def as_line(self) -> str:
        """Return the beginning of the same in one line."""
        return to_line(self.panel_title, self._all_parts())

    def as_html(self) -> str:
        """Return the same as HTML without script; every text is escaped."""
        return to_html(self.panel_title, self._all_parts())

    def update_static_view(self) -> None:
        """Bring the static view in the notebook up to date, if there is one."""
        output = getattr(self, "_static_output", None)
        if output is None:
            return
        try:
            output.update(is_busy=getattr(self, "state", "") in self.busy_states)
        except Exception as error:  # a panel must go on where its static view cannot be made
            log_error(error)

    def _all_parts(self) -> list[Part]:
        with self._lock:
            parts: list[Part] = [Fact("State", self.state_in_words())] if self.has_trait("state") else []
            parts += self.static_parts()
            if self.recorded:
                parts.append(Fact("", f"A recording of {self.recorded.get('day', '')}, no model at work."))
            waiting = getattr(self, "waiting", "")
            parts += [Fact("Message", words) for words in (self.message, waiting) if words]
            return parts

    def __repr__(self) -> str:
        """Return `as_text`."""
        try:
            return self.as_text()
        except Exception:  # such as a panel whose making failed half-way: a traceback shows it all the same
            return f"{type(self).__name__} (not ready)"

    # anywidget returns data and metadata; IPython takes data alone too.
    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, object]:  # type: ignore[override]
        """Return view, text and HTML in one, for callers that take a single output."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"text/plain": repr(self), "text/html": self.as_html(), VIEW: view}

    def _ipython_display_(self) -> None:
        """Display the panel and its static view (IPython asks for this name)."""
        if not (is_in_notebook() and self.has_static_output):
            raise NotImplementedError  # IPython then takes the text, or all in one output
        if getattr(self, "_static_output", None) is None:
            self._static_output = StaticOutput(self)
        self._static_output.display()

    # -- messages ------------------------------------------------------------------------------------------------------

    def _on_message(self, _widget, content: dict, buffers: list) -> None:
        """Answer a message; an error raised here would be seen by nobody, so it is shown in the panel."""
        try:
            if content.get("kind") == "ping":
                self.send({"kind": "pong"})
            elif not self._ends_recording(content.get("kind")):
                self._handle_message(content, buffers)
        except Exception as error:
            self.show_error(error)
        if content.get("kind") not in ("ping", "seen"):
            self.update_static_view()

    def _ends_recording(self, kind: str | None) -> bool:
        """Stop a recording at the wish to stop, and give the panel back at any other; return whether that was all."""
        if self.playback is None or kind == "ready" or kind in self.allowed_during_playback:
            return False
        if kind == "stop":
            self.playback.stop()
            return True
        self.playback.end()
        self.playback = None
        return False

    def _handle_message(self, content: dict, buffers: list) -> None:
        raise NotImplementedError

    def show_error(self, error: BaseException) -> None:
        """Show an error in the panel, in words for its user."""
        self.set_traits(message=error_message(error))

    def _show_not_saved(self, error: CourseError) -> None:
        """Say that what a person gave is not on the disk; the panel keeps it and goes on."""
        self.set_traits(message=f"Not saved, and kept on this page only: {error_message(error)}")

    def set_traits(self, **traits) -> None:
        """Set traits together: the browser gets one message."""
        with self._lock, self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)
        self.update_static_view()


# -- what went wrong, in words -----------------------------------------------------------------------------------------

MAX_LINES = 3  # of a message
MAX_LINE = 400  # characters
LOG = "panel_faults.log"
MAX_LOG_BYTES = 1_000_000


def error_message(error: BaseException) -> str:
    """Return an error as a person should read it: at most three lines, and no Python.

    What nobody foresaw is written to a log file, with its traceback; the message names the file.
    """
    if isinstance(error, CourseError):
        return _brief(str(error))
    if isinstance(error, MemoryError):
        return "The memory of this machine is full.\nNext: Close other notebooks or choose a smaller model; try again."
    log = log_error(error)
    if isinstance(error, OSError) and error.strerror:
        return _brief(f"The system refused: {error.strerror}{f' ({error.filename})' if error.filename else ''}.")
    told = "Something went wrong that the course did not foresee, and it was stopped there."
    if is_on_page_of_its_own() or log is None:
        return f"{told}\nTry it again, or reload the page."
    return f"{told}\nTry it again. If it comes back, show your teacher the end of {log}."


def log_error(error: BaseException) -> Path | None:
    """Write an error with its traceback to the log in the course's cache folder; return the log, None without one."""
    lines = "".join(traceback.format_exception(error))
    logger.info("a fault in a panel: %s", lines)
    log = cache_folder() / LOG
    try:
        if log.is_file() and log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))
        append_to_file(log, f"{datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}\n{lines}\n")
    except (NoSpace, OSError):
        return None
    return log


def _brief(words: str) -> str:
    lines = [
        line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in words.strip().split("\n") if line.strip()
    ]
    return "\n".join(lines[:MAX_LINES])
