"""Start command of the demo server: the model's process, the demos, one line with the address, a clean end."""

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from course_utils.core.files import expanded, temporary_folder_for_sockets
from course_utils.core.paths import cache_folder
from course_utils.hall.demos import read_demos
from course_utils.hall.model_process import ModelProcess

if TYPE_CHECKING:
    from course_utils.hall.app import HallApp

DEMOS = Path("notebooks/demos")
NO_FORK = (
    "This system cannot split processes: every viewer gets an ordinary kernel, which takes seconds and 80 MB each."
)


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command `demo` to the course's command line."""
    demo = commands.add_parser("demo", help="open a hall: the demos for a projector and a class, without code")
    demo.add_argument("--port", type=port_number, default=8866, help="where it listens (8866)")
    demo.add_argument("--ip", default="127.0.0.1", help="0.0.0.0 lets the whole network in (127.0.0.1: this machine)")
    demo.add_argument("--token", nargs="?", const="", help="viewers need this word; without a WORD one is made up")
    demo.add_argument("--base-url", default="/", help="the path under which a proxy shows the hall, such as /lectures/")
    demo.add_argument(
        "--model", nargs="+", default=[], metavar="NAME", help="loaded at once, the first speaks (the best)"
    )
    demo.add_argument(
        "--no-model", action="store_true", help="start none: recordings and what needs no model still work"
    )
    demo.add_argument("--demos", type=Path, default=DEMOS, metavar="FOLDER", help=f"the notebooks ({DEMOS})")
    demo.add_argument("--seats", type=int, default=60, help="how many viewers at once (60)")
    demo.add_argument("--free-memory", type=float, default=400, metavar="MB", help="let nobody in below this (400)")
    demo.add_argument(
        "--class-file", type=Path, help="where votes are kept (class.sqlite in the course's cache folder)"
    )
    demo.add_argument("--session", help="the name of this lecture among the votes (one is made up)")
    demo.add_argument("--no-fork", action="store_true", help="ordinary kernels, as on Windows")
    demo.add_argument("--no-browser", action="store_true", help="do not open the page here")
    demo.set_defaults(run=open_hall)


def port_number(text: str) -> int:
    """Read a port from the command line: a whole number from 0 to 65535."""
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a whole number from 0 to 65535")
    return port


def open_hall(chosen: argparse.Namespace) -> int:
    """Open a hall and keep it open until Ctrl+C, or until it is told to end; return the exit code."""
    demos = read_demos(chosen.demos)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # Jupyter gives Tornado its milliseconds as seconds, and Tornado says that it helps itself.
    logging.getLogger("tornado.general").addFilter(lambda record: "ping_timeout" not in record.getMessage())
    private = temporary_folder_for_sockets("hall-")
    os.environ["IPYTHONDIR"] = str(private / "ipython")  # no person's settings; and the home folder may be read-only
    try:
        asyncio.run(_run(chosen, demos, private))
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return 0


async def _run(chosen: argparse.Namespace, demos: dict, private: Path) -> None:
    environment = _environment(chosen)
    model = None
    if not chosen.no_model:
        model = ModelProcess(chosen.model)
        environment |= model.environment
        await model.start()
    app = _app(chosen, demos, private, environment)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # after Voila has set its own
        with contextlib.suppress(NotImplementedError):  # Windows ends by KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        app.begin(model.until_ready if model is not None else None)
        _tell(app, chosen)
        await stop.wait()
    finally:
        with contextlib.suppress(AttributeError):
            await app.finish()
        if model is not None:
            await model.stop()


def _environment(chosen: argparse.Namespace) -> dict[str, str]:
    """Return what notebooks and kernels are told."""
    class_file = expanded(chosen.class_file) if chosen.class_file else cache_folder() / "class.sqlite"
    return {
        "COURSE_HALL": "1",
        "COURSE_CLASS": str(class_file),
        "COURSE_CLASS_SESSION": chosen.session or secrets.token_hex(4),
    }


def _app(chosen: argparse.Namespace, demos: dict, private: Path, environment: dict[str, str]) -> "HallApp":
    from course_utils.hall.app import SETTINGS, HallApp  # Voila takes a second to import: not for every command

    forks = hasattr(os, "fork") and not chosen.no_fork
    if not forks:
        print(NO_FORK, flush=True)
    token = secrets.token_urlsafe(6) if chosen.token == "" else chosen.token
    base_url = f"/{quote(chosen.base_url.strip('/'), safe='/%')}/".replace("//", "/")
    app = HallApp(
        demos,
        config=SETTINGS,
        port=chosen.port,
        ip=chosen.ip,
        base_url=base_url,
        token=token or "",
        lecturer_key=secrets.token_urlsafe(9),
        root_dir=str(next(iter(demos.values())).notebook.parent),
        n_seats=chosen.seats,
        floor_mb=chosen.free_memory,
        private=str(private),
        kernel_environment=environment,
        forks=forks,
        log_level=logging.WARNING,
    )
    app.initialize([])
    return app


def _tell(app: "HallApp", chosen: argparse.Namespace) -> None:
    """Say where the hall is, in one line an address."""
    query = f"?token={quote(app.token, safe='')}" if app.token else ""
    hosts = ["127.0.0.1"] if chosen.ip in ("0.0.0.0", "") else [chosen.ip]
    if chosen.ip in ("0.0.0.0", ""):
        hosts = [own_address(), *hosts]
    for host in dict.fromkeys(f"[{host}]" if ":" in host else host for host in hosts if host):
        print(f"The hall is open: http://{host}:{app.port}{app.base_url}{query}", flush=True)
    lectern = f"http://127.0.0.1:{app.port}{app.base_url}?lecturer={app.lecturer_key}"
    print(f"For whoever lectures, with new rounds of votes and their CSV: {lectern}", flush=True)
    if not chosen.no_browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(lectern)


def own_address() -> str:
    """Return this machine's address in its network, or nothing where it has none; nothing is sent for it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address that is nobody's (RFC 5737)
        return probe.getsockname()[0]
    return ""
