"""A class arrives completely, whichever learning platform named its files; who is not certain goes to a person."""

import io
import json
import unicodedata
import zipfile

import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from made_course import GOOD, exercises, make_course, with_answer

from course_utils.errors import SettingsError, TextError
from course_utils.grading.submissions.collect import collect
from course_utils.grading.submissions.find import find_misplaced, find_submissions
from course_utils.grading.submissions.ingest import LEDGER, ingest
from course_utils.grading.submissions.lms_import import import_submissions
from course_utils.grading.submissions.lms_names import read_lms_name

NAME = "size_comparison"
PEOPLE = [  # id, first name, last name, e-mail, number of the platform
    ("jdoe", "Jane", "Doe", "jane.doe@example.org", "1001"),
    ("obrien", "Séan", "O'Brien", "s.obrien@example.org", "1002"),
    ("li", "小龙", "李", "li@example.org", "1003"),
    ("anna_m", "Anna-Maria", "von der Weide", "anna@example.org", "1004"),
    ("2026-17", "Élodie", "Çelik", "elodie@example.org", "1005"),
]
LEDGER_BYTES = b'{"id": "E-0000"}\n'


def squeezed(first: str, last: str) -> str:
    plain = unicodedata.normalize("NFKD", f"{last}{first}".lower())
    return "".join(c for c in plain if c.isalnum())


def canvas(id, first, last, email, number, file, late=False):
    return f"{squeezed(first, last)}_{'LATE_' if late else ''}{number}_{98700 + int(number)}_{file}"


def moodle(id, first, last, email, number, file):
    return f"{first} {last}_{number}_assignsubmission_file_/{file}"


def moodle_flat(id, first, last, email, number, file):
    return f"{first} {last}_{number}_assignsubmission_file_{file}"


def brightspace(id, first, last, email, number, file):
    return f"{number}-67890 - {first} {last} - Jan 15, 2026 130 AM - {file}"


def brightspace_folder(id, first, last, email, number, file):
    return f"{number}-67890 - {first} {last} - Jan 15, 2026 130 AM/{file}"


def blackboard(id, first, last, email, number, file):
    return f"Size_Comparison_{id}_attempt_2026-01-15-01-30-00_{file}"


def drive(id, first, last, email, number, file):
    return f"{first} {last}/Copy of {file}"


def by_id(id, first, last, email, number, file):
    return f"submissions/{id}/{NAME}/{file}"


PLATFORMS = [canvas, moodle, moodle_flat, brightspace, brightspace_folder, blackboard, drive, by_id]
DISGUISES = [
    "{}.ipynb", "{}-1.ipynb", "{} (1).ipynb", "Copy of {}.ipynb", "Kopie von {}.ipynb", "Copie de {}.ipynb",
    "{}的副本.ipynb", "{}.ipynb.txt", "{}.ipynb.json", "{}.IPYNB", "{}.ipynb.download", "{} - Copy.ipynb",
    "{} (Jane's conflicted copy 2026-01-15).ipynb", "{}_final.json", "My homework.ipynb", "{}",
]  # fmt: skip


def notebook_bytes() -> bytes:
    return json.dumps(with_answer(exercises(), answer_double=GOOD)).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("lms") / "course")
    with course.gradebook() as gradebook:
        for id, first, last, email, number in PEOPLE:
            gradebook.add_student(id, first_name=first, last_name=last, email=email, lms_user_id=number)
    return course


@pytest.fixture
def empty(course):
    """The course, without submissions."""
    import shutil

    for folder in ("submitted", "earlier", "unassigned"):
        shutil.rmtree(course.root / folder, ignore_errors=True)
    return course


def bring(course, files: dict[str, bytes], **more) -> tuple[list[str], list[str]]:
    archive = course.root / "download.zip"
    archive.write_bytes(zipped(files))
    said = []
    return import_submissions(course, NAME, archive, say=said.append, **more), said


def taken(course) -> dict:
    return {each.student: ingest(each, exercises()) for each in find_submissions(course, NAME)}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_class_arrives_completely(empty, platform):
    files = {platform(*person, f"{NAME}.ipynb"): notebook_bytes() for person in PEOPLE}
    files |= {platform(*person, LEDGER): LEDGER_BYTES for person in PEOPLE}
    files |= {"__MACOSX/._x": b"\0", ".DS_Store": b"\0\0\0\1Bud1", "Thumbs.db": b"\0"}
    new, said = bring(empty, files)
    assert sorted(new) == sorted(id for id, *_ in PEOPLE), said
    for found in taken(empty).values():
        assert found.name and found.doubts == [] and not found.is_untouched and LEDGER in found.kept
    assert bring(empty, files)[0] == []


