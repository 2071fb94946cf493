"""Sampling form: the prompt and number fields of a panel, with their limits and error messages."""

import dataclasses
import json
from typing import Any

import traitlets

from course_utils.core.paths import data_file
from course_utils.errors import SettingsError
from course_utils.models.inference.settings import RANGES, Settings
from course_utils.widgets.base.numbers import NumberFields, number_in, problem_of, read_fields

MAX_SAMPLES = 8
ABOUT_SAMPLES = "how many texts to write at once, each with a seed of its own"
LIMITS = {**RANGES, "n_samples": (1, MAX_SAMPLES, True, ABOUT_SAMPLES)}
WHOLE = {name: limit[2] for name, limit in LIMITS.items()}
GALLERY = data_file(__name__, "prompt_gallery.json")


class Form(NumberFields):
    """The prompt and the fields of a panel that writes; mixed into a panel.

    Attributes
    ----------
    prompt : str
    values : dict
        The numbers, possibly out of range; what cannot be read as a number stays as it was typed.
    """

    prompt = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    ranges = traitlets.Dict(RANGES).tag(sync=True)
    gallery: traitlets.List[Any] = traitlets.List().tag(sync=True)

    @property
    def settings(self) -> Settings:
        """The settings in the fields; SettingsError when one is out of its range."""
        return settings_of(self.values)

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.values = {**self.values, **dataclasses.asdict(settings)}

    @traitlets.default("gallery")
    def _gallery(self) -> list[dict[str, str]]:
        return json.loads(GALLERY.read_text(encoding="utf-8"))

    @traitlets.validate("values")
    def _read_values(self, proposal) -> dict[str, object]:
        return read_fields(proposal["value"], WHOLE)

    @traitlets.observe("values")
    def _explain(self, _change) -> None:
        self._note_problems({"n_samples": 1, **self.values}, LIMITS)


def settings_of(values: dict) -> Settings:
    """Return the settings in the fields, or a SettingsError for the first that is out of its range."""
    read = {name: number_in(values.get(name), WHOLE[name]) for name in RANGES}
    # A field that cannot be read goes on as it was typed: `Settings` checks types and ranges, and names the field.
    fields: dict[str, Any] = {name: values.get(name) if read[name] is None else read[name] for name in RANGES}
    return Settings(**fields)


def n_samples_of(values: dict) -> int:
    """Return how many texts are asked for, or a SettingsError.

    Examples
    --------
    >>> n_samples_of({"n_samples": 4})
    4
    """
    n_samples = values.get("n_samples")
    number = number_in(n_samples, is_whole=True)
    if number is None or problem_of("n_samples", n_samples, *LIMITS["n_samples"][:3]):
        expected = f"a whole number from 1 to {MAX_SAMPLES} (texts written at once)."
        raise SettingsError(f"n_samples is {n_samples!r}.", expected, "Set n_samples within that range.")
    return int(number)
