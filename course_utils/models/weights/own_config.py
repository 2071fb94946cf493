"""Config of a checkpoint that can be read tensor by tensor: known architecture, safetensors, matching shapes."""

import json
from collections.abc import Iterator
from pathlib import Path

from course_utils.core.json_types import JsonObject
from course_utils.errors import CourseError, DamagedFile
from course_utils.models.networks.build import is_known
from course_utils.models.networks.network import Config
from course_utils.models.registry import formats
from course_utils.models.weights.file_weights import FLOATS

GENERATION_CONFIG = "generation_config.json"

Shape = tuple[int, ...]


def own_config(folder: Path) -> JsonObject | None:
    """Return the config of a checkpoint that `read_network` can read.

    Returns
    -------
    dict or None
        The content of config.json. None where transformers must read the checkpoint: it knows more architectures and
        more spellings of a config, and it says what is wrong with files that do not fit together.
    """
    try:
        config: JsonObject = json.loads((folder / formats.CONFIG).read_text("utf-8"))
        places = formats.tensor_places(folder)
        if not places or config.get("quantization_config") or not is_known(config):
            return None
        for names, shape in expected_shapes(config):
            place = next((places[name] for name in (names, names.partition(".")[2]) if name in places), None)
            if place is None or place.shape != shape or place.dtype not in FLOATS:
                return None
    except (
        CourseError,
        ValueError,
        KeyError,
        ImportError,
        AttributeError,
        TypeError,
        OSError,
        RecursionError,
        ZeroDivisionError,
    ):
        return None
    return config


def end_of_text_ids(folder: Path, config: Config) -> list[int]:
    """Return the tokens that end a text, by generation_config.json or, without that file, by the config.

    Raises
    ------
    DamagedFile
        generation_config.json cannot be read.
    """
    file = folder / GENERATION_CONFIG
    try:
        told = json.loads(file.read_text("utf-8")) if file.is_file() else config
        ends = told.get("eos_token_id")
        ids = ends if isinstance(ends, list) else [] if ends is None else [ends]
        if not all(isinstance(token, int) and not isinstance(token, bool) for token in ids):
            raise ValueError(f"eos_token_id is {ends!r}")
    except (ValueError, AttributeError, OSError, RecursionError) as problem:
        raise DamagedFile(
            f"{file} cannot be read: {problem}"[:240],
            "The file that save_pretrained writes.",
            "Copy the folder again, or delete that file.",
        ) from problem
    return ids


def expected_shapes(config: Config) -> Iterator[tuple[str, Shape]]:
    """Yield the name, in transformers, and the shape of each matrix that a config describes."""
    if config["model_type"] == "gpt2":
        width = int(config["n_embd"])
        inner = int(config.get("n_inner") or 4 * width)
        yield "transformer.wte.weight", (config["vocab_size"], width)
        yield "transformer.wpe.weight", (config["n_positions"], width)
        for layer in range(config["n_layer"]):
            name = f"transformer.h.{layer}"
            yield f"{name}.attn.c_attn.weight", (width, 3 * width)
            yield f"{name}.attn.c_proj.weight", (width, width)
            yield f"{name}.mlp.c_fc.weight", (width, inner)
            yield f"{name}.mlp.c_proj.weight", (inner, width)
            for each in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj", "ln_1", "ln_2"):
                length = {"attn.c_attn": 3 * width, "mlp.c_fc": inner}.get(each, width)
                yield f"{name}.{each}.bias", (length,)
            yield f"{name}.ln_1.weight", (width,)
            yield f"{name}.ln_2.weight", (width,)
        yield "transformer.ln_f.weight", (width,)
        yield "transformer.ln_f.bias", (width,)
        return
    width, inner, n_heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    if not config["max_position_embeddings"] > 0:  # whose default depends on the version of transformers
        raise ValueError
    size = config.get("head_dim") or width // n_heads
    n_keys = size * (config.get("num_key_value_heads") or n_heads)
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        yield f"{name}.self_attn.q_proj.weight", (size * n_heads, width)
        yield f"{name}.self_attn.k_proj.weight", (n_keys, width)
        yield f"{name}.self_attn.v_proj.weight", (n_keys, width)
        yield f"{name}.self_attn.o_proj.weight", (width, size * n_heads)
        yield f"{name}.mlp.gate_proj.weight", (inner, width)
        yield f"{name}.mlp.up_proj.weight", (inner, width)
        yield f"{name}.mlp.down_proj.weight", (width, inner)
        yield f"{name}.input_layernorm.weight", (width,)
        yield f"{name}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    if not config.get("tie_word_embeddings", False):
        yield "lm_head.weight", (config["vocab_size"], width)
