"""Remote model behind a server: it has the interface of a local model, as far as its server supports it."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

from course_utils.core.json_types import JsonObject
from course_utils.errors import CourseError, SettingsError, TextError, UnknownModel
from course_utils.models.client import capabilities
from course_utils.models.client.connection import ConnectionLost, NotServed, ServerConnection, StopSignal, viewer
from course_utils.models.client.prompt_texts import parts_of, require_text, without_half_character
from course_utils.models.client.stream import RemoteStream
from course_utils.models.inference.base import BaseLanguageModel, Capabilities, NeedsWeights
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Alternative, Generation, ScoredText
from course_utils.models.registry import checksums, formats, registry
from course_utils.models.server.protocol import digest, step_of

FALLBACK_CONTEXT = 1024  # where a server does not tell: GPT-2's
MAX_ALTERNATIVES = 10
N_TRIES = 5
ONLY_WEIGHTS = ("network", "tokenizer", "vocabulary", "device", "start_id", "end_ids", "tensor")


class RemoteModel(BaseLanguageModel):
    """A model behind a server that speaks OpenAI's completions: the course's own, or another.

    Nothing is fetched before it is needed, but what the server says of the model when it is made.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8799``.
    name : str, optional
        One of the server's models; its first when left out.
    key : str, optional
        Sent as bearer token; COURSE_MODEL_KEY when left out.

    Attributes
    ----------
    is_ours : bool
        Whether the course's own server answers, which tells of each token all that weights here would.
    on_wait : callable or None
        As of `RemoteStream`, for whatever is asked of this model.

    Raises
    ------
    NoServer
        Nobody answers.
    UnknownModel
        The server has no such model.
    NotServed
        The server refuses, for example without its key.
    """

    def __init__(self, url: str, name: str | None = None, key: str | None = None) -> None:
        self.connection, self.on_wait = ServerConnection(url, key), None
        entry = _entry(self.connection, name)
        self.name, course_fields = entry["id"], entry.get("course")
        self.is_ours = isinstance(course_fields, dict)
        details: JsonObject = course_fields if isinstance(course_fields, dict) else _told_by_others(entry)
        self.precision = str(details.get("precision") or "unknown precision")
        self.context = int(details.get("context") or FALLBACK_CONTEXT)
        self.n_parameters = int(details.get("n_parameters") or 0)
        self.about = str(details.get("about") or "")
        self._sha256 = str(details.get("weights_sha256") or "")
        self._identity = [str(part) for part in details.get("identity") or []]
        self.label = label_of(self.name, self.n_parameters, self.precision)
        self._capabilities: Capabilities | None = Capabilities(weights=False) if self.is_ours else None

    def __repr__(self) -> str:
        """Return the label."""
        return f"<RemoteModel {self.label}>"

    def __getattr__(self, name: str) -> object:
        """Say of what only weights have that they are not here."""
        if name not in ONLY_WEIGHTS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise NeedsWeights(
            f"This is done with the weights of {self.name}, and they lie behind a server.",
            "A model whose weights are in this process.",
            f'from course_utils import load; load("{self.name}")',
        )

    @property
    def capabilities(self) -> Capabilities:
        """What the server can be asked for; of another server than the course's this is tried out, once."""
        if self._capabilities is None:
            self._capabilities = capabilities.of(self.connection, self.name)
        return self._capabilities

    @property
    def weights_sha256(self) -> str:
        """The sha256 of its weights, as the server tells it; empty where it does not."""
        return self._sha256

    @property
    def folder(self) -> Path | None:
        """Where the same file lies on this machine, as its hash shows; None where it does not."""
        folder = registry.folder_named(self.name)
        with contextlib.suppress(CourseError):  # one that is damaged is not the same
            if folder is not None and self._sha256 and checksums.check(folder)[formats.WEIGHTS] == self._sha256:
                return folder
        return None

    @property
    def identity(self) -> list[str]:
        """What its numbers depend on, as the server told it when this model was made; see `LanguageModel.identity`.

        Of a server that does not tell: its address and the model's name.
        """
        return list(self._identity) or [
            self._sha256 or f"{self.connection.url} {self.name}",
            self.precision,
            "cpu" if self.is_ours else "unknown",
        ]

    def require_same(self, response_fields: object) -> None:
        """Raise NotServed where an answer comes from other weights than those that this model was made with.

        Parameters
        ----------
        told : object
            The answer's ``course``; a server that does not tell its identity is believed.
        """
        found = response_fields.get("identity") if isinstance(response_fields, dict) else None
        if found and self._identity and found != digest(self._identity):
            raise NotServed(
                f"The model server has another {self.name} than before: other weights, tokenizer or precision.",
                f"Weights with the sha256 {self._sha256[:16]}… in {self.precision}.",
                "Load the model again. What was written so far is of the model before.",
            )

    # -- writing -------------------------------------------------------------------------------------------------------

    def stream(
        self, prompt: str, settings: Settings = Settings(), n_samples: int = 1, cancel: threading.Event | None = None
    ) -> RemoteStream:
        """Write on from a prompt, one token at a time; see `LanguageModel.stream`."""
        if not isinstance(n_samples, int) or not 1 <= n_samples <= 64:
            raise SettingsError(
                f"n_samples is {n_samples!r}.", "A whole number from 1 to 64.", "Ask for fewer samples."
            )
        require_text(prompt)
        begun = [
            Generation(prompt, (), settings, settings.seed_of(i), self.name, self.precision, "", "stopped")
            for i in range(n_samples)
        ]
        return RemoteStream(self, begun, cancel)

    def resume(self, generations: list[Generation], cancel: threading.Event | None = None) -> RemoteStream:
        """Let samples go on where they ended, for ``max_new_tokens`` more; see `LanguageModel.resume`."""
        return RemoteStream(self, [without_half_character(generation) for generation in generations], cancel)

    def body(self, settings: Settings, seed: int, n_tokens: int) -> JsonObject:
        """Return the fields of a request: those that the server understands."""
        had = self.capabilities
        body: JsonObject = {"model": self.name, "max_tokens": n_tokens, "temperature": settings.temperature}
        body |= {"top_p": settings.top_p} if self.is_ours or settings.top_p < 1 else {}
        body |= {"seed": seed} if had.seeds else {}
        body |= {"top_k": settings.top_k} if had.top_k else {}
        body |= {"repetition_penalty": settings.repetition_penalty} if had.repetition_penalty else {}
        if self.is_ours:
            return body | {"user": viewer()}
        return body | ({"logprobs": had.alternatives} if had.alternatives else {})

    # -- reading -------------------------------------------------------------------------------------------------------

    def next_tokens(self, prompt: str, k: int = 10) -> list[Alternative]:
        """Return the k likeliest next tokens, best first, with the model's own probabilities.

        Raises
        ------
        SettingsError
            If k is more than the server tells.
        """
        most = self.capabilities.alternatives
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= most:
            raise SettingsError(
                f"k is {k!r}.", f"A whole number from 1 to {most}, the most that this server returns.", "k=10"
            )
        for seed in range(N_TRIES):  # what is drawn does not matter, unless it ends the text: then no step comes
            drawn = Settings(1, temperature=5.0 if self.is_ours else 0.0, top_k=0, seed=seed)
            for step in self.stream(prompt, drawn):
                return list(step.alternatives[:k])
        raise NotServed(
            f"{self.name} ends the text at once, without a next token.",
            "A prompt that the model continues.",
            "Change the prompt.",
        )

    def score(
        self,
        text: str,
        stride: int | None = None,
        *,
        progress: Callable[[float], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredText:
        """Say how likely the model found every token of a text; see `LanguageModel.score`."""
        require_text(text)
        if not text:
            raise TextError("There is no text to score.", "At least one character.", "Pass the text as a string.")
        if not self.capabilities.scoring:
            raise NeedsWeights(
                f"The server of {self.name} does not score a text that somebody wrote.",
                "A server that answers echo with log-probabilities, or weights here.",
                'Ask a model on this machine: load("pocket-xl").',
            )
        if stride is not None and (isinstance(stride, bool) or not isinstance(stride, int)):
            raise SettingsError(f"stride is {stride!r}.", "A whole number from 1.", "Leave it out.")
        found = self._score(text, stride, cancel)
        if progress is not None:
            progress(1.0)
        return found

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has; of another server than the course's, about how many."""
        return len(self.encode(text)) if self.is_ours else max(1, len(text) // 4)

    def encode(self, text: str, cancel: StopSignal | None = None) -> list[int]:
        """Return a text's token ids, as the course's server tells them."""
        require_text(text)
        if not self.is_ours:
            raise NeedsWeights(
                f"The server of {self.name} tells no token ids.", "The course's server.", "Load it here."
            )
        return [token_id for part in parts_of(text) if part for token_id in self._token_ids(part, cancel)["tokens"]]

    def prompt_ids(self, prompt: str, cancel: StopSignal | None = None) -> list[int]:
        """Return what the model sees of a prompt: its ids, or the token from which it starts without one."""
        return self.encode(prompt, cancel) or [self._token_ids("", cancel)["course"]["start_id"]]

    def _token_ids(self, text: str, cancel: StopSignal | None) -> JsonObject:
        response = self._ask(self.connection.token_ids, {"model": self.name, "input": text}, cancel)
        self.require_same(response.get("course"))
        return response

    def _score(self, text: str, stride: int | None, cancel: threading.Event | None) -> ScoredText:
        course_fields = (
            {"course": {} if stride is None else {"stride": stride}, "user": viewer()} if self.is_ours else {}
        )
        body = {"model": self.name, "prompt": text, "max_tokens": 0, "echo": True, "logprobs": MAX_ALTERNATIVES}
        found = self._ask(self.connection.ask, body | course_fields, cancel)
        self.require_same(found.get("course"))
        choice = (found.get("choices") or [{}])[0]
        scored = choice.get("course") or {}
        steps = [step_of(row) for row in scored.get("steps", [])] or capabilities.scored(choice)
        if not steps:
            raise NotServed(
                f"The server of {self.name} returned no log-probabilities.",
                "A log-probability for each token.",
                "Try again.",
            )
        steps[-1] = dataclasses.replace(steps[-1], is_last=True)
        window = scored.get("window") or self.context
        return ScoredText(text, tuple(steps), window, scored.get("stride") or window, self.name, self.precision)

    def _ask(
        self, ask: Callable[[JsonObject, StopSignal | None], JsonObject], body: JsonObject, cancel: StopSignal | None
    ) -> JsonObject:
        """Return an answer in one piece; while nobody answers, wait, and tell so."""
        while True:
            try:
                return ask(body, cancel)
            except ConnectionLost:
                self.connection.wait(cancel, self.on_wait)


def models_of(connection: ServerConnection) -> list[JsonObject]:
    """Return what a server says of its models, the one first that it gives to those who name none.

    Raises
    ------
    NoServer, NotServed
    """
    try:
        found = connection.get("/v1/models")
    except ConnectionLost:
        raise connection.absent() from None
    except NotServed as error:
        if error.status not in (404, 500):
            raise
        found = {}  # it has no list, or cannot make one; it may well have models
    entries = found.get("data") or []
    models = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
    course_fields = found.get("course")
    default = course_fields.get("default") if isinstance(course_fields, dict) else None
    return sorted(models, key=lambda model: model["id"] != default)


def label_of(name: str, n_parameters: int, precision: str) -> str:
    """Name what speaks, in one line.

    Examples
    --------
    >>> label_of("pocket-xl", 3_060_288, "fp32")
    'pocket-xl · 3.1 M parameters · fp32 · shared server'
    """
    size = [f"{n_parameters / 1e6:,.1f} M parameters"] if n_parameters else []
    return " · ".join([name, *size, precision, "shared server"])


def _entry(connection: ServerConnection, name: str | None) -> JsonObject:
    """Return what a server says of one of its models; of one that another server than the course's hides, its name."""
    known = {entry["id"]: entry for entry in models_of(connection)}
    if name in known:
        return known[name]
    if name is None and known:
        return next(iter(known.values()))
    if name is None or any("course" in entry for entry in known.values()):
        raise UnknownModel(
            f"The model server at {connection.url} has no model called {name!r}."
            if name
            else f"{connection.url} lists no model.",
            f"One of {', '.join(known)}." if known else "A model's name.",
            f'load("{connection.url}") takes its first.' if known else f'RemoteModel("{connection.url}", "the name")',
        )
    return {"id": name}


def _told_by_others(entry: JsonObject) -> dict[str, int]:
    """Read what vLLM and llama.cpp say of a model, each in its own words."""
    about = entry.get("meta")
    meta: JsonObject = about if isinstance(about, dict) else {}
    context = entry.get("max_model_len") or meta.get("n_ctx") or meta.get("n_ctx_train")
    numbers = {"context": context, "n_parameters": meta.get("n_params")}
    return {name: number for name, number in numbers.items() if isinstance(number, int)}
