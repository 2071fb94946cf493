"""A tokenizer read from its file alone is the one that transformers reads."""

import json
import random

import pytest
from conftest import gpt2_tokenizer
from transformers import AutoTokenizer

from course_utils.errors import DamagedFile
from course_utils.models.inference.detokenizer import Vocabulary, byte_of_letter
from course_utils.models.inference.tokenizer import FileTokenizer, read_file, read_tokenizer
from course_utils.models.registry import registry

END = "<|endoftext|>"
TEXTS = [
    "Plain words, and some more .", " two  spaces\n\n\tand a tab ", "don't, we'll, I'VE 12345 6789", "",
    "a family 👩‍👩‍👧‍👦, a flag 🇳🇱", "模型会说中文。e\u0301 नमस्ते", f"one{END}two {END} {END}{END}three",
    "<|im_start|>user<|im_end|>",
    "\u00a0\u2028\x00\x1f", "ＡＢＣ ﬁ ½",
]  # fmt: skip


def drawn_texts(n=40):
    draw = random.Random(0)
    kinds = ("abc XYZ'", "0123456789 .,", "äöüßéñ ", "日本語 한국어 ", "👍🏽🇳🇱\u200d ", "\n\t\r  ", END)
    return ["".join(draw.choice(draw.choice(kinds)) for _ in range(draw.randrange(60))) for _ in range(n)]


def require_same(folder):
    """Compare ids, special tokens and decoded texts with those of transformers."""
    found, expected = read_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for text in (*TEXTS, *drawn_texts()):
        ids = expected.backend_tokenizer.encode(text, add_special_tokens=False).ids
        assert found.backend_tokenizer.encode(text, add_special_tokens=False).ids == ids
        assert found.decode(ids) == expected.decode(ids)
    assert len(found) == len(expected) and found.get_vocab() == expected.get_vocab()
    assert found.get_added_vocab() == expected.get_added_vocab()
    assert found.eos_token_id == expected.eos_token_id
    every = list(range(len(expected)))
    assert found.convert_ids_to_tokens(every) == expected.convert_ids_to_tokens(every)
    shown = Vocabulary(found), Vocabulary(expected)
    assert all(shown[0].bytes_of(i) == shown[1].bytes_of(i) for i in every)


@pytest.fixture
def saved(tmp_path):
    gpt2_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    return tmp_path


def write_config(folder, **settings):
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def edit(folder, **parts):
    """Change parts of tokenizer.json."""
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))


def test_the_models_of_the_repository_are_read_from_their_file():
    folders = [registry.find(entry.name) for entry in registry.entries() if registry.is_here(entry.name)]
    assert folders
    for folder in folders:
        assert isinstance(read_tokenizer(folder), FileTokenizer)
        require_same(folder)


def test_smollm2_is_read_from_its_file(smollm2):
    assert isinstance(smollm2.tokenizer, FileTokenizer)
    require_same(smollm2.folder)


PLAIN = [
    {"model_max_length": 1024},  # as GPT-2's own: no class, no special tokens
    {"tokenizer_class": "GPT2Tokenizer", "eos_token": END, "bos_token": END, "unk_token": END},
    {"tokenizer_class": "GPT2TokenizerFast", "eos_token": {"content": END, "__type": "AddedToken"}},
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "clean_up_tokenization_spaces": True},
    {"tokenizer_class": "TokenizersBackend"},
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END,
     "added_tokens_decoder": {"50256": {"content": END, "special": True}}},
]  # fmt: skip


@pytest.mark.parametrize("settings", PLAIN)
def test_common_settings_are_read_from_the_file(saved, settings):
    write_config(saved, **settings)
    assert read_file(saved) is not None
    require_same(saved)


OTHER = [
    {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True},
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"},
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "additional_special_tokens": ["<|im_start|>"]},
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "the"},  # a common word becomes a special token
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "split_special_tokens": True},
]


@pytest.mark.parametrize("settings", OTHER)
def test_settings_that_change_the_tokenizer_are_left_to_transformers(saved, settings):
    write_config(saved, **settings)
    assert read_file(saved) is None
    require_same(saved)


def test_a_file_with_parts_that_its_class_would_replace_is_left_to_transformers(saved):
    write_config(saved, tokenizer_class="GPT2Tokenizer", eos_token=END)
    digits = {"type": "Digits", "individual_digits": True}
    splits = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    edit(saved, pre_tokenizer={"type": "Sequence", "pretokenizers": [digits, splits]})
    assert read_file(saved) is None
    require_same(saved)
    write_config(saved, tokenizer_class="PreTrainedTokenizerFast", eos_token=END)
    assert read_file(saved) is not None
    require_same(saved)


@pytest.mark.parametrize("name", ["added_tokens.json", "special_tokens_map.json"])
def test_tokens_in_further_files_are_left_to_transformers(saved, name):
    (saved / name).write_text('{"<|more|>": 50257}' if name.startswith("added") else '{"eos_token": "<|more|>"}')
    assert read_file(saved) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", "{half", '{"model": null}', "\xff"])
def test_a_file_that_is_no_tokenizer_is_told(saved, content):
    (saved / "tokenizer.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DamagedFile, match="tokenizer"):
        read_tokenizer(saved)


def test_letters_stand_for_all_bytes():
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    assert byte_of_letter() == {letter: byte for byte, letter in bytes_to_unicode().items()}
