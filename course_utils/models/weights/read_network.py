"""Network loading: from the cache of quantized weights, else from the checkpoint, tensor by tensor."""

import contextlib

import torch

from course_utils.errors import CourseError
from course_utils.models.networks.build import build
from course_utils.models.networks.network import Config, Decoder
from course_utils.models.registry import formats
from course_utils.models.registry.checksums import Seen
from course_utils.models.weights.file_weights import FileWeights, TensorFiles, separate_allocations
from course_utils.models.weights.quantized_cache import CachedWeights, CachingWeights, open_cached


def read_network(seen: Seen, config: Config, precision: str, device: torch.device) -> Decoder:
    """Return the network of a safetensors checkpoint whose architecture the course knows.

    At most one layer is held in fp32 while it is quantized.

    Parameters
    ----------
    seen : Seen
        The checkpoint's files and their hashes. The caller makes sure afterwards that they are still the same.
    config : mapping
    precision : {"fp32", "int8"}
    device : torch.device

    Raises
    ------
    DamagedFile
        A tensor is missing or cut off.
    """
    with separate_allocations():
        if precision == "int8" and (network := _from_cache(seen, config, device)) is not None:
            return network
        with TensorFiles(formats.tensor_places(seen.folder)) as files:
            if precision == "fp32":
                return _built(FileWeights(seen.folder, files, precision, device), config, device)
            weights = CachingWeights(seen, files, device)
            try:
                network = _built(weights, config, device)
                if seen.is_current():  # else the numbers may be of other weights than the name says
                    weights.keep()
            finally:
                weights.drop()
            return network


def _from_cache(seen: Seen, config: Config, device: torch.device) -> Decoder | None:
    cached = open_cached(seen)
    if cached is None:
        return None
    with contextlib.closing(cached), contextlib.suppress(CourseError, OSError):
        network = _built(cached.weights, config, device)
        if cached.is_current():
            return network
    return None


def _built(weights: FileWeights | CachedWeights, config: Config, device: torch.device) -> Decoder:
    network = build(config, weights, device)
    network.n_parameters = weights.n_parameters
    return network
