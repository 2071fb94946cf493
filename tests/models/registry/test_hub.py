"""The path from a hub to the shelf, against a hub on loopback that can be made to fail."""

import contextlib
import email.utils
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from course_utils.core.paths import cache_folder
from course_utils.core.wheels import sha256_of
from course_utils.errors import DamagedFile, DownloadFailed, NoSpace
from course_utils.models.registry import hub, registry
from course_utils.models.registry.catalogue import Entry
from tests.hub_server import LARGE, REPO, REVISION, Faults, HubServer

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """What this machine's network needs is no part of these tests."""
    names = (*hub.PROXIES, "no_proxy")
    for name in (*hub.CERTIFICATES, *names, *map(str.upper, names), "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


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
    return registry.bring(entry(**changes), say=lambda line: None)


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
    registry.bring(entry(), say=lambda line: None, progress=lambda come, whole: seen.append((come, whole)))
    assert [come for come, _ in seen] == sorted(come for come, _ in seen)
    assert seen[-1][0] == pytest.approx(seen[-1][1])


def test_weights_in_xet_storage_come_by_plain_http(server):
    server.in_xet = True
    assert (bring() / LARGE).stat().st_size == server.files[LARGE]["size"]


def test_a_download_goes_on_after_each_cut_and_sends_no_byte_twice(server):
    server.faults = Faults(cut_after=500_000)
    folder = bring()
    assert sha256_of(folder / LARGE) == sha256_of(server.folder / LARGE)
    assert len(server.ranges) >= 2
    assert server.sent < 1.3 * sum(file["size"] for file in server.files.values())


def test_an_interrupted_download_is_not_listed_and_is_continued_by_the_next(server, monkeypatch):
    server.faults = Faults(cut_after=500_000, n_cuts=1)
    monkeypatch.setattr(hub, "TRIES_WITHOUT_A_BYTE", 0)
    with pytest.raises(DownloadFailed, match="did not come from"):
        bring()
    assert registry.folder_of(entry()) is None
    assert (bring() / LARGE).is_file()
    assert server.ranges == ["bytes=500000-"]


def test_a_killed_process_leaves_what_the_next_one_continues(server):
    whole = server.files[LARGE]["size"]
    server.faults = Faults(bytes_a_second=whole / 4)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; from tests.models.registry.test_hub import bring; bring()"],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    try:
        while not (partial() / f"{LARGE}.part").exists() or hub._size(partial() / f"{LARGE}.part") < whole / 4:
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    assert registry.folder_of(entry()) is None
    server.faults = Faults()
    folder = bring()
    assert sha256_of(folder / LARGE) == sha256_of(server.folder / LARGE)
    assert server.ranges
    assert server.sent < 2 * sum(file["size"] for file in server.files.values())


def test_a_mirror_without_range_is_read_from_the_start(server):
    server.faults = Faults(cut_after=500_000, n_cuts=1, ignores_range=True)
    assert sha256_of(bring() / LARGE) == sha256_of(server.folder / LARGE)


def test_other_bytes_than_promised_are_deleted_and_named(server):
    server.faults = Faults(corrupt=True)
    with pytest.raises(DamagedFile, match=LARGE):
        bring()
    assert registry.folder_of(entry()) is None
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
    assert registry.folder_of(entry()) is None


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
        registry._verified(entry())
    sent = server.sent
    lines = []
    registry.bring(entry(), say=lines.append)
    assert sha256_of(folder / LARGE) == sha256_of(server.folder / LARGE)
    assert "Fetching it again" in " ".join(lines)
    assert server.sent - sent < 1.01 * server.files[LARGE]["size"] + 10_000


def test_two_processes_that_fetch_at_once_fetch_once(server):
    command = [sys.executable, "-c", "from tests.models.registry.test_hub import bring; bring()"]
    both = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()}) for _ in range(2)]
    assert [child.wait(60) for child in both] == [0, 0]
    assert server.sent < 1.1 * sum(file["size"] for file in server.files.values())


# -- a network as people have it ---------------------------------------------------------------------------------------


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """What the download would have waited, instead of the waiting."""
    waited: list[float] = []
    monkeypatch.setattr(hub, "wait", waited.append)
    return waited


def is_right(server) -> bool:
    folder = cache_folder() / "models" / "from-hub"
    return all(sha256_of(folder / name) == sha256_of(server.folder / name) for name in ("config.json", LARGE))


