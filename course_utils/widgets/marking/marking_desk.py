"""Marking panel base class: essay and rubric side by side, for the grading page and the calibration."""

from pathlib import Path
from typing import Any

import traitlets

from course_utils.errors import CourseError, SettingsError
from course_utils.evidence.essay.essay import Essay
from course_utils.grading.marking.submissions_to_mark import PaperContents
from course_utils.widgets.essay.essay_view import EssayView, sheet_data
from course_utils.widgets.marking.rubric_view import MARKED, RubricPanel, state_of

NO_PAPERS = "No essay has been graded by machine yet. In a terminal: make grade"
ALL_MARKED = "Every paper is marked."


class MarkingDesk(EssayView, RubricPanel):
    """A panel that shows a desk's papers one after the other; takes what `RubricPanel` takes.

    Attributes
    ----------
    papers : list of dict
        Each with number, state (to mark, begun, marked), and whether it needs a person.
    counts : dict
        How many there are in ``all``, and how many are ``marked``.
    """

    papers: traitlets.List[Any] = traitlets.List().tag(sync=True)
    counts = traitlets.Dict().tag(sync=True)

    def choose(self, number: int) -> None:
        """Open a paper by its number.

        Raises
        ------
        SettingsError
            There is none of that number.
        """
        found = next((paper for paper in self.desk.papers if paper.number == number), None)
        if found is None:
            last = len(self.desk.papers)
            raise SettingsError(f"There is no paper {number!r}.", f"A number from 1 to {last}.", "page.choose(1)")
        self._open(found.key)

    def step(self, by: int) -> None:
        """Open the next paper, or with -1 the one before; at either end this one stays open."""
        keys = [paper.key for paper in self.desk.papers]
        place = keys.index(self._key) + by if self._key in keys else 0
        if 0 <= place < len(keys):
            self._open(keys[place])
        elif keys:
            self._notify("This is the last paper." if by > 0 else "This is the first paper.")

    def next_unmarked(self) -> None:
        """Open the next paper that is not wholly marked, round the end to the beginning."""
        keys = [row["key"] for row in self.papers]
        place = keys.index(self._key) if self._key in keys else -1
        waiting = {row["key"] for row in self.papers if row["state"] != MARKED}
        found = next((key for key in [*keys[place + 1 :], *keys[: place + 1]] if key in waiting), None)
        if found is None:
            self._notify(ALL_MARKED if keys else NO_PAPERS)
        else:
            self._open(found)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """Read the state of every paper."""
        rows = [
            {"key": paper.key, "number": paper.number, "needs": bool(paper.needs)}
            | {"state": state_of(self.desk.marks(paper.key))}
            for paper in self.desk.papers
        ]
        self.set_traits(papers=rows, counts=_counts(rows))

    def _begin(self) -> None:
        """Open the first paper that waits, or the first."""
        first = next((row for row in self.papers if row["state"] != MARKED), self.papers[0] if self.papers else None)
        if first is not None:
            self._open(first["key"])
            return
        self._key = ""
        self.set_traits(sheet={}, marks={}, message=NO_PAPERS)

    def _open(self, key: str) -> None:
        problem = ""
        try:
            self._sheet = self.desk.sheet(key)
        except CourseError as error:  # marks can be given all the same; the empty report names no picture
            self._sheet, problem = PaperContents(self.desk.paper(key), Essay(()), {}, Path()), str(error)
        with self.hold_sync():
            self.set_traits(sheet=sheet_data(self._sheet, self.desk.rubric), pictures={})
            super()._open(key)
            self.set_traits(message=problem)

    def _note(self, state: str) -> None:
        rows = [row | {"state": state} if row["key"] == self._key else row for row in self.papers]
        self.set_traits(papers=rows, counts=_counts(rows))

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "open", "key": str(key)}:
                self._open(self.desk.paper(key).key)
            case {"kind": "step", "by": 1 | -1 as by}:
                self.step(by)
            case {"kind": "next_unmarked"}:
                self.next_unmarked()
            case {"kind": "picture", "id": str(id)}:
                self.show_picture(id)
            case _:
                super()._handle_message(content, buffers)


def _counts(rows: list[dict[str, object]]) -> dict[str, int]:
    return {"all": len(rows), "marked": sum(row["state"] == MARKED for row in rows)}
