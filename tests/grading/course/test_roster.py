"""Lists of participants arrive whatever program wrote them, and nobody is guessed."""

import contextlib

import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from made_course import make_course

from course_utils.__main__ import main
from course_utils.errors import SettingsError, TextError
from course_utils.grading.course.roster import Hints, Person, find_participant, import_roster, participants, read_roster

ROWS = [("ann", "Ann, Marie", "O'Brien", "ann@example.org", "101"), ("007", "小龙", "李", "li@example.org", "102")]
HEADS = ["id", "first_name", "last_name", "email", "lms_user_id"]


def table(heads: list[str], rows: list[tuple], delimiter: str = ",", end: str = "\r\n") -> str:
    quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [heads, *rows]]
    return end.join([*quoted, ""])


def read(text: str, coding: str = "utf-8", **more: object) -> list[dict]:
    return [dict(entry.values) for entry in read_roster(text.encode(coding), **more)[0]]


EXPECTED = [dict(zip(HEADS, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_what_spreadsheets_write_is_read(delimiter, coding, end):
    assert read(table(HEADS, ROWS, delimiter, end), coding) == EXPECTED


@pytest.mark.parametrize(
    "heads",
    [
        ["Student ID", "First Name", "Last Name", "E-Mail", "LMS user id"],
        ["Benutzername", "Vorname", "Nachname", "E-Mail-Adresse", "Identifier"],
        ["USERNAME", " Given name ", "Surname", "Email address", "Canvas ID"],
        ["Identifiant", "Prénom", "Nom", "Adresse de courriel", "lms_user_id"],
    ],
)
def test_headings_of_other_programs_are_known_in_any_order(heads):
    assert read(table(heads, ROWS)) == EXPECTED
    turned = [tuple(reversed(row)) for row in ROWS]
    assert read(table(list(reversed(heads)), turned)) == EXPECTED


def test_canvas_gradebook_is_a_list():
    text = (
        "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
        '"O\'Brien, Ann",101,x,ann,S1\n"Student, Test",9,,test,S1\n'
    )
    assert read(text)[0] == {"id": "ann", "lms_user_id": "101", "first_name": "Ann", "last_name": "O'Brien"}


def test_moodles_participants_are_a_list_once_the_ids_are_said():
    text = "Identifier,Full name,Email address\nParticipant 5,Ann O'Brien,ann@example.org\n"
    with pytest.raises(TextError, match="no column of ids"):
        read(text)
    assert read(text, id_column="email ADDRESS") == [
        {"id": "ann@example.org", "first_name": "Ann", "last_name": "O'Brien", "lms_user_id": "5"}
    ]
    with pytest.raises(SettingsError, match="no column 'login'"):
        read(text, id_column="login")


def test_marks_of_excel_and_brightspace_are_taken_away():
    assert read("sep=;\nOrgDefinedId;Username\n#17;#ann\n")[0]["id"] == "ann"
    assert read('id,email\n="007",x@y.z\n\'=1-1,\n')[0]["id"] == "007"
    assert read("id,email\n'=1-1,a@b.c\n")[0]["id"] == "=1-1"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04\0\0", b"\xd0\xcf\x11\xe0", b"\0\1\2\3", b"no heading\n1\n"])
def test_what_is_no_list_is_told(content):
    with pytest.raises(TextError):
        read_roster(content)


@drawn(60)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(content):
    with contextlib.suppress(TextError):
        read_roster(content)


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "course")


def test_the_gradebook_holds_the_list_afterwards(course, tmp_path, capsys):
    (tmp_path / "list.csv").write_text(table(HEADS, ROWS, ";"), "utf-8-sig")
    assert main(["grade", "roster", str(tmp_path / "list.csv"), "--course", str(course.root)]) == 0
    assert "2 people, 2 of them new" in capsys.readouterr().out
    assert participants(course) == sorted((Person(*row) for row in ROWS), key=lambda each: each.last_name)
    (tmp_path / "less.csv").write_text("id,email\nann,\n007,new@example.org\n")
    said = []
    import_roster(course, tmp_path / "less.csv", say=said.append)
    found = {each.id: each.email for each in participants(course)}
    assert found == {"ann": "ann@example.org", "007": "new@example.org"}, "an empty cell changes nothing"


def test_one_id_of_two_people_changes_nothing(course, tmp_path):
    (tmp_path / "list.csv").write_text("id,email\nann,a@x.y\nbob,b@x.y\nann,c@x.y\n")
    with pytest.raises(TextError, match="line 2 and on line 4"):
        import_roster(course, tmp_path / "list.csv")
    assert participants(course) == []
    with pytest.raises(TextError, match="cannot be read"):
        import_roster(course, tmp_path / "nowhere.csv")


CLASS = [
    Person("jdoe", "Jane", "Doe", "jane.doe@example.org", "1"),
    Person("jdoe2", "Jane", "Doe", "jane2@example.org", "2"),
    Person("obrien", "Séan", "O'Brien", "s@example.org", "3"),
    Person("Anna", "Anna", "de la Cruz"),
    Person("4711", "Zoe", "Zeh"),
    Person("kim@example.org", "Kim", "Ng"),
]


@pytest.mark.parametrize(
    ("hints", "id"),
    [
        (Hints(logins=("jdoe",)), "jdoe"),
        (Hints(logins=("JDOE2",)), "jdoe2"),
        (Hints(logins=("jane.doe",)), "jdoe"),
        (Hints(lms_ids=("2",), names=("Jane Doe",)), "jdoe2"),
        (Hints(names=("Jane Doe",)), None),
        (Hints(names=("obriensean",)), "obrien"),
        (Hints(names=("O\u2019Brien, Se\u0301an",)), "obrien"),
        (Hints(names=("Anna de la Cruz",)), "Anna"),
        (Hints(lms_ids=("3",), names=("Jane Doe",)), None),
        (Hints(lms_ids=("99",)), None),
        (Hints(logins=("jdoe", "obrien")), None),
        (Hints(), None),
        (Hints(lms_ids=("4711",), names=("zehzoe",)), "4711"),
        (Hints(lms_ids=("4711",), names=("Jane Doe",)), None),
        (Hints(logins=("kim",)), "kim@example.org"),
    ],
)
def test_who_is_meant(hints, id):
    person, why = find_participant(hints, CLASS)
    assert (person.id if person else None) == id and bool(why) == (id is None)
