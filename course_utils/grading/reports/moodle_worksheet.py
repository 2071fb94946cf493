"""Moodle's own grading worksheet, filled in: grades and comments change, every other byte stays as Moodle wrote it.

Moodle compares the headings with the language of the uploader, and skips everybody whose grade is newer
than the date in the worksheet. A worksheet that Moodle itself has just written has the right ones.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from course_utils.core.files import printable
from course_utils.errors import TextError
from course_utils.grading.course.roster import decoded, delimiter_of, read_csv

# Headings as `_key` writes them, of the languages in which Moodle is used most.
GRADE = {
    "grade", "bewertung", "note", "calificacion", "valutazione", "voto", "cijfer", "beoordeling", "nota", "avaliacao",
    "karakter", "betyg", "arvosana", "ocena", "hodnoceni", "osztalyzat", "not", "оценка", "оцінка", "成绩", "成績",
}  # fmt: skip
FEEDBACK = {
    "feedbackcomments", "feedbackalskommentar", "feedbackparcommentaires", "commentairesdefeedback",
    "comentariosderetroalimentacion", "retroalimentacioncomentarios", "commentifeedback", "commentidifeedback",
    "comentariosdefeedback", "commentaires", "kommentar", "comentarios", "反馈评论",
}  # fmt: skip
NUMBER = re.compile(r"[-+]?\d{1,6}(?:[.,]\d{1,6})?")
AT_THE_END = re.compile(r"\D(\d{1,20})\Z")  # "Participant 123", "Teilnehmer/in123"


@dataclasses.dataclass(frozen=True)
class Filled:
    """A worksheet that was filled in.

    Parameters
    ----------
    content : bytes
    written : set of str
        Whose rows were filled, by id.
    notes : list of str
        What the uploader should know.
    """

    content: bytes
    written: set[str]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Mark:
    """What is written into one row: who it is for, the grade, and the comment as Moodle takes it."""

    student: str
    lms_id: str
    email: str
    name: str
    grade: float
    comment: str


def fill_worksheet(content: bytes, marks: Sequence[Mark], most: float, name: str = "The worksheet") -> Filled:
    """Write grades and comments into a worksheet.

    Parameters
    ----------
    content : bytes
        As Moodle wrote it.
    marks : sequence of Mark
    most : float
        The points that can be had.
    name : str
        What it is called, for messages.

    Raises
    ------
    TextError
        It is no worksheet, or none of its columns is that of the grades.
    """
    text, coding = decoded(content, name)
    delimiter = delimiter_of(text)
    fields = _fields(text, delimiter)
    if [row for row in read_csv(content, name) if row] != [[_plain(text[a:b]) for a, b in row] for row in fields]:
        raise TextError(
            f"{name} is not a CSV file as Moodle writes it.",
            "The file from Download grading worksheet.",
            "Download it again.",
        )
    rows = [[_plain(text[a:b]) for a, b in row] for row in fields]
    if not rows:
        raise TextError(f"{name} is empty.", "The file from Download grading worksheet.", "Download it again.")
    grade, comment, highest = _columns(rows, name)
    notes = _about_highest(rows, highest, most)
    found, unclear = _rows_of(rows[1:], marks)
    is_comma = any("," in row[highest] for row in rows[1:] if highest is not None and highest < len(row))
    changes: dict[tuple[int, int], str] = {}
    mark_of = {mark.student: mark for mark in marks}
    for student, index in found.items():
        mark = mark_of[student]
        if max(grade, comment or 0) >= len(fields[index + 1]):
            unclear[student] = "their row has too few cells"
            continue
        start, end = fields[index + 1][grade]
        number = f"{mark.grade:.2f}"
        changes[start, end] = _quoted(number.replace(".", ",") if is_comma else number, delimiter)
        if comment is not None:
            start, end = fields[index + 1][comment]
            changes[start, end] = _quoted(mark.comment, delimiter)
    if comment is None:
        notes.append("The worksheet has no column for comments: only grades were written. Moodle has one where the "
                    "feedback type Feedback comments is switched on.")  # fmt: skip
    notes += [f"{printable(student)}: {why}; their row was left as it was." for student, why in unclear.items()]
    return Filled(_with(text, changes).encode(coding), found.keys() - unclear.keys(), notes)


# -- columns and rows --------------------------------------------------------------------------------------------------


def _columns(rows: Sequence[Sequence[str]], name: str) -> tuple[int, int | None, int | None]:
    """Return the columns of the grade, the comment and the highest grade; the last two may be missing."""
    keys = [_key(head) for head in rows[0]]
    grade = [index for index, key in enumerate(keys) if key in GRADE]
    highest = _highest_column(rows)
    has_participants = len(rows) > 1 and all(AT_THE_END.search(row[0]) for row in rows[1:])
    if len(grade) != 1 and highest and has_participants:
        grade = [highest - 1]  # Moodle writes them side by side, in every language
    if len(grade) != 1:
        heads = ", ".join(printable(head) for head in rows[0][:15])
        raise TextError(
            f"{name} has no column that is known to hold the grades: {heads}.",
            "Moodle's own worksheet, such as with the column Grade.",
            "Set your language in Moodle to English, download it again, and upload it in English too.",
        )
    comment = [index for index, key in enumerate(keys) if key in FEEDBACK or key.startswith("feedback")]
    return grade[0], comment[0] if len(comment) == 1 else None, highest


def _highest_column(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the column in which all rows have the same number: the highest grade."""
    for index in range(1, len(rows[0])):
        values = {row[index] for row in rows[1:] if index < len(row)}
        if len(rows) > 1 and len(values) == 1 and NUMBER.fullmatch(next(iter(values))):
            left = {row[index - 1] for row in rows[1:] if index < len(row)}
            if all(not value or NUMBER.fullmatch(value) for value in left):
                return index
    return None


