"""Pieces never break a character and join to the exact text."""

import random

import pytest
import regex

from course_utils.models.inference.detokenizer import TextPieces, Vocabulary

TEXTS = [
    "Plain words, and some more.",
    "a family 👩‍👩‍👧‍👦, a flag 🇳🇱, a thumb 👍🏽",
    "模型会说中文，也会说日本語。",
    "e\u0301 a\u0308 o\u0302\u0323 नमस्ते ก็",
    "line\r\nline\n\n\ttab",
    "</script><img src=x onerror=alert(1)>",
    "",
]


@pytest.fixture(scope="module")
def vocabulary(tiny):
    return tiny.vocabulary


def cut(vocabulary, ids):
    pieces = TextPieces(vocabulary)
    return [piece for i in ids for piece in pieces.add(i)] + pieces.finish()


def bytes_as_tokens(vocabulary, text):
    """The hardest tokenisation there is: every byte a token of its own."""
    one_byte = {vocabulary.bytes_of(i): i for i in range(256)}
    return [one_byte[bytes([byte])] for byte in text.encode()]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_text(tiny, text):
    for ids in (tiny.encode(text), bytes_as_tokens(tiny.vocabulary, text)):
        pieces = cut(tiny.vocabulary, ids)
        assert "".join(pieces) == text
        assert len(pieces) == len(ids)


@pytest.mark.parametrize("text", TEXTS)
def test_no_piece_breaks_a_character(tiny, text):
    whole = regex.findall(r"\X", text)
    for ids in (tiny.encode(text), bytes_as_tokens(tiny.vocabulary, text)):
        from_pieces = [character for piece in cut(tiny.vocabulary, ids) for character in regex.findall(r"\X", piece)]
        assert from_pieces == whole


def test_random_tokens_join_to_what_the_tokenizer_decodes(tiny):
    draw = random.Random(0)
    for _ in range(200):
        ids = [draw.randrange(len(tiny.tokenizer)) for _ in range(draw.randrange(1, 40))]
        assert "".join(cut(tiny.vocabulary, ids)) == tiny.tokenizer.decode(ids)


def test_random_bytes_join_to_what_the_tokenizer_decodes(tiny):
    draw = random.Random(1)
    for _ in range(300):
        ids = [draw.randrange(256) for _ in range(draw.randrange(1, 12))]
        assert "".join(cut(tiny.vocabulary, ids)) == tiny.tokenizer.decode(ids)


def test_a_piece_comes_at_most_one_token_late_in_plain_words(tiny):
    pieces = TextPieces(tiny.vocabulary)
    ids = tiny.encode("Every word here is plain, so each piece follows at once.")
    assert [len(pieces.add(i)) for i in ids] == [0] + [1] * (len(ids) - 1)


def test_every_token_has_a_text_to_show(tiny, vocabulary):
    assert all(isinstance(vocabulary.text_of(i), str) and vocabulary.text_of(i) for i in range(len(tiny.tokenizer)))
    assert vocabulary.text_of(10**6) == ""


def test_a_tokenizer_of_another_kind_is_refused_by_name():
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    from course_utils.errors import CourseError

    other = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    other.decoder = decoders.Metaspace()
    with pytest.raises(CourseError, match="not a byte-level BPE"):
        Vocabulary(PreTrainedTokenizerFast(tokenizer_object=other))
