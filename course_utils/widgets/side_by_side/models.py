"""Model selection of the side-by-side panel: which models, in which order, and what is told about each."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.errors import SettingsError
from course_utils.models import loading
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.registry import registry
from course_utils.models.registry.formats import WEIGHTS
from course_utils.widgets.base.model_picker import ModelPicker

LETTERS = "ABCD"  # of the columns
OneModel = str | Path | BaseLanguageModel


class ModelSelection:
    """One to four models, none twice.

    Parameters
    ----------
    given : sequence of str, Path or BaseLanguageModel, optional
        As for `choose`, which nothing is read from before it is called.
    """

    def __init__(self, given: Sequence[OneModel] | OneModel | None = None) -> None:
        self._given = given
        self._known: dict[Any, Any] = {}
        self._model_pickers: dict[Any, ModelPicker] = {}

    @property
    def names(self) -> list[str]:
        """The chosen models' names."""
        return list(self._model_pickers)

    def choose(self, given: Sequence[OneModel] | OneModel | None) -> None:
        """Take these models, or those asked for at first; the choice before stays when something is wrong.

        Raises
        ------
        SettingsError
            None, too many, or one twice.
        UnknownModel, ModelNotHere
        """
        asked = self._given if given is None else given
        asked = default_names() if asked is None else [asked] if isinstance(asked, OneModel) else list(asked)
        if not 1 <= len(asked) <= len(LETTERS):
            raise SettingsError(
                f"{len(asked)} models are chosen.", f"One to {len(LETTERS)} models.", "Choose some, or fewer."
            )
        found = [self._known.get(each) or ModelPicker(each) for each in asked]
        pickers = {picker.first_name(): picker for picker in found}
        if len(pickers) < len(asked):
            names = ", ".join(picker.first_name() for picker in found)
            raise SettingsError(f"A model is named twice: {names}.", "Different models.", "Name each model once.")
        self._known |= pickers  # so that a folder or a loaded model can be chosen again by its name
        self._model_pickers = pickers

    @property
    def server(self) -> str:
        """The address of a server whose models are offered; empty where all lie on this machine."""
        return next(filter(None, (each.server for each in self._model_pickers.values())), loading.server_of())

    def require(self, fewest: int) -> None:
        """Raise an error where fewer models are chosen."""
        if len(self._model_pickers) < fewest:
            raise SettingsError(
                "One model is chosen.", "Two at least, to compare.", "Choose more, or switch Blind off."
            )

    def choices(self) -> list[dict[str, str]]:
        """Return name and description of every model that can be chosen."""
        known = self._known or {"": ModelPicker()}
        return list({each["name"]: each for name, one in known.items() for each in one.choices(name)}.values())

    def is_ready(self) -> bool:
        """Tell whether all are loaded."""
        return bool(self._model_pickers) and all(picker.is_ready(name) for name, picker in self._model_pickers.items())

    def load(self) -> list[BaseLanguageModel]:
        """Return all, loading what is not loaded; slow, so call it from the worker."""
        return [picker.load(name) for name, picker in self._model_pickers.items()]


def default_names() -> list[str]:
    """Return the names of the pocket family, smallest first; else of up to four models that can stand together.

    Raises
    ------
    ModelNotHere, AccessRefused, NoServer
    """
    return loading.family(len(LETTERS))


def shuffled(models: Sequence[BaseLanguageModel], key: str) -> list[BaseLanguageModel]:
    """Return models in an order drawn from a key; three or more never stand in the order of their sizes.

    Two are drawn like a coin: an order that never comes would tell which is which.
    """
    draw = random.Random(key)
    while True:
        drawn = draw.sample(models, k=len(models))
        sizes = [model.n_parameters for model in drawn]
        if len(set(sizes)) < 3 or sizes != sorted(sizes):
            return drawn


def facts(model: BaseLanguageModel) -> dict[str, str | int | float]:
    """Return what a column tells of its model: name, n_parameters, file_mb (0: unknown), released ("": unknown)."""
    known = {each.name: each for each in registry.entries()}.get(model.name)
    is_the_shelf_s = known is not None and model.folder is not None and registry.folder_of(known) == model.folder
    return {
        "name": model.name,
        "n_parameters": model.n_parameters,
        "file_mb": round((model.folder / WEIGHTS).stat().st_size / 1e6, 1) if model.folder else 0.0,
        "released": known.released if known is not None and is_the_shelf_s else "",
    }
