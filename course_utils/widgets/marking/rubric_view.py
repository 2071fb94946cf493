"""Rubric view: levels, points and comments, stored at once; a refused change is not lost."""

import datetime
from collections.abc import Callable, Mapping
from typing import Any, cast

import traitlets

from course_utils.errors import CourseError
from course_utils.evidence.essay.markdown import blocks
from course_utils.grading.assignments.rubric import Rubric
from course_utils.grading.marking.marking_session import Change, MarkingSession
from course_utils.grading.marking.marks import Mark, total
from course_utils.grading.marking.submissions_to_mark import Paper
from course_utils.widgets.base.numbers import number_in
from course_utils.widgets.base.panel import Panel, error_message
from course_utils.widgets.base.static_view import Fact, Part, Table
from course_utils.widgets.essay.essay_view import plain

TO_MARK, BEGUN, MARKED = "to mark", "begun", "marked"
NOTHING_TO_UNDO = "There is nothing to undo."


class RubricPanel(Panel):
    """A panel with a rubric, by which one paper is marked at a desk; a subclass says which, and what stands beside.

    Parameters
    ----------
    desk : MarkingSession
    scheme : mapping of str to str
        By criterion, what only graders are told.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    paper : Paper or None
        The one that is open.
    marks : dict
        Its points, level and comment by criterion, and the total in words.
    saved : dict
        What became of the last change: when it was saved, or why it was refused.
    """

    rubric = traitlets.Dict().tag(sync=True)
    marks = traitlets.Dict().tag(sync=True)
    bank = traitlets.Dict().tag(sync=True)
    saved = traitlets.Dict().tag(sync=True)

    def __init__(self, desk: MarkingSession, scheme: Mapping[str, str] | None = None, projector: bool = False) -> None:
        self.desk, self._key, self._n_notices = desk, "", 0
        super().__init__(projector, rubric=rubric_data(desk.rubric, scheme or {}))

    # -- what a person or a test can do --------------------------------------------------------------------------------

    @property
    def paper(self) -> Paper | None:
        """The paper that is open."""
        return next((paper for paper in self.desk.papers if paper.key == self._key), None)

    def mark(self, criterion: str, points: float | None) -> Mark:
        """Give points to the open paper, or take them back with None; returns what is written now.

        Raises
        ------
        SettingsError
            They are out of range. Nothing is changed.
        """
        return self._take(lambda key: self.desk.mark(key, criterion, points))

    def mark_level(self, criterion: str, level: int) -> Mark:
        """Give the open paper a level, counted from 0."""
        return self._take(lambda key: self.desk.mark_level(key, criterion, level))

    def comment(self, criterion: str, text: str, goes_on: bool = False) -> Mark:
        """Say something about the open paper; see `MarkingSession.comment`."""
        return self._take(lambda key: self.desk.comment(key, criterion, plain(text), goes_on))

    def undo(self) -> str:
        """Take the last change back, and say in a sentence what that was."""
        change = self.desk.undo()
        if change is not None and change.paper != self._key:
            self._open(change.paper)
        self._read()
        return NOTHING_TO_UNDO if change is None else undone(change, self.desk)

    def static_parts(self) -> list[Part]:
        """Return level, points and comment by criterion, and the total."""
        return self._marks_parts(has_comments=True)

    def _marks_parts(self, has_comments: bool) -> list[Part]:
        told = self.marks
        if not told:
            return [Fact("", "Nothing is open.")]
        rows = []
        for each in self.rubric["criteria"]:
            level = told["levels"].get(each["id"])
            name = each["levels"][level]["name"] if level is not None else told["between"].get(each["id"], "")
            comment = [told["comments"].get(each["id"], "")] if has_comments else []
            rows.append([each["name"], name, told["points"].get(each["id"], ""), *comment])
        heads = ["criterion", "level", "points", *(["comment"] if has_comments else [])]
        return [Table(self.rubric["title"], heads, rows), Fact("Total", told["total"])]

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _take(self, change: Callable[[str], Mark]) -> Mark:
        mark = change(self._key)
        self._read()
        return mark

    def _open(self, key: str) -> None:
        """Open a paper; a subclass shows what belongs to it."""
        self._key = key
        self.set_traits(message="", bank={})
        self._read()

    def _read(self) -> None:
        """Read the open paper's marks from where they lie, and show them."""
        if not self._key:
            return
        found = self.desk.marks(self._key)
        self.set_traits(marks=marks_data(self._key, found, self.desk.rubric))
        self._note(state_of(found))

    def _note(self, state: str) -> None:
        """Hear how far the open paper is marked."""

    def _notify(self, words: str = "", why: str = "", **what: object) -> None:
        """Say in the page what became of a wish; the number tells it from the same one before."""
        self._n_notices += 1
        self.set_traits(saved=plain({"n": self._n_notices, "words": words, "why": why, **what}))

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _write(self, content: dict, change: Callable[[], object]) -> None:
        """Write one change that came from the page, and answer: saved when, or refused why."""
        what = {name: content[name] for name in ("criterion", "kind", "typed") if name in content}
        try:
            if content.get("paper") != self._key:
                raise CourseError("Another paper is open by now.", "A change to the open one.", "Nothing was changed.")
            change()
        except Exception as error:  # also the database's own: busy, full, gone
            self._notify(why=refusal(error), **what)
        else:
            self._notify(f"Saved at {datetime.datetime.now():%H:%M:%S}", **what)

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "level", "criterion": str(id), "typed": int(level)}:
                self._write(content, lambda: self.mark_level(id, level))
            case {"kind": "points", "criterion": str(id), "typed": str(typed)}:
                # Text that is no number goes on as typed: the session refuses it with a message for the grader.
                points = cast("float | None", points_in(typed))
                self._write(content, lambda: self.mark(id, points))
            case {"kind": "comment", "criterion": str(id), "typed": str(typed)}:
                self._write(content, lambda: self.comment(id, typed, bool(content.get("goes_on"))))
            case {"kind": "bank", "criterion": str(id)}:
                self.bank = {**self.bank, id: plain(self.desk.comment_bank(id))}
            case {"kind": "undo"}:
                try:
                    self._notify(self.undo())
                except Exception as error:
                    self._read()
                    self._notify(why=refusal(error))


