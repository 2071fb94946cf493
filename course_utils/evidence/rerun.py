"""Re-run of a ledger record: the experiment is repeated and compared, or its picture is drawn again from its table."""

import dataclasses
import math
import re
import threading
from collections.abc import Callable

import pandas as pd

from course_utils.errors import CourseError
from course_utils.evidence.ledger.record import Record, plain
from course_utils.experiments.core import registry
from course_utils.experiments.core.cache import recompute
from course_utils.experiments.core.input_types import Refused
from course_utils.experiments.core.result import Metric, Result
from course_utils.plots.picture import Picture

REPRODUCED, WITHIN, NOT, CANNOT = "reproduced", "within tolerance", "not reproduced", "cannot be tried"
EXACT = 1e-9  # of the number: a table keeps 15 digits of each
ELSEWHERE = 1e-3  # of the number: other processors and versions add up in another order
SECONDS = {"seconds", "tokens a second"}  # times differ at every run: compared only where cited; never twice as fast
MAX_ROWS, MAX_WORD = 100, 200  # of a table that is drawn: its rows, and the characters of a cell
ENGINE = "engine"  # the version of how models are computed
PROCEDURE = "procedure"  # the version of the course's own computations; older records do not name it

Progress = Callable[[float, str], object]


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """Outcome of a re-run, compared with its record.

    Parameters
    ----------
    status : {"reproduced", "within tolerance", "not reproduced", "cannot be tried"}
    recorded : float
        The record's number.
    again : float or None
        The number now; None if it could not be tried.
    tolerance : float or None
        How far apart the two may lie; 0 where all that numbers depend on is the same.
    why : str
        In one sentence.
    """

    status: str
    recorded: float
    again: float | None
    tolerance: float | None
    why: str

    def __str__(self) -> str:
        """Return the status and why."""
        return f"{self.status}: {self.why}"

    __repr__ = __str__


def can_rerun(record: Record) -> bool:
    """Tell whether a record names an experiment that can be done again."""
    return registry.can_rerun(record.experiment)


def rerun(record: Record, progress: Progress | None = None, cancel: threading.Event | None = None) -> Reproduction:
    """Do a record's experiment again, with nothing remembered, and compare.

    Parameters
    ----------
    record : Record
        From any ledger: what it says is not trusted. Only what the registry of experiments lists is run, only
        with inputs of the types listed there, and only on models whose weights are those that the record names.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Stops with Cancelled.

    Returns
    -------
    Reproduction

    Notes
    -----
    *Reproduced*: equal, interval and count too. Where weights, precision, seed, versions, processor and device are
    those of the record, everything else is *not reproduced*: the computation gives the same number each time.

    *Within tolerance* exists only for another machine, other versions or an older procedure of the course. There sums
    differ in their last digits; and a model that writes may take another token at a near tie, after which one text
    goes on differently. So a number may differ by a thousandth, plus what one of its n texts can move: 1/n of a share
    or AUC, else half the re-run's interval divided by the root of n. An interval of an older procedure is told and not
    compared.

    Settings, seed, weights and the other numbers of the table must agree as well, and so must the finding where the
    procedure is the same.
    """
    try:
        experiment = registry.find(record.experiment)
        if experiment is None:
            raise Refused(f"{record.experiment[:60]!r} is no experiment that can be done again")
        keywords = experiment.accept_inputs(record)
        with recompute():
            result = experiment.function(**keywords, progress=progress, cancel=cancel)
        return _compared(record, result)
    except (Refused, CourseError) as why:
        return Reproduction(CANNOT, record.value, None, None, str(why))


def redraw(record: Record) -> Picture | str:
    """Return the picture of a record, or why there is none, in one sentence.

    Parameters
    ----------
    record : Record
        From any ledger: its table is drawn as numbers and words, by the function that its experiment registered.
    """
    experiment = registry.find(record.experiment)
    if experiment is None or experiment.redraw is None:
        return "Its picture needs more than the table that was kept: do it again in a notebook to see it."
    cells = [cell for row in record.rows for cell in row.values()]
    if not 1 <= len(record.rows) <= MAX_ROWS or not all(map(_is_plain, cells)):
        return "Its table cannot be drawn."
    try:
        return experiment.redraw(pd.DataFrame(record.rows).fillna(float("nan")), record)
    except Exception as problem:  # a table that lacks a column, or holds words for numbers: whatever a file may say
        return f"Its table cannot be drawn: {type(problem).__name__}."


