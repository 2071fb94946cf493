"""Presenter bar around a demo's panel: take-away, reset, prepared prompts, a recording, large type."""

from typing import Any

import ipywidgets
import traitlets

from course_utils.models.registry import release_stage
from course_utils.widgets.base.panel import Panel, browser_bundle
from course_utils.widgets.base.static_view import VIEW, Fact, Part, to_html
from course_utils.widgets.lecture.demos import Demo, Prompt, demo
from course_utils.widgets.lecture.recording import play, show_end

GALLERY = "../../"  # from /voila/render/NAME.ipynb
AWAY = "This does not work just now. Play the recording: it needs no model."
ADVICE = "\nNext: "  # in the message of an error that tells what to do
NO_ANSWER = "does not answer"  # what a panel says while its model's process is away
NOTHING_RECORDED = "This does not work just now. Reset, and try again in a moment."


class PresenterBar(Panel):
    """What stands above the panel on the page; `Presenter` says what its buttons do.

    Parameters
    ----------
    told : Demo
    gallery : str
        The address of the front page, as seen from this one.
    """

    _esm, _css = browser_bundle("presenter")
    panel_title = "Lectern"

    takeaway = traitlets.Unicode().tag(sync=True)
    shows = traitlets.Unicode().tag(sync=True)
    more = traitlets.Unicode().tag(sync=True)
    minutes = traitlets.Int(0).tag(sync=True)
    prompts: traitlets.List[Any] = traitlets.List().tag(sync=True)
    recording = traitlets.Dict().tag(sync=True)
    is_playing = traitlets.Bool(False).tag(sync=True)
    gallery = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)

    def __init__(self, told: Demo, gallery: str) -> None:
        recording = told.recording()
        self.obey = lambda content: None
        super().__init__(
            takeaway=told.takeaway,
            shows=told.shows,
            more=told.more,
            minutes=told.minutes,
            prompts=[{"title": each.title, "look": each.look or told.look} for each in told.prompts],
            recording={"seconds": recording.seconds, "look": told.look} if recording else {},
            gallery=gallery,
        )

    def static_parts(self) -> list[Part]:
        """Return what the demo is for, and its prepared prompts."""
        parts: list[Part] = [Fact("To take away", self.takeaway), Fact("What it shows", self.shows)]
        return [*parts, *(Fact("Prepared prompt", each["title"]) for each in self.prompts)]

    def _handle_message(self, content: dict, _buffers: list) -> None:
        self.obey(content)


