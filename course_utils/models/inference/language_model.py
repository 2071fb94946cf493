"""Local language model: streams, generates and scores texts, and lists next tokens."""

import contextlib
import dataclasses
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import torch

from course_utils.core.files import expanded
from course_utils.errors import CourseError, DamagedFile, ModelNotHere, NotEnoughMemory, SettingsError, TextError
from course_utils.models.inference.base import BaseLanguageModel, Capabilities
from course_utils.models.inference.context_window import notice_of, window
from course_utils.models.inference.decoding import Start, Stream, alternatives, read
from course_utils.models.inference.detokenizer import TextPieces, Vocabulary
from course_utils.models.inference.kv_cache import Kept
from course_utils.models.inference.scoring import score
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokenizer import Tokenizer, read_tokenizer
from course_utils.models.inference.tokens import Alternative, Generation, ScoredText
from course_utils.models.networks.network import Network
from course_utils.models.quantization import precision as precisions
from course_utils.models.registry import checksums, formats, registry, release_stage
from course_utils.models.weights import read_network
from course_utils.models.weights.own_config import end_of_text_ids, own_config

END_OF_TEXT = "<|endoftext|>"

N_TRIES = 3  # to load files that stay as they are meanwhile

_loaded: dict[tuple[str, str], "LanguageModel"] = {}
_lock = threading.Lock()


def load(name: str | Path | None = None, precision: str = "auto") -> "LanguageModel":
    """Return a model of this machine, loaded; asked again, the same one at once.

    Where the files of the model have changed since, they are loaded anew. A model that somebody holds stays as it is:
    its weights and its ``weights_sha256`` are those of the file that it was loaded from.

    Parameters
    ----------
    name : str or Path, optional
        A name of `models`, or a checkpoint's folder; the best model on this machine when left out.
    precision : {"auto", "fp32", "int8"}
        ``"fp32"`` for every number that counts. ``"auto"`` takes what a self-test found fastest on this machine.

    Returns
    -------
    LanguageModel

    Raises
    ------
    UnknownModel, ModelNotHere, DamagedFile, NotEnoughMemory
        Nothing is put in the place of a model that cannot be had.
    AccessRefused
        The release stage that is set keeps it closed, also where it is loaded already.
    SettingsError
        If the precision is none of the three.
    """
    if precision not in ("auto", *precisions.PRECISIONS):
        raise SettingsError(
            f"precision is {precision!r}.", '"auto", "fp32" or "int8".', 'Use load(name, precision="fp32").'
        )
    name = name or registry.best_here()
    release_stage.require_open(Path(name).name)
    folder = _folder_of(name) if isinstance(name, Path) else registry.find(name)
    name = formats.name_of(folder) if isinstance(name, Path) else name
    device = default_device()
    precisions.leave_a_core_free()
    if precision == "auto":
        precision = best_precision(device)
    with _lock:
        key = str(folder.resolve()), precision
        if key in _loaded and not _loaded[key].is_current():
            del _loaded[key]  # before the next one is loaded: they need not fit into memory together
        if key not in _loaded:
            _make_room(name, precision)
            _loaded[key] = LanguageModel(folder, precision, device, name)
        return _loaded[key]


def forget(model: "LanguageModel") -> None:
    """Let go of a loaded model, so that its memory is free once nobody else holds it."""
    with _lock:
        for key in [key for key, known in _loaded.items() if known is model]:
            del _loaded[key]


def _folder_of(path: Path) -> Path:
    """Return the folder in which a path's checkpoint lies, also where the path is one of the hub's cache."""
    folder = formats.resolved(expanded(path))
    if not os.path.isdir(folder):
        raise ModelNotHere(f"{path} is no folder.", "A checkpoint's folder.", "Check the path.")
    if not os.path.isfile(folder / formats.CONFIG):
        raise DamagedFile(f"{folder / formats.CONFIG} is missing.", "A checkpoint's folder.", "Check the path.")
    return folder


