"""The numbers in a panel's fields: their limits, what they mean, and words for what is wrong with them."""

import dataclasses
import json
from pathlib import Path

import traitlets

from course_utils.errors import SettingsError
from course_utils.models.settings import RANGES, Settings

MAX_SAMPLES = 8
ABOUT_SAMPLES = "how many texts to write at once, each with a seed of its own"
LIMITS = {**RANGES, "n_samples": (1, MAX_SAMPLES, True, ABOUT_SAMPLES)}
GALLERY = Path(__file__).with_name("gallery.json")


class Form(traitlets.HasTraits):
    """The prompt and the fields of a panel that writes; mixed into a panel.

    Attributes
    ----------
    prompt : str
    values : dict
        The numbers as typed, possibly out of range.
    problems : dict
        For each field that is wrong, what is wrong; see :func:`problems`.
    """

    prompt = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    problems = traitlets.Dict().tag(sync=True)
    ranges = traitlets.Dict(RANGES).tag(sync=True)
    gallery = traitlets.List().tag(sync=True)

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

    @traitlets.observe("values")
    def _explain(self, _change) -> None:
        self.problems = problems({"n_samples": 1, **self.values})


def settings_of(values: dict) -> Settings:
    """Return the settings in the fields, or a SettingsError for the first that is out of its range."""
    return Settings(**{name: values.get(name) for name in RANGES})


def n_samples_of(values: dict) -> int:
    """Return how many texts are asked for, or a SettingsError.

    Examples
    --------
    >>> n_samples_of({"n_samples": 4})
    4
    """
    n_samples = values.get("n_samples")
    if isinstance(n_samples, bool) or n_samples not in range(1, MAX_SAMPLES + 1):
        expected = f"a whole number from 1 to {MAX_SAMPLES} (texts written at once)."
        raise SettingsError(f"n_samples is {n_samples!r}.", expected, "Set n_samples within that range.")
    return int(n_samples)


def problems(values: dict) -> dict[str, str]:
    """Return, for each field whose number is wrong, what is wrong and what would be right.

    Examples
    --------
    >>> list(problems({"n_samples": 1, **{name: limit[0] for name, limit in RANGES.items()}, "top_p": 7}))
    ['top_p']
    """
    found = {}
    for name in LIMITS:
        try:
            _ = n_samples_of(values) if name == "n_samples" else Settings(**{name: values.get(name)})
        except SettingsError as error:
            found[name] = f"{error.what} Expected: {error.expected.partition(' (')[0]}."
    return found
