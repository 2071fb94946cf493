"""Access panel: one model as open weights, behind an API and as a hosted demo, and what each allows."""

import collections
import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import traitlets

from course_utils.core.paths import data_file
from course_utils.errors import AccessRefused, CourseError, SettingsError
from course_utils.experiments.access.access_modes import (
    ACTIONS,
    MANY,
    N_MANY,
    TEXT,
    AccessRequest,
    Answer,
    Api,
    HostedDemo,
    LazyModel,
    OpenWeights,
    dollars,
)
from course_utils.experiments.access.api_gateway import REFUSED_WORDS, TERMS, GatedModel, Key
from course_utils.experiments.release import history
from course_utils.models.client.connection import NoServer
from course_utils.models.inference.base import BaseLanguageModel, Cancelled
from course_utils.models.inference.settings import RANGES, Settings
from course_utils.models.registry import release_stage
from course_utils.widgets.base.model_picker import ModelPicker
from course_utils.widgets.base.numbers import NumberFields, number_in, read_fields
from course_utils.widgets.base.panel import Panel, browser_bundle, error_message
from course_utils.widgets.base.server_watch import ServerWatch
from course_utils.widgets.base.static_view import Fact, Part, Table, Text, facts
from course_utils.widgets.base.worker import Throttle

STATES = ("idle", "loading", "working", "done", "stopped", "failed")
PROMPT = "The letter said that"
PROGRESS_EVERY_S = 0.2
FIELDS = {name: RANGES[name] for name in ("seed", "temperature")}
REGIMES = ("open", "api", "demo")
# What a notebook is told to type, a page is told to press.
IN_PAGE = {
    "A request for text: generate(prompt, key).": "A request for text.",
    "With open weights it is one line: load() and ask the model itself.": "Press the same button under Open weights.",
    "Ask for one: request_key(purpose).": "Ask for one with the button above.",
    "Ask for another one with request_key(purpose)": "Ask for another one with the button above",
    "Try the same with open weights.": "Press the same button under Open weights.",
}
N_TOKENS = 60
TYPICAL_TOKENS = N_TOKENS + 10  # of prompt and text together, for what many texts would cost


