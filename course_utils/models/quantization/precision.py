"""Precision choice: the fastest precision that computes correctly here, by a stored self-test of one second."""

import json
import logging
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from course_utils.core import limits
from course_utils.core.files import try_replace_file
from course_utils.core.json_types import JsonObject
from course_utils.core.paths import cache_folder
from course_utils.models.quantization.integer_product import FP64, kernel
from course_utils.models.quantization.packed_linear import PackedLinear
from course_utils.models.registry.stored_answer import FILE, WORTH_IT

PRECISIONS = {
    "fp32": "32-bit floating point, the reference for every number that counts",
    "int8": "8-bit weights, faster on this machine; the text can differ from fp32",
}
TIMES = ("fp32_ms", "int8_ms")
MOST_MACHINES = 50  # remembered in one file

logger = logging.getLogger(__name__)
_found: dict[tuple[Path, str], dict[str, float]] = {}  # by file and machine: the cache folder may be read-only
_lock = threading.Lock()


def fastest() -> str:
    """Return ``"int8"`` where it is right and at least 1.2 times as fast as fp32 for one token, else ``"fp32"``.

    For int8, PyTorch then computes with the number of threads that was fastest in the self-test.
    """
    found = self_test()
    if not found["is_right"] or found["fp32_ms"] < WORTH_IT * found["int8_ms"]:
        return "fp32"
    torch.set_num_threads(int(found["threads"]))
    return "int8"


def leave_a_core_free() -> None:
    """Let PyTorch compute on all physical cores of this process but one; where OMP_NUM_THREADS is set, on so many.

    The browser and JupyterLab need one too. Threads that wait for a core stall the others at every layer: beside one
    busy program on two cores, SmolLM2-135M wrote 17 tokens a second with one thread and 6 with two.
    """
    torch.set_num_threads(limits.thread_limit() if limits.chosen_threads() else max(1, limits.thread_limit() - 1))


def machine() -> str:
    """Return what the result of the self-test depends on: the processor, the number of threads, PyTorch, the layers."""
    return f"{limits.processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, packed layers"


def self_test() -> dict[str, float]:
    """Return what `measure` found on this machine; the second time, what was found the first time.

    It is kept in this process and in ``precision.json`` in the user's cache folder, for this processor, number of
    threads and version of PyTorch. Delete the file to test again. A folder that cannot be written costs a second at
    each start.
    """
    name, file = machine(), cache_folder() / FILE
    with _lock:
        if (file, name) not in _found:
            _found[file, name] = found = _remembered(file, name) or _measured(file, name)
            if not found["is_right"]:
                logger.warning("int8 does not work on this processor (%s). The course computes in fp32.", name)
        return dict(_found[file, name])


def _read(file: Path) -> JsonObject:
    """Return all that the file says; nothing where it is not there or half written."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _remembered(file: Path, name: str) -> dict[str, float]:
    """Return what the file says of a machine, or nothing."""
    try:
        told = _read(file)[name]
        found = {each: float(told[each]) for each in (*TIMES, "threads")} | {"is_right": told["is_right"]}
    except (ValueError, TypeError, KeyError):
        return {}  # of another version of the course
    is_sound = all(math.isfinite(found[each]) and found[each] > 0 for each in TIMES) and found["threads"] >= 1
    return found if is_sound and isinstance(found["is_right"], bool) else {}


def _measured(file: Path, name: str) -> dict[str, float]:
    found = measure()
    others = list(_read(file).items())[-MOST_MACHINES:]  # machines that share this folder
    try_replace_file(file, json.dumps({**dict(others), name: found}, indent=1))
    return found


@torch.inference_mode()
def measure(n_layers: int = 12, width: int = 768, n_vocabulary: int = 50257) -> dict[str, float]:
    """Time one token through the feed-forward layers and the output layer of a GPT-2 small, and check int8's products.

    Returns
    -------
    dict
        ``fp32_ms`` and ``int8_ms``, each the best of several runs; ``is_right``: whether a fast kernel is exact here;
        ``threads``: with how many int8 was fastest, of 1, 2, 4 … and all that it may take. More than these would be
        slower beside a busy program, see `leave_a_core_free`.
    """
    # The layers must not fit into the processor's cache together, as a real model's do not.
    plain = [torch.nn.Linear(width, 4 * width, bias=False) for _ in range(n_layers)]
    output = torch.nn.Linear(width, n_vocabulary, bias=False)
    x = torch.randn(1, width)
    fp32_ms = _best_ms([*plain, output], x)
    if not is_int8_right():
        return {"fp32_ms": fp32_ms, "int8_ms": fp32_ms * 1000, "is_right": False, "threads": 1}
    packed = [PackedLinear.from_weight(layer.weight) for layer in [*plain, output]]
    most, times = torch.get_num_threads(), {}
    try:
        for threads in sorted({most, *(2**i for i in range(most.bit_length()))}):
            torch.set_num_threads(threads)
            times[threads] = _best_ms(packed, x)
    finally:
        torch.set_num_threads(most)
    fastest_of_all = min(times, key=lambda threads: times[threads])
    return {"fp32_ms": fp32_ms, "int8_ms": times[fastest_of_all], "is_right": True, "threads": fastest_of_all}


def is_int8_right() -> bool:
    """Tell whether a fast kernel for 8-bit weights gives the exact products on this processor."""
    return kernel() is not FP64


def _best_ms(layers: Sequence[torch.nn.Module], x: torch.Tensor, n_runs: int = 8) -> float:
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        for layer in layers:
            layer(x)
        times.append(1000 * (time.perf_counter() - start))
    return round(min(times), 3)
