"""The class's file: no vote is lost, none is told of fewer than five, and nothing in it says who."""

import csv
import io
import json
import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from repository import ROOT
from scipy.stats import t as student

from course_utils.classroom import database, store
from course_utils.classroom import tally as class_tally
from course_utils.classroom import votes as class_ballot
from course_utils.classroom.votes import InvalidVote, SharedNumber
from course_utils.errors import CourseError, DamagedFile, NoSpace, SettingsError, TextError
from course_utils.experiments.core import statistics
from course_utils.experiments.readers.credibility import ANSWERS
from course_utils.experiments.release.decisions import CHOICES, next_size
from course_utils.grading.reports.k_anonymity import MIN_GROUP_SIZE
from course_utils.models.registry.release_stage import NAMES

pytestmark = pytest.mark.slow

SESSION, DEMO, QUESTION = "lecture-1", "timeline", "Feb 2019"
VOTER = """
import sys, time
from course_utils.classroom import store
path, n, per_second = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
store.tallies("lecture-1", path=path)
print("ready", flush=True)
sys.stdin.readline()
begun = time.monotonic()
for i in range(n):
    time.sleep(max(0, begun + i / per_second - time.monotonic()))
    try:
        choice = ("wait", "release", "never")[i % 3]
        store.add_vote("lecture-1", "timeline", "Feb 2019", choice, store.new_viewer(), path)
    except Exception as error:
        print(f"refused {type(error).__name__}", flush=True)
        break
    print(i, flush=True)
"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "class" / "class.sqlite"


def vote(path: Path, choice: str = "wait", viewer: str | None = None, question: str = QUESTION) -> str:
    viewer = viewer or store.new_viewer()
    store.add_vote(SESSION, DEMO, question, choice, viewer, path)
    return viewer


def tally(path: Path, **which):
    return next(iter(store.tallies(SESSION, path=path, **which)), None)


def voters(path: Path, n_processes: int, n: int, per_second: float, limit: str = "") -> list[subprocess.Popen]:
    """Processes that have the file open, and vote when told."""
    command = [sys.executable, "-c", limit + VOTER, str(path), str(n), str(per_second)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(n_processes)]
    for each in started:
        assert each.stdout.readline() == "ready\n"
    return started


def acknowledged(processes: list[subprocess.Popen]) -> list[str]:
    for each in processes:
        each.stdin.write("\n")
        each.stdin.flush()
    return [line for each in processes for line in each.communicate(timeout=120)[0].split("\n") if line]


# -- no vote is lost ---------------------------------------------------------------------------------------------------


def test_two_hundred_votes_a_second_from_four_processes_lose_none(path):
    lines = acknowledged(voters(path, 4, 105, 55))
    assert [line for line in lines if line.startswith("refused")] == []
    assert len(lines) == tally(path).n == tally(path).shown["n"] == 420
    assert sum(tally(path).shown["counts"].values()) == 420


def test_what_was_acknowledged_outlives_a_process_that_is_killed(path):
    (process,) = voters(path, 1, 10_000, 1000)
    process.stdin.write("\n")
    process.stdin.flush()
    told = [process.stdout.readline() for _ in range(60)]
    process.send_signal(signal.SIGKILL)
    told += process.communicate(timeout=120)[0].split()
    assert len(told) <= tally(path).n <= len(told) + 1  # the last one may have been counted and not told


def test_a_process_that_splits_votes_on_and_so_does_its_child(path):
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom course_utils.classroom import database as class_file, store\n"
        "vote = lambda: store.add_vote('lecture-1', 'timeline', 'Feb 2019', 'wait', store.new_viewer(), sys.argv[1])\n"
        "vote()\ndoor = class_file._connection(Path(sys.argv[1]))\nchild = os.fork()\n"
        "assert (class_file._connection(Path(sys.argv[1])) is door) == bool(child), 'a connection crossed the split'\n"
        "[vote() for _ in range(20)]\n"
        "if child: assert os.waitpid(child, 0)[1] == 0; vote()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, check=True, timeout=120)
    assert tally(path).n == 42


def test_a_full_disk_is_told_and_loses_nothing_that_was_acknowledged(path):
    """A limit on the size of files stands for the disk: the system refuses to write more."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
    lines = acknowledged(voters(path, 1, 3000, 1e9, limit))
    assert lines[-1] == "refused NoSpace"
    assert len(lines) - 1 == tally(path).n > 10
    vote(path)
    assert tally(path).n == len(lines)


