"""Numbers in a sentence, as people write them, and whether a record holds them."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from course_utils.evidence.record import Record

NUMBER = re.compile(
    r"(?<![\w.,/\u2019'])(?P<sign>[-\u2212\u2013+]\s?)?"
    r"(?P<digits>\d{1,3}(?:[,\u202f\u00a0 ]\d{3})+(?:\.\d+)?|\d+[.,]\d+|\d+)"
    r"(?P<scale>\s?(?:thousand|million|billion)\b)?(?P<percent>\s?(?:%|percent\b|per\s?cent\b))?(?![\w])(?!\.\d)"
)
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
# Numbers that name something and measure nothing: sizes, settings, places, dates, the confidence of an interval.
NAMES_BEFORE = re.compile(
    r"(?:\b(?:GPT|top|readings?|notebook|sections?|stage|table|figure|chapter|pages?|step|seed|week|"
    r"version|paragraph|point|reason|figs?\.|no\.|model|temperature|criterion|"
    r"option|day|round|part|claim|question|k|p|T|nb|arXiv|"
    rf"appendix|{MONTHS})(?:\s*(?:=|of|no\.|number|to|at|is|was|was\s+set\s+to))?|"
    r"§|\btop[- ][kp]|#|[=(]\s*[kp]\s*=)[\s-]*$",
    re.IGNORECASE,
)
NAMES_AFTER = re.compile(
    rf"^\s?(?:%\s*)?(?:(?:confidence\s+)?intervals?\b|confidence\b|{MONTHS}\b|[-\s]?(?:M|B|k)\b|parameters\b|"
    r"(?:million|billion)\s+parameters\b|st\b|nd\b|rd\b|th\b|(?:year|month|week|day|hour|minute)s?\b|[-\s]grams?\b)",
)
COUNT = re.compile(r"\bn\s*=\s*$", re.IGNORECASE)
HEDGE = re.compile(
    r"\b(?:about|around|roughly|some|nearly|almost|over|under|above|below|more than|less than|fewer than|at least|"
    r"at most|up to|approximately|circa|just)\s*$",
    re.IGNORECASE,
)
SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
ROUGHLY = 0.05  # of the number, after "about" and the like


@dataclasses.dataclass(frozen=True)
class Written:
    """A number as it stands in a sentence.

    Parameters
    ----------
    start, end : int
        Where, within the sentence.
    words : str
    values : tuple of float
        What it can mean: ``1,234`` may have a decimal comma.
    steps : tuple of float
        For each, one unit of its last digit.
    is_percent, is_whole, is_count, is_rough : bool
        With a percent sign; without decimals; after ``n =``; after "about" and the like.
    """

    start: int
    end: int
    words: str
    values: tuple[float, ...]
    steps: tuple[float, ...]
    is_percent: bool
    is_whole: bool
    is_count: bool
    is_rough: bool


def numbers(sentence: str) -> Iterator[Written]:
    """Yield the numbers of a sentence that measure something."""
    for found in NUMBER.finditer(sentence):
        before, after = sentence[max(0, found.start() - 40) : found.start()], sentence[found.end() : found.end() + 40]
        if NAMES_BEFORE.search(before) or NAMES_AFTER.search(sentence[found.end("digits") : found.end() + 40]):
            continue
        digits, is_count = found["digits"], bool(COUNT.search(before))
        plain = not found["percent"] and not found["scale"]
        if plain and re.fullmatch(r"(?:19|20)\d\d", digits) and not is_count:
            continue  # a year
        if found["percent"] and re.match(r"\s*(?:confidence|interval|CI\b)", after):
            continue
        readings = _meanings(digits)
        factor = SCALES.get((found["scale"] or "").strip(), 1.0)
        sign = -1.0 if (found["sign"] or "").strip() in ("-", "\u2212", "\u2013") else 1.0
        if sign < 0 and re.search(r"\d\s?%?$", before):
            sign = 1.0  # a dash between two numbers
        yield Written(
            found.start("digits"), found.end(), sentence[found.start("digits") : found.end()],
            tuple(sign * factor * value for value, _ in readings), tuple(factor * step for _, step in readings),
            bool(found["percent"]), all(step >= 1 for _, step in readings) and not found["scale"],
            is_count, bool(HEDGE.search(before)),
        )  # fmt: skip


def holds(record: Record, written: Written) -> bool:
    """Tell whether a record holds a number, within the rounding in which it is written."""
    return any(matches(written, value, record.unit == "share") for value in known(record))


def matches(written: Written, value: float, is_share: bool = False) -> bool:
    """Tell whether a number that was written is this value, within one unit of its last digit."""
    wanted = [value]
    if written.is_percent or (is_share and written.is_whole):
        wanted = [100 * value, value] if abs(value) <= 1 or is_share else [value]
    for meant, step in zip(written.values, written.steps, strict=True):
        for each in wanted:
            near = max(step, ROUGHLY * abs(each), _zeros(meant)) if written.is_rough else step
            if min(abs(meant - each), abs(abs(meant) - abs(each))) < near * (1 + 1e-9):
                return True
    return False


def known(record: Record) -> list[float]:
    """Return every number that a record tells: its own, its interval and count, those of its table and settings."""
    found = [record.value, record.low, record.high, record.n, record.seed]
    found += [cell for row in record.rows[:200] for cell in row.values()]
    found += list(_inside(record.settings)) + list(_inside(record.inputs))
    found += [value for each in numbers(record.finding) for value in each.values]
    return [float(each) for each in found if isinstance(each, int | float) and not isinstance(each, bool)]


def told(record: Record) -> str:
    """Return a record's number as a sentence may tell it.

    Notes
    -----
    A share is told as a percentage too, since both are right.
    """
    ends = "" if record.low is None or record.high is None else f" ({record.low:.3g} to {record.high:.3g})"
    share = f", that is {100 * record.value:.3g} %" if record.unit == "share" else f" {record.unit}"
    return f"{record.value:.4g}{ends}{share}"


def too_exact(record: Record, written: Written) -> bool:
    """Tell whether a number has digits about which its interval says nothing."""
    if record.low is None or record.high is None or record.high <= record.low or written.is_whole:
        return False
    factor = 100.0 if written.is_percent and record.unit == "share" else 1.0
    return any(50 * step < factor * (record.high - record.low) for step in written.steps)


def _meanings(digits: str) -> list[tuple[float, float]]:
    """Return what a row of digits can mean, each with one unit of its last digit."""
    plain = re.sub(r"[,\u202f\u00a0 ]", "", digits)
    meant = (
        [_with_step(plain)] if not re.fullmatch(r"\d+,\d+", digits) or re.fullmatch(r"\d{1,3},\d{3}", digits) else []
    )
    return meant + ([_with_step(digits.replace(",", "."))] if re.fullmatch(r"\d+,\d+", digits) else [])


def _with_step(digits: str) -> tuple[float, float]:
    decimals = len(digits.partition(".")[2])
    return float(digits), 10.0**-decimals


def _zeros(value: float) -> float:
    """Return one unit of the last digit that is not a zero: 40 may be rounded to tens, 1,200 to hundreds."""
    digits = f"{abs(value):.0f}"
    return 10.0 ** (len(digits) - len(digits.rstrip("0"))) / 2 if value == int(value) and value else 0.0


def _inside(values: object, depth: int = 0) -> Iterator[float]:
    """Yield the numbers in nested settings, as deep and as many as a person would look."""
    if depth > 4:
        return
    parts: Sequence = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    for each in list(parts)[:200]:
        if isinstance(each, int | float):
            yield each
        else:
            yield from _inside(each, depth + 1)
