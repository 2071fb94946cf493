"""Deterministic training arithmetic: 16 bits where that is faster, and the same numbers in every run."""

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from typing import Any

import torch

N_TRIES, CLEARLY = 8, 1.2


@functools.cache
def bf16_is_faster(device: torch.device) -> bool:
    """Try one layer's product in 32 and in 16 bits: some processors have no instruction for the latter.

    The quickest of several tries counts, in turn, and the gain must be clear: two trainings on one machine should not
    choose differently because it was busy for a moment.
    """
    if device.type != "cpu":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    times: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for kind in [*times] * N_TRIES:
        left, right = torch.ones(2048, 256, dtype=kind), torch.ones(256, 1024, dtype=kind)
        begun = time.perf_counter()
        left @ right
        times[kind].append(time.perf_counter() - begun)
    return CLEARLY * min(times[torch.bfloat16]) < min(times[torch.float32])


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let PyTorch take only operations that give the same numbers every time; on a graphics card, where it has them."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = torch.utils.deterministic  # its one setting is a property of a class that stands for the module
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled_before = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    memory.fill_uninitialized_memory = False  # PyTorch reads none of it, and filling it costs a tenth of a step
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled_before
