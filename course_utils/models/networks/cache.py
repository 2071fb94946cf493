"""Key-value cache of one text, allocated ahead, which attention reads in place."""

from typing import Protocol

import torch

GROWTH = 64  # tokens: the least that a cache grows at once


class Cache(Protocol):
    """What a network remembers of one text.

    Attributes
    ----------
    length : int
        Tokens that were read.
    nbytes : int
        The memory that it takes.
    can_be_cut : bool
        Whether `length` may be set back, so that the text goes on from an earlier token.
    """

    length: int
    can_be_cut: bool

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""

    def copy(self) -> "Cache":
        """Return a cache of its own with the same content, for another text with the same beginning."""


class KeyValueCache:
    """Keys and values of one text, with room to grow.

    Parameters
    ----------
    n_layers, n_heads, head_size : int
        ``n_heads`` counts the heads of keys, which several heads of queries may share.
    device : torch.device

    Attributes
    ----------
    layers : list of torch.Tensor
        One a layer, of shape (2, 1, heads, tokens, head size): keys, then values. Tokens from `length` on are room.
    """

    can_be_cut = True

    def __init__(self, n_layers: int, n_heads: int, head_size: int, device: torch.device) -> None:
        self.length = 0
        self.layers = [torch.empty(2, 1, n_heads, 0, head_size, device=device) for _ in range(n_layers)]

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return sum(layer.nbytes for layer in self.layers)

    def make_room(self, n_tokens: int) -> None:
        """See to it that so many more tokens fit.

        It grows by half, so that the copies that growth needs cost little for each token.
        """
        if self.length + n_tokens > self.layers[0].shape[3]:
            self.layers = self._grown(self.length + max(n_tokens, self.length // 2) + GROWTH)

    def copy(self) -> "KeyValueCache":
        """Return a cache of its own with the same content and room for some tokens."""
        other = object.__new__(KeyValueCache)
        other.length, other.layers = self.length, self._grown(self.length + GROWTH)
        return other

    def _grown(self, n_tokens: int) -> list[torch.Tensor]:
        grown = []
        for old in self.layers:
            new = old.new_empty(*old.shape[:3], n_tokens, old.shape[4])
            new[:, :, :, : self.length] = old[:, :, :, : self.length]
            grown.append(new)
        return grown
