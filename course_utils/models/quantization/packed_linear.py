"""Packed linear layer: 8-bit weights on a fast integer kernel, activations of 14 bits, exact sums."""

from typing import Any

import torch

from course_utils.models.quantization.integer_product import LARGEST, kernel

BLOCK = 1 << 17  # weights rounded at a time: they stay in the processor's cache, which halves the time to load
FINE = 2 * LARGEST  # fine steps in a coarse one


class PackedLinear(torch.nn.Module):
    """A linear layer whose weights are whole numbers from -127 to 127, with one scale for each output.

    Parameters
    ----------
    whole : torch.Tensor of shape (outputs, inputs), int8
    scale : torch.Tensor of shape (outputs,)
    bias : torch.Tensor of shape (outputs,), optional

    Notes
    -----
    Each row x of activations is written as two rows of whole numbers, coarse and fine, so that
    ``x = unit * (coarse + fine / 126)`` to 14 bits. The kernel reads the weights once for both, which takes most of the
    time, so two rows cost what one costs. Seven bits a row are exact with and without VNNI. The sums of whole numbers
    are exact, and every row has a unit of its own: a row's result does not depend on the other rows of its batch.
    """

    def __init__(self, whole: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = whole.shape
        self._kernel = kernel()
        self._packed: Any = self._kernel.pack(whole, scale)
        self._multiply = self._kernel.multiply
        bias = torch.zeros(len(whole)) if bias is None else bias.detach().float().clone()
        self.bias: torch.Tensor = torch.nn.Buffer(bias)

    @classmethod
    def from_whole(cls, whole: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> "PackedLinear":
        """Return a layer of weights that are whole numbers already, such as those of a file."""
        return cls(whole, scale, bias)

    @classmethod
    def from_weight(cls, weight: torch.Tensor, bias: torch.Tensor | None = None) -> "PackedLinear":
        """Return a layer of fp32 weights of shape (outputs, inputs), which are rounded."""
        return cls(*to_whole_numbers(weight), bias)

    @property
    def nbytes(self) -> int:
        """The memory that the weights, their scales and the bias take."""
        return self.out_features * (self.in_features + 8) + self.bias.nbytes

    def whole_and_scale(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights, of shape (outputs, inputs), int8, and the scale of each output, as they were given."""
        return self._kernel.unpack(self._packed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x of shape (..., inputs), fp32, to (..., outputs)."""
        if x.dim() != 2:
            return self.forward(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)
        x, n_rows = x.float(), len(x)  # also where attention ran in 16 bits
        unit = torch.linalg.vector_norm(x, torch.inf, 1, keepdim=True).clamp_(min=1e-12).div_(LARGEST)
        exact = torch.div(x, unit)
        whole = torch.empty(2, n_rows, self.in_features)
        coarse, fine = whole.unbind()
        torch.round(exact, out=coarse)
        torch.sub(exact, coarse, out=fine).mul_(FINE).round_()
        both = self._multiply(whole.view(2 * n_rows, self.in_features), self._packed)
        return torch.addcmul(self.bias, torch.add(both[:n_rows], both[n_rows:], alpha=1 / FINE), unit)


@torch.no_grad()
def to_whole_numbers(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round each row to whole numbers from -127 to 127; return them and the size of one step of each row.

    Parameters
    ----------
    weight : torch.Tensor of shape (outputs, inputs)
    """
    whole, scale = torch.empty(weight.shape, dtype=torch.int8), torch.empty(len(weight))
    n_rows = max(1, BLOCK // weight.shape[1])
    for start in range(0, len(weight), n_rows):
        rows = weight[start : start + n_rows].contiguous()
        step = rows.abs().amax(dim=1).clamp_(min=1e-12) / 127
        whole[start : start + n_rows] = rows.div(step[:, None]).round_()
        scale[start : start + n_rows] = step
    return whole, scale
