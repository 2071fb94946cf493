"""Result panel: base class that shows shares with intervals as rows, each ready to be kept as evidence."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import traitlets

from course_utils.errors import TextError
from course_utils.evidence.ledger import ledger
from course_utils.experiments.core.result import Metric, Result
from course_utils.experiments.core.statistics import Share
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.widgets.base.experiment_panel import ExperimentPanel
from course_utils.widgets.base.share_vote import where_kept
from course_utils.widgets.base.static_view import Fact, Part, Table


class ResultPanel(ExperimentPanel):
    """A measuring panel with several outcomes, each of whose numbers can be kept as evidence.

    Parameters
    ----------
    model : str, Path or BaseLanguageModel, optional
        As for `ModelPicker`.
    traits : dict
        First values of the subclass's traits.

    Attributes
    ----------
    results : dict of str to Result
        By the outcome's name; `result` is the newest.
    outcomes : dict
        What the browser shows of each: finding, numbers (what can be kept), and what the subclass adds.
    """

    model = traitlets.Unicode().tag(sync=True)
    outcomes = traitlets.Dict().tag(sync=True)

    def __init__(self, model: str | Path | BaseLanguageModel | None = None, **traits: Any) -> None:
        self.results: dict[str, Result] = {}
        super().__init__(model, **traits)

    def keep(self, metric: str | None = None, row: int | str | None = None, of: str | None = None) -> str:
        """Keep a number of a result as evidence; return the citation, such as ``[@E-07f3]``.

        Parameters
        ----------
        metric, row
            Which number, as for ``result.metric``; the one in the finding when left out.
        of : str, optional
            Which outcome, a name in `results`; the newest when left out.

        Raises
        ------
        TextError
            There is no such result yet.
        SettingsError, DamagedFile, NoSpace
            As for `course_utils.evidence.ledger.ledger.keep`.
        """
        if of is not None and of not in self.results:
            known = ", ".join(self.results) or "none so far"
            raise TextError(f"There is no result called {of!r}.", f"One of: {known}.", "Run it first, then keep it.")
        said: list[str] = []
        result = self._required() if of is None else self.results[of]
        record = ledger.keep(result, metric=metric, row=row, say=said.append)
        citation = f"[@{record.id}]"
        self.set_traits(kept=" ".join(filter(None, [f"Kept as {citation}.", *said, where_kept()])), message="")
        self._give_number(record)
        return citation

    def static_parts(self) -> list[Part]:
        """Return model, and of each outcome the finding and its rows."""
        parts = [part for part in super().static_parts() if not isinstance(part, Fact) or part.name != "Finding"]
        for name, told in self.outcomes.items():
            parts.append(Fact(name.capitalize(), told.get("finding", "")))
            for group in told.get("groups", ()):
                rows = [[row["label"], row["words"]] for row in group["rows"]]
                parts.append(Table(group["title"], ["", "share or mean, with its interval"], rows))
        return parts

    def _add(self, name: str, result: Result, places: Iterable[int] | None = None, **shown: object) -> None:
        """Add an outcome; of its numbers, those in the rows at these places can be kept."""
        self.results[name] = self.result = result
        told = {"finding": result.finding, "numbers": numbers(result, places), **shown}
        self.set_traits(outcomes={**self.outcomes, name: told}, finding=result.finding, kept="")

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "keep", "of": str(name), "metric": None | str() as metric, "row": None | int() as row}:
                self.keep(metric, row, name)
            case _:
                super()._handle_message(content, buffers)


def numbers(result: Result, places: Iterable[int] | None = None) -> list[dict[str, object]]:
    """Return what can be kept of a result: metric and row as `Result.metric` takes them, and words for a list.

    Examples
    --------
    >>> import pandas as pd
    >>> from course_utils.experiments.core.result import Measure
    >>> rows = pd.DataFrame({"model": ["small"], "rate": [0.25], "low": [0.1], "high": [0.5], "n": [20]})
    >>> measure = Measure("rate", "share", "low", "high", "n")
    >>> found = Result(rows, "", settings={}, models={}, seed=None, draw=None, measures=[measure])
    >>> numbers(found)
    [{'metric': 'rate', 'row': 0, 'words': 'rate, small: 25 % (10 % to 50 %), n = 20'}]
    """
    places = list(range(len(result.rows)) if places is None else places)
    head: list[dict[str, object]] = (
        [{"metric": None, "row": None, "words": in_brief(result.headline)}] if result.headline else []
    )
    asked = [(measure.column, place) for measure in result.measures for place in places]
    found = [(name, place, result.metric(name, place)) for name, place in asked]
    rest: list[dict[str, object]] = [
        {"metric": name, "row": place, "words": in_brief(metric)}
        for name, place, metric in found
        if metric.value is not None
    ]
    return head + rest


def in_brief(metric: Metric) -> str:
    """Return a number with its interval and count, as one line of a list has it."""

    def in_unit(value: float | None) -> str:
        if value is None:
            return "no value"
        return f"{100 * value:.0f} %" if metric.unit == "share" else f"{value:.3g}"

    ends = "" if metric.low is None else f" ({in_unit(metric.low)} to {in_unit(metric.high)})"
    count = "" if metric.n is None else f", n = {metric.n}"
    unit = "" if metric.unit == "share" else f"; {metric.unit}"
    return f"{metric.name.replace('_', ' ')}, {metric.of}: {in_unit(metric.value)}{ends}{count}{unit}"


def share_row(label: str, share: Share, note: str = "") -> dict[str, object]:
    """Return one row that the browser draws: a share from 0 to 1, its interval, and both in words."""
    if not share.n or math.isnan(share.share):
        return row(label, None, None, None, note or "unknown")
    ends = f"({100 * share.low:.0f} % to {100 * share.high:.0f} %)"
    counted = f"{100 * share.share:.0f} % {ends}, {share.n_yes} of {share.n}"
    return row(label, share.share, share.low, share.high, f"{counted}{' · ' if note else ''}{note}")


def row(label: str, value: float | None, low: float | None, high: float | None, words: str) -> dict[str, object]:
    """Return one row that the browser draws; what is not a number is None, as JSON knows no other."""
    return {"label": label, "value": number(value), "low": number(low), "high": number(high), "words": words}


def number(value: float | None) -> float | None:
    """Return a number of few digits, as JSON can carry it.

    Examples
    --------
    >>> number(float("nan")), number(1 / 3)
    (None, 0.33333)
    """
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
