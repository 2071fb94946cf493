"""Out of the exchange comes the newest of each student, whole, and nothing that was there before is lost."""

import datetime
import os
import shutil
import sys
from pathlib import Path

import pytest
from made_course import exercises, make_course

from course_utils.errors import TextError
from course_utils.grading.course.course import COURSE_ID
from course_utils.grading.submissions.collect import Handed, collect, foreign_owners
from course_utils.grading.submissions.find import find_submissions, safe_id
from course_utils.grading.submissions.ingest import ingest, lost_ledgers

NAME = "size_comparison"


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / "exchange"))
    (tmp_path / "exchange" / COURSE_ID / "inbound").mkdir(parents=True)
    return make_course(tmp_path / "course")


def put(
    course, student: str, time: str = "2026-01-02 10:00:00.000000 UTC", text: str = "{}", end: str = "+abc"
) -> Path:
    """Hand in as nbgrader's submit does."""
    folder = course.exchange / COURSE_ID / "inbound" / f"{student}+{NAME}+{time}{end}"
    folder.mkdir()
    (folder / f"{NAME}.ipynb").write_text(text)
    (folder / "timestamp.txt").write_text(time)
    (folder / "submission_secret.txt").write_text("s" * 64)
    return folder


def here(course, student: str) -> str:
    return (course.folder("submitted", safe_id(student), NAME) / f"{NAME}.ipynb").read_text()


def test_the_newest_counts_and_collecting_twice_changes_nothing(course):
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    put(course, "bob")
    assert collect(course, NAME, lambda line: None) == ["ann", "bob"]
    assert here(course, "ann") == "new"
    assert collect(course, NAME, lambda line: None) == []


def test_a_newer_one_takes_the_place_and_the_older_is_kept(course):
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    collect(course, NAME, lambda line: None)
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    assert collect(course, NAME, lambda line: None) == ["ann"]
    assert here(course, "ann") == "new"
    kept = list((course.root / "earlier").rglob(f"{NAME}.ipynb"))
    assert [path.read_text() for path in kept] == ["old"]


@pytest.mark.parametrize("student", ["..", "../../evil", "O'Brien", "李", "a+b", "=1+1", "[a]*", "-rf", "\n"])
def test_no_name_leads_out_of_the_folder(course, student, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "submitted" not in path.parts and "exchange" not in path.parts}
    name = student.replace("/", "\u2044")  # a slash cannot be in a folder's name; its look-alike can
    put(course, name)
    folder = safe_id(name) if name == ".." else name
    assert collect(course, NAME, lambda line: None) == [folder]
    assert (course.folder("submitted", folder, NAME) / f"{NAME}.ipynb").read_text() == "{}"
    assert [each.student for each in find_submissions(course, NAME)] == [safe_id(folder)]
    assert collect(course, NAME, lambda line: None) == []
    after = {path for path in tmp_path.rglob("*") if "submitted" not in path.parts and "exchange" not in path.parts}
    assert after == before


def test_what_is_no_submission_is_told_and_stops_nobody(course, tmp_path):
    inbound = course.exchange / COURSE_ID / "inbound"
    (inbound / "rubbish").mkdir()
    (inbound / f"ann+{NAME}+yesterday+abc").mkdir()
    (inbound / "file").write_text("x")
    (inbound / f"eve+{NAME}+2026-01-02 10:00:00.000000 UTC+x").symlink_to(tmp_path)
    put(course, "bob")
    said = []
    assert collect(course, NAME, said.append) == ["bob"]
    assert sum("Left alone" in line for line in said) == 4


