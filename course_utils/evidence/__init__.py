"""Evidence for essays: the ledger of a student's measurements, re-runs, and checks of an essay against it."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.evidence.essay.argument_map import Reason, argument_map
    from course_utils.evidence.essay.argument_map import gaps as argument_gaps

__all__ = [
    "Reason",
    "argument_gaps",
    "argument_map",
]
__getattr__, __dir__ = lazy_exports(__name__)
