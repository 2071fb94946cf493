"""Lists of participants: read from any spreadsheet's CSV into the gradebook, and searched for a student.

nbgrader's own import takes UTF-8 with commas and its own column names only. `import_roster` takes what Excel, Canvas,
Moodle, Brightspace and Blackboard write: a byte order mark, UTF-16, semicolons or tabs, and their column names.
"""

import codecs
import csv
import dataclasses
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.core.files import printable, read_errors
from course_utils.core.safe_csv import unguard
from course_utils.errors import SettingsError, TextError
from course_utils.grading.course.course import Course, ignore_nbgrader_warnings

if TYPE_CHECKING:
    from nbgrader.api import Student

MAX_BYTES, MAX_ROWS, MAX_CELL = 20_000_000, 50_000, 128  # nbgrader keeps 128 characters of a name
DELIMITERS = ",;\t|"
FIELDS = ("id", "first_name", "last_name", "email", "lms_user_id")
# Column names as `_key` writes them, likely ones first. Canvas calls its own number ID, and the login SIS Login ID.
COLUMNS = {
    "id": (
        "id", "sisloginid", "studentid", "loginid", "username", "login", "netid", "userid", "idnumber", "student",
        "matriculationnumber", "matrikelnummer", "benutzername", "anmeldename", "kennung", "nomdutilisateur",
        "identifiant", "nombredeusuario", "nomeutente", "gebruikersnaam", "studentnumber", "sisuserid", "sisid",
        "orgdefinedid",
    ),
    "first_name": ("firstname", "givenname", "forename", "vorname", "prenom", "nombre", "nome", "voornaam"),
    "last_name": (
        "lastname", "surname", "familyname", "nachname", "familienname", "nom", "nomdefamille", "apellidos",
        "apellido", "apellidos", "cognome", "sobrenome", "achternaam",
    ),
    "email": (
        "email", "emailaddress", "mail", "emailadresse", "adressedecourriel", "courriel", "correo",
        "correoelectronico", "direcciondecorreo", "indirizzoemail", "emailadres",
    ),
    "lms_user_id": ("lmsuserid", "canvasuserid", "canvasid", "identifier", "moodleid", "participantid"),
}  # fmt: skip
FULL_NAMES = ("fullname", "name", "student", "studentname", "vollstandigername", "nomcomplet", "nombrecompleto")
OF_MOODLE = re.compile(r"\D{0,40}?(\d{1,20})")  # "Participant 123": in every language a word and a number
Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A person of a list, with the line on which they stand."""

    line: int
    values: Mapping[str, str]


def import_roster(course: Course, file: str | Path, id_column: str = "", say: Say = print) -> int:
    """Take a list of participants into the gradebook; return how many people it held.

    Parameters
    ----------
    course : Course
    file : str or Path
        CSV in any common form.
    id_column : str
        The heading of the column with the ids under which students hand in. Found by its name when left out.
    say : callable
        Told which columns were read, and what was not.

    Raises
    ------
    TextError
        It cannot be read, holds no ids, or one id stands for two people. Nothing was changed then.
    SettingsError
        It has no such column.

    Notes
    -----
    A cell that is empty changes nothing. People of the gradebook who are not in the list stay there, with their marks.
    """
    file = Path(file)
    with read_errors(file, "A CSV file with a heading for each column."), file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    entries, columns = read_roster(content, str(file), id_column)
    by_id = _by_id(entries, file)
    with course.gradebook() as gradebook, ignore_nbgrader_warnings():
        known = {student.id for student in gradebook.students}
        for student_id, values in by_id.items():
            gradebook.update_or_create_student(
                student_id, **{name: value for name, value in values.items() if name != "id"}
            )
    read = ", ".join(f"{name} from {printable(column)!r}" for name, column in columns.items())
    say(f"{file}: {len(by_id)} people, {len(by_id.keys() - known)} of them new. Read: {read}.")
    if without := [entry.line for entry in entries if not entry.values.get("id")]:
        lines = ", ".join(map(str, without[:10])) + (" and more" if len(without) > 10 else "")
        say(f"Left out, without an id: line {lines}.")
    if gone := sorted(known - by_id.keys()):
        say(f"In the gradebook but not in the list, and kept: {', '.join(map(printable, gone[:10]))}.")
    return len(by_id)


def read_roster(content: bytes, name: str = "The list", id_column: str = "") -> tuple[list[Entry], dict[str, str]]:
    """Return the people of a list, and which column each of their values came from.

    Raises
    ------
    TextError
        It is no CSV file with a column of ids.
    SettingsError
        It has no column ``id_column``.
    """
    rows = read_csv(content, name)
    at = next((i for i, row in enumerate(rows) if _columns(row, id_column)), None)
    if at is None:
        head = ", ".join(printable(cell) for cell in (rows[0] if rows else [])[:12])
        if id_column:
            raise SettingsError(
                f"{name} has no column {id_column!r}.", f"One of {head}.", "Name it as it stands there."
            )
        raise TextError(
            f"{name} has no column of ids: {head or 'it is empty'}.",
            "A column such as id, student_id, username or SIS Login ID.",
            "Say which column it is: grade roster FILE --id COLUMN",
        )
    heads, columns = rows[at], _columns(rows[at], id_column)
    entries = []
    for line, row in enumerate(rows[at + 1 :], at + 2):
        if not any(cell.strip() for cell in row) or _is_points_possible(row):
            continue
        cells = {field: _cell(row, index) for field, index in columns.items()}
        entries.append(Entry(line, _values(cells)))
    return entries, {field.strip("_"): heads[index] for field, index in columns.items()}


def _columns(heads: Sequence[str], id_column: str) -> dict[str, int]:
    """Return which column holds what; empty where there is none of ids."""
    keys = [_key(head) for head in heads]
    found: dict[str, int] = {}
    is_canvas = "sisloginid" in keys or "sisuserid" in keys
    if is_canvas and "id" in keys:
        found["lms_user_id"] = keys.index("id")
    for field, names in COLUMNS.items():
        taken = set(found.values())
        index = next((keys.index(name) for name in names if name in keys and keys.index(name) not in taken), None)
        if field not in found and index is not None:
            found[field] = index
    if id_column:
        wanted = _key(id_column)
        if wanted not in keys:
            return {}
        found = {field: index for field, index in found.items() if index != keys.index(wanted)}
        found["id"] = keys.index(wanted)
    if "id" not in found:
        return {}
    full = next((keys.index(column) for column in FULL_NAMES if column in keys), None)
    if full is not None and full not in found.values() and "last_name" not in found:
        found["_full"] = full
    return {field: found[field] for field in ("id", *(column for column in found if column != "id"))}


def _values(cells: Mapping[str, str]) -> dict[str, str]:
    """Return a person's values by nbgrader's names, without empty ones."""
    values = {field: cell for field, cell in cells.items() if field in FIELDS and cell}
    if full := cells.get("_full"):
        last, comma, first = full.partition(",")
        if not comma:
            first, _, last = full.rpartition(" ")
        values |= {"first_name": first.strip(), "last_name": last.strip()}
    if number := OF_MOODLE.fullmatch(values.get("lms_user_id", "")):
        values["lms_user_id"] = number[1]
    values["id"] = values.get("id", "").removeprefix("#")  # Brightspace writes it so
    return {field: value[:MAX_CELL] for field, value in values.items() if value}


def _by_id(entries: Sequence[Entry], file: Path) -> dict[str, dict[str, str]]:
    """Return the people by their ids; refuse a list in which one id stands for two."""
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for entry in entries:
        student_id = entry.values.get("id", "")
        if not student_id:
            continue
        line, values = found.setdefault(student_id, (entry.line, {}))
        differ = [field for field, value in entry.values.items() if values.get(field, value) != value]
        if differ:
            raise TextError(
                f"{file}: {printable(student_id)!r} stands on line {line} and on line {entry.line} "
                f"with another {differ[0]}.",
                "One line for each person.", "Correct the list, or name another column: grade roster FILE --id COLUMN",
            )  # fmt: skip
        values |= entry.values
    if not found:
        raise TextError(
            f"{file} has no student.",
            "At least one line with an id below the headings.",
            "Open the file and check its lines.",
        )
    return {student_id: values for student_id, (_, values) in found.items()}


def _is_points_possible(row: Sequence[str]) -> bool:
    """Tell whether a line is Canvas's own, below its headings."""
    return any(cell.strip().lower() == "points possible" for cell in row[:2])


