"""What the hall answers on the web: a gallery, demos, their files, and the lines between pages and kernels; no more."""

import asyncio
import hmac
import json
import re
from typing import Any

import jinja2
from jupyter_server.auth.identity import IdentityProvider, User
from tornado import web
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler, read_header_from_binary_message

from course_utils.hall.assets import HERE
from course_utils.hall.lobby import HallIsFull
from course_utils.hall.nursery import DemoFailed

COOKIE = "course-hall"
KERNEL_ID = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
SAFE_HOST = re.compile(r"[\w.:\[\]-]{1,255}")
MOST_LINES = 3  # a reload opens one before the old one is closed
MOST_MESSAGES = 300  # at once; and a third of it every second
MOST_UNREAD_BYTES = 16 << 20  # what a viewer on a slow line may have waiting
WRONG_WORD_S = 0.5

# What a panel needs. Not among them: execute, complete, inspect, history, input, shutdown, debug, subshells.
ALLOWED_MESSAGES = ["comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request"]

# And what a page may hear. Not among them: stream and error, which would tell strangers of this machine's files.
HEARD_MESSAGES = {
    *("status", "comm_open", "comm_msg", "comm_close", "comm_info_reply", "kernel_info_reply"),
    *("display_data", "update_display_data", "clear_output"),
}

templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True)


def policy(host: str) -> str:
    """Return the Content-Security-Policy: everything from this host, nothing from another."""
    lines = f" ws://{host} wss://{host}" if SAFE_HOST.fullmatch(host) else ""  # older Safaris need them named
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'",
            "style-src 'self' blob: 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self'{lines} blob: data:",
            "worker-src 'self' blob:",
            "frame-ancestors 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
        ]
    )


class Guarded(web.RequestHandler):
    """What all answers share: headers that keep a page to itself, the token, and errors that tell nothing."""

    @property
    def hall(self) -> Any:
        """The application."""
        return self.settings["hall"]

    def set_default_headers(self) -> None:
        """Say nothing of the software, and let the page reach nobody else."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Content-Security-Policy", policy(self.request.host))

    async def prepare(self) -> None:
        """Let in who has the token, if there is one."""
        await keep_the_door(self)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell a person what to do, and a stranger nothing."""
        sentence = {404: "There is no such page here.", 405: "That cannot be done here."}
        self.notice(sentence.get(status_code, "That did not work. Please load the page anew."))

    def notice(self, sentence: str, seconds: int = 0, asks_for_token: bool = False) -> None:
        """Finish with a page of one sentence; it loads itself anew after some seconds, if any are given."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        if seconds:
            self.set_header("Retry-After", str(seconds))
        page = templates.get_template("notice.html")
        self.finish(page.render(sentence=sentence, seconds=seconds, token=asks_for_token, base=self.hall.base_url))


async def keep_the_door(handler: web.RequestHandler) -> None:
    """Let in who shows the token, by address or by cookie; a right address becomes a cookie."""
    hall = handler.settings["hall"]
    shown = handler.get_query_argument("token", "")
    if is_let_in(handler) and not shown:
        return
    if hall.token and hmac.compare_digest(shown.encode(), hall.token.encode()):
        secure = handler.request.protocol == "https"
        handler.set_signed_cookie(
            COOKIE, "in", path=hall.base_url, httponly=True, samesite="Lax", secure=secure, expires_days=1
        )
        handler.redirect(handler.request.path)  # the token should not stay where a projector shows it
        return
    if not hall.token:
        return
    if shown:
        await asyncio.sleep(WRONG_WORD_S)
    handler.set_status(403)
    handler.notice("This hall is open to those who have its word. Who invited you shows it.", asks_for_token=True)


def is_let_in(handler: web.RequestHandler) -> bool:
    """Tell whether this hall has no token, or this browser has shown it."""
    return not handler.settings["hall"].token or handler.get_signed_cookie(COOKIE, max_age_days=1) == b"in"


class Nothing(Guarded):
    """Every address that is not on the list."""

    async def prepare(self) -> None:
        """Refuse, whoever asks."""
        raise web.HTTPError(404)


class Gallery(Guarded):
    """The front page."""

    async def get(self) -> None:
        """Show what there is to see; no kernel is needed for that."""
        self.set_header("Cache-Control", "no-cache")
        page = templates.get_template("gallery.html")
        self.finish(page.render(demos=list(self.hall.demos.values()), base=self.hall.base_url))


class DemoPage(Guarded):
    """A demo, with a kernel of the viewer's own."""

    async def get(self, key: str) -> None:
        """Give a kernel, and Voila's page that knows it."""
        if key not in self.hall.demos:
            raise web.HTTPError(404)
        try:
            page = await self.hall.seat(key)
        except HallIsFull:
            self.set_status(503)
            self.notice("The hall is full. This page tries again by itself.", seconds=10)
            return
        except DemoFailed:
            self.set_status(503)
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


