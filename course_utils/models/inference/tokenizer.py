"""Tokenizer of a checkpoint, read from tokenizer.json without transformers, whose import takes seconds.

A checkpoint may say in other files what its tokenizer does besides tokenizer.json. `read_tokenizer` reads the common
kinds itself and leaves all others to transformers. Both give the same token ids.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import tokenizers

from course_utils.core.json_types import JsonObject
from course_utils.errors import DamagedFile
from course_utils.models.registry import formats

CONFIG = "tokenizer_config.json"
AS_IN_THE_FILE = ("TokenizersBackend", "PreTrainedTokenizerFast")  # classes that take tokenizer.json as it is
GPT2_CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast", "")  # classes that build GPT-2's parts anew
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
# Settings that change neither token ids nor decoded text. With any other one, transformers reads the tokenizer.
HARMLESS = frozenset(
    {
        *SPECIAL, "backend", "is_local", "local_files_only", "model_max_length", "max_length", "tokenizer_class",
        "name_or_path", "special_tokens_map_file", "clean_up_tokenization_spaces", "padding_side", "truncation_side",
        "model_input_names", "chat_template", "vocab_size", "errors", "add_prefix_space", "additional_special_tokens",
        "extra_special_tokens", "added_tokens_decoder", "model_type", "trim_offsets", "add_bos_token",
    }
)  # fmt: skip


class Tokenizer(Protocol):
    """The part of a tokenizer of transformers that the course uses."""

    name_or_path: str
    eos_token_id: int | None

    @property
    def backend_tokenizer(self) -> tokenizers.Tokenizer:
        """The tokenizer of the library tokenizers."""

    def __len__(self) -> int:
        """Return how many token ids there are."""

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of token ids, special tokens included."""

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""

    def get_added_vocab(self) -> dict[str, int]:
        """Return the ids of the tokens that stand beside the vocabulary, such as the end-of-text token."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
        """Return the tokens of ids; None for an id without a token."""


class FileTokenizer:
    """A tokenizer that consists of tokenizer.json alone.

    Parameters
    ----------
    backend : tokenizers.Tokenizer
    folder : Path
        Where its file lies.
    eos_token : str
        The token that ends a text; empty where none is named.
    """

    def __init__(self, backend: tokenizers.Tokenizer, folder: Path, eos_token: str) -> None:
        self.backend_tokenizer, self.name_or_path = backend, str(folder)
        self.eos_token_id = backend.token_to_id(eos_token) if eos_token else None

    def __len__(self) -> int:
        """Return how many token ids there are."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return self.backend_tokenizer.decode(token_ids, skip_special_tokens=False)

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def get_added_vocab(self) -> dict[str, int]:
        """Return the ids of the tokens that stand beside the vocabulary, such as the end-of-text token."""
        return {token.content: i for i, token in self.backend_tokenizer.get_added_tokens_decoder().items()}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
        """Return the tokens of ids; None for an id without a token."""
        return [self.backend_tokenizer.id_to_token(i) for i in ids]


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer in a folder.

    Raises
    ------
    DamagedFile
        Its files cannot be read, or it is not a fast tokenizer.
    """
    try:
        return read_file(folder) or _read_with_transformers(folder)
    except Exception as problem:  # the tokenizers' library raises bare Exception
        why = " ".join(str(problem).split())[:160] or type(problem).__name__
        raise DamagedFile(
            f"The tokenizer in {folder} cannot be loaded: {why}",
            "A fast tokenizer of GPT-2's kind: tokenizer.json.",
            "Copy the tokenizer's files again.",
        ) from problem


def read_file(folder: Path) -> FileTokenizer | None:
    """Return the tokenizer in tokenizer.json; None where transformers might make another one of the folder's files."""
    if not (folder / formats.TOKENIZER).is_file() or (folder / "added_tokens.json").exists():
        return None
    config = _object(folder / CONFIG)
    named = _object(folder / "special_tokens_map.json")
    if config is None or named is None:
        return None
    whole = json.loads((folder / formats.TOKENIZER).read_bytes())
    backend = tokenizers.Tokenizer.from_file(str(folder / formats.TOKENIZER))
    kind = config.get("tokenizer_class") or ""
    if not (kind in AS_IN_THE_FILE or (kind in GPT2_CLASSES and _is_gpt2(folder, kind, whole))):
        return None
    if not set(config) <= HARMLESS or config.get("add_prefix_space") or backend.truncation or backend.padding:
        return None
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    if not set(_contents([config, named])) <= special:
        return None  # transformers would add what is missing
    listed = config.get("added_tokens_decoder") or {}
    if any(backend.id_to_token(int(i)) != _content(token) for i, token in listed.items()):
        return None
    eos = _content(config.get("eos_token")) or _content(named.get("eos_token"))
    return FileTokenizer(backend, folder, eos or ("<|endoftext|>" if kind in GPT2_CLASSES else ""))


def _object(file: Path) -> JsonObject | None:
    """Return the object in a JSON file; an empty one where there is no file, None where it holds something else."""
    if not file.exists():
        return {}
    found = json.loads(file.read_bytes())
    return found if isinstance(found, dict) else None


def _content(token: object) -> str:
    """Return the text of a special token, which is written as a string or as an object."""
    if isinstance(token, Mapping):
        return str(token.get("content") or "")
    return token if isinstance(token, str) else ""


def _contents(settings: Iterable[JsonObject]) -> Iterable[str]:
    """Return the texts of all special tokens that files of settings name."""
    for each in settings:
        tokens: list[Any] = [each.get(name) for name in SPECIAL]
        tokens += (each.get("added_tokens_decoder") or {}).values()
        for several in ("additional_special_tokens", "extra_special_tokens"):
            found = each.get(several) or []
            tokens += found.values() if isinstance(found, dict) else found
        yield from filter(None, map(_content, tokens))


def _is_gpt2(folder: Path, kind: str, whole: JsonObject) -> bool:
    """Tell whether the parts in tokenizer.json are those that the class of GPT-2's tokenizer builds."""
    if not kind and (_object(folder / formats.CONFIG) or {}).get("model_type") != "gpt2":
        return False  # the class would follow from another kind of network
    splits, model = whole.get("pre_tokenizer") or {}, whole.get("model") or {}
    return (
        whole.get("normalizer") is None
        and splits.get("type") == "ByteLevel"
        and splits.get("add_prefix_space") is False
        and splits.get("use_regex", True) is True
        and (whole.get("decoder") or {}).get("type") == "ByteLevel"
        and model.get("type", "BPE") == "BPE"
        and not any(model.get(name) for name in ("dropout", "unk_token", "byte_fallback", "ignore_merges"))
        and not any(model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix"))
    )


def _read_with_transformers(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer  # only here: its import takes seconds

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer  # noqa: B018  only a fast tokenizer has one
    return cast(Tokenizer, tokenizer)
