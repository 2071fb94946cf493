"""Check of comparisons: words that compare two records are compared with the values of these records."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from course_utils.evidence.claims.finding import FAULT, HINT, Finding, finding_at
from course_utils.evidence.claims.record_numbers import RecordNumbers
from course_utils.evidence.essay.essay import Section
from course_utils.evidence.essay.sentences import Sentence
from course_utils.evidence.ledger.record import Record, interval_of

UP = ("higher", "larger", "greater", "bigger", "more", "longer", "stronger")
DOWN = ("lower", "smaller", "less", "fewer", "shorter", "weaker")
BY_WORD = {**dict.fromkeys(UP, "up"), **dict.fromkeys(DOWN, "down")}
COMPARATIVES = "|".join([*BY_WORD, "better", "worse"])
WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
# The comparative that stands nearest before "than".
THAN = re.compile(
    rf"\b(?P<word>{COMPARATIVES})\b(?P<between>(?:(?!\b(?:{COMPARATIVES}|than)\b)[^;:!?]){{0,80}}?)\bthan\b",
    re.IGNORECASE,
)
TIMES = re.compile(
    r"\b(?P<word>twice|double|half|(?:two|three|four|five|six|seven|eight|nine|ten|\d+(?:\.\d+)?)(?:\stimes|[-\s]?fold|\s?[x\u00d7]))"
    r"(?P<between>\s(?:as\s\w+\s(?:\w+\s)?as|that\sof|(?:of|the)(?=\s+\d)|(?:larger|higher|more|greater|bigger)\sthan)(?!\w))",
    re.IGNORECASE,
)
FROM_TO = re.compile(
    r"\b(?P<word>fell|falls?|fallen|drop(?:s|ped)?|sank|sinks?|decreas(?:e|es|ed)|declin(?:e|es|ed)|shr[aiu]nks?|"
    r"rose|rises?|risen|grew|grows?|climb(?:s|ed)?|increas(?:e|es|ed)|jump(?:s|ed)?)\b(?P<between>(?:[^.;:]|\.(?=\d)){0,60}?)\bfrom\b",
    re.IGNORECASE,
)
RISES = re.compile(r"ros|ris|gr[eo]w|climb|increas|jump", re.IGNORECASE)
DENIED = re.compile(
    r"\b(?:not|no|nor|neither|never|hardly|barely|without|whether|if|unless|cannot|rather|would|could|might|may|should|"
    r"expected|thought|believed|supposed|surpris\w+|instead|although|claims?|says?|said)\b|n['\u2019]t\b|\?",
    re.IGNORECASE,
)
UNSURE = re.compile(
    r"\b(?:overlap\w*|chance|uncertain\w*|unsure|sure|nois[ey]|intervals?|signific\w*)\b", re.IGNORECASE
)
# What may stand between the comparative and "than": a number, or what is measured, but no other thing's name.
MEASURES = re.compile(
    r"(?:(?:AUC|value|score|share|rate|number|figure|perplexity|accuracy|often|likely|bits?|tokens?|seconds?|points?|result|"
    r"per\scharacter|a\ssecond|on\saverage|on\sthe\ssame\stexts|n\s?=|of|to|[\d.,%()\u2013\s-])+)?",
    re.IGNORECASE,
)
ONLY_A_NUMBER = re.compile(r"[\s\d.,%()\u2212-]*")
JOINED = re.compile(r"[\s\w,%()=.\u2013\u2212-]{0,60}")
LOW_IS_GOOD = re.compile(r"perplexity|bits_per_(?:character|token)|_loss\b|^loss\b|load_s|memory_mb|file_mb")
HIGH_IS_GOOD = re.compile(r"^auc$|^accuracy$|^right$|tokens_per_s|bits_saved|^lms$")
DETECTS = re.compile(r"detect|AUC|accura|catch|caught|recogni", re.IGNORECASE)
NEAR = 0.2  # how far a ratio may lie from "twice" and the like
MOST_CITED = 2


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

    def description(self) -> str:
        """Return what is said, with the records' ids."""
        one, other, word = self.first.id, self.second.id, self.words.lower()
        if word in (*BY_WORD, "better", "worse"):
            return f"{one} is {word} than {other}"
        return f"{one} is {word} {other}" if isinstance(self.expected, float) else f"it {word} from {other} to {one}"

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
        first, second = interval_of(self.first), interval_of(self.second)
        return first is not None and second is not None and first[0] <= second[1] and second[0] <= first[1]