def _cell(row: Sequence[str], index: int) -> str:
    cell = row[index].strip() if index < len(row) else ""
    formula = re.fullmatch(r'="([^"]*)"', cell)  # so that Excel keeps the zeros at the beginning
    return unicodedata.normalize("NFC", unguard(formula[1] if formula else cell)).strip()


def _key(head: str) -> str:
    """Return a heading in small letters without accents, blanks and signs."""
    plain = unicodedata.normalize("NFKD", head.casefold().replace("ß", "ss"))
    return "".join(c for c in plain if c.isalnum())


# -- CSV ---------------------------------------------------------------------------------------------------------------


def read_csv(content: bytes, name: str = "The file") -> list[list[str]]:
    """Return the rows of a CSV file, whatever program wrote it.

    Raises
    ------
    TextError
        It is an Excel workbook, too large, or no text.
    """
    text = decoded(content, name)[0]
    separator, text = delimiter_of(text), _without_hint(text).removeprefix("\ufeff")
    try:
        rows = list(itertools.islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), MAX_ROWS + 1))
    except csv.Error as problem:
        raise TextError(f"{name} is not a CSV file: {problem}.", "A CSV file.", "Export it as CSV again.") from problem
    if len(rows) > MAX_ROWS:
        raise TextError(f"{name} has more than {MAX_ROWS:,} lines.", "A list of people.", "Look into the file.")
    return rows


