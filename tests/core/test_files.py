"""Files are written whole or not at all, and every failure of the disk is a NoSpace that names the file."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils.core import files
from course_utils.errors import NoSpace, TextError


@pytest.mark.parametrize("content", [b"", b"\x00\xff", "", "é\n", "a\ud800b", "x" * 100_000])
def test_a_replaced_file_holds_the_new_content_and_nothing_else_is_left(content, tmp_path):
    path = tmp_path / "deep" / "file"
    files.replace_file(path, "old")
    files.replace_file(path, content)
    wanted = content.encode("utf-8", "replace") if isinstance(content, str) else content
    assert path.read_bytes() == wanted
    assert [each.name for each in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["a" * 255, "%20#?;&", "line\nbreak", "“quotes”", " blank ", "-rf"])
def test_every_name_that_the_disk_takes_is_written(name, tmp_path):
    assert files.replace_file(tmp_path / name, "x").read_bytes() == b"x"


def test_text_is_appended_whole(tmp_path):
    for n in range(3):
        files.append_to_file(tmp_path / "log", f"{n}\n")
    assert (tmp_path / "log").read_text() == "0\n1\n2\n"


FULL_DISK = """
import sys
from pathlib import Path
from course_utils.core import files
from course_utils.errors import NoSpace
folder = Path(sys.argv[1])
(folder / "file").write_bytes(b"old")
big = b"x" * 2_000_000
for write in (files.replace_file, files.append_to_file):
    try:
        write(folder / "file", big)
    except NoSpace as problem:
        assert "No space left" in problem.what, problem
    else:
        raise SystemExit("written on a full disk")
    assert (folder / "file").read_bytes() == b"old"
assert files.try_replace_file(folder / "file", big) is False
assert [each.name for each in folder.iterdir()] == ["file"], list(folder.iterdir())
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0 if sys.platform == "linux" else True,
    reason="this user may not mount a small disk",
)
def test_a_full_disk_leaves_the_old_file(tmp_path):
    mount = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c '{FULL_DISK}' {tmp_path}"
    child = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (0, "")


@pytest.mark.parametrize("code", sorted(files.UNWRITABLE))
def test_every_failure_of_the_disk_names_the_file(code):
    with pytest.raises(NoSpace, match="/some/file"), files.write_errors(Path("/some/file")):
        raise OSError(code, os.strerror(code), "/another/file")


def test_a_parent_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NoSpace, match="cannot be written"):
        files.replace_file(tmp_path / "file" / "below", "y")
    with pytest.raises(NoSpace, match="cannot be written"):
        files.append_to_file(tmp_path / "file" / "below", "y")
    assert not files.try_replace_file(tmp_path / "file" / "below", "y")


def test_other_errors_pass():
    with pytest.raises(TimeoutError), files.write_errors(Path("x")):
        raise TimeoutError(errno.ETIMEDOUT, "timed out")


def test_an_input_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(TextError, match="cannot be read"), files.read_errors(tmp_path / "none"):
        (tmp_path / "none").read_text()
    (tmp_path / "latin").write_bytes(b"\xe9t\xe9")
    with pytest.raises(TextError, match="byte 1 is 0xe9"), files.read_errors(tmp_path / "latin"):
        (tmp_path / "latin").read_text("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")
@pytest.mark.parametrize("n", [1, 40, 99, 200])
def test_a_socket_can_be_bound_below_any_tmpdir(n, tmp_path, monkeypatch):
    long = tmp_path / ("a" * n)
    long.mkdir()
    monkeypatch.setattr(files.tempfile, "tempdir", str(long))
    folder = files.temporary_folder_for_sockets("test-")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ("s" * 40)))
    (folder / ("s" * 40)).unlink()
    folder.rmdir()


@pytest.mark.parametrize("length", [80, 200, 255])
def test_a_name_of_letters_that_take_several_bytes_is_written(length, tmp_path):
    name = ("é" * 200)[: length // 2] + "x" * (length % 2)
    assert files.replace_file(tmp_path / name, "x").read_bytes() == b"x"


def test_a_staged_file_that_fails_leaves_the_old_one(tmp_path):
    files.replace_file(tmp_path / "file", "old")
    with pytest.raises(KeyError), files.staged_file(tmp_path / "file") as file:
        file.write(b"new")
        raise KeyError
    assert (tmp_path / "file").read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