def test_links_and_pipes_stay_in_the_exchange(course, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    folder = put(course, "ann")
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    said = []
    collect(course, NAME, said.append)
    assert {path.name for path in course.folder("submitted", "ann", NAME).iterdir()} == {
        f"{NAME}.ipynb", "timestamp.txt", "submission_secret.txt",
    }  # fmt: skip
    assert sum("was left in the exchange" in line for line in said) == 2


def test_a_copy_that_was_cut_off_leaves_the_old_one(course, monkeypatch):
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    collect(course, NAME, lambda line: None)
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    monkeypatch.setattr("course_utils.grading.submissions.collect.replace_file", _die)
    with pytest.raises(KeyboardInterrupt):
        collect(course, NAME, lambda line: None)
    assert here(course, "ann") == "old"
    monkeypatch.undo()


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_an_exchange_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXCHANGE", str(tmp_path / "nowhere"))
    with pytest.raises(TextError, match="make release"):
        collect(make_course(tmp_path / "course"), NAME)


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2026-01-15 01:30:00.000000 +0200", "2026-01-14 23:30:00.000000 UTC"),
        ("2026-01-15 01:30:00 +02:00", "2026-01-14 23:30:00.000000 UTC"),
        ("2026-07-15 01:30:00.000000 CEST", "2026-07-14 23:30:00.000000 UTC"),
        ("2026-01-15T01:30:00Z", "2026-01-15 01:30:00.000000 UTC"),
        ("2026-01-15 01:30:00.000000 EST", "2026-01-15 06:30:00.000000 UTC"),
    ],
)
@pytest.mark.parametrize("end", ["+abc", "+A-b_9zQw31Xy", ""])
@pytest.mark.parametrize("student", ["ann", "a+b", f"x+{NAME}+y"])
def test_times_of_any_zone_are_read(course, time, utc, end, student):
    put(course, student, time, end=end)
    assert collect(course, NAME, lambda line: None) == [student]
    assert (course.folder("submitted", student, NAME) / "timestamp.txt").read_text() == utc


def test_the_newest_is_the_newest_in_every_zone(course):
    put(course, "ann", "2026-01-15 01:30:00.000000 +0200", "earlier")
    put(course, "ann", "2026-01-15 00:00:00.000000 UTC", "later")
    put(course, "ann", "2026-01-14 23:45:00.000000 UTC", "between")
    collect(course, NAME, lambda line: None)
    assert here(course, "ann") == "later"


@pytest.mark.parametrize("time", ["2026-02-30 01:30:00 UTC", "2026-01-15 25:00:00 UTC", "2999-01-01 00:00:00.0 UTC"])
def test_a_time_that_cannot_be_goes_to_a_person_and_replaces_nothing(course, time):
    put(course, "ann", time)
    assert collect(course, NAME, lambda line: None) == ["ann"]
    assert collect(course, NAME, lambda line: None) == []
    (found,) = find_submissions(course, NAME)
    assert any("time of submission does not count" in doubt for doubt in ingest(found, exercises()).doubts)
    put(course, "bob", "2026-01-02 10:00:00.000000 UTC", "good")
    put(course, "bob", time, "when?")
    said = []
    assert collect(course, NAME, said.append) == ["bob"]
    assert here(course, "bob") == "good" and any("cannot be read" in line for line in said)
    assert any("lies in the exchange" in why for why in find_submissions(course, NAME)[1].arrival.why)


def test_what_lies_here_is_not_replaced_by_something_older(course):
    put(course, "ann", "2026-01-03 10:00:00.000000 UTC", "new")
    collect(course, NAME, lambda line: None)
    for folder in (course.exchange / COURSE_ID / "inbound").iterdir():
        folder.rename(folder.with_name(f"bob+{folder.name.partition('+')[2]}"))
    put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "old")
    said = []
    assert collect(course, NAME, said.append) == ["bob"]
    assert here(course, "ann") == "new" and any("newer" in line for line in said)


def test_a_file_that_is_too_large_is_told_to_whoever_grades(course):
    folder = put(course, "ann")
    with (folder / "evidence.jsonl").open("wb") as file:
        file.truncate(101_000_000)
    collect(course, NAME, lambda line: None)
    (found,) = find_submissions(course, NAME)
    taken = ingest(found, exercises())
    assert any("evidence.jsonl" in doubt and "100 MB" in doubt for doubt in taken.doubts)
    assert any("evidence.jsonl" in why for why in lost_ledgers(taken))


# -- owners ------------------------------------------------------------------------------------------------------------

