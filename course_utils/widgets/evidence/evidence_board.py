"""Evidence board: the records of a course folder, searched, shown, and run again."""

import contextlib
import threading
from pathlib import Path
from typing import Any

import traitlets

from course_utils.errors import CourseError, SettingsError
from course_utils.evidence.ledger import ledger as ledgers
from course_utils.evidence.ledger.ledger import Ledger
from course_utils.evidence.ledger.record import Record
from course_utils.evidence.rerun import Progress, Reproduction
from course_utils.widgets.base.panel import Panel, browser_bundle, error_message
from course_utils.widgets.base.static_view import Fact, Part, Table, facts
from course_utils.widgets.base.worker import Job, Throttle, the_worker
from course_utils.widgets.evidence import labels as words
from course_utils.widgets.evidence.rerun import done_again, drawn, follow_the_kernel

STATES = ("idle", "working", "done", "stopped", "failed")
PROGRESS_EVERY_S = 0.2
MOST_LISTED = 300  # the newest; the filter finds others
ANY = {"text": "", "experiment": "", "model": "", "status": ""}
OVERTAKEN = "Stopped, because another panel of this notebook began to work. What was done again is told below."


class EvidenceBoard(Panel):
    """A panel that reads the ledger, shows each record whole, and does records again; it never changes the ledger.

    Parameters
    ----------
    ledger : str or Path, optional
        As for `course_utils.evidence.ledger.ledger.ledger_path`.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    ledger : Ledger
        As it was read last; its faults are shown in the panel, at their lines.
    records : list of Record
        Those that the filter lets through, in the order in which they were kept.
    chosen : str
        The id of the record that is shown whole; empty where none is.
    statuses : dict of str to str
        By id, of those that were done again: ``reproduced``, ``within tolerance``, ``not reproduced`` or
        ``cannot be tried``.
    reproductions : dict of str to Reproduction
        The same with both numbers and the reason.
    state : str
        One of `STATES`.

    Examples
    --------
    ::

        board = EvidenceBoard()
        board.rerun_all()
        board.wait()
        board.statuses
    """

    _esm, _css = browser_bundle("evidence_board")
    panel_title = "Evidence board"

    listed: traitlets.List[Any] = traitlets.List().tag(sync=True)
    counts = traitlets.Dict().tag(sync=True)
    choices = traitlets.Dict().tag(sync=True)
    asked = traitlets.Dict(ANY).tag(sync=True)
    faults: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    picture = traitlets.Dict().tag(sync=True)
    outcomes = traitlets.Dict().tag(sync=True)
    state = traitlets.Enum(STATES, "idle").tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)

    def __init__(self, ledger: str | Path | None = None, projector: bool = False) -> None:
        self._path = ledger
        self._seen: tuple[int, int] | None = None
        self._drawing: Job | None = None
        self.ledger = Ledger(ledgers.ledger_path(ledger), ())
        self._found: dict[str, Reproduction] = {}  # by the record's hash: another ledger may have the same ids
        super().__init__(projector)
        self.refresh()
        follow_the_kernel(self)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the ledger again."""
        self._seen = self._stamp()
        try:
            self.ledger, message = ledgers.read(self._path), ""
        except CourseError as error:
            self.ledger, message = Ledger(ledgers.ledger_path(self._path), ()), str(error)
        sound = {record.id for record in self.ledger.records}
        self.set_traits(message=message, faults=words.faults(self.ledger))
        self._list()
        self._choose(self.chosen if self.chosen in sound else "")

    def look(self) -> None:
        """Read the ledger again if somebody has written to it since."""
        if self._stamp() != self._seen:
            self.refresh()

    @property
    def records(self) -> list[Record]:
        """Those that the filter lets through."""
        return [record for record in self.ledger.records if self._lets_through(record)]

    @property
    def reproductions(self) -> dict[str, Reproduction]:
        """How the records that were done again came out, by id."""
        return {record.id: self._found[record.hash] for record in self.ledger.records if record.hash in self._found}

    @property
    def statuses(self) -> dict[str, str]:
        """What became of the records that were done again, by id."""
        return {id: found.status for id, found in self.reproductions.items()}

    def filter(self, **asked: str) -> list[Record]:
        """List only some of the records, and return them; called without arguments, list all.

        Parameters
        ----------
        text : str
            Must stand in the id, finding, note, or in what the number is of; large or small letters.
        experiment, model : str
            Such as ``"sizes.compare_sizes"`` and ``"pocket-small"``.
        status : str
            One of the four of `statuses`, or ``"not done again"``.

        Raises
        ------
        SettingsError
            There is no such filter.
        """
        if unknown := set(asked) - set(ANY):
            expected = f"One of {', '.join(ANY)}."
            raise SettingsError(f"There is no filter {', '.join(sorted(unknown))}.", expected, 'filter(text="nurse")')
        self.asked = {**ANY, **{name: str(value) for name, value in asked.items()}}
        self._list()
        return self.records

    def choose(self, id: str) -> Record:
        """Show a record whole, and return it; an id as `Ledger.find` takes it.

        Raises
        ------
        TextError
            There is none of that id.
        """
        record = self.ledger.find(id)
        self._choose(record.id)
        return record

    def rerun(self, id: str) -> None:
        """Do a record again, in the background: `wait`, then see `statuses` and `reproductions`.

        Raises
        ------
        TextError
            There is none of that id.
        """
        self._submit([self.choose(id)])

    def rerun_all(self) -> None:
        """Do all records again that the filter lets through, one after the other, in the background."""
        self._submit(self.records)

    def stop(self) -> None:
        """Stop soon; what was done again until then stays told."""
        self._background.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is done again, or drawn, any more; return whether that is so."""
        is_drawn = self._drawing is None or self._drawing.wait(timeout)
        return self._background.wait(timeout) and is_drawn

    def static_parts(self) -> list[Part]:
        """Return the records that the filter lets through, the one that is shown whole, and the ledger's faults."""
        parts = facts(ledger=self.counts.get("path", ""))
        parts += [Fact("Fault", fault) for fault in self.faults]
        rows = [
            [each[name] for name in ("id", "time", "what", "value", "models")]
            + [self.outcomes.get(each["id"], {}).get("status", words.NOT_YET)]
            for each in self.listed
        ]
        caption = f"{self.counts.get('found', 0)} of {self.counts.get('all', 0)} records"
        parts.append(Table(caption, ["id", "kept", "what", "value", "models", "done again"], rows))
        if self.shown:
            parts += [Fact("Shown whole", self.shown["id"]), Fact("Finding", self.shown["finding"])]
            parts += [Fact(name, value) for name, value in self.shown["facts"]]
        return parts

    # -- what the worker does ------------------------------------------------------------------------------------------

    def _submit(self, records: list[Record]) -> None:
        with self._lock:
            self.set_traits(state="working", message="", progress={"share": 0.0, "what": "waits for its turn"})
            self._background.submit(lambda run, cancel: self._do(run, records, cancel), self.show_error)

    def _do(self, run: int, records: list[Record], cancel: threading.Event) -> None:
        from course_utils.models.inference.base import Cancelled

        try:
            for index, record in enumerate(records):
                if cancel.is_set():
                    raise Cancelled
                found = done_again(record, self._progress_callback(run, index, len(records), record.id), cancel)
                self._background.if_current(run, self._take, record, found)
        except Cancelled:
            why = "" if self._background.is_asked_to_stop else OVERTAKEN
            self._background.if_current(run, self.set_traits, state="stopped", message=why, progress={})
            return
        self._background.if_current(run, self.set_traits, state="done", progress={})

    def _progress_callback(self, run: int, index: int, n_records: int, record_id: str) -> Progress:
        """Return a callback that shows the progress of one record as a part of all records."""
        throttle = Throttle(PROGRESS_EVERY_S)

        def show_progress(share: float, what: str) -> None:
            if throttle.is_due():
                of_all = f" ({index + 1} of {n_records})" if n_records > 1 else ""
                progress = {"share": (index + share) / n_records, "what": f"{record_id}: {what}{of_all}"}
                self._background.if_current(run, self.set_traits, progress=progress)

        return show_progress

    def _take(self, record: Record, found: Reproduction) -> None:
        self._found = {**self._found, record.hash: found}
        self._list()

    def _draw(self, record: Record) -> None:
        """Draw the picture of the record that is shown, unless another one is shown by then."""
        told = drawn(record)
        if self.chosen == record.id:
            self.set_traits(picture=told)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _lets_through(self, record: Record) -> bool:
        found, asked = self._found.get(record.hash), self.asked
        status = found.status if found else words.NOT_YET
        text = " ".join((record.id, record.finding, record.note, record.metric, record.of, record.experiment))
        return (
            asked["text"].strip().casefold() in text.casefold()
            and asked["experiment"] in ("", record.experiment)
            and (not asked["model"] or asked["model"] in record.models)
            and asked["status"] in ("", status)
        )

    def _list(self) -> None:
        found, everything = self.records, self.ledger.records
        newest = found[: -MOST_LISTED - 1 : -1]
        known = {
            "experiment": sorted({record.experiment for record in everything if record.experiment}),
            "model": sorted({name for record in everything for name in record.models}),
            "status": words.STATUSES,
        }
        outcomes = {id: words.outcome(found) for id, found in self.reproductions.items()}
        counts = {"all": len(everything), "found": len(found), "listed": len(newest), "path": str(self.ledger.path)}
        self.set_traits(
            listed=[words.row(record) for record in newest], counts=counts, choices=known, outcomes=outcomes
        )

    def _choose(self, id: str) -> None:
        if not id:
            self.set_traits(chosen="", shown={}, picture={})
            return
        record = self.ledger.find(id)
        if self.shown.get("hash") == record.hash:
            return
        self.set_traits(
            chosen=record.id, shown=words.whole(record), picture={"id": record.id, "why": "It is being drawn."}
        )
        self._drawing = the_worker().prepare(lambda cancel: self._draw(record), self.show_error)

    def show_error(self, error: BaseException) -> None:
        """Show an error; a job that runs has failed."""
        self.set_traits(
            state="failed" if self.state == "working" else self.state, message=error_message(error), progress={}
        )

    def _stamp(self) -> tuple[int, int] | None:  # changes when somebody writes to the ledger
        with contextlib.suppress(OSError):
            found = self.ledger.path.stat()
            return found.st_mtime_ns, found.st_size
        return None

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "ready" | "refresh"}:
                self.refresh()
            case {"kind": "filter", "asked": dict(asked)}:
                self.filter(**asked)
            case {"kind": "choose" | "rerun" as verb, "id": str(id)}:
                getattr(self, verb)(id)
            case {"kind": "rerun_all" | "stop" as verb}:
                getattr(self, verb)()
