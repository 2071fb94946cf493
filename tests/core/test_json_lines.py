"""An object is appended whole or not at all, and what an editor did around the lines loses none."""

import json
import subprocess
import sys

import pytest

from course_utils.core.json_lines import append_object, read_lines
from course_utils.errors import TextError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "decisions.jsonl"


def objects(path) -> list[dict]:
    return [json.loads(line) for _, line in read_lines(path)]


def test_what_was_appended_is_read(path):
    assert read_lines(path) == []
    told = [{"n": n, "text": "naïve “你好”\u2028\n"} for n in range(5)]
    for each in told:
        append_object(path, each)
    assert objects(path) == told and [number for number, _ in read_lines(path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole.replace(b"\n", b"\r\n"), lambda whole: b"\xef\xbb\xbf" + whole, lambda whole: whole[:-1],
        lambda whole: whole + b"\n\n", lambda whole: b"\n" + whole.replace(b"\n", b"  \n\n"),
    ],
)  # fmt: skip
def test_what_another_program_did_around_the_lines_loses_nothing(path, change):
    for n in range(3):
        append_object(path, {"n": n})
    path.write_bytes(change(path.read_bytes()))
    assert objects(path) == [{"n": n} for n in range(3)]
    append_object(path, {"n": 3})
    assert objects(path) == [{"n": n} for n in range(4)]


def test_a_line_that_was_cut_off_is_set_aside(path):
    append_object(path, {"n": 0})
    whole = path.read_bytes()
    for length in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:length])
        assert objects(path) == [{"n": 0}]
        append_object(path, {"n": 1})
        assert objects(path) == [{"n": 0}, {"n": 1}]
        assert path.with_name(f"{path.name}.torn").read_bytes().endswith(whole[:length] + b"\n")


FULL = """
import resource, signal, sys
from pathlib import Path
from course_utils.errors import NoSpace
from course_utils.core.json_lines import append_object
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    append_object(Path(sys.argv[1]), {"text": "a" * 1000})
except NoSpace as error:
    print(error)
"""


def test_on_a_full_disk_nothing_is_half_written(path):
    append_object(path, {"n": 0})
    before = path.read_bytes()
    told = subprocess.run([sys.executable, "-c", FULL, path, str(len(before) + 300)], capture_output=True, check=True)
    assert b"cannot be written" in told.stdout and path.read_bytes() == before


MANY = """
import sys
from pathlib import Path
from course_utils.core.json_lines import append_object
for number in range(40):
    append_object(Path(sys.argv[1]), {"who": sys.argv[2], "n": number})
"""


def test_two_that_append_at_once_lose_nothing(path):
    both = [subprocess.Popen([sys.executable, "-c", MANY, path, who]) for who in "ab"]
    assert [each.wait() for each in both] == [0, 0]
    assert len(objects(path)) == 80
    assert [each["n"] for each in objects(path) if each["who"] == "a"] == list(range(40))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(TextError, match="is a folder"):
        read_lines(tmp_path)
