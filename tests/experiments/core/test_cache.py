"""What was computed from the same inputs is read, never computed twice; what cannot be read is computed anew."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from course_utils.core.paths import cache_folder
from course_utils.experiments.core import cache
from course_utils.experiments.core.cache import cached, recompute, sha256_of_values
from course_utils.models.inference.decoding import Cancelled

VALUE = {"bits": [0.1 + 0.2, -1e-300, 1e300], "words": "naïve 你好 \ud800", "none": None, "yes": True, "deep": {"n": 3}}


class Counted:
    """Computes a value, and counts how often it was asked."""

    def __init__(self, value=None):
        self.value, self.n = value or VALUE, 0

    def __call__(self):
        self.n += 1
        return self.value


def kept() -> list:
    folder = cache_folder() / "results"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_asked_again_it_is_the_same_and_not_computed_again():
    compute = Counted()
    assert cached("kind", ["a", 1], compute) == cached("kind", ["a", 1], compute) == VALUE
    assert compute.n == 1


def test_the_first_answer_has_the_form_of_the_second():
    first = cached("kind", [1], lambda: {"pair": (1, 2), 3: "three"})
    assert first == cached("kind", [1], Counted()) == {"pair": [1, 2], "3": "three"}


@pytest.mark.parametrize(
    "other", [["a", 2], ["a"], [1, "a"], ["a1"], ["a", "1"], [["a", 1]], ["a", 1, None], ["a", True]]
)
def test_other_inputs_are_computed_apart(other):
    cached("kind", ["a", 1], Counted({"from": "the first"}))
    assert cached("kind", other, Counted({"from": "other"})) == {"from": "other"}


def test_other_kinds_are_computed_apart_and_files_tell_their_kind():
    cached("one", [1], Counted({"from": "one"}))
    assert cached("two", [1], Counted({"from": "two"})) == {"from": "two"}
    assert [file.name for file in kept()] == [f"{kind}-{sha256_of_values([1])[:16]}.json" for kind in ("one", "two")]


def test_every_cut_and_every_changed_byte_is_computed_anew():
    cached("kind", [1], Counted({"bits": [1.5, 2]}))
    (file,) = kept()
    whole = file.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:place] + bytes([byte ^ 1]) + whole[place + 1 :] for place, byte in enumerate(whole)]
    for content in damaged:
        file.write_bytes(content)
        compute = Counted({"bits": [1.5, 2]})
        assert cached("kind", [1], compute) == {"bits": [1.5, 2]}
        assert file.read_bytes() == whole


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"value": {}}', "[" * 100_000, "\x00"])
def test_what_is_not_ours_is_computed_anew(content):
    cached("kind", [1], Counted())
    (file,) = kept()
    file.write_text(content)
    assert cached("kind", [1], Counted()) == VALUE


def test_a_file_of_other_inputs_is_not_taken_for_these():
    cached("kind", [1], Counted({"from": "one"}))
    (file,) = kept()
    file.rename(file.with_name(f"kind-{sha256_of_values([2])[:16]}.json"))
    assert cached("kind", [2], Counted({"from": "two"})) == {"from": "two"}


def test_anew_it_is_computed_again_and_kept_and_only_there():
    cached("kind", [1], Counted({"from": "before"}))
    with pytest.raises(Cancelled), recompute():
        assert cached("kind", [1], Counted({"from": "now"})) == {"from": "now"}
        raise Cancelled
    assert cached("kind", [1], Counted()) == {"from": "now"}


def test_what_stops_leaves_nothing_behind():
    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        cached("kind", [1], stop)
    assert kept() == []
    assert cached("kind", [1], Counted()) == VALUE


def test_where_nothing_can_be_kept_it_is_computed_each_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "free"):
        monkeypatch.setenv("COURSE_CACHE", str(place))
        (tmp_path / "free").mkdir(exist_ok=True)
        (tmp_path / "free" / "results").touch()  # a file where the folder would be
        compute = Counted()
        assert cached("kind", [1], compute) == cached("kind", [1], compute) == VALUE
        assert compute.n == 2


FULL = """
import resource, signal
from course_utils.experiments.core.cache import cached
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
assert cached("kind", [1], lambda: {"bits": [1.5] * 100}) == {"bits": [1.5] * 100}
"""


def test_a_full_disk_costs_the_memory_and_nothing_else():
    assert subprocess.run([sys.executable, "-c", FULL], check=False).returncode == 0
    assert kept() == []


def test_what_was_used_longest_ago_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(cache, "MAX_MB", 0.05)  # 50 kB; each result takes about 8
    for number in range(5):
        cached("kind", [number], lambda: {"text": "a" * 8000})
        os.utime(_file_of(number), (1000 + number, 1000 + number))
    cached("kind", [0], Counted())  # read: from now on the newest
    cached("kind", [5], lambda: {"text": "a" * 8000})
    cached("kind", [6], lambda: {"text": "a" * 8000})
    there = {number for number in range(7) if _file_of(number).exists()}
    assert {0, 5, 6} <= there and 1 not in there
    assert sum(file.stat().st_size for file in kept()) <= 50_000


def test_a_result_larger_than_all_room_stays_until_the_next(monkeypatch):
    monkeypatch.setattr(cache, "MAX_MB", 0.01)
    cached("kind", [1], lambda: {"text": "a" * 30_000})
    assert len(kept()) == 1
    cached("kind", [2], lambda: {"text": "a" * 3000})
    assert list(kept()) == [_file_of(2)]


def test_a_file_that_another_process_is_writing_is_left_and_an_old_one_is_not(monkeypatch):
    monkeypatch.setattr(cache, "MAX_MB", 0.001)
    cached("kind", [1], lambda: {"text": "a" * 2000})
    writing, dead = (_file_of(1).with_name(f".kind.{name}") for name in ("writing", "dead"))
    for file in (writing, dead):
        file.write_text("a" * 5000)
    os.utime(dead, (1000, 1000))
    cached("kind", [2], lambda: {"text": "a" * 2000})
    assert writing.exists() and not dead.exists() and _file_of(2).exists()


def _file_of(number: int) -> Path:
    return cache_folder() / "results" / f"kind-{sha256_of_values([number])[:16]}.json"


MAKE_ROOM = """
from course_utils.experiments.core import cache
cache.MAX_MB = 0.02
for number in range(60):
    value = {"n": [number] * 1000}
    assert cache.cached("kind", [number], lambda: value) == value
"""


def test_processes_that_make_room_at_once_disturb_nobody():
    processes = [subprocess.Popen([sys.executable, "-c", MAKE_ROOM]) for _ in range(3)]
    assert [each.wait() for each in processes] == [0, 0, 0]
    assert sum(file.stat().st_size for file in kept()) < 60_000


def test_threads_that_ask_at_once_all_get_the_whole():
    found = []
    ask = lambda: found.append(cached("kind", [1], Counted()))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [VALUE] * 12
    assert len(kept()) == 1 and json.loads(kept()[0].read_text())["value"] == VALUE


ASK = """
from course_utils.experiments.core.cache import cached
for number in range(40):
    assert cached("kind", [number], lambda: {"n": [number] * 1000}) == {"n": [number] * 1000}
"""


def test_processes_that_ask_at_once_all_get_the_whole():
    processes = [subprocess.Popen([sys.executable, "-c", ASK]) for _ in range(3)]
    assert [each.wait() for each in processes] == [0, 0, 0]
    assert sorted(json.loads(file.read_text())["value"]["n"][0] for file in kept()) == list(range(40))
