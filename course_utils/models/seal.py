"""The hashes of a model's files: written down when they arrive, compared before they are used.

A fetched folder carries ``course.json``: sha256 and size of each file. Hashing half a gigabyte takes a second, so this
machine also notes, in the course's cache folder, which state of a folder it has hashed (size and time of each file).
While that state lasts, looking is enough; a file that changed is hashed anew, and a damaged one is found.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from course_utils.core.files import replace_file, try_replace_file
from course_utils.errors import DamagedFile
from course_utils.packages import sha256_of
from course_utils.places import cache_folder

SEAL = "course.json"
WEIGHTS = "model.safetensors"


def write(folder: Path, but: tuple[str, ...] = (), **origin: str) -> None:
    """Seal a folder whose files have just been verified, ``but`` for some; ``origin`` says where they came from."""
    files = [path for path in _files(folder) if path.name not in but]
    for path in files:
        with contextlib.suppress(OSError):  # another's file, or a disk without rights
            path.chmod(0o644)  # some writers let only their user read; a class may share the folder
    hashes = {path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in files}
    replace_file(folder / SEAL, json.dumps({**origin, "files": hashes}, indent=2) + "\n")


def check(folder: Path, weights_sha256: str = "", cure: str = "Copy the folder again.") -> dict[str, str]:
    """Return the sha256 of each file of a folder, having made sure that they are what they must be.

    Parameters
    ----------
    folder : Path
        With a seal: the files must be those it names. Without one (a class's own model): they must be readable.
    weights_sha256 : str, optional
        What the weights must be, seal or not.
    cure : str
        What to do about a damaged file.

    Raises
    ------
    DamagedFile
        It names the file.
    """
    try:
        state = _state(folder)
        noted = _read_json(_note(folder))
        if noted.get("state") == state and isinstance(noted.get("sha256"), dict):
            return noted["sha256"]
        hashes = {path.name: sha256_of(path) for path in _files(folder)}
    except OSError as problem:
        what = f"{problem.filename or folder} cannot be read: {problem.strerror or problem}."
        raise DamagedFile(what, "A file that you may read.", cure) from problem
    promised = _promised(folder)
    if weights_sha256:
        promised[WEIGHTS] = weights_sha256
    for name in damaged(hashes, promised):
        what = "has another sha256 than it must" if name in hashes else "is missing"
        raise DamagedFile(f"{folder / name} {what}.", f"sha256 {promised[name][:16]}….", cure)
    n_parameters(folder / WEIGHTS, cure)
    note = {"folder": str(folder), "state": state, "sha256": hashes}
    try_replace_file(_note(folder), json.dumps(note))  # without it, the next look hashes again: a second
    return hashes


def damaged(hashes: dict[str, str], promised: dict[str, str]) -> list[str]:
    """Return the names of promised files that are missing or other than promised."""
    return [name for name, sha256 in promised.items() if hashes.get(name) != sha256]


def _promised(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that the seal names; a seal that was damaged itself names none."""
    files = _read_json(folder / SEAL).get("files")
    told = files.items() if isinstance(files, dict) else ()
    return {name: about["sha256"] for name, about in told if isinstance(about, dict) and "sha256" in about}


def n_parameters(weights: Path, cure: str = "Copy the file again.") -> int:
    """Count the parameters of a safetensors file from its header, which also tells whether the file is cut off.

    Raises
    ------
    DamagedFile
        If the header cannot be read, or the file is shorter or longer than it says.
    """
    try:
        with weights.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(n_header, 100_000_000)))
        header.pop("__metadata__", None)
        n_bytes = 8 + n_header + max(tensor["data_offsets"][1] for tensor in header.values())
        total = sum(_product(tensor["shape"]) for tensor in header.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(
            f"{weights} cannot be read as safetensors.", "A file of tensors with a header.", cure
        ) from error
    if n_bytes != weights.stat().st_size:
        raise DamagedFile(f"{weights} has {weights.stat().st_size:,} bytes.", f"{n_bytes:,}, as its header says.", cure)
    return total


def _product(shape: list[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product


def _files(folder: Path) -> list[Path]:
    visible = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in visible if path.name != SEAL)


def _state(folder: Path) -> dict[str, list[int]]:
    """Size and time of every file, the seal's too."""
    paths = [*_files(folder), *([folder / SEAL] if (folder / SEAL).is_file() else [])]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def _note(folder: Path) -> Path:
    """Where this machine keeps its note about a folder."""
    key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    return cache_folder() / "verified" / f"{folder.name}-{key}.json"


def _read_json(path: Path) -> dict:
    """Return an empty dict where there is no readable file: it will be written anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
