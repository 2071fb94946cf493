"""Marking session of essays: each change of a mark is written to a journal and can be undone."""

import dataclasses
import datetime
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from course_utils.core.files import append_to_file
from course_utils.errors import NoSpace, SettingsError
from course_utils.grading.assignments.rubric import Rubric, load_rubric
from course_utils.grading.course.course import ESSAY, Course, find_course
from course_utils.grading.marking.marks import Mark, Marks, marks_of, total
from course_utils.grading.marking.submissions_to_mark import Paper, PaperContents, list_papers, open_paper

_PARTS = [part.name for part in dataclasses.fields(Mark)]


@dataclasses.dataclass(frozen=True)
class Change:
    """One mark that took the place of another."""

    paper: str
    criterion: str
    was: Mark
    now: Mark


class MarkingSession:
    """A marking session: papers, their marks, and an undo history.

    Parameters
    ----------
    rubric : Rubric
    papers : sequence of Paper
    open_sheet : callable
        Takes a paper and returns its PaperContents.
    marks : Marks
    grader : str
        Who marks; stands in the journal.
    journal : Path, optional
        A file to which every change is added, with the rubric's version.
    """

    def __init__(
        self,
        rubric: Rubric,
        papers: Sequence[Paper],
        open_sheet: Callable[[Paper], PaperContents],
        marks: Marks,
        grader: str = "",
        journal: Path | None = None,
    ) -> None:
        self.rubric, self.papers, self.grader = rubric, list(papers), grader
        self._open, self._marks, self._journal = open_sheet, marks, journal
        self._done: list[Change] = []

    def paper(self, key: str) -> Paper:
        """Return a paper by its key.

        Raises
        ------
        SettingsError
            There is none.
        """
        found = next((paper for paper in self.papers if paper.key == key), None)
        if found is None:
            raise SettingsError(
                f"There is no paper {str(key)[:40]!r}.", "A key of one of the papers.", "session.papers"
            )
        return found

    def sheet(self, key: str) -> PaperContents:
        """Return a paper with its essay and report."""
        return self._open(self.paper(key))

    def marks(self, key: str) -> dict[str, Mark]:
        """Return a paper's marks by criterion."""
        return self._marks.read(self.paper(key).key)

    def total(self, key: str) -> float | None:
        """Return a paper's points; None while some are missing."""
        return total(self.marks(key))

    def mark(self, key: str, criterion: str, points: float | None) -> Mark:
        """Give points for a criterion, or take them back with None; returns what is written now.

        Raises
        ------
        SettingsError
            They are out of range. Nothing is changed.
        """
        return self._change(key, criterion, lambda was: Mark(points, was.comment))

    def mark_level(self, key: str, criterion: str, level: int) -> Mark:
        """Give the points of a level, counted from 0."""
        if not isinstance(level, int) or not 0 <= level < len(self.rubric.levels):
            expected = f"A level from 0 to {len(self.rubric.levels) - 1}."
            raise SettingsError(f"level is {str(level)[:40]!r}.", expected, "session.mark_level(key, criterion, 0)")
        return self.mark(key, criterion, self.rubric.points_of(criterion, level))

    def comment(self, key: str, criterion: str, text: str, goes_on: bool = False) -> Mark:
        """Say something about a criterion; an empty text takes it back.

        Parameters
        ----------
        key, criterion, text : str
        goes_on : bool
            It is the last comment, typed further: one undo takes both back.
        """
        n_before = len(self._done)
        mark = self._change(key, criterion, lambda was: Mark(was.points, text))
        if goes_on and n_before and len(self._done) > n_before:
            before, last = self._done[-2:]
            is_same = (before.paper, before.criterion) == (last.paper, last.criterion)
            if is_same and before.was.points == before.now.points:
                self._done[-2:] = [dataclasses.replace(last, was=before.was)]
        return mark

    def undo(self) -> Change | None:
        """Take the last change back, and return it; None where there is none.

        Raises
        ------
        SettingsError
            It was changed elsewhere since, in formgrader for instance. Nothing is changed, and it is forgotten here.
        """
        if not self._done:
            return None
        last = self._done[-1]
        there = self._marks.read(last.paper)[last.criterion]
        changed = [part for part in _PARTS if getattr(last.was, part) != getattr(last.now, part)]
        if any(getattr(there, part) != getattr(last.now, part) for part in changed):
            self._done.pop()
            name = self.rubric.criterion(last.criterion).name
            raise SettingsError(
                f"{name} of paper {self.paper(last.paper).number} was changed elsewhere since.",
                "A mark that was not changed since this page wrote it.",
                "Nothing was undone; change it by hand.",
            )
        back = dataclasses.replace(there, **{part: getattr(last.was, part) for part in changed})
        self._write(last.paper, last.criterion, there, back)
        self._done.pop()
        return last

    def comment_bank(self, criterion: str) -> list[str]:
        """Return what was said about a criterion in any paper, the most used first."""
        comments = Counter(self._marks.read(paper.key)[criterion].comment.strip() for paper in self.papers)
        return [text for text, _ in comments.most_common() if text]

    def _change(self, key: str, criterion: str, change: Callable[[Mark], Mark]) -> Mark:
        paper = self.paper(key).key
        self.rubric.criterion(criterion)
        was = self._marks.read(paper)[criterion]
        now = change(was)
        if now != was:
            self._write(paper, criterion, was, now)
            self._done.append(Change(paper, criterion, was, now))
        return self._marks.read(paper)[criterion]

    def _write(self, paper: str, criterion: str, was: Mark, now: Mark) -> None:
        self._marks.write(paper, criterion, now)
        if self._journal is None:
            return
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line: dict[str, object] = {"time": time, "grader": self.grader, "rubric": self.rubric.version, "paper": paper}
        line |= {"criterion": criterion, "was": dataclasses.asdict(was), "now": dataclasses.asdict(now)}
        try:
            append_to_file(self._journal, json.dumps(line, ensure_ascii=False) + "\n")
        except (NoSpace, OSError) as problem:
            reason = problem.what if isinstance(problem, NoSpace) else f"{self._journal} was not written: {problem}"
            raise NoSpace(
                f"The mark was written, but not the journal: {reason}", "A journal that can be written.",
                "Free disk space, or give yourself write permission there.",
            ) from problem  # fmt: skip


def open_marking_session(course: Course | None = None, grader: str = "", second_reader: bool = False) -> MarkingSession:
    """Open a marking session of a course's essays.

    Parameters
    ----------
    course : Course, optional
        The one that this folder belongs to, if left out.
    grader : str
        Who marks.
    second_reader : bool
        Marks go into a file of this grader's own and count for agreement only.
    """
    course = course or find_course()
    rubric = load_rubric(course.folder("source", "", ESSAY) / "rubric.yaml")
    marks = marks_of(course, rubric, (grader or "second") if second_reader else "")
    journal = course.folder("marking") / ESSAY / "journal.jsonl"
    return MarkingSession(rubric, list_papers(course), lambda paper: open_paper(course, paper), marks, grader, journal)
