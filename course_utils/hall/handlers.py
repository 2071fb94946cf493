"""HTTP and WebSocket handlers of the demo server: gallery, demos, static files, kernel connections; no others."""

import json
import re
from typing import Any
from urllib.parse import quote

from tornado import web
from tornado.ioloop import IOLoop
from tornado.iostream import StreamBufferFullError
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler, read_header_from_binary_message

from course_utils.hall.auth import BaseHandler, is_lecturer, templates
from course_utils.hall.kernels.kernel_pool import DemoFailed
from course_utils.hall.sessions import HallFull

KERNEL_ID = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
MAX_WEBSOCKETS = 3  # a reload opens one before the old one is closed
MAX_MESSAGES = 300  # at once; and a third of it every second
ONE_MESSAGE = 16 << 10  # bytes; a longer one counts as several: what a kernel has not read lies in this process
MAX_MESSAGE_PARTS = 64  # of one message: head, content, and buffers
NEWER_PROTOCOL = "v1.kernel.websocket.jupyter.org"
MAX_UNREAD_BYTES = 16 << 20  # what a viewer on a slow line may have waiting

CANNOT_START = (
    "This demo cannot be started here now. Who opened the hall reads the reason in its terminal. "
    "This page tries again by itself."
)

# What a panel needs. Not among them: execute, complete, inspect, history, input, shutdown, debug, subshells.
ALLOWED_MESSAGES = ["comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request"]

# And what a page may hear. Not among them: stream and error, which would tell strangers of this machine's files.
HEARD_MESSAGES = {
    *("status", "comm_open", "comm_msg", "comm_close", "comm_info_reply", "kernel_info_reply"),
    *("display_data", "update_display_data", "clear_output"),
}


class NotFoundHandler(BaseHandler):
    """Every address that is not on the list."""

    async def prepare(self) -> None:
        """Refuse, whoever asks."""
        raise web.HTTPError(404)


class GalleryHandler(BaseHandler):
    """The front page: every demo with what it shows, how long it takes and its picture."""

    async def get(self) -> None:
        """Send the page; no kernel is needed for it."""
        self.set_header("Cache-Control", "no-cache")
        page = templates.get_template("gallery.html")
        self.finish(page.render(demos=list(self.hall.demos.values()), base=self.hall.base_url))


class DemoHandler(BaseHandler):
    """A demo, with a kernel of the viewer's own."""

    async def get(self, key: str) -> None:
        """Give a kernel, and Voila's page that knows it."""
        if key not in self.hall.demos:
            raise web.HTTPError(404)
        try:
            page = await self.hall.start_session(key, is_lecturer(self))
        except HallFull:
            self.set_status(503)
            self.notice("The hall is full. This page tries again by itself.", seconds=10)
            return
        except DemoFailed:
            self.set_status(503)
            if self.hall.has_failed(key) or self.hall.is_given(key):
                self.notice(CANNOT_START, seconds=15)
            else:
                self.notice("This demo is being got ready. This page tries again by itself.", seconds=5)
            return
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(page)

    async def head(self, key: str) -> None:
        """Tell whether it is ready, and give nothing."""
        if key not in self.hall.demos:
            raise web.HTTPError(404)
        self.set_status(200 if self.hall.is_given(key) else 503)


class RedirectHandler(BaseHandler):
    """The short address of a demo."""

    async def get(self, key: str) -> None:
        """Lead to the long one, where Voila's page finds its files."""
        if key not in self.hall.demos:
            raise web.HTTPError(404)
        self.redirect(f"{self.hall.base_url}voila/render/{quote(key)}.ipynb")


class KernelHandler(BaseHandler):
    """Whether a page's kernel still lives."""

    async def get(self, kernel_id: str) -> None:
        """Tell the page that knows its id; the ids are too long to be guessed."""
        if self.hall.sessions.get(kernel_id) is None:
            raise web.HTTPError(404)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"id": kernel_id, "name": "python3", "execution_state": "idle", "connections": 1}))


class LeaveHandler(BaseHandler):
    """What a page says when it is closed."""

    async def post(self, kernel_id: str) -> None:
        """End its kernel."""
        await self.hall.end(kernel_id, "its page was closed")
        self.set_status(204)


class StaticFileHandler(BaseHandler):
    """A file from the list."""

    async def get(self, address: str) -> None:
        """Send it as small as the browser takes it, and once."""
        asset = self.hall.assets.get(address)
        if asset is None:
            raise web.HTTPError(404)
        lasts = "public, max-age=31536000, immutable" if self.request.query else "public, max-age=600"
        self.set_header("Cache-Control", lasts)
        self.set_header("Content-Type", asset.kind)
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Etag", asset.tag)
        if self.check_etag_header():
            self.set_status(304)
            return
        content = asset.content
        if asset.squeezed is not None and "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            content = asset.squeezed
        self.finish(content)


