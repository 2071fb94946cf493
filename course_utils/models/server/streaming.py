"""Streaming of responses: as server-sent events or whole, for readers that may be slow or disconnect."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope, Send

from course_utils.core.json_types import JsonObject
from course_utils.models.server.engine import Engine, Job, SampleUpdate
from course_utils.models.server.protocol import Refusal
from course_utils.models.server.response import ResponseBody, as_comment, as_event, as_json

PATIENCE_S = 10.0  # with a reader who takes nothing
QUIET_S = 10.0  # the longest silence in a stream
GLANCE_S = 0.25  # between two looks at the queue
BREATH_S = 0.03  # between two chunks: what comes faster than the eye can see goes out together


class BaseResponse:
    """One answer as an ASGI application. When its reader goes, its text is cancelled.

    Parameters
    ----------
    engine : Engine
    job : Job
        Submitted.
    bell : asyncio.Event
        Rung by the job.
    answer : ResponseBody
    """

    def __init__(self, engine: Engine, job: Job, news_event: asyncio.Event, answer: ResponseBody) -> None:
        self._engine, self._job, self._bell, self._answer = engine, job, news_event, answer
        self._is_gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and watch whether the reader is still there."""
        watcher = asyncio.create_task(self._watch(receive))
        try:
            await self._send_to(send)
        except TimeoutError:
            self._job.cancel()
            if abort := scope.get("state", {}).get("abort"):
                abort(scope["client"])
        finally:
            watcher.cancel()
            self._engine.cancel(self._job)

    async def _send_to(self, send: Send) -> None:
        raise NotImplementedError

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._engine.cancel(self._job)
        self._bell.set()

    async def _news(self) -> AsyncIterator[list[SampleUpdate] | str]:
        """Give what came, as soon as it comes; before that, comments on the place in the queue and against silence."""
        reported_position: int | None = None  # the place in the queue that the reader knows of
        last_sent_at = time.monotonic()
        while not self._is_gone and not self._answer.is_whole:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GLANCE_S):
                    await self._bell.wait()
            self._bell.clear()
            if updates := self._job.take():
                yield updates
            elif self._job.error:
                raise self._job.error
            elif (queue_position := self._place()) != reported_position or time.monotonic() - last_sent_at > QUIET_S:
                reported_position = queue_position
                yield f"waiting {queue_position}" if queue_position else "reading"
            else:
                continue
            last_sent_at = time.monotonic()

    def _place(self) -> int:
        return 0 if self._job.has_begun else self._engine.queue_position(self._job)


class EventStreamResponse(BaseResponse):
    """An answer as server-sent events."""

    async def _send_to(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for updates in self._news():
                if isinstance(updates, str):
                    await _send_some(send, as_comment(updates))
                else:
                    await _send_some(send, b"".join(map(as_event, self._answer.chunks(updates))))
                    await asyncio.sleep(0 if self._answer.is_whole else BREATH_S)
            last: list[JsonObject | str] = [*self._answer.end(), "[DONE]"]
        except Refusal as error:
            last = [error.as_json()]
        if not self._is_gone:
            await _send_some(send, b"".join(map(as_event, last)), more=False)


class WholeResponse(BaseResponse):
    """An answer as one JSON object."""

    async def _send_to(self, send: Send) -> None:
        status = 200
        whole: list[SampleUpdate] = []
        try:
            async for updates in self._news():
                whole += updates if isinstance(updates, list) else []
                self._answer.note_ends(whole)
            body = self._answer.at_once(whole)
        except Refusal as error:
            status, body = error.status, error.as_json()
        if self._is_gone:
            return
        data = as_json(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await _send_some(send, data, more=False)


async def _send_some(send: Send, data: bytes, more: bool = True) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await send({"type": "http.response.body", "body": data, "more_body": more})
