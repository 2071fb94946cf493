"""Plots and tables: each function takes a table of numbers and returns a figure or a readable table."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.plots.cost import costs_picture
    from course_utils.plots.picture import measures_by_setting
    from course_utils.plots.size import loss_against_parameters
    from course_utils.plots.tables import to_read

__all__ = [
    "costs_picture",
    "loss_against_parameters",
    "measures_by_setting",
    "to_read",
]
__getattr__, __dir__ = lazy_exports(__name__)
