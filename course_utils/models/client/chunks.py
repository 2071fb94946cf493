"""Chunks of a streamed response, converted to token steps; other servers send fewer fields than the course's."""

import math
from collections.abc import Iterator

from course_utils.core.json_types import JsonObject
from course_utils.models.inference.tokens import Alternative, TokenStep
from course_utils.models.server.protocol import step_of

UNKNOWN_PROBABILITY = math.nan
ENDINGS = {"stop": "end of text", "length": "length"}


def steps_of(choice: JsonObject, sample: int) -> tuple[list[TokenStep], str]:
    """Return the steps in one choice of a chunk, and how its sample ended, empty while it goes on.

    Parameters
    ----------
    choice : dict
        As a server sends it; what is missing or of another kind is left out.
    sample : int

    Examples
    --------
    >>> steps, ended = steps_of({"text": " sea", "finish_reason": "length"}, 0)
    >>> steps[0].text, steps[0].rank, steps[0].is_last, ended
    (' sea', 0, True, 'length')
    """
    ended = ENDINGS.get(str(choice.get("finish_reason")), "")
    course_fields = choice.get("course")
    rows = course_fields.get("steps") if isinstance(course_fields, dict) else None
    if isinstance(rows, list):
        return [step_of(row, sample, bool(ended) and row is rows[-1]) for row in rows], ended
    steps = list(_plain(str(choice.get("text") or ""), choice.get("logprobs"), sample, bool(ended)))
    return steps, ended


def _plain(text: str, logprobs: object, sample: int, is_end: bool) -> Iterator[TokenStep]:
    """Make steps of text and OpenAI's log-probabilities; without these, one step a chunk."""
    logprobs = logprobs if isinstance(logprobs, dict) else {}
    tokens = [str(token) for token in logprobs.get("tokens") or []]
    if "".join(tokens) != text:  # half characters, or names for tokens: the text itself is what counts
        tokens = [text, *[""] * (len(tokens) - 1)]
    if not text and not logprobs.get("tokens"):
        return
    for index, token in enumerate(tokens):
        own = _probability(_at(logprobs.get("token_logprobs"), index))
        others = _alternatives(_at(logprobs.get("top_logprobs"), index))
        token_id = next((alternative.token_id for alternative in others if alternative.text == token), -1)
        is_last = is_end and index == len(tokens) - 1
        yield TokenStep(sample, token, token_id, UNKNOWN_PROBABILITY, own, 0, UNKNOWN_PROBABILITY, others, is_last)


def _alternatives(top_logprobs: object) -> tuple[Alternative, ...]:
    """Return the likelier tokens, best first; their ids, which are not told, are made up and below -1."""
    if not isinstance(top_logprobs, dict):
        return ()
    pairs = sorted(((_probability(log), str(text)) for text, log in top_logprobs.items()), reverse=True)
    return tuple(Alternative(-1 - rank, text, p, rank) for rank, (p, text) in enumerate(pairs, start=1))


def _at(values: object, index: int) -> object:
    return values[index] if isinstance(values, list) and index < len(values) else None


def _probability(log: object) -> float:
    return math.exp(min(log, 0.0)) if isinstance(log, int | float) else UNKNOWN_PROBABILITY
