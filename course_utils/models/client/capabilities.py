"""Capabilities of a model server that is not the course's own: a few test requests, sent once."""

import math

from course_utils.core.json_types import JsonObject
from course_utils.errors import CourseError
from course_utils.models.client.chunks import steps_of
from course_utils.models.client.connection import ServerConnection
from course_utils.models.inference.base import Capabilities
from course_utils.models.inference.tokens import TokenStep

PROMPT = "one two one two one two one two"
N_TOKENS = 8
MAX_ALTERNATIVES = 10

_found: dict[tuple[str, str], Capabilities] = {}


def of(connection: ServerConnection, name: str) -> Capabilities:
    """Return what a server can do, found by asking; the second time, what was found the first time.

    Raises
    ------
    ConnectionLost
        Nobody answers.
    """
    key = connection.url, name
    if key not in _found:
        _found[key] = _try_out(connection, name)
    return _found[key]


def scored(choice: JsonObject) -> list[TokenStep]:
    """Return the steps of a text that a server gave back with log-probabilities; none where it did not score it."""
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict) or not logprobs.get("tokens"):
        return []
    steps, _ = steps_of(choice | {"finish_reason": None}, 0)
    # No server tells the first token's probability: nothing stands before it.
    return [step for step in steps if not math.isnan(step.model_probability)]


def _try_out(connection: ServerConnection, name: str) -> Capabilities:
    def ask(**fields: object) -> JsonObject:
        """Return a choice; empty where the server refuses."""
        body = {"model": name, "prompt": PROMPT, "max_tokens": N_TOKENS, "temperature": 0.0} | fields
        try:
            choice: JsonObject = (connection.ask(body).get("choices") or [{}])[0]
            return choice
        except CourseError:
            return {}

    greedy = ask().get("text")
    wild = {"temperature": 1.9, "seed": 5}
    draws = [ask(**wild).get("text") for _ in range(2)]
    narrow = ask(**wild, top_k=1).get("text")
    rarer = ask(repetition_penalty=2.5).get("text")
    top_logprobs = (ask(logprobs=MAX_ALTERNATIVES).get("logprobs") or {}).get("top_logprobs") or [{}]
    whole = ask(max_tokens=0, echo=True, logprobs=1) or ask(max_tokens=1, echo=True, logprobs=1)
    return Capabilities(
        ranks=False,
        alternatives=len(top_logprobs[0] or {}),
        seeds=draws[0] is not None and draws[0] == draws[1] != greedy,
        top_k=narrow is not None and narrow == greedy,
        repetition_penalty=rarer is not None and rarer != greedy,
        scoring=len(scored(whole)) > 1,
        weights=False,
    )
