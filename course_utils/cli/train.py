"""Command that trains a model: its options, a progress bar with the time left, and a summary."""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import SettingsError

if TYPE_CHECKING:
    from course_utils.models.training.recipe import Recipe
    from course_utils.models.training.trainer import Progress, Training

# What a flag sets, with what it means; the defaults are the recipe's own.
FLAGS = {
    "n_layers": "layers", "width": "width of every layer; divisible by the heads", "n_heads": "attention heads",
    "context": "tokens seen at once", "vocabulary": "entries of the byte-level BPE, 257 or more",
    "batch": "windows of text a step", "epochs": "passes over the text; 0.5 reads half of it",
    "learning_rate": "the highest, after the warm-up", "optimizer": "adamw, or muon for the matrices of the blocks",
    "seed": "the same seed trains the same model again",
}  # fmt: skip


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add ``train`` to the course's commands."""
    parser = commands.add_parser(
        "train",
        help="train a small GPT-2 from a folder of text",
        description="Train a small GPT-2 from a folder of text. After a stop, the same command continues the training. "
        "Load the model that it writes with load(Path(...)), or name its parent folder in COURSE_MODELS.",
    )
    parser.add_argument("texts", type=Path, help="a folder of UTF-8 .txt files, or one file")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the log, the checkpoint and the model")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="files that are read but not trained on")
    parser.add_argument("--tokenizer", type=Path, help="a folder with the vocabulary to use; learnt when left out")
    parser.add_argument("--recipe", type=Path, help="a recipe.json from the folder of an earlier training")
    parser.add_argument("--threads", type=int, help="processor threads; the last digits of the results depend on it")
    parser.add_argument("--checkpoint-s", type=float, default=60, help="seconds between checkpoints (60)")
    for name, meaning in FLAGS.items():
        kind = {"epochs": float, "learning_rate": float, "optimizer": str}.get(name, int)
        parser.add_argument(f"--{name.removeprefix('n_').replace('_', '-')}", dest=name, type=kind, help=meaning)
    parser.set_defaults(run=train)


def train(chosen: argparse.Namespace) -> int:
    """Run one training to its end, or on from where it was stopped."""
    if chosen.threads:
        import torch

        torch.set_num_threads(chosen.threads)
    training = _prepared(chosen)
    if training.step:
        print(f"Going on from step {training.step:,} of {training.n_steps:,}.")
    last = _with_bar(training)
    if last:
        print(_summary(last, training))
    print(f"The model lies in {chosen.out}.")
    return 0


def recipe_of(chosen: argparse.Namespace) -> "Recipe":
    """Return the recipe: the file's, or the default one, with what the flags change."""
    from course_utils.models.training.recipe import Recipe

    known = {field.name for field in dataclasses.fields(Recipe)}
    values = {}
    if chosen.recipe:
        try:
            values = dict(json.loads(chosen.recipe.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(f"{chosen.recipe}: {error}", "A JSON object, the recipe.json of a training.") from error
    if unknown := set(values) - known:
        raise SettingsError(
            f"{chosen.recipe} names {', '.join(sorted(unknown))}.", f"Only {', '.join(sorted(known))}.", "Remove it."
        )
    flags = {name: getattr(chosen, name) for name in FLAGS if getattr(chosen, name) is not None}
    return Recipe(**(values | flags))


def _prepared(chosen: argparse.Namespace) -> "Training":
    from transformers import PreTrainedTokenizerFast

    from course_utils.models.training import checkpoint, data
    from course_utils.models.training.trainer import Training

    recipe = recipe_of(chosen)
    documents = data.read_documents(chosen.texts)
    n_characters = sum(map(len, documents))
    print(f"{len(documents):,} documents, {n_characters:,} characters", flush=True)
    begun = chosen.out if (chosen.out / checkpoint.STATE).exists() else None
    if made_before := chosen.tokenizer or begun:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(made_before)
    else:
        tokenizer = data.train_tokenizer(documents, recipe.vocabulary)
    row = data.pack(documents, tokenizer)
    print(f"{len(row):,} tokens, {n_characters / len(row):.2f} characters a token", flush=True)
    held_out = {file.stem: data.pack(data.read_documents(file), tokenizer) for file in chosen.held_out}
    return Training(recipe, tokenizer, row, chosen.out, held_out, checkpoint_s=chosen.checkpoint_s)


def _with_bar(training: "Training") -> "Progress | None":
    """Take the steps under a bar; into a log file goes a line at each reading of the held-out texts instead."""
    from tqdm import tqdm

    progress, is_watched = None, sys.stderr.isatty()
    n_a_step = training.recipe.batch * training.recipe.context
    with tqdm(
        total=training.n_steps * n_a_step, initial=training.step * n_a_step, unit="tok", unit_scale=True,
        disable=not is_watched, dynamic_ncols=True,
    ) as bar:  # fmt: skip
        for progress in training:
            bar.update(n_a_step)
            bar.set_postfix_str(f"loss {progress.loss_nats:.3f}", refresh=False)
            if progress.held_out_bits:
                bar.write(_line(progress), file=sys.stdout)
                sys.stdout.flush()
    return progress


def _line(progress: "Progress") -> str:
    bits = ", ".join(f"{name} {value:.3f}" for name, value in progress.held_out_bits.items())
    return (
        f"step {progress.step:,} of {progress.n_steps:,}  loss {progress.loss_nats:.3f}  "
        f"held-out bits per character: {bits or 'no text held out'}  "
        f"{progress.tokens_per_s:,.0f} tokens/s, {math.ceil(progress.eta_s / 60):,} min left"
    )


def _summary(last: "Progress", training: "Training") -> str:
    n_parameters = training.network.num_parameters()
    return (
        f"{n_parameters:,} parameters saw {last.tokens:,} tokens in {last.seconds / 60:,.1f} minutes: "
        f"about {6 * n_parameters * last.tokens:.1e} floating-point operations."
    )
