"""File writing: atomic replacement, all-or-nothing append, and cache writes that may fail.

Every part of the course writes files through this module. There are two kinds of files:

* Files that a person needs (a ledger, marks, an answer, a download). `replace_file` and `append_to_file` write them
  whole or not at all, and raise `NoSpace` when they cannot.
* Files that only save time (a cached result, a remembered self-test). `try_replace_file` writes them if it can, and
  returns False if it cannot. A full disk or a read-only home must never stop a computation.
"""

import contextlib
import errno
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from course_utils.errors import NoSpace, TextError

logger = logging.getLogger(__name__)

# Error numbers that say: no room, no permission, a name the disk refuses, or a device that failed. A person can act on
# all of them.
UNWRITABLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
    errno.ENAMETOOLONG, errno.EIO, errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL, errno.ELOOP, errno.ESTALE,
    errno.ENOTCONN, errno.EILSEQ, errno.EBUSY, errno.ETXTBSY, errno.EMFILE, errno.ENFILE, errno.EXDEV, errno.EMLINK,
}  # fmt: skip

# A Unix socket's path may have 107 bytes on Linux and 103 on macOS. File names of sockets take up to 60 of them.
MAX_SOCKET_FOLDER_BYTES = 40


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path, with ``~`` replaced by the home folder where there is one.

    ``Path.expanduser`` raises RuntimeError for a user without a home folder. Here the path then stays as it is.
    """
    chosen = Path(path)
    with contextlib.suppress(RuntimeError):
        chosen = chosen.expanduser()
    return chosen.absolute()


def no_space(path: Path | str, problem: OSError, next_step: str = "") -> NoSpace:
    """Return the error for a path that cannot be written.

    Parameters
    ----------
    path : Path or str
        The file or folder that was to be written. The path in ``problem`` is not used: it may name another file.
    problem : OSError
        What the system said.
    next_step : str, optional
        What the user can do. By default: make room or choose another cache folder.
    """
    return NoSpace(
        f"{path} cannot be written: {problem.strerror or problem}.",
        "A folder that you may write to, on a disk with free space.",
        next_step or "Make room, or set COURSE_CACHE to another folder. Then do the same again.",
    )


@contextlib.contextmanager
def write_errors(path: Path | str, next_step: str = "") -> Iterator[None]:
    """Turn an OSError inside the block into `NoSpace` that names ``path``.

    Put only writing inside the block. An input file that cannot be read inside it would be reported as unwritable.

    Raises
    ------
    NoSpace
    """
    try:
        yield
    except OSError as problem:
        if problem.errno not in UNWRITABLE:
            raise
        raise no_space(path, problem, next_step) from problem


@contextlib.contextmanager
def read_errors(path: Path | str, expected: str = "A file that you may read.") -> Iterator[None]:
    """Turn an OSError or a decoding error inside the block into `TextError` that names ``path``.

    Raises
    ------
    TextError
    """
    try:
        yield
    except OSError as problem:
        raise TextError(
            f"{path} cannot be read: {problem.strerror or problem}.", expected, "Check the path and its permissions."
        ) from problem
    except UnicodeDecodeError as problem:
        raise TextError(
            f"{path} is not UTF-8 text: byte {problem.start + 1} is {problem.object[problem.start]:#04x}.",
            "A text file saved as UTF-8.",
            "Save the file again with the encoding UTF-8.",
        ) from problem


def replace_file(path: Path, content: bytes | str, next_step: str = "") -> Path:
    """Write a file atomically: at every moment the path holds the old content or the whole new content.

    The content is written to a temporary file in the same folder, flushed to the disk and renamed. Text is encoded as
    UTF-8; half surrogates become question marks, because a lost character is better than a lost file.

    Parameters
    ----------
    path : Path
        The file. Missing parent folders are made.
    content : bytes or str
    next_step : str, optional
        What the error tells the user to do.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    NoSpace
        The disk is full, or the folder cannot be written. The old file is unchanged and no temporary file is left.
    """
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    with staged_file(path, next_step) as file:
        file.write(data)
    return path


@contextlib.contextmanager
def staged_file(path: Path, next_step: str = "") -> Iterator[BinaryIO]:
    """Open a binary file for writing; it takes its name when the block ends without an error.

    It serves content that is too large for the memory, or that another library writes. `replace_file` is built on it.

    Parameters
    ----------
    path : Path
        The file. Missing parent folders are made.
    next_step : str, optional
        What the error tells the user to do.

    Raises
    ------
    NoSpace
        The old file is unchanged. An OSError of the block counts too: put only writing into the block.
    """
    with write_errors(path, next_step):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A random name: two processes or threads may write the same file at once. 50 letters take at most 200 bytes.
        new = path.with_name(f".{path.name[:50]}.{secrets.token_hex(6)}")
        try:
            with new.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise


def try_replace_file(path: Path, content: bytes | str) -> bool:
    """Write a cache file atomically if possible.

    Returns
    -------
    bool
        False where the disk is full or the folder is read-only. The caller goes on without the file.
    """
    try:
        replace_file(path, content)
    except (NoSpace, OSError) as problem:
        logger.info("not cached: %s", problem)
        return False
    return True


def append_to_file(path: Path, content: bytes | str, next_step: str = "") -> None:
    """Append to a file: all of the content or nothing, flushed to the disk.

    The caller holds a lock where several processes append to one file.

    Raises
    ------
    NoSpace
        The file is as long as before.
    """
    data = memoryview(content.encode("utf-8", errors="replace") if isinstance(content, str) else content)
    with write_errors(path, next_step):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            n_before = os.fstat(file.fileno()).st_size
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except BaseException:  # a full disk, or an interrupt
                with contextlib.suppress(OSError):
                    file.truncate(n_before)
                raise


def nearest_folder(path: Path) -> Path:
    """Return the path if it is a folder, else the nearest folder above it that exists."""
    return next((folder for folder in (path, *path.parents) if os.path.isdir(folder)), Path(path.anchor or "."))


def why_not_writable(folder: Path, n_bytes: int = 1 << 20) -> str:
    """Return why a folder cannot be written, in the system's words, or an empty string.

    A nameless file of ``n_bytes`` bytes is written and gone at once: permissions alone do not tell of a full disk, a
    quota or a disk that was mounted read-only. A folder that does not exist yet is tried in the nearest one above it.
    """
    try:
        if os.path.lexists(folder) and not os.path.isdir(folder):
            return os.strerror(errno.ENOTDIR)
        os.stat(folder)
    except FileNotFoundError:
        pass
    except OSError as problem:
        return problem.strerror or str(problem)
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(folder), buffering=0) as file:
            left = n_bytes
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 20)))
            os.fsync(file.fileno())
    except OSError as problem:
        return problem.strerror or str(problem)
    return ""


def temporary_folder_for_sockets(prefix: str) -> Path:
    """Make a private temporary folder whose path is short enough for Unix sockets in it.

    ``TMPDIR`` may be long: some clusters name a folder per job. A socket in it cannot be bound. This function then
    takes a shorter parent folder.

    Raises
    ------
    NoSpace
        No short folder can be written.
    """
    parents = [tempfile.gettempdir()]
    if sys.platform != "win32":  # Windows uses no Unix sockets here
        parents += [os.environ.get("XDG_RUNTIME_DIR") or "", "/tmp", "/var/tmp", "/dev/shm"]
        parents = [parent for parent in parents if parent and len(os.fsencode(parent)) <= MAX_SOCKET_FOLDER_BYTES]
    problem = OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    for parent in parents:
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as found:
            problem = found
    raise no_space(tempfile.gettempdir(), problem, "Set TMPDIR to a short folder that you may write to, such as /tmp.")


def printable(name: object) -> str:
    r"""Return a file's or person's name in a form that can be printed anywhere.

    Characters that cannot be printed are escaped, and only the first 120 characters are kept.

    Examples
    --------
    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    >>> printable("a\u202eb\udcff")
    'a\\u202eb\\xff'
    """
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in str(name))[:120]


def _escaped(number: int) -> str:
    """Return a character as an escape; a byte of a name that is no UTF-8 (PEP 383) as that byte."""
    number = number & 0xFF if 0xDC80 <= number <= 0xDCFF else number
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