def in_three_lines(error: pytest.ExceptionInfo) -> str:
    told = str(error.value)
    assert len(told.splitlines()) <= 3 and "Next: " in told
    return told


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ALL_PROXY": "socks://127.0.0.1:9"}, "ALL_PROXY"),
        ({"all_proxy": "socks5://127.0.0.1:9"}, "all_proxy"),
        ({"ALL_PROXY": "socks5h://u:secret@127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://[::1"}, "HTTPS_PROXY"),
        ({"HTTP_PROXY": "ftp://proxy.example"}, "HTTP_PROXY"),
        ({"HTTP_PROXY": "http://proxy.example:99999999"}, "HTTP_PROXY"),
        ({"SSL_CERT_FILE": "/nonexistent/cacert.pem"}, "SSL_CERT_FILE"),
        ({"REQUESTS_CA_BUNDLE": "/nonexistent/cacert.pem"}, "REQUESTS_CA_BUNDLE"),
        ({"CURL_CA_BUNDLE": os.devnull}, "CURL_CA_BUNDLE"),
        ({"SSL_CERT_FILE": __file__}, "SSL_CERT_FILE"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9999999"}, "HF_ENDPOINT"),
        ({"HF_ENDPOINT": "hf-mirror.example"}, "set it to https://hf-mirror.example"),
        ({"HF_ENDPOINT": "https://hf mirror.example"}, "HF_ENDPOINT"),
        ({"HF_ENDPOINT": "ftp://mirror.example"}, "HF_ENDPOINT"),
        ({"HF_ENDPOINT": "https://"}, "HF_ENDPOINT"),
        ({"HF_ENDPOINT": "https://mirror.example/?x=1"}, "HF_ENDPOINT"),
        ({"HF_ENDPOINT": "https://mirr\u00f6r.example"}, "HF_ENDPOINT"),
        ({"HF_ENDPOINT": "https://[::1"}, "HF_ENDPOINT"),
    ],
)
def test_a_setting_of_the_network_that_cannot_be_used_is_named(server, monkeypatch, variables, named):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DownloadFailed) as raised:
        bring()
    assert named in in_three_lines(raised) and "secret" not in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize("address", ["{}/", " {}\n", "{}/mirror"])
def test_an_address_with_a_slash_blanks_or_a_path_is_used_as_it_is_meant(server, monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address.format(server.endpoint))
    if "mirror" in address:
        with pytest.raises(DownloadFailed, match="404"):
            bring()
        assert server.requests[0][0].startswith("/mirror/api/models/")
    else:
        bring()
        assert is_right(server)


