"""Training recipe: shape, passes over the text, learning-rate schedule, optimizer, weight averaging, seed."""

import dataclasses
import math
from typing import Self

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.errors import SettingsError

OPTIMIZERS = ("adamw", "muon")
SCHEDULES = ("cosine", "wsd")


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """Training recipe: everything that decides a training besides its text and its machine.

    Parameters
    ----------
    n_layers, width, n_heads : int
        L, D, H of the transformer; D must be divisible by H. GPT-2's own heads are 64 wide.
    context : int
        T, tokens seen at once.
    vocabulary : int
        V, entries of the byte-level BPE, ``<|endoftext|>`` included.
    batch : int
        B, windows a step.
    epochs : float
        Passes over the text; below 1, a part of it.
    learning_rate : float
        The highest learning rate, reached at the end of the warm-up.
    optimizer : {"adamw", "muon"}
        AdamW for all weights, as GPT-2's successors were trained; or Muon for the matrices inside the blocks and AdamW
        for the rest, which on little text reached the same loss with half the tokens.
    warm_up : float
        Length of the linear warm-up under ``"cosine"``, as a share of all steps.
    weight_decay, clip : float
        Of matrices only; of the gradient's norm.
    seed : int
    schedule : {"cosine", "wsd"}
        ``"cosine"``: after the warm-up the rate falls to a tenth along a cosine. ``"wsd"`` (warm-up, stable, decay; Hu
        et al. 2024, "MiniCPM"): the rate stays at its highest value and falls linearly to zero over the last steps. A
        training under ``"wsd"`` can be given more or fewer passes until its decay begins.
    warm_up_steps : int
        Length of the linear warm-up under ``"wsd"``. It is counted in steps because the number of all steps may change.
    decay : float
        Length of the decay under ``"wsd"``, as a share of all steps.
    average_steps : int
        Horizon of the weight average, in steps: an exponential moving average of the weights, in which each step's
        weights count ``1 / average_steps``. The average is what is judged and saved as the model. 0 takes the weights
        of the last step.
    """

    n_layers: int = 4
    width: int = 128
    n_heads: int = 2
    context: int = 256
    vocabulary: int = 4096
    batch: int = 16
    epochs: float = 1.0
    learning_rate: float = 3e-3
    optimizer: str = "adamw"
    warm_up: float = 0.02
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    schedule: str = "cosine"
    warm_up_steps: int = 100
    decay: float = 0.2
    average_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, by name."""
        for name in ("n_layers", "width", "n_heads", "context", "batch", "epochs", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is {getattr(self, name)}.", "A number above 0.", f"Set {name} higher.")
        if self.width % self.n_heads:
            raise SettingsError(
                f"A width of {self.width} cannot be shared by {self.n_heads} heads.",
                "A width divisible by the number of heads.",
                f"Set width={self.n_heads * max(1, self.width // self.n_heads)}.",
            )
        if self.optimizer not in OPTIMIZERS:
            raise SettingsError(f"optimizer is {self.optimizer!r}.", " or ".join(OPTIMIZERS), 'Set optimizer="adamw".')
        if self.schedule not in SCHEDULES:
            raise SettingsError(f"schedule is {self.schedule!r}.", " or ".join(SCHEDULES), 'Set schedule="cosine".')
        if not 0 <= self.decay <= 1 or self.warm_up_steps < 0 or self.average_steps < 0:
            raise SettingsError(
                f"decay is {self.decay}, warm_up_steps {self.warm_up_steps}, average_steps {self.average_steps}.",
                "A decay from 0 to 1; numbers of steps from 0.",
                "Correct the one that is out of its range.",
            )
        if not 0 <= self.warm_up < 1 or self.weight_decay < 0 or self.seed < 0:
            raise SettingsError(
                f"warm_up is {self.warm_up}, weight_decay {self.weight_decay}, seed {self.seed}.",
                "A warm-up from 0 to below 1; a weight decay and a seed from 0.",
                "Correct the one that is out of its range.",
            )

    def config(self, activation: str = "gelu_new") -> GPT2Config:
        """Return the architecture in transformers' words.

        No dropout: nothing is read often enough to be learnt by heart.
        """
        return GPT2Config(
            vocab_size=self.vocabulary, n_positions=self.context, n_embd=self.width, n_layer=self.n_layers,
            n_head=self.n_heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
            activation_function=activation,
        )  # fmt: skip

    def learning_rate_at(self, step: int, n_steps: int) -> float:
        """Return the learning rate of a step.

        Parameters
        ----------
        step : int
            From 0 to ``n_steps - 1``.
        n_steps : int
            All steps of the training.
        """
        if self.schedule == "wsd":
            rise = (step + 1) / self.warm_up_steps if self.warm_up_steps else 1.0
            n_decay = round(self.decay * n_steps)
            fall = (n_steps - step) / (n_decay + 1)  # the step after the last one would have a rate of zero
            return self.learning_rate * min(1.0, rise, fall)
        n_warm = round(self.warm_up * n_steps)
        if step < n_warm:
            return self.learning_rate * (step + 1) / n_warm
        share = (step - n_warm) / max(1, n_steps - n_warm)
        return self.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))

    def continues(self, other: Self, step: int, n_steps: int, other_n_steps: int) -> bool:
        """Tell whether a training of ``other`` that stands at ``step`` is also one of this recipe.

        True if the two differ in the number of passes only, and all learning rates before ``step`` are the same.
        """
        if dataclasses.replace(self, epochs=other.epochs) != other:
            return False
        return self.epochs == other.epochs or all(
            self.learning_rate_at(past, n_steps) == other.learning_rate_at(past, other_n_steps) for past in range(step)
        )


def optimizers(network: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Optimizers of a network: together they hold every weight once.

    Only matrices decay: a bias or a gain that is pulled to zero learns worse. Muon's updates are scaled to the size of
    AdamW's, so that one learning rate serves both.
    """
    inside = [weight for weight in network.transformer.h.parameters() if weight.dim() == 2]
    muon = inside if recipe.optimizer == "muon" else []
    others = [weight for weight in network.parameters() if all(weight is not one for one in muon)]
    decayed = {"params": [weight for weight in others if weight.dim() == 2], "weight_decay": recipe.weight_decay}
    free = {"params": [weight for weight in others if weight.dim() < 2], "weight_decay": 0.0}
    adamw = torch.optim.AdamW([decayed, free], lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)
    if not muon:
        return [adamw]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    return [torch.optim.Muon(muon, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"), adamw]
