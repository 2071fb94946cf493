"""Network choice: the course's own forward pass where it knows the architecture."""

import torch

from course_utils.models.networks import gpt2, llama
from course_utils.models.networks.network import Config, Decoder
from course_utils.models.networks.weights import Weights


def is_known(config: Config) -> bool:
    """Tell whether the course has a forward pass for what a config describes."""
    return gpt2.is_known(config) or llama.is_known(config)


def build(config: Config, weights: Weights, device: torch.device, n_parameters: int = 0) -> Decoder:
    """Return the network that a config describes; `is_known` must hold for it."""
    network = (gpt2.GPT2 if gpt2.is_known(config) else llama.Llama)(config, weights, device)
    network.n_parameters = n_parameters
    return network
