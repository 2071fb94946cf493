"""Archives from outside: names are read as they were meant and stay inside, limits hold, members fail one by one."""

import contextlib
import io
import struct
import time
import zipfile
import zlib

import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st

from course_utils.grading.submissions.archives import Archive, safe_path


def made(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def without_flag(content: bytes) -> bytes:
    """The archive as programs write it that put UTF-8 names down without saying so."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset + 1] &= ~0x08
            at = changed.find(mark, at + 4)
    return bytes(changed)


@pytest.mark.parametrize("name", ["Élodie/größe.ipynb", "李/作業.ipynb", "plain.ipynb", "Señor Ñandú.ipynb"])
def test_names_are_read_with_and_without_the_flag(name):
    for content in (made((name, b"x")), without_flag(made((name, b"x")))):
        (member,) = Archive(content, 1000).members
        assert member.name == name and member.read(100) == b"x"


def test_a_name_in_an_extra_field_is_read():
    info = zipfile.ZipInfo("Lodie.ipynb")
    name = "Łódź.ipynb".encode()
    body = b"\x01" + struct.pack("<L", zlib.crc32(b"Lodie.ipynb")) + name
    info.extra = struct.pack("<HH", 0x7075, len(body)) + body
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, b"x")
    assert Archive(out.getvalue(), 1000).members[0].name == "Łódź.ipynb"


@drawn(100)
@given(st.text(max_size=400))
def test_no_name_leads_out(name):
    parts = safe_path(name).split("/")
    assert all(part not in ("", ".", "..") and len(part.encode()) <= 200 and "\\" not in part for part in parts)
    assert not any(c in part for part in parts for c in "\x00\n\r")


def test_two_members_of_one_name_are_both_kept():
    with pytest.warns(UserWarning, match="Duplicate"):
        content = made(("a/x.ipynb", b"1"), ("a/x.ipynb", b"2"), ("A/X.ipynb", b"3"))
    archive = Archive(content, 1000)
    assert [member.name for member in archive.members] == ["a/x.ipynb", "a/x (2).ipynb", "A/X (3).ipynb"]
    assert [member.read(9) for member in archive.members] == [b"1", b"2", b"3"]


def test_the_time_for_names_grows_with_their_number_only():
    def seconds(n: int) -> float:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for number in range(n):  # all of them become one name
                archive.writestr("../" * number + "x", b"")
        begin = time.process_time()
        Archive(out.getvalue(), 1000)
        return time.process_time() - begin

    assert seconds(1600) < 60 * seconds(200) + 0.1  # the names themselves grow too


def test_sizes_are_counted_and_not_believed():
    content = made(("a", bytes(5000)), ("b", bytes(5000)), ("c", b"small"))
    archive = Archive(content, 8000)
    assert len(archive.members[0].read(6000)) == 5000
    with pytest.raises(OSError, match="larger"):
        archive.members[1].read(6000)
    assert archive.members[2].read(6000) == b"small"
    with pytest.raises(OSError, match="larger"):
        Archive(content, 8000).members[0].read(100)


def test_a_damaged_member_stops_no_other():
    content = bytearray(made(("a", b"a" * 100), ("b", b"b" * 100)))
    content[33] ^= 0xFF
    first, second = Archive(bytes(content), 1000).members
    with pytest.raises(OSError, match="unpacked"):
        first.read(1000)
    assert second.read(1000) == b"b" * 100


@drawn(60)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_answered(noise, at):
    content = made(("a.ipynb", b"hello " * 20))
    with contextlib.suppress(OSError):
        for member in Archive(content[:at] + noise + content[at:], 10_000).members:
            member.read(10_000)
