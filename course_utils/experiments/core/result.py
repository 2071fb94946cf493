"""Result of an experiment: its table, its finding in a sentence, and all that is needed to run it again."""

import dataclasses
import html
import importlib.metadata
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from course_utils.core.limits import processor
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.core.cache import sha256_of_values

if TYPE_CHECKING:
    # For the type checker only: a grading worker checks ledgers with this module, and needs neither of the two.
    import pandas as pd

    from course_utils.plots.picture import Picture

PACKAGES = (
    "model-release-course", "torch", "transformers", "tokenizers", "numpy", "pandas",
    "scipy", "scikit-learn", "statsmodels",
)  # fmt: skip


# How the course itself computes. 1, which records do not name: some intervals were resampled from seed 0, and those of
# the best of many did not allow for the choice. 2: all resampling takes the record's seed, and they do.
PROCEDURE = "2"
# How the course computes with a model. 1, which records do not name: int8 layers multiplied in bfloat16, and fp32 ran
# through transformers, whose last digits differ. 2: int8 layers have 14-bit activations; both have own forward passes.
ENGINE = "2"


def versions() -> dict[str, str]:
    """Return all but the inputs on which numbers can depend; nothing is imported for it.

    Returns
    -------
    dict
        Versions of Python and of packages; ``procedure`` and ``engine``, the course's own; ``processor``, its name and
        a hash of its instructions; ``device``, where PyTorch computes: cpu, cuda or mps.

    Notes
    -----
    The number of threads is not among them: sums of the course's models come out the same to the last bit with 1, 2, 3
    and 8 threads, in fp32 and int8.
    """
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    machine = {"processor": processor(), "device": _device()}
    return {"python": platform.python_version(), **packages, "procedure": PROCEDURE, "engine": ENGINE, **machine}


def _device() -> str:
    """Return where PyTorch computes; "cpu" where it was not needed."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "backends"):
        return "cpu"
    if torch.cuda.is_available():
        return "cuda " + torch.cuda.get_device_name()
    return "mps" if torch.backends.mps.is_available() else "cpu"


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that a sentence can cite, with its interval, its unit and its count.

    Parameters
    ----------
    name : str
        What was measured, such as ``"bits_per_character"``.
    of : str
        Of what, such as ``"pocket-xl"`` or ``"pocket-xl against pocket-small"``.
    value : float or None
        None where it is not known.
    unit : str
        ``"share"`` is a number from 0 to 1, which a sentence may tell as a percentage.
    low, high : float, optional
        Its 95% interval; None where there is none.
    n : int, optional
        How many documents, texts or ratings it rests on.
    row : int, optional
        The row in which it stands; None where it sums up several.
    """

    name: str
    of: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    n: int | None = None
    row: int | None = None

    def __post_init__(self) -> None:
        """Make NumPy's numbers Python's; what is not a number is None."""
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, _plain_number(getattr(self, name)))
        n = _plain_number(self.n)
        object.__setattr__(self, "n", None if n is None else int(n))

    def __str__(self) -> str:
        """Return the number with its interval, its unit and its count."""
        value = "unknown" if self.value is None else f"{self.value:.4g}"
        ends = "" if self.low is None or self.high is None else f" (95% interval {self.low:.4g} to {self.high:.4g})"
        return f"{self.name} of {self.of}: {value}{ends}, {self.unit}" + (f", n = {self.n}" if self.n else "")

    __repr__ = __str__