def rubric_data(rubric: Rubric, scheme: Mapping[str, str]) -> dict[str, Any]:
    """Return a rubric as its page needs it."""
    criteria = [
        {
            "id": each.id,
            "name": each.name,
            "weight": f"{each.weight:g}",
            "asks": each.asks,
            "levels": [
                {"name": level.name, "points": f"{rubric.points_of(each.id, i):g}", "text": each.descriptors[i]}
                for i, level in enumerate(rubric.levels)
            ],
            "scheme": blocks(scheme.get(each.id, "")),
        }
        for each in rubric.criteria
    ]
    return plain({"title": rubric.title, "points": f"{rubric.points:g}", "criteria": criteria})


def marks_data(key: str, found: Mapping[str, Mark], rubric: Rubric) -> dict[str, Any]:
    """Return a paper's marks as its page needs them; a level only where its points are given exactly."""
    levels: dict[str, int | None] = {}
    between: dict[str, str] = {}
    for id, mark in found.items():
        levels[id], between[id] = None, ""
        if mark.points is None:
            continue
        level = rubric.level_of(id, mark.points)
        if abs(rubric.points_of(id, level) - mark.points) < 1e-9:
            levels[id] = level
        elif level + 1 < len(rubric.levels):
            between[id] = f"between {rubric.levels[level].name} and {rubric.levels[level + 1].name}"
    missing = [rubric.criterion(id).name for id, mark in found.items() if mark.points is None]
    whole, so_far = total(found), sum(mark.points or 0 for mark in found.values())
    return plain({
        "paper": key,
        "points": {id: "" if mark.points is None else f"{mark.points:.10g}" for id, mark in found.items()},
        "comments": {id: mark.comment for id, mark in found.items()},
        "levels": levels,
        "between": between,
        "total": f"{so_far if whole is None else whole:.10g} of {rubric.points:g}",
        "missing": missing,
    })  # fmt: skip


def state_of(found: Mapping[str, Mark]) -> str:
    """Return how far a paper is marked."""
    given = [mark.points is not None for mark in found.values()]
    if all(given):
        return MARKED
    return BEGUN if any(given) or any(mark.comment for mark in found.values()) else TO_MARK


def points_in(typed: str) -> float | str | None:
    """Return the points that somebody typed; what is no number stays text, and the desk refuses it.

    Examples
    --------
    >>> points_in("2,5"), points_in(" "), points_in("many")
    (2.5, None, 'many')
    """
    number = number_in(typed)
    return (typed.strip() or None) if number is None else number


def undone(change: Change, desk: MarkingSession) -> str:
    """Say what an undo has put back."""
    name, number = desk.rubric.criterion(change.criterion).name, desk.paper(change.paper).number
    if change.was.points != change.now.points:
        was, now = ("none" if each is None else f"{each:.10g}" for each in (change.was.points, change.now.points))
        return f"Undone: the points of {name}, paper {number}, are {was} again, no longer {now}."
    return f"Undone: the comment on {name}, paper {number}, is what it was before."


def refusal(error: BaseException) -> str:
    """Say why a change was not written; a database's error without its query."""
    cause = getattr(error, "orig", None)
    if cause is None:
        return error_message(error)
    told = f"The database could not be written: {cause}."
    return str(CourseError(told, "A database that no other program holds.", "Nothing was changed; give it again."))
