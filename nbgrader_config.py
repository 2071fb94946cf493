"""nbgrader's configuration for this course; `course_utils.grading.course` fills in the rest."""

from pathlib import Path

from course_utils.grading.course import configure

configure(get_config(), Path(__file__).parent)  # noqa: F821 (nbgrader puts get_config here)
