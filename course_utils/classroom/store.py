"""Anonymous store of a class's votes and shared numbers; summaries are of five viewers, and change in steps of five.

How votes stay anonymous. A question's picture comes when five viewers have voted, and changes only when five
viewers at least have voted, voted otherwise or taken back since. So whoever watches two pictures, and knows who voted
in between, learns what five people did together, and of nobody alone.

What it does not protect against: five who all chose the same are known to have done so; somebody who casts four votes
of five, with four pages, learns the fifth; and whoever may read the file sees which votes belong together, though not
whose.
"""

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from course_utils.classroom.database import changes, transaction, truncate_log
from course_utils.classroom.tally import MIN_VOTERS, Tally, csv_text, published_summary, rows
from course_utils.classroom.votes import EVIDENCE, VIEWER, SharedNumber, check_session, check_vote
from course_utils.errors import CourseError, TextError

Place: TypeAlias = tuple[str, int, str, str]  # where votes are counted: session, round, demo, question

__all__ = [
    "add_evidence", "add_vote", "add_votes", "changes", "clear", "count_of_viewer", "export_csv", "new_round",
    "new_viewer", "current_round", "open_session", "tallies", "withdraw",
]  # fmt: skip

HERE = "session = ? AND round = ? AND demo = ? AND question = ?"


def open_session() -> str | None:
    """Return the session of this class, where a hall has one open: ``COURSE_CLASS`` and ``COURSE_CLASS_SESSION``."""
    name = os.environ.get("COURSE_CLASS_SESSION")
    return name if name and os.environ.get("COURSE_CLASS") else None


def new_viewer() -> str:
    """Return a random token for somebody who votes: no name, no address, and not the same on another day."""
    return secrets.token_hex(16)


# -- what is added and taken back --------------------------------------------------------------------------------------


def add_vote(session: str, demo: str, question: str, choice: str, viewer: str, path: str | Path | None = None) -> int:
    """Count a vote; of several of one viewer on one question, the last. See `add_votes`."""
    return add_votes(session, demo, {question: choice}, viewer, path)


def add_votes(session: str, demo: str, votes: Mapping[str, str], viewer: str, path: str | Path | None = None) -> int:
    """Count votes together: all of them, or none.

    Parameters
    ----------
    session : str
        Which lecture.
    demo : str
        ``"sizes"``, ``"human_or_machine"`` or ``"timeline"``.
    votes : mapping of str to str
        Question and choice; see `votes.check_vote`.
    viewer : str
        As from `new_viewer`. The file holds another token, made from it and the session.
    path : str or Path, optional
        As for `database.database_path`.

    Returns
    -------
    int
        The round in which they count.

    Raises
    ------
    InvalidVote, SettingsError
        A vote, viewer or session that is none.
    DatabaseBusy, DamagedFile, NoSpace
        Nothing was counted.
    """
    for question, choice in votes.items():
        check_vote(demo, question, choice)
    _require_viewer(viewer)
    with transaction(path) as db:
        here, token = _joined(db, session, viewer)
        for question, choice in votes.items():
            _count(db, (*here, demo, question), token, choice)
    return here[1]


def add_evidence(session: str, kept: SharedNumber, viewer: str, path: str | Path | None = None) -> int:
    """Count a kept number; of several of one viewer on one question, the last. Otherwise as `add_votes`.

    Parameters
    ----------
    session : str
    kept : SharedNumber
        As from `votes.shared_number`.
    viewer : str
    path : str or Path, optional
    """
    kept.check()
    _require_viewer(viewer)
    with transaction(path) as db:
        here, token = _joined(db, session, viewer)
        _count(db, (*here, EVIDENCE, kept.question), token, repr(float(kept.value)))
        about = (kept.kind, kept.metric, kept.model, kept.row, kept.value, kept.low, kept.high, kept.n)
        row = (*here, kept.question, token, *about, json.dumps(dict(kept.settings), sort_keys=True), _minute())
        db.execute(f"INSERT OR REPLACE INTO evidence VALUES ({', '.join('?' * len(row))})", row)
    return here[1]


