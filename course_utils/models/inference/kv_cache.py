"""Key-value cache with a slot for each text of a batch: no text sees the cache of another one."""

import copy
import threading
import weakref
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ROW_BY_ROW = "row by row"
GROWTH = 64  # tokens: the least that a slot grows at once
TRIED = ("gpt2", "llama")  # kinds of networks that the tests compare with transformers all the time
MOST_KEPT = 128_000_000  # bytes of texts that were stopped, so that they go on at once

_kinds: weakref.WeakKeyDictionary[PreTrainedModel, "type[Slot] | type[PlainSlot]"] = (
    weakref.WeakKeyDictionary()
)  # of each prepared network
_lock = threading.Lock()


class Slot:
    """The keys and values of one text, with room to grow.

    Parameters
    ----------
    read : DynamicCache
        Of one row: what the network remembers of the prompt. It is copied, so several slots can begin with the same.
    """

    def __init__(self, read: DynamicCache) -> None:
        self.length = read.get_seq_length()
        self._layers = [torch.stack(keys_and_values(layer)) for layer in read.layers]  # each (2, 1, H, T, D)
        self._grow()

    def make_room(self) -> None:
        """See to it that one more token fits."""
        if self.length == self._layers[0].shape[3]:
            self._grow()

    def put(self, layer: int, both: torch.Tensor) -> torch.Tensor:
        """Write the next token's key and value, of shape (2, 1, H, 1, D); return all of them so far."""
        kept = self._layers[layer]
        kept[:, :, :, self.length : self.length + 1] = both
        return kept[:, :, :, : self.length + 1]

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return sum(kept.nbytes for kept in self._layers)

    def _grow(self) -> None:
        more = max(GROWTH, self.length // 2)
        self._layers = [torch.nn.functional.pad(kept, (0, 0, 0, more)) for kept in self._layers]


def keys_and_values(layer: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what one layer of a cache holds: keys and values, each of shape (B, H, T, D)."""
    filled = cast(DynamicLayer, layer)
    if filled.keys is None or filled.values is None:
        raise ValueError("The cache is empty: read a prompt first.")
    return filled.keys, filled.values


class PlainSlot:
    """The cache of one text, for networks that cannot work with `Slots`: each text goes through them by itself.

    Parameters
    ----------
    read : DynamicCache
        As of `Slot`.
    """

    def __init__(self, read: DynamicCache) -> None:
        self.cache, self.length = copy.deepcopy(read), read.get_seq_length()


class Kept:
    """The slots of texts that were stopped lately; the oldest go first when they take too much memory."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most, self._lock = most, threading.Lock()
        self._texts: list[tuple[tuple[int, ...], list[int], Slot]] = []

    def put(self, prompt: list[int], written: list[int], slot: Slot | PlainSlot) -> None:
        """Keep a slot that holds a prompt, read at once, and what was written after it, one token at a time."""
        if isinstance(slot, PlainSlot):  # it cannot be cut back to an earlier token
            return
        with self._lock:
            self._texts.append((tuple(prompt), list(written), slot))
            while self._texts and sum(slot.nbytes for _, _, slot in self._texts) > self._most:
                del self._texts[0]

    def take(self, prompt: list[int], written: list[int]) -> Slot | None:
        """Return the slot that holds most of a text, cut back to what is the same, but never the whole text.

        At least one token is left to be fed, which gives the logits for the next one.
        """
        with self._lock:
            found = [(_n_same(its, written), i) for i, (its_prompt, its, _) in enumerate(self._texts)
                     if its_prompt == tuple(prompt)]  # fmt: skip
            n_same, place = max(found, default=(0, -1))
            if place < 0 or not written:
                return None
            slot = self._texts.pop(place)[2]
        slot.length = len(prompt) + min(n_same, len(written) - 1)
        return slot


def _n_same(one: list[int], other: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Slots(Cache):
    """The slots of all texts in a batch, as a cache that the network can use for one more token of each.

    Parameters
    ----------
    slots : list of Slot
        One a row of the batch.
    """

    def __init__(self, slots: list[Slot]) -> None:
        super().__init__(layers=[])
        self._slots = slots

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> Any:
        """Write each row's key and value, of shape (B, H, 1, D), into its own slot; return what each row sees.

        Returns
        -------
        tuple of two lists of torch.Tensor
            Keys and values of each row. Other caches return two tensors: only `attend_row_by_row` takes lists.
        """
        both = torch.stack((key_states, value_states))
        seen = [slot.put(layer_idx, both[:, i : i + 1]) for i, slot in enumerate(self._slots)]
        return [kept[0] for kept in seen], [kept[1] for kept in seen]


def attend_row_by_row(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor | list[torch.Tensor],
    value: torch.Tensor | list[torch.Tensor],
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Let each row look at its own past only; where there are no slots, attend as transformers does.

    Nothing is filled up and nothing is masked: a row meets the very operations that it would meet alone, and at the
    lengths of a lesson that costs no more than one operation over all rows.
    """
    if isinstance(key, torch.Tensor) and isinstance(value, torch.Tensor):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    shares = getattr(module, "num_key_value_groups", 1) > 1  # several heads of the query to one of the keys
    attended = [
        scaled_dot_product_attention(*row, scale=kwargs.get("scaling"), enable_gqa=shares)
        for row in zip(query.split(1), key, value, strict=True)
    ]
    return torch.cat(attended).transpose(1, 2).contiguous(), None


def prepare(network: PreTrainedModel) -> type[Slot] | type[PlainSlot]:
    """Let a network work with `Slots`, if it can; everything else it does as before.

    Returns
    -------
    type
        Which kind of slot its texts need.
    """
    with _lock:
        if network not in _kinds:
            _kinds[network] = _kind_for(network)
        return _kinds[network]


def _kind_for(network: PreTrainedModel) -> type[Slot] | type[PlainSlot]:
    AttentionInterface.register(ROW_BY_ROW, attend_row_by_row)
    AttentionMaskInterface.register(ROW_BY_ROW, sdpa_mask)
    if network.config.model_type in TRIED:
        network.set_attn_implementation(ROW_BY_ROW)
        return Slot
    before = network.config._attn_implementation
    n_vocabulary = network.get_input_embeddings().get_parameter("weight").shape[0]
    ids = [(1 + place * 7919) % n_vocabulary for place in range(8)]
    try:
        read = DynamicCache(config=network.config)
        with torch.inference_mode():
            network(torch.tensor([ids[:-1]], device=network.device), past_key_values=read, use_cache=True)
        expected = next_logits(network, [PlainSlot(read)], ids[-1:])
        if before != "sdpa" or any(type(layer) is not DynamicLayer for layer in read.layers):
            return PlainSlot  # attention of its own, or a cache that forgets what is far back
        network.set_attn_implementation(ROW_BY_ROW)
        found = next_logits(network, [Slot(read), Slot(read)], ids[-1:] * 2)
        if (found - expected).norm() <= 1e-3 * found.norm():
            return Slot
    except Exception:  # noqa: S110  whatever a network of an unknown kind does not take
        pass
    network.set_attn_implementation(before)
    return PlainSlot


@torch.inference_mode()
def next_logits(network: PreTrainedModel, slots: Sequence[Slot | PlainSlot], ids: list[int]) -> torch.Tensor:
    """Feed every row one token; return the logits for its next, of shape (B, V), in fp32.

    Rows may be of any length. They leave and join between two calls. Their slots are all of the kind that `prepare`
    returned for the network.
    """
    device = network.device
    growing = [slot for slot in slots if isinstance(slot, Slot)]
    if len(growing) < len(slots):
        rows = [_next_logits_alone(network, slot, token_id) for slot, token_id in zip(slots, ids, strict=True)]
        return torch.cat(rows)
    for slot in growing:
        slot.make_room()
    out = network(
        torch.tensor([[token_id] for token_id in ids], device=device),
        position_ids=torch.tensor([[slot.length] for slot in growing], device=device),
        attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),  # any: the slots know what is seen
        past_key_values=Slots(growing),
        use_cache=True,
        logits_to_keep=1,
    )
    for slot in growing:
        slot.length += 1
    return cast(torch.Tensor, out.logits[:, -1].float())


def _next_logits_alone(network: PreTrainedModel, slot: Slot | PlainSlot, token_id: int) -> torch.Tensor:
    """Feed one row of a network that cannot work with `Slots`; return its logits, of shape (1, V), in fp32."""
    if not isinstance(slot, PlainSlot):
        raise TypeError("The slots of one batch are of different kinds.")
    out = network(torch.tensor([[token_id]], device=network.device), past_key_values=slot.cache, use_cache=True)
    slot.length += 1
    return cast(torch.Tensor, out.logits[:, -1].float())