def test_a_file_that_another_program_holds_is_told_and_the_vote_can_be_given_again(path, monkeypatch):
    monkeypatch.setattr(database, "LOCK_TIMEOUT_S", 0.1)
    viewer = vote(path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(database.DatabaseBusy, match="is kept"):
            vote(path, "release", viewer)
        assert tally(path).n == 1  # reading goes on
    other.close()
    vote(path, "release", viewer)
    assert tally(path).n == 1


# -- one vote a viewer, and a picture of five --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_pictures_are_of_five_and_two_in_a_row_differ_by_what_five_did(seed, path):
    """Any order of votes, changes and withdrawals, against a count that remembers everything."""
    draw, viewers = random.Random(seed), [store.new_viewer() for _ in range(11)]
    now: dict[str, str] = {}
    moved: set[str] = set()
    before = None
    for _ in range(90):
        viewer, choice = draw.choice(viewers), draw.choice(list(CHOICES))
        if draw.random() < 0.3:
            store.withdraw(SESSION, viewer, path=path)
            moved |= {viewer} if now.pop(viewer, None) else set()
        else:
            vote(path, choice, viewer)
            moved |= {viewer} if now.get(viewer) != choice else set()
            now[viewer] = choice
        found = tally(path)
        assert found.n == len(now) if found else not now
        shown = _stored_picture(path)
        if shown != before:
            assert len(moved) >= MIN_GROUP_SIZE
            assert shown["counts"] == dict(sorted(Counter(now.values()).items()))
            moved, before = set(), shown
        if found:
            assert found.shown == (before if len(now) >= MIN_GROUP_SIZE else None)
            assert found.shown is None or sum(found.shown["counts"].values()) == found.shown["n"] >= MIN_GROUP_SIZE
    assert before is not None


def _stored_picture(path: Path) -> dict | None:
    with database.transaction(path, is_writing=False) as db:
        found = db.execute("SELECT shown FROM questions").fetchone()
    return json.loads(found[0]) if found and found[0] else None


def test_nothing_is_told_of_four_and_it_is_said_how_many_are_missing(path):
    for n in range(1, 5):
        vote(path)
        assert (tally(path).shown, tally(path).n, tally(path).needed) == (None, n, 5 - n)
    vote(path)
    assert tally(path).shown == {"n": 5, "counts": {"wait": 5}}


def test_of_one_viewer_the_last_vote_counts(path):
    viewer = vote(path, "wait")
    vote(path, "never", viewer)
    for _ in range(4):
        vote(path, "wait")
    assert tally(path).shown["counts"] == {"never": 1, "wait": 4}


def test_what_is_withdrawn_goes_from_one_demo_or_from_all_and_only_this_viewer_s(path):
    one, other = vote(path), vote(path)
    vote(path, "wait", one, "May 2019")
    store.add_vote(SESSION, "human_or_machine", "score", "1/1 0/1", one, path)
    assert store.withdraw(SESSION, one, "human_or_machine", path) == 1
    assert store.withdraw(SESSION, one, path=path) == 2
    assert store.withdraw(SESSION, one, path=path) == 0
    assert store.withdraw("another", other, path=path) == 0
    assert [each.n for each in store.tallies(SESSION, path=path)] == [0, 1, 0]


def test_a_new_round_counts_anew_and_a_cleared_session_is_gone_from_the_bytes(path):
    for _ in range(5):
        vote(path, "never")
    store.add_vote("other", DEMO, QUESTION, "wait", store.new_viewer(), path)
    assert store.new_round(SESSION, path) == store.current_round(SESSION, path) == 2
    assert tally(path) is None and tally(path, round=1).n == 5
    assert b"never" in _bytes(path)
    store.clear(SESSION, path)
    assert b"never" not in _bytes(path)
    assert store.current_round(SESSION, path) == 1 and tally(path, round=1) is None
    assert store.tallies("other", path=path)[0].n == 1


def _bytes(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))


