"""Folder of cached weights: its files, its limit of size, and removal of those that were used longest ago.

No torch is needed here: `models` and `doctor` show the folder.
"""

import contextlib
import dataclasses
import os
import shutil
import time
from pathlib import Path

from course_utils.core.files import nearest_folder
from course_utils.core.limits import positive_number
from course_utils.core.paths import cache_folder

LIMIT = "COURSE_WEIGHTS_CACHE_MB"  # the environment variable; 0 turns the cache off
MOST_MB = 4000  # GPT-2's four sizes and the stand-in take 3.6 GB
SHARE = 0.25  # of the free disk
SUFFIX, NOTE = ".safetensors", ".json"
ABANDONED_S = 3600.0  # a file that is being written is younger


@dataclasses.dataclass(frozen=True)
class CachedFile:
    """Quantized weights of one model.

    Parameters
    ----------
    path : Path
    n_bytes : int
    used_at : float
        When they were loaded last, in seconds since 1970.
    """

    path: Path
    n_bytes: int
    used_at: float


def folder() -> Path:
    """Return the folder; it need not exist."""
    return cache_folder() / "quantized"


def note_of(path: Path) -> Path:
    """Return the small file beside cached weights that says in which state their hash was found right."""
    return path.with_suffix(NOTE)


def files() -> list[CachedFile]:
    """Return what the folder holds, that which was used longest ago first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder().iterdir():
            with contextlib.suppress(OSError):  # another process removes it at this moment
                if path.suffix == SUFFIX and not path.name.startswith("."):
                    state = path.stat()
                    found.append(CachedFile(path, state.st_size, _used_at(path, state.st_mtime)))
    return sorted(found, key=lambda each: (each.used_at, each.path.name))


def _used_at(path: Path, written_at: float) -> float:
    with contextlib.suppress(OSError):
        return max(written_at, note_of(path).stat().st_mtime)
    return written_at


def limit_bytes() -> float:
    """Return how much the folder may hold: `LIMIT`, else 4 GB, but never more than a quarter of the free disk.

    What the folder holds counts as free.
    """
    chosen = positive_number(os.environ.get(LIMIT), zero=True)
    if chosen is not None:
        return chosen * 1e6
    try:
        free = shutil.disk_usage(nearest_folder(folder())).free
    except OSError:
        return 0
    return min(MOST_MB * 1e6, SHARE * (free + sum(each.n_bytes for each in files())))


def make_room(n_bytes: int, but: Path | None = None) -> bool:
    """Remove what was used longest ago until so many bytes fit; False where they are more than the limit.

    Parameters
    ----------
    n_bytes : int
    but : Path, optional
        The file that will be replaced: it is not counted.
    """
    most = limit_bytes()
    if n_bytes > most:
        return False
    _remove_abandoned()
    held = [each for each in files() if each.path != but]
    total = sum(each.n_bytes for each in held)
    for each in held:
        if total + n_bytes <= most:
            break
        remove(each.path)
        total -= each.n_bytes
    return True


def remove(path: Path) -> bool:
    """Remove one file and its note; False where that cannot be done. Windows keeps a file that is being read."""
    for each in (note_of(path), path):
        try:
            each.unlink(missing_ok=True)
        except OSError:
            return False
    return True


def clear() -> tuple[int, float]:
    """Remove all; return how many files went, and their megabytes."""
    removed = [each for each in files() if remove(each.path)]
    _remove_abandoned(0)
    return len(removed), sum(each.n_bytes for each in removed) / 1e6


def summary() -> str:
    """Return in one line what the folder holds."""
    held = files()
    mb = sum(each.n_bytes for each in held) / 1e6
    what = "1 model" if len(held) == 1 else f"{len(held)} models"
    return f"{what}, {mb:,.0f} MB of at most {limit_bytes() / 1e6:,.0f} MB, in {folder()}"


def _remove_abandoned(age_s: float = ABANDONED_S) -> None:
    """Remove what a process that was killed had begun to write."""
    with contextlib.suppress(OSError):
        for path in folder().iterdir():
            with contextlib.suppress(OSError):
                if path.name.startswith(".") and time.time() - path.stat().st_mtime > age_s:
                    path.unlink()
