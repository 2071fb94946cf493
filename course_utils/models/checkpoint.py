"""What a training needs to go on after a kill: its state, written whole or not at all, and a log that agrees."""

import io
import json
import os
import pickle
from pathlib import Path
from typing import Self

import torch

from course_utils.errors import DamagedFile, SettingsError

STATE = "checkpoint.pt"
LOG = "log.jsonl"
RECIPE = "recipe.json"


def save(folder: Path, state: dict) -> None:
    """Write the state beside the old one and put it in its place in one move, so that a kill leaves one of the two."""
    whole = io.BytesIO()  # PyTorch hides from its own files why a write failed
    torch.save(state, whole)
    new = folder / f"{STATE}.new"
    try:
        with new.open("wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, folder / STATE)
    finally:
        new.unlink(missing_ok=True)


def load(folder: Path, identity: dict) -> dict | None:
    """Return the state in the folder, or None where there is none.

    Raises
    ------
    SettingsError
        It is the state of another recipe or of another text.
    DamagedFile
        It cannot be read.
    """
    file = folder / STATE
    if not file.exists():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise DamagedFile(
            f"{file} cannot be read.", "A whole checkpoint.", f"Delete {file.name} to begin the training anew."
        ) from error
    other = [name for name, value in identity.items() if state.get(name) != value]
    if other:
        raise SettingsError(
            f"{folder} holds a training with another {' and '.join(other)}.",
            "A folder without one, or the recipe and text that it began with.",
            f"Name another folder, or delete {file.name} to begin anew.",
        )
    return state


def write_recipe(folder: Path, recipe: dict) -> None:
    """Leave the recipe beside the log, to train the same again."""
    (folder / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")


class Log:
    """A training's log, one JSON object a line. Lines after the checkpoint are dropped: those steps are taken again.

    Parameters
    ----------
    folder : Path
    step : int
        The checkpoint's; 0 begins anew.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        kept = [line for line in read(folder) if line["step"] <= step]
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")

    def __enter__(self) -> Self:
        """Open it for more lines."""
        self._file = self.path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()

    def write(self, line: dict) -> None:
        """Add a line; floats in six digits, which is more than the arithmetic is worth."""
        self._file.write(json.dumps({name: _short(value) for name, value in line.items()}) + "\n")


def _short(value: object) -> object:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def read(folder: Path) -> list[dict]:
    """Return a log's whole lines; a last one that a kill cut in two is left out."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
