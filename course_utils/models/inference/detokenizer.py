"""Detokenizer for streams: cuts tokens into pieces of text that never break a character."""

import codecs

import regex

from course_utils.errors import CourseError
from course_utils.models.inference.tokenizer import Tokenizer


def byte_of_letter() -> dict[str, int]:
    """Return which byte each letter of GPT-2's vocabulary stands for.

    Bytes that are printable in Latin-1 stand for themselves. The others have the letters from U+0100 on, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTE_OF_LETTER = byte_of_letter()


class Vocabulary:
    """The bytes and the readable text of every token of a byte-level BPE vocabulary.

    Parameters
    ----------
    tokenizer : Tokenizer
        Any tokenizer of GPT-2's kind, in which a token is a sequence of bytes.

    Raises
    ------
    CourseError
        If the tokenizer is of another kind, for example SentencePiece.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if "ByteLevel" not in type(tokenizer.backend_tokenizer.decoder).__name__:
            raise CourseError(
                f"The tokenizer of {tokenizer.name_or_path} is not a byte-level BPE.",
                "A tokenizer of GPT-2's kind.",
                "Use a model whose tokenizer.json has a ByteLevel decoder.",
            )
        self._tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))  # None: an id without a token
        self._special = set(tokenizer.get_added_vocab())
        self._texts: dict[int, str] = {}

    def bytes_of(self, token_id: int) -> bytes:
        """Return a token's bytes; a special token's are those of its name."""
        token = self._tokens[token_id] if token_id < len(self._tokens) else None
        if token is None:  # some checkpoints pad their embedding beyond the vocabulary
            return b""
        if token in self._special:
            return token.encode()
        return bytes(_BYTE_OF_LETTER[letter] for letter in token)

    def text_of(self, token_id: int) -> str:
        r"""Return a token's text to show by itself; bytes that are no whole character stand as ``\xf0``."""
        if token_id not in self._texts:
            self._texts[token_id] = self.bytes_of(token_id).decode("utf-8", errors="backslashreplace")
        return self._texts[token_id]


class TextPieces:
    """Give every token of one text its piece, so that the pieces join to the exact text.

    A token may hold half an emoji, or an accent that belongs to the letter before it. The piece of a token is therefore
    given out only when the next token shows where its last character ends: pieces come one token late. A character made
    of several tokens stands whole in one piece, and the pieces of its other tokens are empty.

    Parameters
    ----------
    vocabulary : Vocabulary
        Of the model that writes.

    Notes
    -----
    "Character" is the extended grapheme cluster of Unicode Standard Annex 29. Bytes that are not UTF-8 become U+FFFD as
    in ``tokenizer.decode``.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending: list[str] = []

    @property
    def is_mid_character(self) -> bool:
        """Whether the last token ended inside a character's bytes."""
        return bool(self._decoder.getstate()[0])

    def add(self, token_id: int) -> list[str]:
        """Take the next token; return the pieces, one a token, that can no longer change."""
        text = self._decoder.decode(self._vocabulary.bytes_of(token_id))
        n_joined = self._join_to_pending(text)
        if text[n_joined:]:
            released, self._pending = self._pending, [text[n_joined:]]
        else:
            released = []
            self._pending.append(text[n_joined:])
        return released

    def finish(self) -> list[str]:
        """Return the pieces still held, the last one with what is left of a broken character."""
        released, self._pending = self._pending, []
        rest = self._decoder.decode(b"", final=True)
        if released:
            released[-1] += rest
        return released

    def _join_to_pending(self, text: str) -> int:
        """Move the start of ``text`` that goes on the last pending character there; return how many letters."""
        shown = next((i for i in reversed(range(len(self._pending))) if self._pending[i]), None)
        if shown is None or not text:
            return 0
        last_character = regex.findall(r"\X", self._pending[shown])[-1]
        first = regex.match(r"\X", last_character + text)
        n_joined = max(0, first.end() - len(last_character)) if first else 0
        self._pending[shown] += text[:n_joined]
        return n_joined
