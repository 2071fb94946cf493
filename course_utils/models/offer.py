"""What a model server offers: the models of the shelf that are here and fit, each loaded when it is first asked for."""

import contextlib
import json
import threading
import time
from pathlib import Path

from course_utils.errors import DamagedFile, ModelNotHere, NotEnoughMemory
from course_utils.models import language_model, seal, shelf, stage
from course_utils.models.catalogue import Entry
from course_utils.models.engine import Engine
from course_utils.models.language_model import LanguageModel
from course_utils.models.wire import Refusal
from course_utils.models.wish import Wish

LONGEST_CONTEXT = 2048  # tokens of prompt and answer together: more would keep all others waiting for seconds
MOST_SCORED = 2048  # tokens of a text that is scored
REMEMBERED_S = 5.0  # how long a look at the shelf is good for


class Offer:
    """The models on offer.

    Parameters
    ----------
    engine : Engine
    precision : str, optional
        Of every model. When left out ``"int8"``, in which a text is the same bit for bit whatever else is written at
        the time; ``"fp32"`` where there is a graphics card.
    """

    def __init__(self, engine: Engine, precision: str = "") -> None:
        self._engine, self._loaded, self._lock = engine, {}, threading.Lock()
        self._looked, self._entries = 0.0, []
        self.precision = precision or ("int8" if language_model.default_device().type == "cpu" else "fp32")

    def get(self, name: str = "") -> LanguageModel:
        """Return a model, loading it if need be; the best here when no name is given.

        Raises
        ------
        UnknownModel, ModelNotHere, DamagedFile, NotEnoughMemory, AccessRefused
        """
        name = name or shelf.best_here()
        stage.require_open(name)
        if name not in self._loaded:
            with self._lock:
                self._loaded[name] = self._loaded.get(name) or self._load(name)
        return self._loaded[name]

    def models(self) -> list[dict]:
        """Describe all models on offer, as OpenAI lists them."""
        if time.monotonic() - self._looked > REMEMBERED_S:
            here = [known for known in shelf.entries() if shelf.folder_of(known)]
            self._entries = [known for known in here if known.name in self._loaded or shelf.fits(known)]
            self._looked = time.monotonic()
        told = []
        for known in self._entries:
            with contextlib.suppress(DamagedFile):  # whoever asks for it is told what is wrong
                told += [self._describe(known)] if stage.is_open(known.name) else []
        return told

    def model(self, name: str) -> dict:
        """Describe one of them."""
        known = shelf.entry(name)
        stage.require_open(name)
        if not shelf.folder_of(known):
            raise ModelNotHere(f"{name} is not on this server.", "A model that /v1/models lists.", "Ask for another.")
        return self._describe(known)

    def _load(self, name: str) -> LanguageModel:
        shelf.entry(name)
        try:
            return language_model.load(name, self.precision)
        except NotEnoughMemory:
            idle = [other for other, model in self._loaded.items() if self._engine.is_idle(model)]
            self._engine.forget([self._loaded.pop(other) for other in idle])
            return language_model.load(name, self.precision)

    def _describe(self, known: Entry) -> dict:
        folder = shelf.folder_of(known)
        hashes = seal.check(folder)
        label = f"{known.name} · {known.n_parameters / 1e6:,.1f} M parameters · {self.precision}"
        course = {
            "label": f"{label} on {language_model.default_device().type}",
            "about": known.about,
            "precision": self.precision,
            "context": min(_context(folder), LONGEST_CONTEXT),
            "n_parameters": known.n_parameters,
            "vocabulary_sha256": hashes.get("tokenizer.json", ""),
            "weights_sha256": hashes[seal.WEIGHTS],
            "is_loaded": known.name in self._loaded,
        }
        return {"id": known.name, "object": "model", "created": 0, "owned_by": known.origin, "course": course}


def _context(folder: Path) -> int:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config.get("max_position_embeddings") or config["n_positions"]


def ids_of(model: LanguageModel, wish: Wish) -> tuple[list[int], str]:
    """Return a wish's token ids as the model will see them, and a notice where the prompt was cut.

    Raises
    ------
    Refusal, CourseError
        If the prompt is no text, has unknown ids, or is too long.
    """
    ids = list(wish.prompt) if isinstance(wish.prompt, tuple) else model.encode(wish.prompt)
    n_vocabulary = model.network.config.vocab_size
    if any(token_id >= n_vocabulary for token_id in ids):
        raise Refusal(
            f"The prompt has the token id {max(ids)}.", f"Ids below {n_vocabulary}, as {model.name} has.",
            "Use the ids of this model's tokenizer, or send text.", param="prompt",
        )  # fmt: skip
    if wish.scores:
        return _to_score(ids), ""
    room = min(model.context, LONGEST_CONTEXT) - wish.settings.max_new_tokens
    if room < 1 or (len(ids) > room and not wish.fit):
        raise Refusal(
            f"The prompt has {len(ids):,} tokens, and {wish.settings.max_new_tokens} are to be written.",
            f"At most {min(model.context, LONGEST_CONTEXT):,} together.",
            "Shorten the prompt, or ask for fewer tokens.", code="context_length_exceeded", param="prompt",
        )  # fmt: skip
    notice = f"The text before has {len(ids):,} tokens; the model saw only the last {room:,}."
    return ids[-room:] or [model.start_id], notice if len(ids) > room else ""


def _to_score(ids: list[int]) -> list[int]:
    if not 1 <= len(ids) <= MOST_SCORED:
        raise Refusal(
            f"The text has {len(ids):,} tokens.", f"1 to {MOST_SCORED:,} to be scored.",
            "Send a part of it." if ids else "Send a text.",
            code="context_length_exceeded" if ids else "invalid_value", param="prompt",
        )  # fmt: skip
    return ids
