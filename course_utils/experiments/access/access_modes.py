"""Access modes of one model: open weights, an API and a hosted demo; each answers the requests it allows."""

import dataclasses
import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypedDict

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from course_utils.errors import AccessRefused
from course_utils.experiments.access.api_gateway import GatedModel, Key
from course_utils.models.inference.base import BaseLanguageModel, NeedsWeights, TextStream
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation
from course_utils.models.registry import formats

TEXT, MANY, PROBABILITIES, SCORE, INSIDE = ACTIONS = ("text", "many", "probabilities", "score", "inside")
N_MANY = 10
N_PROBABILITIES = 10
DEMO_TOKENS = 30
_SHAPE = ("n_layer", "num_hidden_layers"), ("n_embd", "hidden_size")  # GPT-2's words for it, and Llama's
_EMBEDDINGS = ("wte.weight", "embed_tokens.weight")

Tell = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class AccessRequest:
    """A request to a model, in any access mode.

    Parameters
    ----------
    action : {"text", "many", "probabilities", "score", "inside"}
    prompt : str
    settings : Settings
        The access mode decides which of them count.
    """

    action: str
    prompt: str
    settings: Settings


class Answer(TypedDict, total=False):
    """Answer in one access mode: texts, rows (token, probability) or facts (what, how much), and a note on the cost.

    ``error`` says why fewer texts came than were asked for; it is empty or absent where all came.
    """

    texts: list[str]
    rows: list[list[str]]
    facts: list[list[str]]
    note: str
    error: str


class LazyModel:
    """A model that is loaded when it is first asked for something, and asked for again each time.

    Parameters
    ----------
    load : callable
        Returns the LanguageModel.
    """

    def __init__(self, load: Callable[[], BaseLanguageModel]) -> None:
        self._load = load

    def __repr__(self) -> str:
        """Return what it is; the model is not loaded for it."""
        return "LazyModel: a model that is loaded when it is first used"

    def __getattr__(self, name: str) -> Any:  # whatever a BaseLanguageModel has
        """Ask the model itself."""
        return getattr(self._load(), name)


class OpenWeights:
    """Access mode with open weights: every request is answered."""

    def __init__(self, model: BaseLanguageModel) -> None:
        self._model = model

    def __repr__(self) -> str:
        """Return the mode and the model."""
        return f"OpenWeights of {self._model!r}"

    def answer(
        self, request: AccessRequest, cancel: threading.Event | None = None, tell: Tell = lambda n_tokens: None
    ) -> Answer:
        """Return texts, rows (token, probability) or facts (what, how much), and a note on what it took."""
        match request.action:
            case "probabilities":
                found = self._model.next_tokens(request.prompt, N_PROBABILITIES)
                return {
                    "rows": [[token.text, f"{token.probability:.1%}"] for token in found],
                    "note": "no price, no log",
                }
            case "score":
                scored = self._model.score(request.prompt)
                bits = f"{scored.bits_per_character:.2f}"
                facts = [["perplexity", f"{scored.perplexity:,.1f}"], ["bits per character", bits]]
                return {"facts": facts, "note": f"of {len(scored.steps)} tokens; no price, no log"}
            case "inside":
                return {"facts": _inside(self._model), "note": "no price, no log"}
        n_samples = N_MANY if request.action == MANY else 1
        stream = self._model.stream(request.prompt, request.settings, n_samples, cancel)
        texts = [generation.text for generation in _written(stream, tell)]
        seeds = f"seed {request.settings.seed}" if n_samples == 1 else f"seeds from {request.settings.seed}"
        return {"texts": texts, "note": f"{seeds}, temperature {request.settings.temperature:g}; no price, no log"}


