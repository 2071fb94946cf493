"""Detector panel: set up a detection trial, run it, compare it, and place a text of your own."""

import base64
import dataclasses
import math
import threading
import time
from typing import Any

import traitlets

from course_utils.data import news_articles
from course_utils.errors import CourseError, SettingsError
from course_utils.experiments.core.result import Result
from course_utils.experiments.detection.detectors import DETECTORS
from course_utils.experiments.detection.roc import MIN_HUMAN_TEXTS
from course_utils.experiments.detection.trial import (
    LIMITS,
    Trial,
    beginning,
    judge_pairs,
    place_text,
    run_trial,
    worth,
)
from course_utils.experiments.texts.pairs import PairedTexts
from course_utils.models import loading
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.registry.catalogue import POCKET
from course_utils.widgets.base.experiment_panel import ExperimentPanel, Show, Tell
from course_utils.widgets.base.numbers import NumberFields, number_in, problem_of, read_fields
from course_utils.widgets.base.panel import browser_bundle, error_message
from course_utils.widgets.base.static_view import Part, Table, facts

ONLY_SHOWN = (
    "The detectors of a recording are not here: they cannot read another text. Press Run first, then place yours."
)
LARGEST_ONE_IN = 1_000_000
REMEMBERED = 0.4  # a run so much faster than foretold found its texts written; it tells no pace
NUMBERS = ("n_pairs", "n_words", "temperature", "top_k", "top_p", "seed")


