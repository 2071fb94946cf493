"""An essay as it stands in a notebook: sections, words as a reader counts them, and what is cited."""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from course_utils.errors import TextError

SECTIONS = ("thesis", "openai2019feb", "zhang2019", "openai2019aug", "zellers2019", "counter", "recommendation")
READINGS = ("openai2019feb", "zhang2019", "openai2019aug", "zellers2019")
PLACEHOLDER = "*Write here.*"
CITATION = re.compile(r"\[(@[^\[\]\n]{1,200})\]")
EVIDENCE = re.compile(r"E-[0-9a-f]{4,64}")
HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|^(```|~~~).*?(?:^\1|\Z)", re.DOTALL | re.MULTILINE)
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
    """An essay.

    Parameters
    ----------
    sections : tuple of Section
    strategy : str
        The one that was chosen; "" where none was.
    """

    sections: tuple[Section, ...]
    strategy: str = ""

    @property
    def n_words(self) -> int:
        """Return its length as a reader counts it."""
        return sum(n_words(section.text) for section in self.sections)

    def section(self, key: str) -> Section:
        """Return a section; an empty one where the essay has none of that key."""
        return next((each for each in self.sections if each.key == key), Section(key, key, ""))

    @property
    def cited_evidence(self) -> list[str]:
        """Return the ids of the records that are cited, once each, in order."""
        return [key for key in self._cited() if EVIDENCE.fullmatch(key)]

    @property
    def cited_readings(self) -> list[str]:
        """Return the keys of the readings that are cited, once each, in order; unknown ones too."""
        return [key for key in self._cited() if not EVIDENCE.fullmatch(key)]

    def _cited(self) -> list[str]:
        return list(dict.fromkeys(key for each in self.sections for _, _, key in citations(each.text)))


def citations(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each citation stands in a text, from the bracket to the bracket, and what it cites."""
    for found in CITATION.finditer(text):
        for part in found[1].split(";"):
            if key := re.match(r"\s*@([A-Za-z][\w-]{0,80})", part):
                yield found.start(), found.end(), key[1]


def n_words(markdown: str) -> int:
    """Count words as a reader sees them: no citations, no markup, nothing hidden.

    Examples
    --------
    >>> n_words("Two words [@E-07f3]. <!-- not seen -->")
    2
    """
    text = HIDDEN.sub(" ", markdown.replace(PLACEHOLDER, " "))
    for pattern in (CITATION, TARGET, TAG):
        text = pattern.sub(" ", text)
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def read_essay(notebook: Mapping | str | Path) -> Essay:
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
        try:
            notebook = json.loads(Path(notebook).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as problem:
            raise TextError(
                f"{notebook} cannot be read as a notebook.", "A saved notebook.", "Save it first."
            ) from problem
    cells = notebook.get("cells") if isinstance(notebook, Mapping) else None
    if not isinstance(cells, list):
        raise TextError("This is no notebook: it has no cells.", "A notebook of format 4.", "Name another file.")
    cells = [cell for cell in cells if isinstance(cell, Mapping)]
    return Essay(tuple(_sections(cells)), _strategy(cells))


def _sections(cells: list[Mapping]) -> list[Section]:
    titles: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    key = ""
    for cell in cells:
        metadata = cell.get("metadata") if isinstance(cell.get("metadata"), Mapping) else {}
        course = metadata.get("course") if isinstance(metadata.get("course"), Mapping) else {}
        id = str(cell.get("id", ""))
        heading = str(course.get("section") or (id.removeprefix("heading-") if id.startswith("heading-") else ""))
        if heading:
            key = heading
            titles[key] = source(cell).strip().split("\n")[0].lstrip("# ")
        elif _is_locked(metadata):
            key = ""
        elif cell.get("cell_type") == "markdown":
            own = str(course.get("answer") or (id.removeprefix("text-") if id.startswith("text-") else "") or key)
            if own:
                texts.setdefault(own, []).append(source(cell))
    keys = [*SECTIONS, *[each for each in [*titles, *texts] if each not in SECTIONS]]
    joined = {each: "\n\n".join(texts.get(each, ())).replace(PLACEHOLDER, "").strip() for each in keys}
    return [Section(each, titles.get(each, each), joined[each]) for each in dict.fromkeys(keys)]


def _is_locked(metadata: Mapping) -> bool:
    flags = metadata.get("nbgrader")
    return isinstance(flags, Mapping) and bool(flags.get("locked") or flags.get("task"))


def _strategy(cells: list[Mapping]) -> str:
    """Return what a code cell assigns to ``strategy``; read, never run."""
    for cell in cells:
        if cell.get("cell_type") != "code" or "strategy" not in source(cell):
            continue
        try:
            body = ast.parse(source(cell)[:5000]).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in body:
            named = isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "strategy" for each in node.targets)
            if named and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return " ".join(node.value.value.split())
    return ""


def source(cell: Mapping) -> str:
    """Return a cell's text, also where it is stored as lines."""
    value = cell.get("source", "")
    if isinstance(value, list):
        return "".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ""
