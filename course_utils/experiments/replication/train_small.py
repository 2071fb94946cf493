"""Training of a small GPT-2 on your text in minutes: it can be resumed, and samples are kept on the way."""

import contextlib
import dataclasses
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from course_utils.core import limits
from course_utils.core.files import append_to_file, replace_file, staged_file, write_errors
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.replication import corpus
from course_utils.models.architecture import Architecture
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.training import checkpoint, data
from course_utils.models.training.recipe import Recipe
from course_utils.models.training.trainer import Progress, Training

SIZES = {
    "smallest": {"n_layers": 2, "width": 64, "n_heads": 1},
    "small": {"n_layers": 4, "width": 128, "n_heads": 2},
    "larger": {"n_layers": 6, "width": 192, "n_heads": 3},
}
CONTEXT = 256
SAMPLE_AT = (0.01, 0.03, 0.1, 0.3, 1.0)  # shares of the training
CHECKPOINT_S = 10.0
HELD_OUT_WINDOWS, HELD_OUT_TIMES = 32, 12  # what the curve costs: a tenth of the shortest training worth the name
LIMITS = {"n_tokens": (1000, 100_000_000), "seed": (0, 2**31 - 1), "n_said": (1, 200)}
PLAN, TEXT, SAID, HELD_OUT = "plan.json", "text.npz", "said.jsonl", "held out"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Training plan: all that decides a run besides its text.

    Parameters
    ----------
    size : str
        One of `SIZES`.
    n_tokens : int
        Training tokens in all; a short text is read several times.
    seed : int
    prompt : str
        The prompt of every sample; its seed is the same each time.
    n_said : int
        Tokens of each sample.

    Raises
    ------
    SettingsError
    """

    size: str = "small"
    n_tokens: int = 1_000_000
    seed: int = 0
    prompt: str = "The government said"
    n_said: int = 60

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, by name."""
        if self.size not in SIZES:
            raise SettingsError(f"The size is {self.size!r}.", f"One of {', '.join(SIZES)}.", "Choose one of these.")
        for name, (lowest, highest) in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
                expected = f"A whole number from {lowest:,} to {highest:,}."
                raise SettingsError(f"{name} is {value!r}.", expected, f"Set {name} within that range.")

    def architecture(self, vocabulary: int = corpus.VOCABULARIES[0]) -> Architecture:
        """Return the shape of its GPT-2; a short text leads to a smaller vocabulary."""
        return Architecture(**SIZES[self.size], vocabulary=vocabulary, context=CONTEXT)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A sample from the model during training: after how many tokens, and after which share of the steps."""

    step: int
    share: float
    tokens: int
    text: str


class TrainingRun:
    """Training run of a small GPT-2 in a folder of its own: iterate over it to train, from the last checkpoint on.

    Parameters
    ----------
    folder : Path
        From `begin`. Its name is the model's name.

    Attributes
    ----------
    plan : Plan
    label : str
        Size, vocabulary, text and seed, in one line.
    log : list of dict
        One a step, as `Progress` has it.
    said : list of Sample

    Raises
    ------
    TextError
        There is no training run in that folder.
    """

    def __repr__(self) -> str:
        """Return its folder, and how far it is."""
        return f"TrainingRun in {self.folder}: {len(self.log)} of its steps were noted"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            known = json.loads((folder / PLAN).read_text("utf-8"))
        except OSError as error:
            expected = "A folder that begin() prepared."
            raise TextError(
                f"{folder} holds no training run.", expected, "Begin one: begin(folder, documents)"
            ) from error
        self.plan, self.label = Plan(**known["plan"]), known["label"]
        self._recipe, self._bits_a_nat = Recipe(**known["recipe"]), known["bits_a_nat"]
        self.log, self.said = checkpoint.read(folder), _read_samples(folder)

    @property
    def share(self) -> float:
        """The share of the steps that are done, from 0 to 1."""
        return self.log[-1]["step"] / self.log[-1]["n_steps"] if self.log else 0.0

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done and the model is saved."""
        return self.share == 1.0 and (self.folder / "model.safetensors").is_file()

    def curve(self) -> list[dict]:
        """Return bits per character at every step.

        Returns
        -------
        list of dict
            tokens; bits, of the text read at that step; held_out, of text kept apart, None at most steps.
        """
        return [
            {
                "tokens": line["tokens"],
                "bits": line["loss_nats"] * self._bits_a_nat,
                "held_out": line["held_out_bits"].get(HELD_OUT),
            }
            for line in self.log
        ]

    def learn(self) -> "TrainingRun":
        """Train to the last step; return itself."""
        for _ in self:
            pass
        return self

    def __iter__(self) -> Iterator[Progress]:
        """Train step by step. A loop that is left early saves a checkpoint, and the next loop resumes there."""
        if self.is_finished:
            return
        before = torch.get_num_threads()
        _use_all_cores()
        try:
            training = self._training()
            self._forget_after(training.step)
            yield from self._learn(training)
            (self.folder / checkpoint.STATE).unlink()  # ten times the model's size, and no longer needed
        finally:
            torch.set_num_threads(before)

    def _learn(self, training: Training) -> Iterator[Progress]:
        try:
            for progress in training:
                self.log.append(dataclasses.asdict(progress))
                due = [share for share in SAMPLE_AT if math.ceil(share * progress.n_steps) == progress.step]
                if due:
                    self._keep(Sample(progress.step, due[-1], progress.tokens, self._sample(training)))
                yield progress
        except GeneratorExit:  # left between two steps; an error inside one leaves the checkpoint before
            training.save_checkpoint()
            raise

    def _training(self) -> Training:
        with np.load(self.folder / TEXT) as kept:
            row, held_out = kept["row"], kept["held_out"]
        tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder)
        return Training(
            self._recipe, tokenizer, row, self.folder, {HELD_OUT: held_out},
            checkpoint_s=CHECKPOINT_S, held_out_times=HELD_OUT_TIMES,
        )  # fmt: skip

    def _forget_after(self, step: int) -> None:
        """Drop the log after the checkpoint, if a kill lost some steps: they are repeated, with the same result."""
        self.log = [line for line in self.log if line["step"] <= step]
        kept, self.said = [sample for sample in self.said if sample.step <= step], []
        with write_errors(self.folder / SAID):
            (self.folder / SAID).unlink(missing_ok=True)
        for sample in kept:
            self._keep(sample)

    def _keep(self, sample: Sample) -> None:
        self.said.append(sample)
        append_to_file(self.folder / SAID, json.dumps(dataclasses.asdict(sample)) + "\n")

    def _sample(self, training: Training) -> str:
        """Return a sample for the prompt of the plan."""
        settings = Settings(max_new_tokens=self.plan.n_said, seed=self.plan.seed)
        return LanguageModel(training.save_model()).generate(self.plan.prompt, settings)[0].text


