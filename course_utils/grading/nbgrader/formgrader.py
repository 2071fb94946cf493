"""Patches of formgrader: its buttons and nbgrader's commands run this course's own steps."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.errors import CourseError
from course_utils.grading.course.course import CONFIG, Course, find_course

if TYPE_CHECKING:
    from nbgrader.apps.api import NbGraderAPI

Step = Callable[..., dict[str, Any]]  # a method of NbGraderAPI: what it did, as its page and its commands read it

REFUSED = "This course is graded by make grade and make feedback, or: python -m course_utils grade --help"
Say = Callable[[str], object]


@functools.cache
def patch_formgrader() -> None:
    """Replace the methods behind formgrader's buttons by this course's own steps.

    Notes
    -----
    nbgrader's own would run students' code with the grader's rights, stop at damaged notebooks, and write hidden tests
    into feedback.
    """
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.converters import Autograde, GenerateFeedback

    for name, replacement in {
        "generate_assignment": _generate, "release_assignment": _release, "autograde": _autograde, "collect": _collect,
        "generate_feedback": _generate_feedback, "release_feedback": _release_feedback,
    }.items():  # fmt: skip
        setattr(NbGraderAPI, name, _in_this_course(getattr(NbGraderAPI, name), replacement))
    for converter in (Autograde, GenerateFeedback):
        converter.init_notebooks = _refused(converter)


def _refused(converter: Any) -> Callable[..., None]:
    """Return a first step of nbgrader's own converter that refuses, before ``--force`` deletes what is there."""
    from nbgrader.converters.base import NbGraderException

    nbgraders = converter.init_notebooks

    @functools.wraps(nbgraders)
    def init_notebooks(self: Any) -> None:
        if type(self) is converter and (Path(self.coursedir.root) / CONFIG).is_file():
            self.log.error(REFUSED)  # the command ends without a word of its own
            raise NbGraderException(REFUSED)
        nbgraders(self)

    return init_notebooks


def _in_this_course(nbgraders: Step, replacement: Callable[..., object]) -> Step:
    """Return what takes our step where the course is one of ours, and nbgrader's elsewhere."""

    @functools.wraps(nbgraders)
    def step(api: "NbGraderAPI", assignment_id: str, *more: object, **named: object) -> dict[str, Any]:
        if not (Path(api.coursedir.root) / CONFIG).is_file():
            return nbgraders(api, assignment_id, *more, **named)
        return _done(api, lambda course, say: replacement(course, assignment_id, say, *more, **named))

    return step


def _generate(course: Course, assignment: str, say: Say, *_: object, **__: object) -> None:
    from course_utils.grading.assignments.generate import generate

    generate(course, assignment, say)


def _release(course: Course, assignment: str, say: Say, *_: object, **__: object) -> None:
    from course_utils.grading.release.release import release

    release(course, assignment, say)


def _autograde(course: Course, assignment: str, say: Say, student_id: str, force: bool = True, **_: object) -> None:
    from course_utils.grading.autograde.grade import grade

    left = [result for result in grade(course, assignment, [student_id], force=force, say=say, n_jobs=1) if result.left]
    if left:
        raise CourseError(
            f"{student_id} could not be graded now: {left[0].left}", "A submission that can be graded.", "Try again."
        )


def _collect(course: Course, assignment: str, say: Say, *_: object, **__: object) -> None:
    from course_utils.grading.submissions.collect import collect

    collect(course, assignment, say)


def _generate_feedback(course: Course, assignment: str, say: Say, *_: object, **__: object) -> None:
    from course_utils.grading.feedback.feedback import write_feedback

    write_feedback(course, assignment, say)


def _release_feedback(course: Course, assignment: str, say: Say, *_: object, **__: object) -> None:
    from course_utils.grading.feedback.feedback import release_feedback

    release_feedback(course, assignment, say)


def _done(api: "NbGraderAPI", do: Callable[[Course, Say], object]) -> dict[str, Any]:
    """Do something, and tell how it went as nbgrader's interface tells it."""
    log: list[str] = []
    try:
        do(find_course(api.coursedir.root), lambda line: log.append(str(line)))
    except CourseError as error:
        return {"success": False, "error": str(error), "log": "\n".join(log)}
    return {"success": True, "log": "\n".join(log)}
