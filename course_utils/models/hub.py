"""The files of one model from a hub: resumed where a download broke off, and compared with the hub's own hashes.

The hub is the one named by ``HF_ENDPOINT``, at first use and not at import. ``huggingface_hub`` brings the connection
(proxies, certificates, a token for a private mirror) and the list of files. The bytes are fetched here, for two
reasons: its own download starts a file anew after an interruption, and its second way of transport (xet) needs hosts
that the firewall of a school may not know.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers

from course_utils.errors import DamagedFile, DownloadFailed
from course_utils.packages import no_space_means, require_space, sha256_of

DEFAULT_ENDPOINT = "https://huggingface.co"
NEEDED = ("config.json", "model.safetensors")
WANTED = (*NEEDED, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
TIMEOUT_S = 15.0
TRIES_WITHOUT_A_BYTE = 3
PAUSE_S = 0.5
Progress = Callable[[float, float], None]


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One file as the hub describes it."""

    path: str
    size: int
    sha256: str = ""  # of large files
    git_sha1: str = ""  # of small files: git's name for their content

    def is_whole(self, file: Path) -> bool:
        """Tell whether a file on this machine is this one, byte for byte."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        if self.sha256:
            return sha256_of(file) == self.sha256
        content = file.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.git_sha1


def endpoint() -> str:
    """Return the address of the hub, from ``HF_ENDPOINT`` if set."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def download(
    repo: str,
    revision: str,
    folder: Path,
    weights_sha256: str = "",
    progress: Progress | None = None,
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

    Raises
    ------
    DownloadFailed
        If there is no network, no such model, no answer, or too many interruptions.
    DamagedFile
        If what came is not what the hub or the pin promised; it is deleted.
    NoSpace
        If the disk is too full or the folder may not be written.
    """
    _refuse_when_offline(repo)
    with no_space_means(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = _files(repo, revision)
        _require_pin(files, weights_sha256, repo)
        _bring(files, repo, revision, folder, progress or (lambda come_mb, all_mb: None))
    return folder


def _bring(files: list[RemoteFile], repo: str, revision: str, folder: Path, progress: Progress) -> None:
    """Fetch the files that are not whole in the folder, telling how far the whole model has come."""
    missing = [file for file in files if not file.is_whole(folder / file.path)]
    here_mb = sum(_size(_part(folder / file.path)) for file in missing) / 1e6
    require_space(folder, sum(file.size for file in missing) / 1e6 - here_mb + 20)
    all_bytes = sum(file.size for file in files)
    come = all_bytes - sum(file.size for file in missing)
    for file in missing:
        url = hf_hub_url(repo, file.path, revision=revision, endpoint=endpoint())
        for written in _fetch(url, file, folder):
            progress((come + written) / 1e6, all_bytes / 1e6)
        come += file.size


def _files(repo: str, revision: str) -> list[RemoteFile]:
    """Ask the hub for the files of a commit, with sizes and hashes."""
    try:
        told = HfApi(endpoint=endpoint()).model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled) as error:
        raise _failed(repo, error) from error
    except (json.JSONDecodeError, HFValidationError, KeyError, TypeError) as error:
        raise _failed(repo, "the answer is not a hub's; a login page of the network perhaps") from error
    files = []
    for sibling in told.siblings or []:
        if sibling.rfilename in WANTED and sibling.size is not None:
            lfs_hash = sibling.lfs.sha256 if sibling.lfs else ""
            files.append(RemoteFile(sibling.rfilename, sibling.size, lfs_hash, sibling.blob_id or ""))
    if missing := set(NEEDED) - {file.path for file in files}:
        raise _failed(repo, f"the hub lists no {' and no '.join(sorted(missing))} at revision {revision[:12]}")
    return sorted(files, key=lambda file: file.size)


def _fetch(url: str, file: RemoteFile, folder: Path) -> Iterator[int]:
    """Fetch one file to its ``.part``, yielding the length so far; check it; give it its name."""
    part, tries = _part(folder / file.path), TRIES_WITHOUT_A_BYTE
    while (have := _size(part)) < file.size:
        try:
            yield from _stream(url, part, have)
            if _size(part) <= have:  # a polite answer without a byte: no use asking for ever
                raise _failed(file.path, f"the hub sent {have:,} of {file.size:,} bytes and no more")
        except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
            tries = TRIES_WITHOUT_A_BYTE if _size(part) > have else tries - 1
            refused = isinstance(error, httpx2.HTTPStatusError) and error.response.status_code < 500
            if refused or tries <= 0:
                raise _failed(file.path, error) from error
            time.sleep(PAUSE_S)
    if not file.is_whole(part):
        part.unlink()
        raise DamagedFile(
            f"{file.path} came with another hash or length than {endpoint()} promised; it was deleted.",
            f"{file.size:,} bytes with the hash {(file.sha256 or file.git_sha1)[:16]}….",
            "Do the same again; what came whole is kept.",
        )
    os.replace(part, folder / file.path)


def _stream(url: str, part: Path, have: int) -> Iterator[int]:
    """Append what is missing to a part, yielding its length after each chunk."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as answer:
        answer.raise_for_status()
        resumes = answer.status_code == 206  # some mirrors ignore Range and send all again
        with part.open("ab" if resumes else "wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                yield file.tell()


def _require_pin(files: list[RemoteFile], weights_sha256: str, repo: str) -> None:
    promised = next(file.sha256 for file in files if file.path == "model.safetensors")
    if weights_sha256 and promised != weights_sha256:
        raise DamagedFile(
            f"{endpoint()} offers other weights for {repo}: sha256 {promised[:16]}….",
            f"{weights_sha256[:16]}…, the hash pinned by the course.",
            "Use another mirror (HF_ENDPOINT), and tell whoever runs this one.",
        )


def _refuse_when_offline(repo: str) -> None:
    """Read the environment now: huggingface_hub reads it only when imported."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise DownloadFailed(
            f"{repo} cannot be fetched: HF_HUB_OFFLINE is set.",
            "A machine that may use the network.",
            "Unset HF_HUB_OFFLINE, or copy the model's folder to the one named by COURSE_MODELS.",
        )


def _failed(what: str, why: Exception | str) -> DownloadFailed:
    if isinstance(why, httpx2.HTTPStatusError) and why.response.status_code == 416:
        why = "the hub does not continue half a file"
    said = (str(why).strip().splitlines() or [""])[0][:160]
    kind = f"{type(why).__name__}: " if isinstance(why, Exception) else ""
    return DownloadFailed(
        f"{what} did not come from {endpoint()} ({kind}{said}).",
        "A hub that answers; HF_ENDPOINT names another one.",
        "Check the network and do the same again: what has come is kept and continued.",
    )


def _part(file: Path) -> Path:
    return file.with_name(file.name + ".part")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
