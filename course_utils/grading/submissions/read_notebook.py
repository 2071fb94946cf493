"""Reading of submitted notebooks: any version, encoding or damage; no text is lost and nothing in it can act."""

import dataclasses
import html
import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

from course_utils.grading.submissions.json_salvage import Piece, parse_json, salvage

MAX_CELLS, MAX_SOURCE_CHARACTERS = 2000, 1_000_000  # characters in a cell
MAX_UNPACKED_BYTES = 100_000_000  # of a notebook that was handed in as gzip
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
KERNEL["language_info"] = {"name": "python"}
LONG_CODE = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{8,}+);?")
GZIP, ZIP = b"\x1f\x8b", b"PK"
# A merge with git leaves lines that begin so. No string of JSON holds a line break, so none of them lies in a string.
MERGE_LINE = re.compile(r"^(?:<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)[^\n]*+", re.MULTILINE)


class Unreadable(ValueError):
    """Bytes that hold no notebook; says why in a few words."""


@dataclasses.dataclass(frozen=True)
class Cells:
    """What could be read of a file.

    Parameters
    ----------
    cells : list of NotebookNode
        Clean: type, text, id and nbgrader's metadata; no outputs.
    notes : tuple of str
        What had to be mended, in sentences.
    is_whole : bool
        False where text may have been lost.
    """

    cells: list[NotebookNode]
    notes: tuple[str, ...] = ()
    is_whole: bool = True


def read_cells(content: bytes) -> Cells:
    """Read a notebook of any version, as far as it can be read.

    Raises
    ------
    Unreadable
        There is not one cell in it.
    """
    text, notes, is_whole = decode(content)
    text, more = _without_a_page_around(text)
    notes += more
    values, read = _values(text)
    notes += read.notes
    is_whole = is_whole and read.is_whole
    found = _cells_of(values)
    if not found:
        raise Unreadable(what_else(values, content))
    if is_whole and (not isinstance(values, dict) or values.get("nbformat") != 4):
        notes += ["It was in another format than notebooks have today, and was converted."]
    if len(found) > MAX_CELLS:
        found, is_whole, notes = found[:MAX_CELLS], False, [*notes, f"Only its first {MAX_CELLS} cells were read."]
    cells = [clean(cell) for cell in found]
    if any(len(_text(cell)) > MAX_SOURCE_CHARACTERS for cell in found):
        is_whole, notes = False, [*notes, f"A cell was cut at {MAX_SOURCE_CHARACTERS:,} characters."]
    return Cells(cells, tuple(notes), is_whole)


def looks_like_a_notebook(beginning: bytes) -> bool:
    """Tell from the first bytes of a file whether it may be a notebook, whatever its name is.

    Parameters
    ----------
    beginning : bytes
        Some 64 KB. A file that begins with a large output may hold its first cell type further on: names help there.
    """
    try:
        text = decode(beginning)[0].lstrip("\ufeff\x00 \t\r\n")
    except Unreadable:
        return False
    is_json = text[:1] in ("{", "[") or "&quot;cell_type&quot;" in text or "<pre" in text[:2000].lower()
    return is_json and any(f'"{key}"' in text or f"&quot;{key}&quot;" in text for key in ("cell_type", "nbformat"))


def clean(cell: object) -> NotebookNode:
    """Return a cell with nothing in it but its text, its id and what nbgrader and this course wrote there."""
    cell = cell if isinstance(cell, Mapping) else {}
    kind = cell.get("cell_type")
    source = _text(cell)[:MAX_SOURCE_CHARACTERS]
    if kind == "heading":  # of the third format
        level = cell.get("level")
        source, kind = f"{'#' * (level if type(level) is int and 0 < level < 7 else 1)} {source}", "markdown"
    makers = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    make: Callable[[str], NotebookNode] = makers.get(str(kind), nbformat.v4.new_raw_cell)
    new = make(_printable(source))
    metadata: Any = cell.get("metadata")
    kept = {name: _plain(metadata[name]) for name in ("nbgrader", "course") if _is_table(metadata, name)}
    new.metadata = NotebookNode({name: NotebookNode(value) for name, value in kept.items()})
    if isinstance(cell.get("id"), str) and CELL_ID.fullmatch(cell["id"]):
        new.id = cell["id"]
    if pictures := _attachments(cell.get("attachments")):
        new.attachments = NotebookNode(pictures)
    return new


