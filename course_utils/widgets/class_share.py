"""The box with which somebody adds their votes to the class's picture; before it is ticked, nothing is sent."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import ClassVar

import traitlets

from course_utils.evidence import class_store, ledger
from course_utils.evidence.class_ballot import EVIDENCE, Kept, NotCounted, of_record
from course_utils.evidence.record import Record
from course_utils.widgets.furniture import FurnishedPanel, in_words

ON_THIS_PAGE = "It lies on this page only, and goes when the page is closed: download it, or note the number."
NUMBERS = "of each number that you keep, its kind, value, interval and count, the model's name, settings in numbers"

# By process: a hall makes a panel once, and splits off a process for each viewer.
_viewers: dict[int, str] = {}
_ticked: set[tuple[int, str]] = set()


def is_in_hall() -> bool:
    """Tell whether this kernel belongs to a viewer of a hall."""
    return bool(os.environ.get("COURSE_HALL"))


def where_kept() -> str:
    """Return what a person in a hall must know of what was kept; nothing elsewhere."""
    return ON_THIS_PAGE if is_in_hall() else ""


def this_viewer() -> str:
    """Return the random token of whoever uses this kernel, which nothing else holds."""
    return _viewers.setdefault(os.getpid(), class_store.new_viewer())


class ClassShare(FurnishedPanel):
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

    def __init__(self, *given: object, **named: object) -> None:
        self._my_votes: dict[str, str] = {}
        self._my_numbers: dict[str, Kept] = {}
        super().__init__(*given, **named)

    @traitlets.default("class_share")
    def _class_share(self) -> dict[str, object]:
        offers = class_store.open_session() is not None
        if not offers and not is_in_hall():
            return {}
        names = "; ".join(filter(None, [self.class_words, NUMBERS if self.class_keeps else ""]))
        is_on = (os.getpid(), self.class_demo) in _ticked
        what = "votes" if self.class_words else "kept numbers"
        return {"offers": offers, "is_on": is_on, "what": what, "names": names, "said": "", "kept": 0}

    def share_with_class(self, is_on: bool) -> None:
        """Add this panel's votes to the class's picture, those of before and those to come; or take all of them back.

        Raises
        ------
        CourseError
            They could not be sent, or not be taken back; the box stays as it was.
        """
        session = class_store.open_session()
        if session is None:
            return
        if is_on:
            _ticked.add((os.getpid(), self.class_demo))
            n = self._send_all(session)
            said = f"{_votes(n)} of yours added." if n else "On: your next one is added."
        else:
            n = self._take_all_back(session)
            _ticked.discard((os.getpid(), self.class_demo))
            said = f"Taken back: {_votes(n)}. Nothing of yours is in the file any more."
        self._tell_share(is_on=is_on, said=said)

    # -- what a panel gives --------------------------------------------------------------------------------------------

    def _give(self, votes: Mapping[str, str]) -> None:
        """Count these votes if the box is ticked; otherwise remember them here, for when it is."""
        self._my_votes |= votes
        self._try(lambda session: class_store.add_votes(session, self.class_demo, votes, this_viewer()))

    def _give_number(self, record: Record) -> None:
        """Count a number that was kept, likewise."""
        if not self.class_share:
            return
        self._tell_share(kept=self.class_share["kept"] + int(is_in_hall()))

        def add(session: str) -> None:
            class_store.add_evidence(session, of_record(record), this_viewer())

        with contextlib.suppress(NotCounted):  # of no kind that a picture knows: told where it would be sent
            kept = of_record(record)
            self._my_numbers[kept.question] = kept
        self._try(add)

    def _try(self, send: Callable[[str], object]) -> None:
        """Send something; whatever stands in the way, the vote itself has been taken and is kept by the panel."""
        session = class_store.open_session()
        if session is None or not self.class_share.get("is_on"):
            return
        try:
            send(session)
        except Exception as error:
            self._tell_share(said=f"Not in the class's picture: {in_words(error)}")
        else:
            self._tell_share(said="Added to the class's picture.")

    def _send_all(self, session: str) -> int:
        if self._my_votes:
            class_store.add_votes(session, self.class_demo, self._my_votes, this_viewer())
        for kept in self._my_numbers.values():
            class_store.add_evidence(session, kept, this_viewer())
        return len(self._my_votes) + len(self._my_numbers)

    def _take_all_back(self, session: str) -> int:
        demos = dict.fromkeys([self.class_demo, EVIDENCE])
        return sum(class_store.withdraw(session, this_viewer(), demo) for demo in demos)

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _hear(self, widget: object, content: dict, buffers: list) -> None:
        """Answer the box; every other wish is the panel's."""
        match content:
            case {"kind": "class share", "is_on": bool(is_on)}:
                try:
                    self.share_with_class(is_on)
                except Exception as error:
                    self._tell_share(said=in_words(error))
            case {"kind": "class ledger"}:
                self._send_ledger()
            case _:
                super()._hear(widget, content, buffers)

    def _send_ledger(self) -> None:
        """Send the page what was kept on it, to be saved; only in a hall, where the ledger is this page's own."""
        path = ledger.ledger_path()
        text = path.read_text("utf-8") if is_in_hall() and path.is_file() else ""
        self.send({"kind": "class ledger", "name": path.name, "text": text})

    def _tell_share(self, **told: object) -> None:
        self._show(class_share={**self.class_share, **told})


def _votes(n: int) -> str:
    return "1 vote" if n == 1 else f"{n} votes"
