"""Checksums of a model's files: stored when the files arrive, compared before they are used.

A fetched folder carries ``course.json``: sha256 and size of each file. Hashing half a gigabyte takes a second, so this
machine also notes, in the course's cache folder, which state of a folder it has hashed: size, times and inode of each
file. While that state lasts, looking is enough. A file that changed is hashed anew, and a damaged one is found.

A hash names the bytes that were read, not those that lie there now. `look` returns the hashes together with the state
they belong to; who loads the files compares the state again afterwards (`Seen.is_current`).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from course_utils.core.files import replace_file, try_replace_file
from course_utils.core.json_types import JsonObject
from course_utils.core.paths import cache_folder
from course_utils.errors import DamagedFile
from course_utils.models.registry import formats
from course_utils.models.registry.formats import WEIGHTS

SEAL = "course.json"
N_TRIES = 3  # to find files that stay as they are while they are read
# A file system's clock goes in ticks of up to 10 ms. A file that is written twice within one has the same time twice.
TICK_S = 0.02
COARSE_TICK_S = 2.0  # where times are whole seconds
_BLOCK = 1 << 20

State = dict[str, list[int]]
_notes: dict[str, JsonObject] = {}  # of this process, where the cache folder cannot be written


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a folder's files were when they were hashed.

    Parameters
    ----------
    folder : Path
    state : dict
        Of each file its size, times and inode.
    sha256 : dict of str to str
        By file name. ``model.safetensors`` stands for the weights, in whatever files they lie; of several it is the
        hash of all their bytes, one file after the other, sorted by name.
    """

    folder: Path
    state: State
    sha256: dict[str, str]

    @property
    def weights_sha256(self) -> str:
        """The hash of the weights."""
        return self.sha256[WEIGHTS]

    @property
    def settings_sha256(self) -> str:
        """One hash of the other files that decide what the model computes: config and tokenizer."""
        return settings_sha256(self.sha256)

    def is_current(self) -> bool:
        """Tell whether the folder's files are still these."""
        try:
            return _state(self.folder) == self.state
        except OSError:
            return False


def settings_sha256(hashes: dict[str, str]) -> str:
    """Return one hash for a model's config and tokenizer files, from the hashes of all its files."""
    told = sorted((name, sha256) for name, sha256 in hashes.items() if name in formats.SETTINGS_FILES)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def write(folder: Path, but: tuple[str, ...] = (), **origin: str) -> None:
    """Seal a folder whose files have just been verified, ``but`` for some; ``origin`` says where they came from."""
    files = [path for path in _visible(folder) if path.name not in but]
    for path in files:
        with contextlib.suppress(OSError):  # another's file, or a disk without rights
            path.chmod(0o644)  # some writers let only their user read; a class may share the folder
    hashes = {path.name: {"sha256": sha256_of_all([path]), "bytes": path.stat().st_size} for path in files}
    replace_file(folder / SEAL, json.dumps({**origin, "files": hashes}, indent=2) + "\n")


def check(folder: Path, weights_sha256: str = "", cure: str = "Copy the folder again.") -> dict[str, str]:
    """Return the sha256 of each file of a folder; see `look`."""
    return look(folder, weights_sha256, cure).sha256


def look(folder: Path, weights_sha256: str = "", cure: str = "Copy the folder again.") -> Seen:
    """Hash the files of a model's folder, having made sure that they are what they must be.

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
        It names the file: missing, damaged, other than promised, or changed while it was read.
    """
    seen, problem = None, None
    for _ in range(N_TRIES):
        try:
            seen, is_noted = _hashed(folder, cure)
        except OSError as found:  # a file that may not be read, or one that just went away
            seen, problem = None, found
            continue
        if seen.is_current():
            break
        seen, problem = None, None
    if seen is None and problem is not None:
        what = f"{problem.filename or folder} cannot be read: {problem.strerror or problem}."
        raise DamagedFile(what, "A file that you may read.", cure) from problem
    if seen is None:
        raise changing(folder)
    promised = _promised(folder)
    if weights_sha256:
        promised[WEIGHTS] = weights_sha256
    for name in damaged(seen.sha256, promised):
        what = "has another sha256 than it must" if name in seen.sha256 else "is missing"
        raise DamagedFile(f"{folder / name} {what}.", f"sha256 {promised[name][:16]}….", cure)
    if not is_noted:
        formats.n_parameters(folder, cure)
        formats.require_tokenizer(folder, cure)
        _keep_note(seen)
    return seen


def changing(folder: Path) -> DamagedFile:
    """Return the error for files that change while they are read."""
    return DamagedFile(
        f"The files in {folder} change while they are read.",
        "Files that stay as they are while a model is loaded.",
        "Wait until the training or copy that writes them has ended, then load again.",
    )


