"""A viewer of the hall without a browser: fetches the page, opens its line as Voila's page does, and uses the panel."""

import asyncio
import contextlib
import json
import re
import time
import uuid
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

KERNEL = re.compile(r'kernelId": ?"([0-9a-f-]{36})"')
PAGE_S = 60.0


class Viewer:
    """One page of a demo.

    Parameters
    ----------
    hall : str
        The address of the gallery, with a slash at its end.
    demo : str

    Attributes
    ----------
    opened_s, usable_s : float
        From the request until the page had come, and until its panel could be used.
    """

    def __init__(self, hall: str, demo: str = "playground") -> None:
        self.hall, self.demo = hall, demo
        self.states: dict[str, dict] = {}
        self._session, self._name = uuid.uuid4().hex, uuid.uuid4().hex
        self._heard = asyncio.Condition()
        self._expected: set[str] = set()
        self._steps: list[tuple[float, int, list]] = []

    # -- come and go ---------------------------------------------------------------------------------------------------

    async def come(self) -> None:
        """Open the page, and wait until every widget of it has told its state."""
        begun = time.perf_counter()
        # A client of its own: the shared one lets ten requests at once out, where a class has a phone each.
        client = AsyncHTTPClient(force_instance=True)
        address = f"{self.hall}voila/render/{self.demo}.ipynb"
        answer = await client.fetch(HTTPRequest(address, request_timeout=PAGE_S))
        client.close()
        self.opened_s = time.perf_counter() - begun
        self.kernel = KERNEL.search(answer.body.decode())[1]
        where = urlsplit(self.hall)
        line = f"ws://{where.netloc}{where.path}api/kernels/{self.kernel}/channels?session_id={self._session}"
        origin = {"Origin": f"http://{where.netloc}"}
        self._line = await websocket_connect(HTTPRequest(line, headers=origin, connect_timeout=PAGE_S))
        self._ears = asyncio.create_task(self._listen())
        self._send("comm_info_request", {"target_name": "jupyter.widget"})
        await self.until(lambda: self._expected and self._expected <= set(self.states), PAGE_S)
        self.usable_s = time.perf_counter() - begun

    async def leave(self) -> None:
        """Close the page, and say so as Voila's page does."""
        self._ears.cancel()
        self._line.close()
        client = AsyncHTTPClient(force_instance=True)
        with contextlib.suppress(Exception):
            await client.fetch(f"{self.hall}voila/api/shutdown/{self.kernel}", method="POST", body="")
        client.close()

    def vanish(self) -> None:
        """Close the line without a word, as a phone does that is put away."""
        self._ears.cancel()
        self._line.close()

    # -- use the panel -------------------------------------------------------------------------------------------------

    @property
    def panel(self) -> str:
        """The comm of the panel that writes."""
        return next(comm for comm, state in self.states.items() if "samples" in state and "models" in state)

    @property
    def state(self) -> dict:
        """What the panel shows."""
        return self.states[self.panel]

    @property
    def n_written(self) -> int:
        """How many tokens have come of the newest request."""
        return sum(len(steps) for _, _, steps in self._steps)

    def say(self, content: dict) -> None:
        """Tell the panel's Python half something, as the panel's browser code would."""
        self._send("comm_msg", {"comm_id": self.panel, "data": {"method": "custom", "content": content}})

    async def generate(self, prompt: str, n_tokens: int, seed: int = 0, timeout: float = 120) -> "Written":
        """Press Generate, and wait until the text has ended."""
        before, begun = self.state["run"], time.perf_counter()
        self._steps = []
        values = {**self.state["values"], "max_new_tokens": n_tokens, "seed": seed, "n_samples": 1}
        self.say({"kind": "generate", "prompt": prompt, "values": values})
        await self.until(lambda: self.state["run"] > before and self.state["state"] in END, timeout)
        ended = time.perf_counter()
        first = self._steps[0][0] - begun if self._steps else float("inf")
        text = self.state["samples"][0]["text"] if self.state["samples"] else ""
        return Written(first, ended - begun, self.n_written, text, self.state["state"], self.state["message"])

    async def until(self, holds, timeout: float) -> None:
        """Wait until something holds of what was heard."""

        async def wait() -> None:
            async with self._heard:
                await self._heard.wait_for(holds)

        await asyncio.wait_for(wait(), timeout)

    # -- the line ------------------------------------------------------------------------------------------------------

    def _send(self, kind: str, content: dict) -> None:
        message = {
            "header": {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": self._session, "username": "",
                       "version": "5.3", "date": ""},
            "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": [],
        }  # fmt: skip
        with contextlib.suppress(WebSocketClosedError):
            self._line.write_message(json.dumps(message))

    async def _listen(self) -> None:
        while (raw := await self._line.read_message()) is not None:
            if isinstance(raw, bytes):
                continue  # pictures and other buffers: nothing here draws
            message = json.loads(raw)
            content = message["content"]
            match message["header"]["msg_type"]:
                case "comm_info_reply":
                    self._expected = set(content["comms"])
                    for comm in self._expected:
                        self._send("comm_msg", {"comm_id": comm, "data": {"method": "request_state"}})
                case "comm_msg" | "comm_open":
                    self._take(content["comm_id"], content["data"])
            async with self._heard:
                self._heard.notify_all()

    def _take(self, comm: str, data: dict) -> None:
        if "state" in data:
            self.states.setdefault(comm, {}).update(data["state"])
        told = data.get("content", {})
        if data.get("method") == "custom" and told.get("kind") == "steps":
            self._steps.append((time.perf_counter(), told["run"], told["steps"]))


END = ("done", "stopped", "failed")


class Written:
    """How one request went: seconds to the first token and in all, tokens, the text, how it ended."""

    def __init__(self, first_s: float, all_s: float, n_tokens: int, text: str, state: str, message: str) -> None:
        self.first_s, self.all_s, self.n_tokens = first_s, all_s, n_tokens
        self.text, self.state, self.message = text, state, message
