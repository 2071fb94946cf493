"""Prompt texts without a tokenizer: checks, cuts where no token crosses, and removal of broken ends."""

import dataclasses
import unicodedata

from course_utils.errors import TextError
from course_utils.models.inference.tokens import Generation

LONGEST_PART = 20_000  # characters whose tokens are asked for at once; the server takes no more


def require_text(text: str) -> None:
    """Raise TextError where something is no text that can be sent."""
    if not isinstance(text, str):
        raise TextError(
            f"The text is of type {type(text).__name__}.", "A string.", 'Put the text in quotation marks: "…".'
        )
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise TextError(
            "The text has half of a surrogate pair.",
            "Text that can be written as UTF-8.",
            "Paste the text again, or read its file with encoding='utf-8'.",
        )


def parts_of(text: str, longest: int = LONGEST_PART) -> list[str]:
    """Cut a long text where no token of GPT-2's kind crosses.

    That is before a space or a punctuation mark that stands between letters. An apostrophe does not count: ``n't`` may
    be one token.

    Examples
    --------
    >>> parts_of("one two three", 9), parts_of("春天，花开了。鸟", 6)
    (['one two', ' three'], ['春天，花开了', '。鸟'])
    """
    parts = []
    while len(text) > longest:
        positions = (i for i in range(longest, 0, -1) if _parts(text[i]) and text[i - 1 : i + 2 : 2].isalpha())
        position = next(positions, longest)
        parts.append(text[:position])
        text = text[position:]
    return [*parts, text]


def _parts(character: str) -> bool:
    return character == " " or (unicodedata.category(character).startswith("P") and character not in "'’")


def without_half_character(generation: Generation) -> Generation:
    """Take back the last tokens where the text ends inside a character, which shows as U+FFFD."""
    steps = list(generation.steps)
    if generation.text.endswith("\ufffd") and generation.ended != "end of text":
        while steps and not steps[-1].text:  # the other tokens of that character have no text of their own
            steps.pop()
        steps = steps[:-1]
    return dataclasses.replace(generation, steps=tuple(steps))
