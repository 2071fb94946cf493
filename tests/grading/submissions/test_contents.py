"""What a submission holds: recognised by content, the same work under any name, and half a work never lost."""

import gzip
import io
import json
import unicodedata
import zipfile

import nbformat
import pytest
from made_claims import MEASURED
from made_course import GOOD, WRONG, exercises, with_answer
from nbformat.v4 import new_markdown_cell, new_output

from course_utils.evidence.ledger.record import FIRST, read_ledger_bytes, seal
from course_utils.grading.submissions.arrival_notes import Arrival
from course_utils.grading.submissions.contents import arrival_fingerprint, fingerprint, is_same_work
from course_utils.grading.submissions.find import Submission
from course_utils.grading.submissions.ignored_files import is_clutter
from course_utils.grading.submissions.ingest import LEDGER, ingest, lost_ledgers
from course_utils.grading.submissions.repair import name_of

NAME = "size_comparison"
STUB = "def double(x):\n    raise NotImplementedError\n"
LOGIN = b'<!DOCTYPE html><html><head><title>Log in</title></head><form><input type="password"></form></html>'


def given_out() -> nbformat.NotebookNode:
    return with_answer(exercises(), answer_double=STUB)


def answered(answer: str = GOOD) -> nbformat.NotebookNode:
    return with_answer(exercises(), answer_double=answer)


def as_bytes(notebook: object) -> bytes:
    return json.dumps(notebook, indent=1).encode()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "submitted" / "ann" / NAME
    folder.mkdir(parents=True)
    return folder


def put(folder, **files: bytes) -> None:
    for name, content in files.items():
        write(folder, name, content)


