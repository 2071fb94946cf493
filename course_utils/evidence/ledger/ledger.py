"""Evidence ledger of a student: an append-only file of measurements, shared by all notebooks of one course folder.

Each record names the hash of the record before it. A ledger that another program saved is read all the same. The next
`keep` writes it in its usual form, and keeps the bytes as they were beside it.
"""

import contextlib
import dataclasses
import datetime
import difflib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from course_utils.core.files import append_to_file, expanded, no_space, replace_file, try_replace_file, write_errors
from course_utils.core.paths import REPOSITORY, cache_folder
from course_utils.errors import DamagedFile, NoSpace, TextError
from course_utils.evidence.ledger.record import (
    FIRST,
    LARGEST_MB,
    Chain,
    Record,
    looks_like_ledger,
    plain,
    read_ledger_bytes,
    seal,
)
from course_utils.experiments.core.result import Result

if TYPE_CHECKING:
    import pandas as pd

NAME = "evidence.jsonl"
LANDMARK = Path("notebooks") / "0_start_here.ipynb"  # lies in every copy of the course's folder
PATIENCE_S = 30.0  # until another notebook has written
LONGEST_NOTE = 2000  # characters
TAKES_THEM = " takes them in."  # ends a note about a copy
LARGEST_COPY_MB = 5
MOST_COPIES = 20  # files beside the ledger that are looked at
IF_UNWRITABLE = "Make room, or set COURSE_LEDGER to a file in another folder; nothing was changed."
COLUMNS = ["id", "finding", "metric", "of", "value", "low", "high", "n", "unit", "experiment", "note", "time"]

Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True, eq=False)
class Ledger:
    """Ledger: the records that the file held when it was read.

    Parameters
    ----------
    path : Path
    records : tuple of Record
        In the order in which they were kept, up to the first line that is wrong.
    faults : tuple of (int, str)
        Line and what is wrong with it; none in a sound ledger.
    torn : bytes
        What was left at its end by a writing that was cut off: the next `keep` sets it aside.
    notes : tuple of str
        What another program changed around the records, and which copies of the ledger lie beside it.
    """

    path: Path
    records: tuple[Record, ...]
    faults: tuple[tuple[int, str], ...] = ()
    torn: bytes = b""
    notes: tuple[str, ...] = ()

    def find(self, id: str) -> Record:
        """Return the record of an id, as a record or a citation writes it: ``E-07f3`` or ``[@E-07f3]``.

        Raises
        ------
        TextError
            There is none; tells the nearest.
        """
        wanted = str(id).strip().removeprefix("[").removesuffix("]").removeprefix("@")
        ids = [record.id for record in self.records]
        if wanted in ids:
            return self.records[ids.index(wanted)]
        near = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.5) or ids[-3:]
        trusted = f" among the {len(ids)} before line {self.faults[0][0]}, which is wrong" if self.faults else ""
        raise TextError(
            f"No record has the id {wanted[:40]!r}{trusted} in {self.path}.",
            f"Such as {', '.join(near)}." if near else "A ledger with records: this one has none.",
            "read().table() lists them all.",
        )

    def table(self) -> "pd.DataFrame":
        """Return one row a record, with what a sentence needs to cite it."""
        import pandas as pd  # here, because a grading worker starts in half the time without it

        return pd.DataFrame([[getattr(record, name) for name in COLUMNS] for record in self.records], columns=COLUMNS)

    def check(self) -> "Ledger":
        """Return the ledger if every line is as it was written.

        Raises
        ------
        DamagedFile
            It names the first line that is not, and what is wrong with it.
        """
        if not self.faults:
            return self
        line, what = self.faults[0]
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        raise DamagedFile(
            f"{self.path}, line {line}, {what}{more}.",
            f"The ledger as the course wrote it; {len(self.records)} records before that line are sound.",
            f"It is left as it is. {self._what_helps()}",
        )

    def _what_helps(self) -> str:
        beside = "".join(f"{note} " for note in self.notes if note.endswith(TAKES_THEM))
        return f"{beside}Put an older copy in its place, or move it away and begin a new one."

    def __str__(self) -> str:
        """Return every record, then what was normalised and what is wrong."""
        wrong = list(self.notes)
        wrong += [f"line {line} {what}" for line, what in self.faults]
        wrong += [f"line {len(self.records) + 1} was cut off while it was written"] if self.torn else []
        lines = [str(record) for record in self.records] or ["no records yet"]
        return "\n".join([str(self.path), *lines, *wrong])

    __repr__ = __str__