@dataclasses.dataclass(frozen=True)
class Measure:
    """A column whose numbers can be cited, and the columns that belong to it.

    Parameters
    ----------
    column : str
    unit : str
        As for `Metric`.
    low, high, n : str, optional
        The columns of its interval and of its count; n may also be a whole number, the same for all rows.
    of : sequence of str, optional
        The columns that name a row; the first column when left out.
    """

    column: str
    unit: str
    low: str = ""
    high: str = ""
    n: str | int = ""
    of: Sequence[str] = ()


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
    versions : mapping of str to str, optional
        Those that ``versions()`` returns when left out.
    draw : callable
        Takes the rows and returns a Picture.
    details : pandas.DataFrame, optional
        The single measurements behind the rows.
    headline : Metric, optional
        The number that the finding states.
    measures : sequence of Measure, optional
        The columns of the rows that can be cited.
    experiment : str, optional
        The name in the registry of experiments, which writes it: ``"sizes.compare_sizes"``.
    inputs : mapping, optional
        With which keyword arguments; plain values. Models by name, texts by how they were drawn or as `kept_texts`
        returns them.
    """

    rows: "pd.DataFrame"
    finding: str
    _: dataclasses.KW_ONLY
    settings: Mapping[str, Any]
    models: Mapping[str, str]
    seed: int | None
    versions: Mapping[str, str] = dataclasses.field(default_factory=lambda: versions())
    draw: "Callable[[pd.DataFrame], Picture]"
    details: "pd.DataFrame | None" = None
    headline: Metric | None = None
    measures: Sequence[Measure] = ()
    experiment: str = ""
    inputs: Mapping[str, object] | None = None

    def known_details(self) -> "pd.DataFrame":
        """Return the details.

        Raises
        ------
        TextError
            This experiment keeps none, or the result was read from a record, which has none.
        """
        if self.details is None:
            what = f"The result of {self.experiment or 'this experiment'} has no details."
            raise TextError(what, "A result with details.", "Run the experiment again.")
        return self.details

    def known_seed(self) -> int:
        """Return the seed.

        Raises
        ------
        TextError
            This experiment draws nothing, so it has none.
        """
        if self.seed is None:
            what = f"The result of {self.experiment or 'this experiment'} has no seed."
            raise TextError(what, "A result of an experiment that draws.", "Use the result of another experiment.")
        return self.seed

    def picture(self) -> "Picture":
        """Return the rows as a figure, with its description in words."""
        return self.draw(self.rows)

    def metric(self, name: str | None = None, row: int | str | None = None) -> Metric:
        """Return one of its numbers: the headline, or a column's number in a row.

        Parameters
        ----------
        name : str, optional
            A column that ``measures`` names; the headline when left out.
        row : int or str, optional
            The row's place, or what names it, such as a model; may be left out where there is only one row.

        Raises
        ------
        SettingsError
            There is no such number, or more than one.
        """
        known = {measure.column: measure for measure in self.measures}
        if self.headline and row is None and name in (None, self.headline.name):
            return self.headline
        if name not in known:
            names = [*([self.headline.name] if self.headline else []), *known]
            raise SettingsError(
                f"metric is {name!r}.", f"One of {', '.join(names)}." if names else "A result with measures.",
                f"metric={names[-1]!r}" if names else "This result has no number that can be cited.",
            )  # fmt: skip
        measure = known[name]
        labels = self.rows[list(measure.of) or self.rows.columns[:1]].astype(str).agg(" · ".join, axis=1).tolist()
        index = _place(row, labels)
        found = self.rows.iloc[index]
        low, high = (found[column] if column else None for column in (measure.low, measure.high))
        n = found[measure.n] if measure.n and isinstance(measure.n, str) else measure.n or None
        return Metric(name, labels[index], found[name], measure.unit, low, high, n, index)

    def record(self, metric: str | None = None, row: int | str | None = None) -> dict[str, object]:
        """Return all but the picture and the details as plain values that JSON knows; what is not known is None.

        Parameters
        ----------
        metric, row
            The number to be cited, as for `metric`; the headline when left out, if there is one.

        Raises
        ------
        SettingsError
            There is no such number.
        """
        chosen = self.headline if metric is None and row is None else self.metric(metric, row)
        cited = dataclasses.asdict(chosen) if chosen else dict.fromkeys(_METRIC_FIELDS)
        cited["metric"] = cited.pop("name")
        return {
            "finding": self.finding,
            **cited,
            "rows": json.loads(self.rows.to_json(orient="records", double_precision=15)),
            "settings": dict(self.settings),
            "models": dict(self.models),
            "seed": self.seed,
            "versions": dict(self.versions),
            "experiment": self.experiment,
            "inputs": None if self.inputs is None else dict(self.inputs),
        }

    def __str__(self) -> str:
        """Return the finding, then the rows."""
        return f"{self.finding}\n\n{self.rows.to_string(index=False)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the same for a notebook (IPython asks for this name)."""
        rows = self.rows.to_html(index=False, escape=True, float_format=_readable, na_rep="")
        return f"<p>{html.escape(self.finding)}</p>{rows}"


_METRIC_FIELDS = [field.name for field in dataclasses.fields(Metric)]
MAX_KEPT_CHARACTERS = 20_000  # characters of text that a record carries whole


def kept_texts(texts: Sequence[str]) -> list[str] | dict[str, object]:
    """Return texts as an input that a record can carry: whole if they are short, else their hash and number.

    Examples
    --------
    >>> kept_texts(["A text."])
    ['A text.']
    >>> list(kept_texts(["A long text. " * 10_000]))
    ['sha256', 'n_texts']
    """
    texts = list(texts)
    if sum(map(len, texts)) <= MAX_KEPT_CHARACTERS:
        return texts
    return {"sha256": sha256_of_values(texts), "n_texts": len(texts)}


def kept_rows(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]] | dict[str, object]:
    """Return rows as an input that a record can carry: whole if they are short, else their hash and number.

    Examples
    --------
    >>> kept_rows([{"item": "text 1", "rating": 4}])
    [{'item': 'text 1', 'rating': 4}]
    """
    kept = [dict(row) for row in rows]
    if len(json.dumps(kept)) <= MAX_KEPT_CHARACTERS:
        return kept
    return {"sha256": sha256_of_values(kept), "n_rows": len(kept)}


def _place(row: int | str | None, labels: list[str]) -> int:
    """Return the place of the one row that is meant."""
    if isinstance(row, Integral) and not isinstance(row, bool):
        indices = [int(row)] if 0 <= row < len(labels) else []
    else:
        indices = [index for index, label in enumerate(labels) if row in (None, label)]
    if len(indices) != 1:
        raise SettingsError(
            f"row is {row!r}, which {f'{len(indices)} rows' if indices else 'no row'} can be.",
            f"A place from 0 to {len(labels) - 1}, or one of {', '.join(dict.fromkeys(labels))}.",
            "Name the row: row=0.",
        )
    return indices[0]


def _plain_number(value: object) -> float | int | None:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, Integral) else float(value)


def _readable(value: float) -> str:
    """Write a number of a table with as many digits as anybody reads; the record keeps them all."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


class ProgressLine:
    """A progress line on stdout, with the share done and the time left: ``progress=ProgressLine()``.

    It is rewritten in place. A notebook and a terminal show it alike.
    """

    def __init__(self) -> None:
        self._begun, self._length = time.monotonic(), 0

    def __repr__(self) -> str:
        """Return what it is for."""
        return "ProgressLine(): pass it as progress="

    def __call__(self, share: float, what: str) -> None:
        """Say the share that is done, from 0 to 1, and what is being done."""
        seconds = time.monotonic() - self._begun
        left = f", about {seconds * (1 / share - 1):,.0f} s left" if 0 < share < 1 else ""
        line = f"{100 * share:3.0f} % · {what}{left}" if share < 1 else f"Done in {seconds:,.0f} s."
        print("\r" + line.ljust(self._length), end="" if share < 1 else "\n", file=sys.stdout, flush=True)
        self._length = len(line)
