"""Training of several models in turns, so that all of them have read equally many tokens at any time.

A worker takes the model that has read the fewest tokens and trains it for one slice, then takes the next. Several
workers may run at once, each in a process of its own: a lock file keeps two of them from one model. A worker that is
killed loses the steps since the last checkpoint. The next worker takes them again, to the same numbers.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from transformers import PreTrainedTokenizerFast

from course_utils.core.files import append_to_file, replace_file
from course_utils.models.training import checkpoint
from course_utils.models.training.recipe import Recipe
from course_utils.models.training.trainer import Training

PAUSE = "PAUSE"  # while a file of this name lies in the work folder, no worker takes a step
SLICES = "slices.jsonl"  # one line per slice: model, tokens, bits per character, time
N_COPIES = 2  # per model, besides the one from before the decay


class Turns:
    """Training of a family of models in one work folder.

    Parameters
    ----------
    family : dict of str to Recipe
        By name. They differ in shape only.
    tokenizer : PreTrainedTokenizerFast
    row : np.ndarray
        The text, as ``packing.pack`` returns it.
    held_out : dict of str to np.ndarray
    work : Path
        Each model trains in a folder of its own here.
    copies : Path, optional
        A second folder, for copies of the checkpoints: one every tenth of a pass, and one from before the decay.
    slice_steps : int
        Steps of one slice. A model is never further ahead of another one than two slices.
    checkpoint_s : float
        Seconds between checkpoints.
    """

    def __init__(
        self,
        family: dict[str, Recipe],
        tokenizer: PreTrainedTokenizerFast,
        row: np.ndarray,
        held_out: dict[str, np.ndarray],
        work: Path,
        copies: Path | None = None,
        *,
        slice_steps: int = 122,
        held_out_every: int = 244,
        checkpoint_s: float = 180.0,
    ) -> None:
        self.family, self.tokenizer, self.row, self.held_out = family, tokenizer, row, held_out
        self.work, self.copies, self.slice_steps = work, copies, slice_steps
        self._often = {"held_out_every": held_out_every, "checkpoint_s": checkpoint_s}

    def steps_done(self) -> dict[str, int]:
        """Return how many steps each model has taken, by name, as its log says."""
        logs = {name: checkpoint.read(self.work / name) for name in self.family}
        return {name: log[-1]["step"] if log else 0 for name, log in logs.items()}

    def is_paused(self) -> bool:
        """Tell whether the pause file lies in the work folder."""
        return (self.work / PAUSE).exists()

    def run(self, is_stopped: Callable[[], bool] = lambda: False, wait_s: float = 5.0) -> None:
        """Train until every model is finished, or until ``is_stopped`` says so between two steps.

        While the pause file lies in the work folder, or while other workers hold all the models whose turn it is, it
        waits, ``wait_s`` seconds at a time.
        """
        while not is_stopped() and not all(self._is_finished(name) for name in self.family):
            if self.is_paused() or not self._take_one(is_stopped):
                time.sleep(wait_s)

    def _take_one(self, is_stopped: Callable[[], bool]) -> bool:
        """Train the model whose turn it is for one slice. Return False if there is none."""
        done = self.steps_done()
        fewest = min(done.values())
        # Of two that stand at the same step, the larger goes first: it takes the longest.
        order = sorted(self.family, key=lambda name: (done[name], -self.family[name].width))
        for name in order:
            if not self._is_finished(name) and done[name] < fewest + 2 * self.slice_steps:
                try:
                    with FileLock(self.work / f"{name}.lock", timeout=0):
                        self._train_slice(name, is_stopped)
                    return True
                except Timeout:
                    continue
        return False

    def _train_slice(self, name: str, is_stopped: Callable[[], bool]) -> None:
        folder = self.work / name
        training = Training(self.family[name], self.tokenizer, self.row, folder, self.held_out, **self._often)
        first, begun, cpu_begun = training.step, time.monotonic(), time.process_time()
        before_decay = training.n_steps - round(training.recipe.decay * training.n_steps)
        steps, last = iter(training), None
        for last in steps:
            is_over = last.step in (first + self.slice_steps, before_decay) or is_stopped() or self.is_paused()
            if is_over and last.step < training.n_steps:  # after its last step the training saves the model
                break
        steps.close()  # writes the log
        training.save_checkpoint()
        if not last:  # the last slice was killed between its last checkpoint and the saving of the model
            return
        n_tokens = (last.step - first) * training.recipe.batch * training.recipe.context
        line = {
            "model": name,
            "step": last.step,
            "tokens": last.tokens,
            "passes": last.tokens / len(self.row),
            "loss_nats": last.loss_nats,
            "held_out_bits": self._last_reading(name),
            "seconds": time.monotonic() - begun,
            "tokens_per_cpu_s": n_tokens / (time.process_time() - cpu_begun),
        }
        append_to_file(self.work / SLICES, json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        if self.copies:
            self._copy(name, training, first, before_decay)

    def _copy(self, name: str, training: Training, first: int, before_decay: int) -> None:
        """Copy the checkpoint if a tenth of a pass ended in this slice, or if the decay comes next."""
        tenth = max(1, training.batches.steps(0.1))
        if training.step == before_decay:
            self._copy_to(name, "before-decay")
        elif training.step // tenth > first // tenth or training.step == training.n_steps:
            self._copy_to(name, f"step-{training.step:07}")
            for old in sorted((self.copies / name).glob("step-*"))[:-N_COPIES]:
                for file in old.iterdir():
                    file.unlink()
                old.rmdir()

    def _copy_to(self, name: str, label: str) -> None:
        for file in (self.work / name).iterdir():
            if file.is_file() and not file.name.startswith("."):
                replace_file(self.copies / name / label / file.name, file.read_bytes())

    def _last_reading(self, name: str) -> dict[str, float]:
        """Return the newest reading of the held-out texts in the log."""
        readings = [line["held_out_bits"] for line in checkpoint.read(self.work / name) if line["held_out_bits"]]
        return readings[-1] if readings else {}

    def _is_finished(self, name: str) -> bool:
        """Tell whether the model has taken its last step and was saved."""
        log = checkpoint.read(self.work / name)
        saved = (self.work / name / "model.safetensors").exists()
        return saved and bool(log) and log[-1]["step"] == log[-1]["n_steps"]
