"""Scoring of given texts: the log probability of each token, with a sliding window for long texts."""

import contextlib
import dataclasses
import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional

from course_utils.core import limits
from course_utils.errors import SettingsError, TextError
from course_utils.models.inference.base import Cancelled, LocalModel
from course_utils.models.inference.decoding import CHUNK, observe
from course_utils.models.inference.detokenizer import TextPieces, Vocabulary
from course_utils.models.inference.tokens import ScoredText, TokenStep

WINDOW = 1024  # tokens seen at once: GPT-2's context, so that models with a longer one compare
BATCH = 2048  # tokens read at once, padding included
MOST_LOGITS = 1 << 22  # at once: 16 MB stay near the processor, and large ones would cost more than their arithmetic


def score(
    model: LocalModel,
    text: str,
    stride: int | None = None,
    *,
    progress: Callable[[float], object] | None = None,
    cancel: threading.Event | None = None,
) -> ScoredText:
    """Say how likely the model found every token of a text, and what it would have found likelier.

    Parameters
    ----------
    model : LanguageModel
    text : str
    stride : int, optional
        How many tokens the window moves at a time when the text is longer than it, 1 to the window's size; half a
        window when left out. A smaller stride gives every token more context and takes longer.
    progress : callable, optional
        Called every few dozen tokens with the share that is done.
    cancel : threading.Event, optional
        Looked at as often.

    Returns
    -------
    ScoredText

    Raises
    ------
    TextError
        If there is no text.
    SettingsError
        If the stride is out of its range.
    Cancelled
    """
    ids, window, stride = _ids(model, text), *window_and_stride(model, stride)
    n_chunks = sum(math.ceil((end - begin) / CHUNK) for begin, _, end in windows(len(ids) - 1, window, stride))
    tell, steps = _teller(n_chunks, progress, cancel), []
    tell()
    for some in look(model, ids, window, stride):
        steps += some
        tell()
    return ScoredText(text, tuple(with_text(steps, model.vocabulary)), window, stride, model.name, model.precision)


def look(model: LocalModel, ids: list[int], window: int, stride: int) -> Iterator[list[TokenStep]]:
    """Score every token but the first, a chunk of text at a time, so that other work can be done in between.

    Yields
    ------
    list of TokenStep
        Without text piece; see `with_text`. Empty where a chunk was read only as context.
    """
    for place in windows(len(ids) - 1, window, stride):
        yield from _look(model, ids, *place)


def score_nats(
    model: LocalModel,
    texts: Sequence[str],
    stride: int | None = None,
    *,
    all_cores: bool = True,
    bf16: bool = False,
    progress: Callable[[float], object] | None = None,
    cancel: threading.Event | None = None,
) -> list[np.ndarray]:
    """Return the surprisal of every token of many texts: the numbers of `score` alone, many windows at once.

    Parameters
    ----------
    model : LanguageModel
    texts : sequence of str
    stride : int, optional
        As for `score`.
    all_cores : bool
        Whether to compute on every core of the processor, where ``load`` leaves one to the browser.
    bf16 : bool
        Whether the blocks multiply in 16 bits: about half the time where the processor has the instruction. Bits per
        character move by less than 0.001; a single token's surprisal by up to a few tenths of a nat (SmolLM2).
    progress : callable, optional
        Called after each batch with the share of the windows that is done.
    cancel : threading.Event, optional
        Looked at before each batch.

    Returns
    -------
    list of np.ndarray
        One a text, of shape (T,): minus the natural logarithm of each token's probability.

    Raises
    ------
    TextError
        If a text has no character, or ``texts`` is one string.
    SettingsError
        If the stride is out of its range, or the network is of a kind whose last layer is not read by itself.
    Cancelled
        If the stop signal came.

    Notes
    -----
    Windows of about the same length share a batch. The shorter are filled up at their end, which changes nothing: no
    token sees those after it.
    """
    if isinstance(texts, str):
        raise TextError(f"texts is the text {texts[:40]!r}.", "A list of texts.", "Put it in brackets: [text].")
    all_ids, (window, stride) = [_ids(model, text) for text in texts], window_and_stride(model, stride)
    laid = [_Window(t, *place) for t, ids in enumerate(all_ids) for place in windows(len(ids) - 1, window, stride)]
    nats = [np.empty(len(ids) - 1, dtype=np.float32) for ids in all_ids]
    _require_plain_output(model)
    n_done = 0
    for batch in _batches(laid):
        if cancel is not None and cancel.is_set():
            raise Cancelled
        with _all_cores(model.device) if all_cores else contextlib.nullcontext():
            found = _read_batch(model, [all_ids[place.text] for place in batch], batch, bf16)
        for place, values in zip(batch, found, strict=True):
            nats[place.text][place.new : place.end] = values
        n_done += len(batch)
        if progress is not None:
            progress(n_done / len(laid))
    return nats