def _is_plain(cell: object) -> bool:
    """Return whether a cell is a word, a number or empty; a table from a file may hold anything, of any length."""
    if isinstance(cell, str):
        return len(cell) <= MAX_WORD
    return cell is None or (isinstance(cell, int | float) and math.isfinite(cell) and abs(cell) < 1e15)


def _compared(record: Record, result: Result) -> Reproduction:
    again, where = _again(record, result), _where(record, result)
    status, tolerance, why = _judged(Metric(*[getattr(record, name) for name in _CITED]), again, where)
    if status != NOT:
        differing = _settings_otherwise(record, result, where) or _row_otherwise(record, result, where)
        if not where.is_older and status == REPRODUCED:
            differing = differing or _told_otherwise(record.finding, result.finding)
        status, why = (NOT, f"its number agrees, but {differing}") if differing else (status, why)
    return Reproduction(status, record.value, again.value, tolerance, f"{why}; {where.description()}")


@dataclasses.dataclass(frozen=True)
class _Where:
    """What differs between where a record was made and here.

    Parameters
    ----------
    changed : tuple of str
        Each as "torch 2.8, here 2.9".
    is_older : bool
        By an older procedure of the course.
    """

    changed: tuple[str, ...]
    is_older: bool

    @property
    def is_same(self) -> bool:
        """Return whether every number must come out equal."""
        return not self.changed and not self.is_older

    def description(self) -> str:
        """Return which of the two rules applies, and why."""
        if self.is_same:
            return "same versions, processor and device, so only equal numbers are reproduced"
        older = ["an older procedure of the course, whose intervals and finding are not compared"] * self.is_older
        return f"a tolerance applies, since the record is of {'; '.join([*older, *self.changed])}"


def _where(record: Record, result: Result) -> _Where:
    is_older = str(record.versions.get(PROCEDURE)) != str(result.versions.get(PROCEDURE))
    # Older records name no machine. That it may be another one is part of being older.
    names = [name for name in result.versions if name != PROCEDURE and (name in record.versions or not is_older)]
    before = {ENGINE: "1"} | record.versions  # the first engine is not named in records
    pairs = [(name, str(before.get(name))[:60], str(result.versions[name])) for name in names]
    changed = [f"{name} {was}, here {now}" for name, was, now in pairs if was != now]
    return _Where(tuple(changed[:4]), is_older)


_CITED = ("metric", "of", "value", "unit", "low", "high", "n", "row")  # in the order of Metric's fields


def _again(record: Record, result: Result) -> Metric:
    """Return the number that corresponds to the record's."""
    again = result.metric(record.metric, record.row)
    if again.of != record.of or again.unit != record.unit:
        raise Refused(
            f"it tells {record.metric} of {record.of[:60]}, in {record.unit[:40]}; now: {again.of}, {again.unit}"
        )
    return again


def _judged(recorded: Metric, again: Metric, where: _Where) -> tuple[str, float | None, str]:
    """Return status, tolerance and the reason for one number."""
    if recorded.value is None or again.value is None:
        difference = f"{recorded.name} of {recorded.of} was {recorded.value} and is now {again.value}"
        return (REPRODUCED if recorded.value is again.value else NOT), None, difference
    tolerance = _tolerance(again, again.value, where)
    difference = f"{recorded.name} of {recorded.of} was {recorded.value:.6g} and is now {again.value:.6g}"
    if recorded.n != again.n:
        return NOT, tolerance, f"{recorded.name} of {recorded.of} counted n = {recorded.n}, and now n = {again.n}"
    value, *ends = ((getattr(recorded, name), getattr(again, name)) for name in ("value", "low", "high"))
    if _same(*value) and all(_same(*end) for end in ends):
        return REPRODUCED, tolerance, difference
    if not _same(*value) and _distance(*value) > tolerance:
        may = f"only {tolerance:.2g} may be" if tolerance else "they must be equal"
        return NOT, tolerance, f"{difference}, {_distance(*value):.2g} apart where {may}"
    intervals = [f"{low} to {high}" for low, high in ((metric.low, metric.high) for metric in (recorded, again))]
    if where.is_older:
        differ = "" if all(_same(*end) for end in ends) else f"; its interval was {intervals[0]}, now {intervals[1]}"
        return WITHIN, tolerance, f"{difference}{differ}"
    if any(_distance(*end) > tolerance and not _same(*end) for end in ends):
        return NOT, tolerance, f"{difference}; but its interval was {intervals[0]} and is now {intervals[1]}"
    return WITHIN, tolerance, f"{difference}, {_distance(*value):.2g} apart where {tolerance:.2g} may be"


