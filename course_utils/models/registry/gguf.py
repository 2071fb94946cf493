"""GGUF conversion: a GGUF file becomes, once, a folder that transformers loads quickly."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from course_utils.core.files import replace_file
from course_utils.core.paths import python_path
from course_utils.errors import DamagedFile

END_OF_TEXT = "<|endoftext|>"


def gguf_to_folder(gguf: Path, folder: Path) -> Path:
    """Unpack a 4-bit SmolLM2 file into a fp32 checkpoint: config, tokenizer and safetensors.

    The work is done in a process of its own: its memory (three copies of the weights at the worst moment) goes back to
    the system, and the notices of the libraries reach no notebook.

    Parameters
    ----------
    gguf : Path
        The file. Its 4-bit weights become 32-bit numbers; what the rounding to 4 bits lost stays lost.
    folder : Path
        Where the checkpoint shall lie; made if missing.

    Raises
    ------
    DamagedFile
        If the file cannot be read as a language model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = f"import sys; from {__name__} import unpack; unpack(sys.argv[1], sys.argv[2])"
    child = subprocess.run(
        [sys.executable, "-c", command, str(gguf), str(folder)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": python_path(), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    if child.returncode:
        last = (child.stderr.strip().splitlines() or [f"the process ended with {child.returncode}"])[-1]
        raise DamagedFile(
            f"{gguf.name} could not be converted: {last[:300]}",
            "A GGUF file of a Llama-type model, and about 3 GB of free memory.",
            "Close other programs and do the same again.",
        )
    return folder


def unpack(gguf: str, folder: str) -> None:
    """Convert in this process; ``gguf_to_folder`` calls it in a process of its own."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = Path(gguf)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    packed = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    config = packed.config
    for leftover in ("quantization_config", "_model_name_or_path"):
        if hasattr(config, leftover):
            delattr(config, leftover)
    # A model read from GGUF refuses to be saved: its numbers move into a fresh one of the same shape.
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(packed.state_dict())
    _end_texts(plain, tokenizer)
    plain.save_pretrained(folder)
    _mend_digits(tokenizer)
    tokenizer.save_pretrained(folder)
    _forget_where_it_came_from(Path(folder))


def _end_texts(model: Any, tokenizer: Any) -> None:
    """Let texts begin and end with GPT-2's own sign; the end of a chat turn ends a text as well."""
    turn_ends = model.config.eos_token_id
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = END_OF_TEXT
    end = tokenizer.eos_token_id
    model.config.bos_token_id = model.config.eos_token_id = model.config.pad_token_id = end
    generation = model.generation_config
    generation.bos_token_id = generation.pad_token_id = end
    generation.eos_token_id = [end, turn_ends]


def _mend_digits(tokenizer: Any) -> None:
    """Split numbers into single digits, as the model saw them in training ("smollm" in the file's header says so)."""
    from tokenizers import pre_tokenizers

    pieces = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pieces)


def _forget_where_it_came_from(folder: Path) -> None:
    """Drop the fields that speak of the GGUF file."""
    for name in ("config.json", "generation_config.json"):
        fields = json.loads((folder / name).read_text(encoding="utf-8"))
        for leftover in ("quantization_config", "_model_name_or_path", "_name_or_path", "_from_model_config"):
            fields.pop(leftover, None)
        replace_file(folder / name, json.dumps(fields, indent=2) + "\n")
