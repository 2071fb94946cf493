"""Weights of a network: tensors by their names, and linear layers in fp32 or with 8-bit weights."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from course_utils.models.quantization.packed_linear import PackedLinear


class Linear(Protocol):
    """A linear layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x of shape (N, inputs) to (N, outputs)."""

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""


class DenseLinear:
    """A linear layer in fp32.

    Parameters
    ----------
    weight : torch.Tensor of shape (outputs, inputs)
    bias : torch.Tensor of shape (outputs,), optional

    Notes
    -----
    The weight is kept as (inputs, outputs). One row is multiplied by it in about 0.6 of the time that it takes for
    (outputs, inputs), measured with 50,000 outputs on one core.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.columns = weight.detach().t().clone(memory_format=torch.contiguous_format)
        self.bias = None if bias is None else bias.detach().clone()

    @property
    def nbytes(self) -> int:
        """The memory that weight and bias take."""
        return self.columns.nbytes + (0 if self.bias is None else self.bias.nbytes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x of shape (N, inputs) to (N, outputs)."""
        return x @ self.columns if self.bias is None else torch.addmm(self.bias, x, self.columns)


class Weights(Protocol):
    """Where a network takes its weights from, one after the other, each once. Names are those of transformers."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor in fp32, in memory of its own."""

    def embedding(self, name: str) -> torch.Tensor:
        """Return an embedding of shape (tokens, width), in fp32, or in fp16 beside 8-bit weights."""

    def linear(self, names: Sequence[str], is_transposed: bool = False) -> Linear:
        """Return one layer with the outputs of several, which have the same input.

        Parameters
        ----------
        names : sequence of str
            Of layers, without ``.weight`` and ``.bias``.
        is_transposed : bool
            Whether the weights lie as (inputs, outputs), as those of GPT-2 do.
        """


class StateWeights:
    """Weights of a state dict.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
    precision : {"fp32", "int8"}
    """

    def __init__(self, state: Mapping[str, torch.Tensor], precision: str) -> None:
        self._state, self._precision = state, precision

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor in fp32, in memory of its own."""
        return self._state[name].detach().float().clone()

    def embedding(self, name: str) -> torch.Tensor:
        """Return an embedding of shape (tokens, width), in fp32, or in fp16 beside 8-bit weights."""
        return self.tensor(name) if self._precision == "fp32" else self._state[name].detach().half()

    def linear(self, names: Sequence[str], is_transposed: bool = False) -> Linear:
        """Return one layer with the outputs of several; see `Weights`."""
        parts = [self._state[f"{name}.weight"].detach().float() for name in names]
        parts = [part.t() for part in parts] if is_transposed else parts
        weight = parts[0] if len(parts) == 1 else torch.cat(parts)
        biases = [self._state[f"{name}.bias"].float() for name in names if f"{name}.bias" in self._state]
        bias = torch.cat(biases) if biases else None
        return DenseLinear(weight, bias) if self._precision == "fp32" else PackedLinear.from_weight(weight, bias)