class DetectorBench(NumberFields, ExperimentPanel):
    """A panel to try detectors of machine-written news; it can be driven without a browser too.

    Parameters
    ----------
    generator : str, Path or BaseLanguageModel, optional
        Who writes at first; the largest of the pocket family, else the best on this machine, when left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    values : dict
        What stands in the fields: the names of a `Trial`. Change them with `compose`.
    one_in : int
        The base rate: one in so many texts is a machine's.
    state : str
        ``idle``, ``loading``, ``working``, ``done``, ``stopped`` or ``failed``; `message` then says why.
    result : Result or None
        Of the last run; see `course_utils.experiments.detection.compare.compare_detectors`.
    results : list of Result
        Of all runs of this panel.
    judgement : dict
        What the detectors say of a text of one's own.

    Examples
    --------
    ::

        panel = DetectorBench()
        panel.compose(top_k=0, top_p=0.9, n_words=40)
        panel.run()
        panel.wait()
        panel.judge("A text of at least forty words …")
    """

    _esm, _css = browser_bundle("detector_bench")
    panel_title = "Detector bench"
    # What a flag is worth is a sum with the numbers that are shown; a text of one's own is refused in words.
    allowed_during_playback = frozenset({"base", "one_in", "judge"})

    values = traitlets.Dict().tag(sync=True)
    limits = traitlets.Dict(LIMITS).tag(sync=True)
    estimate = traitlets.Unicode().tag(sync=True)
    picture = traitlets.Dict().tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    runs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    one_in = traitlets.Int(100).tag(sync=True)
    judgement = traitlets.Dict().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)  # with a text of one's own; other errors stand in `message`

    def __init__(self, generator=None, projector: bool = False) -> None:
        self.results: list[Result] = []
        self._trial = Trial()  # of the last run
        self._reader_name = ""
        self._pace: float | None = None
        super().__init__(generator, projector=projector)
        self.values = {"generator": "", "reader": "", **dataclasses.asdict(Trial()), "kinds": list(DETECTORS)}
        self._take_first()
        self._offer(self.values["generator"])

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def compose(self, **values) -> None:
        """Change some of the fields: generator, reader (empty: the generator itself), and those of a `Trial`.

        Raises
        ------
        SettingsError
            No such field.
        """
        if unknown := set(values) - set(self.values):
            known = f"One of {', '.join(self.values)}."
            raise SettingsError(f"There is no field {', '.join(sorted(unknown))}.", known, "compose(n_words=40)")
        self.values = {**self.values, **values}

    def run(self, pairs: PairedTexts | None = None) -> None:
        """Let the generator write and the detectors learn and judge, in the background.

        Parameters
        ----------
        pairs : PairedTexts, optional
            Texts that were written before: then nothing is written, and generator, sampling, number of words and of
            pairs are theirs.
        """
        if self._blame():
            return
        try:
            trial = self._trial_in_fields()
        except CourseError as error:
            self.show_error(error)
            return
        writer = pairs.generator if pairs else self.values["generator"]
        reader_name = self.values["reader"] or writer
        self.set_traits(judgement={}, problem="")

        def work(tell: Tell, cancel: threading.Event) -> Show:
            if pairs is None:
                news_articles.articles("held_out")  # before a model is loaded: they may not be here
            reader, begun = self._load(reader_name) if trial.needs_reader else None, time.monotonic()
            if pairs is None:
                result = run_trial(self._load(writer), reader, tell, cancel, **dataclasses.asdict(trial))
            else:
                result = judge_pairs(trial, pairs, reader, tell, cancel)
            pace = (time.monotonic() - begun) / sum(self._seconds(trial, writer, reader_name))
            picture = result.picture()
            source = f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"
            if pairs is None and pace > REMEMBERED:
                self._pace = pace
            return lambda: self._take(trial, reader_name, result, {"src": source, "alt": picture.alt})

        self._submit(work)

    def judge(self, text: str) -> None:
        """Let the detectors of the last run score a text, in the background; only its first words count."""
        if self.playback is not None:
            self.set_traits(problem=ONLY_SHOWN)
            return
        try:
            result, trial, name = self._required(), self._trial, self._reader_name
            beginning(result, text)
        except CourseError as error:
            self.set_traits(problem=error_message(error), judgement={})
            return

        def work(tell: Tell, cancel: threading.Event) -> Show:
            tell(0.0, "the detectors look at your text")
            reader = self._load(name) if trial.needs_reader else None
            try:
                places = place_text(trial, result, text, reader, cancel)
            except CourseError as error:
                problem = error_message(error)
                return lambda: self.set_traits(problem=problem, judgement={})
            return lambda: self._place(places, result.settings["sets"][0]["n_words"], len(text.split()))

        self._submit(work)

    def _take_first(self) -> None:
        if self.values["generator"]:
            return
        try:
            name = self._model_picker.first_name() if self._given is not None else loading.family(len(POCKET))[-1]
            self.compose(generator=name)
        except CourseError as error:
            self.show_error(error)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _take(self, trial: Trial, reader_name: str, result: Result, picture: dict[str, str]) -> None:
        self.result, self._trial, self._reader_name = result, trial, reader_name
        self.results.append(result)
        rows, made = [_told(row) for row in result.rows.to_dict("records")], result.settings["sets"][0]
        run = {"generator": made["generator"], "sampling": result.settings["sampling"], "n_words": made["n_words"]}
        run |= {"n_test": int(result.rows["n_human"][0]), "n_left_out": made["n_left_out"]}
        run |= {"reader": reader_name if trial.needs_reader else "–"}
        run |= dict(zip(trial.kinds, (row["auc"] for row in rows), strict=True))
        self.set_traits(rows=rows, finding=result.finding, picture=picture, runs=[*self.runs, run])
        self._foretell(None)

    def _place(self, places: list[dict], n_words: int, n_typed: int) -> None:
        self.set_traits(
            judgement={"n_words": n_words, "n_typed": n_typed, "rows": [self._with_worth(each) for each in places]}
        )

    def _with_worth(self, place: dict) -> dict:
        """Add what a flag is worth, in words; where no human text scores as high, only the worst case is known."""
        of, flag = (
            len(place["human"]),
            f"If 1 in {self.one_in:,} texts is a machine's, a flag at this score or above is",
        )
        right, worst, best = worth(place["n_machine"], of, place["n_human"], of, self.one_in)
        words = (
            f"{flag} right {_percent(right)} of the time; from {_percent(worst)} to {_percent(best)}, for {of} human "
        )
        words += f"and {of} machine texts leave that much open."
        if not place["n_human"]:
            words = f"{flag} right at least {_percent(worst)} of the time: {of} human texts cannot show more."
        if math.isnan(right):
            words = "No test text of either kind scores as high: this trial cannot say what a flag here is worth."
        return {**place, "worth": words}

    def _weigh(self, typed: object) -> None:
        """Take a base rate that was typed, or say what is wrong with it."""
        problem = problem_of("one_in", typed, 1, LARGEST_ONE_IN, is_whole=True)
        if problem:
            self.set_traits(problem=problem)
        else:
            self.set_traits(one_in=number_in(typed, is_whole=True), problem="")

    @traitlets.validate("one_in")
    def _require_one_in(self, proposal) -> int:
        if not 1 <= proposal["value"] <= LARGEST_ONE_IN:
            expected = f"A whole number from 1 to {LARGEST_ONE_IN:,}."
            raise SettingsError(f"one_in is {proposal['value']}.", expected, "one_in=100 means one in a hundred.")
        return proposal["value"]

    @traitlets.observe("one_in")
    def _weigh_again(self, _change) -> None:
        if rows := self.judgement.get("rows"):
            self.set_traits(judgement={**self.judgement, "rows": [self._with_worth(each) for each in rows]})

    @traitlets.validate("values")
    def _read_values(self, proposal) -> dict[str, object]:
        return read_fields(proposal["value"], {name: LIMITS[name][2] for name in NUMBERS})

    @traitlets.observe("values")
    def _foretell(self, _change) -> None:
        """Say what a trial will take and what it cannot measure, or which field is wrong."""
        self._note_problems(self.values, {name: LIMITS[name] for name in NUMBERS})
        if self.problems:
            self.estimate = " ".join(self.problems.values())
            return
        try:
            trial = self._trial_in_fields()
        except CourseError as error:
            self.estimate = f"{error.what} {error.expected}"
            return
        writer = self.values["generator"]
        seconds = (self._pace or 1.0) * sum(self._seconds(trial, writer, self.values["reader"] or writer))
        where = "judged by the last run" if self._pace else "on a laptop's two cores"
        long = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
        few = f"too few for the rate at 1 % false positives, which needs {MIN_HUMAN_TEXTS}"
        enough = (
            f"enough for the rate at 1 % false positives, unless more than {trial.n_pairs // 2 - MIN_HUMAN_TEXTS} are "
        )
        enough += "left out for their length"
        n_test = trial.n_pairs // 2
        self.estimate = (
            f"About {long}, {where}; what was written before is not written again. "
            f"{n_test} human texts to measure on: {few if n_test < MIN_HUMAN_TEXTS else enough}."
        )

    def _trial_in_fields(self) -> Trial:
        return Trial(self.values["kinds"], *(self.values[name] for name in NUMBERS))

    def _seconds(self, trial: Trial, writer: str, reader: str) -> tuple[float, float]:
        return trial.seconds(self._n_parameters(writer), self._n_parameters(reader))

    def _n_parameters(self, name: str) -> int:
        known = loading.sizes(self._model_picker.server)
        given = {self._given.name: self._given.n_parameters} if isinstance(self._given, BaseLanguageModel) else {}
        return {**known, **given}.get(name, 0)

    def static_parts(self) -> list[Part]:
        """Return the composition, the results of all runs, and where a text of one's own was placed."""
        fields = ", ".join(f"{name} {value}" for name, value in self.values.items())
        parts = [*facts(fields=fields, estimate=self.estimate), *super().static_parts()]
        if self.rows:
            rows = [[row["detector"], row["auc"], row["caught"]] for row in self.rows]
            heads = ["detector", "AUC (95 % interval)", "caught at 1 % false positives"]
            parts.append(Table("The last run", heads, rows))
        if self.runs:
            heads = ["generator", "sampling", "n_words", "n_test", "n_left_out", "reader", *DETECTORS]
            rows = [[run.get(name) for name in heads] for run in self.runs]
            parts.append(Table("All runs of this panel", [name.replace("_", " ") for name in heads], rows))
        if self.judgement:
            rows = [[row["detector"], row["score"], row["worth"]] for row in self.judgement.get("rows", ())]
            parts.append(Table("A text of one's own", ["detector", "score", "what a flag is worth"], rows))
        return [*parts, *facts(problem=self.problem)]

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "compose", "values": dict(values)}:
                self.compose(**values)
            case {"kind": "run", "values": dict(values)}:
                self.compose(**values)
                self.run()
            case {"kind": "judge", "text": str(text)}:
                self.judge(text)
            case {"kind": "base", "one_in": one_in}:
                self._weigh(one_in)
            case _:
                super()._handle_message(content, buffers)


def _told(row: dict) -> dict[str, str]:
    """Return a row in the words of the table."""
    few = f"not measurable below {MIN_HUMAN_TEXTS} human test texts ({row['n_human']} here)"
    caught = few if math.isnan(row["caught"]) else _share(row["caught"], row["caught_low"], row["caught_high"])
    auc = f"{row['auc']:.2f} ({row['auc_low']:.2f} to {row['auc_high']:.2f})"
    return {"detector": row["detector"], "auc": auc, "caught": caught}


def _share(share: float, low: float, high: float) -> str:
    return f"{100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
