"""Chunks of a streamed response, converted to token steps; other servers send fewer fields than the course's."""

import math
from collections.abc import Iterator

from course_utils.core.json_types import JsonObject
from course_utils.models.inference.tokens import Alternative, TokenStep
from course_utils.models.server.protocol import step_of

UNTOLD = math.nan
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
    ours = choice.get("course")
    rows = ours.get("steps") if isinstance(ours, dict) else None
    if isinstance(rows, list):
        return [step_of(row, sample, bool(ended) and row is rows[-1]) for row in rows], ended
    steps = list(_plain(str(choice.get("text") or ""), choice.get("logprobs"), sample, bool(ended)))
    return steps, ended


def _plain(text: str, told: object, sample: int, is_end: bool) -> Iterator[TokenStep]:
    """Make steps of text and OpenAI's log-probabilities; without these, one step a chunk."""
    told = told if isinstance(told, dict) else {}
    tokens = [str(token) for token in told.get("tokens") or []]
    if "".join(tokens) != text:  # half characters, or names for tokens: the text itself is what counts
        tokens = [text, *[""] * (len(tokens) - 1)]
    if not text and not told.get("tokens"):
        return
    for place, token in enumerate(tokens):
        own = _probability(_at(told.get("token_logprobs"), place))
        others = _alternatives(_at(told.get("top_logprobs"), place))
        token_id = next((each.token_id for each in others if each.text == token), -1)
        is_last = is_end and place == len(tokens) - 1
        yield TokenStep(sample, token, token_id, UNTOLD, own, 0, UNTOLD, others, is_last)


def _alternatives(told: object) -> tuple[Alternative, ...]:
    """Return the likelier tokens, best first; their ids, which are not told, are made up and below -1."""
    if not isinstance(told, dict):
        return ()
    pairs = sorted(((_probability(log), str(text)) for text, log in told.items()), reverse=True)
    return tuple(Alternative(-1 - place, text, p, place) for place, (p, text) in enumerate(pairs, start=1))


def _at(values: object, place: int) -> object:
    return values[place] if isinstance(values, list) and place < len(values) else None


def _probability(log: object) -> float:
    return math.exp(min(log, 0.0)) if isinstance(log, int | float) else UNTOLD