@drawn(25)
@given(
    platform=st.sampled_from(PLATFORMS),
    disguise=st.sampled_from(DISGUISES),
    form=st.sampled_from(["NFC", "NFD"]),
    persons=st.sets(st.integers(0, len(PEOPLE) - 1), min_size=1),
    prefix=st.sampled_from(["", "All submissions/", "MR-26/Essay 1/"]),
)
def test_whatever_a_platform_and_a_student_make_of_a_name(course, platform, disguise, form, persons, prefix):
    import shutil

    for folder in ("submitted", "earlier", "unassigned"):
        shutil.rmtree(course.root / folder, ignore_errors=True)
    who = [PEOPLE[index] for index in sorted(persons)]
    name = disguise.format(NAME)
    files = {unicodedata.normalize(form, prefix + platform(*person, name)): notebook_bytes() for person in who}
    new, said = bring(course, files)
    assert sorted(new) == sorted(id for id, *_ in who), said
    assert all(each.name and each.doubts == [] for each in taken(course).values())


def test_times_and_lateness_come_with_the_names(empty):
    files = {brightspace(*PEOPLE[0], "a.ipynb"): notebook_bytes(), blackboard(*PEOPLE[1], "a.ipynb"): notebook_bytes()}
    files[canvas(*PEOPLE[2], "a.ipynb", late=True)] = notebook_bytes()
    bring(empty, files)
    found = taken(empty)
    assert (
        found["jdoe"].kept["timestamp.txt"]
        == found["obrien"].kept["timestamp.txt"]
        == b"2026-01-15 01:30:00.000000 UTC"
    )
    assert "timestamp.txt" not in found["li"].kept and any("late" in doubt for doubt in found["li"].doubts)


def test_a_receipt_names_the_zone_and_the_person(empty):
    receipt = "Name: Jane Doe (jdoe)\nAssignment: Size\nDate Submitted: Thursday, January 15, 2026 1:30:00 AM EST\n"
    files = {
        "Size_x_attempt_2026-01-15-01-30-00.txt": receipt.encode(),
        "Size_x_attempt_2026-01-15-01-30-00_a.ipynb": notebook_bytes(),
    }
    assert bring(empty, files)[0] == ["jdoe"]
    assert taken(empty)["jdoe"].kept["timestamp.txt"] == b"2026-01-15 06:30:00.000000 UTC"


def test_the_newest_attempt_counts_and_the_others_are_kept(empty):
    old = blackboard(*PEOPLE[0], "a.ipynb").replace("2026-01-15", "2026-01-14")
    bring(empty, {old: b"old", blackboard(*PEOPLE[0], "a.ipynb"): notebook_bytes()})
    assert taken(empty)["jdoe"].doubts == []
    assert [file.read_bytes() for file in (empty.root / "earlier").rglob("*.ipynb")] == [b"old"]
    said = bring(empty, {old: b"old"})[1]
    assert any("newer" in line for line in said) and taken(empty)["jdoe"].doubts == []


def test_who_is_not_certain_goes_to_a_person_and_can_be_told(empty):
    with empty.gradebook() as gradebook:
        gradebook.add_student("jane2", first_name="Jane", last_name="Doe", email="j2@example.org")
    try:
        files = {
            "Jane Doe/a.ipynb": notebook_bytes(),
            "Nemo_777_assignsubmission_file_/a.ipynb": notebook_bytes(),
            moodle(*PEOPLE[1][:4], "1003", "a.ipynb"): notebook_bytes(),  # the name of one, the number of another
        }
        new, said = bring(empty, files)
        assert new == [] and sum("For a person" in line for line in said) == 3
        assert len(list((empty.root / "unassigned").rglob("a.ipynb"))) == 3
        assert any("jdoe and jane2" in why.read_text() for why in (empty.root / "unassigned").rglob("why.txt"))
        assert sum("nobody has assigned" in line for line in find_misplaced(empty, NAME)) == 3
        assert bring(empty, files, who={"Jane Doe": "jane2", "Nemo_777": "li"})[0] == ["jane2", "li"]
        assert len(find_misplaced(empty, NAME)) == 1
    finally:
        with empty.gradebook() as gradebook:
            gradebook.remove_student("jane2")


def test_two_names_of_one_person_go_to_a_person(empty):
    new, said = bring(empty, {"jdoe/a.ipynb": b"1", "Jane Doe_1001_assignsubmission_file_/a.ipynb": b"2"})
    assert new == [] and len(list((empty.root / "unassigned").rglob("a.ipynb"))) == 2


def test_a_students_own_archive_is_looked_into(empty):
    own = zipped({"work/size.ipynb": notebook_bytes(), "work/evidence.jsonl": LEDGER_BYTES, "__MACOSX/work/._x": b"\0"})
    bring(
        empty,
        {canvas(*PEOPLE[0], "work.zip"): own, moodle(*PEOPLE[1], "size.ipynb"): zipped({"x.ipynb": notebook_bytes()})},
    )
    found = taken(empty)
    assert found["jdoe"].doubts == found["obrien"].doubts == []
    assert found["jdoe"].name == "work.zip/work/size.ipynb" and LEDGER in found["jdoe"].kept


