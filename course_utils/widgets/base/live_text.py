"""Live text: tokens of a text that is being written, sent to the browser in small batches."""

import math
import time
from collections.abc import Callable
from typing import Any

from course_utils.models.inference.tokens import Generation, TokenStep

FLUSH_S = 0.05  # one message a token would keep a slow browser busy with messages


def pack(step: TokenStep) -> list:
    """Return a step as the browser half reads it; about 300 bytes, so numbers are rounded.

    Returns
    -------
    list
        Sample, text, probability under the settings, the model's own probability, rank, entropy in bits, alternatives
        as [text, probability], and the place of the chosen token among these, -1 when it is none of them. A number
        that a server does not tell is None; a rank, 0.
    """
    ids = [other.token_id for other in step.alternatives]
    place = ids.index(step.token_id) if step.token_id in ids else -1
    others = [[other.text, float(f"{other.probability:.4g}")] for other in step.alternatives]
    probabilities = [_told(p, float(f"{p:.4g}")) for p in (step.probability, step.model_probability)]
    bits = _told(step.entropy_bits, round(step.entropy_bits, 3))
    return [step.sample, step.text, *probabilities, step.rank, bits, others, place]


def _told(number: float, rounded: float) -> float | None:
    """Return a rounded number; None for one that a server does not tell, which JSON could not carry."""
    return None if math.isnan(number) else rounded


def pack_sample(generation: Generation, pack: Callable[[TokenStep], list] = pack) -> dict:
    """Return a sample as the browser half reads it, each step packed by ``pack``."""
    told = {"prompt": generation.prompt, "seed": generation.seed, "text": generation.text, "ended": generation.ended}
    return {**told, "n_tokens": len(generation.steps), "steps": [pack(step) for step in generation.steps]}


class LiveText:
    """What one request has written so far, and what of it the browser has not seen.

    Parameters
    ----------
    run : int
        The number of the request; a browser ignores steps of any other.
    send : callable
        Sends a message to the browser.

    Attributes
    ----------
    cards : list of dict
        One a sample: prompt, seed, text, ended, n_tokens, and the packed steps.
    """

    pack = staticmethod(pack)

    def __init__(self, run: int, send: Callable[[dict], object]) -> None:
        self.run, self._send, self._n_new = run, send, 0
        self.cards: list[dict[str, Any]] = []
        self._unsent: list[Any] = []  # packed steps
        self._asked_at = time.monotonic()
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._sent_at: float | None = None

    def begin(self, generations: list[Generation]) -> None:
        """Show the samples as they are before the first new token."""
        self.cards = [pack_sample(generation, self.pack) for generation in generations]
        self.send_whole()

    def restart_clock(self) -> None:
        """Count the time to the first token from now: loading a model is not writing."""
        self._asked_at = time.monotonic()

    def add(self, step: TokenStep) -> None:
        """Take a new step; send it with its neighbours as soon as the last message is old enough."""
        packed, card = self.pack(step), self.cards[step.sample]
        card["steps"].append(packed)
        card["text"] += step.text
        card["n_tokens"] += 1
        self._unsent.append(packed)
        self._n_new += 1
        self._last_at = time.monotonic()
        self._first_at = self._first_at or self._last_at
        if self._sent_at is None or self._last_at - self._sent_at >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Send what has not been sent."""
        if self._unsent:
            self._send({"kind": "steps", "run": self.run, "steps": self._unsent, "timing": self.timing})
            self._unsent, self._sent_at = [], time.monotonic()

    def end(self, generations: list[Generation]) -> list[Generation]:
        """Send the rest, and note why each sample ended."""
        self.flush()
        for card, generation in zip(self.cards, generations, strict=True):
            card["ended"] = generation.ended
        return generations

    def send_whole(self) -> None:
        """Send everything, for a page that has missed something; nothing remains to be sent."""
        self._unsent = []
        self._send({"kind": "whole", "run": self.run, "samples": self.cards, "timing": self.timing})

    def texts(self) -> list[dict]:
        """Return the cards without their steps: small enough to be kept in step with the browser while writing."""
        return [{**card, "steps": []} for card in self.cards]

    @property
    def timing(self) -> dict[str, float | None]:
        """Tokens written, seconds to the first, and tokens a second after it, over all samples."""
        if self._first_at is None or self._last_at is None:
            return {"n_tokens": 0, "first_s": None, "per_s": None}
        # A token is shown when the next one is known: with the first came, unseen, the second of every sample.
        n_timed, seconds = self._n_new - 2 * len(self.cards), self._last_at - self._first_at
        per_s = round(n_timed / seconds, 2) if n_timed > 0 and seconds > 0 else None
        return {"n_tokens": self._n_new, "first_s": round(self._first_at - self._asked_at, 3), "per_s": per_s}