def write(folder, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def taken(folder, arrival: Arrival | None = None):
    return ingest(Submission("ann", NAME, folder, arrival or Arrival()), given_out())


def answer_in(found) -> str:
    return next(cell.source for cell in found.notebook.cells if name_of(cell) == "answer-double")


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


FORMS = {
    "utf-8 with a mark": as_bytes(answered()).decode().encode("utf-8-sig"),
    "utf-16": as_bytes(answered()).decode().encode("utf-16"),
    "utf-16 without a mark": as_bytes(answered()).decode().encode("utf-16-le"),
    "carriage returns": as_bytes(answered()).replace(b"\n", b"\r\n"),
    "gzip": gzip.compress(as_bytes(answered())),
    "zeros behind it": as_bytes(answered()) + bytes(4000),
    "words behind it": as_bytes(answered()) + b"\n-- \nsent from my phone",
    "of the third format": as_bytes(nbformat.convert(answered(), 3)),
    "in one line": json.dumps(answered()).encode(),
    "in a web page": b"<html><body><pre>" + as_bytes(answered()) + b"</pre></body></html>",
    "in a web page, escaped": b"<pre>" + as_bytes(answered()).replace(b"&", b"&amp;").replace(b'"', b"&quot;"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["size_comparison.ipynb", "doejane_1_2_size.ipynb.txt", "noname"])
def test_a_notebook_of_any_form_and_name_is_read(folder, form, name):
    write(folder, name, FORMS[form])
    found = taken(folder)
    assert answer_in(found) == GOOD and found.doubts == [], found.doubts


@pytest.mark.parametrize("content", [LOGIN, LOGIN.replace(b"type=", b"class=x type=")])
def test_a_page_that_asks_for_a_password_is_told(folder, content):
    put(folder, **{"size_comparison.ipynb": content})
    found = taken(folder)
    assert not found.is_readable and any("asks for a password" in doubt for doubt in found.doubts)


def test_of_two_notebooks_the_one_with_more_answers_is_graded_and_both_are_kept(folder):
    put(folder, **{"size_comparison.ipynb": as_bytes(given_out()), "size_comparison (1).ipynb": as_bytes(answered())})
    found = taken(folder)
    assert answer_in(found) == GOOD and found.doubts == []
    assert any("size_comparison (1).ipynb with 1 answers" in told for told in found.repairs)
    assert len(found.files) == 2


def test_two_notebooks_with_different_answers_go_to_a_person(folder):
    put(folder, **{"size_comparison.ipynb": as_bytes(answered(WRONG)), "size_comparison-2.ipynb": as_bytes(answered())})
    found = taken(folder)
    assert answer_in(found) == GOOD, "the later upload"
    assert any("2 notebooks hold different answers" in doubt for doubt in found.doubts)


def test_the_same_notebook_twice_is_no_doubt(folder):
    put(folder, **{"size_comparison.ipynb": as_bytes(answered()), "copy.ipynb": json.dumps(answered()).encode()})
    assert taken(folder).doubts == []


@pytest.mark.parametrize("name", ["~size_comparison.ipynb~", "size_comparison.ipynb.bak", "#size_comparison.ipynb#",
                                  ".ipynb_checkpoints/size_comparison-checkpoint.ipynb"])  # fmt: skip
def test_a_backup_counts_only_where_there_is_nothing_else(folder, name):
    write(folder, name, as_bytes(answered(WRONG)))
    found = taken(folder)
    assert answer_in(found) == WRONG and any("Only a copy" in doubt for doubt in found.doubts)
    put(folder, **{"size_comparison.ipynb": as_bytes(answered())})
    assert answer_in(taken(folder)) == GOOD and taken(folder).doubts == []


# -- untouched and half --------------------------------------------------------------------------------------------


def other_line_ends(notebook):
    for cell in notebook.cells:
        cell.source = cell.source.replace("\n", "\r\n") + "\n\n"


def run(notebook):
    notebook.cells[1].outputs = [new_output("stream", text="hello")]
    notebook.cells[1].execution_count = 7


def more_empty_cells(notebook):
    notebook.cells += [new_markdown_cell(""), new_markdown_cell("  \n")]


def emptied(notebook):
    notebook.cells[1].source = ""


@pytest.mark.parametrize("change", [lambda notebook: None, other_line_ends, run, more_empty_cells, emptied])
def test_a_sheet_in_which_nothing_was_written_is_known(folder, change):
    notebook = given_out()
    change(notebook)
    put(folder, **{"a.ipynb": as_bytes(notebook)})
    assert taken(folder).is_untouched


def test_a_sheet_in_which_anything_was_written_is_none(folder):
    for place, source in ((1, STUB + "# no idea"), (1, GOOD), (0, "# Double a number\n\nI could not do it.")):
        notebook = given_out()
        notebook.cells[place].source = source
        put(folder, **{"a.ipynb": as_bytes(notebook)})
        assert not taken(folder).is_untouched
    notebook = given_out()
    notebook.cells.append(new_markdown_cell("My answer is elsewhere."))
    put(folder, **{"a.ipynb": as_bytes(notebook)})
    assert not taken(folder).is_untouched


def test_what_came_beside_an_untouched_sheet_is_told(folder):
    put(folder, **{"a.ipynb": as_bytes(given_out()), "answers.docx": b"PK\x03\x04"})
    assert any("answers.docx" in doubt for doubt in taken(folder).doubts)


@pytest.mark.parametrize("indent", [None, 1])
def test_half_an_answer_is_kept_and_shown(folder, indent):
    content = json.dumps(answered("def double(x):\n    y = 2 * x\n    return y"), indent=indent)
    put(folder, **{"a.ipynb": content[: content.index("2 * x") + 3].encode() + b" " * 5000})
    found = taken(folder)
    assert answer_in(found) == "def double(x):\n    y = 2 *"
    assert not found.is_untouched and any("answer-double" in doubt for doubt in found.doubts)


# -- ledgers -----------------------------------------------------------------------------------------------------------


def chain(*values: float) -> bytes:
    """A ledger with one record for each value."""
    lines, previous, ids = [], FIRST, set()
    for value in values:
        record = seal({**MEASURED, "value": value}, "2026-01-01T00:00:00Z", previous, ids)
        lines.append(record.line())
        previous = record.hash
        ids.add(record.id)
    return b"".join(lines)


@pytest.fixture(scope="module")
def two_ledgers() -> tuple[bytes, bytes]:
    """Two records on one machine, one on another."""
    return chain(0.25, 0.5), chain(0.75)


@pytest.mark.parametrize("name", ["doejane_1_2_evidence-1.jsonl", "Copy of evidence.jsonl", "evidence.jsonl.txt",
                                  "Evidence.JSONL", "evidence (1).json", "my measurements"])  # fmt: skip
@pytest.mark.parametrize("change", [lambda content: content, lambda content: content.replace(b"\n", b"\r\n"),
                                    lambda content: b"\xef\xbb\xbf" + content + b"\r\n\r\n",
                                    lambda content: content.decode().encode("utf-16")])  # fmt: skip
def test_a_ledger_of_any_name_and_form_is_taken(folder, two_ledgers, name, change):
    put(folder, **{"a.ipynb": as_bytes(answered()), name: change(two_ledgers[0])})
    found = taken(folder)
    assert found.kept[LEDGER] == change(two_ledgers[0]) and lost_ledgers(found) == [] and found.doubts == []
    is_changed = change(two_ledgers[0]) != two_ledgers[0]
    assert any(told.startswith("The ledger: ") for told in found.repairs) == is_changed, "what was changed is said"


def test_of_several_ledgers_all_records_are_taken(folder, two_ledgers):
    one, other = two_ledgers
    put(
        folder,
        **{"a.ipynb": as_bytes(answered()), "evidence.jsonl": one, "laptop/evidence.jsonl": other, "again.jsonl": one},
    )
    found = taken(folder)
    assert len(read_ledger_bytes(found.kept[LEDGER]).records) == 3 and found.doubts == []
    assert any("Of 2 ledgers" in told and "3" in told for told in found.repairs)
    put(folder, **{"laptop/evidence.jsonl": other.replace(b"finding", b"findinG", 1)})
    found = taken(folder)
    assert len(read_ledger_bytes(found.kept[LEDGER]).records) == 2
    assert any("line 1" in doubt for doubt in found.doubts)


def test_a_ledger_that_was_left_behind_is_no_missing_ledger(folder):
    put(folder, **{"a.ipynb": as_bytes(answered())})
    left = (("doejane_1_2_evidence.jsonl", 200_000_000, "it is larger than 100 MB; it was left in the exchange"),)
    found = taken(folder, Arrival(left=left))
    assert any("larger than 100 MB" in why for why in lost_ledgers(found))
    assert any("evidence" in doubt for doubt in found.doubts)
    assert any(file["name"].endswith("evidence.jsonl") and not file["kept"] for file in found.files)


def test_a_second_ledger_that_cannot_be_read_is_told(folder, two_ledgers):
    put(folder, **{"a.ipynb": as_bytes(answered()), "evidence.jsonl": two_ledgers[0]})
    with (folder / "evidence-2.jsonl").open("wb") as file:
        file.truncate(101_000_000)
    found = taken(folder)
    assert LEDGER in found.kept and any("evidence-2.jsonl" in doubt and "100 MB" in doubt for doubt in found.doubts)


def test_why_a_person_must_look_comes_with_the_submission(folder):
    put(folder, **{"a.ipynb": as_bytes(answered())})
    assert taken(folder, Arrival(why=("It belongs to somebody else.",))).doubts == ["It belongs to somebody else."]


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 cut off", zipped({"a.ipynb": as_bytes(answered())})[:-40], gzip.compress(as_bytes(answered()))[:40]],
    ids=["no zip", "cut zip", "cut gzip"],  # gzip holds the time: an id made of it would differ between processes
)
def test_an_archive_that_cannot_be_read_is_told(folder, content):
    put(folder, **{"work.ipynb.zip": content})
    found = taken(folder)
    assert not found.is_readable and found.doubts


# -- identity ----------------------------------------------------------------------------------------------------------

CLUTTER = {
    ".DS_Store": b"\0\0\0\1Bud1", "__MACOSX/._a.ipynb": b"\0", "Thumbs.db": b"\0", "desktop.ini": b"[x]",
    "~$a.docx": b"x",
    "a.ipynb~": b"{}", "a.ipynb.bak": b"{}", ".a.ipynb.swp": b"b0VIM", "#a.ipynb#": b"{}", "._a.ipynb": b"\0",
    ".ipynb_checkpoints/a-checkpoint.ipynb": as_bytes(answered(WRONG)), "__pycache__/x.pyc": b"\0", ".git/HEAD": b"ref",
    "timestamp.txt": b"2026-01-15 01:30:00 UTC", "submission_secret.txt": b"s" * 64, "rubric.html": b"<p>",
}  # fmt: skip


@pytest.mark.parametrize("name", CLUTTER)
def test_what_is_no_part_of_the_work_changes_nothing(folder, name):
    put(folder, **{"a.ipynb": as_bytes(answered())})
    before = fingerprint(folder)
    write(folder, name, CLUTTER[name])
    assert fingerprint(folder) == before
    assert is_clutter(name) or name in ("timestamp.txt", "submission_secret.txt", "rubric.html")
    (folder / name).unlink()
    assert fingerprint(folder) == before


def new_ids(notebook):
    for number, cell in enumerate(notebook.cells):
        cell.id = f"id-{number}"


def other_kernel(notebook):
    notebook.metadata = nbformat.from_dict({"kernelspec": {"name": "conda", "display_name": "x"}, "widgets": {}})


@pytest.mark.parametrize("change", [run, new_ids, other_kernel, other_line_ends, more_empty_cells])
def test_saving_without_writing_changes_nothing(folder, change):
    put(folder, **{"a.ipynb": as_bytes(answered())})
    before, arrived = fingerprint(folder), arrival_fingerprint(folder)
    notebook = answered()
    change(notebook)
    put(folder, **{"a.ipynb": json.dumps(notebook).encode("utf-16")})
    assert fingerprint(folder) == before
    assert arrival_fingerprint(folder) != arrived, "it is graded again: the report tells of files as they are"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ipynb", as_bytes(answered(GOOD + "  # sure"))),
        ("a.ipynb", as_bytes(answered(WRONG))),
        ("b.ipynb", as_bytes(answered(WRONG))),
        ("answers.pdf", b"%PDF"),
        ("evidence.jsonl", b'{"id": "E-0000"}\n'),
    ],
)
def test_whatever_a_person_wrote_changes_it(folder, name, content):
    put(folder, **{"a.ipynb": as_bytes(answered())})
    before = fingerprint(folder)
    write(folder, name, content)
    assert fingerprint(folder) != before


def test_names_make_no_other_work(folder):
    name = "é.ipynb"
    write(folder, unicodedata.normalize("NFC", name), as_bytes(answered()))
    before = fingerprint(folder)
    (folder / unicodedata.normalize("NFC", name)).rename(folder / "Copy of e.ipynb")
    assert fingerprint(folder) == before
    write(folder, "all.zip", zipped({"x/é.ipynb": as_bytes(answered())}))
    assert fingerprint(folder) == before, "the same notebook, once more"


def test_marks_from_before_stand_while_the_files_are_the_same(folder):
    """Fingerprints of the course's first version hashed names and bytes."""
    put(folder, **{"a.ipynb": as_bytes(answered())})
    old = arrival_fingerprint(folder)
    assert is_same_work(folder, old) and is_same_work(folder, fingerprint(folder))
    put(folder, **{"a.ipynb": as_bytes(answered(WRONG))})
    assert not is_same_work(folder, old)
