"""Connection to a model server: one request, its response as it comes, errors, and retry with waiting."""

import contextlib
import functools
import http.client
import io
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, Protocol, cast
from urllib.parse import urlsplit

from course_utils import errors
from course_utils.core.json_types import JsonObject
from course_utils.errors import CourseError, SettingsError
from course_utils.models.inference.base import Cancelled

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_S = 3.0
SILENCE_S = 30.0  # the course's server sends a comment every ten seconds
LONG_SILENCE_S = 300.0  # for an answer that comes in one piece
LOOK_S = 0.1  # between two looks at the stop signal
PAUSES_S = (0.25, 0.5, 1.0, 2.0)  # between two looks whether the server is back; the last one for ever
PATIENCE_S = 60.0  # where nobody is told that one waits
MAX_ANSWER_BYTES = 1 << 26  # bytes
CLOSING = "closing"  # the course's server's word for it
ABSENT = "The model's process does not answer; your text is kept and goes on by itself when it is back."

Tell = Callable[[str], object]


class NoServer(CourseError):
    """Nobody answers at a model server's address."""


class NotServed(CourseError):
    """A model server refuses a request, or breaks off in the middle."""


class ConnectionLost(Exception):
    """The connection broke, was never made, or was silent for too long."""


@functools.cache
def _viewer(process: int) -> str:
    return secrets.token_hex(8)


def viewer() -> str:
    """Return this process's name for a server, a random one: who splits off from a process gets another."""
    return _viewer(os.getpid())


class StopSignal(Protocol):
    """A stop signal: a `threading.Event`, or `CombinedStopSignal`."""

    def is_set(self) -> bool:
        """Tell whether it has come."""

    def wait(self, timeout: float) -> bool:
        """Wait until it comes, but no longer than that; return whether it has."""


class CombinedStopSignal:
    """Stop signal that is also set when another one is: the reader's own, and the caller's.

    Parameters
    ----------
    asked : threading.Event or None
    """

    def __init__(self, asked: StopSignal | None) -> None:
        self._asked, self._own = asked or threading.Event(), threading.Event()

    def set(self) -> None:
        """Give the reader's own signal."""
        self._own.set()

    def is_set(self) -> bool:
        """Tell whether either has come."""
        return self._own.is_set() or self._asked.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until one comes, but no longer than that; return whether one has."""
        end = time.monotonic() + timeout
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            self._asked.wait(min(left, LOOK_S))
        return self.is_set()


class ServerConnection:
    """The way to one server; every request has a connection of its own, so a process that splits shares none.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8799``; with or without ``/v1``.
    key : str, optional
        Sent as bearer token; COURSE_MODEL_KEY when left out.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise SettingsError(
                f"The model server's address is {url!r}.",
                "An address with http.",
                'For example "http://127.0.0.1:8799".',
            )
        self.url, self._key = url.rstrip("/").removesuffix("/v1"), key or os.environ.get("COURSE_MODEL_KEY")
        self._is_safe, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._prefix = urlsplit(self.url).path

    def get(self, path: str, cancel: StopSignal | None = None) -> JsonObject:
        """Return the JSON at a path.

        Raises
        ------
        ConnectionLost, Cancelled, CourseError
        """
        return _whole(self._answer("GET", path, None, cancel, SILENCE_S))

    def ask(self, body: JsonObject, cancel: StopSignal | None = None) -> JsonObject:
        """Return the answer to a request for a completion that comes in one piece; raises as `get` does."""
        return _whole(self._answer("POST", "/v1/completions", body, cancel, LONG_SILENCE_S))

    def token_ids(self, body: JsonObject, cancel: StopSignal | None = None) -> JsonObject:
        """Return the answer of ``/tokenize``; raises as `get` does."""
        return _whole(self._answer("POST", "/tokenize", body, cancel, SILENCE_S))

    def follow(self, body: JsonObject, cancel: StopSignal | None = None) -> Iterator[JsonObject | str]:
        """Yield a completion's chunks as they come, and the server's comments as strings; raises as `get` does."""
        yield from self._answer("POST", "/v1/completions", body, cancel, SILENCE_S)

    def wait(self, cancel: StopSignal | None, tell: Tell | None) -> None:
        """Return when the server answers again.

        Raises
        ------
        NoServer
            Where nobody is told (``tell`` is None), after a minute.
        Cancelled
        """
        begun, pauses = time.monotonic(), iter(PAUSES_S)
        while not self.is_there(cancel):
            if tell is not None:
                tell(ABSENT)
            elif time.monotonic() - begun > PATIENCE_S:
                raise self.absent()
            _rest(next(pauses, PAUSES_S[-1]), cancel)

    def is_there(self, cancel: StopSignal | None = None) -> bool:
        """Tell whether anybody answers."""
        try:
            self.get("/health", cancel)
        except (ConnectionLost, NotServed) as error:
            return isinstance(error, NotServed)  # a server of another kind may know no /health
        except CourseError:
            pass
        return True

    def absent(self) -> NoServer:
        """Return the error for a caller that cannot wait."""
        return NoServer(
            f"The model server at {self.url} does not answer.",
            "A model server that runs.",
            "Start it: python -m course_utils serve; or wait a little, then try again.",
        )

    def _answer(
        self, method: str, path: str, body: JsonObject | None, cancel: StopSignal | None, silence_s: float
    ) -> Iterator[JsonObject | str]:
        kind = http.client.HTTPSConnection if self._is_safe else http.client.HTTPConnection
        with contextlib.closing(kind(self._host, self._port, timeout=CONNECT_S)) as connection, _as_connection_lost():
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            data = None if body is None else json.dumps(body).encode()
            headers |= {} if data is None else {"Content-Type": "application/json"}
            connection.request(method, self._prefix + path, data, headers)
            connection.sock.settimeout(LOOK_S)
            patient = cast(
                socket.socket, _CancellableSocket(connection.sock, cancel, silence_s)
            )  # only `makefile` is asked for
            with http.client.HTTPResponse(patient, method=method) as response:
                response.begin()
                if response.status >= 400:
                    _refuse(response.status, response.read(MAX_ANSWER_BYTES), self.url)
                if "event-stream" in response.headers.get("Content-Type", ""):
                    yield from _events(response)
                else:
                    yield _json(response.read(MAX_ANSWER_BYTES))


