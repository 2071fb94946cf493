"""Hand-in of an assignment: the ledger is copied beside the notebook, and a few lines say what will be handed in."""

import contextlib
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

from course_utils.core.files import expanded, read_errors, replace_file
from course_utils.errors import CourseError, TextError
from course_utils.evidence.claims.check import FAULT, check
from course_utils.evidence.essay.essay import SECTIONS, Essay, read_essay
from course_utils.evidence.ledger.ledger import NAME, Say, known_hashes, ledger_path, read
from course_utils.evidence.ledger.record import Chain, read_ledger_bytes

NOTEBOOK = "release_strategy.ipynb"
HOW_TO_BEGIN = "Press Keep as evidence under a result of a notebook, or run keep(result); then run this cell again."
HOW_TO_WRITE = "Make room, then hand in again."
SAVE_FIRST = "Only what is saved is handed in. Saved later than that? Run this cell again."
MOST_NOTEBOOKS = 100  # of a folder that are looked into
OF_THE_WHOLE = ("word count",)  # EssayCheck knows how many words were asked for; nobody down here does


def hand_in(
    folder: str | Path | None = None, say: Say = print, notebook: str = NOTEBOOK, ledger: str | Path | None = None
) -> None:
    """Lay the ledger beside the notebook, and say what will be handed in.

    Parameters
    ----------
    folder : str or Path, optional
        Where the notebook lies; here, when left out.
    say : callable
        Told each line.
    notebook : str
        Its name. Where there is none of that name, another one there in which an essay stands.
    ledger : str or Path, optional
        As for `course_utils.evidence.ledger.ledger.ledger_path`.

    Raises
    ------
    NoSpace
        The ledger cannot be written there. What lay there lies there still.
    TextError
        There is no such folder, or something that is no file has the ledger's name.
    DamagedFile
        What should be the ledger is larger than any. What is wrong within one is told, and it is copied as it is.

    Examples
    --------
    ::

        hand_in()
    """
    here = expanded(folder) if folder is not None else Path.cwd()
    if not os.path.isdir(here):
        raise TextError(
            f"There is no folder {here}.", "The folder of your notebook.", "Call hand_in() without a folder."
        )
    chain = _lay_beside(here / NAME, ledger_path(ledger), say)
    _tell_essay(here, notebook, chain, say)


def find_essay(folder: Path, notebook: str = NOTEBOOK) -> tuple[Path, Essay] | None:
    """Return the notebook of that name with its essay; else the one there with an essay in it that was saved last.

    Raises
    ------
    TextError
        There is one of that name, and it cannot be read as a notebook.
    """
    named = folder / notebook
    if os.path.exists(named):
        return named, read_essay(named)
    found = []
    for file in sorted(folder.glob("*.ipynb"))[:MOST_NOTEBOOKS]:
        with contextlib.suppress(CourseError, OSError):
            essay = read_essay(file)
            if any(essay.section(key).text for key in SECTIONS):
                found.append((file.stat().st_mtime, file, essay))
    return max(found, key=lambda candidate: candidate[0])[1:] if found else None


def what_counts(folder: Path, ledger: str | Path | None = None) -> Path:
    """Return the ledger that is handed in from a folder: the course's, else the one that lies there already."""
    course, beside = ledger_path(ledger), folder / NAME
    return beside if os.path.isfile(beside) and not os.path.exists(course) else course


# -- the ledger --------------------------------------------------------------------------------------------------------


def _lay_beside(target: Path, ledger: Path, say: Say) -> Chain | None:
    """Copy the ledger to the target, and return what it holds; None where there is none."""
    if not os.path.exists(ledger) and not os.path.isfile(target):
        say(f"There is no ledger yet: {ledger} does not exist, and nothing was copied. {HOW_TO_BEGIN}")
        return None
    if not os.path.exists(ledger):
        say(f"{ledger} does not exist; the {NAME} that lies beside the notebook already is what is handed in.")
        return _read_and_report(target, _content(target), say)
    content = _content(ledger)
    chain = _read_and_report(ledger, content, say)
    if os.path.exists(target) and target.samefile(ledger):
        say(f"The ledger is {target} itself: nothing had to be copied.")
    else:
        _copy(chain.whole, target, say)
    return chain


