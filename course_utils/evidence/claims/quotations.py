"""Check of quotations: words in quotation marks are compared with sentences of the readings that the course knows."""

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence

from course_utils.evidence.claims.finding import FAULT, HINT, Finding, finding_at
from course_utils.evidence.claims.record_numbers import inside
from course_utils.evidence.essay.essay import CITATION, Section, citations
from course_utils.evidence.essay.readings import find_quotation, nearest_quotation, readings, words_of
from course_utils.evidence.essay.sentences import Sentence, visible
from course_utils.evidence.ledger.record import Record

MOST = 200  # in a section
FEWEST_WORDS = 4  # fewer in quotation marks are no quotation
MOST_OWN = 500_000  # characters of a ledger that are looked through for what a model wrote
_IN = r"(?:[^{}\n]|\n(?!\s*\n)){{1,1500}}?"  # over the end of a line, not of a paragraph
QUOTED = re.compile(
    rf"\u201e({_IN.format(chr(0x201C) + chr(0x201D) + chr(0x201E))})[\u201c\u201d]"
    rf"|\u201c({_IN.format(chr(0x201C) + chr(0x201D))})\u201d"
    rf"|(?<![^\s(\[\u2014*_])\"(?=\S)({_IN.format(chr(34))})(?<=\S)\"(?![\w])"
    rf"|[\u00ab\u00bb]({_IN.format(chr(0xAB) + chr(0xBB))})[\u00bb\u00ab]"
)
BLOCK = re.compile(r"(?:^[ \t]{0,3}>[^\n]*(?:\n|\Z))+", re.MULTILINE)
GAP = re.compile(r"\[?(?:\u2026|\.\.\.)\]?|\[[^\[\]\n]{0,60}\]")  # what was left out, or put in
HEADLINE = "too dangerous to release"
NO_ONES = (
    "OpenAI never wrote this: it was headline language of 2019, which Zellers repeats in inverted commas. "
    "Say who said it."
)
CHECK_IT = "This wording is not among those that the course has seen: check it against the article, word for word."


class LedgerText:
    """Text of a student's own ledger: prompts, and what models wrote. It may be quoted freely.

    Parameters
    ----------
    records : sequence of Record
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._words: str | None = None

    def __repr__(self) -> str:
        """Return of how many records."""
        return f"Ledger text of {len(self._records)} records"

    def has(self, quoted: str) -> bool:
        """Tell whether words stand there in this order."""
        if self._words is None:
            parts = (
                [record.finding, record.note, record.inputs, record.settings, record.rows] for record in self._records
            )
            full_text = " \n".join(text for part in parts for text in inside(part) if isinstance(text, str))
            self._words = f" {' '.join(words_of(full_text[:MOST_OWN]))} "
        return f" {' '.join(words_of(quoted))} " in self._words


def quotation_findings(section: Section, sentences: Sequence[Sentence], own: LedgerText) -> Iterator[Finding]:
    """Yield what is to be said about the quotations of a section.

    Parameters
    ----------
    section : Section
    told : sequence of Sentence
        Of its text.
    own : LedgerText
    """
    text = visible(section.text)
    starts = [sentence.start for sentence in sentences]
    for start, end, quoted in itertools.islice(_quoted(text), MOST):
        around = _around(sentences, starts, start, end)
        parts = [part for part in GAP.split(quoted) if len(part.split()) >= FEWEST_WORDS <= len(words_of(part))]
        for part in parts:
            found = _finding_of(section, start, end, part, around, own)
            if found is not None:
                yield found
                break


def _quoted(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each quotation stands, with its marks, and what is quoted."""
    for found in QUOTED.finditer(text):
        yield found.start(), found.end(), next(filter(None, found.groups()))
    for found in BLOCK.finditer(text):
        quoted = re.sub(r"^[ \t]*>", "", CITATION.sub(" ", found[0]), flags=re.MULTILINE)
        if not QUOTED.search(quoted):
            yield found.start(), found.start() + len(found[0].rstrip()), quoted


def _finding_of(
    section: Section, start: int, end: int, quoted: str, around: tuple[list[str], str], own: LedgerText
) -> Finding | None:
    (cited, words), key = around, find_quotation(quoted)
    if HEADLINE in " ".join(words_of(quoted)):
        by_openai = set(cited) & {"openai2019feb", "openai2019aug"}
        return finding_at(section, start, end, "quotation", HINT, NO_ONES) if by_openai else None
    if key:
        reading = readings()[key]
        is_named = any(name in words for name in reading.names)
        if key in cited or is_named:
            return None
        severity = FAULT if cited else HINT
        is_at_home = section.key == key and not cited
        says = f"These words are from {reading.author}, {reading.title}: cite [@{key}]."
        return None if is_at_home else finding_at(section, start, end, "quotation", severity, says)
    if near := nearest_quotation(quoted):
        says = f"The wording that we know is: \u201c{near}\u201d"
        return finding_at(section, start, end, "quotation", HINT, says)
    return None if own.has(quoted) else finding_at(section, start, end, "unknown quotation", HINT, CHECK_IT)


def _around(sentences: Sequence[Sentence], starts: Sequence[int], start: int, end: int) -> tuple[list[str], str]:
    """Return the readings that are cited with a quotation, and the words that lead to it.

    Those of its own sentences count; else those of the sentence after it, or before it, in the same paragraph.
    """
    first, last = max(0, bisect.bisect_right(starts, start) - 1), max(0, bisect.bisect_left(starts, end) - 1)
    own, paragraph = sentences[first : last + 1], sentences[first].paragraph if sentences else ()
    words = " ".join(map(str, sentences[max(0, first - 1) : last + 1]))
    is_block = bool(own) and own[0].text.startswith(">", start)  # its source may stand in the paragraph below
    beside = (*sentences[last + 1 : last + 2], *sentences[max(0, first - 1) : first])
    for part in (own, *([other] for other in beside if is_block or other.paragraph == paragraph)):
        cited = [key for sentence in part for _, _, key in citations(str(sentence)) if key in readings()]
        if cited:
            return cited, words
    return [], words
