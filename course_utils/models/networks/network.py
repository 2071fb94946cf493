"""Network protocol, and the parts that GPT-2 and Llama share: attention over the cache, reading, one step."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from course_utils.models.networks.cache import Cache, KeyValueCache
from course_utils.models.networks.weights import Linear

Config: TypeAlias = Mapping[str, Any]  # the content of config.json
Attend: TypeAlias = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class Network(Protocol):
    """A decoder that reads tokens of texts and gives logits for the next one.

    Attributes
    ----------
    vocab_size : int
        How many logits there are.
    n_parameters : int
    nbytes : int
        The memory that all weights take.
    is_batched : bool
        Whether `step` reads its weights once for all texts.
    """

    vocab_size: int
    n_parameters: int
    is_batched: bool

    @property
    def nbytes(self) -> int:
        """The memory that all weights take."""

    def new_cache(self) -> Cache:
        """Return an empty cache for one text."""

    def read(self, ids: torch.Tensor, cache: Cache, all_logits: bool = False) -> torch.Tensor:
        """Read tokens of one text, of shape (1, T); return logits, fp32, of shape (1, V) or, all of them, (T, V)."""

    def step(self, ids: Sequence[int], caches: Sequence[Cache]) -> torch.Tensor:
        """Read one token of each text; return logits, fp32, of shape (B, V). Texts may be of different lengths."""

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """Read texts of shape (B, T) without a cache; return what goes into the output layer, (B, T, D)."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the output layer to rows of shape (N, D)."""


class Decoder(abc.ABC):
    """A decoder of a known architecture.

    A row of the batch meets the same operations as it would meet alone: all but attention work on each row by itself,
    and attention runs row by row over each text's own cache, where nothing is filled up and nothing is masked.

    Parameters
    ----------
    n_layers, n_heads, n_key_heads, head_size : int
    device : torch.device
    """

    is_batched = True
    vocab_size: int
    n_parameters: int
    output: Linear

    def __init__(self, n_layers: int, n_heads: int, n_key_heads: int, head_size: int, device: torch.device) -> None:
        self.n_layers, self.n_heads, self.n_key_heads, self.head_size = n_layers, n_heads, n_key_heads, head_size
        self.device = device
        self.n_parameters = 0

    @abc.abstractmethod
    def _forward(self, ids: torch.Tensor, places: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Run all layers over tokens of shape (N,) at their places in their texts; return (N, D) after the last norm.

        ``attend(layer, q, k, v)`` takes rows of shape (N, heads * head size) and returns such rows.
        """

    @property
    def nbytes(self) -> int:
        """The memory that all weights take, each counted once."""
        seen: dict[int, int] = {}
        waiting: list[object] = [vars(self)]
        while waiting:
            each = waiting.pop()
            if isinstance(each, torch.Tensor):
                seen[each.data_ptr()] = each.nbytes
            elif isinstance(each, dict):
                waiting += each.values()
            elif isinstance(each, list | tuple):
                waiting += each
            elif hasattr(each, "forward") and hasattr(each, "nbytes"):
                seen[id(each)] = each.nbytes
        return sum(seen.values())

    def new_cache(self) -> KeyValueCache:
        """Return an empty cache for one text."""
        return KeyValueCache(self.n_layers, self.n_key_heads, self.head_size, self.device)

    @torch.inference_mode()
    def read(self, ids: torch.Tensor, cache: Cache, all_logits: bool = False) -> torch.Tensor:
        """Read tokens of one text, of shape (1, T); return logits, fp32, of shape (1, V) or, all of them, (T, V)."""
        kept, n_new = cast(KeyValueCache, cache), ids.shape[1]
        kept.make_room(n_new)
        begin, end = kept.length, kept.length + n_new
        # Every token sees those before it: in a later chunk of a text also the whole cache.
        mask = None
        if begin and n_new > 1:
            mask = torch.ones(n_new, end, dtype=torch.bool, device=self.device).tril_(begin)

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            held = kept.layers[layer]
            held[0, 0, :, begin:end] = k.view(n_new, -1, self.head_size).transpose(0, 1)
            held[1, 0, :, begin:end] = v.view(n_new, -1, self.head_size).transpose(0, 1)
            queries = q.reshape(1, n_new, self.n_heads, self.head_size).transpose(1, 2)
            attended = scaled_dot_product_attention(
                queries,
                held[0, :, :, :end],
                held[1, :, :, :end],
                attn_mask=mask,
                is_causal=mask is None and n_new > 1,
                scale=self._scale(layer),
                enable_gqa=self.n_heads != self.n_key_heads,
            )
            return attended.transpose(1, 2).reshape(n_new, -1)

        hidden = self._forward(ids[0], torch.arange(begin, end, device=self.device), attend)
        kept.length = end
        return self.logits(hidden if all_logits else hidden[-1:])

    @torch.inference_mode()
    def step(self, ids: Sequence[int], caches: Sequence[Cache]) -> torch.Tensor:
        """Read one token of each text; return logits, fp32, of shape (B, V). Texts may be of different lengths."""
        kept = cast(Sequence[KeyValueCache], caches)
        for each in kept:
            each.make_room(1)
        lengths = [each.length for each in kept]
        n_texts, n_keys, size = len(ids), self.n_key_heads, self.head_size

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            # Heads of queries that share a head of keys stand beside each other, like several tokens of one head.
            queries = q.reshape(n_texts, 1, n_keys, -1, size).unbind()
            keys, values = k.view(n_texts, n_keys, size).unbind(), v.view(n_texts, n_keys, size).unbind()
            scale, attended = self._scale(layer), []
            for i, length in enumerate(lengths):
                held = kept[i].layers[layer]
                its_keys, its_values = held.narrow(3, 0, length + 1).unbind()
                its_keys.select(2, length).copy_(keys[i])
                its_values.select(2, length).copy_(values[i])
                row = scaled_dot_product_attention(queries[i], its_keys, its_values, scale=scale)
                attended.append(row.reshape(1, -1))
            return attended[0] if n_texts == 1 else torch.cat(attended)

        tokens = torch.tensor(ids, device=self.device)
        logits = self.logits(self._forward(tokens, torch.tensor(lengths, device=self.device), attend))
        for each in kept:
            each.length += 1
        return logits

    @torch.inference_mode()
    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """Read texts of shape (B, T) without a cache; return what goes into the output layer, (B, T, D)."""
        n_texts, n_tokens = ids.shape

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            q, k, v = (each.reshape(n_texts, n_tokens, -1, self.head_size).transpose(1, 2) for each in (q, k, v))
            attended = scaled_dot_product_attention(
                q, k, v, is_causal=True, scale=self._scale(layer), enable_gqa=self.n_heads != self.n_key_heads
            )
            return attended.transpose(1, 2).reshape(n_texts * n_tokens, -1)

        places = torch.arange(n_tokens, device=self.device).repeat(n_texts)
        return self._forward(ids.flatten(), places, attend).view(n_texts, n_tokens, -1)

    @torch.inference_mode()
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the output layer to rows of shape (N, D)."""
        return self.output.forward(hidden)

    def _scale(self, layer: int) -> float:
        return float(self.head_size**-0.5)
