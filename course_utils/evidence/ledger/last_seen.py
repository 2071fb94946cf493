"""What this machine wrote into a ledger so far, noted apart from it, to notice lines that go from its end."""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from course_utils.core.files import try_replace_file
from course_utils.core.paths import cache_folder


def recall(path: Path) -> list[str]:
    """Return the hashes of the records that the ledger held when this machine last wrote there; none if unknown."""
    with contextlib.suppress(OSError, ValueError):
        hashes = json.loads(_file(path).read_text(encoding="utf-8"))
        if isinstance(hashes, list) and all(isinstance(each, str) for each in hashes):
            return hashes
    return []


def note(path: Path, hashes: Sequence[str]) -> None:
    """Note the hashes of all its records; where that cannot be, such a loss only goes unnoticed."""
    try_replace_file(_file(path), json.dumps(list(hashes)))


def _file(path: Path) -> Path:
    return cache_folder() / "ledgers" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]}.json"
