"""What every panel has in the browser: its colours, buttons and large type, and a watch over the kernel."""

import threading
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

    def __init__(self, projector: bool = False, **traits) -> None:
        self._lock = threading.RLock()  # traits are set from the worker's thread and from callbacks on any thread
        super().__init__(projector=projector, large=projector, **traits)
        self.on_msg(self._hear)

    def set_state(self, sync_data: dict) -> None:
        """Take trait values from the browser, when no other thread is setting any."""
        with self._lock:
            super().set_state(sync_data)

    def _hear(self, _widget, content: dict, buffers: list) -> None:
        """Answer a message; an error raised here would be seen by nobody, so it is shown in the panel."""
        try:
            if content.get("kind") == "ping":
                self.send({"kind": "pong"})
            else:
                self._obey(content, buffers)
        except Exception as error:
            self._fail(error)

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
