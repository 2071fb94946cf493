"""Which precision is fastest on this machine: a one-second self-test, remembered."""

import json
import platform
import time

import psutil
import torch

from course_utils.core.files import try_replace_file
from course_utils.models.quantize import Int8Linear, Int8Output
from course_utils.places import cache_folder

PRECISIONS = {
    "fp32": "32-bit floating point, the reference for every number that counts",
    "int8": "8-bit weights, faster on this machine; the text can differ from fp32",
}
TIMES = ("fp32_ms", "int8_ms")


def fastest() -> str:
    """Return ``"int8"`` where it is at least 1.2 times as fast as fp32 for one token at a time, else ``"fp32"``."""
    times = self_test()
    return "int8" if times["fp32_ms"] >= 1.2 * times["int8_ms"] else "fp32"


def leave_a_core_free() -> None:
    """Let PyTorch compute on all physical cores but one.

    The browser and JupyterLab need one too. Threads that wait for a core stall the others at every layer: beside one
    busy program on two cores, SmolLM2-135M wrote 17 tokens a second with one thread and 6 with two.
    """
    torch.set_num_threads(max(1, (psutil.cpu_count(logical=False) or 2) - 1))


def self_test() -> dict[str, float]:
    """Return what `measure` found on this machine.

    It is kept in ``precision.json`` in the user's cache folder, for this processor, number of threads and version of
    PyTorch; delete the file to test again.
    """
    machine = (
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    remembered = cache_folder() / "precision.json"
    try:
        known = dict(json.loads(remembered.read_text()))
        times = {name: float(known[machine][name]) for name in TIMES}
    except (OSError, ValueError, TypeError, KeyError):  # not there, half written, or of another version of the course
        times = measure()
        try_replace_file(remembered, json.dumps({machine: times}, indent=1))
    return times


@torch.inference_mode()
def measure(n_layers: int = 12, width: int = 768, n_vocabulary: int = 50257) -> dict[str, float]:
    """Time one token through the feed-forward layers and the output layer of a GPT-2 small.

    Returns
    -------
    dict
        ``fp32_ms`` and ``int8_ms``, each the best of several runs.
    """
    # The layers must not fit into the processor's cache together, as a real model's do not.
    plain = [torch.nn.Linear(width, 4 * width, bias=False) for _ in range(n_layers)]
    output = torch.nn.Linear(width, n_vocabulary, bias=False)
    whole = [*(Int8Linear(layer.weight, None) for layer in plain), Int8Output(output.weight)]
    x = torch.randn(1, width)
    return {name: _best_ms(layers, x) for name, layers in zip(TIMES, ([*plain, output], whole), strict=True)}


def _best_ms(layers: list[torch.nn.Module], x: torch.Tensor, n_runs: int = 8) -> float:
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        for layer in layers:
            layer(x)
        times.append(1000 * (time.perf_counter() - start))
    return round(min(times), 3)
