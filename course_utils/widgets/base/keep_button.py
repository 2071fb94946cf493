"""Keep button below a result: lists its numbers, keeps them as evidence, and shows how to cite them."""

import contextlib
import math
from pathlib import Path
from typing import Any

import traitlets

from course_utils.errors import CourseError, SettingsError, TextError
from course_utils.evidence.ledger import ledger as ledgers
from course_utils.evidence.ledger.record import Record, plain
from course_utils.experiments.core.result import Metric, Result
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.share_vote import VoteSharingPanel, where_kept
from course_utils.widgets.base.static_view import Fact, Part, is_in_notebook

MOST_ROWS = 60  # whose numbers are listed: of more, `keep(result, metric=…, row=…)` keeps any
NOTHING = "This result has no number that can be cited, so there is nothing to keep."


class KeepButton(VoteSharingPanel):
    """A button that keeps one number of a result in the ledger, and tells how to cite it.

    Parameters
    ----------
    result : Result
    ledger : str or Path, optional
        As for `course_utils.evidence.ledger.ledger.ledger_path`.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    numbers : list of dict
        What can be kept: metric and row, as ``result.metric`` takes them, and words.
    chosen : int
        Which of them, the number of the finding first.
    kept : dict
        Of what was kept last: id, cite (``[@E-07f3]``), words, warnings; empty before.

    Examples
    --------
    ::

        button = KeepButton(base_rates())
        button.choose(1)
        button.keep()
    """

    _esm, _css = browser_bundle("keep_button")
    panel_title = "Keep as evidence"
    has_static_output = False  # the result itself stands above it
    class_keeps = True

    numbers: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    kept = traitlets.Dict().tag(sync=True)
    nothing = traitlets.Unicode().tag(sync=True)

    def __init__(self, result: Result, ledger: str | Path | None = None, projector: bool = False) -> None:
        self.result, self._ledger = result, ledger
        numbers = citable(result)
        super().__init__(projector, numbers=numbers, nothing="" if numbers else NOTHING)

    def choose(self, place: int) -> None:
        """Choose one of the numbers.

        Raises
        ------
        SettingsError
            There are not so many.
        """
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(self.numbers):
            raise SettingsError(f"place is {place!r}.", f"From 0 to {len(self.numbers) - 1}.", "button.choose(0)")
        self.set_traits(chosen=place, kept={}, message="")

    def keep(self) -> Record:
        """Keep the number that is chosen, unless the ledger holds it; return its record.

        Returns
        -------
        Record

        Raises
        ------
        TextError
            The result has no number that can be cited.
        DamagedFile, NoSpace
            As for `course_utils.evidence.ledger.ledger.keep`. Nothing is lost: the result is still here.
        """
        if not self.numbers:
            raise TextError(NOTHING, "A result with a headline or measures.", "Keep another result.")
        metric, row = (self.numbers[self.chosen][name] for name in ("metric", "row"))
        said: list[str] = []
        record = already_kept(self.result, metric, row, self._ledger)
        words = f"This was kept before, as {record.id}; it is not kept twice." if record else ""
        if not record:
            record = ledgers.keep(self.result, metric=metric, row=row, ledger=self._ledger, say=said.append)
            words = f"Kept as {record.id}."
        said += filter(None, [where_kept()])
        kept = {"id": record.id, "cite": f"[@{record.id}]", "words": words, "warnings": said}
        self.set_traits(kept=kept, message="")
        self._give_number(record)
        return record

    def static_parts(self) -> list[Part]:
        """Return what was kept, and how it is cited."""
        if not self.kept:
            return [Fact("", self.nothing or "No number of this result was kept with this button.")]
        parts: list[Part] = [Fact("", self.kept["words"]), Fact("Cite as", self.kept["cite"])]
        return [*parts, *(Fact("Note", warning) for warning in self.kept["warnings"])]

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "choose", "place": int(place)}:
                self.choose(place)
            case {"kind": "keep"}:
                self.keep()

    def show_error(self, error: BaseException) -> None:
        """Show an error, and no citation beside it."""
        self.set_traits(kept={})
        super().show_error(error)


def citable(result: Result) -> list[dict[str, object]]:
    """Return every number of a result that can be kept, the one of its finding first, each once.

    Examples
    --------
    >>> from course_utils.experiments.detection.base_rates import base_rates
    >>> citable(base_rates([0.99], [0.5]))[1]["words"]
    'flags right, 0.99 · 0.5: 99 %'
    """
    found: list[tuple[str | None, int | None, Metric]] = []
    if result.headline:
        found.append((None, None, result.headline))
    for measure in result.measures:
        rows = range(min(len(result.rows), MOST_ROWS))
        found += [(measure.column, row, result.metric(measure.column, row)) for row in rows]
    of = {metric: place for place, (_, _, metric) in reversed(list(enumerate(found)))}  # the same number, told twice
    return [
        {"metric": name, "row": row, "words": in_brief(metric)}
        for place, (name, row, metric) in enumerate(found)
        if metric.value is not None and of[metric] == place
    ]


def in_brief(number: Metric | Record) -> str:
    """Return a number as one line has it: what, of what, value, interval, count and unit."""
    name = number.metric if isinstance(number, Record) else number.name
    return f"{name.replace('_', ' ')}, {number.of}: {value_in_words(number)}"


def value_in_words(number: Metric | Record) -> str:
    """Return the value of a number with its interval, count and unit.

    Examples
    --------
    >>> value_in_words(Metric("rate", "small", 0.25, "share", 0.125, 0.5, 20))
    '25 % (95% interval 12.5 % to 50 %), n = 20'
    >>> value_in_words(Metric("speed", "small", 12345.678, "tokens a second"))
    '12,346 tokens a second'
    """
    is_share = number.unit == "share"

    def in_unit(value: float | None) -> str:
        if value is None:
            return "no value"
        return f"{100 * value:.3g} %" if is_share else digits(value)

    has_interval = number.low is not None and number.high is not None
    interval = f" (95% interval {in_unit(number.low)} to {in_unit(number.high)})" if has_interval else ""
    count = "" if number.n is None else f", n = {number.n:,}"
    return f"{in_unit(number.value)}{interval}{'' if is_share else f' {number.unit}'}{count}"


def digits(value: float) -> str:
    """Write a number with as many digits as anybody reads; the record keeps them all."""
    if math.isfinite(value) and abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def already_kept(
    result: Result, metric: str | None, row: int | str | None, ledger: str | Path | None = None
) -> Record | None:
    """Return the record of this very number of this very measurement, whatever was noted beside it; None without one.

    Two measurements are the same if all agrees to the last digit: the number, every other number of the table, finding,
    settings, seed, weights, versions. Whoever measures anew gets other seconds at least, where seconds are measured;
    where nothing at all differs, a second record would say nothing new.
    """
    measured = plain(result.record(metric, row))
    with contextlib.suppress(CourseError):  # a fault of the ledger is told by whoever writes to it
        for record in reversed(ledgers.read(ledger).records):
            same = record.finding == measured["finding"]  # which is quick to compare, and seldom so
            if same and {name: value for name, value in record.measured().items() if name != "note"} == measured:
                return record
    return None


def show_result(result: Result) -> None:
    """Show a result, and the button below it: how a notebook displays a result that ends a cell.

    In a terminal, where there is no button to press, the text is printed.
    """
    if not is_in_notebook():
        print(result)
        return
    from IPython.display import display

    display({"text/html": result._repr_html_(), "text/plain": str(result)}, raw=True)
    display(KeepButton(result))
