"""A model hub on loopback: the hub's true protocol over http, with faults that can be switched on.

It serves one model's folder under any revision: the list of files with sizes and hashes, ``HEAD`` and ``GET`` of each
file with ``ETag``, ``X-Repo-Commit``, ``X-Linked-Etag`` and ``X-Linked-Size``, large files by way of a redirect, and
``Range`` with 206. Weights can be announced as lying in xet storage too, as the public hub does.
"""

import dataclasses
import functools
import gzip
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPO = "course/random-gpt2"
REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE = "model.safetensors"


@dataclasses.dataclass
class Faults:
    """What goes wrong; all of it concerns the weights only."""

    cut_after: int | None = None  # bytes of an answer, then the connection is closed
    n_cuts: int | None = None  # how often; None: each time
    corrupt: bool = False  # one byte is another
    missing: bool = False  # 404
    broken: bool = False  # 500
    stall: bool = False  # the answer begins and never goes on
    bytes_a_second: float | None = None
    ignores_range: bool = False
    is_login_page: bool = False  # everything answers 200 with a web page
    is_link_page: bool = False  # the weights answer 200 with a web page
    range_from: int | None = None  # a range is answered with 206, and begins here instead
    wrong_total: bool = False  # a range tells another length of the whole
    packs: bool = False  # everything comes in gzip, whatever was asked for
    refuses_token: int = 0  # this status to whoever shows a token: 401 or 403
    asks_token: int = 0  # this status to everybody
    n_busy: int = 0  # how often it is busy
    busy_status: int = 429
    busy_at: str = "/"  # what the addresses contain at which it is busy
    retry_after: str | None = "1"
    rate_limit: str | None = None
    redirect: str = ""  # of small files: "relative", "loop", "nowhere", "elsewhere" (another host), or "chain"
    lists: bytes | None = None  # the list of files, word for word
    no_sizes: bool = False
    no_hashes: bool = False


@dataclasses.dataclass
class Answer:
    """One answer that was made up, for tests that draw them at random.

    Parameters
    ----------
    status : int
    headers : dict
        Added to the right ones, or in their place.
    body : bytes, optional
        In place of the right one.
    cut : int, optional
        The connection is closed after so many bytes of the body; -1 to -3: before an answer has begun.
    is_packed : bool
        The body comes in gzip.
    """

    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    is_packed: bool = False


