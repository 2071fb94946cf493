"""Essay parser: sections, word count and citations of an essay in a notebook."""

import ast
import contextlib
import dataclasses
import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from course_utils.errors import TextError

Cell: TypeAlias = Mapping[str, Any]  # a notebook or a part of one, as its file holds it: nothing about it is sure

SECTIONS = ("thesis", "openai2019feb", "zhang2019", "openai2019aug", "zellers2019", "counter", "recommendation")
READINGS = ("openai2019feb", "zhang2019", "openai2019aug", "zellers2019")
LARGEST_MB = 100
PLACEHOLDER = "*Write here.*"
# What a heading begins with, for notebooks that lost the ids and the metadata of their cells.
HEADINGS = {
    "thesis": "thesis", "reading 1": "openai2019feb", "reading 2": "zhang2019", "reading 3": "openai2019aug",
    "reading 4": "zellers2019", "the best objection": "counter", "recommendation": "recommendation",
}  # fmt: skip
CITATION = re.compile(r"\[(@(?:[^\[\]\n]|\n(?!\s*\n)){1,200})\]")
KEY = re.compile(r"@([A-Za-z](?:[\w-]{0,79}\w)?)")
BETWEEN_KEYS = re.compile(r"[;,\s]{1,20}(?=@)")
EVIDENCE = re.compile(r"E-[0-9a-f]{4,64}")
HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|"
    r"^ {0,3}(?:(?P<ticks>```)[^`\n]*$|(?P<tildes>~~~)).*?(?:^ {0,3}(?(ticks)```|~~~)[`~]*[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
REFERENCE = re.compile(r"^ {0,3}\[[^\[\]\n]{1,100}\]:[ \t]*\S+[^\n]*$", re.MULTILINE)
TAG = re.compile(r"</?[A-Za-z][^<>]{0,1000}>")
TARGET = re.compile(r"\]\([^()\s]{0,2000}(?:\s[^()]{0,200})?\)|\]\[[^\[\]]{0,100}\]")


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of an essay: its key, its heading, and the Markdown that the student wrote."""

    key: str
    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class Essay:
    """Essay: the sections that a student wrote, and the chosen strategy.

    Parameters
    ----------
    sections : tuple of Section
    strategy : str
        The one that was chosen; "" where none was.
    """

    sections: tuple[Section, ...]
    strategy: str = ""

    def __str__(self) -> str:
        """Return its length, strategy and sections."""
        parts = "; ".join(f"{section.key} {n_words(section.text)}" for section in self.sections)
        return f"Essay of {self.n_words} words, strategy: {self.strategy or 'none'}. Words by section: {parts}."

    __repr__ = __str__

    @property
    def n_words(self) -> int:
        """Return its length as a reader counts it."""
        return sum(n_words(section.text) for section in self.sections)

    def section(self, key: str) -> Section:
        """Return a section; an empty one where the essay has none of that key."""
        return next((section for section in self.sections if section.key == key), Section(key, key, ""))

    @property
    def cited_evidence(self) -> list[str]:
        """Return the ids of the records that are cited, once each, in order."""
        return [key for key in self._cited() if EVIDENCE.fullmatch(key)]

    @property
    def cited_readings(self) -> list[str]:
        """Return the keys of the readings that are cited, once each, in order; unknown ones too."""
        return [key for key in self._cited() if not EVIDENCE.fullmatch(key)]

    def _cited(self) -> list[str]:
        return list(dict.fromkeys(key for section in self.sections for _, _, key in citations(section.text)))


def citations(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each citation stands in a text, from the bracket to the bracket, and what it cites."""
    for found in CITATION.finditer(text):
        for _, key in cited_in(found[1]):
            if key:
                yield found.start(), found.end(), key


