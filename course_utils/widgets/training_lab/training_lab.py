"""Training panel: a small GPT-2 learns from your text, and writes a sample at set moments."""

import dataclasses
import math
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from course_utils.core import limits
from course_utils.core.files import expanded, replace_file
from course_utils.core.paths import cache_folder
from course_utils.data import news_articles
from course_utils.errors import TextError
from course_utils.experiments.replication import corpus
from course_utils.experiments.replication.train_small import (
    LIMITS,
    SIZES,
    Plan,
    TrainingRun,
    begin,
    next_folder,
    training_runs,
)
from course_utils.models.training.data import read_documents
from course_utils.models.training.trainer import Progress
from course_utils.widgets.base.numbers import NumberFields, read_fields
from course_utils.widgets.base.panel import Panel, browser_bundle, error_message
from course_utils.widgets.base.static_view import Part, Table, Text, facts
from course_utils.widgets.base.worker import Throttle

STATES = ("idle", "preparing", "training", "done", "stopped", "failed")
AMOUNTS = (30_000, 300_000, 1_000_000, 3_000_000)
SHOWN_EVERY_S = 0.4
N_POINTS = 160  # of the curve in the browser
# Where nothing was measured: one core and one parameter, from 8,500 tokens a second on two cores with 1.35 million.
GUESS = 8500 * 1.35e6 / 2
OVERTAKEN = "Paused, because another panel of this notebook began to work. Go on takes it up where it was."
NEWS = {"name": "news", "about": "2,000 news articles, 2016–17"}
OWN = {"name": "own", "about": "a text file of mine…"}


