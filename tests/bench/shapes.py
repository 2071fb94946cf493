"""Checkpoints with the true shapes of GPT-2 and random weights, for measurements of speed and memory.

They lie in the folder ``bench`` of the course's cache, are made when they are missing, and can be deleted.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SHAPES = {"124M": (12, 12, 768), "355M": (24, 16, 1024), "774M": (36, 20, 1280), "1558M": (48, 25, 1600)}
N_VOCABULARY, N_CONTEXT = 50257, 1024


def tensors(n_layers: int, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape of every tensor of a GPT-2."""
    yield "transformer.wte.weight", (N_VOCABULARY, width)
    yield "transformer.wpe.weight", (N_CONTEXT, width)
    parts = {"ln_1": (width,), "ln_2": (width,), "attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width),
             "mlp.c_fc": (width, 4 * width), "mlp.c_proj": (4 * width, width)}  # fmt: skip
    for layer in range(n_layers):
        for part, shape in parts.items():
            yield f"transformer.h.{layer}.{part}.weight", shape
            yield f"transformer.h.{layer}.{part}.bias", shape[-1:]
    yield "transformer.ln_f.weight", (width,)
    yield "transformer.ln_f.bias", (width,)


def make(cache: Path, size: str, tokenizer_folder: Path) -> Path:
    """Return the folder of a random checkpoint in fp32; it is written, one tensor after the other, where it is missing.

    Parameters
    ----------
    cache : Path
    size : str
        A key of `SHAPES`.
    tokenizer_folder : Path
        Holds the files of a tokenizer with at most as many tokens as GPT-2's.
    """
    folder = cache / f"random-gpt2-{size}"
    if (folder / "config.json").exists():  # written last
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    n_layers, n_heads, width = SHAPES[size]
    header, end = {}, 0
    for name, shape in tensors(n_layers, width):
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    draw = np.random.default_rng(0)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors(n_layers, width):
            if len(shape) == 1:
                values = np.full(shape, float(name.endswith(".weight")), dtype=np.float32)  # norms; biases are zero
            else:
                values = draw.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            values.tofile(file)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_folder / name, folder)
    config = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": n_layers, "n_head": n_heads,
        "n_embd": width, "n_positions": N_CONTEXT, "n_ctx": N_CONTEXT, "vocab_size": N_VOCABULARY, "bos_token_id": 0,
        "eos_token_id": 0, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "torch_dtype": "float32",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
