"""What a language model makes of texts that somebody wrote: each token's surprisal and rank, many texts at once."""

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from course_utils.errors import TextError
from course_utils.experiments.machine_texts import weights_sha256
from course_utils.experiments.remember import remembered
from course_utils.experiments.result import versions
from course_utils.models.decoding import Cancelled
from course_utils.models.language_model import LanguageModel

BLOCK = 16  # texts that are read and kept together
MOST_TOKENS = 512  # in one batch, padding included: with GPT-2's vocabulary 100 MB of logits


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """One text under a model: nats (each token's surprisal) and ranks (1 is the likeliest token), shape (T,)."""

    nats: np.ndarray
    ranks: np.ndarray


def read_texts(
    model: LanguageModel,
    texts: Sequence[str],
    progress: Callable[[float], object] | None = None,
    cancel: threading.Event | None = None,
) -> list[Reading]:
    """Read many texts, each from its beginning, or return what the same model made of them before.

    Parameters
    ----------
    model : LanguageModel
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
    known = [weights_sha256(model), model.precision, model.device.type, versions()]
    known.append(hashlib.sha256(Path(__file__).read_bytes()).hexdigest())
    readings = []
    for start in range(0, len(texts), BLOCK):
        block = list(texts[start : start + BLOCK])
        found = remembered("reading", [*known, block], lambda block=block: _read_block(model, block, cancel))
        pairs = zip(found["nats"], found["ranks"], strict=True)
        readings += [Reading(np.array(nats), np.array(ranks)) for nats, ranks in pairs]
        if progress is not None:
            progress(len(readings) / len(texts))
    return readings


def _read_block(model: LanguageModel, texts: list[str], cancel: threading.Event | None) -> dict:
    all_ids = [_ids(model, text) for text in texts]
    nats, ranks = [None] * len(texts), [None] * len(texts)
    waiting = sorted(range(len(texts)), key=lambda place: -len(all_ids[place]))
    while waiting:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        n_texts = max(1, MOST_TOKENS // len(all_ids[waiting[0]]))
        batch, waiting = waiting[:n_texts], waiting[n_texts:]
        for place, (its_nats, its_ranks) in zip(batch, _look(model, [all_ids[i] for i in batch]), strict=True):
            nats[place], ranks[place] = its_nats, its_ranks
    return {"nats": nats, "ranks": ranks}


@torch.inference_mode()
def _look(model: LanguageModel, batch: list[list[int]]) -> list[tuple[list[float], list[int]]]:
    """Return nats and ranks of what came; the shorter are filled up at their end, which no token before it sees."""
    rows = [torch.tensor(ids, device=model.device) for ids in batch]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, T)
    logits = model.network(padded[:, :-1], use_cache=False).logits.float()  # (B, T - 1, V)
    chosen = logits.gather(2, padded[:, 1:, None])  # (B, T - 1, 1)
    nats = torch.logsumexp(logits, dim=-1) - chosen[..., 0]
    ranks = (logits > chosen).sum(dim=-1) + 1
    lengths = [len(ids) - 1 for ids in batch]
    return [(nats[i, :n].tolist(), ranks[i, :n].tolist()) for i, n in enumerate(lengths)]


def _ids(model: LanguageModel, text: str) -> list[int]:
    ids = [model.start_id, *model.encode(text)]
    if not 2 <= len(ids) <= model.context:
        raise TextError(
            f"A text has {len(ids) - 1:,} tokens: {text[:40]!r}.",
            f"From 1 to {model.context - 1:,} tokens, which {model.name} sees at once.",
            "Cut the texts: lower n_words.",
        )
    return ids