def damaged(hashes: dict[str, str], promised: dict[str, str]) -> list[str]:
    """Return the names of promised files that are missing or other than promised."""
    return [name for name, sha256 in promised.items() if hashes.get(name) != sha256]


def n_parameters(weights: Path, cure: str = "Copy the file again.") -> int:
    """Count the parameters of a checkpoint from its headers, which also tells whether a file is cut off.

    Parameters
    ----------
    weights : Path
        ``model.safetensors`` in the checkpoint's folder, also where the weights lie in other files there.
    cure : str

    Raises
    ------
    DamagedFile
        If a header cannot be read, or a file is shorter or longer than it says.
    """
    return formats.n_parameters(weights.parent, cure)


def sha256_of_all(paths: list[Path]) -> str:
    """Return the sha256 of the bytes of some files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _hashed(folder: Path, cure: str) -> tuple[Seen, bool]:
    """Return the hashes of a folder's files, and whether they were noted before."""
    state = _settled_state(folder)
    note = _notes.get(_key(folder)) or _read_json(_note(folder))
    if note.get("state") == state and isinstance(note.get("sha256"), dict) and WEIGHTS in note["sha256"]:
        return Seen(folder, state, note["sha256"]), True
    weights = formats.weight_files(folder, cure)
    others = [name for name in state if folder / name not in weights and name != SEAL]
    hashes = {name: sha256_of_all([folder / name]) for name in others}
    return Seen(folder, state, hashes | _weights_hashes(weights)), False


def _weights_hashes(files: list[Path]) -> dict[str, str]:
    """Return the sha256 of each weight file, and of all their bytes together under the name ``model.safetensors``."""
    whole, hashes = hashlib.sha256(), {}
    for path in files:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                if len(files) > 1:
                    whole.update(block)
        hashes[path.name] = digest.hexdigest()
    return hashes | {WEIGHTS: whole.hexdigest() if len(files) > 1 else digest.hexdigest()}


def _keep_note(seen: Seen) -> None:
    """Note what was hashed; a full disk costs a second in the next process, no more."""
    note = {"folder": str(seen.folder), "state": seen.state, "sha256": seen.sha256}
    _notes[_key(seen.folder)] = note
    try_replace_file(_note(seen.folder), json.dumps(note))


def _promised(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that the seal names."""
    files = _read_json(folder / SEAL).get("files")
    files = files if isinstance(files, dict) else {}
    return {name: told["sha256"] for name, told in files.items() if isinstance(told, dict) and "sha256" in told}


def _visible(folder: Path) -> list[Path]:
    visible = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in visible if path.name != SEAL)


def _state(folder: Path) -> State:
    """Return size, times and inode of every file that matters: weights, settings, the seal and what it names.

    The time of the last change (ctime) cannot be set by a program, so a file that is replaced by one of the same size
    and with the same time of writing (mtime) is noticed.
    """
    with contextlib.suppress(DamagedFile):
        paths = {path.name: path for path in (*formats.weight_files(folder), *formats.settings_files(folder))}
        paths |= {name: folder / name for name in (SEAL, *_promised(folder)) if (folder / name).is_file()}
        return {name: state_of(path) for name, path in sorted(paths.items())}
    return {}


def state_of(path: Path) -> list[int]:
    """Return size, times and inode of one file."""
    with path.open("rb") as file:  # on a network file system only opening a file asks the server for its state
        state = os.fstat(file.fileno())
    changed = 0 if sys.platform == "win32" else state.st_ctime_ns  # there it is the time of creation
    return [state.st_size, state.st_mtime_ns, changed, state.st_ino]


def _settled_state(folder: Path) -> State:
    """Return the state of a folder once its last change is older than a tick of the file system's clock."""
    return _settled(lambda: _state(folder))


def settled_state_of(path: Path) -> list[int]:
    """Return size, times and inode of one file once its last change is older than a tick of the file system's clock.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    return _settled(lambda: {path.name: state_of(path)})[path.name]


def _settled(look: Callable[[], State]) -> State:
    state = look()
    newest = max((max(times[1:3]) for times in state.values()), default=0)
    tick = COARSE_TICK_S if newest % 1_000_000_000 == 0 else TICK_S
    if 0 <= time.time() - newest / 1e9 < tick:
        time.sleep(tick)
        return look()
    return state


def _key(folder: Path) -> str:
    return os.fspath(folder.resolve())


def _note(folder: Path) -> Path:
    """Return where this machine keeps its note about a folder."""
    key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    return cache_folder() / "verified" / f"{formats.name_of(folder)[:80]}-{key}.json"


def _read_json(path: Path) -> JsonObject:
    """Return an empty dict where there is no readable file: it will be written anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
