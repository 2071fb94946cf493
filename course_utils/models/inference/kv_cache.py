"""Key-value caches of texts that were stopped lately, so that they go on at once."""

import threading

from course_utils.models.networks.cache import Cache

MOST_KEPT = 128_000_000  # bytes


class Kept:
    """The caches of texts that were stopped lately; the oldest go first when they take too much memory."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most, self._lock = most, threading.Lock()
        self._texts: list[tuple[tuple[int, ...], list[int], Cache]] = []

    def put(self, prompt: list[int], written: list[int], cache: Cache) -> None:
        """Keep a cache that holds a prompt, read at once, and what was written after it, one token at a time."""
        if not cache.can_be_cut:
            return
        with self._lock:
            self._texts.append((tuple(prompt), list(written), cache))
            while self._texts and sum(cache.nbytes for _, _, cache in self._texts) > self._most:
                del self._texts[0]

    def take(self, prompt: list[int], written: list[int]) -> Cache | None:
        """Return the cache that holds most of a text, cut back to what is the same, but never the whole text.

        At least one token is left to be fed, which gives the logits for the next one.
        """
        with self._lock:
            found = [
                (_n_same(its, written), i)
                for i, (its_prompt, its, _) in enumerate(self._texts)
                if its_prompt == tuple(prompt)
            ]
            n_same, place = max(found, default=(0, -1))
            if place < 0 or not written:
                return None
            cache = self._texts.pop(place)[2]
        cache.length = len(prompt) + min(n_same, len(written) - 1)
        return cache


def _n_same(one: list[int], other: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
