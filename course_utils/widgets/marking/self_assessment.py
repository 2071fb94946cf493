"""Self-assessment panel: students rate their own essay with the rubric, and get a next step for each criterion."""

from pathlib import Path

import traitlets

from course_utils.evidence.essay.essay import Essay
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.marking.marking_session import MarkingSession
from course_utils.grading.marking.marks import FileMarks
from course_utils.grading.marking.submissions_to_mark import Paper, PaperContents
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.static_view import Fact, Part
from course_utils.widgets.marking.rubric_view import RubricPanel

NAME = "self_assessment.json"
OWN = Paper("own", 1, "")
TOP = "There is no level above this one. Look for the criterion in which you are least sure."


class SelfAssessment(RubricPanel):
    """A panel to place one's own essay on the rubric; kept beside the notebook, seen by nobody else.

    Parameters
    ----------
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    steps : dict of str to str
        By criterion that has a level: the one thing to do next.

    Examples
    --------
    ::

        mine = SelfAssessment()
        mine.mark_level("thesis", 1)
        mine.steps["thesis"]
    """

    _esm, _css = browser_bundle("self_assessment")
    panel_title = "Self-assessment"

    steps = traitlets.Dict().tag(sync=True)

    def __init__(self, projector: bool = False) -> None:
        rubric = load_rubric()
        marks = FileMarks(Path.cwd() / NAME, rubric)
        super().__init__(
            MarkingSession(rubric, [OWN], lambda paper: PaperContents(paper, Essay(()), {}, Path()), marks),
            None,
            projector,
        )
        self._open(OWN.key)

    def static_parts(self) -> list[Part]:
        """Return the levels, and the next step for each."""
        names = {each["id"]: each["name"] for each in self.rubric["criteria"]}
        return [*super().static_parts(), *(Fact(f"Next for {names[id]}", step) for id, step in self.steps.items())]

    def _read(self) -> None:
        super()._read()
        rubric, found = self.desk.rubric, self.desk.marks(OWN.key)
        given = {id: rubric.level_of(id, mark.points) for id, mark in found.items() if mark.points is not None}
        self.steps = {id: [*rubric.criterion(id).next, TOP][level] for id, level in given.items()}
