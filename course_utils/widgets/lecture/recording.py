"""Recording of a panel: the messages that it sent to its page, with their times; it can be played back."""

import contextlib
import dataclasses
import datetime
import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course_utils.core.files import replace_file
from course_utils.errors import CourseError, DamagedFile, SettingsError
from course_utils.widgets.base.panel import Panel

FORMAT = 1
LARGEST_BYTES = 400_000
TOGETHER_S = 0.03  # what a panel sets within that time reached the page as one change
LONGEST_PAUSE_S = 1.5  # nobody in a hall waits for a model that was being loaded
LOOKS = {"theme", "large", "projector", "layout", "tabbable", "tooltip"}
HERE_AND_NOW = {"recorded", "models", "model", "chosen", "waiting", "lacks"}  # of the page's own machine
NOT_RECORDED = LOOKS | HERE_AND_NOW
FASTEST = 1000.0
BUSY = {"loading", "generating", "working", "preparing", "training"}
ENDED = {"state": "stopped", "progress": {}, "busy": {}}


class TooLong(CourseError):
    """More was recorded than a recording may hold."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """What a panel showed.

    Parameters
    ----------
    panel : str
        The panel's class.
    by : str
        Which model spoke; empty where none did.
    day : str
        When, as 2026-11-25.
    events : tuple
        Pairs of seconds and either ``{"traits": {name: value}}`` or ``{"message": {...}}``, in the order of time. The
        first sets every trait that changes later to what it was. Runs are counted from 0.
    """

    panel: str
    by: str
    day: str
    events: tuple[tuple[float, dict], ...]

    @property
    def seconds(self) -> float:
        """How long it plays at speed 1."""
        times = [at for at, _ in self.events]
        pauses = (after - before for before, after in zip(times, times[1:], strict=False))
        return round(sum(min(pause, LONGEST_PAUSE_S) for pause in pauses), 2)

    @property
    def end(self) -> dict[str, object]:
        """Every trait that was set, as it was at the end."""
        return {name: value for _, event in self.events for name, value in event.get("traits", {}).items()}

    def text(self) -> str:
        """Return it as JSON, one event a line.

        Raises
        ------
        TooLong
        """
        head = {"format": FORMAT, "panel": self.panel, "by": self.by, "day": self.day}
        lines = [json.dumps([at, event], ensure_ascii=False) for at, event in self.events]
        text = json.dumps(head, ensure_ascii=False)[:-1] + ', "events": [\n' + ",\n".join(lines) + "\n]}\n"
        if (size := len(text.encode())) > LARGEST_BYTES:
            expected = f"At most {LARGEST_BYTES:,} bytes: a page must have it at once."
            raise TooLong(f"The recording has {size:,} bytes.", expected, "Record shorter texts.")
        return text

    def save(self, file: Path) -> None:
        """Write it to a file; see `text`."""
        replace_file(file, self.text(), "Make room, or name a file in another folder.")

    @classmethod
    def read(cls, file: Path) -> "Recording":
        """Read one.

        Raises
        ------
        DamagedFile
        """
        try:
            told = json.loads(file.read_text("utf-8"))
            events = tuple((float(at), dict(event)) for at, event in told["events"])
            if told["format"] != FORMAT:
                raise ValueError
            return cls(str(told["panel"]), str(told["by"]), str(told["day"]), events)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            expected = f"A recording of format {FORMAT}."
            raise DamagedFile(f"{file.name} cannot be read.", expected, "Record it again.") from problem


class Recorder:
    """Listens to a panel; made by `record`."""

    def __init__(self, panel: Panel, by: str) -> None:
        self._panel, self._by, self._begun = panel, by, time.monotonic()
        self._before, self._run = recorded_traits(panel), run_number(panel)
        self._events: list[tuple[float, dict]] = []

    def recording(self) -> Recording:
        """Return what was heard until now."""
        changed = {name for _, event in self._events for name in event.get("traits", {})}
        start = {name: self._counted("traits", {name: value})[name] for name, value in self._before.items()}
        first = (0.0, {"traits": {name: value for name, value in start.items() if name in changed}})
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        return Recording(type(self._panel).__name__, self._by, day, (first, *self._events))

    def hear_trait(self, change) -> None:
        """Note a trait that changed, if its page is told of it."""
        if is_recorded_trait(self._panel, change.name):
            self._note("traits", {change.name: lean(change.new)})

    def hear_message(self, content: dict) -> None:
        """Note a message to the page."""
        if content.get("kind") != "pong":
            self._note("message", lean(content))

    def _note(self, kind: str, content: dict) -> None:
        at, content = round(time.monotonic() - self._begun, 2), self._counted(kind, content)
        last_at, last = self._events[-1] if self._events else (-math.inf, {})
        if kind == "traits" and kind in last and at - last_at <= TOGETHER_S:
            self._events[-1] = (last_at, {"traits": {**last["traits"], **content}})
        else:
            self._events.append((at, {kind: content}))

    def _counted(self, kind: str, content: dict) -> dict:
        """Count runs from the recording's beginning."""
        is_run = isinstance(content.get("run"), int) and (kind == "message" or self._panel.has_trait("run"))
        return {**content, "run": content["run"] - self._run} if is_run else content


@contextlib.contextmanager
def record(panel: Panel, by: str = "") -> Iterator[Recorder]:
    """Record what a panel sends to its page while the block runs.

    Parameters
    ----------
    panel : Panel
    by : str
        Which model speaks.

    Examples
    --------
    ::

        with record(panel, by="smollm2-135m") as recorder:
            panel.generate()
            panel.wait()
        recorder.recording().save(Path("playground.json"))
    """
    recorder = Recorder(panel, by)
    panel.observe(recorder.hear_trait)
    panel.listeners.append(recorder.hear_message)
    try:
        yield recorder
    finally:
        panel.listeners.remove(recorder.hear_message)
        panel.unobserve(recorder.hear_trait)


def run_number(panel: Panel) -> int:
    """Return the number of the panel's last run, 0 where runs are not counted."""
    return panel.run if panel.has_trait("run") else 0


def recorded_traits(panel: Panel, is_lean: bool = True) -> dict[str, object]:
    """Return every trait that a page is told of and that a recording may hold."""
    names = [name for name in panel.traits(sync=True) if is_recorded_trait(panel, name)]
    return {name: lean(getattr(panel, name)) if is_lean else getattr(panel, name) for name in names}


def is_recorded_trait(panel: Panel, name: str) -> bool:
    """Tell whether a page is told of a trait, and a recording may hold it."""
    return not name.startswith("_") and name not in NOT_RECORDED and bool(panel.trait_metadata(name, "sync"))


def lean(value: object) -> Any:
    """Return a copy as JSON carries it, numbers with as many digits as are shown.

    Examples
    --------
    >>> lean({"p": (1 / 3, float("nan")), "n": 7})
    {'p': [0.33333, None], 'n': 7}
    """
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): lean(each) for name, each in value.items()}
    return [lean(each) for each in value] if isinstance(value, list | tuple) else value


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
