"""Generation panel: base class of panels in which a model writes; one request at a time, on the worker."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import traitlets
from traitlets.utils.bunch import Bunch

from course_utils.errors import CourseError
from course_utils.models.client.connection import NoServer
from course_utils.models.inference.base import BaseLanguageModel, Cancelled, TextStream
from course_utils.models.inference.tokens import Generation
from course_utils.models.registry import release_stage
from course_utils.widgets.base.live_text import LiveText
from course_utils.widgets.base.model_picker import ModelPicker
from course_utils.widgets.base.panel import Panel, error_message
from course_utils.widgets.base.server_watch import ServerWatch
from course_utils.widgets.base.static_view import Part, Text, facts
from course_utils.widgets.base.transcript import ENDINGS, Run, settings_line, transcript
from course_utils.widgets.base.worker import Throttle, the_worker

BUSY = ("loading", "generating")
STATES = ("idle", *BUSY, "done", "stopped", "failed")
KEPT_EVERY_S = 1.0  # how much of a text can be missing for a page that comes back while the kernel is gone
OVERTAKEN = "Stopped, because another panel of this notebook began to write."

Ask = Callable[[Sequence[BaseLanguageModel], threading.Event], TextStream]  # models, cancel event


class GenerationPanel(ServerWatch, Panel):
    """A panel with a model, samples being written, and a transcript; a subclass adds what is asked of the model.

    Parameters
    ----------
    model : str, Path or BaseLanguageModel, optional
        As for `ModelPicker`.
    traits : dict
        First values of the subclass's traits.
    """

    models: traitlets.List[Any] = traitlets.List().tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    state = traitlets.Enum(STATES, "idle").tag(sync=True)
    run = traitlets.Int(0).tag(sync=True)
    samples: traitlets.List[Any] = traitlets.List().tag(sync=True)
    line = traitlets.Unicode().tag(sync=True)
    timing = traitlets.Dict().tag(sync=True)
    best = traitlets.Int(-1).tag(sync=True)
    transcript = traitlets.Unicode().tag(sync=True)

    def __init__(self, model: str | Path | BaseLanguageModel | None = None, **traits: Any) -> None:
        self._runs: list[Run] = []
        self.generations: list[Generation] = []
        self._live, self._given = LiveText(0, self.send), model
        super().__init__(**traits)
        self._look_around()
        release_stage.on_change(self._see_stage)

    # -- what a person can do with any panel ---------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop after the token that is being written; what has come stays."""
        with self._lock:
            if (
                self._background.stop() and self.state == "loading"
            ):  # a model cannot be half loaded: that goes on, but no text will follow
                self.state = "stopped"

    def clear(self) -> None:
        """Stop, and forget all texts and the transcript."""
        self.stop()
        with self._lock:
            self._runs = []
            self._begin("idle", is_new=True)
            self.transcript = ""

    def pick(self, sample: int) -> None:
        """Record which sample is the best, counted from 0; -1 for none."""
        with self._lock:
            if -1 <= sample < len(self.samples):
                self.best = sample
                self._runs[-1:] = [dataclasses.replace(run, best=sample) for run in self._runs[-1:]]
                self.transcript = transcript(self._runs)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being written for this panel; return whether that is so."""
        return self._background.wait(timeout)

    def close(self) -> None:
        """Stop writing and take the panel away."""
        release_stage.forget(self._see_stage)
        super().close()

    def _look_around(self) -> None:
        """Choose a model where none is chosen, and offer what there is; or say what is wrong."""
        with self._lock:
            try:
                if not self.model:
                    self._choose_first()
            except CourseError as error:
                self.show_error(error)
            self._offer()

    def _offer(self) -> None:
        """Offer what can be chosen now; while its server is away, what could be chosen before."""
        try:
            self.set_traits(models=self._choices(), waiting="" if self.state not in BUSY else self.waiting)
        except CourseError as error:
            if isinstance(error, NoServer):
                self._miss_server(self._server())
            elif not self.message:
                self.set_traits(message=error_message(error))

    def _see_stage(self) -> None:
        """Offer what the release stage leaves open; what is being written goes on, and what is chosen stays chosen."""
        with self._lock:
            self._offer()

    def _see_server(self) -> None:
        """Choose and load what could not be had while the server was away."""
        self._look_around()
        self._prepare()

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        """Do what any panel can be asked; a subclass knows more wishes, and leaves the others to this."""
        match content:
            case {"kind": "ready"}:
                self._welcome()
            case {"kind": "stop" | "clear" as verb}:
                getattr(self, verb)()

    def _welcome(self) -> None:
        """Give a page that shows the panel what was written, and have the model ready before it is asked for."""
        self._has_page = True
        with self._lock:
            self._look_around()
            self._live.send_whole()
        self._prepare()

    def _asked_parts(self) -> list[Part]:
        """Return what was asked of which model, or, where nothing was asked yet, what stands in the fields."""
        if self.samples:
            asked = Text("Prompt, written by a person", self.samples[0].get("prompt", ""))
            return [*facts(model=self.model, how=self.line), asked]
        fields = ", ".join(f"{name} {value}" for name, value in getattr(self, "values", {}).items())
        prompt = getattr(self, "prompt", "")
        return [*facts(model=self.model, fields=fields), *([Text("Prompt in the box", prompt)] if prompt else [])]

    # -- who speaks: a panel of several models has its own answers -----------------------------------------------------

    def _choose_first(self) -> None:
        """Choose the model that was asked for, or the best one; CourseError where there is none."""
        self._model_picker = ModelPicker(self._given)
        self.model = self._model_picker.first_name()

    def _choices(self) -> list[dict[str, str]]:
        """Return what the person can choose from."""
        return self._model_picker.choices(self.model)

    def _server(self) -> str:
        """Return the address of the server whose models are offered."""
        return self._model_picker.server

    def _is_ready(self) -> bool:
        """Tell whether what is chosen is loaded."""
        return self._model_picker.is_ready(self.model)

    def _load(self) -> list[BaseLanguageModel]:
        """Return the chosen models, loading them if need be; slow, so only the worker calls it."""
        return [self._model_picker.load(self.model or self._model_picker.first_name())]

    def _new_live(self, run: int) -> LiveText:
        """Return an empty text for a new run."""
        return LiveText(run, self.send)

    def _line(self, models: Sequence[BaseLanguageModel], stream: TextStream) -> str:
        """Return the line that names the model, its settings and its seeds."""
        return settings_line(models[0].label, stream.generations())

    def _keep(self, models: Sequence[BaseLanguageModel], is_new: bool) -> None:
        """Add what was written to the transcript."""
        run = run_of(models[0], self.generations, self._live.timing, self.best)
        if is_new or not self._runs:
            self._runs = [*self._runs, run]
            return
        before = self._runs[-1]  # the text goes on: its beginning keeps its own times
        points = tuple(map(n_alike, before.generations, self.generations))
        run = dataclasses.replace(run, timing=before.timing, continued=(*before.continued, points))
        self._runs = [*self._runs[:-1], run]

    # -- what the worker does ------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Have the worker load the chosen model; a request that comes meanwhile waits for it."""
        run = self.run

        def load(_cancel: threading.Event) -> None:
            self._set_traits_if_current(run, state="loading")
            self._set_traits_if_current(run, lacks=self._lacks(self._load()))
            self._set_traits_if_current(run, state="idle")

        if self.model and not self._is_ready() and self.state not in BUSY:
            the_worker().prepare(load, lambda error: self.show_error(error, run))

    def _ask(self, ask: Ask, is_new: bool) -> None:
        """Hand a request to the worker: ``ask(models, cancel)`` returns the stream."""
        with self._lock:
            self._begin("generating" if self._is_ready() else "loading", is_new)
            self._background.submit(
                lambda run, cancel: self._write(run, ask, cancel, is_new), self.show_error, number=self.run
            )

    def _begin(self, state: str, is_new: bool) -> None:
        """Give the panel to a new run: what an older one still does no longer shows."""
        self._live = self._new_live(self.run + 1)
        self.set_traits(run=self.run + 1, state=state, message="", waiting="", timing={})
        if is_new:
            self.generations = []
            self.set_traits(samples=[], best=-1, line="")
            self._live.send_whole()

    def _write(self, run: int, ask: Ask, cancel: threading.Event, is_new: bool) -> None:
        """Let the model write, pass on every token, and keep what came."""
        live = self._live
        if not cancel.is_set() and not self._is_ready():
            self._load_at_last(run, cancel)
            live.restart_clock()
        if cancel.is_set():
            self._set_traits_if_current(run, **self._why_stopped())
            return
        models = self._load()
        stream = ask(models, cancel)
        stream.on_wait = self._progress_callback(run)
        line, lacks = self._line(models, stream), self._lacks(models)
        self._set_traits_if_current(run, state="generating", line=line, lacks=lacks, message=stream.notice)
        self._pass_on(run, stream, live)
        with self._lock:
            if run == self.run:
                self.generations = live.end(stream.generations())
                self._keep(models, is_new)
                told = {"message": self.message or stream.notice, "waiting": ""}
                self.set_traits(samples=live.cards, timing=live.timing, transcript=transcript(self._runs), **told)
                self.set_traits(**self._why_stopped() if cancel.is_set() else {"state": "done"})

    def _load_at_last(self, run: int, cancel: threading.Event) -> None:
        """Load what is chosen, also where its server is away and comes back only later."""

        def load() -> None:
            if not self.model:
                self._choose_first()
            self._load()

        with contextlib.suppress(Cancelled):
            self._at_last(load, self._server(), cancel, self._progress_callback(run))
            with self._lock:
                self._offer()

    def _progress_callback(self, run: int) -> Callable[[str], object]:
        """Return what shows what that run waits for."""
        return lambda words: self._set_traits_if_current(run, waiting=words)

    def _lacks(self, models: Sequence[BaseLanguageModel]) -> dict[str, object]:
        """Return which capabilities the first of the models lacks that lacks any."""
        return next(filter(None, map(self._lacks_of, models)), {})

    def _pass_on(self, run: int, stream: TextStream, live: LiveText) -> None:
        """Send the stream to the browser while this run is the panel's."""
        with self._lock:
            if run == self.run:
                live.begin(stream.generations())
        throttle = Throttle(KEPT_EVERY_S, is_due_at_once=False)
        for step in stream:
            with self._lock:
                if run != self.run:
                    break
                live.add(step)
                if throttle.is_due():
                    self.set_traits(samples=live.texts())
        stream.close()

    def _why_stopped(self) -> dict[str, str]:
        message = self.message if self._background.is_asked_to_stop else OVERTAKEN
        return {"state": "stopped", "message": message, "waiting": ""}

    def show_error(self, error: BaseException, run: int | None = None) -> None:
        """Show what went wrong, unless the panel has moved on from that run; for an absent server, wait."""
        run = self.run if run is None else run
        if isinstance(error, NoServer):
            self._set_traits_if_current(run, state="idle", message="")
            self._miss_server(self._server())
            return
        self._set_traits_if_current(run, state="failed", message=error_message(error), waiting="")

    def _set_traits_if_current(self, run: int, **traits: object) -> None:
        self._background.if_current(run, self.set_traits, **traits)

    @traitlets.observe("run")
    def _count_run(self, change: Bunch) -> None:
        """Take the trait's number for the job's: clearing the panel, or a recording, counts runs without a job."""
        self._background.number = change.new


def run_of(
    model: BaseLanguageModel, generations: Sequence[Generation], timing: dict | None = None, best: int = -1
) -> Run:
    """Return a request and what came of it, for the transcript."""
    had = model.capabilities
    room = model.context - model.count_tokens(generations[0].prompt) if had.weights and generations else 0
    more: dict[str, Any] = {
        "weights_sha256": model.weights_sha256,
        "lacks": had.in_words(),
        "is_remote": not had.weights,
    }
    more["room"] = max(0, room)
    return Run(model.label, tuple(generations), timing or {}, best, **more)


def n_alike(before: Generation, after: Generation) -> int:
    """Return how many tokens a text had when it was continued; half a character at its end is written anew."""
    pairs = zip(before.token_ids, after.token_ids, strict=False)
    return next((n for n, (old, new) in enumerate(pairs) if old != new), min(len(before.steps), len(after.steps)))


def sample_in_words(sample: dict) -> str:
    """Return seed, length and ending of a sample, as they stand under its text."""
    ended = ENDINGS.get(sample.get("ended", ""), "")
    return ", ".join(filter(None, [f"seed {sample.get('seed')}", f"{sample.get('n_tokens', 0)} tokens", ended]))
