"""A guest of the hall without a browser, for tests that send what no page of ours would: raw addresses and messages."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from repository import ROOT
from websockets.sync.client import connect

KERNEL = re.compile(r'"kernelId": ?"([0-9a-f-]{36})"')
SOON_S = 120.0


def write_notebook(file: Path, *sources: str) -> Path:
    """Save a notebook with these code cells."""
    blank = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**blank, "id": f"cell{i}", "source": source} for i, source in enumerate(sources)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    file.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), "utf-8")
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OpenHall:
    """`python -m course_utils demo` in a process of its own, with what it prints and what belongs to it."""

    def __init__(self, folder: Path, log: Path, *options: str, base: str = "/", **environment: str) -> None:
        self.port, self.base, self._log = free_port(), base, log
        command = [sys.executable, "-m", "course_utils", "demo", "--port", str(self.port), "--no-browser"]
        command += ["--demos", str(folder), "--base-url", base, "--class-file", str(log.with_suffix(".sqlite"))]
        with log.open("w") as out:
            self.process = psutil.Popen(
                [*command, *options],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(log.parent), **environment},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """Ask for exactly this path, as no browser would write it; return status, headers and text."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON_S)
        with contextlib.closing(line):
            line.request(method, path, headers=headers)
            answer = line.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read().decode("utf-8", "replace")

    def wait(self, *demos: str) -> "OpenHall":
        """Wait until these demos are given."""
        end = time.monotonic() + SOON_S
        for demo in demos:
            while True:
                assert self.process.poll() is None, self.log
                with contextlib.suppress(OSError):
                    if self.get(f"{self.base}voila/render/{demo}.ipynb", "HEAD")[0] == 200:
                        break
                assert time.monotonic() < end, self.log
                time.sleep(0.1)
        return self

    def all_of_it(self) -> list[psutil.Process]:
        """The hall, its model, its zygotes and all kernels."""
        return [self.process, *self.process.children(recursive=True)]

    def kernels(self) -> list[psutil.Process]:
        return [each for each in self.process.children(recursive=True) if each.name() == "viewer"]

    def close(self, number: int = signal.SIGTERM) -> list[psutil.Process]:
        """End it; return what is left of it."""
        everything = self.all_of_it() if self.process.is_running() else []
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.send_signal(number)
        _, left = psutil.wait_procs(everything, timeout=SOON_S)
        for each in left:
            each.kill()
        return left


class Guest:
    """One page of a demo: its kernel's id, the line to it, and what was heard.

    Parameters
    ----------
    hall : OpenHall
    demo : str
    waits : bool
        Whether it comes again while the hall is full or the demo not ready.
    """

    def __init__(self, hall: OpenHall, demo: str, waits: bool = True, **headers: str) -> None:
        self.hall, end = hall, time.monotonic() + SOON_S
        status, _, self.page = hall.get(f"{hall.base}voila/render/{demo}.ipynb", **headers)
        while waits and status == 503 and time.monotonic() < end:  # seats of browsers that left are kept for a while
            time.sleep(0.2)
            status, _, self.page = hall.get(f"{hall.base}voila/render/{demo}.ipynb", **headers)
        assert status == 200, self.page
        self.kernel = KERNEL.search(self.page)[1]
        self.heard: list[dict] = []

    def open_line(self, origin: str | None = None, protocols: Sequence[str] = ()) -> "Guest":
        """Open the line, as a page of that origin that speaks these protocols beside the oldest."""
        where = urlsplit(self.hall.url)
        address = f"ws://{where.netloc}{where.path}api/kernels/{self.kernel}/channels?session_id={uuid.uuid4().hex}"
        self._open = contextlib.ExitStack()
        origin = origin or f"http://{where.netloc}"
        asked = {"origin": origin, "subprotocols": list(protocols) or None}
        self.line = self._open.enter_context(connect(address, **asked, open_timeout=SOON_S, max_size=None))
        return self

    def send(self, kind: str, channel: str = "shell", **content: object) -> str:
        """Send a message of any kind; return its id."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": kind, "session": "s", "username": "", "version": "5.3", "date": ""}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        self.line.send(json.dumps({**message, "buffers": []}))
        return number

    def hear(self, kind: str, holds=lambda content: True, patience: float = SOON_S) -> dict:
        """Wait for a message of a kind of which something holds; return its content."""
        end = time.monotonic() + patience
        while True:
            message = json.loads(self.line.recv(timeout=max(0.01, end - time.monotonic())))
            self.heard.append(message)
            if message["header"]["msg_type"] == kind and holds(message["content"]):
                return message["content"]

    def states(self) -> dict[str, dict]:
        """Ask for the state of every widget: {model's name: its state, with its comm as "comm"}."""
        self.send("comm_info_request", target_name="jupyter.widget")
        found = {}
        for comm in self.hear("comm_info_reply")["comms"]:
            self.send("comm_msg", comm_id=comm, data={"method": "request_state"})
            state = self.hear("comm_msg", lambda content, comm=comm: content["comm_id"] == comm)["data"]["state"]
            found[state["_model_name"]] = {**state, "comm": comm}
        return found

    def change(self, comm: str, **state: object) -> None:
        """Change a widget, as its page does."""
        self.send("comm_msg", comm_id=comm, data={"method": "update", "state": state, "buffer_paths": []})

    def press(self, comm: str) -> None:
        """Press a button."""
        self.send("comm_msg", comm_id=comm, data={"method": "custom", "content": {"event": "click"}})

    def leave(self) -> None:
        """Close the page, and say so."""
        self._open.close()
        assert self.hall.get(f"{self.hall.base}voila/api/shutdown/{self.kernel}", "POST")[0] == 204
