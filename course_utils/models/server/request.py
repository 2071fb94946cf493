"""Request validation of the model server: each field is read, and refused where it cannot be served."""

import dataclasses
import difflib
import json
import secrets
from collections.abc import Sequence
from typing import Any, NoReturn, overload

from course_utils.core.json_types import JsonObject
from course_utils.errors import SettingsError
from course_utils.models.inference.settings import Settings
from course_utils.models.server.protocol import Refusal

MAX_CHARACTERS = 20_000  # of a prompt or a text to score
MAX_SAMPLES = 8
MAX_STOPS, MAX_STOP_LENGTH = 4, 100
MAX_NAME_LENGTH = 200
MAX_ALTERNATIVES = 10
MAX_EXACT_INTEGER = 2**53  # beyond it JSON's numbers are no longer exact
# Fields of OpenAI's that this server cannot serve, and the values that ask for nothing.
NOT_SERVED = {
    "best_of": (None, 1),
    "suffix": (None, ""),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0, 0.0),
    "frequency_penalty": (None, 0, 0.0),
}
SERVED = (
    "model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed", "n", "stream",
    "stop", "logprobs", "echo", "user", "stream_options", "course",
)  # fmt: skip
TEXT_FIELDS = ("input", "content", "prompt")
COURSE = ("first_step", "written", "fit", "stride")


@dataclasses.dataclass(frozen=True)
class CompletionRequest:
    """One request, understood and within its limits.

    Parameters
    ----------
    model : str
        Empty for the server's first.
    prompt : str or tuple of int
        Text, or token ids.
    settings : Settings
    n : int
        Sample i is drawn with ``settings.seed + i``.
    first_step, written : int
    stop : tuple of str
    logprobs : int or None
        How many alternatives in OpenAI's shape.
    steps : bool
        Whether the course's steps are wanted.
    echo, stream, include_usage, fit : bool
    scores : bool
        Whether the text is to be scored, and nothing written.
    stride : int or None
    user : str
    """

    model: str = ""
    prompt: str | tuple[int, ...] = ""
    settings: Settings = Settings()
    n: int = 1
    first_step: int = 0
    written: int = 0
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    steps: bool = False
    echo: bool = False
    stream: bool = False
    include_usage: bool = False
    fit: bool = False
    scores: bool = False
    stride: int | None = None
    user: str = ""

    @property
    def looks(self) -> bool:
        """Whether it is told what the model thought of each token."""
        return self.steps or self.logprobs is not None


def parse_completion_request(body: bytes) -> CompletionRequest:
    """Understand the body of a request.

    Raises
    ------
    Refusal
        Names the field, its value and what it may be.
    """
    fields = _Fields(_object(body))
    fields.refuse_what_is_not_served()
    course = fields.part("course", COURSE)
    options = fields.part("stream_options", None)
    max_tokens, echo, steps = fields.whole("max_tokens", 16, 0, 500), fields.flag("echo"), course.is_there
    logprobs = fields.whole("logprobs", None, 0, MAX_ALTERNATIVES)
    scores = echo and max_tokens == 0
    _refuse_half_wishes(max_tokens, echo, scores, logprobs is not None or steps)
    return CompletionRequest(
        model=fields.text("model", MAX_NAME_LENGTH),
        prompt=fields.prompt(),
        settings=fields.settings(max_tokens),
        n=fields.whole("n", 1, 1, 1 if scores else MAX_SAMPLES),
        first_step=course.whole("first_step", 0, 0, 1_000_000),
        written=course.whole("written", 0, 0, MAX_CHARACTERS),
        stop=fields.stop(),
        logprobs=logprobs,
        steps=steps,
        echo=echo,
        stream=fields.flag("stream"),
        include_usage=options.flag("include_usage"),
        fit=course.flag("fit"),
        scores=scores,
        stride=course.whole("stride", None, 1, 1_000_000),
        user=fields.text("user", MAX_NAME_LENGTH),
    )


def _refuse_half_wishes(max_tokens: int, echo: bool, scores: bool, looks: bool) -> None:
    if max_tokens == 0 and not echo:
        raise Refusal(
            "max_tokens is 0.",
            "A whole number from 1 to 500.",
            "To score a text, set echo to true.",
            param="max_tokens",
        )
    if scores and not looks:
        raise Refusal(
            "echo with max_tokens 0 gives the text back as it came.",
            "logprobs from 0 to 10, to have it scored.",
            "Set logprobs to 5.",
            param="logprobs",
        )
    if echo and looks and not scores:
        raise Refusal(
            "echo, logprobs and new tokens are asked for at once.",
            "Two requests.",
            "Score the prompt with max_tokens 0, then let it be continued without echo.",
            param="echo",
        )


def _object(body: bytes) -> JsonObject:
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as problem:
        raise Refusal(
            f"Byte {problem.start + 1} of the request is not UTF-8.", "JSON in UTF-8.", code="invalid_json"
        ) from None
    except (ValueError, RecursionError):
        raise Refusal(
            "The request is not JSON.", 'For example {"model": "pocket-xl", "prompt": "Once"}.', code="invalid_json"
        ) from None
    if not isinstance(found, dict):
        raise Refusal(f"The request is {_kind(found)}.", "A JSON object.", code="invalid_json")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(f"The request has the number {name}.", "Finite numbers.", code="invalid_json")


