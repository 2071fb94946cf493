"""SQLite access to nbgrader's gradebook: addresses for any path, bounded waiting for locks, errors in words."""

import functools
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from course_utils.errors import CourseError

WAIT_S = 10.0
MAX_WAIT_S = 3600.0
WAIT_VARIABLE = "COURSE_GRADEBOOK_WAIT"

# What SQLite says, what it means, what was expected, and what to do. The first that fits counts.
SQLITE_FAULTS = (
    (
        "locked",
        "is in use by another program",
        "A gradebook that no other program keeps locked.",
        "Close what has it open (a database browser, a backup), then do the same again.",
    ),
    (
        "readonly",
        "cannot be written",
        "A file, and a folder around it, that you may write to.",
        "Give yourself the right to write there, then do the same again.",
    ),
    (
        "full",
        "cannot be written: the disk is full",
        "A disk with free space.",
        "Make room, then do the same again.",
    ),
    (
        "disk i/o",
        "cannot be read or written: the disk reports an error",
        "A disk that works.",
        "Check the disk and its free space, then do the same again.",
    ),
    (
        "unable to open",
        "cannot be opened",
        "A file that you may read and write.",
        "Check the path and its permissions.",
    ),
    (
        "not a database",
        "is no database",
        "nbgrader's SQLite database.",
        "Move it away, and put a copy from your backup in its place. Nothing was changed.",
    ),
    (
        "malformed",
        "is damaged",
        "A whole SQLite database.",
        "Move it away, and put a copy from your backup in its place. Nothing was changed.",
    ),
    (
        "no such",
        "was made by another version of nbgrader",
        "The tables of the version that is installed here.",
        "Back the file up, then: nbgrader db upgrade",
    ),
)


class GradebookError(CourseError):
    """The gradebook cannot be read or written."""


def gradebook_url(file: Path) -> str:
    """Return SQLAlchemy's address of an SQLite file, for any path.

    Examples
    --------
    >>> gradebook_url(Path("/a%20b?/gradebook.db"))
    'sqlite:////a%2520b%3F/gradebook.db'
    """
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


def gradebook_file(db_url: str) -> Path | None:
    """Return the file of an SQLite gradebook; None where the gradebook is on a database server.

    Raises
    ------
    GradebookError
        It is no address.
    """
    try:
        url = make_url(db_url)
    except ArgumentError as problem:
        raise GradebookError(
            f"The gradebook's address is {db_url[:100]!r}.",
            "An address such as sqlite:////home/me/course/gradebook.db",
            "Correct CourseDirectory.db_url in nbgrader_config.py, or remove it there.",
        ) from problem
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def wait_seconds() -> float:
    """Return how long a program waits for a locked gradebook: ``COURSE_GRADEBOOK_WAIT`` in seconds, or 10."""
    try:
        chosen = float(os.environ.get(WAIT_VARIABLE, WAIT_S))
    except ValueError:
        return WAIT_S
    return chosen if 0 <= chosen <= MAX_WAIT_S else WAIT_S


@contextmanager
def gradebook_errors(db_url: str) -> Iterator[None]:
    """Turn what the database reports inside the block into a `GradebookError` that names the file.

    Raises
    ------
    GradebookError
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as problem:
        raise _in_words(db_url, str(getattr(problem, "orig", None) or problem)) from problem
    except SQLAlchemyError as problem:
        raise _in_words(db_url, str(problem)) from problem


def is_gradebook_trouble(log: str) -> bool:
    """Tell whether a log of nbgrader ends in an error of the database: a lock, a full disk, a damaged file."""
    return any(f"{kind}" in log for kind in ("sqlite3.OperationalError", "sqlite3.DatabaseError", "sqlalchemy.exc."))


def gradebook_trouble(db_url: str, log: str) -> GradebookError:
    """Return the error for what nbgrader's log says about the database."""
    lines = [line for line in log.splitlines() if "sqlite3." in line or "sqlalchemy.exc." in line]
    return _in_words(db_url, lines[-1] if lines else "")


