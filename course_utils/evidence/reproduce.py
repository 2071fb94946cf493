"""A record done again on this machine: reproduced, within tolerance, not reproduced, or why it cannot be tried."""

import dataclasses
import importlib
import math
import re
import threading
from collections.abc import Callable

from course_utils.errors import CourseError
from course_utils.evidence.allowed import EXPERIMENTS, Refused
from course_utils.evidence.record import Record, plain
from course_utils.experiments.remember import anew
from course_utils.experiments.result import Metric, Result

REPRODUCED, WITHIN, NOT, CANNOT = "reproduced", "within tolerance", "not reproduced", "cannot be tried"
SAME = 1e-4  # of the number: other processors add up in another order, which shows from the fifth digit on
WITHOUT_INTERVAL = 0.01  # of the number, where the re-run has no interval to compare with
SECONDS = {"seconds", "tokens a second"}  # a machine is never twice as fast

Progress = Callable[[float, str], object]


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """How a record came out when it was done again.

    Parameters
    ----------
    status : {"reproduced", "within tolerance", "not reproduced", "cannot be tried"}
    recorded : float
        The record's number.
    again : float or None
        The number now; None if it could not be tried.
    tolerance : float or None
        How far apart the two may lie: what the re-run's own interval says, never the record's.
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


def can_rerun(record: Record) -> bool:
    """Tell whether a record names an experiment that can be done again."""
    return record.experiment in EXPERIMENTS


def rerun(record: Record, progress: Progress | None = None, cancel: threading.Event | None = None) -> Reproduction:
    """Do a record's experiment again, with nothing remembered, and compare.

    Parameters
    ----------
    record : Record
        From any ledger: what it says is not trusted. Only what `allowed.EXPERIMENTS` lists is run, only with inputs of
        the kinds listed there, and only on models whose weights are those that the record names.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Stops with Cancelled.

    Returns
    -------
    Reproduction

    Notes
    -----
    *Reproduced*: the same to four digits, interval and count too. *Within tolerance*: no further off than half the
    re-run's own 95% interval is wide, as when another machine draws other texts. Settings, seed, weights and the other
    numbers of the table must agree as well, and so must the finding where the number does to four digits.
    """
    try:
        keywords = _inputs(record)
        room, function = record.experiment.split(".")  # one of our own names, by now
        experiment = getattr(importlib.import_module(f"course_utils.experiments.{room}"), function)
        with anew():
            result = experiment(**keywords, progress=progress, cancel=cancel)
        return _compared(record, result)
    except (Refused, CourseError) as why:
        return Reproduction(CANNOT, record.value, None, None, str(why))


def _inputs(record: Record) -> dict[str, object]:
    """Return the keyword arguments, each of its kind."""
    kinds = EXPERIMENTS.get(record.experiment)
    if kinds is None:
        raise Refused(f"{record.experiment[:60]!r} is no experiment that can be done again")
    given = record.inputs or {}
    if set(given) != set(kinds):
        odd = ", ".join(sorted(set(given) ^ set(kinds)))
        raise Refused(f"its inputs are not those of {record.experiment}: {odd[:100]}")
    found = {}
    for name, kind in kinds.items():
        try:
            found[name] = kind(given[name], record)
        except Refused as why:
            raise Refused(f"its input {name} cannot be taken: {why}") from None
    return found


def _compared(record: Record, result: Result) -> Reproduction:
    again = _again(record, result)
    status, tolerance, why = _judged(Metric(*[getattr(record, name) for name in _CITED]), again)
    if status != NOT:
        differing = _settings_otherwise(record, result) or _row_otherwise(record, result)
        differing = differing or (status == REPRODUCED and _told_otherwise(record.finding, result.finding))
        status, why = (NOT, f"its number agrees, but {differing}") if differing else (status, why)
    return Reproduction(status, record.value, again.value, tolerance, why + _other_versions(record, result, status))


_CITED = ("metric", "of", "value", "unit", "low", "high", "n", "row")  # in the order of Metric's fields


def _again(record: Record, result: Result) -> Metric:
    """Return the number that corresponds to the record's."""
    again = result.metric(record.metric, record.row)
    if again.of != record.of or again.unit != record.unit:
        raise Refused(
            f"it tells {record.metric} of {record.of[:60]}, in {record.unit[:40]}; now: {again.of}, {again.unit}"
        )
    return again


