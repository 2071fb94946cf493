"""Llama's forward pass (Touvron et al. 2023), which SmolLM2 shares."""

import torch
from torch.nn.functional import embedding, rms_norm, silu

from course_utils.models.networks.network import Attend, Config, Decoder
from course_utils.models.networks.weights import Weights


def is_known(config: Config) -> bool:
    """Tell whether `Llama` computes the variant that a config describes: rotary embeddings that are not rescaled."""
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return (
        config.get("model_type") == "llama"
        and config.get("hidden_act", "silu") in ("silu", "swish")
        and rotary.get("rope_type", rotary.get("type", "default")) == "default"
        and rotary.get("partial_rotary_factor", 1.0) == 1.0
        and config["num_attention_heads"] % (config.get("num_key_value_heads") or config["num_attention_heads"]) == 0
    )


class Llama(Decoder):
    """Llama.

    Parameters
    ----------
    config : mapping
    weights : Weights
    device : torch.device
    """

    def __init__(self, config: Config, weights: Weights, device: torch.device) -> None:
        n_layers, width, n_heads = (config[key] for key in ("num_hidden_layers", "hidden_size", "num_attention_heads"))
        n_key_heads = config.get("num_key_value_heads") or n_heads
        super().__init__(n_layers, n_heads, n_key_heads, config.get("head_dim") or width // n_heads, device)
        self._eps, self._shape = config.get("rms_norm_eps", 1e-6), (width,)
        rotary = config.get("rope_parameters") or {}
        theta = rotary.get("rope_theta") or config.get("rope_theta") or 10000.0
        # On the CPU and then moved: sine and cosine are the same numbers on every device.
        steps = torch.arange(0, self.head_size, 2, dtype=torch.float) / self.head_size
        angles = torch.arange(config.get("max_position_embeddings", 2048)).float()[:, None] / theta**steps
        # For roll in place of rotate_half: the first half of the sine has the other sign.
        self._cosine = torch.cat([angles.cos(), angles.cos()], dim=1)[:, None].to(device)
        self._sine = torch.cat([-angles.sin(), angles.sin()], dim=1)[:, None].to(device)
        self.token_embedding = weights.embedding("model.embed_tokens.weight")
        self.blocks = []
        for layer in range(n_layers):
            name = f"model.layers.{layer}"
            norms = [weights.tensor(f"{name}.{each}_layernorm.weight") for each in ("input", "post_attention")]
            linears = [
                weights.linear([f"{name}.{each}" for each in group])
                for group in (
                    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
                    ("self_attn.o_proj",),
                    ("mlp.gate_proj", "mlp.up_proj"),
                    ("mlp.down_proj",),
                )
            ]
            self.blocks.append((norms, linears))
        self.final_norm = weights.tensor("model.norm.weight")
        is_tied = config.get("tie_word_embeddings", False)
        self.output = weights.linear(["model.embed_tokens" if is_tied else "lm_head"])
        self.vocab_size = len(self.token_embedding)

    def _forward(self, ids: torch.Tensor, places: torch.Tensor, attend: Attend) -> torch.Tensor:
        x = embedding(ids, self.token_embedding).float()
        cosine, sine = self._cosine[places], self._sine[places]  # (N, 1, head size)
        n_rows, size, half = len(x), self.head_size, self.head_size // 2
        n_query, n_key = self.n_heads * size, self.n_key_heads * size
        for layer, ((norm_1, norm_2), (qkv, project, gate_up, down)) in enumerate(self.blocks):
            rows = qkv.forward(rms_norm(x, self._shape, norm_1, self._eps))
            both, v = rows.split((n_query + n_key, n_key), dim=1)
            heads = both.view(n_rows, -1, size)
            turned = torch.addcmul(heads * cosine, heads.roll(half, 2), sine).view(n_rows, -1)
            q, k = turned.split((n_query, n_key), dim=1)
            x += project.forward(attend(layer, q, k, v.contiguous()))
            gate, up = gate_up.forward(rms_norm(x, self._shape, norm_2, self._eps)).chunk(2, dim=1)
            x += down.forward(silu(gate).mul_(up))
        return rms_norm(x, self._shape, self.final_norm, self._eps)
