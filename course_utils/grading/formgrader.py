"""nbgrader's own pages and buttons do what the commands do: sandbox, repairs and our feedback, with no way around."""

import functools
from collections.abc import Callable

from course_utils.errors import CourseError
from course_utils.grading.course import Course, find_course

Say = Callable[[str], object]


@functools.cache
def take_over() -> None:
    """Let formgrader's buttons for collecting, autograding and feedback run this course's own steps.

    Notes
    -----
    nbgrader's own would run students' code with the grader's rights, stop at damaged notebooks, and write hidden tests
    into feedback.
    """
    from nbgrader.apps.api import NbGraderAPI

    NbGraderAPI.autograde = _autograde
    NbGraderAPI.collect = _collect
    NbGraderAPI.generate_feedback = _generate_feedback
    NbGraderAPI.release_feedback = _release_feedback


def _autograde(self: object, assignment_id: str, student_id: str, force: bool = True, create: bool = True) -> dict:
    from course_utils.grading.grade import grade

    return _done(self, lambda course, say: grade(course, assignment_id, [student_id], force=force, say=say))


def _collect(self: object, assignment_id: str, update: bool = True) -> dict:
    from course_utils.grading.collect import collect

    return _done(self, lambda course, say: collect(course, assignment_id, say))


def _generate_feedback(self: object, assignment_id: str, student_id: str | None = None, force: bool = True) -> dict:
    from course_utils.grading.feedback import write_feedback

    return _done(self, lambda course, say: write_feedback(course, assignment_id, say))


def _release_feedback(self: object, assignment_id: str, student_id: str | None = None) -> dict:
    from course_utils.grading.feedback import release_feedback

    return _done(self, lambda course, say: release_feedback(course, assignment_id, say))


def _done(api: object, do: Callable[[Course, Say], object]) -> dict[str, object]:
    """Do something, and tell how it went as nbgrader's interface tells it."""
    said: list[str] = []
    try:
        do(find_course(api.coursedir.root), lambda line: said.append(str(line)))
    except CourseError as error:
        return {"success": False, "error": str(error), "log": "\n".join(said)}
    return {"success": True, "log": "\n".join(said)}