class AccessRegimes(ServerWatch, NumberFields, Panel):
    """A panel with one model under three regimes; it can be driven without a browser too.

    Parameters
    ----------
    model : str, Path or BaseLanguageModel, optional
        As for `load`; the best model on this machine that the release stage leaves open when left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    answers : dict
        The last answer of each regime: a text, rows, facts, a note, or an error.
    key : Key or None
        The key to the API, as it was granted last.
    api : GatedModel
        What stands behind the gate.
    state : str
        ``idle``, ``loading``, ``working``, ``done``, ``stopped`` or ``failed``.

    Examples
    --------
    ::

        regimes = AccessRegimes()
        regimes.ask("open", "The letter said that")
        regimes.request_key("a lesson on release strategies")
        regimes.ask("api", "The letter said that")
        regimes.wait()
        regimes.log, regimes.cost, regimes.tried
    """

    _esm, _css = browser_bundle("access_regimes")
    panel_title = "One model, three regimes"

    regimes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    actions: traitlets.List[Any] = traitlets.List().tag(sync=True)
    terms = traitlets.List(list(TERMS)).tag(sync=True)
    rule = traitlets.Unicode().tag(sync=True)
    prompt = traitlets.Unicode(PROMPT).tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    ranges = traitlets.Dict(FIELDS).tag(sync=True)
    speaker = traitlets.Unicode().tag(sync=True)
    state = traitlets.Enum(STATES, "idle").tag(sync=True)
    busy = traitlets.Dict().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    account = traitlets.Dict().tag(sync=True)
    logged: traitlets.List[Any] = traitlets.List().tag(sync=True)
    questions: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self, model: str | Path | BaseLanguageModel | None = None, projector: bool = False) -> None:
        self._told = json.loads(data_file(__name__, "access_regimes.json").read_text("utf-8"))
        self._model_picker, self._name = ModelPicker(model), ""
        self._tried: collections.Counter[Any] = collections.Counter()
        self._texts: dict[Any, Any] = {}
        self._cancel = threading.Event()
        # A LazyModel passes on every attribute of the model that it loads, which its type cannot say.
        lazy = cast(BaseLanguageModel, LazyModel(self._load))
        self.api = GatedModel(lazy, max_new_tokens=N_TOKENS)
        self._api_mode = Api(self.api)
        modes = (OpenWeights(lazy), self._api_mode, HostedDemo(lazy))
        self._modes: dict[str, OpenWeights | Api | HostedDemo] = dict(zip(REGIMES, modes, strict=True))
        rule = "; ".join(f"{misuse}: {', '.join(words)}" for misuse, words in REFUSED_WORDS.items())
        regimes = [with_example(each) for each in self._told["regimes"]]
        values = {"seed": 0, "temperature": 1.0}
        super().__init__(projector, values=values, rule=rule, regimes=regimes, actions=self._told["actions"])
        self._see_stage()
        self._count()
        release_stage.on_change(self._see_stage)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def ask(self, regime: str, prompt: str | None = None, action: str = TEXT) -> None:
        """Ask one regime for something, in the background; what is being written elsewhere is stopped.

        Parameters
        ----------
        regime : {"open", "api", "demo"}
        prompt : str, optional
            What stands in the panel when left out.
        action : {"text", "many", "probabilities", "score", "inside"}
            Most is refused by most: that is the lesson.

        Raises
        ------
        SettingsError
            No such regime or action, or a seed or temperature out of range.
        """
        for given, known, what in ((regime, REGIMES, "regime"), (action, ACTIONS, "action")):
            if given not in known:
                raise SettingsError(f"No {what} is called {given!r}.", f"One of {', '.join(known)}.", 'ask("open")')
        read = {name: number_in(self.values.get(name), FIELDS[name][2]) for name in FIELDS}
        # A field that cannot be read goes on as it was typed: `Settings` checks types and ranges, and names the field.
        fields: dict[str, Any] = {name: self.values.get(name) if n is None else n for name, n in read.items()}
        settings = Settings(N_TOKENS, **fields)
        with self._lock:
            self.prompt = self.prompt if prompt is None else prompt
            wish = AccessRequest(action, self.prompt, settings)
            kept = {name: answer for name, answer in self.answers.items() if name != regime}
            busy = {"regime": regime, "n": 0, "of": N_TOKENS * (N_MANY if action == MANY else 1)}
            self.set_traits(message="", answers=kept, busy=busy, state="working")
            self._background.submit(
                lambda run, cancel: self._answer_or_refuse(run, regime, wish, cancel), self.show_error
            )

    def request_key(self, purpose: str) -> Key:
        """Ask the provider for a key, and agree to its terms; see `GatedModel.request_key`."""
        key = self.api.request_key(purpose)
        with self._lock:
            self._api_mode.key = key
            self._tried["api", "key"] += 1
            self._count()
        return key

    def revoke(self) -> None:
        """Play the provider: make the key worthless.

        Raises
        ------
        AccessRefused
            No key was granted.
        """
        if self.key is None:
            raise AccessRefused("No key was granted yet.", "A key to revoke.", "Ask for one: request_key(purpose).")
        self.api.revoke(self.key)
        with self._lock:
            self._tried["api", "revoke"] += 1
            self._count()

    def stop(self) -> None:
        """Stop after the token that is being written; what has come stays."""
        self._background.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being answered for this panel; return whether that is so."""
        return self._background.wait(timeout)

    def close(self) -> None:
        """Stop, and take the panel away."""
        release_stage.forget(self._see_stage)
        super().close()

    @property
    def key(self) -> Key | None:
        """The key that the API granted last."""
        return self._api_mode.key

    @property
    def log(self) -> pd.DataFrame:
        """What the API's provider sees; see `GatedModel.log`."""
        return self.api.log()

    @property
    def cost(self) -> float:
        """What the API has cost so far, in dollars of the course's own invention."""
        return self.api.cost

    @property
    def tried(self) -> pd.DataFrame:
        """One row a question and regime: who, question, regime, answer, tried (how often in this session)."""
        rows = [
            {"who": each["who"], "question": each["ask"], "regime": regime, "answer": answer, "tried": n}
            for each in self.questions
            for regime, answer, n in zip(REGIMES, each["answers"], each["tried"], strict=True)
        ]
        return pd.DataFrame(rows)

    def static_parts(self) -> list[Part]:
        """Return the last answer of each regime, the account, the provider's log, and what was tried."""
        fields = ", ".join(f"{name} {value}" for name, value in self.values.items())
        parts = [*facts(model=self.speaker, fields=fields), Text("Prompt, written by a person", self.prompt)]
        names = {each["key"]: each["name"] for each in self.regimes}
        for regime, answer in self.answers.items():
            name = names.get(regime, regime)
            parts += [Text(f"{name}, machine-written", text) for text in answer.get("texts", ())]
            pairs = [*answer.get("rows", ()), *answer.get("facts", ())]
            parts += [Table(name, ["", "answer"], pairs)] if pairs else []
            parts += [Fact(name, answer[part]) for part in ("note", "error") if answer.get(part)]
        parts.append(Fact("Spent", self.account.get("cost", "")))
        if self.logged:
            columns = ("time", "key", "purpose", "prompt", "answer", "n_tokens")
            rows = [[row.get(column) for column in columns] for row in self.logged]
            parts.append(Table("The provider's log", [column.replace("_", " ") for column in columns], rows))
        rows = [[each["ask"], *each["answers"], sum(each["tried"])] for each in self.questions]
        parts.append(Table("What each lets one learn, and do", ["question", *names.values(), "tried"], rows))
        return parts

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "ready"}:
                self._has_page = True
                self._see_stage()
            case {"kind": "ask", "regime": str(regime), "action": str(action), "prompt": str(prompt)}:
                self.set_traits(values=dict(content.get("values", self.values)), prompt=prompt)
                if self._blame():
                    return
                try:
                    self.ask(regime, prompt, action)
                except CourseError as error:
                    self.set_traits(answers={**self.answers, regime: _refusal(error)})
            case {"kind": "request key", "purpose": str(purpose)}:
                try:
                    self.request_key(purpose)
                    self.set_traits(message="")
                except CourseError as error:
                    self.set_traits(account={**self.account, "problem": error_message(error)})
            case {"kind": "revoke" | "stop" as verb}:
                getattr(self, verb)()

    # -- what the worker does ------------------------------------------------------------------------------------------

    def _load(self) -> BaseLanguageModel:
        def load() -> BaseLanguageModel:
            if not self._name:
                self._see_stage()
            return self._model_picker.load(self._name or self._model_picker.first_name())

        model = self._at_last(load, self._model_picker.server, self._cancel, self._show_waiting)
        model.on_wait = self._show_waiting
        return model

    def _answer_or_refuse(self, run: int, regime: str, wish: AccessRequest, cancel: threading.Event) -> None:
        """Answer a request; an error is its answer, and what was tried counts also when a newer request is shown."""
        try:
            self._answer(run, regime, wish, cancel)
        except BaseException as error:
            self._end(run, regime, wish, _refusal(error), "failed")

    def _answer(self, run: int, regime: str, wish: AccessRequest, cancel: threading.Event) -> None:
        self._cancel = cancel  # the worker does one thing at a time
        if not cancel.is_set() and not self._model_picker.is_ready(self._name):
            self._background.if_current(run, self.set_traits, state="loading")
            with contextlib.suppress(Cancelled):
                self._load()
            self._background.if_current(run, self.set_traits, state="working")
        throttle = Throttle(PROGRESS_EVERY_S, is_due_at_once=False)

        def tell(n_tokens: int) -> None:
            if throttle.is_due():
                self._background.if_current(run, self.set_traits, busy={**self.busy, "n": n_tokens})

        answer: Answer = {}
        with contextlib.suppress(Cancelled):
            answer = {} if cancel.is_set() else self._modes[regime].answer(wish, cancel, tell)
        if cancel.is_set():
            answer["note"] = "; ".join(filter(None, ["stopped", answer.get("note")]))
        self._end(run, regime, wish, answer, "stopped" if cancel.is_set() else "done")

    def _end(self, run: int, regime: str, wish: AccessRequest, answer: Answer, state: str) -> None:
        """Keep what was tried, also in vain, and show the answer unless the panel has moved on."""
        with self._lock:
            deeds = {wish.action, TEXT if wish.action == MANY else wish.action}
            if any(word in wish.prompt.casefold() for words in REFUSED_WORDS.values() for word in words):
                deeds.add("misuse")
            if wish.action == TEXT and state == "done":
                before = self._texts.get((regime, self._name, wish))
                text = self._texts[regime, self._name, wish] = answer["texts"][0]
                if before is not None:
                    deeds.add("again")
                    same = "the same text as before" if before == text else "another text than before"
                    answer["note"] = f"{same}, from the same prompt; {answer['note']}"
            self._tried.update((regime, deed) for deed in deeds)
            self._count()
            told = {"action": wish.action, "prompt": wish.prompt, **answer}
            answers = {**self.answers, regime: told}
            self._background.if_current(run, self.set_traits, state=state, busy={}, waiting="", answers=answers)

    # -- what is shown -------------------------------------------------------------------------------------------------

    @traitlets.validate("values")
    def _read_values(self, proposal) -> dict[str, object]:
        return read_fields(proposal["value"], {name: limit[2] for name, limit in FIELDS.items()})

    @traitlets.observe("values")
    def _explain(self, _change) -> None:
        self._note_problems(self.values, FIELDS)

    def _see_stage(self) -> None:
        """Take the model that was asked for, or the best that the release stage leaves open."""
        with self._lock:
            try:
                self._name = self._model_picker.first_name()
                abouts = {each["name"]: each["about"] for each in self._model_picker.choices(self._name)}
                self.set_traits(message="", waiting="", speaker=f"{self._name}: {abouts.get(self._name, '')}")
            except NoServer:
                self.set_traits(speaker=self.speaker or "no model")
                self._miss_server(self._model_picker.server)
            except CourseError as error:
                self._name = ""
                self.set_traits(speaker="no model", message=error_message(error))

    _see_server = _see_stage

    def _count(self) -> None:
        """Show the account with the provider, its log, and what was tried."""
        asked = questions(self._told["questions"], self._tried, self.api)
        self.set_traits(questions=asked, account=account(self.api, self.key), logged=self.api.log().to_dict("records"))


