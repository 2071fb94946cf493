"""Text stream from a server: read token by token, kept when the connection is lost, continued after a retry."""

import collections
import contextlib
import dataclasses
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from course_utils.core.json_types import JsonObject
from course_utils.errors import CourseError
from course_utils.models.client.chunks import steps_of
from course_utils.models.client.connection import (
    CombinedStopSignal,
    ConnectionLost,
    NotServed,
    ServerConnection,
    StopSignal,
)
from course_utils.models.inference.base import Cancelled
from course_utils.models.inference.context_window import notice_of, window
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation, TokenStep

MAX_CONCURRENT = 2  # requests of one stream that are open together: more would be many viewers to a server
MAX_SAMPLES = 8  # in one request
MAX_BREAKS = 4  # a sample, without a token between them
RETRY_S = 0.5
REAPED_S = 5.0  # until a server has surely seen that a text was stopped
BACK = "The model's process is back, and takes your text up again."
ANEW = "What follows was asked for anew: it may not be the text that would have come."

_writing: weakref.WeakSet["RemoteStream"] = weakref.WeakSet()  # this process's streams that have not ended


@dataclasses.dataclass(frozen=True)
class _Part:
    """One request: samples of one prompt from their beginning, or one sample from a token on.

    Parameters
    ----------
    samples : list of int
    first_step : int
        At which token it begins.
    n_known : int
        How many more tokens are known already; they come again and are not shown again.
    """

    samples: list[int]
    first_step: int = 0
    n_known: int = 0


class RemoteModelProtocol(Protocol):
    """A model behind a server, as a stream uses it; see `course_utils.models.client.remote_model.RemoteModel`."""

    connection: ServerConnection
    is_ours: bool
    precision: str
    context: int
    on_wait: Callable[[str], object] | None

    def body(self, settings: Settings, seed: int, n_tokens: int) -> JsonObject:
        """Return the fields of a request."""

    def prompt_ids(self, prompt: str, cancel: StopSignal | None = None) -> list[int]:
        """Return what the model sees of a prompt."""

    def require_same(self, response_fields: object) -> None:
        """Raise NotServed where an answer comes from other weights than before."""