def decoded(content: bytes, name: str = "The file") -> tuple[str, str]:
    """Return the text of a CSV file, with the byte order mark if it has one, and its encoding.

    Raises
    ------
    TextError
        It is an Excel workbook, too large, or no text.
    """
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise TextError(f"{name} is an Excel workbook.", "A CSV file.", "In Excel: save as CSV UTF-8.")
    if len(content) > MAX_BYTES:
        raise TextError(
            f"{name} has more than {MAX_BYTES // 1_000_000} MB.", "A list of people.", "Look into the file."
        )
    coding: str = json.detect_encoding(content) if len(content) >= 4 else "utf-8"
    coding = {"utf-8-sig": "utf-8", "utf-16": _utf_16(content), "utf-32": "utf-32"}.get(coding, coding)
    for encoding in (coding, "cp1252", "latin-1"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if "\x00" in text:
        raise TextError(f"{name} is not a text file.", "A CSV file.", "Export it as CSV again.")
    return text, encoding


def _utf_16(content: bytes) -> str:
    return "utf-16-le" if content.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"


def delimiter_of(text: str) -> str:
    """Return what stands between the cells of a CSV file: what Excel's own hint says, else what its headings hold most.

    Examples
    --------
    >>> delimiter_of("id;first name;e-mail, private"), delimiter_of("sep=,"), delimiter_of("id")
    (';', ',', ',')
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    if hint := re.fullmatch(rf"sep=([{DELIMITERS}])", first.strip('\ufeff \r\n"'), re.IGNORECASE):
        return hint[1]
    outside = re.sub(r'"[^"]*"', "", first)
    return max(DELIMITERS, key=lambda delimiter: (outside.count(delimiter), -DELIMITERS.index(delimiter)))


def _without_hint(text: str) -> str:
    """Return the text without the line in which Excel says what stands between the cells."""
    first, line_end, rest = text.partition("\n")
    return rest if first.strip('\ufeff \r"').lower().startswith("sep=") and line_end else text


# -- who a file is from ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Person:
    """A student, as the gradebook knows the person."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_id: str = ""


@dataclasses.dataclass(frozen=True)
class Hints:
    """What a file's name says of the person who handed it in.

    Parameters
    ----------
    logins : tuple of str
        What may be an id or an e-mail address.
    lms_ids : tuple of str
        Numbers of the learning platform.
    names : tuple of str
        Names of people, in any order and spelling.
    """

    logins: tuple[str, ...] = ()
    lms_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def participants(course: Course) -> list[Person]:
    """Return the students of the gradebook."""
    with course.gradebook() as gradebook:
        return [person_of(student) for student in gradebook.students]


def person_of(student: "Student") -> Person:
    """Return a row of the gradebook as plain values."""
    fields = (student.first_name, student.last_name, student.email, student.lms_user_id)
    return Person(student.id, *(str(field or "") for field in fields))


def find_participant(hints: Hints, people: Iterable[Person]) -> tuple[Person | None, str]:
    """Return who is meant, and why nobody is where that is not certain.

    Ids come first, then e-mail addresses, numbers of the platform, and names: the surest way that finds anybody
    decides. Where it finds several, nobody is taken; nor where number and name contradict each other.
    """
    people = list(people)
    ways: list[tuple[str, Callable[[Person], bool]]] = [
        ("id", lambda person: person.id in hints.logins),
        ("id", lambda person: _plain(person.id) in {_plain(login) for login in hints.logins}),
        ("e-mail address", lambda person: any(_is_email(field, hints.logins) for field in (person.email, person.id))),
        ("number", lambda person: bool(person.lms_id) and person.lms_id in hints.lms_ids),
        ("number", lambda person: not person.lms_id and person.id in hints.lms_ids),
    ]
    named = [person for person in people if _spellings(person) & {_squeezed(name) for name in hints.names}]
    for what, fits in ways:
        found = [person for person in people if fits(person)]
        if len(found) > 1:
            return None, f"the {what} is that of {_listed(found)}"
        if found:
            if named and found[0] not in named and what == "number":
                return None, f"the number is that of {_listed(found)}, and the name that of {_listed(named)}"
            return found[0], ""
    if len(named) == 1:
        return named[0], ""
    if named:
        return None, f"the name is that of {_listed(named)}"
    return None, "nobody of the gradebook has this name or number"


def _listed(people: Sequence[Person]) -> str:
    return " and ".join(printable(person.id)[:40] for person in people[:4])


def _is_email(text: str, logins: Sequence[str]) -> bool:
    """Tell whether a text is an address that somebody logs in with, with or without what stands behind the @."""
    if "@" not in text:
        return False
    address = _plain(text)
    return any(_plain(login) in (address, address.partition("@")[0]) for login in logins if login)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()


def _squeezed(name: str) -> str:
    """Return a name as Canvas squeezes it: small letters and digits only, without accents.

    Examples
    --------
    >>> _squeezed("O'Brien, Élodie-Ann")
    'obrienelodieann'
    """
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss").replace("ø", "o").replace("ł", "l"))
    return "".join(c for c in plain if c.isalnum())


def _spellings(person: Person) -> set[str]:
    """Return in which ways a file's name may spell a person's."""
    first, last = person.first_name, person.last_name
    if not (first or last):
        return set()
    squeezed = {_squeezed(first + last), _squeezed(last + first)}
    return (
        squeezed | {_squeezed(f"{first.split()[0]}{last}"), _squeezed(f"{last}{first.split()[0]}")}
        if first
        else squeezed
    )