def test_an_archive_around_the_archive_is_opened(empty):
    inner = zipped({canvas(*person, "a.ipynb"): notebook_bytes() for person in PEOPLE})
    assert len(bring(empty, {"submissions.zip": inner})[0]) == len(PEOPLE)


def test_names_that_lead_out_of_the_folder_stay_inside(empty, tmp_path):
    before = set(empty.root.parent.rglob("*"))
    names = ["../../../evil", "/etc/evil", "C:\\evil", "..\\..\\evil"]
    files = {f"Jane Doe_1001_assignsubmission_file_/{name}.ipynb": notebook_bytes() for name in names}
    files["../../Jane Doe_1001_assignsubmission_file_/x.ipynb"] = notebook_bytes()
    assert bring(empty, files)[0] == ["jdoe"]
    new = set(empty.root.parent.rglob("*")) - before
    assert all("submitted" in path.parts or path.name == "download.zip" for path in new)
    assert len(list((empty.root / "submitted/jdoe" / NAME).rglob("*.ipynb"))) == 5


def test_links_and_locked_members_are_told_and_stop_nobody(empty):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo(canvas(*PEOPLE[0], "link.ipynb"))
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr(canvas(*PEOPLE[1], "a.ipynb"), notebook_bytes())
        archive.writestr(canvas(*PEOPLE[2], "a.ipynb"), notebook_bytes())
    content = bytearray(out.getvalue())
    at = content.rindex(b"PK\x01\x02")  # the list entry of the last member: say that it is encrypted
    content[at + 8] |= 1
    (empty.root / "download.zip").write_bytes(content)
    assert len(import_submissions(empty, NAME, empty.root / "download.zip", say=lambda _: None)) == 3
    found = taken(empty)
    assert found["obrien"].doubts == []
    assert any("link" in doubt for doubt in found["jdoe"].doubts)
    assert any("encrypted" in doubt for doubt in found["li"].doubts)


def test_a_bomb_costs_its_sender_only(empty):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(canvas(*PEOPLE[0], "bomb.ipynb"), "w") as member:
            for _ in range(101):
                member.write(bytes(1_000_000))
        archive.writestr(canvas(*PEOPLE[1], "a.ipynb"), notebook_bytes())
    (empty.root / "download.zip").write_bytes(out.getvalue())
    import_submissions(empty, NAME, empty.root / "download.zip", say=lambda _: None)
    found = taken(empty)
    assert found["obrien"].doubts == [] and any("100 MB" in doubt for doubt in found["jdoe"].doubts)


def test_a_time_that_a_student_wrote_does_not_count(empty):
    files = {
        canvas(*PEOPLE[0], "a.ipynb"): notebook_bytes(),
        canvas(*PEOPLE[0], "timestamp.txt"): b"2020-01-01 00:00 UTC",
    }
    bring(empty, files)
    assert "timestamp.txt" not in taken(empty)["jdoe"].kept


def test_what_came_through_the_exchange_is_not_replaced_by_what_has_no_time(empty, monkeypatch):
    monkeypatch.setitem(empty.config.Exchange, "root", str(empty.root / "exchange"))
    folder = empty.own_exchange / "inbound" / f"jdoe+{NAME}+2026-01-15 01:30:00.000000 UTC+abc"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.ipynb").write_bytes(notebook_bytes())
    collect(empty, NAME, lambda _: None)
    new, said = bring(empty, {canvas(*PEOPLE[0], "other.ipynb"): b"another"})
    assert new == [] and any("another submission" in line for line in said)
    assert any("See which one counts" in doubt for doubt in taken(empty)["jdoe"].doubts)
    assert [file.read_bytes() for file in (empty.root / "earlier").rglob("other.ipynb")] == [b"another"]


NO_ARCHIVES = {
    "empty": b"",
    "no zip": b"PK\x03\x04 cut off",
    "rar": b"Rar!\x1a\x07",
    "cut zip": zipped({"a": b"x"})[:-30],
}


@pytest.mark.parametrize("content", NO_ARCHIVES.values(), ids=NO_ARCHIVES)  # a zip holds the time: no id is made of it
def test_what_is_no_archive_is_told(empty, content):
    (empty.root / "download.zip").write_bytes(content)
    with pytest.raises(TextError, match="cannot be read"):
        import_submissions(empty, NAME, empty.root / "download.zip", say=lambda _: None)


def test_wrong_wishes_are_refused(empty):
    with pytest.raises(TextError, match="no file"):
        import_submissions(empty, NAME, empty.root / "nowhere.zip")
    with pytest.raises(SettingsError, match="nemo"):
        bring(empty, {}, who={"x": "nemo"})


@drawn(100)
@given(st.text(max_size=80))
def test_any_name_can_be_read(name):
    read_lms_name(name)
    read_lms_name(f"{name}_123_assignsubmission_file_/{name}")
