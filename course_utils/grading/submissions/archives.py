"""Zip archives from outside, read with limits: names that stay inside a folder, sizes that are really counted.

An archive may claim any name and any size. So sizes are counted while reading, names lose what leads out of a folder,
and links, encrypted members and members that cannot be read are told with a reason instead of stopping the others.
"""

import dataclasses
import io
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, cast

MAX_MEMBERS = 20_000
MAX_DIRECTORY_BYTES = 10_000_000  # of the list of members
MAX_NAME_BYTES = 200  # of each part of a path
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
UNICODE_PATH = 0x7075  # the extra field in which Info-ZIP keeps a name in UTF-8
PROBLEMS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


@dataclasses.dataclass(frozen=True)
class Member:
    """A file in an archive.

    Parameters
    ----------
    name : str
        With ``/`` between its parts; none of them is empty or ``..``.
    n_bytes : int
        As the archive claims.
    why_not : str
        Why it cannot be read; "" where it may be.
    archive : Archive
    info : zipfile.ZipInfo
    """

    name: str
    n_bytes: int
    why_not: str
    archive: "Archive" = dataclasses.field(repr=False)
    info: zipfile.ZipInfo = dataclasses.field(repr=False)

    def read(self, limit: int) -> bytes:
        """Return its bytes.

        Raises
        ------
        OSError
            It cannot be read, or holds more than ``limit`` bytes.
        """
        return self.archive.read(self, limit)


class _Bounded:
    """A file of which a program may read no more than `most` bytes at once; -1 for any number.

    `zipfile` reads the list of all members in one step, and makes an object of each: 46 bytes become about 600.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.most = file, MAX_DIRECTORY_BYTES
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close

    def read(self, n: int = -1) -> bytes:
        """Return the next bytes.

        Raises
        ------
        BadZipFile
            These are more than the list of members of an honest archive has.
        """
        if n > self.most >= 0:
            raise zipfile.BadZipFile(f"its list of members has more than {MAX_DIRECTORY_BYTES // 1_000_000} MB")
        return self._file.read(n)


class Archive:
    """A zip file on the disk or in memory.

    Parameters
    ----------
    source : Path or bytes
    budget : int
        Bytes that may be unpacked from it altogether.

    Raises
    ------
    OSError
        It is no zip file, or its list of members is damaged.
    """

    def __init__(self, source: Path | bytes, budget: int) -> None:
        self._left = budget
        self._file: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        bounded = _Bounded(self._file)
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], bounded))
            bounded.most = -1
        except PROBLEMS as problem:
            self._file.close()
            raise OSError(0, f"the zip archive is damaged ({_short(problem)})") from None
        self.members, self.n_left_out = [], 0
        taken: dict[str, int] = {}
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        self.n_left_out = max(0, len(infos) - MAX_MEMBERS)
        for info in infos[:MAX_MEMBERS]:
            name = _free(safe_path(_name(info)), taken)
            self.members.append(Member(name, info.file_size, _why_not(info), self, info))

    def read(self, member: Member, limit: int) -> bytes:
        """Return a member's bytes; see `Member.read`."""
        if member.why_not:
            raise OSError(0, member.why_not)
        limit = min(limit, self._left)
        try:
            with self._zip.open(member.info) as opened:
                content = opened.read(limit + 1)
        except PROBLEMS as problem:
            raise OSError(0, f"it cannot be unpacked ({_short(problem)})") from None
        if len(content) > limit:
            raise OSError(0, f"it is larger than the {limit / 1e6:,.0f} MB that may be unpacked here")
        self._left -= len(content)
        return content

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def __enter__(self) -> "Archive":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def safe_path(name: str) -> str:
    r"""Return a name from an archive as a path below a folder: without a drive, a root, ``.`` and ``..``.

    Examples
    --------
    >>> safe_path("../../etc/passwd"), safe_path("C:\\work\\a.ipynb"), safe_path("/home/jane/a.ipynb")
    ('etc/passwd', 'work/a.ipynb', 'home/jane/a.ipynb')
    """
    parts = re.split(r"[/\\]", name)
    parts = parts[1:] if re.fullmatch(r"[A-Za-z]:", parts[0]) else parts
    parts = [_short_part(re.sub(r"[\x00-\x1f\x7f]", "_", part)) for part in parts if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def _short_part(part: str) -> str:
    """Return a part of a path that a disk can hold, with its ending."""
    encoded = part.encode("utf-8", "replace")
    if len(encoded) <= MAX_NAME_BYTES:
        return encoded.decode("utf-8")
    suffix = PurePosixPath(part).suffix[:20]
    kept = encoded[: MAX_NAME_BYTES - 30].decode("utf-8", "ignore")
    return f"{kept}~{zlib.crc32(encoded):08x}{suffix.encode('ascii', 'ignore').decode()}"


def _free(name: str, taken: dict[str, int]) -> str:
    """Return the name, with a number where an earlier member has it: an archive may hold two files of one name."""
    path, wished = PurePosixPath(name), name.casefold()
    while name.casefold() in taken:
        taken[wished] += 1
        name = str(path.with_name(f"{path.stem} ({taken[wished]}){path.suffix}"))
    taken[name.casefold()] = 1
    return name


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; many programs write UTF-8 without saying so, and zipfile then reads code page 437."""
    if info.flag_bits & UTF8_FLAG:
        return info.filename
    name = getattr(info, "orig_filename", info.filename)
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    if unicode_name := _unicode_path(info.extra, raw):
        return unicode_name
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return info.filename


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """Return the name in a member's extra field, if it is there and belongs to this name."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        body, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == UNICODE_PATH and len(body) > 5 and struct.unpack("<L", body[1:5])[0] == zlib.crc32(raw):
            return body[5:].decode("utf-8", "replace")
    return ""


def _why_not(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & ENCRYPTED_FLAG:
        return "it is encrypted: ask for an archive without a password"
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "it is a link to another place" if stat.S_ISLNK(mode) else "it is no plain file"
    return ""


def _short(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:80] or type(problem).__name__
