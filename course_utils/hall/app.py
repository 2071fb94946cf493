"""Demo server: Voila's pages and kernel connections, behind a list of all addresses that are allowed."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tornado import ioloop, web
from tornado.httpserver import HTTPServer
from traitlets import Bool, Dict, Float, Integer, Unicode
from traitlets.config import Config
from voila.app import Voila

from course_utils.errors import CourseError
from course_utils.hall import pages
from course_utils.hall.auth import TokenIdentityProvider
from course_utils.hall.demos import DemoNotebook
from course_utils.hall.handlers import ALLOWED_MESSAGES, NotFoundHandler, routes
from course_utils.hall.kernels import provisioner
from course_utils.hall.kernels.kernel_pool import DemoFailed, ForkServerClient, TemplateProcess, until_gone
from course_utils.hall.sessions import SessionManager, Viewer
from course_utils.hall.static_files import collect

MAX_CONNECTIONS = 600  # a browser opens six; lines to kernels are counted by the session manager
TRY_AGAIN_S = (0.2, 1, 5, 15)  # how long to wait before a template process that died is started anew

SETTINGS = Config(
    {
        "VoilaConfiguration": {
            "strip_sources": True,
            "show_tracebacks": False,
            "template": "lab",
            "allow_template_override": "NO",
            "allow_theme_override": "NO",
            "extension_denylist": [
                "@jupyter/nbgrader",
                "@jupyter-notebook/lab-extension",
                "@voila-dashboards/jupyterlab-preview",
                "jupyterlab-jupytext",
            ],
        },
        "VoilaExecutor": {"timeout": 180},
        "TagRemovePreprocessor": {"remove_cell_tags": ["hide"]},
        "KernelManager": {"autorestart": False},  # a kernel that died took its viewer's work with it; the page says so
        "MappingKernelManager": {"buffer_offline_messages": True, "kernel_info_timeout": 20},
        # Both would be files in the home folder, which may be read-only. Nobody signs a notebook here.
        "NotebookNotary": {"db_file": ":memory:", "secret": secrets.token_bytes(32)},
    }
)


class PortTaken(CourseError):
    """The hall cannot listen where it was told to."""


class LimitedServer(HTTPServer):
    """A server that does not hold more connections than it can serve; lines to kernels are not among them."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Begin with none."""
        super().initialize(*args, **kwargs)
        self._by_age: dict[Any, None] = {}

    def handle_stream(self, stream: Any, address: Any) -> None:
        """Hang up on the oldest when too many are open: a browser asks again, who only holds a place does not."""
        if len(self._by_age) >= MAX_CONNECTIONS:
            oldest = next(iter(self._by_age))
            del self._by_age[oldest]
            oldest.stream.close()
        super().handle_stream(stream, address)

    def start_request(self, server_conn: Any, request_conn: Any) -> Any:
        """Count a connection that is used as a new one."""
        self._by_age.pop(server_conn, None)
        self._by_age[server_conn] = None
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: Any) -> None:
        """Forget a connection that was closed, or that became a line."""
        self._by_age.pop(server_conn, None)
        super().on_close(server_conn)


