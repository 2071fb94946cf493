"""Release of an assignment: generate the students' version, verify its checks, publish it in the exchange folder."""

from collections.abc import Callable

from course_utils.core.files import write_errors
from course_utils.errors import CourseError
from course_utils.grading.assignments.generate import generate, last_line_of_log
from course_utils.grading.course.course import Course, original_step
from course_utils.grading.release.verify import verify_checks
from course_utils.grading.submissions.arrival_notes import note_release

Say = Callable[[str], object]


def release(course: Course, assignment: str, say: Say = print) -> None:
    """Make the students' version of an assignment and put it where they fetch it.

    Raises
    ------
    CourseError
        See `generate` and `verify_checks`; or the exchange folder cannot be written.
    """
    folder = generate(course, assignment, say)
    verify_checks(course, assignment, say)
    with write_errors(course.exchange, "Set NBGRADER_EXCHANGE to another folder."):
        course.exchange.mkdir(parents=True, exist_ok=True)
    is_first = not (course.own_exchange / "outbound" / assignment).exists()
    done = original_step("release_assignment")(course.api(ExchangeReleaseAssignment={"force": True}), assignment)
    if not done["success"]:
        raise CourseError(
            f"{assignment} could not be released to {course.exchange}: {last_line_of_log(done)}",
            "An exchange folder that you can write and everybody can read.", "Set NBGRADER_EXCHANGE to another folder.",
        )  # fmt: skip
    if is_first:
        note_release(course, assignment)
    say(f"{assignment}: made in {folder.relative_to(course.root)}, released in {course.exchange}")