def require_writable(db_url: str, wait_s: float | None = None) -> None:
    """Refuse a gradebook that cannot be written now. Nothing is changed.

    Parameters
    ----------
    db_url : str
    wait_s : float, optional
        How long a lock is waited for; `wait_seconds` if left out.

    Raises
    ------
    GradebookError
    """
    file = gradebook_file(db_url)
    if file is None or not file.exists():
        return
    wait_s = wait_seconds() if wait_s is None else wait_s
    with gradebook_errors(db_url), closing(sqlite3.connect(file, timeout=wait_s, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        # A write is tried, because a read-only file lets a transaction begin.
        database.execute("CREATE TABLE IF NOT EXISTS course_write_check (x)")
        database.execute("ROLLBACK")


def require_known_schema(db_url: str) -> None:
    """Refuse a gradebook of another version of nbgrader, before nbgrader adds tables to it.

    Raises
    ------
    GradebookError
        It is older or newer, no database, or it cannot be read.
    """
    file = gradebook_file(db_url)
    if file is None or not file.exists() or file.stat().st_size == 0:
        return
    with gradebook_errors(db_url), closing(sqlite3.connect(file, timeout=wait_seconds())) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = list(database.execute("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else []
    if not tables or (found and found[0][0] == _schemas()[0]):
        return
    if found and found[0][0] not in _schemas():
        raise GradebookError(
            f"{file} was made by a newer version of nbgrader: its schema is {str(found[0][0])[:40]}.",
            f"Schema {_schemas()[0]}, which the installed nbgrader writes.",
            "Install that newer nbgrader, or use a copy of the file from before. Nothing was changed.",
        )
    raise GradebookError(
        f"{file} was made by an older version of nbgrader.",
        f"Schema {_schemas()[0]}, which the installed nbgrader writes.",
        "Back the file up, then, in the course's folder: nbgrader db upgrade",
    )


@functools.cache
def install_lock_timeout() -> None:
    """Let nbgrader's own database connections wait as long as ours do."""
    import nbgrader.api

    def waiting_engine(url: str | URL, **named: Any) -> Engine:
        engine = create_engine(url, **named)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _wait)
        return engine

    nbgrader.api.create_engine = waiting_engine


@functools.cache
def install_immediate_transactions() -> None:
    """Let this process begin every transaction with the right to write.

    Several grading processes write one gradebook. SQLite's usual transaction reads first and asks for the right to
    write later. Two of those refuse each other at once, whatever the time-out. With ``BEGIN IMMEDIATE`` the second
    one waits.
    """
    install_lock_timeout()
    import nbgrader.api

    make = nbgrader.api.create_engine

    def immediate_engine(url: str | URL, **named: Any) -> Engine:
        engine: Engine = make(url, **named)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _leave_transactions_to_us)
            event.listen(engine, "begin", _begin_immediately)
        return engine

    nbgrader.api.create_engine = immediate_engine


def _wait(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * wait_seconds())}")


def _leave_transactions_to_us(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _in_words(db_url: str, message: str) -> GradebookError:
    where = gradebook_file(db_url) or make_url(db_url).render_as_string()
    for sign, what, expected, next_step in SQLITE_FAULTS:
        if sign in message.lower():
            return GradebookError(f"The gradebook {where} {what}.", expected, next_step)
    reason = " ".join(message.split())[:200]
    return GradebookError(
        f"The gradebook {where} cannot be used: {reason}.",
        "A database made by nbgrader.",
        "Check the file, or the database server.",
    )


@functools.cache
def _schemas() -> tuple[str, ...]:
    """Return the names of nbgrader's schemas, the newest first."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from nbgrader.dbutil import ALEMBIC_DIR

    settings = Config()
    settings.set_main_option("script_location", ALEMBIC_DIR.replace("%", "%%"))
    return tuple(revision.revision for revision in ScriptDirectory.from_config(settings).walk_revisions())
