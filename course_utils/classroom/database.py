"""SQLite database of a class's votes: one connection a process, also after a fork; a foreign file is moved aside."""

import contextlib
import datetime
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import filelock

from course_utils.core.files import expanded
from course_utils.core.paths import cache_folder
from course_utils.errors import CourseError, DamagedFile, NoSpace, TextError

NAME = "class.sqlite"
APPLICATION_ID = 0x436C5673  # SQLite's application id, by which a file of ours is known
LOCK_TIMEOUT_S = 10.0  # until another process has written
TABLES = """
CREATE TABLE sessions (session TEXT PRIMARY KEY, round INTEGER NOT NULL, salt TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE votes (
    session TEXT, round INTEGER, demo TEXT, question TEXT, viewer TEXT,
    choice TEXT, at TEXT, was_shown INTEGER NOT NULL, is_waiting INTEGER NOT NULL,
    PRIMARY KEY (session, round, demo, question, viewer)) WITHOUT ROWID;
CREATE TABLE questions (
    session TEXT, round INTEGER, demo TEXT, question TEXT, n INTEGER NOT NULL, waiting INTEGER NOT NULL, shown TEXT,
    PRIMARY KEY (session, round, demo, question)) WITHOUT ROWID;
CREATE TABLE evidence (
    session TEXT, round INTEGER, question TEXT, viewer TEXT,
    kind TEXT, metric TEXT, model TEXT, row INTEGER, value REAL, low REAL, high REAL, n REAL, settings TEXT, at TEXT,
    PRIMARY KEY (session, round, question, viewer)) WITHOUT ROWID;
"""
# Committed votes outlive a killed process: the log is in the system's hands by then. NORMAL leaves out the wait for the
# disk at each vote, so a power cut may take the last seconds' votes, and never the file. Without that wait two hundred
# votes a second are a few per cent of a core, and need no batching.
PRAGMAS = ("synchronous=NORMAL", "secure_delete=ON", "trusted_schema=OFF", "cell_size_check=ON")
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
CODES = 0xFF  # of a code with details, the part that says what it is


class DatabaseBusy(CourseError):
    """The database of votes is locked by another process for longer than `LOCK_TIMEOUT_S`."""


class _ForeignFile(Exception):
    """The file is damaged, or of something else; says what."""


class _Connection:
    """SQLite connection of this process, with a lock for its threads and the identity of its file."""

    def __init__(self, path: Path, stamp: tuple[int, int]) -> None:
        self.lock, self.stamp = threading.RLock(), stamp
        self.db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            for habit in PRAGMAS:
                self.db.execute(f"PRAGMA {habit}")
        except BaseException:
            self.db.close()
            raise


# A connection must not cross a fork, not even to be closed there: each process looks under its own number.
_connections: dict[tuple[int, str], _Connection] = {}
_opening = threading.Lock()


def database_path(path: str | Path | None = None) -> Path:
    """Return where the class's file lies: as given, else ``COURSE_CLASS``, else in the course's cache folder."""
    chosen = path or os.environ.get("COURSE_CLASS")
    return expanded(chosen) if chosen else cache_folder() / NAME


@contextlib.contextmanager
def transaction(path: str | Path | None = None, is_writing: bool = True) -> Iterator[sqlite3.Connection]:
    """Transaction on the database of votes: all changes of the block are written when it ends, or none of them.

    Parameters
    ----------
    path : str or Path, optional
        As for `database_path`.
    is_writing : bool

    Raises
    ------
    DatabaseBusy
        Another process holds the file.
    DamagedFile
        It is damaged or no file of ours; it was moved aside, and the next one begins a new file.
    NoSpace
        It cannot be written.
    TextError
        It is a folder.
    """
    path = database_path(path)
    with _told(path):
        connection = _connection(path)
        with connection.lock:
            connection.db.execute("BEGIN IMMEDIATE" if is_writing else "BEGIN")
            try:
                yield connection.db
                connection.db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.db.execute("ROLLBACK")
                raise


def changes(path: str | Path | None = None) -> tuple[int, int, int]:
    """Return what differs after another process has written, and costs nearly nothing to ask.

    Raises
    ------
    DatabaseBusy, DamagedFile, NoSpace, TextError
        As for `transaction`.
    """
    path = database_path(path)
    with _told(path):
        connection = _connection(path)
        with connection.lock:
            version = connection.db.execute("PRAGMA data_version").fetchone()[0]
            return (*connection.stamp, version + (connection.db.total_changes << 32))


def truncate_log(path: str | Path | None = None) -> None:
    """Write the log into the file and empty it, so that what was deleted is in neither."""
    path = database_path(path)
    with _told(path):
        connection = _connection(path)
        with connection.lock:
            connection.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# -- opening -----------------------------------------------------------------------------------------------------------


