"""Disk cache of computed results, by the hash of their inputs, in the cache folder."""

import contextvars
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from course_utils.core.files import try_replace_file
from course_utils.core.paths import cache_folder

MAX_MB = 500
SHARE_KEPT = 0.9  # of it, once there was too much
MAX_WRITE_S = 3600.0  # a hidden file of that age was left by a process that died

_must_recompute = contextvars.ContextVar("must_recompute", default=False)


def cached(kind: str, inputs: list, compute: Callable[[], dict]) -> dict:
    """Return the cached result for these inputs, or compute it and cache it.

    Parameters
    ----------
    kind : str
        The kind of result, for the file's name: letters, digits, hyphens.
    inputs : list
        Plain values on which the result depends: the sha256 of weights, texts or their `sha256_of_values`,
        settings, the seed, and the code (`code_hash` of the calling module, ``versions()``).
    compute : callable
        Returns a dict of plain values. If it raises, as with Cancelled, nothing is cached.

    Returns
    -------
    dict
        As JSON returns it, also the first time: tuples are lists, keys are strings.

    Notes
    -----
    A file that is damaged, cut off or of other inputs is ignored, and the result is computed again. On a full disk
    nothing is cached. All files together take `MAX_MB` at most: the least recently used are deleted first.
    """
    key = sha256_of_values(inputs)
    file = _file(kind, key)
    known = None if _must_recompute.get() else _read(file, key)
    if known is not None:
        return known
    value = json.loads(json.dumps(compute()))
    content = {"inputs_sha256": key, "sha256": sha256_of_values([value]), "value": value}
    if try_replace_file(file, json.dumps(content)):
        _make_room(file)
    return value


@contextmanager
def recompute() -> Iterator[None]:
    """Ignore the cache within this block: a re-run must compute every result again."""
    token = _must_recompute.set(True)
    try:
        yield
    finally:
        _must_recompute.reset(token)


def sha256_of_values(values: list) -> str:
    """Return one hash for plain values, in their order."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _file(kind: str, key: str) -> Path:
    """Return the file of a cached result, whether it exists or not."""
    return cache_folder() / "results" / f"{kind}-{key[:16]}.json"


def _read(file: Path, key: str) -> dict | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["inputs_sha256"] == key and known["sha256"] == sha256_of_values([known["value"]]):
            with suppress(OSError):  # a folder that may only be read
                os.utime(file)  # the time of its last use, by which `_make_room` chooses
            return known["value"]
    return None


def _make_room(newest: Path) -> None:
    """Delete the least recently used files, if all of them take more than `MAX_MB`.

    Several processes may do so at once: a file that another one has deleted is gone all the same, and one that is being
    read stays readable. What was written last stays, however large it is.
    """
    found = []
    for file in newest.parent.iterdir():
        with suppress(OSError):
            state = file.stat()
            if file.name.startswith(".") and time.time() - state.st_mtime < MAX_WRITE_S:
                continue  # another process is writing it
            found.append((state.st_mtime_ns, state.st_size, file))
    left = sum(size for _, size, _ in found) - MAX_MB * 1e6
    if left <= 0:
        return
    left += (1 - SHARE_KEPT) * MAX_MB * 1e6  # some more, so that not every result after this one makes room again
    for _, size, file in sorted(found, key=lambda entry: entry[0]):
        if left <= 0:
            return
        if file != newest:
            with suppress(OSError):
                file.unlink(missing_ok=True)
                left -= size
