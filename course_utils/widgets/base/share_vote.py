"""Consent box for class votes: before it is ticked nothing is sent, and what was sent can be taken back."""

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import traitlets

from course_utils.classroom import store
from course_utils.classroom.votes import EVIDENCE, READERS, SIZES, TIMELINE, InvalidVote, SharedNumber, shared_number
from course_utils.errors import CourseError
from course_utils.evidence.ledger import ledger
from course_utils.evidence.ledger.record import Record
from course_utils.widgets.base.panel import Panel, error_message

ON_THIS_PAGE = "It lies on this page only, and goes when the page is closed: download it, or note the number."
NUMBERS = "of each number that you keep, its kind, value, interval and count, the model's name, settings in numbers"

KINDS = {
    SIZES: "rankings of sizes",
    READERS: "human or machine",
    TIMELINE: "release decisions",
    EVIDENCE: "kept numbers",
}

# By process: a hall makes a panel once, and splits off a process for each viewer.
_viewers: dict[int, str] = {}
_ticked: set[tuple[int, str]] = set()
_sent: dict[int, set[tuple[str, str, str]]] = {}  # session, demo and question of all that was counted
_panels: "weakref.WeakSet[VoteSharingPanel]" = weakref.WeakSet()
# Votes are sent and taken back one at a time: none may reach the file between taking back and saying so.
_sending = threading.RLock()


def is_in_hall() -> bool:
    """Tell whether this kernel belongs to a viewer of a hall."""
    return bool(os.environ.get("COURSE_HALL"))


def where_kept() -> str:
    """Return what a person in a hall must know of what was kept; nothing elsewhere."""
    return ON_THIS_PAGE if is_in_hall() else ""


def this_viewer() -> str:
    """Return the random token of whoever uses this kernel, which nothing else holds."""
    return _viewers.setdefault(os.getpid(), store.new_viewer())