def read_text_to_tokenize(body: bytes) -> tuple[str, str]:
    """Return the model's name, which may be empty, and the text of a request for token ids.

    The text is in ``input``, as llama-cpp-python calls it, or in ``content`` (llama.cpp) or ``prompt`` (vLLM).

    Raises
    ------
    Refusal
    """
    fields = _Fields(_object(body))
    fields.refuse_unknown(("model", "user", *TEXT_FIELDS))
    texts = [fields.text(name, MAX_CHARACTERS) for name in TEXT_FIELDS]
    return fields.text("model", MAX_NAME_LENGTH), next(filter(None, texts), "")


class _Fields:
    """The fields of one JSON object, each read with its limits; null is the same as left out."""

    def __init__(self, found: JsonObject, inside: str = "", is_there: bool = True) -> None:
        self._found, self._inside, self.is_there = found, inside, is_there

    def refuse_what_is_not_served(self) -> None:
        for name, harmless in NOT_SERVED.items():
            value = self._found.get(name)
            if isinstance(value, bool) or value not in harmless:
                raise Refusal(
                    f"{name} is {_short(value)}, and this server does not serve it.",
                    f"No {name}.",
                    "Leave it out.",
                    code="unsupported_parameter",
                    param=name,
                )
        self.refuse_unknown((*SERVED, *NOT_SERVED))

    def refuse_unknown(self, known: Sequence[str]) -> None:
        for name in self._found:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise Refusal(
                    f"No field is called {_short(name)}.",
                    f"{', '.join(known)}.",
                    f"Did you mean {near[0]}?" if near else "Leave it out.",
                    code="unknown_parameter",
                    param=self._inside + name[:MAX_NAME_LENGTH],
                )

    def part(self, name: str, known: Sequence[str] | None) -> "_Fields":
        value = self._found.get(name)
        if value is not None and not isinstance(value, dict):
            self._refuse(name, "an object, such as {}")
        fields = _Fields(value or {}, f"{name}.", value is not None)
        if known is not None:
            fields.refuse_unknown(known)
        return fields

    @overload
    def whole(self, name: str, default: int, lowest: int, highest: int) -> int: ...

    @overload
    def whole(self, name: str, default: None, lowest: int, highest: int) -> int | None: ...

    def whole(self, name: str, default: int | None, lowest: int, highest: int) -> int | None:
        value = self._number(name, f"a whole number from {lowest} to {highest}")
        if value is None:
            return default
        if value != int(value) or not lowest <= value <= highest:
            self._refuse(name, f"a whole number from {lowest} to {highest}")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self._found.get(name)
        if value is not None and not isinstance(value, bool):
            self._refuse(name, "true or false")
        return bool(value)

    def text(self, name: str, longest: int) -> str:
        value = self._found.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > longest or not _is_clean(value):
            self._refuse(name, f"a text of at most {longest:,} characters, without null characters or halves of pairs")
        return value

    def prompt(self) -> str | tuple[int, ...]:
        value = self._found.get("prompt")
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            value = value[0]
        if isinstance(value, list):
            if len(value) > MAX_CHARACTERS or not all(
                type(token_id) is int and 0 <= token_id < 2**31 for token_id in value
            ):
                self._refuse("prompt", "one text, or the token ids of one text")
            return tuple(value)
        return _Fields({"prompt": value}).text("prompt", MAX_CHARACTERS)

    def stop(self) -> tuple[str, ...]:
        value = self._found.get("stop")
        value = [value] if isinstance(value, str) else value or []
        fits = isinstance(value, list) and len(value) <= MAX_STOPS
        if not fits or not all(isinstance(s, str) and 0 < len(s) <= MAX_STOP_LENGTH and _is_clean(s) for s in value):
            self._refuse("stop", f"at most {MAX_STOPS} texts of 1 to {MAX_STOP_LENGTH} characters")
        return tuple(value)

    def settings(self, max_tokens: int) -> Settings:
        asked: dict[str, Any] = {"max_new_tokens": max(max_tokens, 1), "top_k": 0}
        for name in ("temperature", "top_p", "top_k", "repetition_penalty", "seed"):
            value = self._number(name, "a number")
            if value is not None:
                asked[name] = value
        asked.setdefault("seed", secrets.randbelow(2**31))
        try:
            return Settings(**asked)
        except SettingsError as error:
            raise Refusal.of(error, error.what.split()[0]) from None

    def _number(self, name: str, kind: str) -> int | float | None:
        value = self._found.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_EXACT_INTEGER:
            self._refuse(name, kind)
        return value

    def _refuse(self, name: str, expected: str) -> NoReturn:
        full = self._inside + name
        raise Refusal(
            f"{full} is {_short(self._found.get(name))}.", f"{expected[:1].upper()}{expected[1:]}.", param=full
        )


def _is_clean(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _short(value: object) -> str:
    shown = ascii(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number or a truth value")
