"""Whether a record holds a number that was written, within the rounding in which it is written."""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence

from course_utils.evidence.claim_numbers import Written, numbers
from course_utils.evidence.record import Record

MOST_ROWS, MOST_CELLS = 2000, 50_000
LARGEST_COUNT = 1e15
LONGEST_LIST = 12  # of whole numbers: longer ones are names of articles
DEEPEST = 6
MOST_COMPARED = 12  # records of one sentence
ROUGHLY = 0.05  # of the number, after "about" and the like
SLACK = 1e-9  # of one unit of the last digit: binary fractions
TOO_FINE = 200  # so many units of its last digit lie within the interval: the last digit says nothing

Ranges = list[tuple[float, float]]


class Held:
    """The numbers that a record tells, gathered once.

    Parameters
    ----------
    record : Record

    Attributes
    ----------
    own : list of float
        Its value and the ends of its interval.
    counted : set of float
        Whole numbers of its table and settings, which nobody rounds.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.is_share = record.unit == "share" or record.unit.startswith("a share")
        self.is_percent = "%" in record.unit or "percent" in record.unit
        self.own = [float(each) for each in (record.value, record.low, record.high) if each is not None]
        measured, self.counted = _apart(each for row in record.rows[:MOST_ROWS] for each in inside(row))
        set_to, counted = _apart(each for part in (record.settings, record.inputs) for each in inside(part))
        self.counted |= counted | {float(each) for each in (record.n, record.seed) if each is not None}
        finding = {value / (100 if each.is_percent else 1) for each in numbers(record.finding) for value in each.values}
        self._others = _Sorted(measured | set_to | finding)
        # A temperature of 1 is no 100 %.
        self._shares = _Sorted(measured | finding | (set_to - {0.0, 1.0}))

    def is_value(self, written: Written) -> bool:
        """Tell whether a number is the record's own."""
        return is_within(self._ranges(written, True), written.sign, self.own[0])

    def is_any(self, written: Written) -> bool:
        """Tell whether the record holds a number: its own, its interval's or count, one of its table or settings."""
        if not written.is_percent and any(value in self.counted for value in written.values):
            return True
        if written.is_count:
            return False
        if written.bound == "about" and not written.is_percent:
            ranges = intervals(written)
            if any(is_within(ranges, "", each) for each in self.counted):
                return True
        # "More than 0.9" is borne out or not; it does not say that the value, or an end of the interval, is 0.9.
        is_exact = written.bound not in ("above", "below")
        ends = any(is_within(self._ranges(written), written.sign, each) for each in self.own[1:])
        if is_exact and (ends or self.is_value(written)):
            return True
        return (self._shares if written.is_percent else self._others).has_any(self._ranges(written), written.sign)

    def has_share(self, ranges: Ranges) -> bool:
        """Tell whether its own number, or one of its table, lies in one of these ranges."""
        return any(is_within(ranges, "", each) for each in self.own) or self._shares.has_any(ranges, "")

    def bears_out(self, written: Written) -> bool:
        """Tell whether the record's own number is above or below, as the words before the number say."""
        value = self.own[0]
        value *= 100 if written.is_percent and abs(value) <= 1 and not self.is_percent else 1
        pairs = zip(written.values, written.steps, strict=True)
        if written.bound == "above":
            return any(value >= meant - step / 2 for meant, step in pairs)
        return written.bound == "below" and any(value <= meant + step / 2 for meant, step in pairs)

    def told(self) -> str:
        """Return the record's number as a sentence may tell it; a share as a percentage too, since both are right."""
        one = self.record
        ends = "" if one.low is None or one.high is None else f" ({digits(one.low, 3)} to {digits(one.high, 3)})"
        share = f", that is {digits(100 * one.value, 3)} %" if self.is_share else f" {one.unit}".rstrip()
        return f"{digits(one.value)}{ends}{share}"

    def _ranges(self, written: Written, may_end_in_zeros: bool = False) -> Ranges:
        """Return where a value must lie to be told by a number, as a share or as a percentage."""
        plain = intervals(written, may_end_in_zeros)
        hundredths = [(low / 100, high / 100) for low, high in plain]
        if written.is_percent:
            whole = [] if self.is_percent else [(low, min(high, 1.0)) for low, high in hundredths]
            return whole + (plain if self.is_percent else [(max(low, 1.0 + SLACK), high) for low, high in plain])
        if self.is_share and written.out_of > 0:
            plain = [*plain, _part_of(written.values[0], written.out_of)]
        return plain + (hundredths if self.is_share and written.values[0] >= 1 else [])


class _Sorted:
    """Numbers in which a range is looked up at once."""

    def __init__(self, found: Iterable[float]) -> None:
        numbers_ = list(found)
        self._all = sorted(abs(each) for each in numbers_)
        self._signed = {
            "-": sorted(abs(each) for each in numbers_ if each <= 0),
            "+": sorted(each for each in numbers_ if each >= 0),
        }

    def has_any(self, ranges: Ranges, sign: str) -> bool:
        sizes = self._signed.get(sign, self._all)
        places = ((bisect.bisect_left(sizes, low), high) for low, high in ranges if low <= high)
        return any(place < len(sizes) and sizes[place] <= high for place, high in places)