class OtherName(Guarded):
    """The short address of a demo."""

    async def get(self, key: str) -> None:
        """Lead to the long one, where Voila's page finds its files."""
        if key not in self.hall.demos:
            raise web.HTTPError(404)
        self.redirect(f"{self.hall.base_url}voila/render/{key}.ipynb")


class Kernel(Guarded):
    """Whether a page's kernel still lives."""

    async def get(self, kernel_id: str) -> None:
        """Tell the page that knows its id; the ids are too long to be guessed."""
        if self.hall.lobby.get(kernel_id) is None:
            raise web.HTTPError(404)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"id": kernel_id, "name": "python3", "execution_state": "idle", "connections": 1}))


class Leave(Guarded):
    """What a page says when it is closed."""

    async def post(self, kernel_id: str) -> None:
        """End its kernel."""
        await self.hall.end(kernel_id, "its page was closed")
        self.set_status(204)


class File(Guarded):
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


class KnownByToken(IdentityProvider):
    """For Jupyter's websocket: whoever was let in is a viewer, and nobody is anybody in particular."""

    async def get_user(self, handler: web.RequestHandler) -> User | None:
        """Return a viewer, or nobody."""
        return User("viewer") if is_let_in(handler) else None


class Line(VoilaKernelWebsocketHandler):
    """The line between a page and its kernel."""

    @property
    def hall(self) -> Any:
        """The application."""
        return self.settings["hall"]

    async def get(self, kernel_id: str) -> None:
        """Open it, for a page of this hall, to a kernel that lives."""
        viewer = self.hall.lobby.get(kernel_id)
        if viewer is None or len(viewer.lines) >= MOST_LINES:
            raise web.HTTPError(404 if viewer is None else 429)
        await super().get(kernel_id)

    def check_origin(self, origin: str | None = None) -> bool:
        """Let only pages of this hall use it, also behind a proxy that has a name of its own."""
        origin = origin or self.request.headers.get("Origin", "")
        hosts = {self.request.headers.get(name) for name in ("Host", "X-Forwarded-Host")} - {None}
        return origin.split("://", 1)[-1].lower() in {host.lower() for host in hosts}

    async def open(self, kernel_id: str) -> None:
        """Note that the page is there."""
        self._may_send, self._sent_at = float(MOST_MESSAGES), self.hall.clock()
        self.ws_connection.stream.max_write_buffer_size = MOST_UNREAD_BYTES
        self.hall.lobby.open_line(kernel_id, self)
        await super().open(kernel_id)

    def on_message(self, ws_message: str | bytes) -> None:
        """Hand a message on, unless there are too many; one that cannot be read ends the line."""
        now = self.hall.clock()
        self._may_send = min(MOST_MESSAGES, self._may_send + (now - self._sent_at) * MOST_MESSAGES / 3) - 1
        self._sent_at = now
        if self._may_send < 0:
            self.close(4008, "too many messages")
            return
        try:
            super().on_message(ws_message)
        except Exception as problem:
            self.hall.log.info("A message that cannot be read: %s", type(problem).__name__)
            self.close(4007, "not a message")
            return
        self.hall.lobby.touch(self.kernel_id)

    def write_message(self, message: bytes | dict, binary: bool = False) -> Any:
        """Tell the page what it needs to hear; what a kernel says on its terminal is said on the hall's."""
        header = message.get("header") if isinstance(message, dict) else None
        if isinstance(message, bytes):
            header = read_header_from_binary_message(message)
        elif isinstance(message, str):
            header = json.loads(message).get("header")
        if (header or {}).get("msg_type") in HEARD_MESSAGES:
            return super().write_message(message, binary)
        self.hall.log.debug("Not told to a page: %s", message)
        return None

    def on_close(self) -> None:
        """Note that the page is gone, for now."""
        self.hall.lobby.close_line(self.kernel_id, self)
        super().on_close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell a stranger nothing."""
        self.finish()


def routes(base_url: str) -> list[tuple]:
    """Return the list of all that the hall answers to."""
    root = re.escape(base_url)
    return [
        (f"{root}", Gallery),
        (f"{root}demo/([\\w-]+)", OtherName),
        (f"{root}voila/render/([\\w-]+)\\.ipynb", DemoPage),
        (f"{root}api/kernels/{KERNEL_ID}", Kernel),
        (f"{root}api/kernels/{KERNEL_ID}/channels", Line),
        (f"{root}voila/api/shutdown/{KERNEL_ID}", Leave),
        (f"{root}((?:voila|hall)/[\\w@./-]+)", File),
    ]
