"""The course's noise as a processor for `generate` of transformers, the reference for what is drawn."""

import torch

from course_utils.models.inference.sampling import gumbel


class SeededNoise:
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
