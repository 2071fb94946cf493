"""Public names for the checks of an assignment: what test cells import, at a place that stays.

Source notebooks and what students get import from here. `course_utils.core.former_paths` lists where they did before.
"""

from course_utils.grading.checks.expect import (
    AnswerError,
    cases,
    expect,
    expect_error,
    expect_same,
    source_of,
    tree_of,
)

__all__ = ["AnswerError", "cases", "expect", "expect_error", "expect_same", "source_of", "tree_of"]
