"""Grading page for essays: blind, by rubric; each change is stored at once and can be undone."""

import traitlets

from course_utils.errors import CourseError
from course_utils.grading.assignments.generate import SCHEME, read_mark_scheme
from course_utils.grading.course.course import ESSAY, Course, find_course
from course_utils.grading.marking.marking_session import MarkingSession, open_marking_session
from course_utils.grading.marking.submissions_to_mark import list_papers
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.static_view import Fact, Part
from course_utils.widgets.essay.essay_view import picture_of
from course_utils.widgets.marking.marking_desk import MarkingDesk

SECOND = "You are a second reader: your marks count for agreement only, and lie in a file of your own."


class GraderPage(MarkingDesk):
    """A panel that shows one paper after the other, with its evidence, beside the rubric.

    Parameters
    ----------
    course : Course, optional
        The one that this folder belongs to, if left out.
    grader : str
        Who marks; stands in the journal, never in the page.
    second_reader : bool
        Marks go into a file of this grader's own and count for agreement only.
    projector : bool
        Large type, for a lecture hall.
    desk : MarkingSession, optional
        Papers from elsewhere, instead of a course's.

    Attributes
    ----------
    paper : Paper or None
        The one that is open.
    whose : str
        Whose it is, while that is asked for; else empty.

    Examples
    --------
    ::

        page = GraderPage()
        page.choose(3)
        page.mark_level("thesis", 2)
        page.comment("thesis", "Say who decides.")
        page.next_unmarked()
    """

    _esm, _css = browser_bundle("grader_page")
    panel_title = "Marking page"

    whose = traitlets.Unicode().tag(sync=True)
    role = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        course: Course | None = None,
        grader: str = "",
        second_reader: bool = False,
        projector: bool = False,
        desk: MarkingSession | None = None,
    ) -> None:
        self._course, scheme, problem = None, {}, ""
        if desk is None:
            self._course = course or find_course()
            desk = open_marking_session(self._course, grader, second_reader)
            try:
                scheme = read_mark_scheme(self._course.folder("source", "", ESSAY) / SCHEME)
            except CourseError as error:  # it is for reading only: marking goes on
                problem = str(error)
        super().__init__(desk, scheme, projector)
        self._list()
        self._begin()
        self.set_traits(role=SECOND if second_reader else "", message=self.message or problem)

    def refresh(self) -> None:
        """Read papers and marks again: others may have written some."""
        if self._course is not None:
            self.desk.papers = list_papers(self._course)
        self._list()
        if self.paper is None:
            self._begin()
        else:
            self._open(self._key)

    def show_whose(self) -> str:
        """Tell whose the open paper is, until another one is opened."""
        self.whose = (self.paper.student or "nobody's") if self.paper else ""
        return self.whose

    def static_parts(self) -> list[Part]:
        """Return how far the papers are marked; no essay, no comment and no name may stay in a saved notebook."""
        marked = f"{self.counts.get('marked', 0)} of {self.counts.get('all', 0)} papers"
        return [Fact("Marked", marked), Fact("Open paper", self.sheet.get("number", "none")), *self._marks_parts(False)]

    def _open(self, key: str) -> None:
        self.whose = ""
        super()._open(key)

    def _picture_of(self, id: str) -> tuple[bytes, str] | str:
        return picture_of(self._sheet, id)

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "refresh" | "show_whose" as wish}:
                getattr(self, wish)()
            case {"kind": "hide_whose"}:
                self.whose = ""
            case _:
                super()._handle_message(content, buffers)
