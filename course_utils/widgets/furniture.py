"""What every panel has in the browser: its colours, buttons and large type, and a watch over the kernel."""

import threading
from collections.abc import Callable
from pathlib import Path

import anywidget
import traitlets

from course_utils.errors import CourseError

HERE = Path(__file__).parent


def browser_half(*names: str) -> tuple[str, str]:
    """Return script and style of a panel, each with the furniture before it: a widget has one file of each.

    Parameters
    ----------
    names : str
        The panel's own files without their endings; before them, files that it shares with others.

    Examples
    --------
    >>> script, style = browser_half("live_panel", "playground")
    >>> "export default" in script, ".cp" in style
    (True, True)
    """
    script, style = (
        "\n".join((HERE / f"{half}{end}").read_text("utf-8") for half in ("furniture", *names))
        for end in (".js", ".css")
    )
    return script, style


class FurnishedPanel(anywidget.AnyWidget):
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

    ends_no_recording: frozenset[str] = frozenset()  # wishes that a recording can answer

    def __new__(cls, *given, **named):
        """Keep what the panel is made with: it can be made again, as the page opened."""
        panel = super().__new__(cls, *given, **named)
        panel._made_with = (given, named)
        return panel

    def __init__(self, projector: bool = False, **traits) -> None:
        self._lock = threading.RLock()  # traits are set from the worker's thread and from callbacks on any thread
        self.ears: list[Callable[[dict], object]] = []  # told of every message to the page
        self.played = None  # the recording that is shown; see course_utils.widgets.playing
        super().__init__(projector=projector, large=projector, **traits)
        self.on_msg(self._hear)

    def set_state(self, sync_data: dict) -> None:
        """Take trait values from the browser, when no other thread is setting any."""
        with self._lock:
            super().set_state(sync_data)

    def made_again(self) -> "FurnishedPanel":
        """Return a new panel, made as this one was."""
        given, named = self._made_with
        return type(self)(*given, **named)

    def send(self, content: dict, buffers: list | None = None) -> None:
        """Send a message to the page."""
        for hear in getattr(self, "ears", ()):
            hear(content)
        super().send(content, buffers)

    def close(self) -> None:
        """Take the panel away."""
        if getattr(self, "played", None) is not None:
            self.played.stop()
        super().close()

    def _hear(self, _widget, content: dict, buffers: list) -> None:
        """Answer a message; an error raised here would be seen by nobody, so it is shown in the panel."""
        try:
            if content.get("kind") == "ping":
                self.send({"kind": "pong"})
            elif not self._ends_recording(content.get("kind")):
                self._obey(content, buffers)
        except Exception as error:
            self._fail(error)

    def _ends_recording(self, kind: str | None) -> bool:
        """Stop a recording at the wish to stop, and give the panel back at any other; return whether that was all."""
        if self.played is None or kind == "hello" or kind in self.ends_no_recording:
            return False
        if kind == "stop":
            self.played.stop()
            return True
        self.played.end()
        self.played = None
        return False

    def _obey(self, content: dict, buffers: list) -> None:
        raise NotImplementedError

    def _fail(self, error: BaseException) -> None:
        self._show(message=in_words(error))

    def _show(self, **traits) -> None:
        """Set traits together: the browser gets one message."""
        with self._lock, self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)


def in_words(error: BaseException) -> str:
    """Return an error as a person should read it."""
    return str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
