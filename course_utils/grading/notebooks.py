"""Whatever a student's file holds, read as cells: older formats, broken JSON and odd values lose no text."""

import dataclasses
import itertools
import json
import re
from collections.abc import Mapping

import nbformat
from nbformat import NotebookNode

MOST_CELLS, LONGEST_SOURCE = 2000, 1_000_000  # characters in a cell
MOST_TRIES = 5000  # places in broken JSON at which a cell may begin
HALF_AN_ESCAPE = re.compile(r"(?<!\\)\\(?:u[0-9a-fA-F]{0,3})?$")
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
KERNEL["language_info"] = {"name": "python"}


class Unreadable(ValueError):
    """Bytes that hold no notebook; says why in a few words."""


@dataclasses.dataclass(frozen=True)
class Cells:
    """What could be read of a file.

    Parameters
    ----------
    cells : list of NotebookNode
        Clean: type, text, id and nbgrader's metadata; no outputs.
    told : tuple of str
        What had to be mended, in sentences.
    is_whole : bool
        False where text may have been lost.
    """

    cells: list[NotebookNode]
    told: tuple[str, ...] = ()
    is_whole: bool = True


def read_cells(content: bytes) -> Cells:
    """Read a notebook of any version, as far as it can be read.

    Raises
    ------
    Unreadable
        There is not one cell in it.
    """
    text, told = _decoded(content)
    try:
        values, is_whole = json.loads(text), True
    except (ValueError, RecursionError) as problem:
        values, is_whole = {"cells": _salvaged(text)}, False
        told += [f"The file is no whole notebook ({_short(problem)}); {len(values['cells'])} cells could be read."]
    try:
        found = _cells_of(values)
    except RecursionError:
        raise Unreadable("its values are nested too deep") from None
    if not found:
        raise Unreadable(_what_else(values, content))
    if not isinstance(values, dict) or values.get("nbformat") != 4:
        told += ["It was in another format than notebooks have today, and was converted."] if is_whole else []
    if len(found) > MOST_CELLS:
        found, is_whole, told = found[:MOST_CELLS], False, [*told, f"Only its first {MOST_CELLS} cells were read."]
    cells = [clean(each) for each in found]
    if any(isinstance(each, dict) and len(_text(each)) > LONGEST_SOURCE for each in found):
        is_whole, told = False, [*told, f"A cell was cut at {LONGEST_SOURCE:,} characters."]
    return Cells(cells, tuple(told), is_whole)


def clean(cell: object) -> NotebookNode:
    """Return a cell with nothing in it but its text, its id and what nbgrader and this course wrote there."""
    cell = cell if isinstance(cell, Mapping) else {}
    kind = cell.get("cell_type")
    source = _text(cell)[:LONGEST_SOURCE]
    if kind == "heading":  # of the third format
        level = cell.get("level")
        source, kind = f"{'#' * (level if type(level) is int and 0 < level < 7 else 1)} {source}", "markdown"
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}.get(str(kind))
    new = (make or nbformat.v4.new_raw_cell)(_printable(source))
    metadata = cell.get("metadata")
    kept = {name: _plain(metadata[name]) for name in ("nbgrader", "course") if _is_table(metadata, name)}
    new.metadata = NotebookNode({name: NotebookNode(each) for name, each in kept.items()})
    if isinstance(cell.get("id"), str) and CELL_ID.fullmatch(cell["id"]):
        new.id = cell["id"]
    if pictures := _attachments(cell.get("attachments")):
        new.attachments = NotebookNode(pictures)
    return new


def notebook_of(cells: list[NotebookNode]) -> NotebookNode:
    """Return a notebook of these cells, each with an id of its own."""
    seen: set[str] = set()
    for cell in cells:
        while cell.id in seen:
            cell.id = nbformat.v4.new_raw_cell("").id
        seen.add(cell.id)
    return nbformat.v4.new_notebook(cells=cells, metadata=NotebookNode(json.loads(json.dumps(KERNEL))))


# -- bytes to values ---------------------------------------------------------------------------------------------------


def _decoded(content: bytes) -> tuple[str, list[str]]:
    coding = "utf-8" if len(content) < 4 else json.detect_encoding(content)
    try:
        return content.decode(coding), [] if coding == "utf-8" else [f"It was saved as {coding}."]
    except UnicodeDecodeError as problem:
        if coding != "utf-8" or problem.start > len(content) - 4:  # cut off in the middle of a letter
            return content.decode(coding, "replace"), []
        return content.decode("cp1252", "replace"), ["It was saved in another character set than UTF-8."]