def notebook_of(cells: list[NotebookNode]) -> NotebookNode:
    """Return a notebook of these cells, each with an id of its own."""
    used_ids: set[str] = set()
    for cell in cells:
        while cell.id in used_ids:
            cell.id = nbformat.v4.new_raw_cell("").id
        used_ids.add(cell.id)
    notebook: NotebookNode = nbformat.v4.new_notebook(
        cells=cells, metadata=NotebookNode(json.loads(json.dumps(KERNEL)))
    )
    return notebook


# -- bytes to values ---------------------------------------------------------------------------------------------------


def decode(content: bytes) -> tuple[str, list[str], bool]:
    """Return bytes as text, what had to be done for it in sentences, and whether nothing was lost.

    Raises
    ------
    Unreadable
        It is a gzip file that cannot be unpacked.
    """
    notes, is_whole = [], True
    if content.startswith(GZIP):
        content, is_whole = _unpacked(content)
        notes = ["It was packed with gzip, and was unpacked."]
    coding = "utf-8" if len(content) < 4 else json.detect_encoding(content)
    try:
        return content.decode(coding), notes + _saved_as(coding), is_whole
    except UnicodeDecodeError as problem:
        if (
            coding not in ("utf-8", "utf-8-sig") or problem.start > len(content) - 4
        ):  # cut off in the middle of a letter
            return content.decode(coding, "replace"), notes + _saved_as(coding), is_whole
        notes += ["It was saved in another character set than UTF-8."]
        return content.decode("cp1252", "replace"), notes, is_whole


def _saved_as(coding: str) -> list[str]:
    return [] if coding in ("utf-8", "utf-8-sig") else [f"It was saved as {coding}."]


def _unpacked(content: bytes) -> tuple[bytes, bool]:
    """Return what a gzip file holds, up to a limit, and whether that is all of it."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(content, MAX_UNPACKED_BYTES)
    except zlib.error as problem:
        raise Unreadable(f"it is a damaged gzip file ({_short(problem)})") from None
    if unpacker.unconsumed_tail:
        raise Unreadable(f"it is a gzip file of more than {MAX_UNPACKED_BYTES // 1_000_000} MB")
    return found, unpacker.eof


def _without_a_page_around(text: str) -> tuple[str, list[str]]:
    """Return the notebook in a web page that a browser has saved around it; any other text as it is."""
    begins = text[:200].lstrip("\ufeff \t\r\n")
    if not begins.startswith("<") or begins.startswith("<<<<<<<"):
        return text, []
    first, last = text.find("{"), text.rfind("}")
    inside = text[first : last + 1] if 0 <= first < last else ""
    if '"cell_type"' not in inside and "&quot;cell_type&quot;" not in inside and "&#34;cell_type&#34;" not in inside:
        return text, []
    # A page that shows JSON holds it in one element; "&lt;" and the like stand for characters.
    is_escaped = '"cell_type"' not in inside or "&lt;" in inside or "&amp;" in inside
    # Python refuses to read a number of thousands of digits, and no character has one of eight.
    return html.unescape(LONG_CODE.sub("\ufffd", inside)) if is_escaped else inside, [
        "It was saved as a web page; the notebook in it was read."
    ]


def _values(text: str) -> tuple[object, Cells]:
    """Return what a text holds as JSON, and what had to be done for it, as `Cells` without cells."""
    start = len(text) - len(text.lstrip("\ufeff\x00 \t\r\n"))
    notes: list[str] = []
    try:
        values, end, had_twins = parse_json(text, start)
    except ValueError as problem:
        return _salvaged(text, _short(problem))
    rest = text[end:].strip("\ufeff\x00 \t\r\n")
    if '"cell_type"' in rest:
        return _salvaged(text, "something follows its end")
    if rest:
        notes += [f"After its end stood {len(rest):,} characters that are no part of it."]
    if had_twins:
        notes += ["Something in it was given twice; both are kept."]
    return values, Cells([], tuple(notes), not had_twins)


def _salvaged(text: str, why: str) -> tuple[dict[str, Any], Cells]:
    """Return all cells of a damaged notebook."""
    found = salvage(MERGE_LINE.sub("", text), _is_cell)
    notes = [f"The file is no whole notebook ({why}); {len(found)} cells could be read."]
    notes += [_half(piece) for piece in found if not piece.is_whole]
    return {"cells": [piece.value for piece in found]}, Cells([], tuple(notes[:20]), False)


def _is_cell(value: dict[str, Any]) -> bool:
    """Tell whether an object is a cell with text; nbgrader's own mark on a cell also has a cell type."""
    return ("cell_type" in value or _is_table(value.get("metadata"), "nbgrader")) and bool(
        "grade_id" not in value and "cells" not in value and (value.get("source") or value.get("input"))
    )


