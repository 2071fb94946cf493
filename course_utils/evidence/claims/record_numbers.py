"""Numbers of a record, and whether one of them is a number of an essay within the rounding of that number."""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeGuard

from course_utils.core.json_types import JsonObject
from course_utils.evidence.claims.number_parser import ParsedNumber, numbers
from course_utils.evidence.ledger.record import Record, interval_of

MOST_ROWS, MOST_CELLS = 2000, 50_000
LARGEST_COUNT = 1e15
LONGEST_LIST = 12  # of whole numbers: longer ones are names of articles
DEEPEST = 6
LONGEST_FINDING = 20_000  # characters
MOST_COMPARED = 12  # records of one sentence
ROUGHLY = 0.05  # of the number, after "about" and the like
SLACK = 1e-9  # of one unit of the last digit: binary fractions
TOO_FINE = 200  # so many units of its last digit lie within the interval: the last digit says nothing

_IS_END = re.compile(r"(?:^|_)(?:low|high)(?:_|$)")
_IS_LOW = re.compile(r"(^|_)low(_|$)")
P_VALUE = re.compile(r"\bp(?:-value)?\s?[=<>\u2264]\s?$", re.IGNORECASE)

Ranges = list[tuple[float, float]]


class RecordNumbers:
    """Numbers of a record, collected once for all comparisons with an essay.

    Parameters
    ----------
    record : Record

    Attributes
    ----------
    value : float
        Its own number.
    intervals : list of (float, float)
        Its own interval first, then those of the rows of its table. Their ends are no results.
    counted : set of float
        Whole numbers of its table and settings, which nobody rounds.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.is_share = record.unit == "share" or record.unit.startswith("a share")
        self.is_percent = "%" in record.unit or "percent" in record.unit
        self.value = float(record.value)
        rows = record.rows[:MOST_ROWS]
        own = interval_of(record)
        self.intervals = [] if own is None else [own]
        self.intervals += itertools.islice((pair for row in rows for pair in _intervals_in(row)), MOST_ROWS)
        ends = {end for end in (record.low, record.high) if end is not None}
        ends |= {end for pair in self.intervals for end in pair}
        self._ends = _SortedNumbers(ends)
        without_ends = ({name: cell for name, cell in row.items() if not _IS_END.search(name)} for row in rows)
        measured, self.counted = _apart(cell for row in without_ends for cell in inside(row))
        set_to, counted = _apart(cell for part in (record.settings, record.inputs) for cell in inside(part))
        self.counted |= counted | {float(cell) for cell in (record.n, record.seed) if cell is not None}
        finding: set[float] = set()
        self.p_values: set[float] = set()
        for number in numbers(record.finding[:LONGEST_FINDING]):
            meant = {value / (100 if number.is_percent else 1) for value in number.values}
            if P_VALUE.search(record.finding[max(0, number.start - 12) : number.start]):
                self.p_values |= meant
            elif not self._ends.has_any(intervals(number) if not number.is_percent else _hundredths(number), ""):
                finding |= meant
        measured -= ends - {self.value}
        self._others = _SortedNumbers(measured | set_to | finding)
        # A temperature of 1 is no 100 %.
        self._shares = _SortedNumbers(measured | finding | (set_to - {0.0, 1.0}))

    def __repr__(self) -> str:
        """Return the record's id and number."""
        return f"Numbers of {self.record.id}: {self.description()}"

    def is_value(self, written: ParsedNumber) -> bool:
        """Tell whether a number is the record's own."""
        return is_within(self._ranges(written, True), written.sign, self.value)

    def is_any(self, written: ParsedNumber) -> bool:
        """Tell whether the record holds a number: its own or its count, or one of its table or settings.

        The ends of its interval are no results; see `is_end`.
        """
        if not written.is_percent and any(value in self.counted for value in written.values):
            return True
        if written.is_count:
            return False
        if written.bound == "about" and not written.is_percent:
            ranges = intervals(written)
            if any(is_within(ranges, "", count) for count in self.counted):
                return True
        # "More than 0.9" is borne out or not; it does not say that the value, or an end of the interval, is 0.9.
        is_exact = written.bound not in ("above", "below")
        if is_exact and self.is_value(written):
            return True
        return (self._shares if written.is_percent else self._others).has_any(self._ranges(written), written.sign)

    def is_end(self, written: ParsedNumber) -> bool:
        """Tell whether a number is an end of its interval, or of one in its table."""
        return self._ends.has_any(self._ranges(written), written.sign)

    def ends(self, low: ParsedNumber, high: ParsedNumber) -> bool:
        """Tell whether two numbers are the two ends of one interval."""
        lows, highs = self._ranges(low), self._ranges(high)
        return any(is_within(lows, "", one) and is_within(highs, "", other) for one, other in self.intervals)

    def which_end(self, written: ParsedNumber) -> str:
        """Return what to call the end that a number is."""
        for (low, high), whose in zip(self.intervals, itertools.chain(["the"], itertools.repeat("an")), strict=False):
            for end, name in ((low, "lower"), (high, "upper")):
                if is_within(self._ranges(written), "", end):
                    return f"the {name} end of {whose} interval"
        return "an end of an interval"

    def row_of(self, written: ParsedNumber) -> str:
        """Return the words of the only other rows whose number it is; "" where it is anything else too."""
        if self.is_value(written) or not written.values:
            return ""
        name, found = self.record.metric, []
        for index, row in enumerate(self.record.rows[:MOST_ROWS]):
            is_own = index == self.record.row or row.get(name) == self.record.value
            for column, cell in row.items():
                if type(cell) is float and is_within(self._ranges(written), written.sign, cell):
                    if is_own or column != name:
                        return ""
                    found.append(" · ".join(value for value in row.values() if isinstance(value, str)))
        return found[0][:80] if found else ""

    def has_share(self, ranges: Ranges) -> bool:
        """Tell whether its own number, or one of its table, lies in one of these ranges."""
        return is_within(ranges, "", self.value) or self._shares.has_any(ranges, "")

    def bears_out(self, written: ParsedNumber) -> bool:
        """Tell whether the record's own number is above or below, as the words before the number say."""
        value = self.value
        value *= 100 if written.is_percent and abs(value) <= 1 and not self.is_percent else 1
        pairs = zip(written.values, written.steps, strict=True)
        if written.bound == "above":
            return any(value >= meant - step / 2 for meant, step in pairs)
        return written.bound == "below" and any(value <= meant + step / 2 for meant, step in pairs)

    def description(self) -> str:
        """Return the record's number as a sentence may tell it; a share as a percentage too, since both are right."""
        one = self.record
        ends = "" if one.low is None or one.high is None else f" ({digits(one.low, 3)} to {digits(one.high, 3)})"
        share = f", that is {digits(100 * one.value, 3)} %" if self.is_share else f" {one.unit}".rstrip()
        return f"{digits(one.value)}{ends}{share}"

    def _ranges(self, written: ParsedNumber, may_end_in_zeros: bool = False) -> Ranges:
        """Return where a value must lie to be told by a number, as a share or as a percentage."""
        plain = intervals(written, may_end_in_zeros)
        hundredths = [(low / 100, high / 100) for low, high in plain]
        if written.is_percent:
            whole = [] if self.is_percent else [(low, min(high, 1.0)) for low, high in hundredths]
            return whole + (plain if self.is_percent else [(max(low, 1.0 + SLACK), high) for low, high in plain])
        if self.is_share and written.out_of > 0:
            plain = [*plain, _part_of(written.values[0], written.out_of)]
        return plain + (hundredths if self.is_share and written.values[0] >= 1 else [])


