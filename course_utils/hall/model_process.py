"""Supervisor of the model server's process: started with the hall, started anew when it dies, ended with the hall."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence

from tornado.httpclient import AsyncHTTPClient, HTTPError

from course_utils.hall.kernels import child

AGAIN_S = (0.2, 1, 3, 10)  # how long to wait before the next start, the more often it died
READY_S = 120.0
GOOD_RUN_S = 30  # after this long, a death counts as the first again

log = logging.getLogger("course_utils.hall")


class ModelProcess:
    """One `python -m course_utils serve`, on a port and with a key of its own.

    Parameters
    ----------
    models : sequence of str
        The models that are loaded at once, the first as the default; the best one here when left out.
    """

    def __init__(self, models: Sequence[str] = ()) -> None:
        self._models, self._port, self._key = models, _free_port(), secrets.token_urlsafe(16)
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task | None = None

    @property
    def environment(self) -> dict[str, str]:
        """How others find it."""
        return {"COURSE_MODEL_SERVER": f"http://127.0.0.1:{self._port}", "COURSE_MODEL_KEY": self._key}

    @property
    def pid(self) -> int | None:
        """The process that serves now."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start it, and have it watched."""
        await self._launch()
        self._watch = asyncio.create_task(self._keep())

    async def until_ready(self) -> None:
        """Wait until it answers; not for ever, for pages can say themselves that it does not."""
        loop = asyncio.get_running_loop()
        end, client = loop.time() + READY_S, AsyncHTTPClient()
        while loop.time() < end:
            with contextlib.suppress(OSError, HTTPError):
                await client.fetch(f"{self.environment['COURSE_MODEL_SERVER']}/health", request_timeout=5)
                return
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End it."""
        if self._watch is not None:
            self._watch.cancel()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), 5)
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def _keep(self) -> None:
        n_deaths, loop = 0, asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            code = await self._process.wait()
            n_deaths = 0 if loop.time() - began > GOOD_RUN_S else n_deaths + 1
            log.error("The model's process has ended (%s); it is started anew.", code)
            await asyncio.sleep(AGAIN_S[min(n_deaths, len(AGAIN_S) - 1)])
            while not await self._is_launched():
                await asyncio.sleep(AGAIN_S[-1])

    async def _is_launched(self) -> bool:
        """Start it; False where the system has no room for a process now."""
        try:
            await self._launch()
        except OSError as problem:
            log.error("The model's process cannot be started: %s; it is tried again.", problem)
            return False
        return True

    async def _launch(self) -> None:
        start = [child.__name__, str(os.getpid())] if sys.platform == "linux" else ["course_utils"]
        command = [sys.executable, "-m", *start, "serve", "--port", str(self._port)]
        if self._models:
            command += ["--model", *self._models]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, "COURSE_MODEL_KEY": self._key},
            start_new_session=True,  # Ctrl+C in the terminal is the hall's to answer
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
