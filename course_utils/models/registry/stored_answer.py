"""Precision that this machine will use, as far as it is known without torch: from the stored result of the self-test.

Panels list models before torch is imported. So `course_utils.models.quantization.precision`, which measures, is not
imported here; its file is read.
"""

import importlib.metadata
import json
import math
import os
import platform
import sys

from course_utils.core import limits
from course_utils.core.paths import cache_folder

FILE = "precision.json"
WORTH_IT = 1.2  # int8 must be so many times as fast as fp32


def expected() -> str:
    """Return ``"int8"`` or ``"fp32"``: what ``load(name)`` will most likely use on this machine.

    Where nothing is stored yet, it is int8 on a processor, which nearly every processor can compute, and fp32 on a
    graphics card. When a model is loaded, the self-test decides, and memory is compared again for its answer.
    """
    if has_graphics_card():
        return "fp32"
    try:
        told = json.loads((cache_folder() / FILE).read_text(encoding="utf-8"))
        mine = [found for name, found in told.items() if _is_mine(name)]
        if not mine:
            return "int8"
        fp32_ms, int8_ms = float(mine[-1]["fp32_ms"]), float(mine[-1]["int8_ms"])
        is_right = mine[-1]["is_right"] is True
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, IndexError):
        return "int8"
    is_sound = math.isfinite(fp32_ms) and math.isfinite(int8_ms) and int8_ms > 0
    return "fp32" if is_sound and not (is_right and fp32_ms >= WORTH_IT * int8_ms) else "int8"


def _is_mine(name: object) -> bool:
    """Tell whether an entry is of this processor and this version of PyTorch."""
    return isinstance(name, str) and name.startswith(limits.processor()) and f"torch {_torch_version()}," in f"{name},"


def _torch_version() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def has_graphics_card() -> bool:
    """Tell whether models will run on a graphics card; without torch, by what the system shows of it."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "backends"):  # imported to its end
        return bool(torch.cuda.is_available() or torch.backends.mps.is_available())
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return os.path.exists("/dev/nvidiactl") and "+cpu" not in _torch_version()
