"""Blind-test panel: one text at a time, human or machine? The answers come at the end."""

import datetime
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from course_utils.classroom.votes import score_vote
from course_utils.core.files import replace_file
from course_utils.errors import DamagedFile, NoSpace, SettingsError, TextError
from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.core.result import Result
from course_utils.experiments.core.statistics import Agreement, wilson
from course_utils.experiments.readers import credibility, preferences
from course_utils.experiments.readers.blind_items import HUMAN, Item, make_items
from course_utils.models.inference.settings import Settings
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.result_panel import ResultPanel, row, share_row
from course_utils.widgets.base.static_view import Fact, Part, Table, Text

PHASES = ("start", "reading", "done")
CONFIDENCES = {1: "a guess", 2: "fairly sure", 3: "sure"}
LARGEST_HALF = 30
JUDGED, RATED = "judged", "rated"
HOW_RATED = (
    "Index: three ratings of 1 to 4, summed and rescaled to 1 to 10 (Solaiman et al. 2019, p. 64). OpenAI asked other "
    "readers about other texts."
)

LONGEST_RATER = 20  # characters: a letter is enough, a name is not wanted
Told = tuple[Result, list[int], dict[str, Any]]  # as `ResultPanel._add` takes them


class BlindTest(ResultPanel):
    """A panel that asks who wrote a text, and tells nothing until all are judged; it can be driven without a browser.

    Parameters
    ----------
    items : sequence of Item, optional
        As `blind_items.make_items` returns them. Left out: made from the held-out news when `start` is called.
    model : str, Path or BaseLanguageModel, optional
        Who writes the machine's half; the best model on this machine when left out.
    n_each : int
        Texts by people, and as many by the machine.
    n_words : int
        That each text has after the article's first sentence.
    rater : str
        Who answers: a letter, no name.
    record : str or Path, optional
        A JSON Lines file. Its answers are read, and each new one is added at once; a test that was interrupted goes on.
    seed : int
        Of articles, order and sampling.
    ratings : bool
        Ask for the three ratings of Kreps and McCain too: believable, accurate and clear, each 1 to 4.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    item : dict
        What a reader may see of the text that waits: id, headline, text; empty when none does.
    n_left : int
        Texts that wait.
    result, credibility : Result or None
        At the end: what `credibility.judge` and `credibility.rate` make of all answers to these texts.

    Raises
    ------
    DamagedFile
        The record is none of a blind test.
    SettingsError, TextError
        n_each or n_words is out of its range; rater is no letter.

    Examples
    --------
    >>> items = [Item(f"text {i}", "Rain", "It rained …", ["human", "a model"][i], "", i) for i in range(2)]
    >>> game = BlindTest(items)
    >>> game.item
    {'id': 'text 0', 'headline': 'Rain', 'text': 'It rained …'}
    >>> game.answer("human")
    >>> game.answer("human")
    >>> game.result.rows[["source", "n", "called_human"]].values.tolist()
    [['human', 1, 1.0], ['a model', 1, 1.0], ['all', 2, 1.0]]
    """

    _esm, _css = browser_bundle("blind_test")
    panel_title = "Human or machine?"
    class_demo = "human_or_machine"
    class_words = "how many texts of people's and of the machine's you have judged, and how many of each rightly"

    phase = traitlets.Enum(PHASES, "start").tag(sync=True)
    item = traitlets.Dict().tag(sync=True)
    n_items = traitlets.Int(0).tag(sync=True)
    n_left = traitlets.Int(0).tag(sync=True)
    rater = traitlets.Unicode().tag(sync=True)
    ratings = traitlets.Bool(False).tag(sync=True)
    rated = traitlets.Dict().tag(sync=True)
    half = traitlets.Dict().tag(sync=True)  # what is given of an answer that is not finished: item, ratings, confidence
    n_each = traitlets.Int(6).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    n_begun = traitlets.Int(0).tag(sync=True)
    can_make = traitlets.Bool(True).tag(sync=True)
    record_name = traitlets.Unicode().tag(sync=True)
    scales = traitlets.List(list(credibility.SCALES)).tag(sync=True)
    confidences = traitlets.List([list(each) for each in CONFIDENCES.items()]).tag(sync=True)

    def __init__(
        self,
        items: Sequence[Item] | None = None,
        model=None,
        n_each: int = 6,
        n_words: int = 50,
        rater: str = "me",
        record: str | Path | None = None,
        seed: int = 0,
        ratings: bool = False,
        projector: bool = False,
    ) -> None:
        _require_number("n_each", n_each, LARGEST_HALF)
        _require_number("n_words", n_words, 400)
        self._items, self._n_words, self._first_seed = list(items or []), n_words, seed
        self._record = Path(record) if record is not None else None
        self._unsaved: list[Any] = []
        name = self._record.name if self._record else ""
        self._lines = read_answers(self._record) if self._record else []
        traits = {"rater": rater_letter(rater), "ratings": ratings, "n_each": n_each, "seed": seed}
        super().__init__(model, can_make=items is None, record_name=name, projector=projector, **traits)
        if items is None:
            self._take_first()
            self._look_up()
        else:
            self._take(self._items)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the texts, in the background, then show the first that waits."""
        self._require_makeable()
        name, n, seed, n_words = (
            self.model or self._model_picker.first_name(),
            2 * self.n_each,
            self.seed,
            self._n_words,
        )
        settings = Settings(max_new_tokens=2 * n_words)

        def work(tell, cancel):
            items = make_items(self._load(name), n, seed, settings, n_words, tell, cancel)
            return lambda: self._take(items)

        self._submit(work)

    def rate(self, believable: int, accurate: int, clear: int) -> None:
        """Rate the text that waits, each from 1 to 4, before saying who wrote it.

        Raises
        ------
        SettingsError
            A rating out of its range.
        TextError
            No text waits.
        """
        credibility.index(believable, accurate, clear)
        self._require_waiting()
        rated = dict(zip(credibility.SCALES, (believable, accurate, clear), strict=True))
        self.set_traits(rated=rated, message="")
        self.keep_half(rated, self.half.get("confidence"))

    def keep_half(self, ratings: dict[str, int], confidence: int | None = None) -> None:
        """Keep what is given of an answer that is not finished, also beside the record; a test that goes on shows it.

        Parameters
        ----------
        ratings : dict of str to int
            By scale; scales that are not rated yet are left out.
        confidence : {1, 2, 3}, optional

        Raises
        ------
        SettingsError
            A rating or confidence that is none.
        NoSpace
            It cannot be written; the panel holds it all the same.
        """
        scales, values = set(ratings) - set(credibility.SCALES), [*ratings.values(), confidence]
        if (
            scales
            or any(isinstance(each, bool) or each not in (None, 1, 2, 3, 4) for each in values)
            or confidence == 4
        ):
            raise SettingsError(f"The ratings are {ratings}.", "Each from 1 to 4, by scale.", "game.rate(1, 2, 3)")
        if not self.item:
            return
        half = {"item": self.item["id"], "ratings": dict(ratings), "confidence": confidence}
        if half != self.half:
            self.set_traits(half=half)
            self._write_half({"round": self._round, "rater": self.rater, **half})

    def answer(self, answer: str, confidence: int | None = None) -> None:
        """Say who wrote the text that waits; it is kept at once, and the next one is shown.

        Parameters
        ----------
        answer : {"human", "machine"}
        confidence : {1, 2, 3}, optional
            A guess, fairly sure, sure.

        Raises
        ------
        SettingsError
            No such answer or confidence.
        TextError
            No text waits, or its ratings are missing.
        NoSpace
            The record cannot be written; the answer counts all the same.
        """
        with self._lock:
            self._require_answer(answer, confidence)
            line = self._line() | {"item": self.item["id"], "rater": self.rater, "answer": answer}
            line |= ({} if confidence is None else {"confidence": confidence}) | self.rated
            self._lines.append(line)
            self._advance()
        self._give(score_votes(self._items, self._of_round(), self.rater))
        if self._record:
            self._unsaved.append(line)
            while self._unsaved:  # also what a full disk refused before
                preferences.append(self._record, self._unsaved[0])
                self._unsaved.pop(0)
            self._half_file(self._record).unlink(missing_ok=True)

    def play_as(self, rater: str) -> None:
        """Let somebody else judge the same texts, blind again: two raters have an agreement."""
        self.set_traits(rater=rater_letter(rater), rated={})
        if self._items:
            self._advance()
        else:
            self._look_up()

    def new_round(self, seed: int | None = None) -> None:
        """Begin again with other texts: those of the next seed, or of the seed given."""
        self._require_makeable()
        self._items = []
        self.set_traits(seed=self.seed + 1 if seed is None else seed, outcomes={}, item={}, phase="start", n_begun=0)
        self.start()

    @property
    def credibility(self) -> Result | None:
        """The Result of the ratings, at the end."""
        return self.results.get(RATED)

    def static_parts(self) -> list[Part]:
        """Return the text that waits; who wrote the texts only when all are judged."""
        n_judged = self.n_items - self.n_left
        parts: list[Part] = [Fact("Rater", self.rater), Fact("Judged", f"{n_judged} of {self.n_items} texts")]
        parts += super().static_parts()
        if self.item:
            parts.append(Text("The text that waits", f"{self.item['headline']}\n\n{self.item['text']}"))
            parts += [Fact(f"Rated {scale}", value) for scale, value in self.half.get("ratings", {}).items()]
        told = self.outcomes.get(JUDGED, {})
        parts += [Fact("", words) for words in told.get("agreed", ())]
        if told:
            rows = [[each["headline"], each["answer"], each["source"]] for each in told["texts"]]
            parts.append(Table("The texts, and who wrote them", ["headline", "you said", "it was"], rows))
        return parts

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _take(self, items: Sequence[Item]) -> None:
        self._items = list(items)
        # By what is shown and not by who wrote it: a hash of the sources could be looked up by trying both.
        self._round = sha256_of_values([list(item.shown().values()) for item in items])[:16]
        self._advance()

    def _advance(self) -> None:
        """Show the next text that this rater has not judged; after the last, who wrote them."""
        answered = {line["item"] for line in self._of_round() if line["rater"] == self.rater}
        left = [item.shown() for item in self._items if item.id not in answered]
        self.results, self.result = {}, None
        phase = "reading" if left else "done"
        item = left[0] if left else {}
        now: dict[str, Any] = {"item": item, "n_left": len(left), "n_items": len(self._items), "rated": {}}
        now |= self._half_of(item)
        self.set_traits(state="done", message="", kept="", finding="", outcomes={}, phase=phase, **now)
        if not left:
            self._finish()

    def _finish(self) -> None:
        """Tell who wrote what, and what comes of all answers in the record to these texts."""
        lines = self._of_round()
        if told := rated_outcome(self._items, lines):
            found, places, shown = told
            self._add(RATED, found, places, **shown)
        found, places, shown = judged_outcome(self._items, lines, self.rater)
        self._add(JUDGED, found, places, **shown)

    # -- an answer that is not finished -------------------------------------------------------------------------------

    @staticmethod
    def _half_file(record: Path) -> Path:
        return record.with_name(f".{record.name}.unfinished.json")

    def _write_half(self, half: dict[str, object]) -> None:
        if self._record:
            content = json.dumps(half, ensure_ascii=False)
            replace_file(self._half_file(self._record), content, "Make room, or name a file in another folder.")

    def _half_of(self, item: dict) -> dict[str, object]:
        """Return the traits that hold what was given of an answer to this text before, if this rater gave any."""
        nothing: dict[str, object] = {"half": {}, "rated": {}}
        if not (item and self._record and self._half_file(self._record).exists()):
            return nothing
        try:
            half = json.loads(self._half_file(self._record).read_text("utf-8"))
            is_same = (half["round"], half["rater"], half["item"]) == (self._round, self.rater, item["id"])
            ratings = {name: int(half["ratings"][name]) for name in credibility.SCALES if name in half["ratings"]}
        except (OSError, ValueError, KeyError, TypeError):  # an unfinished answer is given again in a moment
            return nothing
        if not is_same:
            return nothing
        told = {"item": item["id"], "ratings": ratings, "confidence": half.get("confidence")}
        return {"half": told, "rated": ratings if len(ratings) == len(credibility.SCALES) else {}}

    # -- the record ----------------------------------------------------------------------------------------------------

    def _line(self) -> dict[str, object]:
        """Return what every answer carries beside itself: when, to which texts, and how to make those again."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return {"time": now, "round": self._round} | ({"made": self._asked()} if self.can_make else {})

    def _asked(self) -> dict[str, object]:
        asked = {"model": self.model, "n_each": self.n_each, "n_words": self._n_words, "first_seed": self._first_seed}
        return asked | {"seed": self.seed}

    def _of_round(self) -> list[dict]:
        """Return the answers to these texts, each rater's first about each."""
        lines = [line for line in self._lines if line.get("round") == self._round]
        return list({(line["rater"], line["item"]): line for line in reversed(lines)}.values())[::-1]

    def _look_up(self) -> None:
        """Take up the round that this rater was in, where the record holds one that was begun with the same cell."""
        made = [line["made"] for line in self._lines if line["rater"] == self.rater and "made" in line]
        alike = [asked["seed"] for asked in made if asked == self._asked() | {"seed": asked.get("seed")}]
        seed = alike[-1] if alike else self.seed
        self.set_traits(seed=seed, n_begun=alike.count(seed))

    # -- what cannot be ------------------------------------------------------------------------------------------------

    def _require_makeable(self) -> None:
        if not self.can_make:
            told = "These texts were given, so no others can be made."
            raise TextError(told, "A test that makes its own.", "BlindTest(), without items.")

    def _require_waiting(self) -> None:
        if not self.item:
            told = "All texts are judged." if self.phase == "done" else "There is no text yet."
            raise TextError(told, "A text that waits.", "game.start(), then game.wait().")

    def _require_answer(self, answer: str, confidence: int | None) -> None:
        self._require_waiting()
        if answer not in credibility.ANSWERS:
            raise SettingsError(f"The answer is {answer!r}.", '"human" or "machine".', 'game.answer("human")')
        if confidence is not None and (isinstance(confidence, bool) or confidence not in CONFIDENCES):
            raise SettingsError(f"confidence is {confidence!r}.", "1, 2 or 3.", 'game.answer("human", 2)')
        if self.ratings and not self.rated:
            expected = "Three ratings before the answer: who has taken a side rates by it."
            raise TextError("The text is not rated yet.", expected, "game.rate(believable, accurate, clear)")

    def show_error(self, error: BaseException) -> None:
        """Show an error; one of the disk does not end a running job or lose an answer."""
        if isinstance(error, NoSpace) and self._background.is_running:
            super().show_error(error)
        elif isinstance(error, NoSpace):  # the answer counts and is in the panel; the test goes on
            self._show_not_saved(error)
        else:
            super().show_error(error)

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "start", "model": str(name), "n_each": int(n_each)}:
                _require_number("n_each", n_each, LARGEST_HALF)
                self.set_traits(model=name, n_each=n_each)
                self._look_up()
                self.start()
            case {"kind": "answer", "item": str(item), "answer": str(answer), "confidence": confidence}:
                if item == self.item.get("id"):  # a key held down speaks twice of the same text
                    self.answer(answer, confidence)
            case {"kind": "rate", "ratings": [*ratings]}:
                self.rate(*ratings)
            case {"kind": "half", "item": str(item), "ratings": dict(ratings), "confidence": confidence}:
                if item == self.item.get("id"):
                    self.keep_half(ratings, confidence)
            case {"kind": "play as", "rater": str(rater)}:
                self.play_as(rater)
            case {"kind": "new round"}:
                self.new_round()
            case _:
                super()._handle_message(content, buffers)