@pytest.mark.parametrize("token", ["hf_abc\u2026", "hf_a b", "hf_a\x01b", "hf_\udc80"])
def test_a_token_that_cannot_be_sent_stops_nothing(server, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    lines = []
    registry.bring(entry(), say=lines.append)
    assert is_right(server) and "HF_TOKEN" in " ".join(lines)
    assert not any(shown for _, shown in server.requests)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_left_out_and_that_is_said_once(server, monkeypatch, status):
    monkeypatch.setenv("HF_TOKEN", "hf_expired0000000000")
    server.faults = Faults(refuses_token=status)
    lines = []
    registry.bring(entry(), say=lines.append)
    assert is_right(server)
    assert [line for line in lines if "HF_TOKEN" in line and "asking without it" in line] == lines[1:2]
    assert sum(bool(shown) for _, shown in server.requests) == 1


def test_a_token_goes_to_the_hub_and_to_no_other_host(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    bring()
    assert all(shown == ("" if "/cdn/" in path else "Bearer hf_good") for path, shown in server.requests)


@pytest.mark.parametrize(("status", "told"), [(401, "hf auth login"), (403, "hf auth login"), (407, "HTTPS_PROXY")])
def test_a_hub_that_refuses_everybody_is_told_with_what_to_do(server, status, told):
    server.faults = Faults(asks_token=status)
    with pytest.raises(DownloadFailed, match=told) as raised:
        bring()
    assert str(status) in in_three_lines(raised)
    assert len(server.requests) == 1


@pytest.mark.parametrize("busy_at", ["/api/", "config.json", LARGE])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [("7", 7, 7), ("0", 0, 0), (None, 55, 55), ("in 5 minutes", 55, 55), ("{date}", 20, 32)],
)
def test_a_busy_hub_is_waited_for_as_long_as_it_says(server, waits, busy_at, status, retry_after, least, most):
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    told = retry_after and retry_after.format(date=date)
    server.faults = Faults(n_busy=2, busy_status=status, busy_at=busy_at, retry_after=told, rate_limit='"r";r=0;t=55')
    lines = []
    registry.bring(entry(), say=lines.append)
    assert is_right(server)
    assert len(waits) == 2 and all(least <= each <= most for each in waits)
    assert sum("is busy" in line for line in lines) == (2 if least else 0)


@pytest.mark.parametrize(
    ("retry_after", "n_waits"), [("100000", 0), ("99999999999999999999", 6), ("1", 6), (None, 6), ("-5", 6), ("nan", 6)]
)
def test_a_hub_that_stays_busy_is_given_up(server, waits, retry_after, n_waits):
    server.faults = Faults(n_busy=10**9, retry_after=retry_after)
    with pytest.raises(DownloadFailed, match="busy"):
        bring()
    assert len(waits) == n_waits and all(0 <= each <= hub.LONGEST_WAIT_S for each in waits)


@pytest.mark.parametrize("way", ["relative", "elsewhere"])
def test_redirects_are_followed(server, way):
    server.faults = Faults(redirect=way)
    bring()
    assert is_right(server)


@pytest.mark.parametrize("way", ["loop", "chain", "nowhere"])
def test_redirects_that_lead_nowhere_are_told(server, waits, way):
    server.faults = Faults(redirect=way)
    with pytest.raises(DownloadFailed) as raised:
        bring()
    in_three_lines(raised)
    assert len(server.requests) < 20


@pytest.mark.parametrize(
    "faults", [Faults(range_from=0), Faults(range_from=249_999), Faults(wrong_total=True), Faults(packs=True)]
)
def test_a_range_that_is_not_the_one_asked_for_is_not_used(server, waits, faults):
    faults.cut_after, faults.n_cuts = 250_000, 1
    server.faults = faults
    bring()
    assert is_right(server)


def test_a_page_in_place_of_a_file_is_told_and_nothing_of_it_is_kept(server, waits):
    server.faults = Faults(is_link_page=True)
    with pytest.raises(DownloadFailed, match="web page") as raised:
        bring()
    in_three_lines(raised)
    assert not list(partial().glob(f"{LARGE}*"))


def test_half_of_another_file_is_fetched_anew(server):
    partial().mkdir(parents=True)
    for n_bytes, name in ((1000, LARGE), (10**6, "config.json")):
        (partial() / f"{name}.part").write_bytes(b"x" * n_bytes)
    (partial() / "tokenizer.json").mkdir()
    (partial() / "tokenizer_config.json.part").mkdir()
    bring()
    assert is_right(server)


def hostile_lists() -> list[bytes]:
    """Lists of files that are none: cut off, of other types, without end."""
    good = {"sha": REVISION, "siblings": [{"rfilename": "config.json", "size": 2, "blobId": "0" * 40}]}
    sizes = [-1, 2.5, "12", True, [1], 10**30, float("inf")]
    odd = [{**good, "siblings": [{**good["siblings"][0], "size": size}]} for size in sizes]
    odd += [{**good, "siblings": siblings} for siblings in (None, {}, "x", [None], [[]], [{}], [{"rfilename": 5}])]
    odd += [{**good, "siblings": [{**good["siblings"][0], "blobId": 5}]}, {**good, "siblings": good["siblings"] * 2}]
    odd += [{**good, "siblings": [{**good["siblings"][0], "lfs": "x"}]}, {**good, "sha": "f" * 40}]
    odd += [[], None, 5, "x", {}]
    odd = [json.dumps(each).encode() for each in odd]
    return [b"", b"{", b"\xff\xfe", b"[" * 100_000, json.dumps(good).encode()[:-5], *odd]


@pytest.mark.parametrize("told", hostile_lists(), ids=range(len(hostile_lists())))
def test_a_list_that_is_none_is_told(server, waits, told):
    server.faults = Faults(lists=told)
    with pytest.raises(DownloadFailed) as raised:
        bring()
    assert server.endpoint in in_three_lines(raised)


@pytest.mark.parametrize(("faults", "told"), [(Faults(no_sizes=True), "no sizes"), (Faults(no_hashes=True), "no hash")])
def test_a_mirror_without_sizes_or_hashes_is_told_so(server, faults, told):
    server.faults = faults
    with pytest.raises(DownloadFailed, match=told) as raised:
        bring()
    assert "HF_ENDPOINT" in in_three_lines(raised)


def test_an_answer_in_drops_is_given_up(server, monkeypatch):
    monkeypatch.setattr(hub, "SLOW_S", 0.05)
    monkeypatch.setattr(hub, "SLOW_BYTES", 10**12)
    server.faults = Faults(bytes_a_second=600_000)
    with pytest.raises(DownloadFailed, match="Slow"):
        bring()


def test_a_header_in_drops_is_given_up(server, monkeypatch):
    """Each byte would begin the client's time-out anew."""
    ended = threading.Event()

    def drip(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            line.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not ended.wait(0.02):
                line.sendall(b"x")

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    monkeypatch.setattr(hub, "HEADER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(DownloadFailed) as raised:
            bring()
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
    in_three_lines(raised)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for this machine that nobody has signed but itself, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    file, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", file],
        check=True, capture_output=True,
    )  # fmt: skip
    return file, key


@pytest.mark.parametrize("name", [None, "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_is_trusted_when_a_variable_names_it_and_else_told(
    tiny_folder, certificate, waits, monkeypatch, name
):
    monkeypatch.setenv("COURSE_MODELS", "")
    with HubServer(tiny_folder, *certificate) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        if name:
            monkeypatch.setenv(name, str(certificate[0]))
            bring()
            assert is_right(server)
        else:
            with pytest.raises(DownloadFailed, match="(?s)self.signed.*SSL_CERT_FILE") as raised:
                bring()
            in_three_lines(raised)
            assert server.requests == []


def test_a_proxy_that_wants_a_password_is_told(certificate, waits, monkeypatch):
    """A tunnel through a proxy: it answers CONNECT with 407."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")

        def refuse() -> None:
            line, _ = proxy.accept()
            with line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(DownloadFailed, match="407") as raised:
            bring()
        thread.join()
    assert "NAME:PASSWORD" in in_three_lines(raised)


# -- a model's folder that is damaged ----------------------------------------------------------------------------------


def damage(folder: Path, how: str) -> None:
    match how:
        case "lost weights":
            (folder / LARGE).unlink()
        case "lost config":
            (folder / "config.json").unlink()
        case "lost tokenizer":
            (folder / "tokenizer.json").unlink()
        case "lost all":
            shutil.rmtree(folder)
            folder.mkdir()
        case "lost seal, changed config":
            (folder / "course.json").unlink()
            (folder / "config.json").write_text("{")
        case "seal of another kind":
            (folder / "course.json").write_text('{"files": [1, 2]}')
            (folder / "config.json").unlink()
        case "weights are a folder":
            (folder / LARGE).unlink()
            (folder / LARGE).mkdir()
        case "is a file":
            shutil.rmtree(folder)
            folder.write_text("mine")
        case "is a link":
            folder.rename(folder.with_name("elsewhere"))
            folder.symlink_to(folder.with_name("elsewhere"))
            (folder / "config.json").unlink()


@pytest.mark.parametrize("has_notes", [False, True])
@pytest.mark.parametrize(
    ("how", "n_fetched"),
    [
        ("lost weights", 1), ("lost config", 1), ("lost tokenizer", 1), ("lost all", 5), ("seal of another kind", 1),
        ("lost seal, changed config", 1), ("weights are a folder", 1), ("is a file", 5), ("is a link", 1),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_mended_and_what_is_whole_is_not_fetched_again(server, how, n_fetched, has_notes):
    target = bring()
    damage(target, how)
    if has_notes and target.is_dir():
        (target / "notes.txt").write_text("mine")
    server.requests.clear()
    lines = []
    if how != "lost seal, changed config":  # without its seal, a folder whose files can be read passes as one's own
        registry.bring(entry(), say=lines.append)
        assert is_right(server) and not target.is_symlink()
        assert sum("/resolve/" in path for path, _ in server.requests) <= n_fetched
        assert sorted(path.name for path in target.iterdir() if path.name != "course.json") == sorted(server.files)
    if has_notes or how == "is a file":
        kept = [file for file in target.parent.rglob("*") if file.is_file() and file.read_bytes() == b"mine"]
        assert len(kept) == 1
    assert registry.bring(entry(), say=lines.append) == target  # and nothing is left to do


def test_a_mending_that_is_interrupted_leaves_the_damaged_folder(server, waits):
    target = bring()
    (target / LARGE).unlink()
    before = sorted(path.name for path in target.iterdir())
    server.faults = Faults(missing=True)
    with pytest.raises(DownloadFailed):
        bring()
    assert sorted(path.name for path in target.iterdir()) == before
    server.faults = Faults()
    bring()
    assert is_right(server)