class KernelWebSocket(VoilaKernelWebsocketHandler):
    """The line between a page and its kernel."""

    @property
    def hall(self) -> Any:
        """The application."""
        return self.settings["hall"]

    async def get(self, kernel_id: str) -> None:
        """Open it, for a page of this hall, to a kernel that lives."""
        viewer = self.hall.sessions.get(kernel_id)
        if viewer is None or len(viewer.lines) >= MAX_WEBSOCKETS:
            raise web.HTTPError(404 if viewer is None else 429)
        await super().get(kernel_id)

    def check_origin(self, origin: str | None = None) -> bool:
        """Let only pages of this hall use it, also behind a proxy that has a name of its own."""
        origin = origin or self.request.headers.get("Origin", "")
        hosts = {self.request.headers.get(name) for name in ("Host", "X-Forwarded-Host")} - {None}
        return origin.split("://", 1)[-1].lower() in {host.lower() for host in hosts}

    async def open(self, kernel_id: str) -> None:
        """Note that the page is there."""
        self._may_send, self._sent_at = float(MAX_MESSAGES), self.hall.clock()
        self.ws_connection.stream.max_write_buffer_size = MAX_UNREAD_BYTES
        self.hall.sessions.open_line(kernel_id, self)
        await super().open(kernel_id)

    def on_message(self, ws_message: str | bytes) -> None:
        """Hand a message on, unless there are too many; one that cannot be read ends the line."""
        now = self.hall.clock()
        self._may_send = min(MAX_MESSAGES, self._may_send + (now - self._sent_at) * MAX_MESSAGES / 3)
        self._may_send -= 1 + len(ws_message) // ONE_MESSAGE
        self._sent_at = now
        if self._may_send < 0:
            self.close(4008, "too many messages")
            return
        try:
            require_few_parts(ws_message, self.connection.subprotocol)
            super().on_message(ws_message)
        except Exception as problem:
            self.hall.log.info("A message that cannot be read: %s", type(problem).__name__)
            self.close(4007, "not a message")
            return
        self.hall.sessions.touch(self.kernel_id)

    def write_message(self, message: bytes | dict, binary: bool = False) -> Any:
        """Tell the page what it needs to hear; what a kernel says on its terminal is said on the hall's."""
        header = message.get("header") if isinstance(message, dict) else None
        if isinstance(message, bytes):
            header = read_header_from_binary_message(message)
        elif isinstance(message, str):
            header = json.loads(message).get("header")
        if (header or {}).get("msg_type") in HEARD_MESSAGES:
            try:
                return super().write_message(message, binary)
            except StreamBufferFullError:  # left alone, what is unread would pile up here, out of sight of any limit
                self.ws_connection.stream.close()
                IOLoop.current().add_callback(self.hall.end, self.kernel_id, "its page does not read")
                return None
        self.hall.log.debug("Not told to a page: %s", message)
        return None

    def on_close(self) -> None:
        """Note that the page is gone, for now."""
        self.hall.sessions.close_line(self.kernel_id, self)
        super().on_close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell a stranger nothing."""
        self.finish()


def require_few_parts(message: str | bytes, protocol: str | None) -> None:
    """Refuse a message that claims more parts than any of ours: Jupyter would go through them all, however many.

    Raises
    ------
    ValueError
    """
    if isinstance(message, bytes):
        is_newer = protocol == NEWER_PROTOCOL
        if int.from_bytes(message[: 8 if is_newer else 4], "little" if is_newer else "big") > MAX_MESSAGE_PARTS:
            raise ValueError("too many parts")


def routes(base_url: str) -> list[tuple]:
    """Return the list of all that the hall answers to."""
    root = re.escape(base_url)
    return [
        (f"{root}", GalleryHandler),
        (f"{root}demo/([^/]+)", RedirectHandler),
        (f"{root}voila/render/([^/]+)\\.ipynb", DemoHandler),
        (f"{root}api/kernels/{KERNEL_ID}", KernelHandler),
        (f"{root}api/kernels/{KERNEL_ID}/channels", KernelWebSocket),
        (f"{root}voila/api/shutdown/{KERNEL_ID}", LeaveHandler),
        (f"{root}((?:voila|hall)/[\\w@./-]+)", StaticFileHandler),
    ]