class HubServer:
    """The server; use it in a ``with`` block."""

    def __init__(self, folder: Path, certificate: Path | None = None, key: Path | None = None) -> None:
        self.folder, self.faults, self.in_xet = folder, Faults(), False
        self.answers: list[Answer | None] = []  # of the next requests; None is a right one
        self.requests: list[tuple[str, str]] = []  # address, and what was shown as authorization
        self.ranges: list[str] = []
        self.sent = 0
        self.released = threading.Event()
        self._http = _Server(("127.0.0.1", 0), functools.partial(_Handler, self))
        self._http.daemon_threads = True
        scheme, port = "http", self._http.server_address[1]
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate, key)
            # The greeting is done in the thread of each connection: one that fails must not end the server.
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        self.endpoint, self.cdn = f"{scheme}://127.0.0.1:{port}", f"{scheme}://localhost:{port}"

    def __enter__(self) -> "HubServer":
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @functools.cached_property
    def files(self) -> dict[str, dict]:
        """The files as the hub lists them."""
        listed = {}
        for path in sorted(self.folder.iterdir()):
            content = path.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            listed[path.name] = {"rfilename": path.name, "size": len(content), "blobId": blob}
            if path.name == LARGE:
                sha256 = hashlib.sha256(content).hexdigest()
                listed[path.name]["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return listed


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up, as they do when a certificate is wrong."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, server: HubServer, *rest: object) -> None:
        self.hub = server
        super().__init__(*rest)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, faults, shown = self.path.split("?")[0], self.hub.faults, self.headers.get("Authorization", "")
        self.hub.requests.append((path, shown))
        self._made_up = self.hub.answers.pop(0) if self.hub.answers else None
        if faults.asks_token or (faults.refuses_token and shown):
            self._send(faults.asks_token or faults.refuses_token, b'{"error":"Invalid credentials"}', {})
        elif faults.n_busy and faults.busy_at in path:
            faults.n_busy -= 1
            headers = {"Retry-After": faults.retry_after, "RateLimit": faults.rate_limit}
            self._send(faults.busy_status, b"later", {name: value for name, value in headers.items() if value})
        elif self.hub.faults.is_login_page:
            self._send(200, b"<html>Please log in to the campus network</html>", {"Content-Type": "text/html"})
        elif path in (f"/api/models/{REPO}/revision/{REVISION}", f"/api/models/{REPO}"):
            told = {
                "id": REPO,
                "modelId": REPO,
                "sha": REVISION,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
            told["siblings"] = [dict(each) for each in self.hub.files.values()]
            for each in told["siblings"]:
                for name in ["size"] * faults.no_sizes + ["lfs", "blobId"] * (faults.no_hashes or faults.no_sizes):
                    each.pop(name, None)
            content = json.dumps(told).encode() if faults.lists is None else faults.lists
            self._send(200, content, {"Content-Type": "application/json"})
        elif path.startswith("/cdn/"):
            self._content(path.removeprefix("/cdn/"))
        elif path.startswith("/relative/"):
            self._content(path.split("/")[-1])
        elif path.startswith("/chain/"):
            self._send(307, b"", {"Location": f"{path}x"})
        elif (found := re.fullmatch(rf"/{REPO}/resolve/{REVISION}/(.+)", path)) and found[1] in self.hub.files:
            self._resolve(found[1])
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _resolve(self, name: str) -> None:
        """Small files come at once, large ones by a redirect."""
        listed = self.hub.files[name]
        if name != LARGE and (way := self.hub.faults.redirect):
            where = {"relative": f"/relative/{name}", "loop": self.path, "nowhere": "file:///etc/passwd",
                     "elsewhere": f"{self.hub.cdn}/cdn/{name}", "chain": "/chain/"}[way]  # fmt: skip
            self._send(307, b"", {"Location": where})
            return
        if name != LARGE:
            self._content(name, {"ETag": f'"{listed["blobId"]}"', "X-Repo-Commit": REVISION})
            return
        headers = {
            "X-Repo-Commit": REVISION,
            "X-Linked-Etag": f'"{listed["lfs"]["sha256"]}"',
            "X-Linked-Size": str(listed["size"]),
            "Location": f"{self.hub.cdn}/cdn/{name}",  # another host, as the public hub's
        }
        if self.hub.in_xet:
            headers["X-Xet-Hash"] = listed["lfs"]["sha256"]
            headers["Link"] = f'<{self.hub.endpoint}/api/models/{REPO}/xet-read-token/{REVISION}>; rel="xet-auth"'
        self._send(302, b"", headers)

    def _content(self, name: str, headers: dict[str, str] | None = None) -> None:
        content, faults, status = (self.hub.folder / name).read_bytes(), self.hub.faults, 200
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **(headers or {})}
        if name == LARGE and (faults.missing or faults.broken):
            self._send(404 if faults.missing else 500, b"", {"X-Error-Code": "EntryNotFound"})
            return
        if name == LARGE and faults.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if name == LARGE and faults.is_link_page:
            content, headers["Content-Type"] = b"<html>Click to accept the terms</html>", "text/html"
        if (asked := self.headers.get("Range")) and not faults.ignores_range:
            self.hub.ranges.append(asked)
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            start = start if faults.range_from is None else faults.range_from
            total = len(content) + faults.wrong_total
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{total}"
            content, status = content[start:], 206
        if faults.packs:
            content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
        self._send(status, content, headers, faults if name == LARGE else Faults())

    def _send(self, status: int, content: bytes, headers: dict[str, str], faults: Faults | None = None) -> None:
        if made_up := self._made_up:
            status, content = made_up.status, content if made_up.body is None else made_up.body
            content = gzip.compress(content) if made_up.is_packed else content
            packed = {"Content-Encoding": "gzip"} if made_up.is_packed else {}
            headers = {**headers, **packed, **made_up.headers}
            if made_up.cut is not None and made_up.cut < 0:
                self._hang_up(made_up.cut)
                return
            faults = Faults(cut_after=made_up.cut)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self._body(content, faults or Faults())
        except ConnectionError:
            self.close_connection = True  # the other side left

    def _hang_up(self, how: int) -> None:
        """End before there is an answer: -1 says nothing, -2 says half a line, -3 resets the connection."""
        self.close_connection = True
        if how == -2:
            self.wfile.write(b"HTTP/1.1 20")
        if how == -3:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _body(self, content: bytes, faults: Faults) -> None:
        cut = faults.cut_after if faults.n_cuts is None or faults.n_cuts > 0 else None
        if faults.stall:
            self.hub.released.wait(60)
            self.close_connection = True
            return
        if cut is not None and cut < len(content):
            content, self.close_connection = content[:cut], True
            faults.n_cuts = faults.n_cuts and faults.n_cuts - 1
        for start in range(0, len(content), 1 << 16):
            piece = content[start : start + (1 << 16)]
            self.wfile.write(piece)
            self.wfile.flush()
            self.hub.sent += len(piece)
            if faults.bytes_a_second:
                time.sleep(len(piece) / faults.bytes_a_second)
