"""What instructors use: assignments made from their sources, submissions graded without loss, marks, feedback."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.grading.agreement import agreement as grader_agreement
    from course_utils.grading.class_report import class_report as make_class_report
    from course_utils.grading.class_report import write_class_report
    from course_utils.grading.course import find_course
    from course_utils.grading.nbgrader_settings import configure
    from course_utils.grading.rubric import load_rubric

__all__ = [
    "configure",
    "find_course",
    "grader_agreement",
    "load_rubric",
    "make_class_report",
    "write_class_report",
]
__getattr__, __dir__ = lazy_exports(__name__)
