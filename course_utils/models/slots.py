"""A place of its own for every text in a batch: what the network remembers of it, apart from all others."""

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ROW_BY_ROW = "row by row"
GROWTH = 64  # tokens: the least that a slot grows at once


class Slot:
    """The keys and values of one text, with room to grow.

    Parameters
    ----------
    read : DynamicCache
        Of one row: what the network remembers of the prompt. It is copied, so several slots can begin with the same.
    """

    def __init__(self, read: DynamicCache) -> None:
        self.length = read.get_seq_length()
        self._layers = [torch.stack((layer.keys, layer.values)) for layer in read.layers]  # each (2, 1, H, T, D)
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

    def _grow(self) -> None:
        more = max(GROWTH, self.length // 2)
        self._layers = [torch.nn.functional.pad(kept, (0, 0, 0, more)) for kept in self._layers]


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

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer: int, *args, **kwargs) -> tuple[list, list]:
        """Write each row's key and value, of shape (B, H, 1, D), into its own slot; return what each row sees."""
        both = torch.stack((keys, values))
        seen = [slot.put(layer, both[:, i : i + 1]) for i, slot in enumerate(self._slots)]
        return [kept[0] for kept in seen], [kept[1] for kept in seen]


def attend_row_by_row(module, query, key, value, attention_mask, **kwargs) -> tuple[torch.Tensor, None]:
    """Let each row look at its own past only; where there are no slots, attend as transformers does.

    Nothing is filled up and nothing is masked: a row meets the very operations that it would meet alone, and at the
    lengths of a lesson that costs no more than one operation over all rows.
    """
    if not isinstance(key, list):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    shares = getattr(module, "num_key_value_groups", 1) > 1  # several heads of the query to one of the keys
    attended = [
        scaled_dot_product_attention(*row, scale=kwargs.get("scaling"), enable_gqa=shares)
        for row in zip(query.split(1), key, value, strict=True)
    ]
    return torch.cat(attended).transpose(1, 2).contiguous(), None


def prepare(network: torch.nn.Module) -> None:
    """Let a network work with `Slots`; everything else it does as before."""
    AttentionInterface.register(ROW_BY_ROW, attend_row_by_row)
    AttentionMaskInterface.register(ROW_BY_ROW, sdpa_mask)
    network.set_attn_implementation(ROW_BY_ROW)


@torch.inference_mode()
def next_logits(network: torch.nn.Module, slots: list[Slot], ids: list[int]) -> torch.Tensor:
    """Feed every row its last token; return the logits for its next, of shape (B, V), in fp32.

    Rows may be of any length. They leave and join between two calls.
    """
    device = network.device
    for slot in slots:
        slot.make_room()
    out = network(
        torch.tensor([[token_id] for token_id in ids], device=device),
        position_ids=torch.tensor([[slot.length] for slot in slots], device=device),
        attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),  # any: the slots know what is seen
        past_key_values=Slots(slots),
        use_cache=True,
        logits_to_keep=1,
    )
    for slot in slots:
        slot.length += 1
    return out.logits[:, -1].float()