def intervals(written: Written, may_end_in_zeros: bool = False) -> Ranges:
    """Return which sizes a number can stand for: those that are rounded to it, or cut off where it ends.

    Parameters
    ----------
    written : Written
    may_end_in_zeros : bool
        Whether 1,200 may be 1,234.

    Examples
    --------
    >>> [is_within(intervals(each), "", 0.8912) for each in numbers("0.9 0.89 0.891 0.90 0.8 0.92")]
    [True, True, True, False, True, False]
    """
    found = []
    for meant, step in zip(written.values, written.steps, strict=True):
        under, over = _zeros(meant / step) if may_end_in_zeros and step >= 1 else (1.0, 1.0)
        slack = SLACK * step
        low, high = meant - under * step / 2 - slack, max(meant + over * step / 2 + slack, meant + step - slack)
        if written.bound == "about":
            low = min(low, meant - step, meant * (1 - ROUGHLY))
            high = max(high, meant + step, meant * (1 + ROUGHLY))
        found.append((max(low, 0.0), high))
    return found


def is_within(ranges: Ranges, sign: str, value: float) -> bool:
    """Tell whether a value lies in one of the ranges, and has the sign that was written."""
    if (sign == "-" and value > 0) or (sign == "+" and value < 0):
        return False
    return any(low <= abs(value) <= high for low, high in ranges)


def too_exact(held: Held, written: Written) -> bool:
    """Tell whether a number has digits about which its record's interval says nothing."""
    low, high = held.record.low, held.record.high
    if low is None or high is None or high <= low or written.is_whole:
        return False
    factor = 100.0 if written.is_percent and abs(held.record.value) <= 1 else 1.0
    return all(TOO_FINE * step <= factor * (high - low) for step in written.steps)


def is_derived(written: Written, values: Sequence[float]) -> bool:
    """Tell whether a number is the difference, ratio or relative difference of two others.

    Notes
    -----
    Whoever takes it from rounded numbers is off by a unit of the last digit; that much is allowed.
    """
    for one, other in itertools.permutations(values[:MOST_COMPARED], 2):
        results = [abs(one - other), *([abs(one / other), abs(one - other) / abs(other)] if other else [])]
        results += [100 * each for each in results if written.is_percent or each <= 1]
        for value, (meant, step) in itertools.product(results, zip(written.values, written.steps, strict=True)):
            if abs(meant - value) <= step + (ROUGHLY * value if written.bound == "about" else SLACK * step):
                return True
    return False


def is_rest(written: Written, held: Held) -> bool:
    """Tell whether a number is what a share leaves to the whole, or how wide the interval is."""
    one, ranges = held.record, intervals(written)
    if written.is_percent:
        ranges = [(low / 100, high / 100) for low, high in ranges]
    if held.is_share and held.has_share([(1 - high, 1 - low) for low, high in ranges]):
        return True
    if one.low is None or one.high is None:
        return False
    return any(is_within(ranges, "", each) for each in (one.high - one.low, (one.high - one.low) / 2))


def digits(value: float, n: int = 4) -> str:
    """Return a number with so many digits, as a sentence tells it.

    Examples
    --------
    >>> [digits(each) for each in (0.89123, 27.0, 1234567, 0.00001234, -0.1)]
    ['0.8912', '27', '1,234,567', '1.234e-05', '-0.1']
    """
    return f"{value:,.0f}" if abs(value) >= 10**n else f"{value:.{n}g}"


def _part_of(part: float, whole: float) -> tuple[float, float]:
    """Return which shares are told by so many of so many: of "one in six" the six was rounded."""
    if part == 1 and whole % 10:
        return 1 / (whole + 0.5), 1 / (whole - 0.5)
    return (part - 0.5) / whole - SLACK, (part + 0.5) / whole + SLACK


def _zeros(value: float) -> tuple[float, float]:
    """Return to what a whole number was rounded, from below and from above: 1,200 to 100; 100 to 10 from 96.

    Examples
    --------
    >>> [_zeros(each) for each in (1234.0, 1200.0, 100.0)]
    [(1.0, 1.0), (100.0, 100.0), (10.0, 100.0)]
    """
    told = f"{abs(value):.0f}"
    place = 10.0 ** (len(told) - len(told.rstrip("0"))) if value and value == int(value) else 1.0
    return (place / 10 if place > 1 and told.rstrip("0") == "1" else place), place


def _apart(found: Iterable[object]) -> tuple[set[float], set[float]]:
    """Return the numbers that were measured, and the whole ones, which were counted or set."""
    measured, counted = set(), set()
    for each in itertools.islice(found, MOST_CELLS):
        if type(each) is float:
            measured.add(each)
        elif type(each) is int and abs(each) < LARGEST_COUNT:
            counted.add(float(each))
    return measured, counted


def inside(values: object, depth: int = 0) -> Iterator[object]:
    """Yield what stands in nested values, as deep as a person would look; how long a list is counts too."""
    if not isinstance(values, dict | list) or depth > DEEPEST:
        yield values
        return
    if isinstance(values, list):
        yield len(values)
        if len(values) > LONGEST_LIST and all(type(each) is int for each in values):
            return
    for each in values.values() if isinstance(values, dict) else values:
        yield from inside(each, depth + 1)