# -- what is told ------------------------------------------------------------------------------------------------------


def test_the_intervals_are_those_of_the_experiments():
    for n in range(1, 41):
        for k in range(n + 1):
            share = statistics.wilson(k, n)
            assert class_tally.wilson(k, n) == pytest.approx((share.low, share.high), abs=1e-12)
    for n in range(2, 60):
        shares = [(7 * i % 11) / 10 for i in range(n)]
        sem = np.std(shares, ddof=1) / n**0.5
        low, high = student.interval(0.95, n - 1, loc=np.mean(shares), scale=sem)
        wilson = class_tally.wilson(n // 2, 100 * n)  # narrower than Student's interval, and elsewhere
        ends = class_tally._mean_interval(shares, n // 2, 100 * n)
        assert ends == pytest.approx((min(wilson[0], max(0.0, low)), max(wilson[1], min(1.0, high))), abs=1e-9)


def test_readers_scores_are_summed_and_the_mean_s_interval_is_no_narrower_than_that_of_answers(path):
    scores = [(5, 6, 2, 6), (6, 6, 6, 6), (3, 6, 3, 6), (1, 2, 0, 0), (0, 0, 1, 1)]
    for right_h, n_h, right_m, n_m in scores:
        votes = class_ballot.score_vote((right_h, n_h), (right_m, n_m))
        store.add_votes(SESSION, "human_or_machine", votes, store.new_viewer(), path)
    shown = tally(path).shown
    shares = [(h + m) / (of_h + of_m) for h, of_h, m, of_m in scores]
    assert shown["mean"] == pytest.approx(sum(shares) / 5)
    assert (shown["right"], shown["texts"], shown["human_called_human"], shown["machine_called_human"]) == (
        27,
        39,
        15,
        7,
    )
    low, high = class_tally.wilson(27, 39)
    assert shown["low"] <= low and shown["high"] >= high


def test_every_kept_number_is_in_its_bin_and_the_ends_are_round():
    draw = random.Random(0)
    for scale in (1e-6, 0.01, 1.0, 300.0, 1e12):
        values = [draw.gauss(0.5, 0.2) * scale for _ in range(draw.randint(5, 60))]
        shown = class_tally.published_summary("evidence", [repr(each) for each in values])
        ends = [shown["low"] + place * shown["width"] for place in range(len(shown["bins"]) + 1)]
        counted = [sum(low <= each < high for each in values) for low, high in zip(ends, ends[1:], strict=False)]
        assert counted == shown["bins"] and sum(shown["bins"]) == shown["n"] == len(values)
        assert f"{shown['width']:.0e}"[0] in "125" and len(shown["bins"]) <= class_tally.MAX_BINS + 1
    assert class_tally.published_summary("evidence", ["0.64"] * 5)["bins"] == [5]


def test_the_export_tells_what_is_shown_and_no_cell_is_a_formula(path, monkeypatch):
    for choice in ("wait", "wait", "wait", "never", "release"):
        vote(path, choice)
        vote(path, choice, question="May 2019") if choice == "wait" else None
    rows = list(csv.reader(io.StringIO(store.export_csv(SESSION, path))))
    assert rows[0] == class_tally.HEAD
    assert [(row[3], row[4], row[5], row[6]) for row in rows[1:]] == [
        (QUESTION, name, "5", n) for name, n in [("never", "1"), ("release", "1"), ("wait", "3")]
    ]
    with database.transaction(path) as db:  # a file may say anything
        db.execute("UPDATE questions SET question = '=HYPERLINK(1)' WHERE question = ?", (QUESTION,))
        db.execute("UPDATE questions SET demo = ' @SUM(1)' WHERE demo = ?", (DEMO,))
    cells = [cell for row in csv.reader(io.StringIO(store.export_csv(SESSION, path))) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert [cell for cell in cells if cell.strip()[:1] in tuple("=+-@")] == []


# -- nobody can be found -----------------------------------------------------------------------------------------------


class Record:
    """As a ledger has it."""

    experiment, metric, of, row, value, low, high, n = (
        "sizes.compare_sizes",
        "bits_per_character",
        "x",
        1,
        2.5,
        2.0,
        3.0,
        9,
    )
    settings = {"n_texts": 40, "prompt": "My name is Zyx", "precision": "fp32", "Zyx says": 3}  # noqa: RUF012
    inputs = {"seed": 7, "texts": ["Zyx"]}  # noqa: RUF012
    models = {"pocket-xl": "0" * 64}  # noqa: RUF012
    finding, note = "Zyx found it.", "Zyx noted it."


def test_the_file_holds_no_token_of_a_viewer_no_text_and_no_second(path):
    viewer = vote(path)
    store.add_evidence(SESSION, class_ballot.shared_number(Record), viewer, path)
    content = _bytes(path)
    assert viewer.encode() not in content
    assert b"Zyx" not in content and b"prompt" not in content
    assert re.findall(rb"20\d\d-\d\d-\d\dT[^Z]{1,12}Z", content)
    assert not re.findall(rb"T\d\d:\d\d:\d\d", content)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_viewer_is_another_one_in_another_session(path):
    viewer = vote(path)
    store.add_vote("lecture-2", DEMO, QUESTION, "wait", viewer, path)
    with database.transaction(path, is_writing=False) as db:
        assert len({each for (each,) in db.execute("SELECT viewer FROM votes")}) == 2


def test_of_a_kept_number_only_numbers_and_names_are_taken(path):
    kept = class_ballot.shared_number(Record)
    assert dict(kept.settings) == {"n_texts": 40, "precision": "fp32", "seed": 7}
    assert (kept.model, kept.value, kept.row) == ("pocket-xl", 2.5, 1)
    for _ in range(5):
        store.add_evidence(SESSION, kept, store.new_viewer(), path)
    assert tally(path).shown["n"] == 5
    store.withdraw(SESSION, vote(path), path=path)
    viewer = store.new_viewer()
    store.add_evidence(SESSION, kept, viewer, path)
    store.withdraw(SESSION, viewer, "evidence", path)
    with database.transaction(path, is_writing=False) as db:
        assert db.execute("SELECT count(*) FROM evidence").fetchone()[0] == 5


@pytest.mark.parametrize(
    ("demo", "question", "choice"),
    [
        ("timeline", "Feb 2019", "because I am Zyx"),
        ("timeline", "Nov 2019", "wait"),
        ("timeline", "Feb 2019", ""),
        ("playground", "Feb 2019", "wait"),
        ("evidence", "Feb 2019", "wait"),
        ("human_or_machine", "score", "7/6 0/0"),
        ("human_or_machine", "score", "0/0 0/0"),
        ("human_or_machine", "score", "61/61 0/0"),
        ("human_or_machine", "score", "٣/٦ 0/0"),
        ("sizes", "first a|b", "c"),
        ("sizes", "first a|a", "a"),
        ("sizes", "pair a|b|c", "a"),
        ("sizes", "first a|b|c|d|e", "a"),
        ("sizes", f"first a|{'b' * 61}", "a"),
        ("sizes", "first my prompt|b", "b"),
        ("sizes", "first =1+1|b", "b"),
        ("sizes", "first a|b", None),
        ("sizes", None, "a"),
    ],
)
def test_what_is_on_no_list_is_refused_and_not_stored(demo, question, choice, path):
    with pytest.raises(InvalidVote):
        store.add_vote(SESSION, demo, question, choice, store.new_viewer(), path)
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "os.system"},
        {"metric": "My name"},
        {"model": "a b"},
        {"value": float("nan")},
        {"value": 1e300},
        {"settings": {"prompt": "Zyx"}},
        {"row": -1},
        {"n": "Zyx"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_number_that_says_more_is_refused(change, path):
    fields = {"kind": "sizes.compare_sizes", "metric": "seconds", "model": "a", "row": 0, "value": 1.0}
    with pytest.raises(InvalidVote):
        store.add_evidence(SESSION, SharedNumber(**{**fields, **change}), store.new_viewer(), path)


@pytest.mark.parametrize("session", ["", "a b", "../x", "x" * 65, "é", None, 7])
def test_a_session_is_a_short_name(session, path):
    with pytest.raises(SettingsError):
        store.add_vote(session, DEMO, QUESTION, "wait", store.new_viewer(), path)


@pytest.mark.parametrize("viewer", ["Zyx", "", "127.0.0.1", "A" * 32, None])
def test_a_viewer_is_a_random_token_and_no_name(viewer, path):
    with pytest.raises(TextError):
        store.add_vote(SESSION, DEMO, QUESTION, "wait", viewer, path)


# -- another's file, a damaged file ------------------------------------------------------------------------------------


def a_text(path: Path) -> None:
    path.write_text("precious notes " * 500)


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE gradebook (student TEXT)")
        db.execute("INSERT INTO gradebook VALUES ('precious')")
    db.close()


def our_own_with_a_trigger(path: Path) -> None:
    vote(path)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TRIGGER evil AFTER INSERT ON votes BEGIN DELETE FROM votes; END")
    db.close()
    database._forget(path)


def cut_off(path: Path) -> None:
    for _ in range(40):
        vote(path)
    database._forget(path)  # which writes the log into the file
    path.write_bytes(path.read_bytes()[:9000])


def overwritten_inside(path: Path) -> None:
    for _ in range(40):
        vote(path)
    database._forget(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [a_text, foreign_database, our_own_with_a_trigger, cut_off, overwritten_inside],
    ids=["text", "foreign", "trigger", "cut", "overwritten"],
)
def test_what_is_not_ours_is_moved_aside_whole_and_the_next_vote_counts(spoil, path):
    path.parent.mkdir(exist_ok=True)
    spoil(path)
    content = path.read_bytes()
    with pytest.raises(DamagedFile, match="lies now at"):
        vote(path)
    (aside,) = path.parent.glob("class.sqlite.aside-*[0-9]")
    assert aside.read_bytes() == content
    vote(path)
    assert tally(path).n == 1


def test_a_file_that_is_taken_away_while_it_is_open_is_begun_anew(path):
    vote(path)
    before = store.changes(path)
    for each in path.parent.glob("class.sqlite*"):
        os.replace(each, each.with_name(f"old-{each.name}"))
    assert vote(path) and tally(path).n == 1
    assert store.changes(path)[:2] != before[:2]


def test_a_folder_is_no_file_and_nothing_is_put_into_it(tmp_path):
    with pytest.raises(TextError, match="is a folder"):
        vote(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(NoSpace):
        vote(tmp_path / "class.sqlite")


def test_a_file_whose_folder_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="cannot be used"):
        vote(tmp_path / "file" / "class.sqlite")


# -- lists that must agree ---------------------------------------------------------------------------------------------


def test_the_lists_are_those_of_the_rooms_that_own_them():
    assert tuple(CHOICES) == class_ballot.DECISIONS
    assert tuple(name for name in NAMES if next_size(name)) == class_ballot.STAGES[:-1]
    assert class_tally.MIN_VOTERS == MIN_GROUP_SIZE
    assert ANSWERS == ("human", "machine")


def test_the_file_is_where_the_hall_says_else_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CLASS", raising=False)
    assert database.database_path().parent == Path(os.environ["COURSE_CACHE"])
    assert store.open_session() is None
    monkeypatch.setenv("COURSE_CLASS", str(tmp_path / "x"))
    monkeypatch.setenv("COURSE_CLASS_SESSION", "abc")
    assert (database.database_path(), store.open_session()) == (tmp_path / "x", "abc")


@pytest.mark.parametrize(
    "value", [0, -3, 1e12, 10**12, 10**400, -(10**400), 1e13, float("nan"), float("inf"), True, "1"]
)
def test_a_number_can_be_counted_with_or_not_whatever_its_size(value):
    can = type(value) in (int, float) and -class_ballot.LARGEST <= value <= class_ballot.LARGEST
    assert class_ballot.is_number(value) is can
    assert class_ballot.plain_settings({"seed": value}) == ({"seed": value} if can or value is True else {})
