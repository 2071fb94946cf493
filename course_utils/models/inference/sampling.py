"""Sampling: settings become logits processors, and a seed becomes the noise that draws a token."""

import numpy as np
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_utils.models.inference.settings import Settings


class SeededNoise(LogitsProcessor):
    """Add Gumbel noise to the log-probabilities, so that their largest is an exact random draw.

    The noise depends only on (seed, step, token id). A request therefore reproduces itself whatever else the process
    draws, and the same seed couples models of different sizes: where they agree, they draw the same token.

    Parameters
    ----------
    seeds : list of int
        One a row.
    first_step : int
        The step of the first call; above 0 when a text is continued.

    Notes
    -----
    The Gumbel-max trick (Gumbel 1954); comparing models on the same draws is known as common random numbers. The
    generator is Philox (Salmon et al. 2011).
    """

    def __init__(self, seeds: list[int], first_step: int = 0) -> None:
        self.seeds, self.step = seeds, first_step

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities of shape (B, V) plus noise; the next call is the next step."""
        log_probability = torch.log_softmax(scores.float(), dim=-1)
        noise = torch.stack([gumbel(seed, self.step, scores.shape[-1]) for seed in self.seeds]).to(scores.device)
        self.step += 1
        return log_probability + noise


def gumbel(seed: int, step: int, n_tokens: int) -> torch.Tensor:
    """Return the noise of one step of one seed: a number for every token."""
    # A counter-based generator: the seed is its key, the step its counter, so a text that is continued meets the
    # noise it would have met without the stop. Gumbel noise is minus the logarithm of an exponential draw.
    draw = np.random.Generator(np.random.Philox(key=seed, counter=step << 192))
    # In 64 bits: among 50,000 draws of 32 bits a step, one in 300 steps holds an exact 0, whose noise is infinite.
    return torch.from_numpy(-np.log(draw.standard_exponential(n_tokens))).float()


def processors(settings: Settings) -> LogitsProcessorList:
    """Return transformers' own processors for these settings, in the order in which ``generate`` applies them."""
    chosen = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.is_greedy:
        return chosen
    if settings.temperature != 1:
        chosen.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        chosen.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        chosen.append(TopPLogitsWarper(settings.top_p))
    return chosen