def comparison_findings(section: Section, sentence: Sentence, held: Mapping[str, RecordNumbers]) -> Iterator[Finding]:
    """Yield what is to be said about the comparisons of a sentence.

    Parameters
    ----------
    section : Section
    sentence : Sentence
        Of its text.
    held : mapping of str to RecordNumbers
        The cited records of the ledger, by id.
    """
    for comparison in comparisons(sentence, {key: found.record for key, found in held.items()}):
        start, end, id = sentence.start + comparison.start, sentence.start + comparison.end, comparison.first.id
        both = "; ".join(
            f"{record.id} holds {held[record.id].description()}" for record in (comparison.first, comparison.second)
        )
        if not comparison.is_borne_out:
            says = f"You write that {comparison.description()}, but {both}."
            yield finding_at(section, start, end, "comparison", FAULT, says, id)
        elif comparison.overlaps and not UNSURE.search(sentence.text, *sentence.paragraph):
            says = f"The two intervals overlap, so \u201c{comparison.words}\u201d may be chance: {both}. Say so."
            yield finding_at(section, start, end, "overlapping intervals", HINT, says, id)


def comparisons(sentence: Sentence, records: Mapping[str, Record]) -> Iterator[Comparison]:
    """Yield what a sentence says about two records that it cites; nothing where that is not plain.

    Parameters
    ----------
    sentence : Sentence
    records : mapping of str to Record
        By id.
    """
    cited = [(start, key) for start, _, keys in sentence.groups for key in keys if key in records]
    if len({key for _, key in cited}) != MOST_CITED or DENIED.search(sentence.bare):
        return
    bare = sentence.bare
    found = [*filter(_is_of_values, THAN.finditer(bare)), *TIMES.finditer(bare), *FROM_TO.finditer(bare)]
    times = [match for match in found if match.re is TIMES]
    for match in times or (found if len(found) == 1 else ()):
        pair = _pair(match, cited, bare)
        if pair is None:
            continue
        first, second = (records[key] for key in pair)
        expected = _expected(match, first, bare)
        if expected is not None and (first.metric, first.unit) == (second.metric, second.unit):
            words = bare[match.start("word") : match.end("word")]
            yield Comparison(match.start("word"), match.end("word"), words, first, second, expected)


def _is_of_values(found: re.Match[str]) -> bool:
    """Tell "is higher (0.9) than" from "a larger model is better than": only numbers are compared here."""
    return MEASURES.fullmatch(found["between"].strip()) is not None


def _pair(found: re.Match[str], cited: Sequence[tuple[int, str]], bare: str) -> tuple[str, str] | None:
    """Return which record is compared with which: the one told before the words, and the one told after them."""
    before = [(position, key) for position, key in cited if position < found.end()]
    after = [(position, key) for position, key in cited if position >= found.end()]
    if found.re is FROM_TO:
        return _from_to(found, cited, bare)
    head = bare[found.end() : after[0][0]] if after else ""
    if before and after and before[-1][1] != after[0][1]:
        # "of more than half of the texts" compares nothing; "is more than 0.8 [@E-07f3]" does.
        is_hedge = found["word"].lower() in ("more", "less", "fewer") and not found["between"].strip()
        return None if is_hedge and not ONLY_A_NUMBER.fullmatch(head) else (before[-1][1], after[0][1])
    # "The one is higher than the other: 0.9 [@E-07f3] against 0.8 [@E-1a2b]": the same order, if a colon says so.
    if not before and len(after) == MOST_CITED and re.search(r"[:(]", head):
        return after[0][1], after[1][1]
    return None


def _from_to(found: re.Match[str], cited: Sequence[tuple[int, str]], bare: str) -> tuple[str, str] | None:
    """Return the record at the end of a change and the one at its beginning."""
    inside = [key for position, key in cited if found.start() < position < found.end()]
    after = [(position, key) for position, key in cited if position >= found.end()]
    if len(inside) == 1 and len(after) == 1:
        return inside[0], after[0][1]  # "rose to 0.9 [@E-07f3] from 0.8 [@E-1a2b]"
    if inside or len(after) != MOST_CITED:
        return None
    start, then = bare[found.end() : after[0][0]], bare[after[0][0] : after[1][0]]
    is_plain = JOINED.fullmatch(start) and not re.search(r"\bto\b", start) and re.search(r"\bto\b", then)
    return (after[1][1], after[0][1]) if is_plain else None


def _expected(found: re.Match[str], first: Record, bare: str) -> str | float | None:
    word = found["word"].lower()
    if found.re is FROM_TO:
        return "up" if RISES.match(word) else "down"
    if found.re is TIMES:
        number = "".join(re.findall(r"^(?:[\d.]+|[a-z]+)", word))
        return {"twice": 2.0, "double": 2.0, "half": 0.5}.get(number) or float(WORDS.get(number, 0) or number)
    if word not in ("better", "worse"):
        return BY_WORD[word]
    is_low, is_high = bool(LOW_IS_GOOD.search(first.metric)), bool(HIGH_IS_GOOD.search(first.metric))
    if is_low == is_high or (is_high and first.metric == "auc" and not DETECTS.search(bare)):
        return None  # what is better: to be caught, or not to be?
    return "up" if (word == "better") == is_high else "down"
