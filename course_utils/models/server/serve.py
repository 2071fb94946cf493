"""Start of the model server: one process holds the weights, and all viewers send it their requests."""

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from course_utils.errors import SettingsError
from course_utils.models.registry import release_stage
from course_utils.models.server.app import ModelApp
from course_utils.models.server.engine import Engine
from course_utils.models.server.model_pool import ModelPool
from course_utils.models.server.scheduler import Limits

PORT = 8799
LOOPBACK = ("127.0.0.1", "localhost", "::1")
FIRST_WORD_S = 20.0  # from a connection to its first request
END_S = 1.0
UNREAD_BYTES = 1 << 16


class ModelServer(uvicorn.Server):
    """A model server that can be started in a thread or run as a process.

    Parameters
    ----------
    host : str
        Another than this machine's own needs a token.
    port : int
        0 for any that is free.
    models : sequence of str
        Loaded before the first request; the first answers those who name none.
    token : str
    limits : Limits
    precision : str
        See `course_utils.models.server.model_pool.ModelPool`.

    Raises
    ------
    SettingsError
        If the address cannot be had, or is open to others without a token.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = PORT,
        models: tuple[str, ...] = (),
        token: str = "",
        limits: Limits | None = None,
        precision: str = "",
    ) -> None:
        self._socket = _listen(host, port, token)
        self.engine = Engine(limits or Limits())
        self.pool = ModelPool(self.engine, precision)
        self._models = models
        app = ModelApp(self.engine, self.pool, models[0] if models else "", token)
        super().__init__(
            uvicorn.Config(
                app.asgi,
                http=_Line,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(END_S),
            )
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the models, say where they are, and answer until told to end.

        Parameters
        ----------
        sockets : list of socket.socket, optional
            Where to answer; the address of `url` when left out.
        """
        try:
            for name in self._models or ("",):
                self.pool.get(name)
        except BaseException:
            self._socket.close()
            raise
        self.engine.start()
        asyncio.run(self.serve(sockets=sockets or [self._socket]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        print(f"The models answer at {self.url}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is being written, with a word to each reader, then the connections."""
        await asyncio.to_thread(self.engine.close, END_S)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def in_thread(self) -> Iterator["ModelServer"]:
        """Answer from a thread of this process, as long as the block lasts."""
        thread = threading.Thread(target=self.run, name="model server", daemon=True)
        thread.start()
        try:
            while not self.started and thread.is_alive():
                thread.join(0.01)
            yield self
        finally:
            self.should_exit = True
            thread.join()


class _Line(H11Protocol):
    """One connection. Who connects and says nothing is cut off, and so is, when told, who reads nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = cast(asyncio.Transport, transport)  # asyncio calls this for connections only
        super().connection_made(line)
        self.app_state = {**self.app_state, "abort": lambda client: line.abort()}
        self.loop.call_later(FIRST_WORD_S, lambda: line.abort() if self.cycle is None else None)


def _listen(host: str, port: int, token: str) -> socket.socket:
    if host not in LOOPBACK and not token:
        raise SettingsError(
            f"The address {host} can be reached from other machines.",
            "A token that every client must send.",
            "Add --token with a secret of your own, or leave --host out.",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError, UnicodeError) as error:
        raise SettingsError(
            f"The address {host}, port {port}, cannot be opened: {error}.",
            "A free port of this machine.",
            "Add --port 0.",
        ) from None
    # Each connection has the same: what a slow reader leaves unread is soon noticed, and takes little memory.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
    return listening


def serve_models(arguments: argparse.Namespace) -> int:
    """Serve until told to end; return the exit code.

    Parameters
    ----------
    arguments : argparse.Namespace
        host, port, model (names), token, rows, precision, stage.
    """
    os.environ.pop("COURSE_MODEL_SERVER", None)  # the weights are here
    if not 1 <= arguments.rows <= 64:
        raise SettingsError(f"--rows is {arguments.rows}.", "A whole number from 1 to 64.", "Leave it out.")
    if arguments.stage:
        release_stage.choose(arguments.stage)
    token, limits = arguments.token or os.environ.get("COURSE_MODEL_KEY", ""), Limits(arguments.rows)
    names, precision = tuple(arguments.model), arguments.precision or ""
    server = ModelServer(arguments.host, arguments.port, names, token, limits, precision)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    sys.stdout.flush()
    return 0
