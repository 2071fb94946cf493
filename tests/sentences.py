"""Text made up at test time, that a small model can learn something from: a few words in many orders."""

import random

WORDS = (
    "the",
    "old",
    "new",
    "river",
    "bridge",
    "town",
    "council",
    "said",
    "that",
    "it",
    "will",
    "open",
    "after",
    "rain",
)


def sentences(n_characters: int, seed: int = 0) -> str:
    """Return that many characters, or a few more."""
    draw, parts, length = random.Random(seed), [], 0
    while length < n_characters:
        parts.append(" ".join(draw.choices(WORDS, k=draw.randint(4, 12))).capitalize() + ". ")
        length += len(parts[-1])
    return "".join(parts)