def cited_in(citation: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of what stands between the brackets, each with its key, "" where it has none.

    Examples
    --------
    >>> list(cited_in("@E-07f3; @zhang2019, opening"))
    [('@E-07f3', 'E-07f3'), ('@zhang2019, opening', 'zhang2019')]
    """
    for part in BETWEEN_KEYS.split(citation):
        key = KEY.match(part)
        yield part.strip(), key[1] if key else ""


def n_words(markdown: str) -> int:
    """Count words as a reader sees them: no citations, no markup, nothing hidden.

    Examples
    --------
    >>> n_words("Two words [@E-07f3]. <!-- not seen -->")
    2
    """
    text = HIDDEN.sub(" ", markdown.replace(PLACEHOLDER, " "))
    for pattern in (REFERENCE, CITATION, TARGET, TAG):
        text = pattern.sub(" ", text)
    return sum(any(letter.isalnum() for letter in word) for word in html.unescape(text).split())


def read_essay(notebook: Cell | str | Path) -> Essay:
    """Read an essay out of a notebook.

    Parameters
    ----------
    notebook : mapping, str or Path
        A notebook of format 4, or where it lies.

    Raises
    ------
    TextError
        It is none.
    """
    if isinstance(notebook, str | Path):
        _require_small(Path(notebook))
        try:
            notebook = json.loads(Path(notebook).read_text("utf-8-sig"))
        except (OSError, ValueError, RecursionError) as problem:
            raise TextError(
                f"{notebook} cannot be read as a notebook.", "A saved notebook.", "Save it first."
            ) from problem
    cells = notebook.get("cells") if isinstance(notebook, Mapping) else None
    if not isinstance(cells, list):
        raise TextError("This is no notebook: it has no cells.", "A notebook of format 4.", "Name another file.")
    cells = [cell for cell in cells if isinstance(cell, Mapping)]
    return Essay(tuple(_sections(cells)), _strategy(cells))


def _require_small(path: Path) -> None:
    """Refuse a file that no essay is; one that cannot be looked at is told when it is read."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > LARGEST_MB * 1e6:
            raise TextError(f"{path} is larger than {LARGEST_MB} MB.", "An essay.", "Clear its outputs, then save it.")


def _sections(cells: list[Cell]) -> list[Section]:
    titles: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    has_lost_names = not any(_heading(cell) for cell in cells)
    key = ""
    for cell in cells:
        named = str(_metadata(cell, "course").get("answer") or _after("text-", cell))
        heading = "" if named else _heading(cell) or (_heading_by_words(cell) if has_lost_names else "")
        if heading:
            key = heading
            titles.setdefault(key, source(cell).strip().split("\n")[0].lstrip("# "))
        elif _ends_a_section(cell, has_lost_names):
            key = ""
        elif named or (key and cell.get("cell_type") == "markdown"):  # a named one also where it was made code
            texts.setdefault(named or key, []).append(source(cell))
    keys = [*SECTIONS, *[title for title in [*titles, *texts] if title not in SECTIONS]]
    joined = {key: "\n\n".join(texts.get(key, ())).replace(PLACEHOLDER, "").strip() for key in keys}
    return [Section(fromkey, titles.get(fromkey, fromkey), joined[fromkey]) for fromkey in dict.fromkeys(keys)]


def _metadata(cell: Cell, name: str) -> Cell:
    """Return one part of a cell's metadata, whatever stands there."""
    metadata = cell.get("metadata")
    part = metadata.get(name) if isinstance(metadata, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _after(start: str, cell: Cell) -> str:
    id = str(cell.get("id", ""))
    return id.removeprefix(start) if id.startswith(start) else ""


def _heading(cell: Cell) -> str:
    return str(_metadata(cell, "course").get("section") or _after("heading-", cell))


def _heading_by_words(cell: Cell) -> str:
    """Return which section a cell heads, judged by its first line."""
    first = source(cell)[:200].strip().split("\n")[0].lower()
    if cell.get("cell_type") != "markdown" or not re.match(r"##? ", first):
        return ""
    words = " ".join(re.findall(r"[a-z0-9]+", first))
    is_sections = words in HEADINGS or words.startswith("reading ")
    return next((key for start, key in HEADINGS.items() if is_sections and words.startswith(start)), "")


def _ends_a_section(cell: Cell, has_lost_names: bool) -> bool:
    flags = _metadata(cell, "nbgrader")
    if not has_lost_names:
        return bool(flags.get("locked") or flags.get("task"))
    return cell.get("cell_type") == "code" or bool(re.match(r"##? [^\n]*(?:points\)|[Hh]and|Help)", source(cell)[:200]))


def _strategy(cells: list[Cell]) -> str:
    """Return what a code cell assigns to ``strategy``; read, never run."""
    for cell in cells:
        if cell.get("cell_type") != "code" or "strategy" not in source(cell):
            continue
        try:
            body = ast.parse(source(cell)[:5000]).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
                continue
            is_named = any(getattr(target, "id", "") == "strategy" for target in node.targets)
            if is_named and isinstance(node.value.value, str):
                return " ".join(node.value.value.split())
    return ""


def source(cell: Cell) -> str:
    """Return a cell's text, also where it is stored as lines."""
    value = cell.get("source", "")
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""