def keep(
    result: Result,
    note: str = "",
    metric: str | None = None,
    row: int | str | None = None,
    ledger: str | Path | None = None,
    say: Say = print,
) -> Record:
    """Keep a result as evidence that an essay can cite.

    Parameters
    ----------
    result : Result
    note : str
        What you want to remember about it.
    metric, row
        The number that it stands for, as for ``result.metric``; the one in the finding when left out.
    ledger : str or Path, optional
        As for `ledger_path`.
    say : callable
        Told what a person should know: that a line had been cut off, or that this was kept before.

    Returns
    -------
    Record
        Its id is what to cite. What was measured before, to the last digit, is not kept twice.

    Raises
    ------
    DamagedFile
        The ledger is not as the course wrote it. Nothing is changed in it.
    NoSpace
        It cannot be written. Nothing is changed in it.
    SettingsError
        The result has no such number.
    TextError
        The note is too long, or that path is no file.
    """
    measured = result.record(metric, row)
    if measured["metric"] is None:
        result.metric()  # raises, and tells which numbers there are
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise TextError(f"The note is {str(note)[:40]!r}….", f"Up to {LONGEST_NOTE:,} characters.", "Shorten it.")
    return append({**measured, "note": " ".join(note.split())}, ledger_path(ledger), say)


def append(measured: dict[str, object], path: Path, say: Say = print) -> Record:
    """Add a measurement, as ``result.record()`` returns it, with a note; see `keep`."""
    measured = plain(measured)
    with _locked(path):
        chain, hashes = _looked(path), known_hashes(path)
        _ledger(path, chain).check()
        alike = [record for record in chain.records if record.finding == measured["finding"]]
        same = [record for record in alike if record.measured() == measured]
        if same:
            say(f"This was kept before, as {same[-1].id}.")
            return same[-1]
        if hashes and not os.path.exists(path):
            say(f"{path} held {len(hashes)} records and is gone; a new ledger begins.")
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        previous = chain.records[-1].hash if chain.records else FIRST
        record = seal(measured, now, previous, {record.id for record in chain.records})
        if chain.content == chain.whole + chain.torn:
            if chain.torn:
                say(_set_aside(path, chain))
        elif chain.whole != chain.content + b"\n":  # more is unusual than a missing line end
            say(_write_usual(path, chain))
        missing_end = b"\n" if chain.whole == chain.content + b"\n" else b""
        append_to_file(path, missing_end + record.line(), IF_UNWRITABLE)
        _note_hashes(path, [*chain.hashes, record.hash])
    return record


def merge(other: str | Path, ledger: str | Path | None = None, say: Say = print) -> Ledger:
    """Take the records of another copy of a ledger into this one, such as a cloud drive's "conflicted copy".

    Parameters
    ----------
    other : str or Path
        Is left as it is.
    ledger : str or Path, optional
        As for `ledger_path`.
    say : callable
        Told how many records came.

    Returns
    -------
    Ledger
        As it is now.

    Raises
    ------
    DamagedFile
        One of the two is not as the course wrote it. Nothing is changed.
    """
    path, other = ledger_path(ledger), Path(other).expanduser().absolute()
    with _locked(path):
        other_chain = _looked(other)
        _ledger(other, other_chain).check()
        own_chain = _looked(path, is_merged_with=other_chain)
        _ledger(path, own_chain).check()
        more = [record for record in other_chain.records if record.hash not in own_chain.hashes]
        both = read_ledger_bytes(own_chain.whole + b"".join(record.line() for record in more))
        if not own_chain.is_usual:
            say(_write_usual(path, own_chain))
        replace_file(path.resolve(), both.whole, IF_UNWRITABLE)
        _note_hashes(path, both.hashes)
    say(f"{len(more)} records of {other.name} were added to {path}; it holds {len(both.records)} now.")
    return _ledger(path, both)


def read(path: str | Path | None = None) -> Ledger:
    """Read a ledger; where there is none yet, it has no records.

    Parameters
    ----------
    path : str or Path, optional
        As for `ledger_path`.

    Raises
    ------
    TextError
        That is no file.
    DamagedFile
        It is larger than any ledger. What is wrong within one is told by ``check()``.
    """
    path = ledger_path(path)
    chain = _looked(path)
    if chain.torn or chain.faults:  # or somebody is writing this very moment
        with contextlib.suppress(NoSpace), _locked(path):  # where nothing can be written, nobody is writing
            chain = _looked(path)
    return _ledger(path, chain)


def ledger_path(path: str | Path | None = None) -> Path:
    """Return where the ledger lies: the path given, or ``COURSE_LEDGER``, or evidence.jsonl in the course's folder.

    The course's folder is the nearest one upwards from here that holds the notebooks, else the one that this package
    is run from, else the folder here; so all notebooks of one copy of the course share a ledger.
    """
    chosen = path or os.environ.get("COURSE_LEDGER")
    if chosen:
        return expanded(chosen)
    here = Path.cwd()
    folders = [here, *here.parents, REPOSITORY]
    return next((folder for folder in folders if (folder / LANDMARK).is_file()), here) / NAME


# -- the file ---------------------------------------------------------------------------------------------------------