def _connection(path: Path) -> _Connection:
    """Return this process's connection, if the file is still the one that it was opened with."""
    key = (os.getpid(), str(path))
    connection = _connections.get(key)
    if connection is None or connection.stamp != _stamp(path):
        with _opening:
            connection = _connections.get(key)
            if connection is None or connection.stamp != _stamp(path):
                _forget(path)
                _connections[key] = connection = _opened(path)
    return connection


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def _forget(path: Path) -> None:
    connection = _connections.pop((os.getpid(), str(path)), None)
    if connection is not None:
        with connection.lock, contextlib.suppress(sqlite3.Error):
            connection.db.close()


def _opened(path: Path) -> _Connection:
    """Open a file that is ours, or make it; one process at a time, so that nobody sees it half made."""
    if path.is_dir():
        raise TextError(f"{path} is a folder.", "A file for the class's votes.", f"COURSE_CLASS={path / NAME}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # votes are for nobody else on this machine
        stamp = _stamp(path)
        if stamp is None:  # another program took it away
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        connection = _Connection(path, stamp)
        try:
            _begin(connection.db)
        except BaseException:
            connection.db.close()
            raise
    return connection


def _begin(db: sqlite3.Connection) -> None:
    """Check that the file is sound and ours; give an empty one its tables."""
    found = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not found and not db.execute("PRAGMA application_id").fetchone()[0]:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id={APPLICATION_ID}; COMMIT;")
        return
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID or _schema(db) != _schema_of_ours():
        raise _ForeignFile("belongs to another program")
    if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise _ForeignFile("is damaged")


def _schema(db: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    return sorted(db.execute("SELECT type, name, sql FROM sqlite_master").fetchall(), key=str)


def _schema_of_ours() -> list[tuple[str, str, str | None]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(TABLES)
        return _schema(db)


def _alone(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_TIMEOUT_S, mode=0o600)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into a sentence for a person."""
    try:
        yield
    except _ForeignFile as problem:
        raise _moved_aside(path, str(problem)) from None
    except sqlite3.Error as problem:
        code = getattr(problem, "sqlite_errorcode", 0) & CODES
        if code in DAMAGED:
            raise _moved_aside(path, "is damaged, or is no database") from problem
        if code in BUSY:
            raise _busy(path) from problem
        raise _cannot(path, str(problem)) from problem
    except filelock.Timeout as problem:
        raise _busy(path) from problem
    except OSError as problem:
        raise _cannot(path, problem.strerror or str(problem)) from problem


def _moved_aside(path: Path, what: str) -> DamagedFile:
    """Give the file another name, and say where it lies now; it is left where it is if even that cannot be."""
    try:
        aside = _set_aside(path)
        where = f"It lies now at {aside}; " if aside else "It has been moved aside already; "
        where += "the next vote begins a new file. Set COURSE_CLASS to use another."
    except OSError as problem:
        _forget(path)
        where = f"It could not be moved aside ({problem.strerror or problem}): set COURSE_CLASS to another file."
    return DamagedFile(f"The class's file {path} {what}.", "A file that the course wrote.", where)


def _set_aside(path: Path) -> Path | None:
    """Move the file aside, unless it is no longer the one that was found wrong."""
    connection = _connections.get((os.getpid(), str(path)))
    with _alone(path):
        is_same = (
            _stamp(path) is not None
            and (connection is None or connection.stamp == _stamp(path))
            and not _is_sound(path)
        )
        _forget(path)
        if not is_same:
            return None
        now = datetime.datetime.now(datetime.UTC)
        aside = path.with_name(f"{path.name}.aside-{now:%Y%m%d-%H%M%S-%f}")
        for end in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}{end}", f"{aside}{end}")
        return aside


def _is_sound(path: Path) -> bool:
    """Tell whether another process has put a good file there meanwhile."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as db:
            _begin(db)
            return bool(db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    except (sqlite3.Error, _ForeignFile):
        return False


def _busy(path: Path) -> DatabaseBusy:
    return DatabaseBusy(
        f"The class's file {path} is held by another program for over {LOCK_TIMEOUT_S:.0f} seconds.",
        "A file that only the course uses.",
        "Try again; close what else has opened it. What was counted before is kept.",
    )


def _cannot(path: Path, problem: str) -> NoSpace:
    return NoSpace(
        f"The class's file {path} cannot be used: {problem}.",
        "A folder that is yours, on a disk with room.",
        "Make room, or set COURSE_CLASS to a file in another folder. What was counted before is kept.",
    )