class Api:
    """Access mode behind an API: text for a key; other requests are refused.

    Parameters
    ----------
    gated : GatedModel
    key : Key or None
        What is sent along; set it when one was granted.
    """

    def __init__(self, gated: GatedModel, key: Key | None = None) -> None:
        self.gated, self.key = gated, key

    def __repr__(self) -> str:
        """Return the mode and the gateway; the key is not shown."""
        return f"Api of {self.gated!r}"

    def answer(
        self, request: AccessRequest, cancel: threading.Event | None = None, tell: Tell = lambda n_tokens: None
    ) -> Answer:
        """Return texts and what they cost; an error beside the texts where the quota ended on the way.

        Raises
        ------
        AccessRefused
        """
        if request.action in (PROBABILITIES, SCORE, INSIDE):
            refuse: Callable[[], NoReturn] = getattr(self.gated, request.action)
            refuse()
        before, problem = self.gated.cost, ""
        texts: list[str] = []
        while not problem and len(texts) < (N_MANY if request.action == MANY else 1):
            paid, temperature = len(texts) * self.gated.max_new_tokens, request.settings.temperature
            try:
                text = self.gated.generate(request.prompt, self.key, temperature, cancel, _on_top_of(paid, tell))
                texts.append(text)
            except AccessRefused as error:
                if not texts:
                    raise
                problem = str(error)
            if cancel is not None and cancel.is_set():
                break
        note = f"{dollars(self.gated.cost - before)}; logged; the seed is the provider's"
        return {"texts": texts, "note": note, "error": problem}


class HostedDemo:
    """Access mode of a hosted demo: one short text for a prompt, with fixed settings."""

    def __init__(self, model: BaseLanguageModel, settings: Settings = Settings(DEMO_TOKENS, temperature=0.8)) -> None:
        self._model, self._settings = model, settings

    def __repr__(self) -> str:
        """Return the mode and the model."""
        return f"HostedDemo of {self._model!r}"

    def answer(
        self, request: AccessRequest, cancel: threading.Event | None = None, tell: Tell = lambda n_tokens: None
    ) -> Answer:
        """Return one text, another one each time.

        Raises
        ------
        AccessRefused
        """
        if request.action != TEXT:
            refused = {MANY: "more than one text a press", SCORE: "score of a text", INSIDE: "weights"}
            raise AccessRefused(
                f"This page gives no {refused.get(request.action, request.action)}.",
                "A prompt, for one text.",
                "Try the same with open weights.",
            )
        settings = self._settings.replace(seed=secrets.randbelow(2**31))
        texts = [
            generation.text for generation in _written(self._model.stream(request.prompt, settings, 1, cancel), tell)
        ]
        return {"texts": texts, "note": "cut short; its settings are not told"}


def _on_top_of(n_before: int, tell: Tell) -> Tell:
    return lambda n_tokens: tell(n_before + n_tokens)


def dollars(cost: float) -> str:
    """Write a price so that a small one is not nothing."""
    return f"${cost:.4f}" if cost < 1 else f"${cost:,.2f}"


def _written(stream: TextStream, tell: Tell) -> list[Generation]:
    for n_written, _ in enumerate(stream, start=1):
        tell(n_written)
    return stream.generations()


def _inside(model: BaseLanguageModel) -> list[list[str]]:
    """Return what a look into the weights shows: how many, which file, and one matrix of them.

    The file itself is looked into, so that a model that speaks from behind a server can be seen too where its weights
    lie on this machine.
    """
    folder = model.folder
    if folder is None:
        raise NeedsWeights(
            f"The weights of {model.name} lie behind a server, and none of the same hash on this machine.",
            "A file of weights to look into.",
            "python -m course_utils models lists what lies here.",
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    matrix = _embedding(folder)
    layers, width = (config.get(old) or config.get(new) for old, new in _SHAPE)
    return [
        ["parameters", f"{model.n_parameters:,}"],
        ["layers, width", f"{layers}, {width}"],
        ["sha256 of the file", model.weights_sha256],
        ["token embedding, shape", " × ".join(f"{length:,}" for length in matrix.shape)],
        ["its Frobenius norm", f"{np.linalg.norm(matrix):,.2f}"],
        ["its first numbers", ", ".join(f"{number:.3f}" for number in matrix[0, :4].tolist())],
    ]


def _embedding(folder: Path) -> NDArray[np.float32]:
    """Return the matrix that turns tokens into numbers, in 32 bits."""
    weights, name = formats.file_with_tensor(folder, _EMBEDDINGS)
    with safe_open(weights, framework="numpy") as file:
        matrix: NDArray[np.float32] = file.get_tensor(name).astype(np.float32)
    return matrix
