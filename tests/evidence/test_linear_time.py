"""Whatever a student writes is read in a time that grows as its length does."""

import time
from collections.abc import Callable

import pytest

from course_utils.evidence.claims.check import LONGEST, check
from course_utils.evidence.claims.number_parser import numbers
from course_utils.evidence.essay.essay import Essay, Section, citations, n_words, read_essay
from course_utils.evidence.essay.markdown import blocks
from course_utils.evidence.essay.readings import words_of
from course_utils.evidence.essay.sentences import sentences
from course_utils.evidence.ledger.record import looks_like_ledger, read_ledger_bytes

pytestmark = pytest.mark.slow

TIMES_LONGER, TIMES_SLOWER = 8, 24  # what is quadratic takes 64 times as long
SHORTEST_S = 0.03  # less is not measured well

HOSTILE = [
    " ", "\n", "\n ", "\t\r\n", "\"", "“", "„a ", "«", "[", "]", "[@", "[@E-", "[@E-07f3]", "[@E-07f3]; ", "[@a [@b ",
    "@a; ", "1", ".", "1.", "1,000", "0.5 [@E-07f3] ", "*_", "**a*", "_a", "| a | b |\n", "|-|-|\n", "<a ", "<!--",
    "&#", "`", "```\n", "~~~\n", "> ", "> a\n", "- ", "# a\n", "e.g. ", "A. ", "(", "](", "[a](b ", "![", "\\[", "a ",
    "a", "higher than ", "fell from ", "3 of 4 ", "http://", "1–", "TODO ", "text 1, ", "January 1 ", "{\"id\": \"E-",
    "{", "}\n{",
]  # fmt: skip


def notebook(text: str) -> dict:
    return {"cells": [{"cell_type": "markdown", "id": "text-thesis", "source": text, "metadata": {}}]}


READERS: dict[str, tuple[int, Callable[[str], object]]] = {
    "n_words": (12_000, n_words),
    "citations": (12_000, lambda text: list(citations(text))),
    "sentences": (5_000, lambda text: [(each.bare, each.groups) for each in sentences(text)]),
    "numbers": (1_200, numbers),
    "blocks": (2_000, blocks),
    "words_of": (12_000, words_of),
    "read_essay": (12_000, lambda text: read_essay(notebook(text)).cited_evidence),
    "check": (LONGEST // 30, lambda text: check(Essay((Section("thesis", "thesis", text),)), [])),
    "read_ledger_bytes": (6_000, lambda text: read_ledger_bytes(text.encode())),
    "looks_like_ledger": (6_000, lambda text: looks_like_ledger(f'{{"id": "E-{text}'.encode())),
}


def seconds(read: Callable[[str], object], text: str, n_tries: int) -> float:
    """The least of several times of this process alone, so that others on the machine do not count."""
    found = []
    for _ in range(n_tries):
        begun = time.process_time()
        read(text)
        found.append(time.process_time() - begun)
    return min(found)


@pytest.mark.parametrize("name", READERS)
def test_eight_times_the_text_takes_no_more_than_some_times_the_time(name):
    n, read = READERS[name]
    for unit in HOSTILE:
        short, long = ((unit * (size // len(unit) + 1))[:size] for size in (n, TIMES_LONGER * n))
        taken = seconds(read, long, 1)
        if taken > SHORTEST_S:
            slower = taken / max(seconds(read, short, 3), SHORTEST_S / TIMES_LONGER)
            if slower > TIMES_SLOWER:  # once more: a pause of the garbage collector counts too
                slower = seconds(read, long, 2) / max(seconds(read, short, 3), SHORTEST_S / TIMES_LONGER)
            assert slower <= TIMES_SLOWER, (unit, slower)


def test_a_megabyte_of_citations_in_one_cell_is_read():
    text = "Words [@E-07f3; @zhang2019, 0.5] and more. " * 25_000
    essay = read_essay(notebook(text))
    assert essay.cited_evidence == ["E-07f3"] and essay.n_words == 75_000
    assert sum(len(each.groups) for each in sentences("[@E-07f3]" * 110_000)) == 1


def test_what_is_too_large_is_refused_and_told(tmp_path):
    from course_utils.errors import TextError
    from course_utils.evidence.essay.essay import LARGEST_MB

    path = tmp_path / "essay.ipynb"
    with path.open("wb") as file:
        file.truncate(int(LARGEST_MB * 1e6) + 1)  # takes no room on the disk
    with pytest.raises(TextError, match=f"larger than {LARGEST_MB} MB"):
        read_essay(path)
