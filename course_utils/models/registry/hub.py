"""Downloads from a model hub: files that are continued after an interruption and compared with the hub's own hashes.

The hub is the one named by ``HF_ENDPOINT``, at first use and not at import. The files come by plain HTTP. The hub's
own library is asked for the token only, for two reasons: it starts a file anew after an interruption, and its other
way of transport (xet) needs hosts that the firewall of a school may not know.

An answer is checked before a byte of it is kept: its length, where its range begins, and whether it is a web page.
"""

import dataclasses
import datetime
import email.utils
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit
from urllib.request import proxy_bypass

import httpx2

from course_utils.core.files import write_errors
from course_utils.core.wheels import CERTIFICATES, PROXIES, require_space, sha256_of, without_password
from course_utils.errors import DamagedFile, DownloadFailed

DEFAULT_ENDPOINT = "https://huggingface.co"
NEEDED = ("config.json", "model.safetensors")
WANTED = (*NEEDED, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
TIMEOUT_S = 15.0  # without a byte
TRIES_WITHOUT_A_BYTE = 3
FURTHER_BYTES = 50_000  # an answer that brings as many has earned all tries anew
PAUSE_S = 0.5
SLOW_S = 60.0  # an answer that brings fewer than SLOW_BYTES in this time is given up
SLOW_BYTES = 10_000
HEADER_S = 60.0  # from a question to the beginning of its answer
BUSY = (429, 503)
BUSY_TRIES = 6  # in a row
LONGEST_WAIT_S = 120.0  # of one wait that a busy hub asks for
MOST_REDIRECTS = 10
LARGEST_LIST_BYTES = 20_000_000
LARGEST_FILE_BYTES = 1 << 50

Progress = Callable[[float, float], None]
Say = Callable[[str], object]

logger = logging.getLogger(__name__)


def wait(seconds: float) -> None:
    """Wait before another try. Tests replace this function, so that they need not wait."""
    time.sleep(seconds)


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One file as the hub describes it."""

    path: str
    size: int
    sha256: str = ""  # of large files
    git_sha1: str = ""  # of small files: git's name for their content

    def is_whole(self, file: Path) -> bool:
        """Tell whether a file on this machine is this one, byte for byte."""
        try:
            if not file.is_file() or file.stat().st_size != self.size:
                return False
            if self.sha256:
                return sha256_of(file) == self.sha256
            content = file.read_bytes()
        except OSError:  # what cannot be read is fetched again
            return False
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.git_sha1


class Unusable(Exception):
    """An answer of the hub that is not the file asked for."""

    def __init__(self, why: str, is_range: bool = False) -> None:
        super().__init__(why)
        self.is_range = is_range  # the file may still come from its start


# -- the hub's address -------------------------------------------------------------------------------------------------


def endpoint() -> str:
    """Return the address of the hub, from ``HF_ENDPOINT`` if set, without a slash at its end.

    Raises
    ------
    DownloadFailed
        ``HF_ENDPOINT`` is no address.
    """
    address = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).strip().rstrip("/")
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_address = is_address and not (parts.query or parts.fragment)
        is_address = is_address and re.fullmatch(r"[!-~]+", address) is not None
        if is_address:
            httpx2.URL(address)
    except (ValueError, httpx2.InvalidURL):
        is_address = False
    if not is_address:
        raise DownloadFailed(
            f"HF_ENDPOINT is {address[:100]!r}, which is no address of a hub.",
            f"An address such as {DEFAULT_ENDPOINT}.",
            f"Unset HF_ENDPOINT, or set it to {_with_scheme(address)}.",
        )
    return address


def check_settings() -> str:
    """Return the hub's address for messages, after a look at address, proxy and certificates; nothing is sent.

    Raises
    ------
    DownloadFailed
        One of them cannot be used; it names the variable.
    """
    _refuse_when_offline("A model")
    _client("A model").close()
    return shown_endpoint()


def _with_scheme(address: str) -> str:
    return f"https://{address}" if re.fullmatch(r"[a-zA-Z0-9.-]+\.[a-zA-Z]+", address) else "the mirror's address"


def shown_endpoint() -> str:
    """Return the hub's address as it may be printed: without a name and password in it."""
    return re.sub(r"//[^/]*@", "//", endpoint())


# -- a model's files ---------------------------------------------------------------------------------------------------


def download(
    repo: str,
    revision: str,
    folder: Path,
    weights_sha256: str = "",
    progress: Progress | None = None,
    say: Say = logger.warning,
) -> Path:
    """Bring one model's files into a folder; whole files are kept, half ones continued.

    Parameters
    ----------
    repo, revision : str
        The hub's name of the model, and the commit to take.
    folder : Path
        A staging folder. After an interruption it keeps what has come.
    weights_sha256 : str, optional
        The pinned hash of ``model.safetensors``; the hub's own is compared with it before a byte is fetched.
    progress : callable, optional
        Called with the megabytes that have come and the megabytes in all.
    say : callable, optional
        Told in one line what a person should know meanwhile: a busy hub, a token that is refused.

    Raises
    ------
    DownloadFailed
        There is no network, no such model, no answer, or too many interruptions; or a setting of the network is wrong.
    DamagedFile
        What came is not what the hub or the pin promised; it is deleted.
    NoSpace
        The disk is too full, or the folder may not be written.
    """
    _refuse_when_offline(repo)
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with Connection(repo, say) as hub:
        files = _files(hub, repo, revision, weights_sha256)
        _bring(hub, files, repo, revision, folder, progress or (lambda come_mb, all_mb: None))
    return folder


def _bring(
    hub: "Connection", files: list[RemoteFile], repo: str, revision: str, folder: Path, progress: Progress
) -> None:
    """Fetch the files that are not whole in the folder, telling how far the whole model has come."""
    missing = [file for file in files if not file.is_whole(folder / file.path)]
    here_mb = sum(min(file.size, _size(_part(folder / file.path))) for file in missing) / 1e6
    require_space(folder, sum(file.size for file in missing) / 1e6 - here_mb + 20)
    all_bytes = sum(file.size for file in files)
    come = all_bytes - sum(file.size for file in missing)
    for file in missing:
        url = f"{endpoint()}/{repo}/resolve/{quote(revision, safe='')}/{quote(file.path)}"
        for written in _fetch(hub, url, file, folder):
            progress((come + written) / 1e6, all_bytes / 1e6)
        come += file.size


def _files(hub: "Connection", repo: str, revision: str, weights_sha256: str) -> list[RemoteFile]:
    """Ask the hub for the files of a commit, with sizes and hashes."""
    url = f"{endpoint()}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
    told = hub.ask_json(url, repo)
    try:
        files = _described(told, repo, revision)
    except (KeyError, TypeError, AttributeError) as error:
        raise _failed(repo, "the answer is not a hub's; a login page of the network perhaps") from error
    if missing := set(NEEDED) - {file.path for file in files}:
        raise _failed(repo, f"the hub lists no {' and no '.join(sorted(missing))} at revision {revision[:12]}")
    _require_pin(files, weights_sha256, repo)
    files = [
        dataclasses.replace(file, sha256=weights_sha256)
        if file.path == "model.safetensors" and weights_sha256
        else file
        for file in files
    ]
    if unsure := [file.path for file in files if not (file.sha256 or file.git_sha1)]:
        raise _other_mirror(repo, f"the mirror tells no hash of {', '.join(unsure)}, so nobody could check it")
    return sorted(files, key=lambda file: file.size)


def _described(told: Any, repo: str, revision: str) -> list[RemoteFile]:
    """Read the hub's list of files; KeyError, TypeError or AttributeError where it is not one."""
    commit = told.get("sha")
    if isinstance(commit, str) and re.fullmatch("[0-9a-f]{40}", revision) and commit != revision:
        raise _other_mirror(repo, f"the mirror offers revision {commit[:12]} instead of {revision[:12]}")
    wanted = [sibling for sibling in told["siblings"] if sibling["rfilename"] in WANTED]
    if wanted and all(sibling.get("size") is None for sibling in wanted):
        raise _other_mirror(repo, "the mirror tells no sizes of its files")
    files: dict[str, RemoteFile] = {}
    for sibling in wanted:
        size, stored, sha1 = sibling.get("size"), sibling.get("lfs") or {}, sibling.get("blobId") or ""
        sha256 = stored.get("sha256") or str(stored.get("oid") or "").removeprefix("sha256:")
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= LARGEST_FILE_BYTES:
            raise TypeError("a size that is none")
        if (sha256 and not re.fullmatch("[0-9a-f]{64}", sha256)) or (sha1 and not re.fullmatch("[0-9a-f]{40}", sha1)):
            raise TypeError("a hash that is none")
        found = RemoteFile(sibling["rfilename"], size, sha256, sha1)
        if files.setdefault(found.path, found) != found:
            raise TypeError("a file that is listed twice")
    return list(files.values())


def _require_pin(files: list[RemoteFile], weights_sha256: str, repo: str) -> None:
    promised = next(file.sha256 for file in files if file.path == "model.safetensors")
    if weights_sha256 and promised and promised != weights_sha256:
        raise DamagedFile(
            f"{shown_endpoint()} offers other weights for {repo}: sha256 {promised[:16]}….",
            f"{weights_sha256[:16]}…, the hash pinned by the course.",
            "Use another mirror (HF_ENDPOINT), and tell the administrator of this one.",
        )


# -- one file ----------------------------------------------------------------------------------------------------------


def _fetch(hub: "Connection", url: str, file: RemoteFile, folder: Path) -> Iterator[int]:
    """Fetch one file to its ``.part``, yielding the length so far; check it; give it its name."""
    part = _part(folder / file.path)
    _clear_folder(part)
    _clear_folder(folder / file.path)
    began_with = _size(part)
    yield from _fetch_bytes(hub, url, file, part)
    if not file.is_whole(part) and began_with:  # an older half of another file, perhaps: once more from the start
        with write_errors(part):
            part.unlink(missing_ok=True)
        yield from _fetch_bytes(hub, url, file, part)
    if not file.is_whole(part):
        with write_errors(part):
            part.unlink(missing_ok=True)
        raise DamagedFile(
            f"{file.path} came with another hash or length than {shown_endpoint()} promised; it was deleted.",
            f"{file.size:,} bytes with the hash {(file.sha256 or file.git_sha1)[:16]}….",
            "Do the same again; what came whole is kept.",
        )
    with write_errors(folder / file.path):
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, folder / file.path)


