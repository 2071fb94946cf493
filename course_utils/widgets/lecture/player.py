"""A recording on a panel: the same changes and messages at the same pace, with no model; then the panel as it was."""

import threading

from course_utils.errors import SettingsError
from course_utils.widgets.base.panel import Panel
from course_utils.widgets.lecture.recording import LONGEST_PAUSE_S, Recording, recorded_traits, run_number

FASTEST = 1000.0
BUSY = {"loading", "generating", "working", "preparing", "training"}
ENDED = {"state": "stopped", "progress": {}, "busy": {}}


class Playback:
    """A recording on a panel, from when it began until the panel is given back; made by `play` and `show_end`.

    Nothing of the panel works meanwhile: traits are set and messages sent, and that is all.
    """

    def __init__(self, panel: Panel, recording: Recording, speed: float) -> None:
        self._panel, self._recording, self._speed = panel, recording, speed
        self._before, self._cancel = recorded_traits(panel, is_lean=False), threading.Event()
        self._first_run = run_number(panel) + 1
        self._thread = threading.Thread(target=self._play, name="course-recording", daemon=True)
        self._told = {"by": recording.by, "day": recording.day}

    @property
    def is_playing(self) -> bool:
        """Whether more is to come."""
        return self._thread.is_alive()

    def begin(self) -> None:
        """Play, in the background."""
        self._panel.set_traits(recorded=self._told | {"is_playing": True})
        self._thread.start()

    def show_end(self) -> None:
        """Show at once what it ends with."""
        self._set_all(self._counted(self._recording.end))
        self._panel.set_traits(recorded=self._told | {"is_playing": False})

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self.is_playing

    def stop(self) -> None:
        """Stop; what was shown stays."""
        self._cancel.set()
        if self._thread is not threading.current_thread():
            self.wait(5)
        if getattr(self._panel, "state", "") in BUSY:
            self._panel.set_traits(**{name: value for name, value in ENDED.items() if self._panel.has_trait(name)})

    def end(self) -> None:
        """Stop, and give the panel back as it was."""
        self.stop()
        run = {"run": self._panel.run + 1} if "run" in self._before else {}  # a page takes no older run
        self._set_all({**self._before, **run})
        self._panel.set_traits(recorded={})

    def _set_all(self, traits: dict) -> None:
        for _ in range(2):  # the first time, a panel may still work some out from others
            self._panel.set_traits(**traits)

    def _play(self) -> None:
        before = 0.0
        for at, event in self._recording.events:
            pause = min(at - before, LONGEST_PAUSE_S) / self._speed
            if pause > 0 and self._cancel.wait(pause) or self._cancel.is_set():
                break
            before = at
            if "traits" in event:
                self._panel.set_traits(**self._counted(event["traits"]))
            else:
                self._panel.send(self._counted(event["message"]))
        self._panel.set_traits(recorded=self._told | {"is_playing": False})

    def _counted(self, content: dict) -> dict:
        return {**content, "run": content["run"] + self._first_run} if "run" in content else content


def play(panel: Panel, recording: Recording, speed: float = 1.0) -> Playback:
    """Play a recording on a panel of its kind, in the background; whatever plays there already is ended.

    Parameters
    ----------
    panel : Panel
    recording : Recording
    speed : float
        2 is twice as fast.

    Raises
    ------
    SettingsError
        The recording is of another kind of panel, or the speed is out of range.
    """
    if not 0 < speed <= FASTEST:
        raise SettingsError(f"speed is {speed!r}.", f"Above 0, at most {FASTEST:g}.", "speed=1")
    playing = _put_on(panel, recording, speed)
    playing.begin()
    return playing


def show_end(panel: Panel, recording: Recording) -> Playback:
    """Show at once what a recording ends with; see `play`."""
    playing = _put_on(panel, recording, 1.0)
    playing.show_end()
    return playing


def _put_on(panel: Panel, recording: Recording, speed: float) -> Playback:
    if type(panel).__name__ != recording.panel:
        told = f"The recording is of {recording.panel}, the panel is {type(panel).__name__}."
        raise SettingsError(told, "A recording of that panel.", "Choose another recording.")
    if panel.playback is not None:
        panel.playback.end()
    if hasattr(panel, "stop") and getattr(panel, "state", "") in BUSY:
        panel.stop()
        panel.wait(5)
    panel.playback = Playback(panel, recording, speed)
    return panel.playback
