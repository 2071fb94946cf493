"""GPT-2's forward pass (Radford et al. 2019)."""

import torch
from torch.nn.functional import embedding, gelu, layer_norm

from course_utils.models.networks.network import Attend, Config, Decoder
from course_utils.models.networks.weights import Weights

BLOCK = 64  # numbers: a multiple of the blocks on all processors
ONE_THREAD = 32768  # numbers that PyTorch gives to one thread


def is_known(config: Config) -> bool:
    """Tell whether `GPT2` computes the variant that a config describes."""
    return (
        config.get("model_type") == "gpt2"
        and config.get("activation_function", "gelu_new") in ("gelu_new", "gelu_pytorch_tanh")
        and not config.get("add_cross_attention", False)
        and not config.get("reorder_and_upcast_attn", False)
        and config["n_embd"] % config["n_head"] == 0
    )


class GPT2(Decoder):
    """GPT-2.

    Parameters
    ----------
    config : mapping
    weights : Weights
    device : torch.device
    """

    def __init__(self, config: Config, weights: Weights, device: torch.device) -> None:
        n_layers, width, n_heads = config["n_layer"], config["n_embd"], config["n_head"]
        super().__init__(n_layers, n_heads, n_heads, width // n_heads, device)
        self._eps, self._shape = config.get("layer_norm_epsilon", 1e-5), (width,)
        self._scales = [1.0] * n_layers
        if config.get("scale_attn_weights", True):
            self._scales = [self.head_size**-0.5] * n_layers
        if config.get("scale_attn_by_inverse_layer_idx", False):
            self._scales = [scale / (layer + 1) for layer, scale in enumerate(self._scales)]
        self.token_embedding = weights.embedding("transformer.wte.weight")
        self.place_embedding = weights.tensor("transformer.wpe.weight")
        self.blocks = []
        for layer in range(n_layers):
            name = f"transformer.h.{layer}"
            norms = [
                weights.tensor(f"{name}.{each}") for each in ("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias")
            ]
            linears = [
                weights.linear([f"{name}.{each}"], is_transposed=True)
                for each in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
            ]
            self.blocks.append((norms, linears))
        self.final_norm = weights.tensor("transformer.ln_f.weight"), weights.tensor("transformer.ln_f.bias")
        is_tied = config.get("tie_word_embeddings", True)
        self.output = weights.linear(["transformer.wte" if is_tied else "lm_head"])
        self.vocab_size = len(self.token_embedding)

    def _forward(self, ids: torch.Tensor, places: torch.Tensor, attend: Attend) -> torch.Tensor:
        x = embedding(ids, self.token_embedding) + embedding(places, self.place_embedding)
        for layer, ((weight_1, bias_1, weight_2, bias_2), (qkv, project, up, down)) in enumerate(self.blocks):
            q, k, v = qkv.forward(layer_norm(x, self._shape, weight_1, bias_1, self._eps)).split(self._shape[0], dim=1)
            x += project.forward(attend(layer, q, k, v))
            inner = up.forward(layer_norm(x, self._shape, weight_2, bias_2, self._eps))
            x += down.forward(_activated(inner))
        return layer_norm(x, self._shape, *self.final_norm, self._eps)

    def _scale(self, layer: int) -> float:
        return self._scales[layer]


def _activated(x: torch.Tensor) -> torch.Tensor:
    """Apply GELU to rows so that each gives the same numbers as it would alone.

    PyTorch computes numbers in blocks and what is left over in another way, which differs in the last digit. Rows of
    whole blocks, few enough for one thread, have nothing left over; others are computed one by one.
    """
    if len(x) == 1 or (x.shape[1] % BLOCK == 0 and x.numel() <= ONE_THREAD):
        return gelu(x, approximate="tanh")
    return torch.cat([gelu(row, approximate="tanh") for row in x.split(1)])