class _SortedNumbers:
    """Numbers in which a range is looked up at once."""

    def __repr__(self) -> str:
        return f"_SortedNumbers({len(self._all)} numbers)"

    def __init__(self, found: Iterable[float]) -> None:
        numbers_ = list(found)
        self._all = sorted(abs(number) for number in numbers_)
        self._signed = {
            "-": sorted(abs(number) for number in numbers_ if number <= 0),
            "+": sorted(number for number in numbers_ if number >= 0),
        }

    def has_any(self, ranges: Ranges, sign: str) -> bool:
        sizes = self._signed.get(sign, self._all)
        bounds = ((bisect.bisect_left(sizes, low), high) for low, high in ranges if low <= high)
        return any(index < len(sizes) and sizes[index] <= high for index, high in bounds)


def intervals(written: ParsedNumber, may_end_in_zeros: bool = False) -> Ranges:
    """Return which sizes a number can stand for: those that are rounded to it, or cut off where it ends.

    Parameters
    ----------
    written : ParsedNumber
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


def too_exact(held: RecordNumbers, written: ParsedNumber) -> bool:
    """Tell whether a number has digits about which its record's interval says nothing."""
    low, high = held.record.low, held.record.high
    if low is None or high is None or high <= low or written.is_whole:
        return False
    factor = 100.0 if written.is_percent and abs(held.record.value) <= 1 else 1.0
    return all(TOO_FINE * step <= factor * (high - low) for step in written.steps)