def withdraw(session: str, viewer: str, demo: str | None = None, path: str | Path | None = None) -> int:
    """Take back what a viewer gave in a session, in all its rounds; return how many votes and numbers that were.

    They are out of the file at once, and out of each picture when it changes next. A question that fewer than five
    still answer is hidden at once. The log beside the file is emptied too, unless another process is reading it.
    """
    _require_viewer(viewer)
    with transaction(path) as db:
        found = _look_up(db, session)
        if found is None:
            return 0
        who = (session, _token(found[1], session, viewer))
        mine = "FROM votes WHERE session = ? AND viewer = ? AND choice IS NOT NULL" + (" AND demo = ?" if demo else "")
        places = db.execute(f"SELECT round, demo, question {mine}", (*who, *([demo] if demo else []))).fetchall()
        for place in places:
            _take_back(db, (session, *place), who[1])
    if places:
        with contextlib.suppress(CourseError):  # the votes count no more, whether or not the log could be emptied
            truncate_log(path)
    return len(places)


def count_of_viewer(session: str, viewer: str, path: str | Path | None = None) -> tuple[dict[str, int], int]:
    """Count what the file holds of a viewer in a session, in all its rounds.

    Returns
    -------
    votes : dict of str to int
        Votes and kept numbers by demo; demos without any are left out.
    n_in_pictures : int
        Votes that were taken back, and that a picture still counts until it changes.
    """
    _require_viewer(viewer)
    with transaction(path, is_writing=False) as db:
        found = _look_up(db, session)
        if found is None:
            return {}, 0
        who = (session, _token(found[1], session, viewer))
        mine = "FROM votes WHERE session = ? AND viewer = ?"
        counted = db.execute(f"SELECT demo, count(*) {mine} AND choice IS NOT NULL GROUP BY demo", who).fetchall()
        (n_in_pictures,) = db.execute(f"SELECT count(*) {mine} AND choice IS NULL", who).fetchone()
    return dict(counted), n_in_pictures


def new_round(session: str, path: str | Path | None = None) -> int:
    """Begin anew: what comes is counted in another round; what came stays in the file. Return its number, from 1."""
    with transaction(path) as db:
        (_, round), _ = _joined(db, session)
        db.execute("UPDATE sessions SET round = round + 1 WHERE session = ?", (session,))
        return round + 1


def clear(session: str, path: str | Path | None = None) -> None:
    """Delete a session with all its rounds; the place in the file is overwritten."""
    check_session(session)
    with transaction(path) as db:
        for table in ("votes", "questions", "evidence", "sessions"):
            db.execute(f"DELETE FROM {table} WHERE session = ?", (session,))
    truncate_log(path)


# -- what is told ------------------------------------------------------------------------------------------------------


def current_round(session: str, path: str | Path | None = None) -> int:
    """Return the round that a session is in; 1 where nobody has voted."""
    check_session(session)
    with transaction(path, is_writing=False) as db:
        return (_look_up(db, session) or (1, ""))[0]


def tallies(
    session: str, demo: str | None = None, round: int | None = None, path: str | Path | None = None
) -> list[Tally]:
    """Return what may be told of each question: its picture, or how many viewers are missing.

    Parameters
    ----------
    session : str
    demo : str, optional
        All of them, if left out.
    round : int, optional
        The one that goes on, if left out.
    path : str or Path, optional

    Notes
    -----
    It reads one row a question, however many have voted. The docstring of this module says how votes stay anonymous.
    """
    check_session(session)
    with transaction(path, is_writing=False) as db:
        round = round or (_look_up(db, session) or (1, ""))[0]
        asked = "SELECT demo, question, n, waiting, shown FROM questions WHERE session = ? AND round = ?"
        found = db.execute(f"{asked} ORDER BY demo, question", (session, round)).fetchall()
    return [_tally(*row) for row in found if demo in (None, row[0])]


def export_csv(session: str, path: str | Path | None = None) -> str:
    """Return every round's pictures as CSV: what the projector shows, and no more; no cell is taken for a formula."""
    rounds = range(1, current_round(session, path) + 1)
    told = [(round, tally) for round in rounds for tally in tallies(session, None, round, path)]
    return csv_text(
        [(session, round, tally.demo, tally.question, *row) for round, tally in told for row in rows(tally)]
    )


# -- inside a transaction ----------------------------------------------------------------------------------------------