class RemoteStream:
    """An iterator over the steps of one or several samples that a server writes; see `decoding.Stream`.

    Parameters
    ----------
    model : RemoteModel
    so_far : list of Generation
        One a sample; without steps when the text begins, with the earlier steps when it goes on.
    cancel : threading.Event, optional

    Attributes
    ----------
    notice : str
        What the reader should know; a server's word comes with the first token.
    on_wait : callable or None
        Told in words what is waited for, and "" when it is over. Where it is None, an outage of a minute is an error.
    """

    def __init__(
        self, model: RemoteModelProtocol, so_far: list[Generation], cancel: threading.Event | None = None
    ) -> None:
        self.notice, self.on_wait = "", model.on_wait
        self._model, self._so_far, self._cancel = model, so_far, CombinedStopSignal(cancel)
        self._steps = [list(generation.steps) for generation in so_far]
        self._length = [len(generation.steps) + generation.settings.max_new_tokens for generation in so_far]
        self._ended = ["end of text" if generation.ended == "end of text" else "stopped" for generation in so_far]
        self._open = {i for i, ended in enumerate(self._ended) if ended == "stopped"}
        self._prompt_ids: dict[str, list[int]] = {}
        self._differ: set[int] = set()
        self._iterator, self._last_message = self._run(), ""

    def __repr__(self) -> str:
        """Say how many texts are being written, and how far they are."""
        counts = ", ".join(f"{len(generation.steps)} tokens" for generation in self.generations())
        return f"{type(self).__name__} ({counts})"

    def __iter__(self) -> "RemoteStream":
        """Return itself."""
        return self

    def __next__(self) -> TokenStep:
        """Return the next step of any sample."""
        return next(self._iterator)

    def close(self) -> None:
        """Stop for good, also on the server; what has come stays."""
        self._cancel.set()
        with contextlib.suppress(ValueError):  # another thread reads it now, and ends it at the signal
            self._iterator.close()

    def generations(self) -> list[Generation]:
        """Return what every sample has written until now."""
        return [
            dataclasses.replace(generation, steps=tuple(steps), notice=self.notice, ended=ended)
            for generation, steps, ended in zip(self._so_far, self._steps, self._ended, strict=True)
        ]

    # -- several requests, one after the other or two at once ----------------------------------------------------------

    def _run(self) -> Generator[TokenStep, None, None]:
        waiting: collections.deque[_Part] = collections.deque()
        writing: list[tuple[_Part, Generator[TokenStep, None, None]]] = []
        n_breaks = 0
        _writing.add(self)
        try:
            self._limit_lengths()
            waiting.extend(self._first_parts())
            while waiting or writing:
                while waiting and len(writing) < MAX_CONCURRENT:
                    part = waiting.popleft()
                    writing.append((part, self._write(part)))
                for part, steps in list(writing):
                    try:
                        step = next(steps, None)
                    except ConnectionLost as lost:
                        n_breaks += 1
                        self._require_patience(n_breaks, lost)
                        waiting.extendleft(self._parts_again(part))
                        step = None
                    if step is None:
                        writing.remove((part, steps))
                        continue
                    n_breaks = 0
                    yield step
        except Cancelled:
            return
        finally:
            _writing.discard(self)
            for _, steps in writing:
                steps.close()

    def _limit_lengths(self) -> None:
        """End texts that go on where the model's context is full, as `LanguageModel.resume` does."""
        for sample in self._open if self._model.is_ours else ():
            generation, n_before = self._so_far[sample], len(self._so_far[sample].steps)
            if n_before:
                n_prompt, n_new = len(self._ids_of(generation.prompt)), generation.settings.max_new_tokens
                begin, read_to = window(n_prompt, n_before, self._model.context, n_new)
                free_tokens = self._model.context - (n_prompt + n_before - begin)
                self._length[sample] = n_before + min(n_new, free_tokens)
                self._note({"notice": notice_of(begin, read_to, min(n_new, free_tokens), n_new)})

    def _ids_of(self, prompt: str) -> list[int]:
        if prompt not in self._prompt_ids:
            self._prompt_ids[prompt] = self._model.prompt_ids(prompt, self._cancel)
        return self._prompt_ids[prompt]

    def _first_parts(self) -> list[_Part]:
        """Put samples that begin together into one request, where the server can do that."""
        first = self._so_far[0]
        is_one = all(g.prompt == first.prompt and not g.steps for g in self._so_far)
        in_turn = [g.seed for g in self._so_far] == [(first.seed + i) % 2**31 for i in range(len(self._so_far))]
        wide = MAX_SAMPLES if self._model.is_ours and is_one and in_turn else 1
        open_samples = sorted(self._open)
        groups = [open_samples[i : i + wide] for i in range(0, len(open_samples), wide)]
        return [part for group in groups for part in ([_Part(group)] if is_one else self._parts_again(_Part(group)))]

    def _parts_again(self, part: _Part) -> list[_Part]:
        """Return what is left of a request, each sample by itself; those that have nothing yet, together as before."""
        left = [sample for sample in part.samples if sample in self._open]
        if not any(self._steps[sample] for sample in left):
            return [_Part(left)] if left == part.samples else [_Part([sample]) for sample in left]
        parts = []
        for sample in left:
            safe = self._safe_place(sample)
            parts.append(_Part([sample], safe, len(self._steps[sample]) - safe))
        return parts

    def _safe_place(self, sample: int) -> int:
        """Return the last step before which no character is half written: its text and the one before are ASCII.

        A token may end inside a character; a continuation from there would begin with the other half alone. With int8
        weights, a batch of known tokens gives slightly other logits than one token at a time. There the text is
        written again from its beginning, and comes out the same.
        """
        steps, kept = self._steps[sample], len(self._so_far[sample].steps)
        if sample in self._differ or not self._model.is_ours:
            return len(steps)
        if self._model.precision != "fp32":
            return kept
        for index in range(len(steps) - 1, kept, -1):
            if steps[index].text[:1].isascii() and steps[index].text and steps[index - 1].text[-1:].isascii():
                return index
        return kept

    def _require_patience(self, n_breaks: int, lost: ConnectionLost) -> None:
        """Wait until the server is back, unless it breaks off again and again at the same place."""
        if n_breaks > MAX_BREAKS * len(self._so_far):
            raise NotServed(
                f"The model server broke off {n_breaks} times at the same place ({lost}).",
                "A complete response.",
                "Try another prompt, or look at the server's own messages.",
            )
        self._model.connection.wait(self._cancel, self.on_wait and self._tell)

    def _tell(self, words: str) -> None:
        if self.on_wait is not None and words != self._last_message:
            self._last_message = words
            self.on_wait(words)

    # -- one request ---------------------------------------------------------------------------------------------------

    def _write(self, part: _Part) -> Generator[TokenStep, None, None]:
        known = collections.deque(self._steps[part.samples[0]][part.first_step :] if part.n_known else [])
        for chunk in self._chunks(self._body(part)):
            if isinstance(chunk, str):
                self._tell(in_place(chunk))
                continue
            self._model.require_same(chunk.get("course"))
            self._note(chunk.get("course"))
            for choice in chunk.get("choices") or []:
                sample = part.samples[choice.get("index") or 0]
                steps, ended = steps_of(choice, sample)
                for step in steps:
                    if known:
                        self._tell(BACK)
                        self._require_same(known.popleft(), step)
                        continue
                    self._tell("")
                    self._steps[sample].append(step)
                    yield step
                self._note_end(sample, ended)
        if any(sample in self._open for sample in part.samples):
            raise ConnectionLost("the answer ended before its end")

    def _require_same(self, known: TokenStep, step: TokenStep) -> None:
        if known.token_id != step.token_id:
            self._differ.add(step.sample)
            self.notice = ANEW
            raise ConnectionLost("the server writes other tokens than before")

    def _chunks(self, body: JsonObject) -> Iterator[JsonObject | str]:
        """Follow a request; where other texts of this viewer are being written, or were just stopped, ask again."""
        begun = time.monotonic()
        while True:
            try:
                yield from self._model.connection.follow(body, self._cancel)
                return
            except CourseError as error:
                has_others = len(_writing) > 1 or time.monotonic() - begun < REAPED_S
                if getattr(error, "code", "") != "too_many_for_viewer" or not has_others:
                    raise
                self._tell("Your other texts come first.")
                if self._cancel.wait(RETRY_S):
                    raise Cancelled from None

    def _body(self, part: _Part) -> JsonObject:
        generation, first_step = self._so_far[part.samples[0]], part.first_step
        steps = self._steps[part.samples[0]][:first_step]
        n_left = self._length[part.samples[0]] - first_step
        if self._model.is_ours:
            body = self._model.body(generation.settings, generation.seed, n_left)
            prompt_so_far, n_written = self._seen(generation, steps) if steps else (generation.prompt, 0)
            course_fields: JsonObject = {"first_step": first_step, "fit": True}
            # In 32 bits it makes no difference to the text, and reading at once is faster.
            course_fields |= {"written": n_written} if self._model.precision != "fp32" else {}
            return body | {"prompt": prompt_so_far, "n": len(part.samples), "course": course_fields, "stream": True}
        if first_step:
            self.notice = ANEW
        # Another seed: with the same one a server would begin the same noise again.
        body = self._model.body(generation.settings, (generation.seed + first_step) % 2**31, n_left)
        return body | {"prompt": generation.prompt + "".join(step.text for step in steps), "stream": True}

    def _seen(self, generation: Generation, steps: list[TokenStep]) -> tuple[list[int], int]:
        """Return the ids that the model has before it, and how many of the last it has written one by one."""
        prompt, n_new = self._ids_of(generation.prompt), generation.settings.max_new_tokens
        begin, read_to = window(len(prompt), len(generation.steps), self._model.context, n_new)
        ids = [*prompt, *(step.token_id for step in steps)]
        return ids[begin:], len(ids) - read_to

    def _note(self, response_fields: object) -> None:
        notice = response_fields.get("notice") if isinstance(response_fields, dict) else None
        if notice and not self.notice:
            self.notice = str(notice)

    def _note_end(self, sample: int, ended: str) -> None:
        if not ended:
            return
        self._ended[sample] = ended
        self._open.discard(sample)
        if self._steps[sample] and not self._steps[sample][-1].is_last:
            self._steps[sample][-1] = dataclasses.replace(self._steps[sample][-1], is_last=True)


def in_place(comment: str) -> str:
    """Say a server's comment in words; empty where it tells no place in its queue.

    Examples
    --------
    >>> in_place("waiting 4"), in_place("waiting 1"), in_place("ping")
    ('3 texts are before yours.', 'Yours is the next text.', '')
    """
    word, _, queue_position = comment.partition(" ")
    if word != "waiting" or not queue_position.isdigit():
        return ""
    before = int(queue_position) - 1
    many = f"{before} texts are before yours." if before > 1 else "One text is before yours."
    return many if before > 0 else "Yours is the next text."