def _fetch_bytes(hub: "Connection", url: str, file: RemoteFile, part: Path) -> Iterator[int]:
    """Ask until the part is as long as the file, or no further byte comes."""
    tries, resumes = TRIES_WITHOUT_A_BYTE, True
    if _size(part) > file.size:
        with write_errors(part):
            part.unlink()
    best = _size(part)
    if file.size == 0:
        with write_errors(part):
            part.touch()
    while (have := _size(part)) < file.size:
        begins = have if resumes else 0
        try:
            yield from _stream(hub, url, file, part, begins)
            if _size(part) <= begins:  # a polite answer without a byte: no use asking for ever
                raise _failed(file.path, f"the hub sent {begins:,} of {file.size:,} bytes and no more")
        except Unusable as problem:
            if not (problem.is_range and resumes):
                raise _failed(file.path, str(problem)) from problem
            resumes = False
        except httpx2.HTTPError as error:
            # Measured from the longest so far: an answer that always breaks off at another place must end too.
            is_further = _size(part) - best >= FURTHER_BYTES and not isinstance(error, Slow)
            tries, best = TRIES_WITHOUT_A_BYTE if is_further else tries - 1, max(best, _size(part))
            if tries <= 0:
                raise _failed(file.path, error) from error
            wait(PAUSE_S)


