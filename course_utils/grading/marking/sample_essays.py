"""Sample essays for calibration: four texts with reference levels, reasons and the evidence that they cite."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from course_utils.core.paths import data_file
from course_utils.errors import DamagedFile
from course_utils.evidence.essay.essay import Essay, Section

FOLDER = data_file(__name__, "samples")
NAMES = ("one", "two", "three", "four")
MARKS, LEDGER = "marks.yaml", "evidence.jsonl"
TITLES = {
    "thesis": "Thesis", "openai2019feb": "Reading 1", "zhang2019": "Reading 2", "openai2019aug": "Reading 3",
    "zellers2019": "Reading 4", "counter": "The best objection", "recommendation": "Recommendation",
}  # fmt: skip
OPENING = re.compile(r"# (?P<title>[^\n]+)\n+Strategy: (?P<strategy>.+?)\n\n(?=## )", re.DOTALL)
SECTION = re.compile(r"^## (?P<key>[a-z0-9]+)\n(?P<text>.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Sample:
    """An essay that we wrote to be marked, and what we gave it.

    Parameters
    ----------
    name : str
        One of `NAMES`: it tells nothing of how good the essay is.
    title : str
    essay : Essay
    levels : dict of str to int
        By criterion, counted from 0.
    reasons : dict of str to str
        By criterion: what in the essay decides.
    doubts : dict of str to str
        By criterion: where a second marker may well land elsewhere, and why we did not.
    """

    name: str
    title: str
    essay: Essay
    levels: dict[str, int]
    reasons: dict[str, str]
    doubts: dict[str, str]


def load_samples() -> list[Sample]:
    """Return the sample essays, with our levels; show those only after somebody has given their own.

    Raises
    ------
    DamagedFile
        An essay or its marks are not whole.

    Examples
    --------
    >>> [sample.name for sample in load_samples()]
    ['one', 'two', 'three', 'four']
    """
    try:
        marks = yaml.safe_load((FOLDER / MARKS).read_text("utf-8"))
        return [_sample(name, marks[name]) for name in NAMES]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as problem:
        reason = f"The sample essays in {FOLDER} are not whole: {str(problem)[:200]}."
        raise DamagedFile(reason, "The files that came with the course.", "Put them back.") from problem


def sample_ledger() -> Path:
    """Return the ledger whose records the sample essays cite: real measurements, which can be done again."""
    return FOLDER / LEDGER


def parse(markdown: str) -> tuple[str, Essay]:
    """Return title and essay of a text with ``# title``, ``Strategy: …`` and a ``## key`` before each section.

    Raises
    ------
    ValueError
        It does not begin so.
    """
    opening = OPENING.match(markdown)
    if not opening:
        raise ValueError("a sample essay begins with its title and its strategy")
    sections = [
        Section(found["key"], TITLES[found["key"]], found["text"].strip())
        for found in SECTION.finditer(markdown, opening.end())
    ]
    return opening["title"].strip(), Essay(tuple(sections), " ".join(opening["strategy"].split()))


def _sample(name: str, marks: dict[str, dict[str, Any]]) -> Sample:
    title, essay = parse((FOLDER / f"{name}.md").read_text("utf-8"))
    levels = {criterion_id: int(mark["level"]) for criterion_id, mark in marks.items()}
    reasons, doubts = (
        {criterion_id: " ".join(str(mark[part]).split()) for criterion_id, mark in marks.items()} for part in _WORDS
    )
    return Sample(name, title, essay, levels, reasons, doubts)


_WORDS = ("reason", "doubt")