def _joined(db: sqlite3.Connection, session: str, viewer: str = "") -> tuple[tuple[str, int], str]:
    """Return session with round, and a viewer's token in it; a session begins when somebody joins."""
    check_session(session)
    new = (session, secrets.token_hex(16))
    db.execute("INSERT OR IGNORE INTO sessions VALUES (?, 1, ?)", new)
    found = _look_up(db, session)
    if found is None:
        raise RuntimeError(f"The session {session} was not written.")
    round, salt = found
    return (session, round), _token(salt, session, viewer)


def _look_up(db: sqlite3.Connection, session: str) -> tuple[int, str] | None:
    found: tuple[int, str] | None = db.execute(
        "SELECT round, salt FROM sessions WHERE session = ?", (session,)
    ).fetchone()
    return found


def _token(salt: str, session: str, viewer: str) -> str:
    return hashlib.sha256(f"{salt} {session} {viewer}".encode()).hexdigest()[:32]


def _count(db: sqlite3.Connection, place: Place, token: str, choice: str) -> None:
    """Put a vote in its place; the picture changes with it if enough others wait."""
    mine = f"{HERE} AND viewer = ?"
    found = db.execute(f"SELECT choice, is_waiting FROM votes WHERE {mine}", (*place, token)).fetchone()
    if found and found[0] == choice:
        return
    if found:
        values = (choice, _minute(), *place, token)
        db.execute(f"UPDATE votes SET choice = ?, at = ?, is_waiting = 1 WHERE {mine}", values)
    else:
        db.execute("INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1)", (*place, token, choice, _minute()))
    is_new = found is None or found[0] is None
    _note(db, place, int(is_new), int(not (found and found[1])))


def _take_back(db: sqlite3.Connection, place: Place, token: str) -> None:
    """Empty a vote. That somebody was in the picture is remembered until it changes: he counts among the five then."""
    mine = f"{HERE} AND viewer = ?"
    was_shown, is_waiting = db.execute(
        f"SELECT was_shown, is_waiting FROM votes WHERE {mine}", (*place, token)
    ).fetchone()
    if was_shown:
        db.execute(f"UPDATE votes SET choice = NULL, at = NULL, is_waiting = 1 WHERE {mine}", (*place, token))
    else:
        db.execute(f"DELETE FROM votes WHERE {mine}", (*place, token))
    if place[2] == EVIDENCE:
        here = (place[0], place[1], place[3], token)
        db.execute("DELETE FROM evidence WHERE session = ? AND round = ? AND question = ? AND viewer = ?", here)
    _note(db, place, -1, int(not is_waiting) if was_shown else -1)


def _note(db: sqlite3.Connection, place: Place, n: int, waiting: int) -> None:
    """Keep count of a question, and take its picture anew when five viewers have changed it."""
    db.execute("INSERT OR IGNORE INTO questions VALUES (?, ?, ?, ?, 0, 0, NULL)", place)
    db.execute(f"UPDATE questions SET n = n + ?, waiting = waiting + ? WHERE {HERE}", (n, waiting, *place))
    n, waiting = db.execute(f"SELECT n, waiting FROM questions WHERE {HERE}", place).fetchone()
    if n < MIN_VOTERS or waiting < MIN_VOTERS:
        return
    db.execute(f"DELETE FROM votes WHERE {HERE} AND choice IS NULL", place)
    choices = [each for (each,) in db.execute(f"SELECT choice FROM votes WHERE {HERE}", place)]
    db.execute(f"UPDATE votes SET was_shown = 1, is_waiting = 0 WHERE {HERE} AND is_waiting = 1", place)
    shown = json.dumps(published_summary(place[2], choices))
    db.execute(f"UPDATE questions SET waiting = 0, shown = ? WHERE {HERE}", (shown, *place))


# -- in words and numbers ----------------------------------------------------------------------------------------------


def _tally(demo: str, question: str, n: int, waiting: int, shown: str | None) -> Tally:
    needed = max(MIN_VOTERS - waiting, MIN_VOTERS - n)
    return Tally(demo, question, n, json.loads(shown) if shown and n >= MIN_VOTERS else None, waiting, needed)


def _minute() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%MZ}"


def _require_viewer(viewer: str) -> None:
    if not isinstance(viewer, str) or not VIEWER.fullmatch(viewer):
        raise TextError("The viewer is no token.", "32 hex digits.", "new_viewer() makes one; a name is not wanted.")
