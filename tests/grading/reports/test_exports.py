"""What leaves the course arrives as it was, runs nowhere, and takes nobody's mark away."""

import csv
import io
import os
import random
import re
import subprocess
import sys

import pandas as pd
import pytest
from made_marks import PEOPLE, give

from course_utils.core.safe_csv import BOM, csv_text, guard, unguard, write_csv
from course_utils.errors import NoSpace, SettingsError, TextError
from course_utils.grading.course.course import ESSAY, EXERCISES
from course_utils.grading.marking.submission_status import MARKED, overview
from course_utils.grading.reports.exports import CANVAS, MOODLE, SHAPES, export_csv

NASTY = [
    "=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", "  =1", "'=1",
    '"=1', "''=1", "\u200b=1", "\ufeff=1", "\u202e=1", "\u00a0=1", "\u2018=1", "' \" ='", "O'Brien", "'tis", "'", "",
    "Ann, Marie", 'say "x"', "two\nlines", "two\r\nlines", "a\rb", "李小龙", "a;b", "1e5", "NA", "null",
]  # fmt: skip
RUNS = re.compile(r"""[\s"'\u200b-\u202e\ufeff\u2018\u2019]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]""")


def rows_of(file) -> list[list[str]]:
    with open(file, encoding="utf-8-sig", newline="") as opened:
        return list(csv.reader(opened))


def made_texts(n: int) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices("='\" +-@\t\r\nab,;＝", k=draw.randrange(6))) for _ in range(n)]


# -- texts -------------------------------------------------------------------------------------------------------------


def test_no_text_begins_like_a_formula():
    for text in NASTY + made_texts(3000):
        assert not RUNS.match(guard(text)) or guard(text).startswith("'"), repr(text)


def test_no_two_texts_become_the_same_and_each_comes_back():
    texts = set(NASTY + made_texts(3000))
    assert len({guard(text) for text in texts}) == len(texts)
    assert all(unguard(guard(text)) == text for text in texts)


def test_a_text_that_runs_nowhere_stays_as_it_is():
    assert [guard(text) for text in ("O'Brien", "Ann, Marie", "李", "a=b", "")] == [
        "O'Brien",
        "Ann, Marie",
        "李",
        "a=b",
        "",
    ]


def test_every_text_survives_csv_and_pandas():
    rows = [["text", "n"], *([text, i] for i, text in enumerate(NASTY))]
    content = csv_text(rows)
    read = list(csv.reader(io.StringIO(content, newline="")))
    assert [unguard(row[0]) for row in read[1:]] == NASTY
    frame = pd.read_csv(io.StringIO(content, newline=""), keep_default_na=False)
    assert [unguard(str(text)) for text in frame["text"]] == NASTY


def test_numbers_stay_numbers_and_unknown_ones_are_empty():
    content = csv_text([[-2.5, 15.0, 0, None, float("nan"), "-2.5"]])
    assert content == '-2.5,15,0,"","","\'-2.5"\r\n'
    assert pd.read_csv(io.StringIO(content), header=None).iloc[0, :3].tolist() == [-2.5, 15, 0]


def test_what_no_file_can_hold_is_replaced():
    assert csv_text([["a\x00b\ud800"]]) == '"a\ufffdb\ufffd"\r\n'


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = write_csv(tmp_path / "new folder" / "marks.csv", [["old"]], for_excel=False)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(NoSpace, match="No space left"):
        write_csv(file, [["new"]], for_excel=False)
    assert rows_of(file) == [["old"]]
    assert os.listdir(file.parent) == ["marks.csv"]


def test_a_folder_that_is_none_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NoSpace, match="cannot be written"):
        write_csv(tmp_path / "file" / "marks.csv", [["x"]], for_excel=False)


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_the_courses_table_is_the_overview(marked_course, tmp_path):
    told = export_csv(marked_course, ESSAY, tmp_path / "marks.csv")
    assert (tmp_path / "marks.csv").read_text("utf-8").startswith(BOM)
    frame = pd.read_csv(tmp_path / "marks.csv", encoding="utf-8-sig", keep_default_na=False, dtype=str)
    table = overview(marked_course, ESSAY)
    assert [unguard(each) for each in frame["student"]] == table["student"].tolist()
    for column in ("thesis", "evidence", "raw", "late_penalty", "score", "max"):
        written = [None if each == "" else float(each) for each in frame[column]]
        assert written == [None if pd.isna(each) else each for each in table[column]], column
    assert frame["state"].tolist() == table["state"].tolist()
    assert frame["rubric"].nunique() == 1 and re.fullmatch("[0-9a-f]{12}", frame["rubric"][0])
    assert any(each.startswith("bo: needs a person") for each in told)


