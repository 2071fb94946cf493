"""Card-sorting panel: cards go into two boxes, each with a reason; the author's boxes are shown afterwards."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from course_utils.core.files import expanded, read_errors, replace_file
from course_utils.core.paths import data_file
from course_utils.errors import DamagedFile, NoSpace, TextError
from course_utils.widgets.base.panel import Panel, browser_bundle
from course_utils.widgets.base.static_view import Fact, Part, Table

BOXES = {
    "destructive": "acts mainly on the physical world",
    "deceptive": "acts on what people believe",
}
LONGEST_REASON = 300  # characters


class CardSort(Panel):
    """A panel to decide which technologies are destructive and which deceptive, the two kinds of Hugh Zhang's article.

    Parameters
    ----------
    record : Path, optional
        A JSON file that keeps boxes and reasons; what it holds from last time is shown again.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    sorting, reasons : dict of str to str
        By the card's name: its box, and why; a card that was not sorted is in neither.
    verdicts : dict
        The author's boxes, empty until `compare`.

    Raises
    ------
    DamagedFile
        The record is no record of this panel.

    Examples
    --------
    >>> cards = CardSort()
    >>> cards.put("Photoshop", "deceptive")
    >>> cards.compare()
    'You sorted 1 of 12 cards. Of these the author can be said to have placed 1, and you agree on 1.'
    """

    _esm, _css = browser_bundle("card_sort")
    panel_title = "Card sort: destructive or deceptive?"

    cards: traitlets.List[Any] = traitlets.List().tag(sync=True)
    boxes = traitlets.Dict(BOXES).tag(sync=True)
    sorting = traitlets.Dict().tag(sync=True)
    reasons = traitlets.Dict().tag(sync=True)
    verdicts = traitlets.Dict().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    longest = traitlets.Int(LONGEST_REASON).tag(sync=True)

    def __init__(self, record: Path | None = None, projector: bool = False) -> None:
        self._known = json.loads(data_file(__name__, "card_sort.json").read_text("utf-8"))
        self._record = expanded(record) if record else None
        cards = [{"name": card["name"], "about": card["about"]} for card in self._known]
        super().__init__(projector, cards=cards, **self._remembered())

    def put(self, name: str, box: str = "") -> None:
        """Put a card into a box, or back to the others.

        Raises
        ------
        TextError
            No such card, or no such box.
        """
        _require(name, [card["name"] for card in self._known], "card")
        _require(box, [*BOXES, ""], "box")
        kept = {other: where for other, where in self.sorting.items() if other != name}
        self._keep(sorting={**kept, **({name: box} if box else {})})

    def explain(self, name: str, reason: str) -> None:
        """Keep why a card lies where it lies; an empty reason takes it back."""
        _require(name, [card["name"] for card in self._known], "card")
        kept = {other: why for other, why in self.reasons.items() if other != name}
        reason = reason.strip()[:LONGEST_REASON]
        self._keep(reasons={**kept, **({name: reason} if reason else {})})

    def compare(self) -> str:
        """Show the author's boxes, as far as they are known, and return how many agree."""
        verdicts = {card["name"]: {"box": card["box"], "how": card["how"]} for card in self._known}
        self.set_traits(verdicts=verdicts)
        self._count()
        return self.summary

    def table(self) -> pd.DataFrame:
        """Return one row a card: card, yours, reason, author's, how_known; what is unknown is empty."""
        rows = [
            {
                "card": card["name"],
                "yours": self.sorting.get(card["name"], ""),
                "reason": self.reasons.get(card["name"], ""),
                "author's": card["box"],
                "how_known": card["how"],
            }
            for card in self._known
        ]
        return pd.DataFrame(rows)

    def static_parts(self) -> list[Part]:
        """Return a row a card; the author's boxes only once they were asked for."""
        heads = ["card", "yours", "reason", *(["author's", "how known"] if self.verdicts else [])]
        rows = [
            [each["name"], self.sorting.get(each["name"], ""), self.reasons.get(each["name"], "")]
            + [self.verdicts[each["name"]][part] for part in ("box", "how") if each["name"] in self.verdicts]
            for each in self.cards
        ]
        return [Table("", heads, rows), *([Fact("", self.summary)] if self.summary else [])]

    def _count(self) -> None:
        """Say how many agree, once the author's boxes are shown."""
        placed = [card for card in self._known if card["name"] in self.sorting and card["box"]]
        n_agreed = sum(self.sorting[card["name"]] == card["box"] for card in placed)
        words = f"You sorted {len(self.sorting)} of {len(self._known)} cards. Of these the author can be said to have "
        words += f"placed {len(placed)}, and you agree on {n_agreed}."
        self.set_traits(summary=words if self.verdicts else "")

    def _keep(self, **traits) -> None:
        with self._lock:
            self.set_traits(message="", **traits)
            self._count()
            if self._record:
                known = {"sorting": self.sorting, "reasons": self.reasons}
                content = json.dumps(known, indent=1, ensure_ascii=False)
                replace_file(self._record, content, "Make room, or name a file in another folder.")

    def _remembered(self) -> dict[str, dict]:
        if not (self._record and os.path.exists(self._record)):
            return {}
        try:
            with read_errors(self._record):
                text = self._record.read_text("utf-8")
            known = json.loads(text)
            return {name: dict(known[name]) for name in ("sorting", "reasons")}
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFile(
                f"{self._record} cannot be read.", "A record that this panel wrote.", "Name another file, or delete it."
            ) from error

    def show_error(self, error: BaseException) -> None:
        """Show an error; the box and the reason stay when the disk is full."""
        if isinstance(error, NoSpace):  # box and reason are in the panel, and go to the file with the next change
            self._show_not_saved(error)
        else:
            super().show_error(error)

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "put", "name": str(name), "box": str(box)}:
                self.put(name, box)
            case {"kind": "explain", "name": str(name), "reason": str(reason)}:
                self.explain(name, reason)
            case {"kind": "compare"}:
                self.compare()


def _require(given: str, known: list[str], what: str) -> None:
    if given not in known:
        raise TextError(
            f"No {what} is called {given!r}.", f"One of {', '.join(filter(None, known))}.", "Name one of these."
        )
