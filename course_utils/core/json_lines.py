"""JSON Lines files that only grow, such as decisions and rankings: one object a line, appended whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from course_utils.core.files import append_to_file, read_errors, write_errors
from course_utils.errors import NoSpace, TextError

PATIENCE_S = 20.0  # until another kernel has written
BOM = b"\xef\xbb\xbf"


def append_object(path: Path, values: Mapping[str, object], next_step: str = "") -> None:
    """Append one object, flushed to the disk. The beginning of a line that was cut off is set aside first.

    It goes into a file beside it, called ``….torn``, and nothing that was written is lost.

    Parameters
    ----------
    path : Path
    values : mapping
        Plain values.
    next_step : str, optional
        What the error tells the user to do.

    Raises
    ------
    NoSpace
        The file cannot be written; it is as long as before.
    """
    line = json.dumps(values, ensure_ascii=False) + "\n"
    with _locked(path, next_step):
        with read_errors(path):
            content = path.read_bytes() if os.path.exists(path) else b""
        n_whole = content.rfind(b"\n") + 1
        torn = content[n_whole:]
        if torn and is_whole(torn):
            line = "\n" + line  # an editor took the last line end away
        elif torn:
            append_to_file(path.with_name(f"{path.name}.torn"), torn + b"\n", next_step)
            with write_errors(path, next_step):
                os.truncate(path, n_whole)
        append_to_file(path, line, next_step)


def read_lines(path: Path) -> list[tuple[int, bytes]]:
    """Return the lines that hold something, each with its number from 1; none where there is no file yet.

    Line ends of other systems, blank lines and a byte order mark are left out, and so is a last line that was cut off.

    Raises
    ------
    TextError
        The path is a folder, or the file cannot be read.
    """
    if os.path.isdir(path):
        raise TextError(f"{path} is a folder.", "A file.", f'Use "{path / "file.jsonl"}".')
    with read_errors(path):
        lines = path.read_bytes().removeprefix(BOM).split(b"\n") if os.path.exists(path) else []
    if lines and not is_whole(lines[-1]):
        lines.pop()
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def is_whole(line: bytes) -> bool:
    """Tell whether a line without a line end is an object all the same."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


@contextlib.contextmanager
def _locked(path: Path, next_step: str) -> Iterator[None]:
    """Keep other kernels from writing at the same time."""
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE_S, poll_interval=0.02)
    with write_errors(path, next_step):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout as problem:
            what = f"Another notebook has been writing to {path} for {PATIENCE_S:.0f} seconds."
            raise NoSpace(what, "A lock on the file.", "Wait, then do the same again.") from problem
    try:
        yield
    finally:
        lock.release()