def _judged(recorded: Metric, again: Metric) -> tuple[str, float | None, str]:
    """Return status, tolerance and the reason for one number."""
    if recorded.value is None or again.value is None:
        told = f"{recorded.name} of {recorded.of} was {recorded.value} and is now {again.value}"
        return (REPRODUCED if recorded.value is again.value else NOT), None, told
    tolerance = _tolerance(again)
    told = f"{recorded.name} of {recorded.of} was {recorded.value:.6g} and is now {again.value:.6g}"
    if recorded.n != again.n:
        return NOT, tolerance, f"{recorded.name} of {recorded.of} counted n = {recorded.n}, and now n = {again.n}"
    pairs = [(getattr(recorded, end), getattr(again, end)) for end in ("value", "low", "high")]
    if all(_same(one, other) for one, other in pairs):
        return REPRODUCED, tolerance, told
    far = [_distance(one, other) > tolerance for one, other in pairs]
    if not any(far):
        return WITHIN, tolerance, f"{told}, {_distance(*pairs[0]):.2g} apart where {tolerance:.2g} may be"
    if far[0]:
        return NOT, tolerance, f"{told}, {_distance(*pairs[0]):.2g} apart where only {tolerance:.2g} may be"
    ends = [f"{low} to {high}" for low, high in ((each.low, each.high) for each in (recorded, again))]
    return NOT, tolerance, f"{told}; but its interval was {ends[0]} and is now {ends[1]}"


def _tolerance(again: Metric) -> float:
    if again.unit in SECONDS:
        return abs(again.value)
    if again.low is None or again.high is None:
        return WITHOUT_INTERVAL * abs(again.value)
    return (again.high - again.low) / 2


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=SAME, abs_tol=1e-9)


def _distance(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other)


def _settings_otherwise(record: Record, result: Result) -> str:
    """Return in what the record says that it measured under other conditions than it did."""
    for name, now in plain({"settings": result.settings, "models": result.models, "seed": result.seed}).items():
        was = getattr(record, name)
        if was != now:
            return f"not its {name}: {_first_difference(was, now)}"
    return ""


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


def _row_otherwise(record: Record, result: Result) -> str:
    """Return which other number of the table differs."""
    if len(record.rows) != len(result.rows):
        return f"its table had {len(record.rows)} rows and has {len(result.rows)}"
    for place, row in enumerate(record.rows):
        for measure in result.measures:
            if measure.unit in SECONDS:  # a busy moment would belie the record; cited itself, it is compared
                continue
            again = result.metric(measure.column, place)
            columns = measure.column, measure.low, measure.high
            found = [row.get(column) if column else None for column in columns]
            n = row.get(measure.n) if measure.n and isinstance(measure.n, str) else again.n
            if not all(each is None or type(each) in (int, float) for each in [*found, n]):
                return f"row {place} of its table holds {str(found)[:60]} as {measure.column}"
            value, low, high = found
            recorded = Metric(measure.column, again.of, value, again.unit, low, high, n, place)
            status, _, why = _judged(recorded, again)
            if status == NOT:
                return f"another number of its table does not: {why}"
    return ""


def _other_versions(record: Record, result: Result, status: str) -> str:
    """Return which packages are of another version, where that may be why."""
    pairs = [(name, str(record.versions.get(name))[:20], now) for name, now in result.versions.items()]
    changed = [f"{name} {now} (then {was})" for name, was, now in pairs if was != now]
    return f"; measured now with {', '.join(changed)}" if changed and status != REPRODUCED else ""
