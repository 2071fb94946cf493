"""nbgrader's configuration for this course; `configure` fills in the rest."""

from pathlib import Path

from course_utils.grading import configure

configure(get_config(), Path(__file__).parent)  # noqa: F821 (nbgrader puts get_config here)