class TrainingLab(NumberFields, Panel):
    """A panel to train a small GPT-2 in JupyterLab or Voila; it can be driven without a browser too.

    Every training has a numbered folder of its own, so none is ever lost: after Stop, or after a restart of the kernel,
    the newest is shown again and can go on.

    Parameters
    ----------
    text : str, Path or sequence of str, optional
        What to offer beside the news articles: a folder of ``.txt`` files, one file, or documents.
    plan : Plan, optional
        What stands in the fields at first.
    folder : Path, optional
        Where the trainings lie; in the course's cache folder when left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    apprentice : TrainingRun or None
        The training that is shown.
    state : str
        ``idle``, ``preparing``, ``training``, ``done``, ``stopped`` or ``failed``; `message` then says why.

    Examples
    --------
    ::

        lab = TrainingLab()
        lab.start()
        lab.wait()
        Playground(lab.trained)
    """

    _esm, _css = browser_bundle("training_lab")
    panel_title = "Training lab"
    fields_trait = "plan"

    state = traitlets.Enum(STATES, "idle").tag(sync=True)
    sources: traitlets.List[Any] = traitlets.List().tag(sync=True)
    sizes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    amounts = traitlets.List(list(AMOUNTS)).tag(sync=True)
    limits = traitlets.Dict(LIMITS).tag(sync=True)
    plan = traitlets.Dict().tag(sync=True)  # as typed, possibly out of range
    label = traitlets.Unicode().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    curve: traitlets.List[Any] = traitlets.List().tag(sync=True)
    said: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(
        self,
        text: str | Path | Sequence[str] | None = None,
        plan: Plan | None = None,
        folder: Path | None = None,
        projector: bool = False,
    ) -> None:
        self.apprentice: TrainingRun | None = None
        self._given = text
        self._uploaded: tuple[str, list[str]] | None = None
        self.folder = expanded(folder) if folder else cache_folder() / "apprentices"
        given = [{"name": "given", "about": str(text) if isinstance(text, str | Path) else "the text given"}]
        sources = [*(given if text is not None else []), *([NEWS] if news_articles.is_here() else []), OWN]
        values = {**dataclasses.asdict(plan or Plan()), "source": sources[0]["name"]}
        super().__init__(projector, sources=sources, sizes=self._sizes(), plan=values)
        if training_runs(self.folder):
            newest = TrainingRun(training_runs(self.folder)[-1])
            self._take_up(newest)
            self.state = "done" if newest.is_finished else "stopped"

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a training by the fields, in the background; one that runs is stopped and keeps what it has."""
        if self._blame():
            return
        try:
            # What was typed goes on as it is: `Plan` checks types and ranges, and names the field.
            fields: dict[str, Any] = {each.name: self.plan.get(each.name) for each in dataclasses.fields(Plan)}
            plan = Plan(**fields)
        except Exception as error:
            self.show_error(error)
            return
        source = str(self.plan.get("source"))
        self.set_traits(label="", curve=[], said=[])
        self._submit(lambda: begin(next_folder(self.folder), *self._text(source, plan)))

    def go_on(self) -> None:
        """Take up the training that is shown where it stopped."""
        if self.apprentice is None or self.apprentice.is_finished:
            what = "There is no training to go on with." if self.apprentice is None else "This training is finished."
            self.show_error(TextError(what, "A training that was stopped.", "Press Start."))
            return
        folder = self.apprentice.folder
        self._submit(lambda: TrainingRun(folder))

    def stop(self) -> None:
        """Stop after the step that is being taken; nothing is lost."""
        self._background.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being trained for this panel; return whether that is so."""
        return self._background.wait(timeout)

    @property
    def trained(self) -> Path:
        """The folder of the model as it last spoke, for `load`, `Playground` and the other panels.

        Raises
        ------
        TextError
            Nothing has been trained yet.
        """
        if self.apprentice is None or not (self.apprentice.folder / "model.safetensors").is_file():
            raise TextError(
                "Nothing has been trained yet.", "A training that has begun.", "Press Start, or lab.start()."
            )
        return self.apprentice.folder

    @traitlets.validate("plan")
    def _read_plan(self, proposal) -> dict[str, object]:
        return read_fields(proposal["value"], dict.fromkeys(LIMITS, True))

    @traitlets.observe("plan")
    def _explain(self, _change) -> None:
        self._note_problems(self.plan, {"seed": (*LIMITS["seed"], True)})  # the one number that is typed

    # -- what the worker does ------------------------------------------------------------------------------------------

    def _submit(self, make: Callable[[], TrainingRun]) -> None:
        with self._lock:
            self.set_traits(state="preparing", message="", progress={})
            self._background.submit(lambda run, cancel: self._train(run, make, cancel), self.show_error)

    def _train(self, run: int, make: Callable[[], TrainingRun], cancel: threading.Event) -> None:
        """Let an apprentice learn until it is done or told to stop; show it while this run is the panel's."""
        apprentice = None if cancel.is_set() else make()
        self._background.if_current(run, self._take_up, apprentice)
        throttle = Throttle(SHOWN_EVERY_S)
        for progress in apprentice if apprentice and not cancel.is_set() else ():
            if throttle.is_due():
                self._background.if_current(run, self._show_progress, apprentice, progress)
            if cancel.is_set():
                break
        self._background.if_current(run, self._end)

    def _end(self) -> None:
        """Show how it ended; a stop that came after the last step stopped nothing."""
        is_done = self.apprentice is not None and self.apprentice.is_finished
        message = "" if is_done or self._background.is_asked_to_stop else OVERTAKEN
        news = self._training_traits(self.apprentice) if self.apprentice else {}
        self.set_traits(state="done" if is_done else "stopped", message=message, sizes=self._sizes(), **news)

    def _take_up(self, apprentice: TrainingRun | None) -> None:
        if apprentice is not None:
            self.apprentice = apprentice
            self.set_traits(label=f"{apprentice.folder.name} · {apprentice.label}", **self._training_traits(apprentice))

    def _show_progress(self, apprentice: TrainingRun, progress: Progress) -> None:
        speed = {"eta_s": round(progress.eta_s), "tokens_per_s": round(progress.tokens_per_s)}
        self.set_traits(state="training", **self._training_traits(apprentice, speed))

    def _training_traits(self, apprentice: TrainingRun, speed: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Return the traits that follow a training: progress, learning curve and samples."""
        log = apprentice.log
        last = {name: log[-1][name] for name in ("step", "n_steps", "tokens")} if log else {}
        samples = [{"prompt": apprentice.plan.prompt, **dataclasses.asdict(sample)} for sample in apprentice.said]
        return {"progress": {**last, **(speed or {})}, "curve": thinned(apprentice.curve()), "said": samples}

    def _text(self, source: str, plan: Plan) -> tuple[list[str], Plan, list[str], str]:
        """Return documents, plan, held-out documents (none: part of the others) and a name, as `begin` takes them."""
        if source == "news":
            learned, held_out = corpus.news()
            return learned, plan, held_out, NEWS["about"]
        if source == "given" and self._given is not None:
            if isinstance(self._given, str | Path):
                return read_documents(expanded(self._given)), plan, [], Path(self._given).name
            return list(self._given), plan, [], "the text given"
        if source == "own" and self._uploaded:
            name, documents = self._uploaded
            return documents, plan, [], name
        raise TextError("No text is chosen.", "The news articles, or a text file.", "Choose one under Text.")

    def _sizes(self) -> list[dict]:
        """Return the sizes on offer, each with the speed it last had here, or a guess."""
        measured: dict[Any, Any] = {}
        for folder in training_runs(self.folder):
            known = TrainingRun(folder)
            measured |= {known.plan.size: known.log[-1]["tokens_per_s"]} if known.log else {}
        n_cores = limits.thread_limit()
        sizes = []
        for name, shape in SIZES.items():
            n = Plan(size=name).architecture().n_parameters
            about = f"{n / 1e6:.1f} M parameters, {shape['n_layers']} layers"
            speed = measured.get(name, n_cores * GUESS / n)
            sizes.append({"name": name, "about": about, "tokens_per_s": speed, "is_measured": name in measured})
        return sizes

    def static_parts(self) -> list[Part]:
        """Return the plan, the learning curve on text kept apart, and what the model said on its way."""
        plan = ", ".join(f"{name} {value}" for name, value in self.plan.items() if value not in ("", None))
        step, n_steps = self.progress.get("step"), self.progress.get("n_steps")
        parts = facts(plan=plan, training=self.label, progress=f"step {step} of {n_steps}" if step else "")
        rows = [[f"{tokens:,}", kept, bits] for tokens, bits, kept in self.curve if kept is not None]
        if rows:
            heads = ["tokens read", "text kept apart", "text it was reading"]
            parts.append(Table("Bits per character, lower is better", heads, rows))
        for said in self.said:
            label = f"After {said['tokens']:,} tokens, machine-written after the prompt “{said['prompt']}”"
            parts.append(Text(label, said["text"]))
        return parts

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "start", "plan": dict(plan)}:
                self.set_traits(plan={**self.plan, **plan})
                self.start()
            case {"kind": "file", "name": str(name)} if buffers:
                self._receive(name, bytes(buffers[0]))
            case {"kind": "stop" | "go_on" as verb}:
                getattr(self, verb)()

    def _receive(self, name: str, content: bytes) -> None:
        """Read an uploaded file as any other, so that what is wrong with it is told in the same words."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / (Path(name).name or "text.txt")
            replace_file(file, content, "Make room in the folder for temporary files (TMPDIR).")
            self._uploaded = None  # also when the new one turns out to be no text
            self._uploaded = file.name, read_documents(file)
        self.set_traits(plan={**self.plan, "source": "own"}, message="")

    def show_error(self, error: BaseException) -> None:
        """Show what went wrong, and again the training from before."""
        self._take_up(self.apprentice)
        self.set_traits(state="failed", message=error_message(error))


def thinned(curve: list[dict]) -> list[list]:
    """Return a curve's points as [tokens, bits, held out or None], few enough to be sent twice a second.

    They are spread as on a logarithmic axis; every reading of the held-out text stays.
    """
    kept, mark = [], -math.inf
    spread = math.log(max(2, len(curve))) / N_POINTS
    for number, point in enumerate(curve, start=1):
        if point["held_out"] is not None or number == len(curve) or math.log(number) - mark >= spread:
            kept.append([point["tokens"], round(point["bits"], 3), point["held_out"] and round(point["held_out"], 3)])
            mark = math.log(number)
    return kept
