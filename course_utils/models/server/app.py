"""HTTP routes of the model server in OpenAI's format: health, models, completions, and errors as JSON."""

import asyncio
import contextlib
import hmac
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from course_utils.errors import CourseError
from course_utils.models.inference.scoring import window_and_stride
from course_utils.models.server import request as wishes
from course_utils.models.server.engine import Engine, Job
from course_utils.models.server.model_pool import MAX_CONTEXT, MAX_SCORED_TOKENS, ModelPool, ids_of
from course_utils.models.server.protocol import Refusal, digest
from course_utils.models.server.request import parse_completion_request, read_text_to_tokenize
from course_utils.models.server.response import ResponseBody
from course_utils.models.server.streaming import EventStreamResponse, WholeResponse

VERSION = 1
MAX_BODY_BYTES = 256_000  # bytes
PATIENCE_S = 10.0  # s; a client that sends its request more slowly gets an error


class ModelApp:
    """The web application: what each address answers.

    Parameters
    ----------
    engine : Engine
    pool : ModelPool
    first : str
        The model for those who name none; the best on the shelf when empty.
    token : str
        What clients must send; empty where all may ask.
    """

    def __init__(self, engine: Engine, pool: ModelPool, first: str = "", token: str = "") -> None:
        self.engine, self.pool = engine, pool
        self._first, self._token = first, token
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/models/{name}", self.model),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/tokenize", self.tokenize, methods=["POST"]),
        ]
        exception_handlers: dict[Any, Any] = {
            CourseError: _course_error,
            HTTPException: _http_error,
            Exception: _unexpected,
        }
        self.asgi = Starlette(
            routes=routes, exception_handlers=exception_handlers
        )  # each handler gets errors of its own kind only

    async def health(self, request: Request) -> Response:
        """Say that the server is well and how busy it is."""
        return JSONResponse({"status": "ok", "course": {"version": VERSION, **self.engine.state()}})

    async def models(self, request: Request) -> Response:
        """List the models and the limits."""
        self._require_token(request)
        found = await asyncio.to_thread(self.pool.models)
        course_fields = {"limits": self.limits(), "default": self._first}
        return JSONResponse({"object": "list", "data": found, "course": course_fields})

    async def model(self, request: Request) -> Response:
        """Describe one model."""
        self._require_token(request)
        return JSONResponse(await asyncio.to_thread(self.pool.model, request.path_params["name"]))

    async def completions(self, request: Request) -> ASGIApp:
        """Write or score a text."""
        self._require_token(request)
        completion = parse_completion_request(await _body(request))
        model = await asyncio.to_thread(self.pool.get, completion.model or self._first)
        ids, notice = ids_of(model, completion)
        if completion.scores:
            window_and_stride(model, completion.stride)
        loop, news_event = asyncio.get_running_loop(), asyncio.Event()
        viewer = completion.user or (request.client.host if request.client else "")
        job = Job(model, completion, ids, viewer, lambda: _notify(loop, news_event))
        self.engine.submit(job)
        return (EventStreamResponse if completion.stream else WholeResponse)(
            self.engine, job, news_event, ResponseBody(job, notice)
        )

    async def tokenize(self, request: Request) -> Response:
        """Tell the token ids of a text; nothing is computed with the weights."""
        self._require_token(request)
        name, text = read_text_to_tokenize(await _body(request))
        model = await asyncio.to_thread(self.pool.get, name or self._first)
        ids = await asyncio.to_thread(model.encode, text)
        course = {"identity": digest(model.identity), "start_id": model.start_id}
        return JSONResponse({"tokens": ids, "count": len(ids), "course": course})

    def limits(self) -> dict[str, int]:
        """Return what may be asked for, in numbers."""
        return {
            "characters": wishes.MAX_CHARACTERS,
            "context": MAX_CONTEXT,
            "scored_tokens": MAX_SCORED_TOKENS,
            "max_tokens": 500,
            "n": wishes.MAX_SAMPLES,
            "at_once": self.engine.limits.at_once,
            "waiting_a_viewer": self.engine.limits.waiting_a_viewer,
            "waiting_in_all": self.engine.limits.waiting_in_all,
        }

    def _require_token(self, request: Request) -> None:
        sent = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self._token and not hmac.compare_digest(sent, self._token.encode()):
            raise Refusal(
                "The key that was sent is not the server's." if sent else "No key was sent.",
                "The key that the server was started with.",
                "Set COURSE_MODEL_KEY to it.",
                status=401, code="invalid_api_key", name="AccessRefused",
            )  # fmt: skip


def _notify(loop: asyncio.AbstractEventLoop, news_event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
        loop.call_soon_threadsafe(news_event.set)


async def _body(request: Request) -> bytes:
    """Read the body, but neither a long one nor one that comes too slowly."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a page on another site can make a browser send anything but this
        what = f"The request's content type is {kind[:60]!r}."
        raise Refusal(what, "application/json.", status=415, code="invalid_content_type")
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    what = f"The request is longer than {MAX_BODY_BYTES:,} bytes."
                    raise Refusal(what, "A shorter request.", status=413, code="too_large")
    except TimeoutError:
        raise Refusal(
            "The connection ended before the request was complete.", "A complete request.", status=408, code="timeout"
        ) from None
    return bytes(body)


# -- problems ----------------------------------------------------------------------------------------------------------


def _refused(refusal: Refusal) -> Response:
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
    return JSONResponse(refusal.as_json(), status_code=refusal.status, headers=headers)


async def _course_error(request: Request, error: CourseError) -> Response:
    return _refused(Refusal.of(error))


async def _http_error(request: Request, error: HTTPException) -> Response:
    what = f"{request.method} {request.url.path[:100]} is not served here."
    known = "GET /health, GET /v1/models, POST /v1/completions and POST /tokenize."
    return _refused(Refusal(what, known, status=error.status_code, code="unknown_url", name="CourseError"))


async def _unexpected(request: Request, error: Exception) -> Response:
    what = "The model's process met a problem with this request."
    return _refused(Refusal(what, "", "Ask again.", status=500, code="server_error", name="ServerProblem"))