ACCOUNTS = {1000: "jovyan", 1001: "ann", 1002: "bob", 1003: "eve", 1: "staff"}
AT = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def foreign(*handed: tuple[str, int], before: dict | None = None, names: dict | None = None) -> set[int]:
    """Which of these, in the order of their times, belong to somebody else."""
    made = [
        Handed(Path(str(number)), student, NAME, AT + datetime.timedelta(hours=number), uid=uid)
        for number, (student, uid) in enumerate(handed)
    ]
    accounts = names or {student: {student} for student, _ in handed}
    found = foreign_owners(made, accounts, {0, 1}, before or {}, lambda uid: ACCOUNTS.get(uid, ""))
    return {int(path.name) for path in found}


@pytest.mark.parametrize(
    ("handed", "expected"),
    [
        ([("ann", 1001), ("bob", 1002)], set()),
        ([("ann", 1001), ("ann", 1003)], {1}),
        ([("ann", 1003), ("eve", 1003)], {0}),
        ([("ann", 1), ("bob", 0), ("eve", 1003)], set()),  # whoever collects
        ([("ann", 1000), ("bob", 1000), ("eve", 1000)], set()),  # one account for all
        ([("ann", 1000), ("bob", 1000), ("ann", 77)], {2}),
        ([("ann", 1000), ("bob", 1000), ("eve", 1000), ("dan", 77)], {3}),
        ([("s1", 71), ("s2", 72), ("s3", 73)], set()),  # accounts that are called otherwise
        ([("s1", 71), ("s2", 72), ("s3", 73), ("s1", 72)], {3}),
        ([("s1", 71), ("s2", 72), ("s3", 73), ("s4", 73)], {2, 3}),
        ([("s1", 71), ("s2", 72), ("s1", 71)], set()),
    ],
)
def test_an_owner_who_does_not_fit_is_found(handed, expected):
    assert foreign(*handed) == expected


def test_an_owner_is_compared_with_the_one_before():
    assert foreign(("s1", 71), ("s2", 72), before={"s1": 75}) == {0}


def test_an_account_may_be_called_by_the_address_or_by_the_hub():
    assert foreign(
        ("17", 1001), ("18", 1002), ("19", 1003), names={"17": {"17", "ann"}, "18": {"bob"}, "19": {"x"}}
    ) == {2}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files away")
class TestForeignFiles:
    def give_away(self, folder: Path, uid: int = 12345) -> None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, uid, -1)

    def test_the_real_one_stays_and_a_person_is_told(self, course):
        put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "real")
        put(course, "bob")
        collect(course, NAME, lambda line: None)
        self.give_away(put(course, "ann", "2026-01-12 12:00:00.000000 UTC", "false"))
        for _ in range(2):
            said = []
            assert collect(course, NAME, said.append) == []
            assert here(course, "ann") == "real" and any("12345" in line for line in said)
            why = find_submissions(course, NAME)[0].arrival.why
            assert len(why) == 1 and "12345" in why[0] and "2026-01-12" in why[0]

    def test_at_the_first_time_the_real_one_is_chosen_too(self, course):
        put(course, "ann", "2026-01-02 10:00:00.000000 UTC", "real")
        self.give_away(put(course, "ann", "2026-01-12 12:00:00.000000 UTC", "false"))
        collect(course, NAME, lambda line: None)
        assert here(course, "ann") == "real" and find_submissions(course, NAME)[0].arrival.why

    def test_once_the_false_one_is_gone_nobody_is_asked(self, course):
        put(course, "ann", text="real")
        folder = put(course, "ann", "2026-01-12 12:00:00.000000 UTC", "false")
        self.give_away(folder)
        collect(course, NAME, lambda line: None)
        shutil.rmtree(folder)
        collect(course, NAME, lambda line: None)
        assert find_submissions(course, NAME)[0].arrival.why == ()

    def test_the_only_one_in_a_name_is_taken_with_a_doubt(self, course):
        put(course, "bob")
        put(course, "cy")
        self.give_away(put(course, "ann", text="whose?"))
        assert "ann" in collect(course, NAME, lambda line: None)
        found = next(each for each in find_submissions(course, NAME) if each.student == "ann")
        assert any("12345" in why for why in found.arrival.why)

    def test_the_check_can_be_turned_off(self, course):
        course.config.ExchangeCollect.check_owner = False
        put(course, "ann", text="real")
        self.give_away(put(course, "ann", "2026-01-12 12:00:00.000000 UTC", "other"))
        collect(course, NAME, lambda line: None)
        assert here(course, "ann") == "other"
