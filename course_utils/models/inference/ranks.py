"""Token ranks and surprisal of many short texts, computed in one batch."""

import threading
from collections.abc import Sequence

import torch

from course_utils.models.inference.base import Cancelled, LocalModel
from course_utils.models.networks.network import Network

MOST_TOKENS = 512  # in one batch, padding included: with GPT-2's vocabulary 100 MB of logits


def nats_and_ranks(
    model: LocalModel, texts: Sequence[str], cancel: threading.Event | None = None
) -> tuple[list[list[float]], list[list[int]]]:
    """Return surprisal (in nats) and rank of every token of texts that fit into the model's context, many at once.

    Raises
    ------
    Cancelled
        If the stop signal came.
    """
    all_ids = [[model.start_id, *model.encode(text)] for text in texts]
    nats: list[list[float]] = [[]] * len(texts)  # each is replaced by the numbers of its text
    ranks: list[list[int]] = [[]] * len(texts)
    waiting = sorted(range(len(texts)), key=lambda place: -len(all_ids[place]))
    while waiting:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        n_texts = max(1, MOST_TOKENS // len(all_ids[waiting[0]]))
        batch, waiting = waiting[:n_texts], waiting[n_texts:]
        for place, (its_nats, its_ranks) in zip(batch, _look(model, [all_ids[i] for i in batch]), strict=True):
            nats[place], ranks[place] = its_nats, its_ranks
    return nats, ranks


@torch.inference_mode()
def _look(model: LocalModel, batch: list[list[int]]) -> list[tuple[list[float], list[int]]]:
    """Return nats and ranks of what came; the shorter are filled up at their end, which no token before it sees."""
    rows = [torch.tensor(ids, device=model.device) for ids in batch]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, T)
    logits = _all_logits(model.network, padded[:, :-1])  # (B, T - 1, V)
    chosen = logits.gather(2, padded[:, 1:, None])  # (B, T - 1, 1)
    nats = torch.logsumexp(logits, dim=-1) - chosen[..., 0]
    ranks = (logits > chosen).sum(dim=-1) + 1
    lengths = [len(ids) - 1 for ids in batch]
    return [(nats[i, :n].tolist(), ranks[i, :n].tolist()) for i, n in enumerate(lengths)]


def _all_logits(network: Network, ids: torch.Tensor) -> torch.Tensor:
    """Return logits of shape (B, T, V) of texts of shape (B, T)."""
    if not network.is_batched:  # it may do more after its last layer than multiply
        return torch.stack([network.read(row[None], network.new_cache(), all_logits=True) for row in ids])
    hidden = network.hidden(ids)
    return network.logits(hidden.flatten(0, 1)).view(*ids.shape, -1)