def _salvaged(text: str) -> list[dict]:
    """Return every object of broken JSON that is a cell, in order."""
    decoder, found, place, tries = json.JSONDecoder(), [], 0, 0
    for start in re.finditer(r'\{\s*"(?:cell_type|attachments|execution_count|id|metadata|collapsed|level)"', text):
        if start.start() < place:
            continue
        if (tries := tries + 1) > MOST_TRIES:
            break
        try:
            value, place = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "cell_type" in value:
            found.append(value)
    tail = _cut_off(text[place:])
    return found + ([tail] if tail else [])


def _cut_off(rest: str) -> dict | None:
    """Return the cell in whose middle a file ends, with the lines of its text that are there."""
    start = rest.rfind('"cell_type"')
    source = rest.find('"source"', start) if start >= 0 else -1
    if source < 0:
        return None
    value = re.match(r"\s*:\s*(\[)?", rest[source + len('"source"') :])
    after = rest[source + len('"source"') + (value.end() if value else 0) :][:LONGEST_SOURCE]
    lines = re.findall(r'\s*,?\s*"((?:[^"\\]|\\.)*)(?:"|\\?$)|(\])', after, re.DOTALL) if value else []
    lines = [line for line, end in itertools.takewhile(lambda found: not found[1], lines)]
    lines = lines if value and value[1] else lines[:1]
    kind = re.match(r'"cell_type"\s*:\s*"(\w+)"', rest[start:])
    text = "".join(_unescaped(line) for line in lines)
    return {"cell_type": kind[1] if kind else "markdown", "source": text, "metadata": {}} if text.strip() else None


def _unescaped(line: str) -> str:
    try:
        return json.loads(f'"{re.sub(HALF_AN_ESCAPE, "", line)}"')
    except ValueError:
        return line


def _cells_of(values: object) -> list:
    """Return the list of cells, wherever a version of the format keeps it."""
    if isinstance(values, dict) and isinstance(values.get("worksheets"), list):
        sheets = [sheet.get("cells") for sheet in values["worksheets"] if isinstance(sheet, dict)]
        found = [cell for cells in sheets if isinstance(cells, list) for cell in cells]
    else:
        found = values.get("cells") if isinstance(values, dict) else values
    found = list(found.values()) if isinstance(found, dict) else found
    return [each for each in found if isinstance(each, dict) and "cell_type" in each] if isinstance(found, list) else []


def _what_else(values: object, content: bytes) -> str:
    if not content.strip():
        return "it is empty"
    if content.startswith(b"PK"):
        return "it is a zip archive or an office document"
    if content.startswith(b"\x1f\x8b"):
        return "it is a gzip archive"
    if content.startswith(b"%PDF"):
        return "it is a PDF"
    if content.lstrip()[:1] == b"<":
        return "it is a web page"
    return "it holds no cells" if isinstance(values, dict) else "it is no notebook"


# -- values to cells ---------------------------------------------------------------------------------------------------


def _text(cell: Mapping) -> str:
    """Return a cell's text, whatever form it has: a string, lines, or what the third format called input."""
    value = cell.get("source", cell.get("input", ""))
    if isinstance(value, list):
        return "".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ("" if value is None else json.dumps(value, default=str))


def _printable(text: str) -> str:
    """Return text that can be written down: halves of characters and zeros become signs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_table(metadata: object, name: str) -> bool:
    return isinstance(metadata, Mapping) and isinstance(metadata.get(name), Mapping)


def _plain(table: Mapping) -> dict:
    kept = {}
    for name, value in table.items():
        if isinstance(value, str | bool | float) or (isinstance(value, int) and abs(value) < 2**53):
            kept[_printable(str(name))[:100]] = _printable(value)[:500] if isinstance(value, str) else value
    return kept


def _attachments(found: object) -> dict:
    """Return pasted pictures; anything else that was attached stays in the original."""
    kept = {}
    for name, kinds in found.items() if isinstance(found, Mapping) else ():
        pictures = (
            {kind: data for kind, data in kinds.items() if kind in PICTURES} if isinstance(kinds, Mapping) else {}
        )
        if pictures and all(
            isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9+/=\s]+", data) for data in pictures.values()
        ):
            kept[_printable(str(name))[:200]] = NotebookNode(pictures)
    return kept


def _short(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:100] or type(problem).__name__
