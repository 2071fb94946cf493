"""Authentication by token and cookie, the lecturer's key, and security headers of every response."""

import asyncio
import hmac
import re
from typing import Any

import jinja2
from jupyter_server.auth.identity import IdentityProvider, User
from tornado import web

from course_utils.hall.static_files import HALL

COOKIE = "course-hall"
LECTURER_COOKIE = "course-hall-lecturer"
SAFE_HOST = re.compile(r"[\w.:\[\]-]{1,255}")
WRONG_WORD_S = 0.5

templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HALL), autoescape=True)


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


class BaseHandler(web.RequestHandler):
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
        await authenticate(self)

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


async def authenticate(handler: BaseHandler) -> None:
    """Let in who shows the token, by address or by cookie; a right word becomes a cookie and leaves the address."""
    hall = handler.settings["hall"]
    words = {COOKIE: (hall.token, "token"), LECTURER_COOKIE: (hall.lecturer_key, "lecturer")}
    shown = {cookie: handler.get_query_argument(name, "") for cookie, (_, name) in words.items()}
    right = [cookie for cookie, (word, _) in words.items() if word and _is_same(shown[cookie], word)]
    if right:
        for cookie in dict.fromkeys([COOKIE, *right]):  # who may lecture may come in
            _set_cookie(handler, cookie)
        handler.redirect(handler.request.path)  # a word should not stay where a projector shows it
        return
    if not any(shown.values()) and is_authenticated(handler):
        return
    if any(shown.values()):
        await asyncio.sleep(WRONG_WORD_S)
    if not hall.token:
        return
    handler.set_status(403)
    handler.notice("This hall is open to those who have its word. Who invited you shows it.", asks_for_token=True)


def _is_same(shown: str, word: str) -> bool:
    # A word from the command line may hold bytes that are no UTF-8.
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), word.encode("utf-8", "surrogateescape"))


def _set_cookie(handler: web.RequestHandler, cookie: str) -> None:
    path, secure = handler.settings["hall"].base_url, handler.request.protocol == "https"
    handler.set_signed_cookie(cookie, "in", path=path, httponly=True, samesite="Lax", secure=secure, expires_days=1)


def is_lecturer(handler: web.RequestHandler) -> bool:
    """Tell whether this browser has shown the lecturer's key."""
    return handler.get_signed_cookie(LECTURER_COOKIE, max_age_days=1) == b"in"


def is_authenticated(handler: web.RequestHandler) -> bool:
    """Tell whether this hall has no token, or this browser has shown it."""
    return not handler.settings["hall"].token or handler.get_signed_cookie(COOKIE, max_age_days=1) == b"in"


class TokenIdentityProvider(IdentityProvider):
    """For Jupyter's websocket: whoever was let in is a viewer, and nobody is anybody in particular."""

    async def get_user(self, handler: web.RequestHandler) -> User | None:
        """Return a viewer, or nobody."""
        return User("viewer") if is_authenticated(handler) else None
