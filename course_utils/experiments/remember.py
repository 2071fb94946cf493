"""What was computed once is not computed again: results by their inputs, in the cache folder."""

import contextvars
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from course_utils.core.files import try_replace_file
from course_utils.places import cache_folder

_is_anew = contextvars.ContextVar("is_anew", default=False)


def remembered(kind: str, inputs: list, compute: Callable[[], dict]) -> dict:
    """Return what an earlier call computed from the same inputs, or compute it now and keep it.

    Parameters
    ----------
    kind : str
        What it is, for the file's name: letters, digits, hyphens.
    inputs : list
        Plain values: all on which the outcome depends. Weights by their sha256, texts whole or by
        `sha256_of_values`, settings, seed, and the code (the source of the calling room, ``versions()``).
    compute : callable
        Returns a dict of plain values. What it raises, such as Cancelled, passes through, and nothing is kept.

    Returns
    -------
    dict
        As JSON gives it back, the first time too: tuples are lists, keys are strings.

    Notes
    -----
    A file that is damaged, cut off or of other inputs is not trusted: it is computed anew. A full disk costs the time
    to compute it again, no more.
    """
    key = sha256_of_values(inputs)
    file = _file(kind, key)
    known = None if _is_anew.get() else _read(file, key)
    if known is not None:
        return known
    value = json.loads(json.dumps(compute()))
    try_replace_file(file, json.dumps({"inputs_sha256": key, "sha256": sha256_of_values([value]), "value": value}))
    return value


@contextmanager
def anew() -> Iterator[None]:
    """Compute within this block what is remembered too: to find out whether the same comes again."""
    token = _is_anew.set(True)
    try:
        yield
    finally:
        _is_anew.reset(token)


def sha256_of_values(values: list) -> str:
    """Return one hash for plain values, in their order."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _file(kind: str, key: str) -> Path:
    """Return where the result lies, if it is remembered."""
    return cache_folder() / "results" / f"{kind}-{key[:16]}.json"


def _read(file: Path, key: str) -> dict | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["inputs_sha256"] == key and known["sha256"] == sha256_of_values([known["value"]]):
            return known["value"]
    return None
