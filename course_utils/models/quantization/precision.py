"""Precision choice: the fastest precision that computes correctly here, by a stored self-test of one second."""

import json
import logging
import math
import threading
import time
from pathlib import Path

import torch

from course_utils.core import limits
from course_utils.core.files import try_replace_file
from course_utils.core.json_types import JsonObject
from course_utils.core.paths import cache_folder
from course_utils.models.quantization.quantize import Int8Linear, Int8Output, to_whole_numbers, whole_product

PRECISIONS = {
    "fp32": "32-bit floating point, the reference for every number that counts",
    "int8": "8-bit weights, faster on this machine; the text can differ from fp32",
}
TIMES = ("fp32_ms", "int8_ms")
WORTH_IT = 1.2  # int8 must be so many times as fast as fp32
FILE = "precision.json"
MOST_MACHINES = 50  # remembered in one file

logger = logging.getLogger(__name__)
_found: dict[tuple[Path, str], dict[str, float]] = {}  # by file and machine: the cache folder may be read-only
_lock = threading.Lock()


def fastest() -> str:
    """Return ``"int8"`` where it is right and at least 1.2 times as fast as fp32 for one token, else ``"fp32"``."""
    found = self_test()
    return "int8" if found["is_right"] and found["fp32_ms"] >= WORTH_IT * found["int8_ms"] else "fp32"


def leave_a_core_free() -> None:
    """Let PyTorch compute on all physical cores of this process but one; where OMP_NUM_THREADS is set, on so many.

    The browser and JupyterLab need one too. Threads that wait for a core stall the others at every layer: beside one
    busy program on two cores, SmolLM2-135M wrote 17 tokens a second with one thread and 6 with two.
    """
    torch.set_num_threads(limits.thread_limit() if limits.chosen_threads() else max(1, limits.thread_limit() - 1))


def machine() -> str:
    """Return what the result of the self-test depends on: the processor, the number of threads, PyTorch."""
    return f"{limits.processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


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
        found = {each: float(told[each]) for each in TIMES} | {"is_right": told["is_right"]}
    except (ValueError, TypeError, KeyError):
        return {}  # of another version of the course
    is_sound = all(math.isfinite(found[each]) and found[each] > 0 for each in TIMES)
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
        ``fp32_ms`` and ``int8_ms``, each the best of several runs; ``is_right``, see `is_int8_right`.
    """
    # The layers must not fit into the processor's cache together, as a real model's do not.
    plain = [torch.nn.Linear(width, 4 * width, bias=False) for _ in range(n_layers)]
    output = torch.nn.Linear(width, n_vocabulary, bias=False)
    x = torch.randn(1, width)
    fp32_ms = _best_ms([*plain, output], x)
    try:
        whole = [*(Int8Linear(layer.weight, None) for layer in plain), Int8Output(output.weight)]
        return {"fp32_ms": fp32_ms, "int8_ms": _best_ms(whole, x), "is_right": is_int8_right()}
    except (RuntimeError, NotImplementedError, AttributeError) as problem:  # no such kernel for this processor
        logger.info("int8 cannot be computed here: %s", problem)
        return {"fp32_ms": fp32_ms, "int8_ms": fp32_ms * 1000, "is_right": False}


@torch.inference_mode()
def is_int8_right() -> bool:
    """Tell whether the kernels for 8-bit weights give the exact products on this processor.

    Both layers are compared with products of whole numbers that are computed without these kernels, for shapes and
    numbers of rows that occur. Large weights and inputs would show a kernel that adds in 16 bits and saturates.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for n_rows, n_in, n_out in ((1, 64, 64), (1, 768, 256), (3, 768, 3072), (5, 576, 192), (17, 256, 320)):
            weight = torch.randint(-127, 128, (n_out, n_in)).float()
            weight[:, 0] = 127.0  # so that a step of the rounding is 1, and the whole numbers are the weights
            if not (_is_linear_right(weight, n_rows) and _is_output_right(weight, n_rows)):
                return False
    return True


def _is_linear_right(weight: torch.Tensor, n_rows: int) -> bool:
    """Compare `Int8Linear` with the exact product; its output is rounded to bfloat16, 1 part in 256."""
    x = torch.randint(-8, 9, (n_rows, weight.shape[1])).float()
    exact = (x.to(torch.int64)[:, None] * weight.to(torch.int64)).sum(dim=2).float()
    found = Int8Linear(weight, None)(x)
    return bool(((found - exact).abs() <= exact.abs() / 128 + 1).all())


def _is_output_right(weight: torch.Tensor, n_rows: int) -> bool:
    """Compare the product of whole numbers in `Int8Output`, two rows for each row of its input, with the exact one."""
    rows = torch.randint(-127, 128, (2 * n_rows, weight.shape[1]), dtype=torch.int8)
    whole, _ = to_whole_numbers(weight)
    exact = (rows.to(torch.int64)[:, None] * whole.to(torch.int64)).sum(dim=2)
    return torch.equal(whole_product(rows, whole).to(torch.int64), exact)


def _best_ms(layers: list[torch.nn.Module], x: torch.Tensor, n_runs: int = 8) -> float:
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        for layer in layers:
            layer(x)
        times.append(1000 * (time.perf_counter() - start))
    return round(min(times), 3)