class Slow(httpx2.TransportError):
    """An answer brings too few bytes to ever end."""


def _stream(hub: "Connection", url: str, file: RemoteFile, part: Path, have: int) -> Iterator[int]:
    """Append what is missing to a part, yielding its length after each chunk.

    Raises
    ------
    Unusable
        The answer is not this file. Nothing of it was kept.
    """
    with hub.ask(url, file.path, {"Range": f"bytes={have}-"} if have else {}) as answer:
        begins = _begins(answer, file, have)
        chunks = _in_time(answer)
        first = next(chunks, b"")
        if begins == 0 and first.lstrip()[:1] == b"<":  # no file of a model begins so
            raise Unusable("a web page came in its place; a login page of the network perhaps")
        with write_errors(part):
            opened = part.open("r+b" if begins else "wb")
        with opened:
            with write_errors(part):
                opened.seek(begins)
            while first:
                with write_errors(part):
                    opened.write(first[: file.size - opened.tell()])
                    opened.flush()
                yield opened.tell()
                if opened.tell() >= file.size:
                    return
                first = next(chunks, b"")


def _begins(answer: httpx2.Response, file: RemoteFile, have: int) -> int:
    """Return at which byte of the file an answer begins.

    Raises
    ------
    Unusable
        Its status, range or length is not what was asked for.
    """
    is_packed = answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", "")
    length = answer.headers.get("Content-Length", "")
    if answer.status_code == 416:
        raise Unusable("the hub does not continue half a file", is_range=True)
    if answer.status_code == 206:
        told = answer.headers.get("Content-Range", "")
        found = re.fullmatch(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", told, re.IGNORECASE)
        is_right = False
        if found is not None and not is_packed:
            first, last = int(found[1]), int(found[2])
            is_right = first == have <= last < file.size and found[3] in ("*", str(file.size))
            is_right = is_right and (not length.isdecimal() or int(length) == last - have + 1)
        if not is_right:
            raise Unusable(f"bytes {have:,} and on were asked for, and {told[:60] or 'others'!r} came", is_range=True)
        return have
    if answer.status_code != 200:
        raise Unusable(f"the hub answers with status {answer.status_code}")
    if not is_packed and length.isdecimal() and int(length) != file.size:
        kind = answer.headers.get("Content-Type", "").split(";")[0][:40]
        what = "a web page, perhaps a login page of the network," if kind == "text/html" else "something else"
        raise Unusable(f"{what} came in its place: {length[:20]} bytes instead of {file.size:,}")
    return 0


def _in_time(answer: httpx2.Response) -> Iterator[bytes]:
    """Yield an answer's chunks, as long as they come faster than drops."""
    begun, come = time.monotonic(), 0
    for chunk in answer.iter_bytes():
        come += len(chunk)
        if time.monotonic() - begun > SLOW_S:
            if come < SLOW_BYTES:
                raise Slow(f"only {come:,} bytes came in {SLOW_S:.0f} seconds")
            begun, come = time.monotonic(), 0
        if chunk:
            yield chunk


# -- the connection ----------------------------------------------------------------------------------------------------


class Connection:
    """An HTTP connection to the hub, with what a person's network needs: proxy, certificates, token, patience.

    Parameters
    ----------
    what : str
        What is fetched, for messages.
    say : callable
        Told when the hub asks to wait, and when it refuses the token.

    Raises
    ------
    DownloadFailed
        A setting of the network is wrong; it names the variable.
    """

    def __init__(self, what: str, say: Say) -> None:
        self._say, self._client = say, _client(what)
        self._token = _token(say)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._client.close()

    def ask_json(self, url: str, what: str) -> Any:
        """Return the JSON of an address; ``what`` is for messages.

        Raises
        ------
        DownloadFailed
        """
        tries = TRIES_WITHOUT_A_BYTE
        while True:
            try:
                with self.ask(url, what, {}) as answer:
                    content = b""
                    for chunk in _in_time(answer):
                        content += chunk
                        if len(content) > LARGEST_LIST_BYTES:
                            raise _failed(what, "the answer is not a hub's: it does not end")
                return json.loads(content)
            except httpx2.HTTPError as error:
                tries -= 1
                if tries <= 0:
                    raise _failed(what, error) from error
                wait(PAUSE_S)
            except (ValueError, RecursionError) as error:
                why = "the answer is not a hub's; a login page of the network perhaps"
                raise _failed(what, why) from error

    @contextmanager
    def ask(self, url: str, what: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        """Open an answer. A busy hub is waited for; a token that it refuses is left out.

        Parameters
        ----------
        url : str
        what : str
            What is fetched, for messages.
        headers : dict

        Raises
        ------
        DownloadFailed
            The hub refuses, or is busy for too long; or the address or a proxy is wrong.
        httpx2.HTTPError
            The connection broke, or the hub has an error of its own: worth another try.
        """
        n_busy = 0
        while True:
            sent = {**headers, "Accept-Encoding": "identity", "User-Agent": "model-release-course"}
            if self._token:
                sent["Authorization"] = f"Bearer {self._token}"
            try:
                with _begun_in_time() as trace:
                    asked = self._client.build_request("GET", url, headers=sent, extensions={"trace": trace})
                    answer = self._client.send(asked, stream=True)
            except (httpx2.TooManyRedirects, httpx2.UnsupportedProtocol, httpx2.ProxyError) as error:
                raise _failed(what, error) from error
            except httpx2.ConnectError as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise _failed(what, error) from error
                raise
            except httpx2.HTTPError:
                raise
            except (ValueError, httpx2.InvalidURL, OSError, LookupError) as error:  # a redirect to no address
                raise _failed(what, error) from error
            try:
                if answer.status_code in BUSY and n_busy < BUSY_TRIES:
                    wait_s = _asked_to_wait(answer, n_busy)
                    n_busy += 1
                    if wait_s > LONGEST_WAIT_S:
                        raise _busy(what, answer.status_code, wait_s)
                elif answer.status_code in BUSY:
                    raise _busy(what, answer.status_code)
                elif answer.status_code in (401, 403) and self._token:
                    self._say(f"The hub refuses the token of this machine ({_where_token()}); asking without it.")
                    self._token, wait_s = "", 0.0
                elif answer.is_server_error:
                    raise httpx2.HTTPStatusError(
                        f"Server error {answer.status_code}", request=answer.request, response=answer
                    )
                elif answer.status_code == 416 or answer.is_success:
                    yield answer
                    return
                else:
                    raise _refused(what, answer.status_code)
            finally:
                answer.close()
            if wait_s >= 1:
                self._say(f"{shown_endpoint()} is busy ({answer.status_code}): going on in {wait_s:,.0f} seconds.")
            wait(wait_s)


@contextmanager
def _begun_in_time() -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """Cut the connections that are opened in the block if it takes longer than HEADER_S.

    The client's own time-out begins anew with each byte, so a header that comes in drops would never end.

    Yields
    ------
    callable
        What the client tells of its connections, as its extension ``trace``.
    """
    lines: list[socket.socket] = []

    def trace(event: str, about: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            with suppress(OSError, AttributeError):
                lines.append(about["return_value"].get_extra_info("socket").dup())

    def cut() -> None:
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(HEADER_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()
        for line in lines:
            line.close()


def _asked_to_wait(answer: httpx2.Response, n_before: int) -> float:
    """Return for how many seconds a busy hub asks to wait: seconds or a date, or longer each time where it is silent.

    The public hub tells it in ``RateLimit`` too: ``"resolvers";r=0;t=55``.
    """
    told = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", told):
        return float(told)
    with suppress(ValueError, TypeError, OverflowError):
        moment: datetime.datetime = email.utils.parsedate_to_datetime(told)
        return max(0.0, moment.timestamp() - time.time()) + 1  # whole seconds
    if limit := re.search(r";\s*t=(\d{1,9})", answer.headers.get("RateLimit", "")):
        return float(limit[1])
    return PAUSE_S * 2.0 ** (n_before + 1)


def _token(say: Say) -> str:
    """Return the token of this machine, or nothing. The course's models need none, so a wrong one stops nothing."""
    from huggingface_hub import constants, get_token  # a fifth of a second

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return ""
    try:
        token = (get_token() or "").strip()
    except Exception as error:  # it may read files and ask a server
        say(f"The token of this machine cannot be read ({type(error).__name__}); asking without it.")
        return ""
    if not re.fullmatch("[!-~]*", token):
        odd = next(letter for letter in token if not "!" <= letter <= "~")
        say(f"The token of this machine ({_where_token()}) holds {odd!r}, which no token does; asking without it.")
        return ""
    return token


def _where_token() -> str:
    names = [name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)]
    return names[0] if names else "from hf auth login"


def _certificates() -> ssl.SSLContext:
    """Return which certificates are trusted: the variable that is set first, else what the system or certifi trusts."""
    for name in CERTIFICATES:
        if not (path := os.environ.get(name)):
            continue
        try:
            if os.path.isdir(path):
                return ssl.create_default_context(capath=path)
            return ssl.create_default_context(cafile=path)
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise DownloadFailed(
                f"{name} names {path[:200]}, which holds no certificates: {why}.",
                "A file of certificates in PEM form, such as the one of your network.",
                f"Unset {name}, or set it to that file.",
            ) from error
    return _usual_certificates()


@functools.cache
def _usual_certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)  # a tenth of a second


def _client(what: str) -> httpx2.Client:
    certificates = _certificates()
    try:
        if not proxy_bypass(urlsplit(endpoint()).hostname or ""):
            for value in _proxies().values():
                _ = urlsplit(value).port  # a ValueError for a port that is none
        return httpx2.Client(
            verify=certificates,
            timeout=TIMEOUT_S,
            follow_redirects=True,
            max_redirects=MOST_REDIRECTS,
            limits=httpx2.Limits(max_keepalive_connections=0),  # each answer has a line of its own, see _begun_in_time
        )
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise _wrong_proxy(what, certificates, error) from error


def _wrong_proxy(what: str, certificates: ssl.SSLContext, error: Exception) -> DownloadFailed:
    """Name the variable with a proxy that cannot be used."""
    for name, value in _proxies().items():
        try:
            httpx2.HTTPTransport(verify=certificates, proxy=value).close()
            _ = urlsplit(value).port
        except (ValueError, ImportError, httpx2.InvalidURL):
            return DownloadFailed(
                f"{name} is {without_password(value)[:100]!r}, a proxy that cannot be used here.",
                "A proxy such as http://proxy.example:8080; SOCKS is not supported.",
                f"Unset {name}, or set HTTPS_PROXY to an http:// address.",
            )
    return _failed(what, error)


def _proxies() -> dict[str, str]:
    """Return the variables that name a proxy, with its address."""
    named = {name: value for name, value in os.environ.items() if name.lower() in PROXIES and value}
    return {name: value if "://" in value else f"http://{value}" for name, value in named.items()}


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def _refuse_when_offline(repo: str) -> None:
    """Read the environment now: huggingface_hub reads it only when imported."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise DownloadFailed(
            f"{repo} cannot be fetched: HF_HUB_OFFLINE is set.",
            "A machine that may use the network.",
            "Unset HF_HUB_OFFLINE, or copy the model's folder to the one named by COURSE_MODELS.",
        )


def _failed(what: str, why: Exception | str) -> DownloadFailed:
    said = without_password((str(why).strip().splitlines() or [""])[0])[:160]
    kind = f"{type(why).__name__}: " if isinstance(why, Exception) else ""
    message = f"{what} did not come from {shown_endpoint()} ({kind}{said})."
    if "CERTIFICATE_VERIFY_FAILED" in str(why):
        return DownloadFailed(
            message,
            "A certificate that this machine trusts.",
            "If your network inspects what it carries, set SSL_CERT_FILE to its certificate: ask who runs it.",
        )
    if isinstance(why, httpx2.ProxyError) or str(why).startswith("407"):
        return DownloadFailed(
            message,
            "A proxy that lets this machine out.",
            "Set HTTPS_PROXY to http://NAME:PASSWORD@PROXY:PORT, as your network's administrator tells you.",
        )
    proxies = ", ".join(_proxies()) if isinstance(why, httpx2.ConnectError | httpx2.ConnectTimeout) else ""
    return DownloadFailed(
        message,
        "A hub that answers; HF_ENDPOINT names another one.",
        f"Check the network{proxies and f' and the proxy in {proxies}'} and do the same again: "
        "what has come is kept and continued.",
    )


def _refused(what: str, status: int) -> DownloadFailed:
    if status == 407:
        return _failed(what, "407: the proxy wants a name and a password")
    why = {401: "the hub wants a token", 403: "the hub does not give it to you", 404: "the hub does not have it"}
    next_step = {
        401: "If the model is private, log in: hf auth login. If not, check the model's name.",
        403: "Ask for access on the model's page, then log in: hf auth login.",
        404: "Check the model's name, or unset HF_ENDPOINT.",
    }
    told = f"status {status}: {why[status]}" if status in why else f"status {status}"
    return DownloadFailed(
        f"{what} did not come from {shown_endpoint()} ({told}).",
        "A hub that has this model; HF_ENDPOINT names another one.",
        next_step.get(status, "Check the network and do the same again: what has come is kept and continued."),
    )


def _busy(what: str, status: int, wait_s: float = 0.0) -> DownloadFailed:
    asked = f"; it asks to wait {wait_s / 60:,.0f} minutes" if wait_s else ""
    return DownloadFailed(
        f"{what} did not come from {shown_endpoint()}: it is busy (status {status}){asked}.",
        "A hub with time; it counts the requests of all who share your network's address.",
        "Do the same again later: what has come is kept and continued.",
    )


def _other_mirror(repo: str, why: str) -> DownloadFailed:
    return DownloadFailed(
        f"{repo} did not come from {shown_endpoint()}: {why}.",
        "A mirror that tells size and hash of each file, as the hub does.",
        "Unset HF_ENDPOINT, or set it to another mirror.",
    )


# -- files on this machine ---------------------------------------------------------------------------------------------


def _clear_folder(path: Path) -> None:
    """Remove a folder that lies where a file of a download belongs."""
    if path.is_dir() and not path.is_symlink():
        with write_errors(path):
            shutil.rmtree(path)


def _part(file: Path) -> Path:
    return file.with_name(file.name + ".part")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
