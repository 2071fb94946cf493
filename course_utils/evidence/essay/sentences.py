"""Sentence splitter: the sentences of a text, each with its position, its citations, and its words without them."""

import dataclasses
import functools
import re
from collections.abc import Iterator

from course_utils.evidence.essay.essay import CITATION, HIDDEN, citations

# What ends in a point and ends no sentence: whatever follows; before a number or a small letter; initials.
NEVER = re.compile(
    r"\b(?:e\.\s?g|i\.\s?e|z\.\s?B|d\.\s?h|cf|vs|approx|ca|dr|mr|mrs|ms|prof|resp|incl|viz)\.$", re.IGNORECASE
)
BEFORE_NUMBERS = re.compile(r"\b(?:no|nos|nr|figs?|sec|ch|vol|pp?|eq|tab|app|art|st|al|vers)\.$", re.IGNORECASE)
INITIAL = re.compile(r"(?:^|[\s(.])[A-HJ-Z]\.$")
LAST = r"[.!?\u2026]{1,9}[\"'\u201d\u2019\u00bb)\]*_]{0,9}"
CITED = r"(?:\s{0,9}\[@(?:[^\[\]\n]|\n(?!\s*\n)){1,200}\][.,;]?)"
END = re.compile(rf"{LAST}{CITED}{{0,9}}(?=\s|$)")
# A line that is a paragraph of its own: of a list, a quotation, a table, or a heading.
PARAGRAPH = re.compile(
    r"\n[^\S\n]*\n\s*|\n(?=[^\S\n]*(?:[-*+>|]|#{1,6}|\d{1,3}[.)])[^\S\n])|(?<=\n)(?=[^\S\n]*\|)", re.MULTILINE
)
HEADING = re.compile(r"[^\S\n]*#{1,6}\s[^\n]*")
FIRST_WORD = re.compile(r"\s*[\"'\u201c\u2018\u00ab(\[*_]*(\w)")


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Parameters
    ----------
    text : str
        The text that it stands in.
    start, end : int
        Where.
    paragraph : tuple of (int, int)
        Where its paragraph stands.
    """

    text: str
    start: int
    end: int
    paragraph: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        """Return its words, citations too."""
        return self.text[self.start : self.end]

    __repr__ = __str__

    @functools.cached_property
    def bare(self) -> str:
        """Return it with every citation blanked out: places stay what they are."""
        return CITATION.sub(lambda found: " " * len(found[0]), str(self))

    @functools.cached_property
    def groups(self) -> list[tuple[int, int, tuple[str, ...]]]:
        """Return its citations, those that follow each other at once as one: start, end (within it), keys."""
        words = str(self)
        found: list[tuple[int, int, list[str]]] = []
        for start, end, key in citations(words):
            if found and words[found[-1][1] : start].strip(" ,;.)\n") in ("", "and", "&"):
                found[-1][2].append(key)
                found[-1] = (found[-1][0], end, found[-1][2])
            else:
                found.append((start, end, [key]))
        return [(start, end, tuple(dict.fromkeys(keys))) for start, end, keys in found]


def visible(text: str) -> str:
    """Return a text with comments and code blanked out, and places as they were."""
    return HIDDEN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text; points in numbers and abbreviations end none.

    Examples
    --------
    >>> [str(each) for each in sentences("It was 0.89, i.e. high. Then it fell.")]
    ['It was 0.89, i.e. high.', 'Then it fell.']
    """
    visible_text = visible(text)
    position = 0
    for gap in [*PARAGRAPH.finditer(visible_text), None]:
        end = gap.start() if gap else len(visible_text)
        heading = HEADING.match(visible_text, position, end)
        if heading:
            yield from _of_a_paragraph(visible_text, position, heading.end())
            position = heading.end()
        yield from _of_a_paragraph(visible_text, position, end)
        position = gap.end() if gap else end


def _of_a_paragraph(text: str, start: int, end: int) -> Iterator[Sentence]:
    begun = start
    for found in END.finditer(text, start, end):
        if _goes_on(text, max(begun, found.start() - 12), found):
            continue
        if text[begun : found.end()].strip():
            yield _trimmed(text, begun, found.end(), (start, end))
        begun = found.end()
    if text[begun:end].strip():
        yield _trimmed(text, begun, end, (start, end))


def _goes_on(text: str, start: int, end: re.Match[str]) -> bool:
    """Tell whether a point does not end its sentence."""
    first = FIRST_WORD.match(text[end.end() : end.end() + 20])
    if first is not None and first[1].islower():
        return True
    before = text[start : end.start() + 1]
    is_before_number = first is not None and first[1].isdigit() and BEFORE_NUMBERS.search(before)
    return bool(is_before_number or NEVER.search(before) or INITIAL.search(before))


def _trimmed(text: str, start: int, end: int, paragraph: tuple[int, int]) -> Sentence:
    part = text[start:end]
    first, last = start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))
    return Sentence(text, first, last, paragraph)