def is_derived(written: ParsedNumber, values: Sequence[float]) -> bool:
    """Tell whether a number is the difference, ratio or relative difference of two others.

    Notes
    -----
    A result computed from rounded numbers is off by up to a unit of the last digit. That much is allowed.
    """
    for one, other in itertools.permutations(values[:MOST_COMPARED], 2):
        results = [abs(one - other), *([abs(one / other), abs(one - other) / abs(other)] if other else [])]
        results += [100 * result for result in results if written.is_percent or result <= 1]
        for value, (meant, step) in itertools.product(results, zip(written.values, written.steps, strict=True)):
            if abs(meant - value) <= step + (ROUGHLY * value if written.bound == "about" else SLACK * step):
                return True
    return False


def is_rest(written: ParsedNumber, held: RecordNumbers) -> bool:
    """Tell whether a number is what a share leaves to the whole."""
    ranges = _hundredths(written) if written.is_percent else intervals(written)
    return held.is_share and held.has_share([(1 - high, 1 - low) for low, high in ranges])


def is_width(written: ParsedNumber, held: RecordNumbers) -> bool:
    """Tell whether a number is how wide the interval is, or half of it."""
    one, ranges = held.record, _hundredths(written) if written.is_percent else intervals(written)
    if one.low is None or one.high is None:
        return False
    return any(is_within(ranges, "", width) for width in (one.high - one.low, (one.high - one.low) / 2))


def digits(value: float, n: int = 4) -> str:
    """Return a number with so many digits, as a sentence tells it.

    Examples
    --------
    >>> [digits(each) for each in (0.89123, 27.0, 1234567, 0.00001234, -0.1)]
    ['0.8912', '27', '1,234,567', '1.234e-05', '-0.1']
    """
    return f"{value:,.0f}" if abs(value) >= 10**n else f"{value:.{n}g}"


def _hundredths(written: ParsedNumber) -> Ranges:
    return [(low / 100, high / 100) for low, high in intervals(written)]


def _intervals_in(row: JsonObject) -> Iterator[tuple[float, float]]:
    """Yield the intervals of a row of a table: columns such as auc_low and auc_high."""
    for name, low in row.items():
        if _IS_LOW.search(name):
            high = row.get(_IS_LOW.sub(r"\1high\2", name))
            if is_plain_number(low) and is_plain_number(high):
                yield float(low), float(high)


def is_plain_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a number as JSON has it; True and False are none."""
    return type(value) in (int, float)


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
    digits = f"{abs(value):.0f}"
    step = 10.0 ** (len(digits) - len(digits.rstrip("0"))) if value and value == int(value) else 1.0
    return (step / 10 if step > 1 and digits.rstrip("0") == "1" else step), step


def _apart(found: Iterable[object]) -> tuple[set[float], set[float]]:
    """Return the numbers that were measured, and the whole ones, which were counted or set."""
    measured, counted = set(), set()
    for number in itertools.islice(found, MOST_CELLS):
        if type(number) is float:
            measured.add(number)
        elif type(number) is int and abs(number) < LARGEST_COUNT:
            counted.add(float(number))
    return measured, counted


def inside(values: object, depth: int = 0) -> Iterator[object]:
    """Yield what stands in nested values, as deep as a person would look; how long a list is counts too."""
    if not isinstance(values, dict | list) or depth > DEEPEST:
        yield values
        return
    if isinstance(values, list):
        yield len(values)
        if len(values) > LONGEST_LIST and all(type(value) is int for value in values):
            return
    for item in values.values() if isinstance(values, dict) else values:
        yield from inside(item, depth + 1)
