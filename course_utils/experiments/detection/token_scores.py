"""Token scores of given texts: the surprisal and rank of each token under a model, many texts in a batch."""

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from course_utils.core.code_hash import code_hash
from course_utils.errors import TextError
from course_utils.experiments.core.cache import cached
from course_utils.experiments.core.result import versions
from course_utils.models.inference.base import BaseLanguageModel, LocalModel

BLOCK = 16  # texts that are read and kept together


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """One text under a model: nats (each token's surprisal) and ranks (1 is the likeliest token), shape (T,)."""

    nats: np.ndarray
    ranks: np.ndarray


def read_texts(
    model: BaseLanguageModel,
    texts: Sequence[str],
    progress: Callable[[float], object] | None = None,
    cancel: threading.Event | None = None,
) -> list[Reading]:
    """Read many texts, each from its beginning, or return what the same model made of them before.

    Parameters
    ----------
    model : BaseLanguageModel
    texts : sequence of str
        None longer than the model's context.
    progress : callable, optional
        Called with the share of the texts that is done.
    cancel : threading.Event, optional
        Looked at between batches.

    Raises
    ------
    TextError
        A text is empty or longer than the model sees at once.
    Cancelled
        Blocks of texts that were read are kept.

    Notes
    -----
    The numbers are those of ``model.score(text)``: the first token comes after the end-of-text token, as in GLTR
    (Gehrmann, Strobelt and Rush 2019).
    """
    known = [*model.identity, versions()]
    known.append(code_hash(__name__))
    readings = []
    for start in range(0, len(texts), BLOCK):
        block = list(texts[start : start + BLOCK])
        found = cached("reading", [*known, block], functools.partial(_read_block, model, block, cancel))
        pairs = zip(found["nats"], found["ranks"], strict=True)
        readings += [Reading(np.array(nats), np.array(ranks)) for nats, ranks in pairs]
        if progress is not None:
            progress(len(readings) / len(texts))
    return readings


def _read_block(
    model: BaseLanguageModel, texts: list[str], cancel: threading.Event | None
) -> dict[str, list[list[float]] | list[list[int]]]:
    if model.capabilities.weights:
        from course_utils.models.inference.ranks import (
            nats_and_ranks,  # only here: a kernel without weights needs no torch
        )

        for text in texts:
            _require_length(model, text, model.count_tokens(text))
        return dict(zip(("nats", "ranks"), nats_and_ranks(cast(LocalModel, model), texts, cancel), strict=True))
    nats, ranks = [], []
    for text in texts:
        steps = model.score(text, cancel=cancel).steps
        _require_length(model, text, len(steps))
        nats.append([step.surprisal_bits * math.log(2) for step in steps])
        ranks.append([step.rank for step in steps])
    return {"nats": nats, "ranks": ranks}


def _require_length(model: BaseLanguageModel, text: str, n_tokens: int) -> None:
    if not 1 <= n_tokens < model.context:
        raise TextError(
            f"A text has {n_tokens:,} tokens: {text[:40]!r}.",
            f"From 1 to {model.context - 1:,} tokens, which {model.name} sees at once.",
            "Cut the texts: lower n_words.",
        )
