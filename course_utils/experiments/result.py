"""What an experiment returns: its numbers, the finding in a sentence, and all that is needed to do it again."""

import dataclasses
import html
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping

import pandas as pd

from course_utils.pictures.plots import Picture

PACKAGES = "model-release-course", "torch", "transformers", "tokenizers", "numpy", "pandas"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages on which numbers can depend; nothing is imported for it."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """The outcome of one experiment; as the last line of a cell it shows its finding and its rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        The numbers.
    finding : str
        One sentence, with its uncertainty.
    settings : mapping
        What was asked for; plain values.
    models : mapping of str to str
        The sha256 of each model's weights, by name.
    seed : int or None
        None where nothing was drawn.
    versions : mapping of str to str
        As ``versions()`` returns them.
    draw : callable
        Takes the rows and returns a Picture.
    details : pandas.DataFrame, optional
        The single measurements behind the rows.
    """

    rows: pd.DataFrame
    finding: str
    settings: Mapping[str, object]
    models: Mapping[str, str]
    seed: int | None
    versions: Mapping[str, str]
    draw: Callable[[pd.DataFrame], Picture]
    details: pd.DataFrame | None = None

    def picture(self) -> Picture:
        """Return the rows as a figure, with its description in words."""
        return self.draw(self.rows)

    def record(self) -> dict[str, object]:
        """Return all but the picture and the details as plain values that JSON knows; what is not known is None."""
        return {
            "finding": self.finding,
            "rows": json.loads(self.rows.to_json(orient="records", double_precision=15)),
            "settings": dict(self.settings),
            "models": dict(self.models),
            "seed": self.seed,
            "versions": dict(self.versions),
        }

    def __str__(self) -> str:
        """Return the finding, then the rows."""
        return f"{self.finding}\n\n{self.rows.to_string(index=False)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the same for a notebook (IPython asks for this name)."""
        return f"<p>{html.escape(self.finding)}</p>{self.rows.to_html(index=False, escape=True)}"


class ProgressLine:
    """A line that says how far an experiment is and how long it will take: ``progress=ProgressLine()``.

    It is rewritten in place, on stdout: a notebook and a terminal show it alike.
    """

    def __init__(self) -> None:
        self._begun, self._length = time.monotonic(), 0

    def __call__(self, share: float, what: str) -> None:
        """Say the share that is done, from 0 to 1, and what is being done."""
        seconds = time.monotonic() - self._begun
        left = f", about {seconds * (1 / share - 1):,.0f} s left" if 0 < share < 1 else ""
        line = f"{100 * share:3.0f} % · {what}{left}" if share < 1 else f"Done in {seconds:,.0f} s."
        print("\r" + line.ljust(self._length), end="" if share < 1 else "\n", file=sys.stdout, flush=True)
        self._length = len(line)
