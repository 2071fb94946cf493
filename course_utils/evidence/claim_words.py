"""Words that compare two records, and whether their values bear them out."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from course_utils.evidence.record import Record
from course_utils.evidence.sentences import Sentence

UP = "higher|larger|greater|bigger|more|longer|stronger|above"
DOWN = "lower|smaller|less|fewer|shorter|weaker|below"
WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
THAN = re.compile(rf"\b(?P<word>{UP}|{DOWN}|better|worse)\b(?P<between>[^.;:]{{0,120}}?)\bthan\b", re.IGNORECASE)
TIMES = re.compile(
    r"\b(?P<word>twice|double|half|(?:two|three|four|five|six|seven|eight|nine|ten|\d+(?:\.\d+)?)(?:\s+times|-fold|x))"
    r"(?P<between>\s+(?:as\s+\w+\s+as|that\s+of|the|larger\s+than|higher\s+than|more\s+than|greater\s+than)\b)",
    re.IGNORECASE,
)
FROM_TO = re.compile(
    r"\b(?P<word>(?:fell|falls?|fallen|drop(?:s|ped)?|sank|sinks?|decreas\w+|declin\w+|shr[aiu]nks?)|"
    r"(?:rose|rises?|risen|grew|grows?|climb\w*|increas\w+|jump\w*))\b(?P<between>[^.;:]{0,60}?)\bfrom\b",
    re.IGNORECASE,
)
RISES = re.compile(r"^(?:ros|ris|gr[eo]w|climb|increas|jump)", re.IGNORECASE)
DENIED = re.compile(
    r"\b(?:not|no|nor|neither|never|hardly|barely|without|whether|if|unless|cannot|rather|would|could|might|may|should)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
LOW_IS_GOOD = re.compile(r"perplexity|bits|nats|seconds|loss|memory|price|surprisal", re.IGNORECASE)
HIGH_IS_GOOD = re.compile(r"auc|accuracy|tokens_per_second|rating|credib|agreement|kappa", re.IGNORECASE)
NEAR = 0.2  # how far a ratio may lie from "twice" and the like


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of two records in a sentence.

    Parameters
    ----------
    start, end : int
        Where its words stand, within the sentence.
    words : str
    first, second : Record
        The one that is said to be higher, lower or so many times the other.
    expected : {"up", "down"} or float
        What is said: the first is higher, lower, or this many times the second.
    """

    start: int
    end: int
    words: str
    first: Record
    second: Record
    expected: str | float

    @property
    def is_borne_out(self) -> bool:
        """Tell whether the two values are as it says."""
        one, other = self.first.value, self.second.value
        if isinstance(self.expected, str):
            return one > other if self.expected == "up" else one < other
        return other != 0 and abs(one / other / self.expected - 1) <= NEAR

    @property
    def overlaps(self) -> bool:
        """Tell whether the two intervals share values, so that the difference may be chance."""
        ends = [self.first.low, self.first.high, self.second.low, self.second.high]
        return None not in ends and ends[0] <= ends[3] and ends[2] <= ends[1]


def comparisons(sentence: Sentence, records: dict[str, Record]) -> Iterator[Comparison]:
    """Yield what a sentence says about two records that it cites; nothing where that is not plain.

    Parameters
    ----------
    sentence : Sentence
    records : dict of str to Record
        By id.
    """
    bare = sentence.bare
    if DENIED.search(bare):
        return
    cited = [(start, key) for start, _, keys in sentence.groups() for key in keys if key in records]
    if len({key for _, key in cited}) != 2:
        return
    found = [*filter(_is_a_comparison, THAN.finditer(bare)), *TIMES.finditer(bare), *FROM_TO.finditer(bare)]
    times = [each for each in found if each.re is TIMES]
    for each in times or (found if len(found) == 1 else ()):
        pair = _pair(each, cited)
        if pair is None:
            continue
        first, second = (records[key] for key in pair)
        expected = _expected(each, first)
        if expected is not None and (first.metric, first.unit) == (second.metric, second.unit):
            words = bare[each.start("word") : each.end("word")]
            yield Comparison(each.start("word"), each.end("word"), words, first, second, expected)


def _is_a_comparison(found: re.Match) -> bool:
    """Tell "more often than" from "more than half", which only hedges a number."""
    return bool(found["between"].strip()) or found["word"].lower() not in ("more", "less", "fewer")


def _pair(found: re.Match, cited: Sequence[tuple[int, str]]) -> tuple[str, str] | None:
    """Return which record is compared with which: those before and after the word, or the two after it in order."""
    if found.re is FROM_TO:
        after = [key for place, key in cited if place > found.start()]
        return (after[1], after[0]) if len(after) == 2 and after[0] != after[1] else None
    before = [key for place, key in cited if place < found.end()]
    after = [key for place, key in cited if place >= found.end()]
    if before and after and before[-1] != after[0]:
        return before[-1], after[0]
    return (after[0], after[1]) if not before and len(after) == 2 and after[0] != after[1] else None


def _expected(found: re.Match, first: Record) -> str | float | None:
    word = found["word"].lower()
    if found.re is FROM_TO:
        return "up" if RISES.match(word) else "down"
    if found.re is TIMES:
        number = re.match(r"[\d.]+|[a-z]+", word)[0]
        return {"twice": 2.0, "double": 2.0, "half": 0.5}.get(number) or float(WORDS.get(number, 0) or number)
    if word in ("better", "worse"):
        if bool(LOW_IS_GOOD.search(first.metric)) == bool(HIGH_IS_GOOD.search(first.metric)):
            return None
        return "up" if (word == "better") == bool(HIGH_IS_GOOD.search(first.metric)) else "down"
    return "up" if word in UP.split("|") else "down"