def _whole(answer: Iterator[JsonObject | str]) -> JsonObject:
    """Return the object of an answer that comes in one piece.

    Raises
    ------
    NotServed
        The server sends a stream of events, which the request did not ask for.
    """
    found = next(answer, None)
    if not isinstance(found, dict):
        came = "nothing" if found is None else repr(found[:40])
        raise NotServed(
            f"The model server sends {came} where one object was asked for.",
            "One JSON object.",
            "Check the server's address, and that it serves OpenAI's completions API.",
        )
    return found


class _CancellableSocket(io.RawIOBase):
    """A socket to read from that looks at the stop signal while nothing comes."""

    def __init__(self, sock: socket.socket, cancel: StopSignal | None, silence_s: float) -> None:
        self._sock, self._cancel, self._silence_s = sock, cancel, silence_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return itself with a buffer (http.client asks for this name)."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what has come, or wait for it."""
        last_byte_at = time.monotonic()
        while True:
            if self._cancel is not None and self._cancel.is_set():
                raise Cancelled
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                if time.monotonic() - last_byte_at > self._silence_s:
                    raise ConnectionLost("silence") from None


@contextlib.contextmanager
def _as_connection_lost() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionLost(str(error)) from error


def _events(response: http.client.HTTPResponse) -> Iterator[JsonObject | str]:
    """Yield what stands after each ``data:``, and comments, until the server says that it is done."""
    rest = b""
    while piece := response.read1(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            name, _, value = line.strip().partition(b":")
            if not name and value:
                yield value.strip().decode("utf-8", errors="replace")
            elif name == b"data":
                if value.strip() == b"[DONE]":
                    return
                chunk = _json(value)
                if chunk.get("error"):
                    raise _problem(500, chunk)
                yield chunk
    raise ConnectionLost("the answer ended before its end")


def _json(data: bytes) -> JsonObject:
    try:
        found = json.loads(data)
    except ValueError:
        raise ConnectionLost(f"no JSON: {data[:40]!r}") from None
    return found if isinstance(found, dict) else {"data": found}


def _refuse(status: int, data: bytes, url: str) -> NoReturn:
    found: object = {}
    with contextlib.suppress(ValueError):
        found = json.loads(data)
    response_body: JsonObject = found if isinstance(found, dict) else {}
    if status in (502, 503, 504) and not response_body.get("error"):
        raise ConnectionLost(f"{status} on the way")  # a proxy tells that there is nobody behind it
    if status == 401 and "course" not in str(found):
        raise NotServed(f"The model server at {url} wants a key.", "Its key.", "Set COURSE_MODEL_KEY, and try again.")
    raise _problem(status, response_body)


def _problem(status: int, found: JsonObject) -> Exception:
    """Return what a server says is wrong; where it says that it is going away, it is as good as gone."""
    error = in_its_words(status, found)
    return ConnectionLost(str(error)) if error.code == CLOSING else error


def in_its_words(status: int, found: JsonObject) -> CourseError:
    """Return what a server says is wrong as an error: of the course's own kind where it names one."""
    reason = found.get("error") or found.get("detail") or found.get("message") or f"no reason given, status {status}"
    course_fields = reason.get("course") if isinstance(reason, dict) else None
    if isinstance(course_fields, dict):
        kind = getattr(errors, str(course_fields.get("error")), NotServed)
        kind = kind if isinstance(kind, type) and issubclass(kind, CourseError) else NotServed
        error = kind(*(str(course_fields.get(part) or "") for part in ("what", "expected", "next_step")))
    else:
        words = reason.get("message", reason) if isinstance(reason, dict) else reason
        error = NotServed(f"The model server refuses: {str(words)[:500]}")
    error.status, error.code = status, str(reason.get("code") or "") if isinstance(reason, dict) else None
    return error


def _rest(seconds: float, cancel: StopSignal | None) -> None:
    """Wait a little, unless the stop signal comes."""
    if (cancel or CombinedStopSignal(None)).wait(seconds):
        raise Cancelled
