"""Protocol of the model server: OpenAI's completions, the course's additions, and the format of errors.

A request may have, beside OpenAI's fields, ``top_k``, ``repetition_penalty`` and ``course``, an object that asks for
all that the course's panels show. Its keys, each of which may be left out:

``first_step``
    How many tokens of the text came before, in an earlier request: the noise goes on from there.
``fit``
    True: of a prompt that is too long the last tokens are kept, and the answer's ``course.notice`` says so.
``stride``
    For a text that is scored: as for `course_utils.models.inference.scoring.score`.

``written``
    How many of the prompt's last ids the model wrote before, in an earlier request. They are read one by one, as they
    were written, so that in 8 bits too the text goes on as it would have without the break.

Every chunk of an answer has ``course: {"seed", "prompt_tokens", "notice", "identity"}``; the last is the `digest` of
what computes. Where ``course`` was asked for, each choice has ``course: {"steps": [...]}``, one `row_of` a token; a
scored text also has ``window`` and ``stride`` there.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, TypedDict

from course_utils.core.json_types import JsonObject
from course_utils.errors import AccessRefused, CourseError, ModelNotHere, NotEnoughMemory, UnknownModel
from course_utils.models.inference.tokens import Alternative, TokenStep

NO_PROBABILITY = -9999.0  # what OpenAI writes for the logarithm of zero


class Logprobs(TypedDict):
    """Log-probabilities of a text's tokens, in OpenAI's shape: four lists of the same length."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class Refusal(CourseError):
    """A request that is not served, with all that HTTP and OpenAI's clients want to know about it.

    Parameters
    ----------
    what, expected, next_step : str
        As for every CourseError.
    status : int
        Of HTTP.
    code : str
        OpenAI's short word for it, for programs.
    param : str, optional
        The field that is wrong.
    retry_after : int
        Seconds after which it is worth asking again; 0 where it is not.
    name : str
        The class of the course's error, so that a client can raise the same.
    """

    status: int
    code: str

    def __init__(
        self,
        what: str,
        expected: str = "",
        next_step: str = "",
        *,
        status: int = 400,
        code: str = "invalid_value",
        param: str | None = None,
        retry_after: int = 0,
        name: str = "SettingsError",
    ) -> None:
        super().__init__(what, expected, next_step)
        self.status, self.code, self.param, self.retry_after, self.name = status, code, param, retry_after, name

    @classmethod
    def of(cls, error: CourseError, param: str | None = None) -> "Refusal":
        """Say an error of the course in HTTP's words."""
        if isinstance(error, cls):
            return error
        status, code = next((pair for kind, pair in _STATUS.items() if isinstance(error, kind)), (400, "invalid_value"))
        name = type(error).__name__
        return cls(error.what, error.expected, error.next_step, status=status, code=code, param=param, name=name)

    def as_json(self) -> JsonObject:
        """Return OpenAI's error object, with the three parts of ours inside."""
        kind = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind |= {500: "server_error", 503: "server_error"}
        parts = {"error": self.name, "what": self.what, "expected": self.expected, "next_step": self.next_step}
        return {
            "error": {
                "message": str(self),
                "type": kind.get(self.status, "invalid_request_error"),
                "param": self.param,
                "code": self.code,
                "course": parts,
            }
        }


def digest(identity: list[str]) -> str:
    """Return a short name for what a model's numbers depend on: weights, precision, device, config and tokenizer."""
    return hashlib.sha256(json.dumps(list(identity)).encode()).hexdigest()[:16]


_STATUS = {
    UnknownModel: (404, "model_not_found"),
    ModelNotHere: (404, "model_not_found"),
    AccessRefused: (403, "model_not_released"),
    NotEnoughMemory: (503, "not_enough_memory"),
}


def row_of(step: TokenStep) -> list[Any]:
    """Write a step as a list: id, text, probability, the model's own, rank, bits, and the ten likeliest as lists."""
    best = [[alternative.token_id, alternative.text, alternative.probability] for alternative in step.alternatives]
    return [step.token_id, step.text, step.probability, step.model_probability, step.rank, step.entropy_bits, best]


def step_of(row: list[Any], sample: int = 0, is_last: bool = False) -> TokenStep:
    """Read what `row_of` wrote."""
    token_id, text, probability, own, rank, bits, best = row
    alternatives = tuple(Alternative(i, likely, p, order) for order, (i, likely, p) in enumerate(best, start=1))
    return TokenStep(sample, text, token_id, probability, own, rank, bits, alternatives, is_last)


def logprobs_of(steps: Iterable[TokenStep], k: int, offset: int) -> Logprobs:
    """Return OpenAI's four lists; ``offset`` is where the first step's text begins."""
    steps, offsets = list(steps), []
    for step in steps:
        offsets.append(offset)
        offset += len(step.text)
    return {
        "tokens": [step.text for step in steps],
        "token_logprobs": [_log(step.model_probability) for step in steps],
        "top_logprobs": [_top(step, k) for step in steps] if k else None,
        "text_offset": offsets,
    }


def _top(step: TokenStep, k: int) -> dict[str, float]:
    candidates = [(alternative.text, alternative.probability) for alternative in step.alternatives[:k]] + [
        (step.text, step.model_probability)
    ]
    return {text: _log(p) for text, p in reversed(candidates)}  # where two tokens look alike, the likelier one is told


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else NO_PROBABILITY