def begin(
    folder: Path, documents: Sequence[str], plan: Plan, held_out: Sequence[str] = (), about: str = "own text"
) -> TrainingRun:
    """Prepare a training run: train a tokenizer on the text, tokenize the text, write both to the folder.

    Parameters
    ----------
    folder : Path
        A new folder.
    documents : sequence of str
        The training texts.
    plan : Plan
    held_out : sequence of str
        The held-out texts; when left out, a fifth of the documents.
    about : str
        Names the text in one phrase.

    Raises
    ------
    TextError
        The text is too short.
    SettingsError
        Something is in that folder.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty.", "A new folder.", "Name another one, or delete this one.")
    learned, kept = (documents, held_out) if held_out else corpus.split(documents)
    learned = corpus.enough(learned, plan.n_tokens, plan.seed)
    tokenizer = corpus.fitting_tokenizer(learned)
    row = data.pack(learned, tokenizer)
    kept_row = data.pack(kept, tokenizer)[: (HELD_OUT_WINDOWS + 1) * CONTEXT]
    recipe = _recipe(plan, len(tokenizer), len(row))
    for part in (row, kept_row):
        data.Batches(part, CONTEXT, 1, 0)  # raises what is wrong now, before anything is written
    bits_a_nat = len(row) / sum(map(len, learned)) / math.log(2)
    size = f"{plan.architecture(len(tokenizer)).n_parameters / 1e6:.1f} M parameters"
    label = f"{size} · {len(tokenizer):,} vocabulary entries · {about} · seed {plan.seed}"
    known = {"plan": dataclasses.asdict(plan), "recipe": dataclasses.asdict(recipe), "bits_a_nat": bits_a_nat}
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(folder)
    with staged_file(folder / TEXT) as file:
        np.savez(file, row=row, held_out=kept_row)
    # The plan comes last: a folder without one is no training run.
    replace_file(folder / PLAN, json.dumps({**known, "label": label}, indent=1))
    return TrainingRun(folder)


def training_runs(folder: Path) -> list[Path]:
    """Return the folders of training runs in a folder, oldest first: they are numbered."""
    found = []
    with contextlib.suppress(OSError):  # a folder that cannot be looked into
        found = [plan.parent for plan in folder.glob(f"apprentice-*/{PLAN}")]
    found = [path for path in found if path.name.rpartition("-")[2].isdecimal()]  # others are a person's own
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def next_folder(folder: Path) -> Path:
    """Return the folder for one more training run; what a failed start left there is deleted."""
    known = training_runs(folder)
    fresh = folder / f"apprentice-{int(known[-1].name.rpartition('-')[2]) + 1 if known else 1}"
    shutil.rmtree(fresh, ignore_errors=True)
    return fresh


def _recipe(plan: Plan, vocabulary: int, n_tokens: int) -> Recipe:
    """Choose what learns most from few tokens: small batches make many steps, and Muon makes long ones.

    On 300,000 tokens of news the small size came to 2.48 bits per character with it, to 2.82 with AdamW at 2e-3.
    """
    shape = SIZES[plan.size]
    return Recipe(
        n_layers=shape["n_layers"], width=shape["width"], n_heads=shape["n_heads"], context=CONTEXT,
        vocabulary=vocabulary, batch=4, optimizer="muon", learning_rate=8e-3, warm_up=0.05,
        epochs=plan.n_tokens / n_tokens, seed=plan.seed,
    )  # fmt: skip


def _use_all_cores() -> None:
    """Use all cores: generation leaves one to the browser, but here the panel needs little."""
    torch.set_num_threads(min(limits.cpu_limit(), limits.chosen_threads() or limits.cpu_limit()))


def _read_samples(folder: Path) -> list[Sample]:
    path = folder / SAID
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    return [Sample(**json.loads(line)) for line in lines if line.endswith("\n")]
