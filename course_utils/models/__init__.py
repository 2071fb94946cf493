"""Language models: registry, loading, inference, quantization, server, client and training.

Dimensions are letters everywhere below this door: B batch (samples), T tokens, V vocabulary, L layers, H heads,
D width.
"""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.models.architecture import GPT2, architecture_of, naming_puzzle

__all__ = [
    "GPT2",
    "architecture_of",
    "naming_puzzle",
]
__getattr__, __dir__ = lazy_exports(__name__)