def _half(piece: Piece) -> str:
    metadata: Any = piece.value.get("metadata")
    name = metadata["nbgrader"].get("grade_id") if _is_table(metadata, "nbgrader") else None
    name = metadata["course"].get("answer") if name is None and _is_table(metadata, "course") else name
    which = f"the cell {_printable(str(name))[:60]}" if name else "a cell"
    return f"The file is damaged in {which}: {len(_text(piece.value)):,} characters of it could be read."


def _cells_of(values: object) -> list[dict[str, Any]]:
    """Return the list of cells, wherever a version of the format keeps it."""
    found: Any
    if isinstance(values, dict) and isinstance(values.get("worksheets"), list):
        sheets = [sheet.get("cells") for sheet in values["worksheets"] if isinstance(sheet, dict)]
        found = [cell for cells in sheets if isinstance(cells, list) for cell in cells]
    else:
        found = values.get("cells") if isinstance(values, dict) else values
    found = list(found.values()) if isinstance(found, dict) else found
    return [cell for cell in found if isinstance(cell, dict) and "cell_type" in cell] if isinstance(found, list) else []


def what_else(values: object, content: bytes) -> str:
    """Say what a file is that holds no notebook."""
    begins = content[:4096].lstrip(b"\xef\xbb\xbf\x00 \t\r\n")
    if not content.strip():
        return "it is empty"
    if begins.startswith(ZIP):
        return "it is a zip archive or an office document"
    if begins.startswith(GZIP):
        return "it is a gzip archive"
    if begins.startswith(b"%PDF"):
        return "it is a PDF"
    if begins[:1] == b"<":
        lower = content[:200_000].lower()
        asks = b'type="password"' in lower or b"type='password'" in lower or b"log in" in lower or b"sign in" in lower
        return "it is a web page" + (" that asks for a password: the download had failed" if asks else "")
    return "it holds no cells" if isinstance(values, dict) else "it is no notebook"


# -- values to cells ---------------------------------------------------------------------------------------------------


def _text(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, whatever form it has: a string, lines, or what the third format called input."""
    value = cell.get("source", cell.get("input", ""))
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    if isinstance(value, str) or value is None:
        return value or ""
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return ""


def _printable(text: str) -> str:
    """Return text that can be written down: halves of characters and zeros become signs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_table(metadata: Any, name: str) -> bool:
    return isinstance(metadata, Mapping) and isinstance(metadata.get(name), Mapping)


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in table.items():
        if isinstance(value, str | bool | float) or (isinstance(value, int) and abs(value) < 2**53):
            kept[_printable(str(name))[:100]] = _printable(value)[:500] if isinstance(value, str) else value
    return kept


def _attachments(found: object) -> dict[str, NotebookNode]:
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