def _looked(path: Path, is_merged_with: Chain | None = None) -> Chain:
    if os.path.exists(path) and not os.path.isfile(path):
        raise TextError(f"{path} is no file.", "A file for the ledger.", f'Use "{path / NAME}".')
    merged_hashes = is_merged_with.hashes if is_merged_with else ()
    try:
        if path.stat().st_size > LARGEST_MB * 1e6:
            raise DamagedFile(f"{path} is larger than {LARGEST_MB} MB.", "A ledger.", "Name another file.")
        return read_ledger_bytes(
            path.read_bytes(), [hash_ for hash_ in known_hashes(path) if hash_ not in merged_hashes]
        )
    except FileNotFoundError:
        return read_ledger_bytes(b"")
    except OSError as problem:
        what = f"{path} cannot be read: {problem.strerror or problem}."
        raise NoSpace(what, "A file that you may read.", "Check its permissions; nothing was changed.") from problem


def _ledger(path: Path, chain: Chain) -> Ledger:
    return Ledger(path, chain.records, chain.faults, chain.torn, (*chain.notes, *_copies_beside(path, chain)))


def _copies_beside(path: Path, chain: Chain) -> Iterator[str]:
    """Yield a sentence for each copy of the ledger in its folder that holds records which it lacks.

    Cloud drives write such a copy when two machines changed the ledger at once.
    """
    with contextlib.suppress(OSError):
        beside = [file for file in path.parent.iterdir() if _may_be_a_copy(file, path)]
        for file in sorted(beside)[:MOST_COPIES]:
            content = file.read_bytes()
            if content.strip() and looks_like_ledger(content):
                copy = read_ledger_bytes(content)
                n = sum(record.hash not in chain.hashes for record in copy.records)
                if n and set(copy.hashes) & set(chain.hashes):  # a copy of this one, not another ledger
                    yield f"{file.name} beside it holds {n} more records: merge({file.name!r}){TAKES_THEM}"


def _may_be_a_copy(file: Path, path: Path) -> bool:
    is_like = path.stem in file.name and ".jsonl" in file.name and not file.name.startswith(".")
    is_own = file.name == path.name or re.fullmatch(rf"{re.escape(path.name)}\.(?:before|cut-off)-\w+", file.name)
    return bool(is_like and not is_own and file.is_file() and file.stat().st_size < LARGEST_COPY_MB * 1e6)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the ledger for oneself; the system lets go of it when a process dies."""
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE_S, poll_interval=0.01)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as problem:
        what = f"Another notebook has been writing to {path} for {PATIENCE_S:.0f} seconds."
        raise NoSpace(what, "A lock on the file.", "Wait, then do the same again.") from problem
    except OSError as problem:
        raise no_space(path, problem, IF_UNWRITABLE) from problem
    try:
        yield
    finally:
        lock.release()


def _write_usual(path: Path, chain: Chain) -> str:
    """Write a ledger in its usual form, with its bytes as they were kept beside it, and say so."""
    beside = path.with_name(f"{path.name}.before-{hashlib.sha256(chain.content).hexdigest()[:8]}")
    replace_file(beside, chain.content, IF_UNWRITABLE)
    replace_file(path.resolve(), chain.whole, IF_UNWRITABLE)
    n = len(chain.records)
    note = f"{path} had been changed by another program; its {n} records are whole and were written in their usual form"
    return f"{note}. {' '.join(chain.notes)} The file as it was: {beside.name}."


def _set_aside(path: Path, chain: Chain) -> str:
    """Move what was cut off into a file beside the ledger, and say so."""
    beside = path.with_name(f"{path.name}.cut-off-{hashlib.sha256(chain.torn).hexdigest()[:8]}")
    replace_file(beside, chain.torn, IF_UNWRITABLE)
    with write_errors(path, IF_UNWRITABLE):
        os.truncate(path, len(chain.whole))
    where = f"{path}, line {len(chain.hashes) + 1}, was cut off while it was written"
    return f"{where}: its {len(chain.torn)} bytes now lie in {beside.name}. The records before it are whole."


# -- the hashes that this machine wrote --------------------------------------------------------------------------------
# They are noted in the cache folder, apart from the ledger. A chain of hashes shows a record that is missing in the
# middle, but not one that is missing at the end.


def known_hashes(path: Path) -> list[str]:
    """Return the hashes of the records that a ledger held when this machine last wrote there; none if unknown."""
    with contextlib.suppress(OSError, ValueError):
        hashes = json.loads(_hashes_file(path).read_text(encoding="utf-8"))
        if isinstance(hashes, list) and all(isinstance(hash_, str) for hash_ in hashes):
            return hashes
    return []


def _note_hashes(path: Path, hashes: Sequence[str]) -> None:
    """Write down the hashes of all records; where that cannot be, a missing last record goes unnoticed."""
    try_replace_file(_hashes_file(path), json.dumps(list(hashes)))


def _hashes_file(path: Path) -> Path:
    return cache_folder() / "ledgers" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]}.json"
