"""Compatibility check of a network: which kinds of networks the course can compute with.

The course feeds a network one token at a time and keeps keys and values in a cache. Some networks of transformers keep
another kind of memory, or none, and would then write another text without any error. So a network is tried once: its
logits, one token at a time and with the course's faster layers, must be those of one plain forward pass.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from course_utils.errors import CourseError, DamagedFile
from course_utils.models.networks.build import build, is_known
from course_utils.models.networks.network import Network
from course_utils.models.networks.transformers_network import TransformersNetwork
from course_utils.models.networks.weights import StateWeights
from course_utils.models.quantization.quantize import quantize
from course_utils.models.registry import formats

N_READ, N_STEPS = 7, 4  # tokens read at once, then one at a time
CLOSE = {"fp32": 1e-3, "int8": 0.3}  # the largest relative distance of logits from the plain ones


def load_network(folder: Path, name: str, precision: str, device: torch.device) -> tuple[Network, int, list[int]]:
    """Return a network that transformers reads, the tokens that it can see at once, and those that end a text.

    It computes with the course's own forward pass where that knows the architecture, such as a GPT-2 whose weights are
    no safetensors.

    Raises
    ------
    DamagedFile
        Files cannot be read, or do not fit together.
    CourseError
        The course cannot compute a network of that kind.
    """
    network = read_network(folder)
    ends = network.generation_config.eos_token_id
    context, end_ids = formats.context_of(network.config), ends if isinstance(ends, list) else [ends]
    end_ids = [token for token in end_ids if token is not None]
    cast(torch.nn.Module, network).to(device)  # in place; transformers' own `to` hides its types
    if is_known(config := network.config.to_dict()):
        weights = StateWeights(network.state_dict(), precision)
        return build(config, weights, device, network.num_parameters()), context, end_ids
    plain = plain_logits(network, name)
    if precision == "int8":
        with as_course_error(network, name):
            quantize(network)
    own_memory(network)
    require_same(network, plain, name, precision)
    return TransformersNetwork(network), context, end_ids


def read_network(folder: Path) -> PreTrainedModel:
    """Return the network in a folder, in fp32, with all weights that its config asks for.

    Raises
    ------
    DamagedFile
        The config or the weights cannot be read, or weights are missing: transformers would make them up at random.
    CourseError
        transformers knows no causal language model of that kind.
    """
    network: PreTrainedModel
    read_all: Any = AutoModelForCausalLM.from_pretrained  # whose type leaves out that it can return a pair
    try:
        network, told = read_all(folder, dtype=torch.float32, output_loading_info=True)
    except (ValueError, KeyError, ImportError, AttributeError, TypeError, OSError, RuntimeError) as problem:
        raise DamagedFile(
            f"{folder} cannot be loaded: {_first_line(problem)}",
            "A causal language model that transformers knows, whole.",
            "Copy the folder again; if it is whole, choose another model.",
        ) from problem
    missing = sorted(told["missing_keys"])
    if missing:
        raise DamagedFile(
            f"The weights in {folder} lack {len(missing)} tensors, among them {missing[0]}.",
            "All tensors of the network that config.json describes.",
            "Copy config.json and the weights again, both from the same model.",
        )
    network.eval()
    return network


def own_memory(network: torch.nn.Module) -> None:
    """Copy all weights into memory of this process, one at a time.

    transformers maps the file into memory. Who overwrites that file in its place would change the weights of a network
    that is in use, and who shortens it would end the process.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


@torch.inference_mode()
def plain_logits(network: PreTrainedModel, name: str) -> torch.Tensor:
    """Return the logits of one forward pass over a few tokens, before anything is changed.

    Raises
    ------
    CourseError
        One token at a time, the untouched network gives other logits.
    """
    with as_course_error(network, name):
        plain: torch.Tensor = network(_some_ids(network), use_cache=False).logits[0, -1].float()
    require_same(network, plain, name, "fp32")
    return plain


def require_same(network: PreTrainedModel, plain: torch.Tensor, name: str, precision: str) -> None:
    """Raise CourseError where the network, one token at a time, gives other logits than one forward pass did."""
    with as_course_error(network, name):
        tried, ids = TransformersNetwork(network), _some_ids(network)
        cache = tried.new_cache()
        found = tried.read(ids[:, :N_READ], cache)
        for token in ids[0, N_READ:].tolist():
            found = tried.step([token], [cache])
        if not _is_close(found[0], plain, CLOSE[precision]):
            raise _refusal(network, name, "one token at a time its logits are others than in one pass")


def _some_ids(network: PreTrainedModel) -> torch.Tensor:
    """Return token ids of shape (1, T) from all over the vocabulary."""
    n_vocabulary = network.get_input_embeddings().get_parameter("weight").shape[0]
    ids = [(1 + place * 7919) % n_vocabulary for place in range(N_READ + N_STEPS)]
    return torch.tensor([ids], device=network.device)


def _is_close(found: torch.Tensor, expected: torch.Tensor, share: float) -> bool:
    return bool((found - expected).norm() <= share * expected.norm())


@contextlib.contextmanager
def as_course_error(network: PreTrainedModel, name: str) -> Iterator[None]:
    """Turn whatever a network of an unknown kind does not take into a CourseError."""
    try:
        yield
    except CourseError:
        raise
    except Exception as problem:
        raise _refusal(network, name, _first_line(problem)) from problem


def _refusal(network: PreTrainedModel, name: str, why: str) -> CourseError:
    return CourseError(
        f"{name} is of the kind {network.config.model_type!r}, which the course cannot compute: {why}",
        "A decoder with keys and values in a cache, such as GPT-2, Llama, OPT or GPT-NeoX.",
        "Choose a model of another kind.",
    )


def _first_line(problem: BaseException) -> str:
    words = " ".join(str(problem).split()) or type(problem).__name__
    return words if len(words) <= 160 else f"{words[:157]}..."
