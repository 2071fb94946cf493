"""Stop sequences: a text ends at one of them; text that may be the start of one is held back."""

import dataclasses
from collections.abc import Sequence

from course_utils.models.inference.tokens import TokenStep


class StopSequenceFilter:
    """Let the steps of a text through until one of some words stands in it; the one that is complete first counts.

    Parameters
    ----------
    words : sequence of str

    Examples
    --------
    >>> stops = StopSequenceFilter(["END"])
    >>> def texts(*pieces):
    ...     steps, is_found = stops.add([TokenStep(0, piece, 0, 1, 1, 1, 0) for piece in pieces])
    ...     return [step.text for step in steps], is_found
    >>> texts("the ", "EN"), texts("EMY E"), texts("ND!")
    ((['the '], False), (['EN'], False), (['EMY '], True))
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._held: list[TokenStep] = []

    def add(self, steps: list[TokenStep]) -> tuple[list[TokenStep], bool]:
        """Take the next steps; return those that can go out, and whether a word was found: then they are the last."""
        if not self._words:
            return steps, False
        self._held += steps
        text = "".join(step.text for step in self._held)
        found = first_of(self._words, text)
        end = self._may_begin(text) if found is None else found
        out, self._held = _before(self._held, end, whole=found is None)
        return out, found is not None

    def finish(self) -> list[TokenStep]:
        """Return what was held back."""
        out, self._held = self._held, []
        return out

    def _may_begin(self, text: str) -> int:
        """Return the first place from which on the text could be the beginning of a word."""
        longest = max(map(len, self._words))
        starts = range(max(0, len(text) - longest + 1), len(text))
        return next((i for i in starts if any(word.startswith(text[i:]) for word in self._words)), len(text))


def first_of(words: Sequence[str], text: str) -> int | None:
    """Return where the word begins that is complete first, the longer of two; None where there is none."""
    matches = [(start + len(word), start) for word in words if (start := text.find(word)) >= 0]
    return min(matches)[1] if matches else None


def _before(steps: list[TokenStep], end: int, whole: bool) -> tuple[list[TokenStep], list[TokenStep]]:
    """Part steps at a place of their text; a step over the place is held back whole, or cut."""
    start = 0
    for i, step in enumerate(steps):
        if start + len(step.text) > end:
            cut = [] if whole or start == end else [dataclasses.replace(step, text=step.text[: end - start])]
            return steps[:i] + cut, steps[i:]
        start += len(step.text)
    return steps, []
