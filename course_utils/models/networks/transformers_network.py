"""Networks of transformers, for architectures without a forward pass in the course: each text by itself."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from transformers import DynamicCache, PreTrainedModel

from course_utils.models.networks.cache import Cache
from course_utils.models.quantization.packed_linear import PackedLinear


class TransformersCache:
    """The cache of one text in a network of transformers.

    Parameters
    ----------
    cache : transformers.DynamicCache
    length : int
    """

    can_be_cut = False  # some of these caches forget what is far back

    def __init__(self, cache: DynamicCache, length: int = 0) -> None:
        self.cache, self.length = cache, length

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        held = [getattr(layer, name, None) for layer in self.cache.layers for name in ("keys", "values")]
        return sum(each.nbytes for each in held if each is not None)

    def copy(self) -> "TransformersCache":
        """Return a cache of its own with the same content."""
        return TransformersCache(copy.deepcopy(self.cache), self.length)


class TransformersNetwork:
    """A network of transformers behind the protocol `course_utils.models.networks.network.Network`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    """

    is_batched = False

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.vocab_size, self.n_parameters = model, model.config.vocab_size, model.num_parameters()

    @property
    def nbytes(self) -> int:
        """The memory that all weights take, each counted once."""
        packed = sum(each.nbytes for each in self.model.modules() if isinstance(each, PackedLinear))
        tensors = {each.data_ptr(): each.nbytes for each in (*self.model.parameters(), *self.model.buffers())}
        return packed + sum(tensors.values())

    def new_cache(self) -> TransformersCache:
        """Return an empty cache for one text."""
        return TransformersCache(DynamicCache(config=self.model.config))

    @torch.inference_mode()
    def read(self, ids: torch.Tensor, cache: Cache, all_logits: bool = False) -> torch.Tensor:
        """Read tokens of one text, of shape (1, T); return logits, fp32, of shape (1, V) or, all of them, (T, V)."""
        kept, n_logits = cast(TransformersCache, cache), {} if all_logits else {"logits_to_keep": 1}
        logits = self.model(ids, past_key_values=kept.cache, use_cache=True, **n_logits).logits[0]
        kept.length += ids.shape[1]
        return cast(torch.Tensor, logits if all_logits else logits[-1:]).float()

    def step(self, ids: Sequence[int], caches: Sequence[Cache]) -> torch.Tensor:
        """Read one token of each text, one text after the other; return logits, fp32, of shape (B, V)."""
        device = self.model.device
        rows = [
            self.read(torch.tensor([[token]], device=device), cache) for token, cache in zip(ids, caches, strict=True)
        ]
        return torch.cat(rows)

    @torch.inference_mode()
    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """Read texts of shape (B, T) without a cache; return what goes into the output layer, (B, T, D)."""
        return cast(torch.Tensor, self.model.base_model(ids, use_cache=False).last_hidden_state)

    @torch.inference_mode()
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the output layer to rows of shape (N, D)."""
        return cast(torch.Tensor, self.model.get_output_embeddings()(hidden)).float()
