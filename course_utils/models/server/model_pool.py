"""Model pool of the server: the models that it offers; each is loaded when it is first asked for."""

import contextlib
import functools
import gc
import json
import threading
import time
from pathlib import Path

from course_utils.core.json_types import JsonObject
from course_utils.errors import DamagedFile, ModelNotHere, NotEnoughMemory
from course_utils.models.inference import language_model
from course_utils.models.inference.context_window import saw_only
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.registry import checksums, formats, registry, release_stage
from course_utils.models.registry.catalogue import Entry
from course_utils.models.server.engine import Engine
from course_utils.models.server.protocol import Refusal
from course_utils.models.server.request import CompletionRequest

MAX_CONTEXT = 2048  # tokens of prompt and answer together: more would keep all others waiting for seconds
MAX_SCORED_TOKENS = 2048  # tokens of a text that is scored
REMEMBERED_S = 5.0  # how long a look at the shelf is good for


class ModelPool:
    """The models on offer.

    Parameters
    ----------
    engine : Engine
    precision : str, optional
        Of every model. When left out, what the self-test found fastest on this processor: most often ``"int8"``, in
        which a text is the same bit for bit whatever else is written at the time. ``"fp32"`` where there is a
        graphics card.
    """

    def __init__(self, engine: Engine, precision: str = "") -> None:
        self._engine, self._lock = engine, threading.Lock()
        self._loaded: dict[str, LanguageModel] = {}
        self._looked = 0.0
        self._entries: list[Entry] = []
        self._chosen = precision

    @functools.cached_property
    def precision(self) -> str:
        """The precision of every model."""
        return self._chosen or language_model.best_precision(language_model.default_device())

    def get(self, name: str = "") -> LanguageModel:
        """Return a model, loading it if need be; the best here when no name is given.

        Where its files have changed, they are loaded anew; texts that are being written go on with the old weights.

        Raises
        ------
        UnknownModel, ModelNotHere, DamagedFile, NotEnoughMemory, AccessRefused
        """
        name = name or registry.best_here()
        release_stage.require_open(name)
        model = self._current(name)
        if model is None:
            with self._lock:
                model = self._current(name) or self._load(name)
        return model

    def models(self) -> list[JsonObject]:
        """Describe all models on offer, as OpenAI lists them."""
        if time.monotonic() - self._looked > REMEMBERED_S:
            here = [known for known in registry.entries() if registry.folder_of(known)]
            self._entries = [known for known in here if known.name in self._loaded or registry.fits(known)]
            self._looked = time.monotonic()
        entries = []
        for known in self._entries:
            with contextlib.suppress(DamagedFile, ModelNotHere):  # a client that asks for it gets the error
                entries += [self._describe(known)] if release_stage.is_open(known.name) else []
        return entries

    def model(self, name: str) -> JsonObject:
        """Describe one of them."""
        known = registry.entry(name)
        release_stage.require_open(name)
        return self._describe(known)

    def _current(self, name: str) -> LanguageModel | None:
        """Return a model that is loaded and whose files are still the same, or None."""
        model = self._loaded.get(name)
        return model if model is not None and model.is_current() else None

    def _load(self, name: str) -> LanguageModel:
        """Load a model, in the place of what was loaded under its name before; the caller holds the lock."""
        registry.entry(name)
        old = self._loaded.pop(name, None)
        if old is not None:
            self._engine.retire(old)
        try:
            model = language_model.load(name, self.precision)
        except NotEnoughMemory:
            forgotten = self._engine.forget(list(self._loaded.values()))
            for other in [other for other, loaded in self._loaded.items() if loaded in forgotten]:
                language_model.forget(self._loaded.pop(other))
            del old, forgotten
            gc.collect()
            model = language_model.load(name, self.precision)
        self._loaded[name] = model
        return model

    def _describe(self, known: Entry) -> JsonObject:
        folder, loaded = registry.folder_of(known), self._current(known.name)
        if folder is None:
            what = f"{known.name} is not on this server."
            raise ModelNotHere(what, "A model that /v1/models lists.", "Ask for another.")
        if loaded is None:
            header, device = checksums.look(folder, known.weights_sha256), language_model.default_device().type
            identity = [header.weights_sha256, self.precision, device, header.settings_sha256]
            context, vocabulary_sha256 = _context(folder), header.sha256.get(formats.TOKENIZER, "")
        else:
            identity, context, vocabulary_sha256 = loaded.identity, loaded.context, loaded.vocabulary_sha256
        label = f"{known.name} · {known.n_parameters / 1e6:,.1f} M parameters · {self.precision}"
        course = {
            "label": f"{label} on {identity[2]}",
            "about": known.about,
            "precision": self.precision,
            "context": min(context, MAX_CONTEXT),
            "n_parameters": known.n_parameters,
            "vocabulary_sha256": vocabulary_sha256,
            "weights_sha256": identity[0],
            "identity": identity,
            "is_loaded": loaded is not None,
        }
        return {"id": known.name, "object": "model", "created": 0, "owned_by": known.origin, "course": course}


def _context(folder: Path) -> int:
    try:
        config = json.loads((folder / formats.CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    return formats.context_of(config if isinstance(config, dict) else {})


def ids_of(model: LanguageModel, request: CompletionRequest) -> tuple[list[int], str]:
    """Return a request's token ids as the model will see them, and a notice where the prompt was cut.

    Raises
    ------
    Refusal, CourseError
        If the prompt is no text, has unknown ids, or is too long.
    """
    ids = list(request.prompt) if isinstance(request.prompt, tuple) else model.encode(request.prompt)
    n_vocabulary = model.network.vocab_size
    if any(token_id >= n_vocabulary for token_id in ids):
        raise Refusal(
            f"The prompt has the token id {max(ids)}.", f"Ids below {n_vocabulary}, as {model.name} has.",
            "Use the ids of this model's tokenizer, or send text.", param="prompt",
        )  # fmt: skip
    if request.scores:
        return _to_score(ids), ""
    max_prompt_tokens = min(model.context, MAX_CONTEXT) - request.settings.max_new_tokens
    if max_prompt_tokens < 1 or (len(ids) > max_prompt_tokens and not request.fit):
        raise Refusal(
            f"The prompt has {len(ids):,} tokens, and {request.settings.max_new_tokens} are to be written.",
            f"At most {min(model.context, MAX_CONTEXT):,} together.",
            "Shorten the prompt, or ask for fewer tokens.", code="context_length_exceeded", param="prompt",
        )  # fmt: skip
    return ids[-max_prompt_tokens:] or [model.start_id], saw_only(len(ids), max_prompt_tokens) if len(
        ids
    ) > max_prompt_tokens else ""


def _to_score(ids: list[int]) -> list[int]:
    if not 1 <= len(ids) <= MAX_SCORED_TOKENS:
        raise Refusal(
            f"The text has {len(ids):,} tokens.", f"1 to {MAX_SCORED_TOKENS:,} to be scored.",
            "Send a part of it." if ids else "Send a text.",
            code="context_length_exceeded" if ids else "invalid_value", param="prompt",
        )  # fmt: skip
    return ids
