"""Readings of the course, by citation key, with those of their sentences whose wording is known."""

import dataclasses
import functools
import json
import re

from course_utils.core.paths import data_file
from course_utils.evidence.essay.argument_map import READINGS


@dataclasses.dataclass(frozen=True)
class Reading:
    """One of the four readings.

    Parameters
    ----------
    key : str
        What stands in a citation, such as ``zhang2019``.
    title, author, date, url : str
    quotations : tuple of str
        Sentences, or parts of sentences, that were seen word for word.
    tags : tuple of str
        Where each was seen: V in the article itself, V2 where another text quotes it, SEED in the course's own sources.
    names : tuple of str
        Names by which an essay may call the author or the text.
    number : str
        What the course calls it, such as ``reading 2``.
    """

    key: str
    title: str
    author: str
    date: str
    url: str
    quotations: tuple[str, ...]
    tags: tuple[str, ...]
    names: tuple[str, ...]
    number: str

    def __str__(self) -> str:
        """Return author and title."""
        return f"{self.author}, {self.title} ({self.date})"

    __repr__ = __str__


@functools.cache
def readings() -> dict[str, Reading]:
    """Return the readings by key, in the order of the course.

    Examples
    --------
    >>> list(readings())
    ['openai2019feb', 'zhang2019', 'openai2019aug', 'zellers2019']
    """
    stored = json.loads(data_file(__name__, "readings.json").read_text("utf-8"))
    return {
        key: Reading(
            key, reading["title"], reading["author"], reading["date"], reading["url"],
            quotations=tuple(quotation["text"] for quotation in reading["quotations"]),
            tags=tuple(quotation["tag"] for quotation in reading["quotations"]),
            names=tuple(reading["names"]), number=number,
        )
        for (key, reading), number in zip(stored.items(), READINGS, strict=True)
    }  # fmt: skip


def words_of(text: str) -> list[str]:
    """Return a text's words as they are compared: small letters, no punctuation, one kind of apostrophe."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.replace("\u2019", "'").lower())


def find_quotation(quoted: str) -> str:
    """Return the key of the reading that holds these words in this order; "" where none is known to.

    Examples
    --------
    >>> find_quotation("progress in research requires open-sourcing")
    'zellers2019'
    """
    words = f" {' '.join(words_of(quoted))} "
    for key, sentence in _known():
        if words in sentence:
            return key
    return ""


def nearest_quotation(quoted: str) -> str:
    """Return the known sentence that these words nearly are; "" where there is none."""
    from rapidfuzz import fuzz, process

    known = {
        sentence: " ".join(words_of(sentence)) for reading in readings().values() for sentence in reading.quotations
    }
    found = process.extractOne(" ".join(words_of(quoted)), known, scorer=fuzz.partial_ratio, score_cutoff=80)
    return found[2] if found else ""


@functools.cache
def _known() -> list[tuple[str, str]]:
    return [
        (reading.key, f" {' '.join(words_of(text))} ") for reading in readings().values() for text in reading.quotations
    ]