class HallApp(Voila):
    """A Voila whose viewers are guests."""

    name = "hall"
    n_seats = Integer(60)
    floor_mb = Float(400.0)
    private = Unicode()
    lecturer_key = Unicode()
    kernel_environment = Dict()
    forks = Bool(True)
    demos: dict[str, DemoNotebook]
    clock = staticmethod(time.monotonic)

    def __init__(self, demos: dict[str, DemoNotebook], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.demos = demos
        self._templates: dict[str, TemplateProcess] = {}
        self._pages: dict[str, str] = {}
        self._failed: dict[str, DemoFailed] = {}
        self._tasks: set[asyncio.Task] = set()

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """Read no file of the machine's: what strangers may do is decided here."""

    # -- a run from start to end ---------------------------------------------------------------------------------------

    def begin(self, until_ready: Callable[[], Awaitable] | None = None) -> None:
        """Open the door; demos are got ready behind it.

        Parameters
        ----------
        until_ready : callable, optional
            What the demos wait for before their notebooks run.

        Raises
        ------
        PortTaken
        """
        self.connection_dir = str(Path(self.private))
        settings = self.init_settings()
        self.kernel_manager.allowed_message_types = ALLOWED_MESSAGES
        self.contents_manager.log = logging.getLogger("course_utils.hall.contents")
        self.contents_manager.log.setLevel(logging.ERROR)  # "not trusted" is said of every notebook that nobody signed
        settings.update(
            hall=self,
            default_handler_class=NotFoundHandler,
            websocket_max_message_size=1 << 20,
            ws_ping_interval=25_000,
            ws_ping_timeout=90_000,  # Jupyter measures from the last pong: no shorter than two pings
            identity_provider=TokenIdentityProvider(parent=self, log=self.log, token=""),
            log_function=_log_request,
        )
        self.app = web.Application(**settings)
        self.app.add_handlers(".*$", routes(self.base_url))
        self.assets = collect(self)
        self.sessions = SessionManager(Path(self.private), self.n_seats, self.floor_mb, self.clock)
        self.fork_server_client = ForkServerClient(Path(self.private), self.kernel_environment, self.demos.values())
        if self.forks:
            provisioner.install_provisioner()
        self._listen()
        if self.forks:
            self._spawn(self._get_ready(until_ready))
        self._culling = ioloop.PeriodicCallback(self.cull, 2000)
        self._culling.start()

    async def finish(self) -> None:
        """End every kernel, every template process, and the door."""
        self._culling.stop()
        self._server.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(self.end(viewer.kernel_id, "the hall closes") for viewer in self.sessions))
        await self.fork_server_client.stop()
        await self._server.close_all_connections()
        self.kernel_manager.context.destroy(linger=0)  # it would wait for ever to deliver what a dead kernel never read

    def _listen(self) -> None:
        with contextlib.suppress(ImportError, ValueError, OSError):
            import resource  # not on Windows

            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
        self._server = LimitedServer(
            self.app,
            xheaders=True,
            max_body_size=64 << 10,
            max_header_size=16 << 10,
            idle_connection_timeout=60,
            body_timeout=10,
        )
        try:
            self._server.listen(self.port, self.ip, backlog=512)
        except OSError as problem:
            raise PortTaken(
                f"The hall cannot listen on {self.ip or 'every address'}, port {self.port}: {problem.strerror}.",
                "A port that nobody else uses, at an address of this machine.",
                f"Say --port {self.port % 65535 + 1}, or leave --ip out, or end what runs there.",
            ) from problem
        except (UnicodeError, ValueError) as problem:
            raise PortTaken(f"--ip is {self.ip[:60]!r}.", "An address of this machine.", "Leave --ip out.") from problem

    # -- demos that are ready ------------------------------------------------------------------------------------------

    async def _get_ready(self, until_ready: Callable[[], Awaitable] | None) -> None:
        if until_ready is not None:
            await until_ready()
        for demo in self.demos.values():
            self._spawn(self._keep_ready(demo))

    async def _keep_ready(self, demo: DemoNotebook) -> None:
        """Have a template process of this demo, and another one when it dies."""
        n_failures = 0
        while True:
            try:
                template = await self.fork_server_client.prepare(demo)
                try:
                    self._pages[demo.key] = await pages.render(self, demo, template.cells)
                except BaseException:
                    template.life_line.close()
                    raise
            except Exception as problem:  # whatever it is, the pages say so and it is tried again
                if n_failures == 0 or str(problem) != str(self._failed[demo.key].__cause__ or self._failed[demo.key]):
                    self.log.error("%s", problem)
                failed = problem if isinstance(problem, DemoFailed) else DemoFailed(f"{demo.key} cannot be shown.")
                self._failed[demo.key] = failed
                n_failures += 1
            else:
                self._templates[demo.key] = template
                self._failed.pop(demo.key, None)
                n_failures = 0
                await until_gone(template.life_line)
                del self._templates[demo.key]
                self.log.error("The process that had %s ready has ended; there will be another.", demo.key)
            await asyncio.sleep(TRY_AGAIN_S[min(n_failures, len(TRY_AGAIN_S) - 1)])

    def has_failed(self, key: str) -> bool:
        """Tell whether a demo could not be got ready. It is tried again from time to time."""
        return key in self._failed

    def is_given(self, key: str) -> bool:
        """Tell whether a demo is ready."""
        return not self.forks or key in self._templates

    # -- viewers -------------------------------------------------------------------------------------------------------

    async def start_session(self, key: str, is_lecturer: bool = False) -> str:
        """Give a viewer a kernel; return the page that knows it.

        Parameters
        ----------
        key : str
        is_lecturer : bool
            Whether that kernel may begin a new round and export.

        Raises
        ------
        HallFull, DemoFailed
        """
        if not self.is_given(key):
            raise self._failed.get(key) or DemoFailed(f"The demo {key} is not ready yet.")
        viewer, leaving = self.sessions.open_session(key)
        if leaving is not None:
            self._spawn(self._end_kernel(leaving, "it made room for somebody else"))
        try:
            await self._start_kernel(viewer, is_lecturer)
            if self.forks:
                return self._pages[key].replace(pages.KERNEL_ID_PLACEHOLDER, viewer.kernel_id)
            return await pages.render_for(self, self.demos[key], viewer.kernel_id)
        except Exception as problem:
            self.log.error("No kernel for %s: %s: %s", key, type(problem).__name__, problem)
            await self.end(viewer.kernel_id, "it did not start")
            raise DemoFailed(f"The demo {key} cannot be given now.") from problem

    async def end(self, kernel_id: str, why: str) -> None:
        """End a viewer's kernel; its page, if it is still there, finds out by itself."""
        viewer = self.sessions.forget(kernel_id)
        if viewer is not None:
            await self._end_kernel(viewer, why)

    async def cull(self) -> None:
        """End the kernels of those who have left."""
        for viewer, why in self.sessions.over():
            await self.end(viewer.kernel_id, why)

    async def _start_kernel(self, viewer: Viewer, is_lecturer: bool) -> None:
        environment = {**self.sessions.environment(viewer), "COURSE_LECTURER": "1" if is_lecturer else ""}
        if self.forks:
            options = {"door": self._templates[viewer.demo].door, "folder": str(viewer.folder), "on_end": self._on_end}
        else:
            environment = {**self.kernel_environment, **environment}
            options = {"path": ""}
        await self.kernel_manager.start_kernel(
            kernel_id=viewer.kernel_id, kernel_name="python3", env=environment, **options
        )

    async def _end_kernel(self, viewer: Viewer, why: str) -> None:
        self.log.info("The kernel of one viewer of %s ends: %s.", viewer.demo, why)
        with contextlib.suppress(Exception):  # it may have gone by itself
            await self.kernel_manager.shutdown_kernel(viewer.kernel_id, now=True)

    def _on_end(self, kernel_id: str) -> None:
        if self.sessions.get(kernel_id) is not None:
            self._spawn(self.end(kernel_id, "it has ended by itself"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _log_request(handler: web.RequestHandler) -> None:
    """Say on the terminal only what went wrong, and nobody's address."""
    if handler.get_status() >= 500:
        logging.getLogger("course_utils.hall").warning("%s %s", handler.get_status(), handler.request.path)