def default_device() -> torch.device:
    """Return where models are put: the graphics card, or the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def best_precision(device: torch.device) -> str:
    """Return the fastest precision that is right on a device; on a processor a self-test of a second tells."""
    if device.type != "cpu":
        return "fp32"
    precisions.leave_a_core_free()  # the self-test computes with as many threads as the models will
    return precisions.fastest()


def _make_room(name: str, precision: str) -> None:
    """Forget the models loaded before when the next one would not fit beside them."""
    if name not in [entry.name for entry in registry.entries()]:
        return
    try:
        registry.require_memory(registry.entry(name), precision)
    except NotEnoughMemory:
        _loaded.clear()
        gc.collect()
        registry.require_memory(registry.entry(name), precision)


class LanguageModel(BaseLanguageModel):
    """A causal language model with the tokenizer it was trained with.

    Parameters
    ----------
    folder : Path
        Holds config.json, model.safetensors and the tokenizer's files.
    precision : {"fp32", "int8"}
    device : torch.device
    name : str, optional
        What it is called; the folder's name when left out.

    Attributes
    ----------
    name, precision, label : str
        The label names the model in one line, to stand beside its text.
    context : int
        Tokens it can see at once.
    n_parameters : int
    weights_sha256 : str
        The sha256 of the file its weights came from, taken when they were loaded. Of weights in several files it is
        that of all their bytes, one file after the other, sorted by name.
    abilities : Capabilities
        All: the weights lie here.

    Raises
    ------
    DamagedFile
        A file is missing, damaged, or changes while it is read.
    CourseError
        The network or the tokenizer is of a kind that the course cannot use.

    Notes
    -----
    The weights are copied into memory of the process. A file that is overwritten in its place changes nothing.
    """

    capabilities = Capabilities()

    def __init__(
        self, folder: Path, precision: str = "fp32", device: torch.device | None = None, name: str | None = None
    ) -> None:
        folder = formats.resolved(folder)
        self.name, self.precision = name or formats.name_of(folder), precision
        self.device = device or torch.device("cpu")
        self._seen, self.tokenizer, self.network = self._read(folder)
        self.vocabulary = Vocabulary(self.tokenizer)
        self._require_matching()
        self.kept = Kept()
        self.start_id, self.end_ids = self._special_ids()
        self.label = f"{self.name} · {self.n_parameters / 1e6:,.1f} M parameters · {precision} on {self.device.type}"

    def _read(self, folder: Path) -> tuple[checksums.Seen, Tokenizer, Network]:
        """Read tokenizer and network, and make sure that the files that were hashed are those that were read."""
        for _ in range(N_TRIES):
            seen = checksums.look(folder)
            try:
                tokenizer, network = read_tokenizer(folder), self._read_network(seen)
            except Exception:
                if seen.is_current():
                    raise
                continue  # read while another program was writing
            if seen.is_current():
                return seen, tokenizer, network
        raise checksums.changing(folder)

    def _read_network(self, seen: checksums.Seen) -> Network:
        """Read the weights into the course's own forward pass, or let transformers compute where it has none."""
        config = own_config(seen.folder)
        if config is not None:
            network: Network = read_network.read_network(seen, config, self.precision, self.device)
            self.context, self._ends = formats.context_of(config), end_of_text_ids(seen.folder, config)
        else:
            # Imported here: transformers takes seconds, and most models are read without it.
            from course_utils.models.inference import compatibility

            network, self.context, self._ends = compatibility.load_network(
                seen.folder, self.name, self.precision, self.device
            )
        self.n_parameters = network.n_parameters
        return network

    def __repr__(self) -> str:
        """Return the label."""
        return f"<LanguageModel {self.label}>"

    def stream(
        self, prompt: str, settings: Settings = Settings(), n_samples: int = 1, cancel: threading.Event | None = None
    ) -> Stream:
        """Write on from a prompt, one token at a time.

        Parameters
        ----------
        prompt : str
            Empty: the model starts from its end-of-text token, as between two documents.
        settings : Settings
        n_samples : int
            Sample i is drawn with ``settings.seed + i`` and is the same text as when drawn alone.
        cancel : threading.Event, optional
            Set it from any thread to stop between two tokens.

        Returns
        -------
        Stream
            Iterate it for Steps. Its `notice` says when the prompt was too long and only its last tokens were kept.

        Raises
        ------
        TextError, SettingsError
        """
        if not isinstance(n_samples, int) or not 1 <= n_samples <= 64:
            raise SettingsError(
                f"n_samples is {n_samples!r}.", "A whole number from 1 to 64.", "Ask for fewer samples."
            )
        start, notice = self._start(prompt, [], settings)
        empty = [
            Generation(prompt, (), settings, settings.seed_of(i), self.name, self.precision, notice, "stopped")
            for i in range(n_samples)
        ]
        return Stream(self, empty, [start] * n_samples, notice, cancel)

    def resume(self, generations: list[Generation], cancel: threading.Event | None = None) -> Stream:
        """Let samples go on where they ended, for ``max_new_tokens`` more; those at their end of text stay as they are.

        A text that was stopped and resumed is the text that would have come without the stop, in fp32 and in int8.
        Where the context is full before ``max_new_tokens`` have come, the text ends there; resumed again, it goes on,
        and the model sees the last tokens only, which `notice` says.
        """
        whole = [self._without_half_character(generation) for generation in generations]
        begun = [self._start(g.prompt, g.token_ids, g.settings) for g in whole]
        notice = next((notice for _, notice in begun if notice), "")
        return Stream(self, whole, [start for start, _ in begun], notice, cancel)

    def next_tokens(self, prompt: str, k: int = 10) -> list[Alternative]:
        """Return the k likeliest next tokens, best first, with the model's own probabilities.

        Raises
        ------
        SettingsError
            If k is not from 1 to the size of the vocabulary.
        """
        n_vocabulary = self.network.vocab_size
        if not isinstance(k, int) or not 1 <= k <= n_vocabulary:
            raise SettingsError(f"k is {k!r}.", f"A whole number from 1 to {n_vocabulary}.", "Use k=10.")
        start, _ = self._start(prompt, [], Settings(max_new_tokens=1))
        logits = read(self.network, self.tensor(start.ids), self.network.new_cache())
        best = torch.softmax(logits[0], dim=-1).topk(k)
        return list(alternatives(best.indices.tolist(), best.values.tolist(), self.vocabulary))

    def score(
        self,
        text: str,
        stride: int | None = None,
        *,
        progress: Callable[[float], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredText:
        """Say how likely the model found every token of a text; see `course_utils.models.inference.scoring.score`."""
        return score(self, text, stride, progress=progress, cancel=cancel)

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the file its weights came from."""
        return self._seen.weights_sha256

    @property
    def folder(self) -> Path | None:
        """Where the same weights lie; None where the file has changed since they were loaded."""
        seen = self._seen
        with contextlib.suppress(CourseError):
            if seen.is_current() or checksums.check(seen.folder)[formats.WEIGHTS] == seen.weights_sha256:
                return seen.folder
        return None

    @property
    def identity(self) -> list[str]:
        """What its numbers depend on: weights, precision, the kind of device, config and tokenizer."""
        return [self.weights_sha256, self.precision, self.device.type, self._seen.settings_sha256]

    @property
    def vocabulary_sha256(self) -> str:
        """The sha256 of tokenizer.json; empty where the tokenizer lies in other files."""
        return self._seen.sha256.get(formats.TOKENIZER, "")

    def is_current(self) -> bool:
        """Tell whether the files it was loaded from are still the same."""
        return self._seen.is_current()

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        return len(self.encode(text))

    def encode(self, text: str) -> list[int]:
        """Return a text's token ids, or a TextError when it is no text."""
        if not isinstance(text, str):
            raise TextError(
                f"The text is of type {type(text).__name__}.", "A string.", 'Put the text in quotation marks: "…".'
            )
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            raise TextError(
                f"Character number {problem.start + 1} of the text is half of a surrogate pair.",
                "Text that can be written as UTF-8.",
                "Paste the text again, or read its file with encoding='utf-8'.",
            ) from None
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _start(self, prompt: str, written: list[int], settings: Settings) -> tuple[Start, str]:
        """Return what the model sees before it writes on, and a notice where that is not the whole text."""
        if settings.max_new_tokens >= self.context:
            raise SettingsError(
                f"max_new_tokens is {settings.max_new_tokens}, and {self.name} sees {self.context} tokens at once.",
                f"At most {self.context - 1} new tokens.",
                f"Set max_new_tokens to {self.context // 2} and continue the text afterwards.",
            )
        ids = self.encode(prompt) or [self.start_id]
        begin, read_to = window(len(ids), len(written), self.context, settings.max_new_tokens)
        ids = [*ids, *written]
        n_new = min(settings.max_new_tokens, self.context - (len(ids) - begin))
        notice = notice_of(begin, read_to, n_new, settings.max_new_tokens)
        return Start(ids[begin:read_to], ids[read_to:], n_new), notice

    def tensor(self, ids: list[int]) -> torch.Tensor:
        """Return token ids as a tensor of shape (1, T) on the model's device."""
        return torch.tensor([ids], device=self.device)

    def _special_ids(self) -> tuple[int, frozenset[int]]:
        """Return the token that stands between documents, and all tokens that end a text."""
        start = self.tokenizer.get_vocab().get(END_OF_TEXT, self.tokenizer.eos_token_id)
        if start is None:
            raise DamagedFile(
                f"The tokenizer of {self.name} has no end-of-text token.",
                f"{END_OF_TEXT} or an eos_token.",
                "Add an eos_token to its tokenizer_config.json.",
            )
        return start, frozenset(i for i in (start, self.tokenizer.eos_token_id, *self._ends) if i is not None)

    def _require_matching(self) -> None:
        """Raise DamagedFile where the tokenizer is empty, or has tokens that the network does not know."""
        ids, n_known = (
            self.tokenizer.get_vocab().values(),
            self.network.vocab_size,
        )
        if not ids or not self.tokenizer.backend_tokenizer.encode("a", add_special_tokens=False).ids:
            what = f"The tokenizer of {self.name} has no tokens."
        elif max(ids) >= n_known:
            what = f"The tokenizer of {self.name} has token ids up to {max(ids):,}, the network {n_known:,} tokens."
        else:
            return
        raise DamagedFile(what, "The tokenizer that the model was trained with.", "Copy its tokenizer's files anew.")

    def _without_half_character(self, generation: Generation) -> Generation:
        """Take back last tokens that end inside a character's bytes: their text would show as U+FFFD."""
        if generation.ended == "end of text":  # nothing comes after them
            return generation
        steps = list(generation.steps)
        while steps and not _ends_whole([step.token_id for step in steps[-4:]], self.vocabulary):
            steps.pop()
        return dataclasses.replace(generation, steps=tuple(steps))


def _ends_whole(ids: list[int], vocabulary: Vocabulary) -> bool:
    pieces = TextPieces(vocabulary)
    for token_id in ids:
        pieces.add(token_id)
    return not pieces.is_mid_character
