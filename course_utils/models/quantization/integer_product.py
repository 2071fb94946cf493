"""Integer products: kernels that multiply small whole numbers by packed 8-bit weights exactly, and their check.

Every kernel gives the same numbers to the last bit, because the sum of whole numbers does not depend on its order and
each kernel converts it to fp32 in the same way. So a text does not depend on which kernel a processor has.
"""

import functools
import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

LARGEST = 63  # of a row's numbers: on processors without VNNI the sum of two products must fit into 16 bits

logger = logging.getLogger(__name__)
_lock = threading.Lock()


class Kernel(NamedTuple):
    """An integer product.

    Parameters
    ----------
    name : str
    pack : callable
        Bring weights of shape (outputs, inputs), int8, with one scale for each output, into the order of the kernel.
    multiply : callable
        Multiply rows of whole numbers from -63 to 63, of shape (N, inputs), fp32, by packed weights. The result, of
        shape (N, outputs), is the exact product in fp32, rounded once, times the scale.
    unpack : callable
        Return weights and scales as they were.
    """

    name: str
    pack: Callable[[torch.Tensor, torch.Tensor], Any]  # each kernel has a type of its own
    multiply: Callable[[torch.Tensor, Any], torch.Tensor]
    unpack: Callable[[Any], tuple[torch.Tensor, torch.Tensor]]


def _pack_fbgemm(whole: torch.Tensor, scale: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's plan to drop quantized tensors some day
        zeros = torch.zeros(len(whole), dtype=torch.long)
        weight = torch._make_per_channel_quantized_tensor(whole, scale.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(weight, None)


def _multiply_fbgemm(rows: torch.Tensor, packed: Any) -> torch.Tensor:
    # The scale of the input is 1 and its zero is 64: the kernel adds 64, and nothing is rounded or cut off.
    product: torch.Tensor = _linear(rows, 1.0, LARGEST + 1, packed)
    return product


def _unpack_fbgemm(packed: Any) -> tuple[torch.Tensor, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight, _ = torch.ops.quantized.linear_unpack(packed)
        return weight.int_repr(), weight.q_per_channel_scales().float()


_linear = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32


def _pack_plain(whole: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return whole.contiguous(), scale.float()


def _multiply_int_mm(rows: torch.Tensor, packed: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return torch._int_mm(rows.to(torch.int8), packed[0].t()).float().mul_(packed[1])


def _multiply_fp64(rows: torch.Tensor, packed: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    # Sums of whole numbers below 2**53 are exact in 64 bits, in any order.
    return (rows.double() @ packed[0].t().double()).float().mul_(packed[1])


FBGEMM = Kernel("fbgemm", _pack_fbgemm, _multiply_fbgemm, _unpack_fbgemm)
INT_MM = Kernel("int_mm", _pack_plain, _multiply_int_mm, lambda packed: packed)
FP64 = Kernel("fp64", _pack_plain, _multiply_fp64, lambda packed: packed)  # the reference, right on every processor
KERNELS = [FBGEMM, INT_MM, FP64]  # the fastest first


def kernel() -> Kernel:
    """Return the first of `KERNELS` that is exact on this processor; the others are named in the log."""
    with _lock:
        return _first_exact()


@functools.cache
def _first_exact() -> Kernel:
    for each in KERNELS:
        if is_exact(each):
            return each
        logger.warning(
            "int8: the kernel %s is not exact on this processor, or missing. The next one is used.", each.name
        )
    raise RuntimeError("No integer product is exact on this processor.")


@torch.inference_mode()
def is_exact(kernel: Kernel) -> bool:
    """Tell whether a kernel gives the exact products, by comparing them with products in 64-bit whole numbers.

    The largest weights and inputs come beside each other, all of one sign in some rows: they show a kernel that adds
    pairs in 16 bits and saturates. Shapes and numbers of rows are those that occur, among them odd ones.
    """
    generator = torch.Generator().manual_seed(0)
    try:
        for n_rows, n_in, n_out in ((2, 64, 64), (2, 768, 256), (6, 64, 259), (16, 577, 192), (34, 256, 320)):
            whole = torch.randint(-127, 128, (n_out, n_in), dtype=torch.int8, generator=generator)
            rows = torch.randint(-LARGEST, LARGEST + 1, (n_rows, n_in), generator=generator)
            whole[0], whole[1], rows[0], rows[1] = 127, -127, LARGEST, -LARGEST
            scale = torch.rand(n_out, generator=generator) + 0.01
            exact = (rows[:, None] * whole.long()).sum(dim=2).float() * scale
            if not torch.equal(kernel.multiply(rows.float(), kernel.pack(whole, scale)), exact):
                return False
    except (RuntimeError, NotImplementedError, AttributeError) as problem:  # no such kernel for this processor
        logger.info("int8: the kernel %s cannot be used: %s", kernel.name, problem)
        return False
    return True
