"""Moodle's own worksheet is filled in: two cells of a row change, and no other byte."""

import csv
import io

import pytest
from made_marks import give

from course_utils.errors import SettingsError, TextError
from course_utils.grading.course.course import ESSAY
from course_utils.grading.reports.exports import export_csv
from course_utils.grading.reports.moodle_worksheet import Mark, fill_worksheet

ENGLISH = (
    'Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
    '"Participant 101","Ann, Marie O\'Brien",ann@example.org,"Submitted for grading",,10.00,Yes,"Thursday, May",-,\r\n'
    '"Participant 999","Zoe ""Z"" Zeh",zoe@example.org,"No submission",3.00,10.00,Yes,-,"Friday, May","Old, ""x"""\r\n'
    '"Participant 102",Somebody Else,,"Submitted for grading",1.00,10.00,Yes,-,-,"<p>old</p>\r\n<p>two lines</p>"\r\n'
)
GERMAN = ENGLISH.replace("10.00", '"10,00"').replace("3.00", '"3,00"').replace("1.00", '"1,00"')
for old, new in (
    ("Identifier", "ID"), ("Full name", "Vollständiger Name"), ("Email address", "E-Mail-Adresse"),
    ("Maximum Grade", "Bestwertung"), ("Grade can be changed", "Bewertung kann geändert werden"),
    ("Last modified (submission)", "Zuletzt geändert (Abgabe)"),
    ("Last modified (grade)", "Zuletzt geändert (Bewertung)"),
    ("Feedback comments", "Feedback als Kommentar"), (",Grade,", ",Bewertung,"), ("Participant ", "Teilnehmer/in"),
):  # fmt: skip
    GERMAN = GERMAN.replace(old, new)
MARKS = [
    Mark("ann", "101", "ann@example.org", "Ann, Marie O'Brien", 8.5, 'Good, "very".<br>Two'),
    Mark("x", "102", "", "", 1.8, "'=1+1"),
]


def rows(content: bytes, coding: str = "utf-8") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(coding).removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize(("text", "grades"), [(ENGLISH, ("8.50", "1.80")), (GERMAN, ("8,50", "1,80"))])
def test_two_cells_change_and_nothing_else(text, grades, line_end, coding):
    before = text.replace("\r\n", line_end).encode(coding)
    if coding == "utf-16-be":
        before = "\ufeff".encode(coding) + before
    after = fill_worksheet(before, MARKS, 10)
    assert after.written == {"ann", "x"} and after.notes == []
    old, new = rows(before, coding), rows(after.content, coding)
    assert [new[1][4], new[3][4]] == list(grades)
    assert [new[1][9], new[3][9]] == ['Good, "very".<br>Two', "'=1+1"]
    for row in (1, 3):
        for column in (4, 9):
            new[row][column] = old[row][column]
    assert new == old
    # What stands before the first change and after the last one is the same bytes, and so is all of Zoe's row.
    zoe = next(line for line in text.splitlines(keepends=True) if "Zoe" in line).replace("\r\n", line_end)
    assert (
        zoe.encode(coding.replace("-sig", "").replace("utf-16", "utf-16-le").replace("-le-be", "-be")) in after.content
    )
    assert before[:40] == after.content[:40]


def test_without_a_mark_not_one_byte_changes():
    assert fill_worksheet(ENGLISH.encode("utf-8-sig"), [], 10).content == ENGLISH.encode("utf-8-sig")


@pytest.mark.parametrize("language", ["Grade", "Bewertung", "Note", "Calificación", "Nota", "Arvosana", "Xyz"])
def test_the_grades_column_is_found_in_many_languages(language):
    """In a language that is not known, it stands left of the highest grade."""
    text = ENGLISH.replace(",Grade,", f",{language},").replace("Maximum Grade", "Höchste Xyz")
    assert rows(fill_worksheet(text.encode(), MARKS, 10).content)[1][4] == "8.50"


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (Mark("nemo", "5", "nemo@example.org", "Nemo", 1, ""), "no row"),
        (Mark("ann", "101", "other@example.org", "Ann", 1, ""), "another e-mail"),
    ],
)
def test_whose_row_is_not_certain_is_told_and_left(mark, why):
    filled = fill_worksheet(ENGLISH.encode(), [mark], 10)
    assert filled.content == ENGLISH.encode() and filled.written == set()
    assert any(why in told for told in filled.notes)


def test_another_highest_grade_is_told():
    assert any("set it to 20" in told for told in fill_worksheet(ENGLISH.encode(), MARKS, 20).notes)


@pytest.mark.parametrize("content", [b"", b"a,b\r\n1,2\r\n", b"PK\x03\x04", b'Identifier,Grade\r\n"x"y,1\r\n'])
def test_what_is_no_worksheet_is_refused(content):
    with pytest.raises(TextError):
        fill_worksheet(content, MARKS, 10)


def test_the_export_fills_in_a_worksheet(marked_course, tmp_path):
    give(marked_course, "ann", ESSAY, "=cmd, said <b>kindly</b>", criterion_thesis=4)
    (tmp_path / "sheet.csv").write_bytes(ENGLISH.encode("utf-8-sig"))
    told = export_csv(marked_course, ESSAY, tmp_path / "out.csv", "moodle", worksheet=tmp_path / "sheet.csv")
    found = rows((tmp_path / "out.csv").read_bytes())
    assert found[1][4] == "8.50" and found[1][9].startswith("Thesis: 4 of 4. =cmd, said &lt;b&gt;kindly")
    assert found[2] == rows(ENGLISH.encode())[2]
    assert (tmp_path / "sheet.csv").read_bytes() == ENGLISH.encode("utf-8-sig")
    assert any("2 of 2 marks" in each for each in told) and not any("tick" in each for each in told)


def test_a_worksheet_of_our_own_says_what_moodle_does_with_it(marked_course, tmp_path):
    told = export_csv(marked_course, ESSAY, tmp_path / "out.csv", "moodle")
    assert any("skips everybody who has a grade" in each for each in told)
    assert any("English" in each for each in told)


def test_a_worksheet_of_another_shape_is_refused(marked_course, tmp_path):
    (tmp_path / "sheet.csv").write_bytes(ENGLISH.encode())
    with pytest.raises(SettingsError, match="worksheet"):
        export_csv(marked_course, ESSAY, tmp_path / "out.csv", "canvas", worksheet=tmp_path / "sheet.csv")
    with pytest.raises(SettingsError, match="number"):
        export_csv(marked_course, ESSAY, tmp_path / "out.csv", "moodle", number=5)
    assert not (tmp_path / "out.csv").exists()
