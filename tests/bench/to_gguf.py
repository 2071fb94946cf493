"""Conversion of a checkpoint of GPT-2 or Llama to a GGUF file with q8_0 weights, for llama.cpp.

``python to_gguf.py FOLDER FILE`` needs the packages gguf and numpy only, so it runs in the environment of llama.cpp.
"""

import json
import re
import sys
from pathlib import Path

import gguf
import numpy as np

GPT2 = {"ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
        "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}  # fmt: skip
LLAMA = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}  # fmt: skip
OTHERS = {"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
          "model.embed_tokens": "token_embd", "model.norm": "output_norm"}  # fmt: skip


def read(file: Path) -> dict[str, np.ndarray]:
    """Map the tensors of a safetensors file in fp32 into memory."""
    with open(file, "rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
    header.pop("__metadata__", None)
    if kinds := {told["dtype"] for told in header.values()} - {"F32"}:
        raise SystemExit(f"{file} holds {', '.join(kinds)}; only F32 is converted.")
    data = np.memmap(file, np.uint8, "r", offset=8 + size)
    return {
        name: data[slice(*told["data_offsets"])].view(np.float32).reshape(told["shape"])
        for name, told in header.items()
    }


def converted(name: str, values: np.ndarray, config: dict) -> tuple[str, np.ndarray]:
    """Return llama.cpp's name of a tensor, and its values in llama.cpp's order."""
    part, _, kind = name.rpartition(".")
    if found := re.fullmatch(r"(?:transformer\.h|model\.layers)\.(\d+)\.(.+)", part):
        number, part = found.groups()
        if part in ("self_attn.q_proj", "self_attn.k_proj"):  # the halves of a head are interleaved for the rotation
            heads = config["num_attention_heads" if part == "self_attn.q_proj" else "num_key_value_heads"]
            values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        if part in GPT2 and values.ndim == 2:
            values = values.T
        return f"blk.{number}.{(GPT2 | LLAMA)[part]}.{kind}", values
    return f"{OTHERS[part]}.{kind}", values


def main(folder: Path, target: Path) -> None:
    """Write the file; it has its name when it is whole."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    is_gpt2 = config["model_type"] == "gpt2"
    partial = target.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, "gpt2" if is_gpt2 else "llama")
    writer.add_context_length(config.get("n_positions") or config["max_position_embeddings"])
    writer.add_embedding_length(config.get("n_embd") or config["hidden_size"])
    writer.add_block_count(config.get("n_layer") or config["num_hidden_layers"])
    writer.add_feed_forward_length(4 * config["n_embd"] if is_gpt2 else config["intermediate_size"])
    writer.add_head_count(config.get("n_head") or config["num_attention_heads"])
    if is_gpt2:
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        rope = config.get("rope_parameters") or config
        writer.add_rope_freq_base(rope["rope_theta"])
    vocabulary = tokenizer["model"]["vocab"] | {each["content"]: each["id"] for each in tokenizer["added_tokens"]}
    names = {i: name for name, i in vocabulary.items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([names.get(i, f"<unused {i}>") for i in range(config["vocab_size"])])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([each if isinstance(each, str) else " ".join(each) for each in merges])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    q8 = gguf.GGMLQuantizationType.Q8_0
    for name, values in read(folder / "model.safetensors").items():
        new, values = converted(name, values, config)
        if values.ndim == 1 or new.startswith("position"):
            writer.add_tensor(new, np.ascontiguousarray(values))
        else:
            writer.add_tensor(new, gguf.quants.quantize(np.ascontiguousarray(values), q8), raw_dtype=q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
