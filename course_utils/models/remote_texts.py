"""What is done to texts without their tokenizer: checked, cut where no token crosses, their broken ends taken back."""

import dataclasses

from course_utils.errors import TextError
from course_utils.models.steps import Generation

LONGEST_PART = 1500  # characters whose tokens are asked for at once


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


def parts_of(text: str) -> list[str]:
    """Cut a text before spaces between letters, where no token of GPT-2's kind crosses.

    Examples
    --------
    >>> parts_of("one " * 500)[0][-8:], len(parts_of("one " * 500))
    (' one one', 2)
    """
    parts = []
    while len(text) > LONGEST_PART:
        places = (i for i in range(LONGEST_PART, 1, -1) if text[i] == " " and text[i - 1 : i + 2 : 2].isalpha())
        place = next(places, LONGEST_PART)
        parts.append(text[:place])
        text = text[place:]
    return [*parts, text]


def without_half_character(generation: Generation) -> Generation:
    """Take back the last tokens where the text ends inside a character, which shows as U+FFFD."""
    steps = list(generation.steps)
    if generation.text.endswith("\ufffd"):
        while steps and not steps[-1].text:  # the other tokens of that character have no text of their own
            steps.pop()
        steps = steps[:-1]
    return dataclasses.replace(generation, steps=tuple(steps))
