"""Response bodies of the model server: a text in OpenAI's format, whole or piece by piece."""

import json
import secrets
import time
from collections.abc import Iterator

from course_utils.core.json_types import JsonObject
from course_utils.models.inference.scoring import window_and_stride
from course_utils.models.inference.tokens import TokenStep
from course_utils.models.server.engine import Job, SampleUpdate
from course_utils.models.server.protocol import digest, logprobs_of, row_of


class ResponseBody:
    """The answer to one request, as it grows.

    Parameters
    ----------
    job : Job
    notice : str
        What the reader should know.
    """

    def __init__(self, job: Job, notice: str) -> None:
        self._job, self._request = job, job.request
        self._offsets = [0] * self._request.n  # where the next text of each sample begins
        self._n_tokens, self._ended = 0, [""] * self._request.n
        self._head: JsonObject = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": job.model.name,
        }
        self._course: JsonObject = {
            "seed": self._request.settings.seed,
            "prompt_tokens": len(job.ids),
            "notice": notice,
            "identity": digest(job.model.identity),
        }

    @property
    def is_whole(self) -> bool:
        """Whether all samples have ended."""
        return all(self._ended)

    def chunks(self, updates: list[SampleUpdate]) -> Iterator[JsonObject]:
        """Return what came since the last time: a chunk for each sample that has news."""
        for sample, (steps, ended) in sorted(_by_sample(updates).items()):
            yield self._whole([self._choice(sample, steps, ended)])

    def note_ends(self, updates: list[SampleUpdate]) -> None:
        """Learn from news which samples have ended."""
        for sample, _, ended in updates:
            self._ended[sample] = ended or self._ended[sample]

    def end(self) -> Iterator[JsonObject]:
        """Return the chunk that counts the tokens, where it is wanted."""
        if self._request.include_usage:
            yield self._whole([]) | {"usage": self._usage()}

    def at_once(self, updates: list[SampleUpdate]) -> JsonObject:
        """Return all as one answer."""
        choices = [
            self._choice(sample, *steps_and_end) for sample, steps_and_end in sorted(_by_sample(updates).items())
        ]
        return self._whole(choices) | {"usage": self._usage()}

    def _whole(self, choices: list[JsonObject]) -> JsonObject:
        return self._head | {"choices": choices, "course": self._course}

    def _choice(self, sample: int, steps: list[TokenStep], ended: str) -> JsonObject:
        text = "".join(step.text for step in steps)
        if self._request.echo and not self._request.scores and self._offsets[sample] == 0:
            text = self._prompt() + text
        choice: JsonObject = {"index": sample, "text": text, "logprobs": None, "finish_reason": ended or None}
        if self._request.logprobs is not None:
            choice["logprobs"] = logprobs_of(steps, self._request.logprobs, self._offsets[sample])
        if self._request.steps:
            choice["course"] = {"steps": [row_of(step) for step in steps]}
            if self._request.scores:
                window, stride = window_and_stride(self._job.model, self._request.stride)
                choice["course"] |= {"window": window, "stride": stride}
        self._offsets[sample] += len(text)
        self._n_tokens += len(steps)
        self._ended[sample] = ended or self._ended[sample]
        return choice

    def _prompt(self) -> str:
        if isinstance(self._request.prompt, str):
            return self._request.prompt
        vocabulary = self._job.model.vocabulary
        return b"".join(map(vocabulary.bytes_of, self._request.prompt)).decode("utf-8", errors="replace")

    def _usage(self) -> dict[str, int]:
        n_prompt, n_new = len(self._job.ids), 0 if self._request.scores else self._n_tokens
        return {"prompt_tokens": n_prompt, "completion_tokens": n_new, "total_tokens": n_prompt + n_new}


def _by_sample(updates: list[SampleUpdate]) -> dict[int, tuple[list[TokenStep], str]]:
    """Join the news of each sample."""
    found: dict[int, tuple[list[TokenStep], str]] = {}
    for sample, steps, ended in updates:
        before, _ = found.get(sample, ([], ""))
        found[sample] = before + steps, ended
    return found


def as_json(value: JsonObject) -> bytes:
    """Write JSON; in ASCII, so that no line breaks of Unicode part an event."""
    return json.dumps(value, separators=(",", ":")).encode()


def as_event(value: JsonObject | str) -> bytes:
    """Write one server-sent event."""
    return b"data: " + (value.encode() if isinstance(value, str) else as_json(value)) + b"\n\n"


def as_comment(words: str) -> bytes:
    """Write a comment, which clients skip who do not know it."""
    return f": {words}\n\n".encode()
