"""Whatever a hub answers, a download ends in the right files or in a message of at most three lines."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from course_utils.core.paths import cache_folder
from course_utils.errors import CourseError
from course_utils.models.registry import checksums, hub, registry
from course_utils.models.registry.catalogue import Entry
from tests.hub_server import LARGE, REPO, REVISION, Answer, Faults, HubServer

pytestmark = pytest.mark.slow

FEW = drawn(10)
KNOWN = Entry("drawn", 1, "", "hub", repo=REPO, revision=REVISION)


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory) -> Path:
    """A model's folder of a few thousand bytes."""
    folder = tmp_path_factory.mktemp("small")
    save_file({"x": np.arange(1000, dtype="float32")}, folder / LARGE)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text(json.dumps({"name": name, "list": list(range(50))}))
    return folder


@pytest.fixture
def server(small_folder, monkeypatch):
    with HubServer(small_folder) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_any")
        monkeypatch.setenv("COURSE_MODELS", "")
        for name in (*hub.CERTIFICATES, *hub.PROXIES, *map(str.upper, hub.PROXIES)):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(hub, "wait", lambda seconds: None)
        monkeypatch.setattr(hub, "TIMEOUT_S", 5.0)
        yield running


names = st.sampled_from(
    ["Content-Length", "Content-Range", "Content-Type", "Content-Encoding", "Retry-After", "Location", "RateLimit"]
)
values = st.one_of(
    st.integers(-5, 10**6).map(str),
    st.sampled_from([
        "bytes 0-99/4096", "bytes 100-4095/4096", "bytes */4096", "bytes 5-1/2", "text/html", "gzip", "identity", "br",
        "/", "//", "http://[", "file:///etc/passwd", "http://127.0.0.1:1/", "https://x\u00e9.invalid", "99999999999999",
        "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 99999 07:28:00 GMT", '"r";r=0;t=9999999999999', "nan", "",
    ]),
    st.text("abc:/ %;=", max_size=10),
)  # fmt: skip
bodies = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.sampled_from([b"<html>", b"\n <!doctype html>", b"{}", b"[]", b"x" * 5000, b"x" * 100_000]),
)
statuses = st.sampled_from(
    [200, 200, 200, 206, 204, 301, 302, 304, 307, 400, 401, 403, 404, 407, 416, 418, 429, 500, 503, 599]
)
answers = st.builds(
    Answer,
    statuses,
    st.dictionaries(names, values, max_size=2),
    bodies,
    st.none() | st.integers(-3, 5000),
    st.booleans(),
)
scripts = st.lists(st.none() | answers, max_size=8)


def law(server: HubServer) -> bool:
    """Fetch; return whether the right files came. If not, nothing wrong is in place, and the message is short."""
    target = cache_folder() / "models" / "drawn"
    try:
        folder = registry.bring(KNOWN, say=lambda line: None)
    except CourseError as problem:
        assert 1 <= len(str(problem).splitlines()) <= 3
        assert not target.exists() or checksums.check(target)
        return False
    assert folder == target
    for name in server.files:
        assert sha256(folder / name) == sha256(server.folder / name), name
    assert sorted(path.name for path in folder.iterdir()) == sorted([*server.files, checksums.SEAL])
    return True


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@FEW
@given(scripts)
def test_drawn_answers_end_in_the_right_files_or_in_a_message(server, script):
    shutil.rmtree(cache_folder() / "models", ignore_errors=True)
    server.requests.clear()
    server.answers = list(script)
    law(server)
    assert len(server.requests) < 200
    server.answers = []
    assert law(server)  # what an earlier try left does no harm


@FEW
@given(answers)
def test_an_answer_that_never_changes_ends_too(server, answer):
    shutil.rmtree(cache_folder() / "models", ignore_errors=True)
    server.requests.clear()
    server.answers = [None, *[answer] * 10_000]  # the list of files comes, then always the same
    law(server)
    assert len(server.requests) < 500
    server.answers = []
    assert law(server)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
)


@FEW
@given(st.data())
def test_a_list_with_drawn_values_ends_in_the_right_files_or_in_a_message(server, data):
    """One field of the list is another value, or is missing."""
    shutil.rmtree(cache_folder() / "models", ignore_errors=True)
    told = {"sha": REVISION, "siblings": json.loads(json.dumps(list(server.files.values())))}
    place = data.draw(
        st.sampled_from([told, *told["siblings"], *(each["lfs"] for each in told["siblings"] if "lfs" in each)])
    )
    field = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[field]
    else:
        place[field] = data.draw(json_values)
    server.faults = Faults(lists=json.dumps(told).encode())
    law_of_the_list(server)
    server.faults = Faults()
    assert law(server)


def law_of_the_list(server: HubServer) -> None:
    """As the law, but a hub that lists other files, each with its right hash, is believed."""
    try:
        folder = registry.bring(KNOWN, say=lambda line: None)
    except CourseError as problem:
        assert 1 <= len(str(problem).splitlines()) <= 3
        return
    for path in folder.iterdir():
        assert path.name == checksums.SEAL or sha256(path) == sha256(server.folder / path.name)
    shutil.rmtree(folder)


damages = st.lists(
    st.tuples(
        st.sampled_from(["config.json", LARGE, "tokenizer.json", checksums.SEAL]),
        st.sampled_from(["lost", "empty", "cut", "other", "folder", "link to nothing"]),
    ),
    min_size=1,
    max_size=3,
)


@FEW
@given(damages, st.booleans())
def test_every_damage_to_a_folder_is_mended_or_told(server, damage, has_notes):
    shutil.rmtree(cache_folder() / "models", ignore_errors=True)
    server.answers, server.faults = [], Faults()
    folder = registry.bring(KNOWN, say=lambda line: None)
    for name, how in damage:
        file = folder / name
        content = file.read_bytes() if file.is_file() else b""
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        match how:
            case "empty" | "cut" | "other":
                file.write_bytes({"empty": b"", "cut": content[:-3], "other": content + b"x"}[how])
            case "folder":
                file.mkdir()
            case "link to nothing":
                os.symlink("nothing", file)
    if has_notes:
        (folder / "notes.txt").write_text("mine")
    if {name for name, _ in damage} & {checksums.SEAL}:  # without a seal, a folder that can be read passes as one's own
        try:
            registry.bring(KNOWN, say=lambda line: None)
        except CourseError as problem:
            assert len(str(problem).splitlines()) <= 3
    else:
        registry.bring(KNOWN, say=lambda line: None)
        for name in server.files:
            assert sha256(folder / name) == sha256(server.folder / name), name
    if has_notes:
        assert [file for file in folder.parent.rglob("notes.txt") if file.read_text() == "mine"]
