"""Side-by-side panel: one prompt, up to four models, one seed; or blind, with names hidden until all are ranked."""

import dataclasses
import datetime
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from course_utils.classroom.votes import ranking_votes
from course_utils.errors import CourseError, NoSpace, TextError
from course_utils.experiments.readers import preferences
from course_utils.models.client.connection import NoServer
from course_utils.models.inference.base import BaseLanguageModel, TextStream
from course_utils.models.inference.settings import Settings
from course_utils.widgets.base.generation_panel import BUSY, GenerationPanel, run_of, sample_in_words
from course_utils.widgets.base.model_picker import require_name
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.sampling_form import Form, settings_of
from course_utils.widgets.base.share_vote import VoteSharingPanel
from course_utils.widgets.base.static_view import Fact, Part, Text
from course_utils.widgets.base.transcript import Run, settings_line, transcript
from course_utils.widgets.side_by_side.interleave import InterleavedStreams, LiveColumns
from course_utils.widgets.side_by_side.models import LETTERS, ModelSelection, OneModel, facts, shuffled


@dataclasses.dataclass(frozen=True)
class ComparisonRequest:
    """Request to all models of a comparison: prompt, settings, and whether the names are hidden."""

    prompt: str
    settings: Settings
    is_blind: bool


class SideBySide(VoteSharingPanel, Form, GenerationPanel):
    """A panel where several models answer one prompt at once; it can be driven without a browser too.

    Parameters
    ----------
    models : sequence of str, Path or BaseLanguageModel, optional
        One to four: names on the shelf, checkpoints' folders or loaded models. Left out: the pocket family, else what
        is on this machine.
    prompt : str
    settings : Settings, optional
        The same for all, the seed too.
    blind : bool
        Hide who wrote what and shuffle the columns until all are ranked. The columns then also grow at one pace.
    record : str or Path, optional
        A JSON Lines file. Its rankings are read, and every new one is added at once.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    chosen : list of str
        The models' names.
    columns : list of dict
        What is shown of each column: its letter and, unless hidden, name, n_parameters, file_mb, released, place.
    samples, generations, state, message, transcript
        As of any `GenerationPanel`; one sample a column.
    rankings : list of dict
        See `course_utils.experiments.readers.preferences`.

    Examples
    --------
    ::

        panel = SideBySide(prompt="Once upon a time", blind=True, record="rankings.jsonl")
        panel.generate()
        panel.wait()
        panel.rank("CADB")  # best first
        panel.tally()
    """

    _esm, _css = browser_bundle("side_by_side")
    panel_title = "Side by side"
    class_demo, class_words = (
        "sizes",
        "of your latest ranking, the models' names: first, and winner of neighbours in size",
    )

    chosen: traitlets.List[Any] = traitlets.List().tag(sync=True)
    columns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    blind = traitlets.Bool(False).tag(sync=True)
    standing = traitlets.Unicode().tag(sync=True)
    places: traitlets.List[Any] = traitlets.List().tag(
        sync=True
    )  # a ranking that is not recorded yet: by column, from 0; None: no place

    def __init__(
        self,
        models: Sequence[OneModel] | OneModel | None = None,
        prompt: str = "",
        settings: Settings | None = None,
        blind: bool = False,
        record: str | Path | None = None,
        projector: bool = False,
    ) -> None:
        self.record = Path(record) if record is not None else None
        self.rankings = preferences.read(self.record) if self.record else []
        self._model_selection = ModelSelection(models)
        self._request = ComparisonRequest("", Settings(), blind)  # the newest
        self._streams = InterleavedStreams([])
        self._unsaved: list[Any] = []
        self._shown: list[BaseLanguageModel] = []  # in the order of the columns
        self._kept_back: list[Run] = []  # of the transcript, until the names are shown
        values = dataclasses.asdict(settings or Settings())
        standing = preferences.in_words(self.rankings)
        super().__init__(None, prompt=prompt, values=values, blind=blind, standing=standing, projector=projector)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def generate(self) -> None:
        """Let every model write from the prompt, in the background; texts still being written are stopped."""
        if self._blame():
            return
        try:
            request = ComparisonRequest(self.prompt, settings_of(self.values), self.blind)
            if not self._model_selection.names and not self.waiting:
                self._choose_first()
            if self._model_selection.names:
                self._model_selection.require(2 if request.is_blind else 1)
        except NoServer as error:
            self.show_error(error)  # which waits for it; what was asked for goes on when it is back
        except CourseError as error:
            self.show_error(error)
            return
        with self._lock:
            run = self.run + 1
            self._ask(lambda models, cancel: self._begin_all(run, request, models, cancel), is_new=True)

    @property
    def is_hidden(self) -> bool:
        """Whether texts are shown whose models are not."""
        return bool(self.columns) and "name" not in self.columns[0]

    @property
    def can_rank(self) -> bool:
        """Whether hidden texts wait to be ranked: written to their end, or stopped when each had begun."""
        written = [sample["text"] or sample["ended"] == "end of text" for sample in self.samples]
        return self.is_hidden and self.state in ("done", "stopped") and len(written) > 0 and all(written)

    def rank(self, order: str | Sequence[str]) -> None:
        """Record which text is preferred, and show the names.

        Parameters
        ----------
        order : str or sequence of str
            The columns' letters, the best first, as in ``"CADB"``. There are no ties: whoever hesitates has to choose,
            and over several rankings chance evens out.

        Raises
        ------
        TextError
            If nothing waits to be ranked, or the order does not have every letter once.
        NoSpace
            If the record cannot be written; the ranking is in `rankings` all the same.
        """
        with self._lock:
            self._require_order(order)
            ranked = [self._shown[LETTERS.index(letter)] for letter in order]
            ranking = self._ranking([model.name for model in ranked])
            self.rankings.append(ranking)
            self._runs += self._kept_back
            self.set_traits(
                columns=[self._column(i, True, ranked.index(model) + 1) for i, model in enumerate(self._shown)],
                timing={**self.timing, "paces": self._streams.paces()},
                line=self._names_line(),
                transcript=transcript(self._runs),
                standing=preferences.in_words(self.rankings),
            )
        self._give(ranking_votes(ranking["ranking"], ranking["n_parameters"]))
        if self.record:
            self._unsaved.append(ranking)
            while self._unsaved:  # also what a full disk refused before
                preferences.append(self.record, self._unsaved[0])
                self._unsaved.pop(0)

    def show_error(self, error: BaseException, run: int | None = None) -> None:
        """Show an error; a ranking counts even when its file could not be written."""
        if isinstance(error, NoSpace) and self.state not in BUSY:  # the ranking counts; only its file is missing
            self._show_not_saved(error)
            self.set_traits(state="failed")
        else:
            super().show_error(error, run)

    def tally(self) -> pd.DataFrame:
        """Return mean places, and how often each size beat the one below it; see `preferences.tally`."""
        return preferences.tally(self.rankings)

    def static_parts(self) -> list[Part]:
        """Return prompt and texts; models' names only where the reader may know them."""
        parts = self._asked_parts()
        for column, sample in zip(self.columns, self.samples, strict=False):
            name = column.get("name") or f"Text {column['letter']}, name hidden until all are ranked"
            place = f", your place {column['place']}" if column.get("place") else ""
            parts.append(Text(f"{name}, machine-written ({sample_in_words(sample)}{place})", sample["text"]))
        return [*parts, *([Fact("Rankings", self.standing)] if self.standing else [])]

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "choose", "models": list(names)}:
                for name in names:
                    require_name(name)
                self._choose_models(names)
                self._prepare()
            case {"kind": "generate", "prompt": str(prompt), "values": dict(values), "blind": bool(blind)}:
                self.set_traits(prompt=prompt, values=values, blind=blind)
                self.generate()
            case {"kind": "rank", "order": list(order)}:
                self.rank(order)
            case {"kind": "places", "run": int(run), "places": list(places)} if run == self.run:
                if all(place is None or place in range(len(self.columns)) for place in places):
                    self.set_traits(places=places)
            case _:
                super()._handle_message(content, buffers)

    # -- who speaks ----------------------------------------------------------------------------------------------------

    def _choose_first(self) -> None:
        self._choose_models(None)

    def _choose_models(self, given: Sequence[OneModel] | None) -> None:
        self._model_selection.choose(given)
        self.set_traits(chosen=self._model_selection.names, model=", ".join(self._model_selection.names))

    def _choices(self) -> list[dict[str, str]]:
        return self._model_selection.choices()

    def _server(self) -> str:
        return self._model_selection.server

    def _is_ready(self) -> bool:
        return self._model_selection.is_ready()

    def _load(self) -> list[BaseLanguageModel]:
        return self._model_selection.load()

    # -- what is written -----------------------------------------------------------------------------------------------

    def _begin(self, state: str, is_new: bool) -> None:
        self._shown, self._kept_back, self._streams = [], [], InterleavedStreams([])
        super()._begin(state, is_new)
        self.set_traits(columns=[], places=[])

    def _new_live(self, run: int) -> LiveColumns:
        return LiveColumns(run, self.send)

    def _begin_all(
        self, run: int, request: ComparisonRequest, models: Sequence[BaseLanguageModel], cancel: threading.Event
    ) -> InterleavedStreams:
        """Give every model its column; who has which is known here only, while it is blind."""
        settings = request.settings
        order_key = f"{settings.seed} {run} {request.prompt}"
        shown = shuffled(models, order_key) if request.is_blind else list(models)
        each = [model.stream(request.prompt, settings, 1, cancel) for model in shown]
        streams = InterleavedStreams(each, at_equal_pace=request.is_blind)
        with self._lock:
            if run == self.run:
                self._request, self._shown, self._streams = request, shown, streams
                if isinstance(self._live, LiveColumns) and not request.is_blind:
                    self._live.streams = streams  # its speeds are shown
                self.set_traits(columns=[self._column(i, not request.is_blind) for i in range(len(shown))])
        return streams

    def _line(self, models: Sequence[BaseLanguageModel], stream: TextStream) -> str:
        return settings_line("names hidden", stream.generations()[:1]) if self.is_hidden else self._names_line()

    def _names_line(self) -> str:
        names = ", ".join(f"{model.name} ({model.precision})" for model in self._shown)
        return settings_line(names, self._streams.generations()[:1])

    def _keep(self, models: Sequence[BaseLanguageModel], is_new: bool) -> None:
        pairs = zip(self._shown, self.generations, strict=True)
        runs = [run_of(model, [generation]) for model, generation in pairs]
        if self.is_hidden:
            self._kept_back = runs
        else:
            self._runs += runs

    def _column(self, i: int, is_told: bool, place: int = 0) -> dict:
        """Return all that the browser knows about a column."""
        return {"letter": LETTERS[i]} | (facts(self._shown[i]) | {"place": place} if is_told else {})

    # -- ranking -------------------------------------------------------------------------------------------------------

    def _require_order(self, order: str | Sequence[str]) -> None:
        if not self.can_rank:
            raise TextError(
                "There is nothing to rank.",
                "Texts that were written blind, and are still without names.",
                "Switch Blind on, press Generate, and wait until the texts are written.",
            )
        letters = LETTERS[: len(self._shown)]
        if sorted(map(str, order)) != list(letters):
            expected = f"Each of the letters {', '.join(letters)} once, the best first."
            raise TextError(f"The order is {order!r}.", expected, f'For example "{letters[::-1]}".')

    def _ranking(self, best_first: list[str]) -> dict:
        """Return what is recorded."""
        return {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "prompt": self._request.prompt,
            "settings": dataclasses.asdict(self._request.settings),
            "seed": self._request.settings.seed,
            "shown": [model.name for model in self._shown],
            "ranking": best_first,
            "models": {each.name: each.weights_sha256 for each in self._shown},
            "precisions": {each.name: each.precision for each in self._shown},
            "n_parameters": {each.name: each.n_parameters for each in self._shown},
        }