def _content(ledger: Path) -> bytes:
    """Return a ledger's bytes."""
    read(ledger)  # raises where it is none, and waits while another notebook is writing
    with read_errors(ledger):
        return ledger.read_bytes()


def _read_and_report(ledger: Path, content: bytes, say: Say) -> Chain:
    """Return what a ledger holds, having said how many records that are, and what is wrong with it."""
    chain = read_ledger_bytes(content, known_hashes(ledger))
    n = len(chain.records)
    state = "something is wrong in it" if chain.faults else "each as it was written"
    say(f"{NAME}: {n} {'record' if n == 1 else 'records'}, {state}.")
    for note in chain.notes:
        say(f"  {note}")
    if chain.faults:
        line, what = chain.faults[0]
        say(f"  Line {line} {what}. The grader sees the same: only the records before that line count.")
    if chain.torn:
        say("  Its last line was cut off while it was written, and is no record.")
    return chain


def _copy(content: bytes, target: Path, say: Say) -> None:
    """Write the target whole or not at all; another file of its name gets a number and stays."""
    if os.path.exists(target) and not os.path.isfile(target):
        raise TextError(
            f"{target} is not a file.",
            "A path where the ledger can be written.",
            "Give it another name, then hand in again.",
        )
    with read_errors(target):
        before = target.read_bytes() if os.path.exists(target) else b""
    if before == content and os.path.exists(target):
        say(f"{target} holds all of them already.")
        return
    if not content.startswith(before):
        older = _keep_older(before, target)
        say(f"Another {NAME} lay there. It is kept as {older.name}; hand it in too if the essay cites it.")
    replace_file(target, content, HOW_TO_WRITE)
    say(f"Copied to {target}.")


def _keep_older(content: bytes, target: Path) -> Path:
    """Write bytes under the first numbered name that is free, or that holds just these."""
    for number in itertools.count(1):
        path = target.with_name(f"{target.stem}-{number}{target.suffix}")
        with contextlib.suppress(OSError):
            if os.path.isfile(path) and path.read_bytes() == content:
                return path
        if not os.path.lexists(path):
            return replace_file(path, content, HOW_TO_WRITE)
    raise AssertionError("itertools.count ends never")


# -- the essay ---------------------------------------------------------------------------------------------------------


def _tell_essay(folder: Path, notebook: str, chain: Chain | None, say: Say) -> None:
    try:
        found = find_essay(folder, notebook)
    except CourseError as problem:
        say(f"{problem.what} {problem.next_step}")
        return
    if found is None:
        say(f"No essay was found in {folder}: save the notebook, then run this cell again.")
        return
    file, essay = found
    at = time.strftime("%H:%M:%S", time.localtime(file.stat().st_mtime))
    say(f"{file.name}, as you saved it at {at}: {essay.n_words:,} words; strategy: {essay.strategy or 'none yet'}.")
    records = chain.records if chain else ()
    _tell_citations(essay, [record.id for record in records], say)
    n = sum(finding.severity == FAULT and finding.kind not in OF_THE_WHOLE for finding in check(essay, records))
    left = "no faults" if not n else "1 fault" if n == 1 else f"{n} faults"
    say(f"The checks see {left} besides the length; EssayCheck() shows all. They give no points and cost none.")
    say(SAVE_FIRST)


def _tell_citations(essay: Essay, ids: Sequence[str], say: Say) -> None:
    cited = essay.cited_evidence
    missing = [id for id in cited if id not in ids]
    if not cited:
        say("It cites none of your records.")
    elif not missing:
        say(f"It cites {len(cited)} of your {len(ids)} records; all ids that it cites are there.")
    else:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        count = f"It cites {len(cited)} records" if len(cited) > 1 else "It cites 1 record"
        say(f"{count}; not in your ledger: {', '.join(missing[:8])}{more}.")