def test_names_survive_and_every_row_has_every_column(marked_course, tmp_path):
    export_csv(marked_course, ESSAY, tmp_path / "marks.csv")
    head, *rows = rows_of(tmp_path / "marks.csv")
    assert {len(row) for row in rows} == {len(head)}
    found = {
        unguard(row[1]): tuple(unguard(row[head.index(name)]) for name in ("first_name", "last_name", "email"))
        for row in rows
    }
    assert found == {id: who[:3] for id, who in PEOPLE.items()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("assignment", [ESSAY, EXERCISES])
def test_no_cell_of_any_file_runs(marked_course, tmp_path, shape, assignment):
    give(marked_course, "ann", ESSAY, '=HYPERLINK("http://x")', criterion_thesis=4)
    export_csv(marked_course, assignment, tmp_path / "marks.csv", shape)
    for cell in (cell for row in rows_of(tmp_path / "marks.csv") for cell in row):
        is_number = re.fullmatch(r"-?\d+(\.\d+)?", cell) is not None
        assert is_number or cell.strip() == "Points Possible" or cell.startswith("'") or not RUNS.match(cell), repr(
            cell
        )


def test_canvas_gets_the_columns_that_it_reads(marked_course, tmp_path):
    told = export_csv(marked_course, ESSAY, tmp_path / "canvas.csv", "canvas", number=4321)
    assert not (tmp_path / "canvas.csv").read_bytes().startswith(BOM.encode())  # Ruby's reader stumbles over it
    head, most, *rows = rows_of(tmp_path / "canvas.csv")
    assert head == [*CANVAS, "release_strategy (4321)"]
    assert most == ["    Points Possible", "", "", "", "", "10"]
    assert [[unguard(cell) for cell in row] for row in rows] == [
        ["-5, +49", "102", "", "=1-1", "", "1.8"],
        ["O'Brien, Ann, Marie", "101", "", "ann", "", "8.5"],
    ]
    assert any("Canvas would delete" in each for each in told)


@pytest.mark.parametrize("shape", ["canvas", "moodle"])
def test_an_upload_says_nothing_of_those_who_are_not_marked(marked_course, tmp_path, shape):
    """An empty cell would take away what a teacher gave there."""
    export_csv(marked_course, ESSAY, tmp_path / "marks.csv", shape)
    table = overview(marked_course, ESSAY)
    n_marked = (table["state"] == MARKED).sum()
    assert len(rows_of(tmp_path / "marks.csv")) == n_marked + (2 if shape == "canvas" else 1)
    assert "li@example.org" not in (tmp_path / "marks.csv").read_text("utf-8")


def test_moodle_gets_the_columns_that_it_reads(marked_course, tmp_path):
    give(marked_course, "ann", ESSAY, "Good <b>thesis</b>,\nvery.", criterion_thesis=4)
    export_csv(marked_course, ESSAY, tmp_path / "moodle.csv", "moodle")
    head, *rows = rows_of(tmp_path / "moodle.csv")
    assert head == MOODLE
    ann = dict(zip(head, rows[1], strict=True))
    assert (ann["Identifier"], ann["Grade"], ann["Maximum Grade"]) == ("Participant 101", "8.5", "10")
    assert ann["Feedback comments"].startswith("Thesis: 4 of 4. Good &lt;b&gt;thesis&lt;/b&gt;,<br>very.<br>Evidence")
    assert "Late submission: 0.2 points off" in rows[0][-1]


def test_who_has_no_number_in_the_other_system_is_told(marked_course, tmp_path):
    with marked_course.gradebook() as gradebook:
        gradebook.update_or_create_student("ann", lms_user_id=None)
    told = export_csv(marked_course, ESSAY, tmp_path / "moodle.csv", "moodle")
    assert any("lms_user_id" in each and "ann" in each for each in told)


def test_an_assignment_without_anybody_still_makes_a_file(class_of_many, tmp_path):
    for shape in SHAPES:
        export_csv(class_of_many.course, ESSAY, tmp_path / f"{shape}.csv", shape)
        assert rows_of(tmp_path / f"{shape}.csv")[0]


def test_wrong_wishes_are_refused_before_anything_is_written(marked_course, tmp_path):
    with pytest.raises(SettingsError, match="course, canvas, moodle"):
        export_csv(marked_course, ESSAY, tmp_path / "x.csv", "excel")
    with pytest.raises(SettingsError, match="number"):
        export_csv(marked_course, ESSAY, tmp_path / "x.csv", "canvas", number="12)")
    with pytest.raises(TextError, match=ESSAY):
        export_csv(marked_course, "nothing", tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_nbgraders_own_command_writes_the_same(marked_course, tmp_path):
    export_csv(marked_course, ESSAY, tmp_path / "ours.csv", "canvas", number=7)
    options = ["--RubricExport.shape=canvas", "--RubricExport.number=7", f"--assignment=['{ESSAY}']", "--to=theirs.csv"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", *options],
        cwd=marked_course.root, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (marked_course.root / "theirs.csv").read_bytes() == (tmp_path / "ours.csv").read_bytes()
