"""Sentences of a text, each with its place, its citations, and its words without them."""

import dataclasses
import re
from collections.abc import Iterator

from course_utils.evidence.prose import CITATION, HIDDEN, citations

ABBREVIATIONS = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|approx|ca|no|nos|fig|figs|sec|ch|vol|pp|p|dr|mr|mrs|ms|prof|st|resp|incl|eq)\.|"
    r"\b[A-Z]\.)$",
    re.IGNORECASE,
)
END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]*_]*(?:\s*\[@[^\[\]\n]{1,200}\][.,;]?)*(?=\s|$)")
PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+>#|]|\d{1,3}[.)])\s)")


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Parameters
    ----------
    text : str
        The text that it stands in.
    start, end : int
        Where.
    """

    text: str
    start: int
    end: int

    def __str__(self) -> str:
        """Return its words, citations too."""
        return self.text[self.start : self.end]

    @property
    def bare(self) -> str:
        """Return it with every citation blanked out: places stay what they are."""
        return CITATION.sub(lambda found: " " * len(found[0]), str(self))

    def groups(self) -> list[tuple[int, int, tuple[str, ...]]]:
        """Return its citations, those that follow each other at once as one: start, end (within it), keys."""
        found: list[tuple[int, int, tuple[str, ...]]] = []
        for start, end, key in citations(str(self)):
            if found and not str(self)[found[-1][1] : start].strip(" ,;.)\n"):
                found[-1] = (found[-1][0], end, (*found[-1][2], key))
            else:
                found.append((start, end, (key,)))
        return found


def visible(text: str) -> str:
    """Return a text with comments and code blanked out, and places as they were."""
    return HIDDEN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text; points in numbers and abbreviations end none."""
    seen = visible(text)
    place = 0
    for gap in [*PARAGRAPH.finditer(seen), None]:
        end = gap.start() if gap else len(seen)
        yield from _of_a_paragraph(seen, place, end)
        place = gap.end() if gap else end


def _of_a_paragraph(text: str, start: int, end: int) -> Iterator[Sentence]:
    begun = start
    for found in END.finditer(text, start, end):
        first_word_after = re.match(r"\s*[\"'\u201c\u2018(\[*_]*(\w)", text[found.end() : found.end() + 20])
        goes_on = first_word_after is not None and first_word_after[1].islower()
        if goes_on or ABBREVIATIONS.search(text[max(begun, found.start() - 12) : found.start() + 1]):
            continue
        if text[begun : found.end()].strip():
            yield _trimmed(text, begun, found.end())
        begun = found.end()
    if text[begun:end].strip():
        yield _trimmed(text, begun, end)


def _trimmed(text: str, start: int, end: int) -> Sentence:
    part = text[start:end]
    return Sentence(text, start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip())))
