"""The path from a hub to the shelf, against a hub on loopback that can be made to fail."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from course_utils.errors import DamagedFile, DownloadFailed, NoSpace
from course_utils.models import hub, shelf
from course_utils.models.catalogue import Entry
from course_utils.packages import sha256_of
from course_utils.places import cache_folder
from tests.hub_server import LARGE, REPO, REVISION, Faults, HubServer


@pytest.fixture
def server(tiny_folder, monkeypatch):
    """A hub holding the tiny model, and a shelf without models of its own."""
    with HubServer(tiny_folder) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("COURSE_MODELS", "")
        monkeypatch.setattr(hub, "PAUSE_S", 0.01)
        yield running


def entry(**changes) -> Entry:
    return Entry(**{"name": "from-hub", "n_parameters": 1, "about": "", "origin": "hub", "repo": REPO,
                    "revision": REVISION, **changes})  # fmt: skip


def bring(**changes) -> Path:
    return shelf.bring(entry(**changes), say=lambda line: None)


def partial() -> Path:
    return cache_folder() / "models" / ".partial" / "from-hub"


def test_the_server_speaks_the_protocol_of_the_hubs_own_client(server, tmp_path):
    for name in ("config.json", LARGE):
        file = hf_hub_download(REPO, name, revision=REVISION, endpoint=server.endpoint, local_dir=tmp_path)
        assert sha256_of(Path(file)) == sha256_of(server.folder / name)


def test_a_fetched_model_has_the_hubs_bytes(server):
    folder = bring()
    assert folder == cache_folder() / "models" / "from-hub"
    for name in ("config.json", "tokenizer.json", LARGE):
        assert (folder / name).read_bytes() == (server.folder / name).read_bytes()
    assert not partial().exists()


def test_a_second_fetch_asks_the_hub_for_nothing(server):
    bring()
    sent = server.sent
    bring()
    assert server.sent == sent


def test_progress_grows_to_the_whole(server):
    seen = []
    shelf.bring(entry(), say=lambda line: None, progress=lambda come, whole: seen.append((come, whole)))
    assert [come for come, _ in seen] == sorted(come for come, _ in seen)
    assert seen[-1][0] == pytest.approx(seen[-1][1])


def test_weights_in_xet_storage_come_by_plain_http(server):
    server.in_xet = True
    assert (bring() / LARGE).stat().st_size == server.files[LARGE]["size"]


def test_a_download_goes_on_after_each_cut_and_sends_no_byte_twice(server):
    server.faults = Faults(cut_after=4_000_000)
    folder = bring()
    assert sha256_of(folder / LARGE) == sha256_of(server.folder / LARGE)
    assert len(server.ranges) >= 2
    assert server.sent < 1.3 * sum(file["size"] for file in server.files.values())


def test_an_interrupted_download_is_not_listed_and_is_continued_by_the_next(server, monkeypatch):
    server.faults = Faults(cut_after=4_000_000, n_cuts=1)
    monkeypatch.setattr(hub, "TRIES_WITHOUT_A_BYTE", 0)
    with pytest.raises(DownloadFailed, match="did not come from"):
        bring()
    assert shelf.folder_of(entry()) is None
    assert (bring() / LARGE).is_file()
    assert server.ranges == ["bytes=4000000-"]


def test_a_killed_process_leaves_what_the_next_one_continues(server):
    whole = server.files[LARGE]["size"]
    server.faults = Faults(bytes_a_second=whole / 4)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; from tests.models.test_hub import bring; bring()"],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    try:
        while not (partial() / f"{LARGE}.part").exists() or hub._size(partial() / f"{LARGE}.part") < whole / 4:
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    assert shelf.folder_of(entry()) is None
    server.faults = Faults()
    folder = bring()
    assert sha256_of(folder / LARGE) == sha256_of(server.folder / LARGE)
    assert server.ranges
    assert server.sent < 2 * sum(file["size"] for file in server.files.values())


def test_a_mirror_without_range_is_read_from_the_start(server):
    server.faults = Faults(cut_after=4_000_000, n_cuts=1, ignores_range=True)
    assert sha256_of(bring() / LARGE) == sha256_of(server.folder / LARGE)


def test_other_bytes_than_promised_are_deleted_and_named(server):
    server.faults = Faults(corrupt=True)
    with pytest.raises(DamagedFile, match=LARGE):
        bring()
    assert shelf.folder_of(entry()) is None
    assert not [path for path in partial().iterdir() if path.name.startswith(LARGE)]
    server.faults = Faults()
    assert bring().is_dir()


def test_other_weights_than_pinned_are_refused_before_they_are_fetched(server):
    with pytest.raises(DamagedFile, match="other weights"):
        bring(weights_sha256="0" * 64)
    assert server.sent < 100_000
    assert not partial().exists()


def test_pinned_weights_are_taken(server):
    assert bring(weights_sha256=sha256_of(server.folder / LARGE)).is_dir()


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, Faults(missing=True)),
        ({}, Faults(broken=True)),
        ({}, Faults(is_login_page=True)),
        ({"repo": "course/no-such-model"}, Faults()),
        ({"revision": "f" * 40}, Faults()),
    ],
)
def test_a_hub_that_cannot_give_the_model_is_named(server, changes, faults):
    server.faults = faults
    with pytest.raises(DownloadFailed, match=server.endpoint):
        bring(**changes)
    assert shelf.folder_of(entry()) is None


def test_a_silent_hub_is_given_up(server, monkeypatch):
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.3)
    server.faults = Faults(stall=True)
    with pytest.raises(DownloadFailed, match="ReadTimeout"):
        bring()


def test_no_hub_at_all_is_told(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match="127.0.0.1:9"):
        bring()
    assert not partial().exists()


def test_offline_mode_is_read_now_and_not_at_import(server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE"):
        bring()
    assert server.sent == 0


def test_a_full_disk_is_told_before_anything_comes(server):
    server.files[LARGE]["size"] = 10**15
    with pytest.raises(NoSpace, match="MB free"):
        bring()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_on_the_way_is_told(server):
    partial().mkdir(parents=True)
    (partial() / f"{LARGE}.part").symlink_to("/dev/full")
    with pytest.raises(NoSpace, match="No space left"):
        bring()


def test_a_damaged_file_is_found_and_only_it_is_fetched_again(server):
    folder = bring()
    with (folder / LARGE).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    with pytest.raises(DamagedFile, match=LARGE):
        shelf._verified(entry())
    sent = server.sent
    lines = []
    shelf.bring(entry(), say=lines.append)
    assert sha256_of(folder / LARGE) == sha256_of(server.folder / LARGE)
    assert "Fetching it again" in " ".join(lines)
    assert server.sent - sent < 1.01 * server.files[LARGE]["size"] + 10_000


def test_two_processes_that_fetch_at_once_fetch_once(server):
    command = [sys.executable, "-c", "from tests.models.test_hub import bring; bring()"]
    both = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()}) for _ in range(2)]
    assert [child.wait(60) for child in both] == [0, 0]
    assert server.sent < 1.1 * sum(file["size"] for file in server.files.values())
