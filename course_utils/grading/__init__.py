"""Grading for instructors: release of assignments, autograding in a sandbox, marking, feedback and reports."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.grading.assignments.rubric import load_rubric
    from course_utils.grading.course.course import find_course
    from course_utils.grading.marking.agreement import agreement as grader_agreement
    from course_utils.grading.nbgrader.config import configure
    from course_utils.grading.reports.class_report import class_report as make_class_report
    from course_utils.grading.reports.class_report import write_class_report

__all__ = [
    "configure",
    "find_course",
    "grader_agreement",
    "load_rubric",
    "make_class_report",
    "write_class_report",
]
__getattr__, __dir__ = lazy_exports(__name__)