def _refusal(error: BaseException) -> Answer:
    return {"error": on_page(error_message(error))}


def with_example(regime: dict[str, str]) -> dict[str, str]:
    """Put a real example beside a regime, with its source."""
    known = history.rows("strategies").set_index("strategy").loc[regime["strategy"]]
    return regime | {"example": known["example"], "source": known["source"], "how": history.TAGS[known["tag"]]}


def questions(asked: Sequence[dict], tried: Mapping[tuple[str, str], int], api: GatedModel) -> list[dict]:
    """Return each question with its answer under every regime, and how often that was tried."""
    prices = {f"cost_{n}": f"{n * TYPICAL_TOKENS / 1000 * api.price_per_1000_tokens:,.2f}" for n in (1000, 5000)}
    return [
        {"who": each["who"], "ask": each["ask"]}
        | {"answers": [answer.format(quota=api.quota, **prices) for answer in each["answers"]]}
        | {"tried": [tried[pair] for pair in zip(REGIMES, each["deeds"], strict=True)]}
        for each in asked
    ]


def account(api: GatedModel, key: Key | None) -> dict:
    """Return the account with the API's provider: price, quota, cost, and what is known of the key."""
    known = {"price": f"${api.price_per_1000_tokens:g}", "quota": api.quota, "cost": dollars(api.cost)}
    if key:
        known |= {"name": key.name, "purpose": key.purpose, "left": key.quota, "is_revoked": key.is_revoked}
    return known


def on_page(words: str) -> str:
    """Return an error's words as a page says them: it has buttons, and nothing to type code into.

    Examples
    --------
    >>> on_page("Next: Ask for one: request_key(purpose).")
    'Next: Ask for one with the button above.'
    """
    for typed, pressed in IN_PAGE.items():
        words = words.replace(typed, pressed)
    return words
