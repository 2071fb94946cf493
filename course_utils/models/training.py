"""Train a GPT-2 of any size from text: the same code for the pocket family and for three minutes in class.

AdamW, linear warm-up, cosine decay, clipped gradients (Radford et al. 2019 and Brown et al. 2020, appendix B). What a
step computes depends on the recipe, the text and the machine alone, so a training that was killed goes on from its last
checkpoint to the very numbers it would have had.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from course_utils.errors import SettingsError
from course_utils.models import checkpoint
from course_utils.models.arithmetic import bf16_is_faster, repeatable
from course_utils.models.packing import Batches, fingerprint
from course_utils.models.recipe import Recipe, optimizers
from course_utils.packages import no_space_means

HELD_OUT_WINDOWS = 64  # enough for a curve; whoever compares models reads whole texts


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
        device: torch.device | None = None,
    ) -> None:
        _require_size(tokenizer, recipe)
        self.recipe, self.tokenizer, self.folder, self.checkpoint_s = recipe, tokenizer, folder, checkpoint_s
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batches = Batches(row, recipe.context, recipe.batch, recipe.seed)
        self.n_steps = self.batches.steps(recipe.epochs)
        self._read_held_out_every = max(1, self.n_steps // max(1, held_out_times))
        self._held_out = {name: _windows(text, recipe.context, tokenizer) for name, text in (held_out or {}).items()}
        self.network = self._fresh_network()
        self.optimizers = optimizers(self.network, recipe)
        self.bf16 = bf16_is_faster(self.device)
        self.step, self.seconds = 0, 0.0
        self._identity = {
            "recipe": dataclasses.asdict(recipe),
            "text_sha256": fingerprint(row),
            "n_steps": self.n_steps,
        }
        self._go_on()
        with no_space_means(folder):
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint.write_recipe(folder, self._identity["recipe"])
            tokenizer.save_pretrained(folder)

    def __iter__(self) -> Iterator[Progress]:
        """Take one step after the other; the model is saved after the last."""
        saved, begun, recent = time.monotonic(), time.monotonic() - self.seconds, _Speed()
        with no_space_means(self.folder), checkpoint.Log(self.folder, self.step) as log:
            while self.step < self.n_steps:
                loss, norm, rate = self._take_step()
                self.step += 1
                self.seconds = time.monotonic() - begun
                tokens = self.step * self.recipe.batch * self.recipe.context
                speed = recent.of(tokens, self.seconds)
                is_due = self.step % self._read_held_out_every == 0 or self.step == self.n_steps
                bits = self.held_out_bits() if is_due else {}
                progress = Progress(self.step, self.n_steps, tokens, loss, rate, norm, speed, self.seconds, bits)
                log.write(dataclasses.asdict(progress))
                if time.monotonic() - saved > self.checkpoint_s or self.step == self.n_steps:
                    self.save_checkpoint()
                    saved = time.monotonic()
                yield progress
            self.save_model()

    def _take_step(self) -> tuple[float, float, float]:
        rate = self.recipe.learning_rate_at(self.step, self.n_steps)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        windows = torch.from_numpy(self.batches[self.step]).to(self.device)
        with repeatable(self.device):
            loss = self._loss(windows)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
            for optimizer in self.optimizers:
                optimizer.step()
            self.network.zero_grad(set_to_none=True)
        return loss.item(), norm.item(), rate

    def _loss(self, windows: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
        """Return the surprisal in nats of the tokens of windows (B, T + 1), given those before them."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(input_ids=windows[:, :-1]).logits
        return functional.cross_entropy(logits.flatten(0, 1).float(), windows[:, 1:].flatten(), reduction=reduction)

    @torch.no_grad()
    def held_out_bits(self) -> dict[str, float]:
        """Return bits per character on the first windows of each held-out text."""
        bits = {}
        for name, (windows, n_characters) in self._held_out.items():
            nats = sum(self._loss(part.to(self.device), "sum").item() for part in windows.split(self.recipe.batch))
            bits[name] = nats / math.log(2) / n_characters
        return bits

    def save_model(self) -> Path:
        """Write the model and its tokenizer so that ``load(folder)`` finds them; weights in 16 bits."""
        half = GPT2LMHeadModel(self.recipe.config()).half()
        half.load_state_dict(self.network.state_dict())
        half.save_pretrained(self.folder)
        self.tokenizer.save_pretrained(self.folder)
        return self.folder

    def save_checkpoint(self) -> None:
        """Write down all that the next step depends on."""
        state = {
            **self._identity,
            "step": self.step,
            "seconds": self.seconds,
            "bf16": self.bf16,
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        checkpoint.save(self.folder, state)

    def _go_on(self) -> None:
        """Take up the checkpoint in the folder, if there is one."""
        state = checkpoint.load(self.folder, self._identity)
        if state:
            self.network.load_state_dict(state["network"])
            for optimizer, its_state in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(its_state)
            self.step, self.seconds, self.bf16 = state["step"], state["seconds"], state["bf16"]

    def _fresh_network(self) -> GPT2LMHeadModel:
        with torch.random.fork_rng():
            torch.manual_seed(self.recipe.seed)
            # GPT-2's own activation, in one fused operation instead of eight
            return GPT2LMHeadModel(self.recipe.config("gelu_pytorch_tanh")).to(self.device)


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
