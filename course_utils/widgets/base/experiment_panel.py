"""Experiment panel: base class of panels that run one job with a model and show its Result."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets

from course_utils.errors import CourseError, TextError
from course_utils.evidence.ledger import ledger
from course_utils.experiments.core.result import Result
from course_utils.models import loading
from course_utils.models.client.connection import NoServer
from course_utils.models.inference.base import BaseLanguageModel, Cancelled
from course_utils.models.registry import release_stage
from course_utils.widgets.base.model_picker import ModelPicker, require_name
from course_utils.widgets.base.panel import error_message
from course_utils.widgets.base.server_watch import ServerWatch
from course_utils.widgets.base.share_vote import VoteSharingPanel, where_kept
from course_utils.widgets.base.static_view import Part, facts
from course_utils.widgets.base.worker import Throttle

BUSY = ("loading", "working")
STATES = ("idle", *BUSY, "done", "stopped", "failed")
PROGRESS_EVERY_S = 0.25
OVERTAKEN = "Stopped, because another panel of this notebook began to work. What was finished is kept; press it again."

Tell = Callable[[float, str], object]
Show = Callable[[], object]


class ExperimentPanel(ServerWatch, VoteSharingPanel):
    """A panel that has models read or write in the background and yields a Result; a subclass says what is done.

    Models speak in fp32, whatever is fastest on this machine: what they say here is a measurement. One behind a server
    speaks in the server's precision, which its label and its results name.

    Parameters
    ----------
    model : str, Path or BaseLanguageModel, optional
        As for `ModelPicker`.
    traits : dict
        First values of the subclass's traits.
    """

    class_keeps = True
    model: Any  # the trait with the chosen model's name, where a panel has one

    models: traitlets.List[Any] = traitlets.List().tag(sync=True)
    state = traitlets.Enum(STATES, "idle").tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    finding = traitlets.Unicode().tag(sync=True)
    kept = traitlets.Unicode().tag(sync=True)

    def __init__(self, model: str | Path | BaseLanguageModel | None = None, **traits: Any) -> None:
        self._given, self._model_picker = model, ModelPicker(model)
        self.result: Result | None = None
        self._cancel = threading.Event()
        super().__init__(**traits)
        self._offer()

    def stop(self) -> None:
        """Stop soon; what was read or written until then is kept for the next time."""
        self._background.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is done for this panel; return whether that is so."""
        return self._background.wait(timeout)

    def keep(self) -> str:
        """Keep the result as evidence; return the citation, such as ``[@E-07f3]``.

        Raises
        ------
        TextError
            There is no result yet.
        DamagedFile, NoSpace
            As for `course_utils.evidence.ledger.ledger.keep`.
        """
        said: list[str] = []
        record = ledger.keep(self._required(), say=said.append)
        citation = f"[@{record.id}]"
        self.kept = " ".join(filter(None, [f"Kept as {citation}.", *said, where_kept()]))
        self._give_number(record)
        return citation

    def static_parts(self) -> list[Part]:
        """Return model, finding and what was kept."""
        model = getattr(self, "model", "") if self.has_trait("model") else ""
        return facts(model=model, progress=self.progress.get("what", ""), finding=self.finding, kept=self.kept)

    # -- who speaks ----------------------------------------------------------------------------------------------------

    def _offer(self, current: str = "") -> None:
        """Offer what can be chosen now; while its server is away, what could be chosen before."""
        try:
            self.set_traits(models=self._model_picker.choices(current), waiting="")
        except CourseError as error:
            self.show_error(error)

    def _take_first(self) -> None:
        """Choose a model where the panel has a choice and none is chosen, or say that there is none."""
        try:
            if self.has_trait("model") and not self.model:
                self.model = self._model_picker.first_name()
        except CourseError as error:
            self.show_error(error)

    def _see_server(self) -> None:
        self._take_first()
        self._offer()

    # -- what the worker does ------------------------------------------------------------------------------------------

    def _submit(self, work: Callable[[Tell, threading.Event], Show]) -> None:
        """Have the worker do it; what it returns is called at the end, unless the panel has moved on."""
        with self._lock:
            self.set_traits(state="loading", message="", kept="", progress={}, waiting="")
            self._background.submit(lambda run, cancel: self._do(run, work, cancel), self.show_error)

    def _do(self, run: int, work: Callable[[Tell, threading.Event], Show], cancel: threading.Event) -> None:
        self._cancel = cancel  # the worker does one thing at a time
        try:
            if cancel.is_set():
                raise Cancelled
            show = work(self._progress_callback(run), cancel)
        except Cancelled:
            why = "" if self._background.is_asked_to_stop else OVERTAKEN
            self._background.if_current(run, self.set_traits, state="stopped", message=why, progress={}, waiting="")
            return
        self._background.if_current(run, self._end, show)

    def _end(self, show: Show) -> None:
        """Show what a job has returned, and that it is done."""
        show()
        self.set_traits(state="done", progress={}, waiting="")

    def _progress_callback(self, run: int) -> Tell:
        """Return what takes progress from an experiment and shows it, with the seconds that are left."""
        begun, throttle = time.monotonic(), Throttle(PROGRESS_EVERY_S)

        def show_progress(share: float, what: str) -> None:
            if not throttle.is_due():
                return
            seconds = time.monotonic() - begun
            left = {"left_s": round(seconds * (1 / share - 1), 1)} if share > 0.02 and seconds > 1 else {}
            progress = {"share": round(share, 4), "what": what, **left}
            self._background.if_current(run, self.set_traits, state="working", progress=progress)

        return show_progress

    def _load(self, name: str) -> BaseLanguageModel:
        """Return a model in fp32, loading it if need be; slow, so it is the worker that calls it."""
        is_given = isinstance(self._given, Path | BaseLanguageModel) and self._given.name == name
        source = self._given if is_given else name
        require_name(name)
        release_stage.require_open(name)

        def load() -> BaseLanguageModel:
            if isinstance(source, BaseLanguageModel):
                return source
            server = self._model_picker.server
            return loading.load(source, "auto" if server else "fp32", server)

        model = self._at_last(load, self._model_picker.server, self._cancel, self._show_waiting)
        model.on_wait = self._show_waiting
        return model

    def _required(self) -> Result:
        if self.result is None:
            raise TextError("There is no result yet.", "A panel that has read or run.", "Press the first button.")
        return self.result

    def show_error(self, error: BaseException) -> None:
        """Show an error; for an absent server, wait until it is back."""
        if isinstance(error, NoServer):
            self.set_traits(state="idle", progress={})
            self._miss_server(self._model_picker.server)
            return
        self.set_traits(state="failed", message=error_message(error), progress={}, waiting="")

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "ready"}:
                self._has_page = True
                self._see_server()
            case {"kind": "stop" | "keep" as verb}:
                getattr(self, verb)()