class Presenter(ipywidgets.VBox):
    """A panel with a lectern above it; made by `lectern`.

    Parameters
    ----------
    panel : Panel
    told : Demo
    gallery : str

    Attributes
    ----------
    panel : Panel
        The one that is shown; `reset` puts a new one in its place.
    frame : PresenterBar
    """

    def __init__(self, panel: Panel, told: Demo, gallery: str = GALLERY) -> None:
        self.demo, self.panel = told, panel
        self.frame = PresenterBar(told, gallery)
        self.frame.obey = self._handle_message
        self._stage = release_stage.now()
        self._links: list[Any] = []
        super().__init__([self.frame, panel], layout=ipywidgets.Layout(overflow="visible"))
        self.add_class("cl-stand")
        self._take()

    def __repr__(self) -> str:
        """Return what the frame and the panel show, as plain text."""
        try:
            return f"{self.frame.as_text()}\n\n{self.panel.as_text()}"
        except Exception:  # its making failed half-way
            return f"{type(self).__name__} (not ready)"

    def _repr_mimebundle_(self, **_kwargs) -> dict[str, object]:
        """Return view, text and HTML."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        frame = to_html("Lectern", self.frame.static_parts())
        return {"text/plain": repr(self), "text/html": f"{frame}\n{self.panel.as_html()}", VIEW: view}

    # -- what a lecturer can do ----------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Go back to how the page opened: stop, forget what was typed and written, set the release stage as it was."""
        if self._stage is None:
            release_stage.open_all()
        else:
            release_stage.choose(self._stage)
        self._put(self.panel.recreate())

    def ask(self, place: int) -> None:
        """Fill the panel with one of the prepared prompts, and start it."""
        if not 0 <= place < len(self.demo.prompts):
            return
        prompt = self.demo.prompts[place]
        if self.panel.playback is not None and not self._can_be_asked_of_a_recording(prompt):
            self.reset_quietly()
        try:
            fill(self.panel, prompt)
        except Exception as error:  # raised in a callback, nobody would see it
            self.panel.show_error(error)

    def play(self, speed: float = 1.0) -> None:
        """Play the recording, from the beginning; no model is needed. Where one plays, stop it."""
        if self.frame.is_playing and self.panel.playback is not None:
            self.panel.playback.stop()
            return
        if (recording := self.demo.recording()) is not None:
            self._put(self.panel.recreate(), is_opened=False)
            play(self.panel, recording, speed)

    # -- how it is done ------------------------------------------------------------------------------------------------

    def reset_quietly(self) -> None:
        """Give the panel back from a recording; the page stays as it is otherwise."""
        if self.panel.playback is not None:
            self.panel.playback.end()
            self.panel.playback = None

    def _can_be_asked_of_a_recording(self, prompt: Prompt) -> bool:
        return not prompt.do and set(prompt.set) <= self.panel.allowed_during_playback

    def _put(self, panel: Panel, is_opened: bool = True) -> None:
        """Put a new panel in the place of the one that is shown."""
        old, self.panel = self.panel, panel
        for link in self._links:
            link.unlink()
        self.children = [self.frame, panel]
        self._take(is_opened)
        old.unobserve_all()
        old.close()

    def _take(self, is_opened: bool = True) -> None:
        """Begin with a panel: its looks are the frame's, and the frame tells how it stands."""
        self._links = [traitlets.link((self.frame, "theme"), (self.panel, "theme"))]
        self.panel.observe(
            self._see, ["recorded", *({"state", "message", "models", "waiting"} & set(self.panel.traits()))]
        )
        if is_opened and self.demo.opens_with_recording and (recording := self.demo.recording()) is not None:
            show_end(self.panel, recording)
        self._see()

    def _see(self, _change=None) -> None:
        """Tell whether a recording plays, and where one would help."""
        panel, recorded = self.panel, self.panel.recorded
        # A refusal, or a number out of its range, says itself what to do next: the machine has not failed.
        message = panel.message if getattr(panel, "state", "") == "failed" else ""
        has_failed = (message and ADVICE not in message) or getattr(panel, "models", [None]) == []
        has_failed = has_failed or NO_ANSWER in getattr(panel, "waiting", "")
        away = AWAY if self.frame.recording else NOTHING_RECORDED
        note = away if has_failed and not recorded else ""
        self.frame.set_traits(is_playing=bool(recorded.get("is_playing")), note=note)

    def _handle_message(self, content: dict) -> None:
        match content:
            case {"kind": "reset"}:
                self.reset()
            case {"kind": "play"}:
                self.play()
            case {"kind": "prompt", "place": int(place)}:
                self.ask(place)


def fill(panel: Panel, prompt: Prompt) -> None:
    """Do with a panel what a prepared prompt says; see `Prompt`."""
    for name, value in prompt.set.items():
        setattr(panel, name, {**getattr(panel, name), **value} if isinstance(value, dict) else value)
    if prompt.do:
        given, named = ((), prompt.with_) if isinstance(prompt.with_, dict) else (prompt.with_, {})
        getattr(panel, prompt.do)(*given, **named)
    if prompt.then:
        getattr(panel, prompt.then)()


def lectern(panel: Panel, key: str, gallery: str = GALLERY) -> Presenter:
    """Put a lectern around a panel.

    Parameters
    ----------
    panel : Panel
        As a notebook has it.
    key : str
        Which demo; see `course_utils.widgets.lecture.demos`.
    gallery : str
        The address of the front page, as seen from this one.

    Returns
    -------
    Presenter

    Raises
    ------
    SettingsError
        No demo is called so.

    Examples
    --------
    ::

        lectern(Playground(), "playground")
    """
    return Presenter(panel, demo(key), gallery)
