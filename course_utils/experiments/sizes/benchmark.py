"""Benchmark of one model on this machine: bits per character, memory and speed, cached."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from course_utils.core import limits
from course_utils.core.code_hash import code_hash
from course_utils.experiments.core.cache import cached, sha256_of_values
from course_utils.experiments.core.result import versions
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.scoring import score_nats
from course_utils.models.inference.settings import Settings
from course_utils.models.quantization.precision import leave_a_core_free
from course_utils.models.registry import checksums, formats, registry

N_WRITTEN = 48  # tokens, to measure the speed of writing
MAX_WRITING_S = 10.0  # or as many as come in this time
OPENING = "In a small town by the sea, the newspaper printed a story that nobody had written."


def measure_once(
    folder: Path,
    sha256: str,
    documents: list[str],
    stride: int | None = None,
    progress: Callable[[float], object] | None = None,
    cancel: threading.Event | None = None,
) -> dict:
    """Measure a model, or read what was measured before from the same weights, documents, code and machine.

    Parameters
    ----------
    folder : Path
    sha256 : str
        Of its weights.
    documents : list of str
    stride, progress, cancel
        As for ``score_nats``.

    Returns
    -------
    dict
        cost: n_parameters, file_mb, load_s, memory_mb, tokens_per_s. bits and n_tokens: a list each, by document.
    """
    machine = [limits.processor(), limits.thread_limit(), _graphics_card()]
    rules = [code_hash(__name__), stride, versions()]
    inputs = [formats.name_of(folder), sha256, sha256_of_values(documents), machine, rules]
    return cached("sizes", inputs, lambda: _measure(folder, sha256, documents, stride, progress, cancel))


def _graphics_card() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def _measure(folder: Path, sha256: str, documents: list[str], stride: int | None, progress, cancel) -> dict:
    name = formats.name_of(folder)
    if name in [entry.name for entry in registry.entries()]:
        registry.require_memory(registry.entry(name))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    leave_a_core_free()
    LanguageModel(folder, "fp32", device)  # once for the system, whose first look at a file is slower
    begun = time.perf_counter()
    model = LanguageModel(folder, "fp32", device)
    if model.weights_sha256 != sha256:  # what is measured would be kept under the hash of other weights
        raise checksums.changing(folder)
    cost = {"n_parameters": model.n_parameters, "file_mb": formats.file_bytes(folder) / 1e6}
    cost |= {
        "load_s": time.perf_counter() - begun,
        "memory_mb": model.network.nbytes / 1e6,
        "tokens_per_s": _speed(model),
    }
    nats = score_nats(model, documents, stride, progress=progress, cancel=cancel)
    bits = [float(token_nats.sum(dtype=float)) / np.log(2) for token_nats in nats]
    return {"cost": cost, "bits": bits, "n_tokens": [len(token_nats) for token_nats in nats]}


def _speed(model: LanguageModel) -> float:
    """Return the tokens that are written in a second, after the first."""
    model.end_ids, times = frozenset(), []  # write on past the end of a text
    for _ in model.stream(OPENING, Settings(max_new_tokens=N_WRITTEN, seed=0)):
        times.append(time.perf_counter())
        if times[-1] - times[0] > MAX_WRITING_S:
            break
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else np.nan