def _about_highest(rows: Sequence[Sequence[str]], highest: int | None, most: float) -> list[str]:
    values = [row[highest] for row in rows[1:] if highest is not None and highest < len(row)]
    if not values or float(values[0].replace(",", ".")) == most:
        return []
    return [
        f"Moodle's highest grade is {values[0]}, and {most:g} points can be had here: set it to {most:g} there first."
    ]


def _rows_of(rows: Sequence[Sequence[str]], marks: Sequence[Mark]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the row of each student, and why there is none of the others.

    Numbers come first, then e-mail addresses, ids and full names, where only one row has it.
    """
    ways: list[tuple[Callable[[Sequence[str]], set[str]], Callable[[Mark], str]]] = [
        (
            lambda row: {found[1] for found in [AT_THE_END.search(row[0])] if found} if row else set(),
            lambda m: m.lms_id,
        ),
        (lambda row: {cell.casefold() for cell in row if "@" in cell}, lambda mark: mark.email.casefold()),
        (lambda row: {cell.casefold() for cell in row}, lambda mark: mark.student.casefold()),
        (lambda row: {_key(cell) for cell in row}, lambda mark: _key(mark.name)),
    ]
    found, unclear = {}, {}
    indices = [_index(rows, keys_of) for keys_of, _ in ways]
    for mark in marks:
        unclear[mark.student] = "no row of the worksheet is theirs"
        for (_, key_of), index in zip(ways, indices, strict=True):
            key = key_of(mark)
            of_key = index.get(key, []) if key else []
            emails = {cell.casefold() for cell in rows[of_key[0]] if "@" in cell} if len(of_key) == 1 else set()
            if emails and mark.email and mark.email.casefold() not in emails:
                unclear[mark.student] = "the row with their number has another e-mail address"
                break
            if len(of_key) == 1:
                found[mark.student] = of_key[0]
                del unclear[mark.student]
                break
            if of_key:
                unclear[mark.student] = f"{len(of_key)} rows of the worksheet may be theirs"
    taken: dict[int, list[str]] = {}
    for student, row in found.items():
        taken.setdefault(row, []).append(student)
    for students in (students_of_row for students_of_row in taken.values() if len(students_of_row) > 1):
        for student in students:
            del found[student]
            unclear[student] = f"one row seems to be that of {', '.join(map(printable, students))}"
    return found, unclear


def _index(rows: Sequence[Sequence[str]], keys_of: Callable[[Sequence[str]], set[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        for key in keys_of(row):
            found.setdefault(key, []).append(number)
    return found


def _key(head: str) -> str:
    plain = unicodedata.normalize("NFKD", head.casefold())
    return "".join(c for c in plain if c.isalnum())


# -- bytes -------------------------------------------------------------------------------------------------------------


def _fields(text: str, delimiter: str) -> list[list[tuple[int, int]]]:
    """Return where each cell of a CSV stands, with its quotes; a line without any cell is left out."""
    cell = re.compile(rf'"[^"]*+(?:""[^"]*+)*+"?+[^{re.escape(delimiter)}\r\n]*+|[^{re.escape(delimiter)}\r\n]*+')
    at = 1 if text.startswith("\ufeff") else 0  # a byte order mark
    rows, row = [], []
    while at <= len(text):
        found = cell.match(text, at)  # it matches nothing at all too
        end = found.end() if found else at
        row.append((at, end))
        after = text[end : end + 1]
        at = end + 1
        if after != delimiter:
            at += text[end : end + 2] == "\r\n"
            if row != [(end, end)]:
                rows.append(row)
            row = []
            if not after:
                break
    return rows


def _plain(cell: str) -> str:
    """Return what a cell says, without its quotes."""
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _quoted(cell: str, delimiter: str) -> str:
    needs = any(c in cell for c in (delimiter, '"', "\n", "\r")) or cell != cell.strip()
    return '"' + cell.replace('"', '""') + '"' if needs else cell


def _with(text: str, changes: Mapping[tuple[int, int], str]) -> str:
    parts, at = [], 0
    for (start, end), new in sorted(changes.items()):
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])