def windows(n_places: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Lay windows over a text so that every place is scored once.

    Yields
    ------
    begin, new, end : int
        The model sees places ``begin`` to ``end``; those from ``new`` on are scored.

    Examples
    --------
    >>> list(windows(10, window=4, stride=3))
    [(0, 0, 4), (3, 4, 7), (6, 7, 10)]
    """
    end = min(window, n_places)
    yield 0, 0, end
    while end < n_places:
        new, end = end, min(end + stride, n_places)
        yield end - window, new, end


@dataclasses.dataclass(frozen=True, slots=True)
class _Window:
    text: int
    begin: int
    new: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin

    @property
    def n_context(self) -> int:
        return self.new - self.begin


def _ids(model: LocalModel, text: str) -> list[int]:
    ids = [model.start_id, *model.encode(text)]
    if len(ids) == 1:
        raise TextError("There is no text to score.", "At least one character.", "Pass the text as a string.")
    return ids


def window_and_stride(model: LocalModel, stride: int | None) -> tuple[int, int]:
    """Return how many tokens a model sees at once, and how far that window moves at a time."""
    window = min(model.context, WINDOW)
    stride = window // 2 if stride is None else stride
    if not isinstance(stride, int) or not 1 <= stride <= window:
        raise SettingsError(
            f"stride is {stride!r}.", f"A whole number from 1 to {window}.", f"Use stride={window // 2}."
        )
    return window, stride


def _batches(laid: list[_Window]) -> Iterator[list[_Window]]:
    """Put windows of like length together, the longest first, which shows at once whether memory suffices."""
    waiting = sorted(laid, key=lambda place: -place.length)
    while waiting:
        n_windows = max(1, BATCH // waiting[0].length)
        yield waiting[:n_windows]
        waiting = waiting[n_windows:]


@torch.inference_mode()
def _read_batch(model: LocalModel, texts: list[list[int]], batch: list[_Window], bf16: bool) -> list[np.ndarray]:
    """Return the surprisal of what came at the places to be scored of each window."""
    rows = [torch.tensor(ids[place.begin : place.end]) for ids, place in zip(texts, batch, strict=True)]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)  # (B, T)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        hidden = model.network.hidden(padded).float()  # (B, T, D)
    scored = torch.cat([row[place.n_context : place.length] for row, place in zip(hidden, batch, strict=True)])
    came = [token for ids, place in zip(texts, batch, strict=True) for token in ids[place.new + 1 : place.end + 1]]
    tokens_that_came = torch.tensor(came, device=model.device)
    n_rows = max(64, MOST_LOGITS // model.network.vocab_size)
    pairs = zip(torch.split(scored, n_rows), torch.split(tokens_that_came, n_rows), strict=True)
    nats = [functional.cross_entropy(model.network.logits(part), tokens, reduction="none") for part, tokens in pairs]
    ends = np.cumsum([place.end - place.new for place in batch])
    return np.split(torch.cat(nats).cpu().numpy(), ends[:-1])


@torch.inference_mode()
def _require_plain_output(model: LocalModel) -> None:
    """Refuse networks that do more after their last layer than multiply: ours reads the layer's output by itself."""
    ids = model.tensor([model.start_id])
    whole = model.network.read(ids, model.network.new_cache())
    by_hand = model.network.logits(model.network.hidden(ids)[0])
    if not torch.allclose(whole, by_hand, atol=1e-3):
        raise SettingsError(
            f"{model.name} does more with its last layer than multiply.",
            "A network of GPT-2's or Llama's kind.",
            "Use model.score(text), one text at a time.",
        )


@contextlib.contextmanager
def _all_cores(device: torch.device) -> Iterator[None]:
    """Lend every core of this process to a batch: with large layers no thread waits long for another."""
    before = torch.get_num_threads()
    if device.type == "cpu" and not limits.chosen_threads():
        torch.set_num_threads(limits.thread_limit())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _teller(
    n_chunks: int, progress: Callable[[float], object] | None, cancel: threading.Event | None
) -> Callable[[], None]:
    """Return what looks at the stop signal and tells what is done: a long text takes a large model a minute."""
    done = itertools.count()

    def tell() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        if progress is not None:
            progress(next(done) / n_chunks)

    return tell


@torch.inference_mode()
def _look(model: LocalModel, ids: list[int], begin: int, new: int, end: int) -> Iterator[list[TokenStep]]:
    """Score the tokens that came after places new … end - 1, in chunks that keep the logits small."""
    cache = model.network.new_cache()
    for start in range(begin, end, CHUNK):
        stop = min(start + CHUNK, end)
        n_context = max(new - start, 0)
        logits = model.network.read(model.tensor(ids[start:stop]), cache, all_logits=True)  # (T, V)
        came = model.tensor(ids[min(start + n_context, stop) + 1 : stop + 1])[0]
        yield observe(logits[n_context:], came, model.vocabulary) if len(came) else []


def with_text(steps: list[TokenStep], vocabulary: Vocabulary) -> Iterator[TokenStep]:
    """Give each token of a text its piece."""
    pieces = TextPieces(vocabulary)
    texts = [text for step in steps for text in pieces.add(step.token_id)] + pieces.finish()
    for number, (step, text) in enumerate(zip(steps, texts, strict=True), start=1):
        yield dataclasses.replace(step, text=text, is_last=number == len(steps))
