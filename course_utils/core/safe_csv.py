"""CSV writer whose files a spreadsheet opens without running a formula; a file is written whole or not at all."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path

from course_utils.core.files import replace_file

GUARD = "'"
# What a spreadsheet may take for the beginning of a formula: also in its full-width form, and also where blanks,
# quotes or signs that nobody sees stand before it.
UNSEEN = "\\s\"'`\u00ad\u200b-\u200f\u2018-\u201f\u202a-\u202e\u2060-\u2069\ufeff"
FORMULA = re.compile(f"[{UNSEEN}]*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe63\u2212]")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
BOM = "\ufeff"  # by which Excel knows that a file is UTF-8

Cell = str | float | int | None


def guard(cell: str) -> str:
    r"""Return a text that no spreadsheet takes for a formula: where one might, an apostrophe stands before it.

    Parameters
    ----------
    cell : str

    Notes
    -----
    Nothing is lost: `unguard` takes the apostrophe away again. A text that begins with an apostrophe and goes on like a
    formula gets one more, so that no two texts become the same.

    Examples
    --------
    >>> guard("=1+1"), guard("Ann"), guard("'=1"), guard("\uff1d1")
    ("'=1+1", 'Ann', "''=1", "'＝1")
    """
    return GUARD + cell if FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """Return a text as it was before `guard`.

    Examples
    --------
    >>> [unguard(guard(text)) for text in ("=1+1", "Ann", "'=1", "O'Brien", "'tis")]
    ['=1+1', 'Ann', "'=1", "O'Brien", "'tis"]
    """
    return cell[len(GUARD) :] if cell.startswith(GUARD) and FORMULA.match(cell[len(GUARD) :]) else cell


def csv_text(rows: Iterable[Sequence[Cell]]) -> str:
    r"""Return rows as CSV: every text in quotes and guarded, numbers as numbers, what is unknown as nothing.

    Examples
    --------
    >>> csv_text([["Ann, Marie", -2.5, None, 15.0]])
    '"Ann, Marie",-2.5,"",15\r\n'
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def write_csv(file: str | Path, rows: Iterable[Sequence[Cell]], for_excel: bool) -> Path:
    """Write rows into a file, which is the old one or the whole new one at any moment.

    Parameters
    ----------
    file : str or Path
    rows : iterable of rows
    for_excel : bool
        Put a byte order mark first; other programs stumble over it.

    Raises
    ------
    NoSpace
        The folder may not be written, or the disk is full.
    """
    content = ((BOM if for_excel else "") + csv_text(rows)).encode("utf-8")
    return replace_file(Path(file), content, "Name another file.")


def _cell(cell: Cell) -> Cell:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, Real) and not isinstance(cell, bool):
        return int(cell) if float(cell).is_integer() else float(cell)
    return guard(UNWRITABLE.sub("\ufffd", str(cell)))
