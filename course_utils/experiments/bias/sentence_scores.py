"""Sentence scores: sums of log probabilities of a sentence's tokens, or of what follows it."""

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_utils.core.code_hash import code_hash
from course_utils.errors import TextError
from course_utils.experiments.core.cache import cached
from course_utils.experiments.core.result import versions

if TYPE_CHECKING:
    from course_utils.models.inference.language_model import LanguageModel


def likely_words(
    model: "LanguageModel",
    firsts: Sequence[str],
    seconds: Sequence[str],
    words: Sequence[str] | None,
    n_words: int,
    cancel: threading.Event | None = None,
) -> dict[str, list]:
    """Return words, and log2 of their probability after each sentence of two sides (a, b), a row a sentence.

    Parameters
    ----------
    words : sequence of str, optional
        When left out, the ``n_words`` tokens that are likeliest after either side.

    Raises
    ------
    Cancelled
    """
    if words is not None:
        a, b = (continuation_bits(model, sentences, words, cancel).tolist() for sentences in (firsts, seconds))
        return {"words": list(words), "a": a, "b": b}
    a, b = (
        np.stack([next_bits(model, sentence, cancel) for sentence in sentences]) for sentences in (firsts, seconds)
    )  # (pairs, V)
    likely = np.maximum(a.mean(axis=0), b.mean(axis=0))
    ids = np.argsort(-likely, kind="stable")[:n_words]
    names = [model.vocabulary.text_of(int(token)) for token in ids]
    return {"words": names, "a": a[:, ids].tolist(), "b": b[:, ids].tolist()}


def next_bits(model: "LanguageModel", sentence: str, cancel: threading.Event | None = None) -> np.ndarray:
    """Return log2 of every next token's probability, shape (V,)."""
    import torch

    from course_utils.models.inference.base import Cancelled
    from course_utils.models.inference.decoding import read

    if cancel is not None and cancel.is_set():
        raise Cancelled
    ids = [model.start_id, *model.encode(sentence)]
    logits = read(model.network, model.tensor(ids), model.network.new_cache())[0]
    # In main memory: Apple's graphics cards (MPS) have no 64-bit floating point.
    exact = torch.from_numpy(logits.cpu().numpy().astype(np.float64))
    return (torch.log_softmax(exact, dim=-1) / np.log(2)).numpy()


def continuation_bits(
    model: "LanguageModel", sentences: Sequence[str], words: Sequence[str], cancel: threading.Event | None = None
) -> np.ndarray:
    """Return log2 of the probability that each continuation follows each sentence: the sum over its tokens.

    Returns
    -------
    np.ndarray of shape (n_sentences, n_words)

    Raises
    ------
    TextError
        A continuation is empty, or its first letters and the sentence's last make one token.
    Cancelled
    """
    from course_utils.models.inference.scoring import score_nats

    texts, n_before = [], []
    for sentence, word in itertools.product(sentences, words):
        before, ids = model.encode(sentence), model.encode(sentence + word)
        if len(ids) == len(before) or ids[: len(before)] != before:
            raise TextError(f"{word!r} has no tokens of its own.", "A word after a space.", 'words=[" nurse"]')
        texts.append(sentence + word)
        n_before.append(len(before))
    found = zip(score_nats(model, texts, cancel=cancel), n_before, strict=True)
    bits = [-nats[n:].sum(dtype=float) / np.log(2) for nats, n in found]
    return np.reshape(bits, (len(sentences), len(words)))


def sentence_bits(
    model: "LanguageModel", sentences: Sequence[str], cancel: threading.Event | None = None
) -> dict[str, list]:
    """Return log2 of the probability of each whole sentence (bits), and how many tokens it has (n_tokens)."""
    from course_utils.models.inference.scoring import score_nats

    nats = score_nats(model, sentences, cancel=cancel)
    return {"bits": [float(-n.sum(dtype=float) / np.log(2)) for n in nats], "n_tokens": [len(n) for n in nats]}


def once(kind: str, model: "LanguageModel", asked: object, compute: Callable[[], dict]) -> dict:
    """Return what was computed before from the same weights, code and plain values, or compute it; see `cached`."""
    known = [{model.name: model.weights_sha256}, model.precision, model.device.type, asked]
    return cached(kind, [*known, code_hash(__name__), versions()], compute)