class VoteSharingPanel(Panel):
    """What a panel has whose votes, or kept numbers, may go into the class's picture; mixed into a panel.

    A box, off at first, is shown only where a class is open (``COURSE_CLASS`` and ``COURSE_CLASS_SESSION``).

    Attributes
    ----------
    class_demo : str
        What the votes are counted under.
    class_words : str
        What exactly is sent, as it stands beside the box.
    class_keeps : bool
        Whether the panel keeps numbers, which are sent too.
    class_share : dict
        What the browser shows: offers, is_on, what, names, said, kept. Empty outside a class.
    """

    class_demo: ClassVar[str] = EVIDENCE
    class_words: ClassVar[str] = ""
    class_keeps: ClassVar[bool] = False

    class_share = traitlets.Dict().tag(sync=True)

    def __init__(self, *given: Any, **named: Any) -> None:
        self._my_votes: dict[str, str] = {}
        self._my_numbers: dict[str, SharedNumber] = {}
        super().__init__(*given, **named)
        _panels.add(self)

    @traitlets.default("class_share")
    def _class_share(self) -> dict[str, object]:
        offers = store.open_session() is not None
        if not offers and not is_in_hall():
            return {}
        names = "; ".join(filter(None, [self.class_words, NUMBERS if self.class_keeps else ""]))
        is_on = (os.getpid(), self.class_demo) in _ticked
        what = "votes" if self.class_words else "kept numbers"
        return {"offers": offers, "is_on": is_on, "what": what, "names": names, "said": "", "kept": 0}

    def share_with_class(self, is_on: bool) -> None:
        """Add this panel's votes to the class's picture, those of before and those to come; or take all of them back.

        Taken back are all votes of this kind that this process sent, by whichever of its panels; the boxes of these
        panels are unticked too. What is left of other kinds is told.

        Raises
        ------
        CourseError
            They could not be sent, or not be taken back; the box stays as it was.
        """
        session = store.open_session()
        if session is None:
            return
        with _sending:
            if is_on:
                try:
                    n = self._send_all(session)
                except BaseException:
                    with contextlib.suppress(CourseError):  # what was sent before the error must not stay unsaid
                        self._take_all_back(session)
                    raise
                _ticked.add((os.getpid(), self.class_demo))
                self._set_share(is_on=True, said=f"{_votes(n)} of yours added." if n else "On: your next one is added.")
                return
            said = self._take_all_back(session)
            for panel in [each for each in _panels if each._kinds() & self._kinds() and each.class_share.get("offers")]:
                _ticked.discard((os.getpid(), panel.class_demo))
                panel._set_share(is_on=False, said=said)

    # -- what a panel gives --------------------------------------------------------------------------------------------

    def _give(self, votes: Mapping[str, str]) -> None:
        """Count these votes if the box is ticked; otherwise remember them here, for when it is."""
        self._my_votes |= votes
        self._try(lambda session: self._add_votes(session, votes))

    def _give_number(self, record: Record) -> None:
        """Count a number that was kept, likewise."""
        if not self.class_share:
            return
        self._set_share(kept=self.class_share["kept"] + int(is_in_hall()))

        with contextlib.suppress(InvalidVote):  # of no kind that a picture knows: told where it would be sent
            kept = shared_number(record)
            self._my_numbers[kept.question] = kept
        self._try(lambda session: self._add_number(session, shared_number(record)))

    def _try(self, send: Callable[[str], object]) -> None:
        """Send something; whatever stands in the way, the vote itself has been taken and is kept by the panel."""
        session = store.open_session()
        with _sending:
            if session is None or not self.class_share.get("is_on"):
                return
            try:
                send(session)
            except Exception as error:
                self._set_share(said=f"Not in the class's picture: {error_message(error)}")
            else:
                self._set_share(said="Added to the class's picture.")

    def _send_all(self, session: str) -> int:
        if self._my_votes:
            self._add_votes(session, self._my_votes)
        for kept in self._my_numbers.values():
            self._add_number(session, kept)
        return len(self._my_votes) + len(self._my_numbers)

    def _add_votes(self, session: str, votes: Mapping[str, str]) -> None:
        store.add_votes(session, self.class_demo, votes, this_viewer())
        self._note_sent((session, self.class_demo, question) for question in votes)

    def _add_number(self, session: str, kept: SharedNumber) -> None:
        store.add_evidence(session, kept, this_viewer())
        self._note_sent([(session, EVIDENCE, kept.question)])

    @staticmethod
    def _note_sent(sent: Iterable[tuple[str, str, str]]) -> None:
        _sent.setdefault(os.getpid(), set()).update(sent)

    def _kinds(self) -> set[str]:
        """Return the kinds of votes that this panel's box is about."""
        return {self.class_demo, *([EVIDENCE] if self.class_keeps else [])}

    def _take_all_back(self, session: str) -> str:
        """Take back what this process sent of this panel's kinds; return what is true of the file afterwards."""
        kinds, here = sorted(self._kinds()), _sent.setdefault(os.getpid(), set())
        n = sum(store.withdraw(session, this_viewer(), kind) for kind in kinds)
        sent = {each for each in here if each[0] == session and each[1] in kinds}
        here -= sent
        left, n_in_pictures = store.count_of_viewer(session, this_viewer())
        return _what_is_left(n, len(sent) - n, left, n_in_pictures)

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _on_message(self, widget: object, content: dict, buffers: list) -> None:
        """Answer the box; every other wish is the panel's."""
        match content:
            case {"kind": "class share", "is_on": bool(is_on)}:
                try:
                    self.share_with_class(is_on)
                except Exception as error:
                    self._set_share(said=error_message(error))
            case {"kind": "class ledger"}:
                self._send_ledger()
            case _:
                super()._on_message(widget, content, buffers)

    def _send_ledger(self) -> None:
        """Send the page what was kept on it, to be saved; only in a hall, where the ledger is this page's own."""
        path = ledger.ledger_path()
        text = path.read_text("utf-8") if is_in_hall() and path.is_file() else ""
        self.send({"kind": "class ledger", "name": path.name, "text": text})

    def _set_share(self, **told: object) -> None:
        self.set_traits(class_share={**self.class_share, **told})


def _votes(n: int) -> str:
    return "1 vote" if n == 1 else f"{n} votes"


def _what_is_left(n: int, n_missing: int, left: Mapping[str, int], n_in_pictures: int) -> str:
    """Say what was taken back, and exactly what the file still holds of this process."""
    sender = "this page" if is_in_hall() else "this notebook since its kernel started"
    told = [f"Taken back: {_votes(n)}."]
    if left:
        kinds = ", ".join(f"{count} ({KINDS[demo]})" for demo, count in left.items())
        told.append(f"Still in the file, sent from {sender}: {kinds}; the box of each such panel takes them back.")
    else:
        told.append(f"Nothing sent from {sender} is in the file any more.")
    if n_in_pictures:
        told.append("A picture that is shown already changes only when five people's votes have.")
    if n_missing > 0:
        told.append(f"{_votes(n_missing)} sent before could not be found: the file was replaced or cleared meanwhile.")
    return " ".join(told)
