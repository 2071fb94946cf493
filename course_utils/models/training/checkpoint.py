"""Training checkpoint and log: all that a training needs to go on after it was stopped or killed."""

import errno
import io
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_utils.core.files import append_to_file, no_space, replace_file, write_errors
from course_utils.core.json_types import Json, JsonObject
from course_utils.errors import DamagedFile, SettingsError

State: TypeAlias = dict[str, Any]  # what a training needs to go on: numbers, names and tensors

STATE = "checkpoint.pt"
LOG = "log.jsonl"
RECIPE = "recipe.json"


def save(folder: Path, state: State) -> None:
    """Write the training state atomically: a kill leaves the old state or the new one.

    Raises
    ------
    NoSpace
        The disk is full. The old state stays.
    """
    whole = io.BytesIO()
    torch.save(state, whole)
    replace_file(folder / STATE, whole.getvalue())


def load(folder: Path, is_ours: Callable[[State], list[str]]) -> State | None:
    """Return the training state in a folder, or None if there is none.

    Parameters
    ----------
    folder : Path
    is_ours : callable
        Gets the state. Returns the names of what differs from the training that wants to go on, such as ``["text"]``.

    Raises
    ------
    SettingsError
        The state belongs to another recipe or to another text.
    DamagedFile
        The file cannot be read.
    """
    file = folder / STATE
    if not file.exists():
        return None
    try:
        state: State = torch.load(file, map_location="cpu", weights_only=True)
        other = is_ours(state)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, OSError) as error:
        raise DamagedFile(
            f"{file} cannot be read.", "A whole checkpoint.", f"Delete {file.name} to begin the training anew."
        ) from error
    if other:
        raise SettingsError(
            f"{folder} holds a training with another {' and '.join(other)}.",
            "A folder without one, or the recipe and text that it began with.",
            f"Name another folder, or delete {file.name} to begin anew.",
        )
    return state


def write_recipe(folder: Path, recipe: Mapping[str, Json]) -> None:
    """Write the recipe beside the log, so that the same training can be repeated."""
    replace_file(folder / RECIPE, json.dumps(recipe, indent=2) + "\n")


def save_pretrained(folder: Path, *parts: PreTrainedModel | PreTrainedTokenizerBase) -> None:
    """Write a model or a tokenizer in transformers' files, each file atomically.

    Raises
    ------
    NoSpace
    """
    with write_errors(folder), tempfile.TemporaryDirectory(prefix="course-model-") as new:
        try:
            for part in parts:
                part.save_pretrained(new)
        except SafetensorError as problem:  # safetensors hides the system's error number
            raise no_space(new, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from problem
        written = {file.name: file.read_bytes() for file in Path(new).iterdir()}
    for name, content in written.items():
        replace_file(folder / name, content)


class Log:
    """Training log, one JSON object a line.

    Lines are kept in memory and written by `flush`, at the latest before each checkpoint. Lines after the newest
    checkpoint may be lost in a kill; the training takes those steps again and writes the lines again.

    Parameters
    ----------
    folder : Path
    step : int
        The checkpoint's step. Later lines in the file are dropped. 0 begins a new log.

    Raises
    ------
    NoSpace
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        self._waiting: list[str] = []
        lines = [line for line in read(folder) if line["step"] <= step]
        replace_file(self.path, "".join(f"{json.dumps(line)}\n" for line in lines))

    def write(self, line: Mapping[str, Json]) -> None:
        """Add a line. Floats get six digits, which is more than the arithmetic is worth."""
        self._waiting.append(json.dumps({name: _short(value) for name, value in line.items()}) + "\n")

    def flush(self) -> None:
        """Append the lines that wait to the file."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            append_to_file(self.path, "".join(waiting))


def _short(value: Json) -> Json:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def read(folder: Path) -> list[JsonObject]:
    """Return the whole lines of a log. A last line that a kill cut in two is left out."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
