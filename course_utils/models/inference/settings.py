"""Sampling settings that a person chooses, each checked against its range."""

import dataclasses
import math
from typing import Any

from course_utils.errors import SettingsError

# name: (lowest, highest, whole number, what it does). The panel draws its controls from the same table.
RANGES = {
    "max_new_tokens": (1, 500, True, "how many tokens to write at most"),
    "temperature": (
        0.0,
        5.0,
        False,
        "0 always takes the likeliest token; 1 is the model's own distribution; more is wilder",
    ),
    "top_k": (0, 1000, True, "draw from the k likeliest tokens only; 0 draws from all"),
    "top_p": (
        0.01,
        1.0,
        False,
        "draw from the smallest set of tokens with this much probability in all; 1 draws from all",
    ),
    "repetition_penalty": (1.0, 3.0, False, "above 1 makes tokens that already stand in the text less likely"),
    "seed": (0, 2**31 - 1, True, "the same seed gives the same text again"),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to draw the next token: frozen, comparable, and checked when made.

    Parameters
    ----------
    max_new_tokens : int
        How many tokens to write at most, 1 to 500.
    temperature : float
        Divides the logits, 0 to 5; 0 means greedy.
    top_k : int
        Keep the k likeliest tokens, 0 to 1000; 0 keeps all. OpenAI's sampling script of 2019 says that 40
        "generally is a good value".
    top_p : float
        Keep the smallest set of tokens whose probabilities add up to this, 0.01 to 1; 1 keeps all.
    repetition_penalty : float
        Weakens tokens already in the text, 1 to 3; 1 is off.
    seed : int
        From 0 to 2147483647. Sample number i of a batch is drawn with ``seed + i``.

    Raises
    ------
    SettingsError
        If a number is out of its range or not a number; it names the range.

    Examples
    --------
    >>> Settings(temperature=0).is_greedy
    True
    """

    max_new_tokens: int = 60
    temperature: float = 1.0
    top_k: int = 40
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every number against its range."""
        for name, (lowest, highest, whole, meaning) in RANGES.items():
            value = getattr(self, name)
            # No isfinite: it cannot take a whole number that is larger than any float.
            number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
            if not number or not lowest <= value <= highest or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise SettingsError(
                    f"{name} is {value!r}.",
                    f"{kind} from {lowest} to {highest} ({meaning}).",
                    f"Set {name} within that range.",
                )
            object.__setattr__(self, name, int(value) if whole else float(value))

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0

    def replace(self, **changes: Any) -> "Settings":  # `__post_init__` checks each value
        """Return a copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    def seed_of(self, sample: int) -> int:
        """Return the seed of sample number ``sample``; past the largest seed it starts again from 0."""
        return (self.seed + sample) % 2**31
