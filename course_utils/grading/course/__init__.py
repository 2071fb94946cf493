"""Course settings: nbgrader's course folder, roster, late penalty and limits of scores."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    # The ``nbgrader_config.py`` of a course imports it from here.
    from course_utils.grading.nbgrader.config import configure

__all__ = ["configure"]
__getattr__, __dir__ = lazy_exports(__name__)
