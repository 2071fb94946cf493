"""Training of a GPT-2 of any size from text: the same code for the pocket family and for three minutes in class.

AdamW or Muon, linear warm-up, a learning rate that falls, clipped gradients (Radford et al. 2019 and Brown et al. 2020,
appendix B). What a step computes depends on the recipe, the text and the machine alone. So a training that was killed
goes on from its last checkpoint to the same numbers that it would have had.
"""

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.nn import functional
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from course_utils.core.files import write_errors
from course_utils.errors import NoSpace, SettingsError
from course_utils.models.training import block_attention, checkpoint
from course_utils.models.training.data import Batches, fingerprint
from course_utils.models.training.determinism import bf16_is_faster, repeatable
from course_utils.models.training.recipe import Recipe, optimizers

HELD_OUT_WINDOWS = 64  # enough for a curve; a comparison of models uses whole texts


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands after a step; one line of its log.

    Attributes
    ----------
    step, n_steps, tokens : int
        Steps done, steps in all, tokens seen.
    loss_nats : float
        Mean surprisal of the step's tokens, before the step was taken.
    learning_rate, gradient_norm : float
        The norm before clipping.
    tokens_per_s, seconds : float
        Of late; in all, pauses after a kill left out.
    held_out_bits : dict of str to float
        Bits per character of each held-out text, at the steps where they were read; empty at the others.
    """

    step: int
    n_steps: int
    tokens: int
    loss_nats: float
    learning_rate: float
    gradient_norm: float
    tokens_per_s: float
    seconds: float
    held_out_bits: dict[str, float]

    @property
    def eta_s(self) -> float:
        """Seconds that are left at this speed."""
        return self.tokens * (self.n_steps / self.step - 1) / self.tokens_per_s


class Training:
    """One training in one folder: iterate over it, step by step, to the end.

    Parameters
    ----------
    recipe : Recipe
    tokenizer : PreTrainedTokenizerFast
        Of ``recipe.vocabulary`` entries.
    row : np.ndarray
        The text as ``packing.pack`` returns it.
    folder : Path
        Where the log, the checkpoint and, at the end, the model go. With a checkpoint in it, the training goes on.
    held_out : dict of str to np.ndarray, optional
        Rows of texts that are not trained on, by name.
    checkpoint_s : float
        Seconds between checkpoints; a kill loses no more than these.
    held_out_times : int
        How often the held-out texts are read.
    held_out_every : int, optional
        Steps between readings of the held-out texts, instead of ``held_out_times``.
    device : torch.device, optional
        The graphics card where there is one.

    Raises
    ------
    TextError
        The row is shorter than two contexts.
    SettingsError
        The folder holds another training, or the tokenizer has another size than the recipe says.
    NoSpace
        The disk is full. The checkpoint before stays whole.
    """

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: PreTrainedTokenizerFast,
        row: np.ndarray,
        folder: Path,
        held_out: dict[str, np.ndarray] | None = None,
        *,
        checkpoint_s: float = 60.0,
        held_out_times: int = 20,
        held_out_every: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        _require_size(tokenizer, recipe)
        self.recipe, self.tokenizer, self.folder, self.checkpoint_s = recipe, tokenizer, folder, checkpoint_s
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batches = Batches(row, recipe.context, recipe.batch, recipe.seed)
        self.n_steps = self.batches.steps(recipe.epochs)
        self._read_held_out_every = held_out_every or max(1, self.n_steps // max(1, held_out_times))
        self._held_out = {name: _windows(text, recipe.context, tokenizer) for name, text in (held_out or {}).items()}
        self.text_sha256 = fingerprint(row)
        state = checkpoint.load(folder, self._differences)
        # A training keeps the arithmetic that it began with, also where a second try would choose the other.
        self.bf16 = state["bf16"] if state else bf16_is_faster(self.device)
        self.network = self._fresh_network()
        self.averaged = copy.deepcopy(self.network).requires_grad_(False) if recipe.average_steps else self.network
        self.optimizers = optimizers(self.network, recipe)
        self.step, self.seconds = 0, 0.0
        self._log: checkpoint.Log | None = None
        if state:
            self._go_on(state)
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        checkpoint.write_recipe(folder, dataclasses.asdict(recipe))
        checkpoint.save_pretrained(folder, tokenizer)

    def __iter__(self) -> Iterator[Progress]:
        """Take the steps that are left, one after the other. The model is saved after the last one."""
        saved, begun, recent = time.monotonic(), time.monotonic() - self.seconds, _Speed()
        self._log = checkpoint.Log(self.folder, self.step)
        try:
            while self.step < self.n_steps:
                loss, norm, rate = self._take_step()
                self.step += 1
                self.seconds = time.monotonic() - begun
                tokens = self.step * self.recipe.batch * self.recipe.context
                speed = recent.of(tokens, self.seconds)
                is_due = self.step % self._read_held_out_every == 0 or self.step == self.n_steps
                bits = self.held_out_bits() if is_due else {}
                progress = Progress(self.step, self.n_steps, tokens, loss, rate, norm, speed, self.seconds, bits)
                self._log.write(dataclasses.asdict(progress))
                if time.monotonic() - saved > self.checkpoint_s or self.step == self.n_steps:
                    self.save_checkpoint()
                    saved = time.monotonic()
                yield progress
            self.save_model()
        finally:
            with contextlib.suppress(NoSpace):  # then the lines come again with the steps after the last checkpoint
                self._log.flush()

    def _take_step(self) -> tuple[float, float, float]:
        rate = self.recipe.learning_rate_at(self.step, self.n_steps)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        windows = torch.from_numpy(self.batches[self.step]).to(self.device)
        with repeatable(self.device):
            loss = self._loss(self.network, windows)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
            for optimizer in self.optimizers:
                optimizer.step()
            self.network.zero_grad(set_to_none=True)
            self._average()
        return loss.item(), norm.item(), rate

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the weights of this step. In the beginning all steps count alike."""
        if self.averaged is not self.network:
            share = 1 / min(self.step + 1, self.recipe.average_steps)
            for mean, weight in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(weight, share)

    def _loss(self, network: GPT2LMHeadModel, windows: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
        """Return the surprisal in nats of the tokens of windows (B, T + 1), given those before them."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = network(input_ids=windows[:, :-1], use_cache=False).logits
        return functional.cross_entropy(logits.flatten(0, 1).float(), windows[:, 1:].flatten(), reduction=reduction)

    @torch.no_grad()
    def held_out_bits(self) -> dict[str, float]:
        """Return bits per character on the first windows of each held-out text; the averaged weights are judged."""
        bits = {}
        for name, (windows, n_characters) in self._held_out.items():
            parts = (part.to(self.device) for part in windows.split(self.recipe.batch))
            nats = sum(self._loss(self.averaged, part, "sum").item() for part in parts)
            bits[name] = nats / math.log(2) / n_characters
        return bits

    def save_model(self) -> Path:
        """Write the model and its tokenizer so that ``load(folder)`` finds them; weights in 16 bits.

        Raises
        ------
        NoSpace
        """
        half = GPT2LMHeadModel(self.recipe.config()).half()
        half.load_state_dict(self.averaged.state_dict())
        checkpoint.save_pretrained(self.folder, half, self.tokenizer)
        return self.folder

    def save_checkpoint(self) -> None:
        """Write down all that the next step depends on, and the lines of the log up to here.

        Raises
        ------
        NoSpace
        """
        if self._log:
            self._log.flush()  # first: a checkpoint without the lines before it would leave a gap in the log
        state = {
            "recipe": dataclasses.asdict(self.recipe),
            "text_sha256": self.text_sha256,
            "n_steps": self.n_steps,
            "step": self.step,
            "seconds": self.seconds,
            "bf16": self.bf16,
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        if self.averaged is not self.network:
            state["averaged"] = self.averaged.state_dict()
        checkpoint.save(self.folder, state)

    def _differences(self, state: checkpoint.State) -> list[str]:
        """Name what differs between a checkpoint's training and this one."""
        checkpoint_recipe = Recipe(**state["recipe"])  # a recipe of an older version lacks the newer settings
        continues = self.recipe.continues(checkpoint_recipe, state["step"], self.n_steps, state["n_steps"])
        other = [] if continues and state["step"] <= self.n_steps else ["recipe"]
        return other if state["text_sha256"] == self.text_sha256 else [*other, "text"]

    def _go_on(self, state: checkpoint.State) -> None:
        """Take up the state of a checkpoint."""
        self.network.load_state_dict(state["network"])
        if self.averaged is not self.network:
            self.averaged.load_state_dict(state["averaged"])
        for optimizer, its_state in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        self.step, self.seconds = state["step"], state["seconds"]

    def _fresh_network(self) -> GPT2LMHeadModel:
        """Return a network with the seed's weights, in the fastest arithmetic of this device."""
        on_processor = self.device.type == "cpu" and self.bf16
        # GPT-2's own activation in one operation instead of eight. On a processor its tanh is slow: 5 ms for 2,048
        # tokens of width 1,280 where the exact GELU takes 1. Both differ by less than 0.0005, a tenth of what 16 bits
        # round off.
        config = self.recipe.config("gelu" if on_processor else "gelu_pytorch_tanh")
        with torch.random.fork_rng():
            torch.manual_seed(self.recipe.seed)
            attention = block_attention.NAME if on_processor else "sdpa"
            network: GPT2LMHeadModel = GPT2LMHeadModel._from_config(config, attn_implementation=attention)
        cast(torch.nn.Module, network).to(self.device)  # in place; transformers' own `to` hides its types
        return network


class _Speed:
    """Tokens a second over the last twenty steps or so: a pause or a slow start is soon forgotten."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []

    def of(self, tokens: int, seconds: float) -> float:
        self._marks = [*self._marks[-20:], (tokens, seconds)]
        (first, begun), (last, now) = self._marks[0], self._marks[-1]
        return (last - first) / (now - begun) if now > begun else last / max(seconds, 1e-9)


def _windows(row: np.ndarray, context: int, tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, int]:
    """Return the first windows of a held-out row, and how many characters their predicted tokens spell."""
    batches = Batches(row, context, 1, 0)
    starts = np.arange(min(HELD_OUT_WINDOWS, batches.n_windows))[:, None] * context
    windows = torch.from_numpy(row[starts + np.arange(context + 1)].astype(np.int64))
    return windows, len(tokenizer.decode(row[1 : len(starts) * context + 1], skip_special_tokens=True))


def _require_size(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
    if len(tokenizer) != recipe.vocabulary:
        raise SettingsError(
            f"The tokenizer has {len(tokenizer):,} entries, the recipe {recipe.vocabulary:,}.",
            "The same number.",
            f"Set vocabulary={len(tokenizer)}.",
        )