def _require_number(name: str, value: int, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise SettingsError(f"{name} is {value!r}.", f"A whole number from 1 to {largest}.", f"Set {name}=6.")


def rater_letter(rater: str) -> str:
    """Return who answers, as a record has it.

    Raises
    ------
    TextError
        It is empty, or longer than a letter need be.
    """
    if not isinstance(rater, str) or not 1 <= len(rater.strip()) <= LONGEST_RATER:
        expected = f"A letter, no name; {LONGEST_RATER} characters at most."
        raise TextError(f"rater is {str(rater)[:40]!r}.", expected, 'rater="A"')
    return rater.strip()


def read_answers(path: Path) -> list[dict]:
    """Return the answers that a record holds.

    Raises
    ------
    DamagedFile
        One of them is none, or its ratings are none.
    TextError
        That is a folder.
    """
    if path.is_dir():
        raise TextError(f"{path} is a folder.", "A file for the answers.", f'Use "{path / "answers.jsonl"}".')
    lines = credibility.read_answers(path)
    for number, line in enumerate(lines, start=1):
        ratings = [line[scale] for scale in credibility.SCALES if scale in line]
        if line.get("answer") not in credibility.ANSWERS or not all(each in (1, 2, 3, 4) for each in ratings):
            raise DamagedFile(
                f"{path}, answer {number}, is neither human nor machine, or its ratings are none.",
                "A record that this panel wrote.",
                "Delete that line, or name another file.",
            )
    return lines


def judged_outcome(items: Sequence[Item], lines: list[dict], rater: str) -> Told:
    """Return the result of all answers, and what is shown of it and of this rater's own answers."""
    found = credibility.judge(items, lines)
    shown = {"groups": _groups(found), "agreed": _agreed(found), "texts": _texts(items, lines, rater)}
    return found, list(range(len(found.rows) - 1)), shown  # the last row, of all, is the headline


def score_votes(items: Sequence[Item], lines: list[dict], rater: str) -> dict[str, str]:
    """Return how this rater judged, as a vote for the class's picture."""
    said = {line["item"]: line["answer"] == HUMAN for line in lines if line["rater"] == rater}
    judged = [(item.source == HUMAN, said[item.id]) for item in items if item.id in said]
    of_people = [called_human for is_human, called_human in judged if is_human]
    of_machines = [not called_human for is_human, called_human in judged if not is_human]
    return score_vote((sum(of_people), len(of_people)), (sum(of_machines), len(of_machines)))


def rated_outcome(items: Sequence[Item], lines: list[dict]) -> Told | None:
    """Return the result of all ratings, of which OpenAI's three are not to be kept; None where there is no rating."""
    lines = [line for line in lines if all(scale in line for scale in credibility.SCALES)]
    if not lines:
        return None
    found = credibility.rate(items, lines)
    here = [place for place, by in enumerate(found.rows["measured_by"]) if by == "here"]
    title = "Credibility index, mean over texts, from 1 (least) to 10"
    hint = f"Hollow: {credibility.OPENAI_SOURCE}, a survey by Sarah Kreps and Miles McCain. {HOW_RATED}"
    rows = [_index_row(each) for each in found.rows.to_dict("records")]
    group = {"title": title, "low": 1, "high": 10, "mark": None, "rows": rows, "hint": hint}
    first = found.headline.row if found.headline else None
    return found, [place for place in here if place != first], {"groups": [group]}


def _groups(found: Result) -> list[dict[str, Any]]:
    rows, answers = found.rows.to_dict("records"), found.known_details()
    is_right = (answers["source"] == HUMAN) == (answers["answer"] == HUMAN)
    each = [(f"rater {name}", is_right[part.index]) for name, part in answers.groupby("rater")]
    parts = [("all answers", is_right), *(each if len(each) > 1 else [])]
    right = [share_row(name, wilson(int(part.sum()), len(part))) for name, part in parts]
    called = [share_row(each["source"], wilson(each["n_called_human"], each["n"])) for each in rows[:-1]]
    scale = {"low": 0, "high": 1, "mark": 0.5}
    chance = "Dashed: guessing by coin. Bars: Wilson's 95% interval over answers."
    lean = "Who calls most texts human is right about all of people's: look at both shares."
    return [
        {"title": "Right answers", **scale, "rows": right, "hint": chance},
        {"title": "Called human, by true source", **scale, "rows": called, "hint": lean},
    ]


def _agreed(found: Result) -> list[str]:
    """Return one sentence for every two raters."""
    return [
        f"Raters {each['rater_a']} and {each['rater_b']} gave the same answer to {_percent(each['observed'])} of the "
        f"{each['n']} texts that both judged; beyond chance, Cohen's {_kappa(each)}."
        for each in found.settings["agreements"]
    ]


def _kappa(agreed: dict[str, Any]) -> Agreement:
    unknown = {name: math.nan for name in ("kappa", "low", "high") if agreed[name] is None}
    return Agreement(**{name: agreed[name] for name in ("kappa", "low", "high", "observed", "n")} | unknown)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"


def _texts(items: Sequence[Item], lines: list[dict], rater: str) -> list[dict[str, Any]]:
    mine = {line["item"]: line for line in lines if line["rater"] == rater}
    said = [(item, mine[item.id]) for item in items if item.id in mine]
    return [
        item.shown()
        | {"source": item.source, "answer": line["answer"], "confidence": line.get("confidence")}
        | {"is_right": (item.source == HUMAN) == (line["answer"] == HUMAN)}
        for item, line in said
    ]


def _index_row(each: dict[str, Any]) -> dict[str, Any]:
    ends = "" if math.isnan(each["low"]) else f" ({each['low']:.2f} to {each['high']:.2f})"
    counted = f", {each['n_texts']:.0f} texts" if each["measured_by"] == "here" else ", OpenAI 2019"
    low, high = (each["low"], each["high"]) if each["measured_by"] == "here" else (None, None)
    return row(each["source"], each["index"], low, high, f"{each['index']:.2f}{ends}{counted}") | {
        "is_hollow": each["measured_by"] != "here"
    }