def _tolerance(again: Metric, value: float, where: _Where) -> float:
    if again.unit in SECONDS:
        return abs(value)
    if where.is_same:
        return 0.0
    one_text = 0.0
    if again.n and again.low is not None and again.high is not None:
        is_share = again.unit in ("share", "AUC")
        one_text = 1 / again.n if is_share else (again.high - again.low) / 2 / math.sqrt(again.n)
    return ELSEWHERE * abs(value) + one_text


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=EXACT, abs_tol=1e-12)


def _distance(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other)


def _settings_otherwise(record: Record, result: Result, where: _Where) -> str:
    """Return in what the record says that it measured under other conditions than it did."""
    for name, now in plain({"settings": result.settings, "models": result.models, "seed": result.seed}).items():
        was = getattr(record, name)
        if name == "settings" and not where.is_same:
            was, now = _without_texts(was), _without_texts(now)
        if was != now:
            return f"not its {name}: {_first_difference(was, now)}"
    return ""


def _without_texts(settings: object) -> object:
    """Return settings without the hash of texts that a model wrote: elsewhere one of them may go on differently."""
    if isinstance(settings, dict):
        return {name: _without_texts(value) for name, value in settings.items() if name != "texts_sha256"}
    return [_without_texts(setting) for setting in settings] if isinstance(settings, list) else settings


def _told_otherwise(was: str, now: str) -> str:
    """Return how a finding differs in words, or in a number by more than its last digit."""
    number = r"\d[\d,]*(?:\.\d+)?"
    same = re.sub(number, "0", was) == re.sub(number, "0", now)
    for one, other in zip(re.findall(number, was), re.findall(number, now), strict=False):
        last_digit = 10.0 ** -len(other.partition(".")[2])
        apart = abs(float(one.replace(",", "")) - float(other.replace(",", "")))
        same = same and apart <= 1.01 * last_digit
    return "" if same else f"its finding was told as {was[:200]!r} and is {now!r}"


def _first_difference(one: object, other: object) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        name = next(name for name in [*other, *one] if one.get(name) != other.get(name))
        return f"{str(name)[:40]} was {str(one.get(name))[:60]} and is {str(other.get(name))[:60]}"
    return f"{str(one)[:60]} and now {str(other)[:60]}"


def _row_otherwise(record: Record, result: Result, where: _Where) -> str:
    """Return which other number of the table differs."""
    if len(record.rows) != len(result.rows):
        return f"its table had {len(record.rows)} rows and has {len(result.rows)}"
    for index, row in enumerate(record.rows):
        for measure in result.measures:
            if measure.unit in SECONDS:  # a busy moment would belie the record; cited itself, it is compared
                continue
            again = result.metric(measure.column, index)
            columns = measure.column, measure.low, measure.high
            found = [row.get(column) if column else None for column in columns]
            n = row.get(measure.n) if measure.n and isinstance(measure.n, str) else again.n
            if not all(number is None or type(number) in (int, float) for number in [*found, n]):
                return f"row {index} of its table holds {str(found)[:60]} as {measure.column}"
            value, low, high = found
            recorded = Metric(measure.column, again.of, value, again.unit, low, high, n, index)
            status, _, why = _judged(recorded, again, where)
            if status == NOT:
                return f"another number of its table does not: {why}"
    return ""
