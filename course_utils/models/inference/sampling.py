"""Sampling: settings become logits processors, and a seed becomes the noise that draws a token."""

import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from course_utils.models.inference.settings import Settings

Processor: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (ids so far, scores) to scores


@torch.inference_mode()
def draw(scores: torch.Tensor, seed: int, step: int) -> tuple[int, float]:
    """Draw a token from the softmax of scores; return its id and its probability.

    Gumbel noise is added to the log-probabilities: their largest is then an exact random draw. The noise depends only
    on (seed, step, token id). A request therefore reproduces itself whatever else the process draws, and the same seed
    couples models of different sizes: where they agree, they draw the same token.

    Parameters
    ----------
    scores : torch.Tensor of shape (V,)
        Minus infinity for tokens that the settings leave out.
    seed, step : int

    Notes
    -----
    The Gumbel-max trick (Gumbel 1954); comparing models on the same draws is known as common random numbers. The
    generator is Philox (Salmon et al. 2011).
    """
    scores = scores.float().cpu()
    kept = (scores > -torch.inf).nonzero()[:, 0]
    log_probability = torch.log_softmax(scores[kept], dim=0)
    place = int((log_probability + gumbel(seed, step, len(scores), kept)).argmax())
    return int(kept[place]), float(log_probability[place].exp())


def gumbel(seed: int, step: int, n_tokens: int, kept: torch.Tensor | None = None) -> torch.Tensor:
    """Return the noise of one step of one seed: a number for every token, or for the kept ids of shape (K,)."""
    # A counter-based generator: the seed is its key, the step its counter, so a text that is continued meets the
    # noise it would have met without the stop. Gumbel noise is minus the logarithm of an exponential draw.
    generator = np.random.Generator(np.random.Philox(key=seed, counter=step << 192))
    # In 64 bits: among 50,000 draws of 32 bits a step, one in 300 steps holds an exact 0, whose noise is infinite.
    drawn = generator.standard_exponential(n_tokens)
    drawn = drawn if kept is None else drawn[kept.numpy()]  # logarithms cost as much as the draws: only where needed
    return torch.from_numpy(-np.log(drawn)).float()


def processors(settings: Settings) -> list[Processor]:
    """Return the processors for these settings, in the order in which ``generate`` of transformers applies its own."""
    chosen: list[Processor] = []
    if settings.repetition_penalty != 1:
        chosen.append(functools.partial(repetition_penalty, penalty=settings.repetition_penalty))
    if settings.is_greedy:
        return chosen
    if settings.temperature != 1:
        chosen.append(functools.partial(temperature, temperature=settings.temperature))
    if settings.top_k:
        chosen.append(functools.partial(top_k, k=settings.top_k))
    if settings.top_p < 1:
        chosen.append(functools.partial(top_p, p=settings.top_p))
    return chosen


def process(settings: Settings, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return scores of shape (B, V) after all processors; ids of shape (B, T) are the tokens so far."""
    for processor in processors(settings):
        scores = processor(ids, scores)
    return scores


def repetition_penalty(ids: torch.Tensor, scores: torch.Tensor, penalty: float) -> torch.Tensor:
    """Make tokens that have come less likely (Keskar et al. 2019): negative scores are multiplied, others divided."""
    ids = ids.clamp(max=scores.shape[-1])  # tokens that the output layer does not have share one column, cut off below
    scores = torch.nn.functional.pad(scores, (0, 1))
    seen = scores.gather(1, ids)
    return scores.scatter(1, ids, torch.where(seen < 0, seen * penalty, seen / penalty))[..., :-1]


def temperature(ids: torch.Tensor, scores: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divide the scores: above 1 the distribution becomes flatter."""
    return scores / temperature


def top_k(ids: torch.Tensor, scores: torch.Tensor, k: int) -> torch.Tensor:
    """Leave the k largest scores (Fan et al. 2018), and those that equal the smallest of them."""
    smallest = scores.topk(min(k, scores.shape[-1]))[0][..., -1:]
    return scores.masked_fill(scores < smallest, -torch.inf)


def top_p(ids: torch.Tensor, scores: torch.Tensor, p: float) -> torch.Tensor:
    """Leave the likeliest tokens that together have probability p (Holtzman et al. 2019), at least one."""
    ordered, places = scores.sort(descending=False)
    is_removed = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    is_removed[..., -1:] = False
    return scores.masked_fill(is_removed.scatter(1, places, is_removed), -torch.inf)
