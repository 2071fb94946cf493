"""Client of the fork server: starts template processes, one for each demo, and notices when they end."""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.core.paths import python_path
from course_utils.errors import CourseError
from course_utils.hall.kernels import fork_server

SPARE_MEMORY = {
    "MALLOC_ARENA_MAX": "2",  # every thread of every viewer would get an arena of its own
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
MAX_ANSWER_BYTES = 64 << 20  # a notebook's outputs may hold pictures
PREPARE_S = 180.0
REST_S = 60.0  # how long a notebook's panels may go on preparing in the background, for example asking for models
AT_ONCE = 2  # notebooks that run at the same time at the start: the first in the gallery should be ready first

if TYPE_CHECKING:  # the kernels know a demo by its key and its notebook only
    from course_utils.hall.demos import DemoNotebook

log = logging.getLogger("course_utils.hall")


class DemoFailed(CourseError):
    """A demo's notebook does not run through here."""


@dataclass
class LifetimeConnection:
    """A connection to a process that ends with it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        """Cut it."""
        self.writer.close()

    async def wait_closed(self) -> None:
        """Wait until it is cut."""
        await self.writer.wait_closed()


@dataclass
class TemplateProcess:
    """A notebook that is ready: where to ask for kernels, and what its cells show."""

    door: str
    pid: int
    cells: dict[str, list[dict]]
    life_line: LifetimeConnection


class ForkServerClient:
    """The process from which every demo's template process splits off.

    Parameters
    ----------
    folder : Path
        A private folder with a short path: sockets lie in it.
    environment : dict
        What notebooks and kernels find in their environment beside the hall's own.
    demos : iterable of DemoNotebook
        All that it will be asked for: what their notebooks import, it imports once.
    """

    def __init__(self, folder: Path, environment: dict[str, str], demos: "Iterable[DemoNotebook]") -> None:
        self._folder, self._environment = folder, environment
        self.rest_s = REST_S
        self._notebooks = [str(demo.notebook) for demo in demos]
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._n_sockets = 0

    async def prepare(self, demo: "DemoNotebook") -> TemplateProcess:
        """Return a template process of this demo's notebook, which has run.

        Raises
        ------
        DemoFailed
        """
        self._n_sockets += 1
        door = str(self._folder / f"z{self._n_sockets}")
        request = {"notebook": str(demo.notebook), "door": door, "rest_s": self.rest_s}
        try:
            await self._start()
            async with self._turns:
                answer, writer = await asyncio.wait_for(ask(str(self._folder / "n"), request), PREPARE_S)
        except (TimeoutError, OSError, ValueError) as problem:
            code = self._process.returncode if self._process is not None else None
            ended = "" if code is None else f"; the process that starts demos ended with exit code {code}"
            raise DemoFailed(
                f"The demo {demo.key} cannot be started: {type(problem).__name__}: {problem}{ended}.",
                "A machine with memory for another process, and a folder for sockets that can be written.",
                "Read what stands above. Close other programs, or set TMPDIR to a short folder such as /tmp.",
            ) from problem
        if "error" in answer:
            writer.close()
            raise DemoFailed(
                f"The demo {demo.key} does not run here: {answer['error']}",
                f"That {demo.notebook} runs from top to bottom.",
                "Open it in JupyterLab and run it there.",
            )
        return TemplateProcess(door, answer["pid"], answer["cells"], writer)

    async def stop(self) -> None:
        """End the fork server; its template processes end as their life lines are cut."""
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), 3)
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            self._process = None

    async def _start(self) -> None:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return
            door = self._folder / "n"
            door.unlink(missing_ok=True)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", fork_server.__name__, str(door), *self._notebooks),
                stdin=asyncio.subprocess.PIPE,
                env={**os.environ, **SPARE_MEMORY, **self._environment, "PYTHONPATH": python_path()},
                start_new_session=True,  # Ctrl+C in the terminal is the hall's to answer
            )
            while not door.exists() and self._process.returncode is None:
                await asyncio.sleep(0.02)


async def ask(door: str, request: dict) -> tuple[dict, LifetimeConnection]:
    """Ask at a door; return the answer, and the connection as life line.

    Raises
    ------
    OSError, ValueError
        Nobody is there, or they hung up.
    """
    reader, writer = await asyncio.open_unix_connection(door, limit=MAX_ANSWER_BYTES)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
    except BaseException:
        writer.close()
        raise
    return answer, LifetimeConnection(reader, writer)


async def until_gone(life_line: LifetimeConnection) -> None:
    """Wait until the process at the other end of a life line has ended."""
    with contextlib.suppress(OSError):
        await life_line.reader.read()
