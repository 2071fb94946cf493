"""A notebook that has run splits off kernels: each as if it had run the notebook alone, and none knows of another."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest
from guest import SOON_S, write_notebook

from course_utils.hall.demos import DemoNotebook
from course_utils.hall.kernels.kernel_pool import DemoFailed, ForkServerClient, LifetimeConnection, ask, until_gone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot split processes"),
]

TOY = """
import os, random
import numpy
filler = bytearray(os.urandom(1)) * 50_000_000
random.seed(1); numpy.random.seed(1)
"""


class Kernels:
    """A fork server in a loop of its own, asked from a test that knows nothing of loops."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lines = folder, []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.fork_server_client = self.do(self._nursery())

    async def _nursery(self) -> ForkServerClient:
        return ForkServerClient(self.folder, {}, [])

    def do(self, work):
        """Do something in the loop; return what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(240)

    def cut(self, line: LifetimeConnection) -> None:
        """Cut a life line."""
        self.loop.call_soon_threadsafe(line.close)

    def prepare(self, *sources: str):
        file = write_notebook(self.folder / "toy.ipynb", *sources)
        template = self.do(self.fork_server_client.prepare(DemoNotebook("toy", file, "Toy")))
        self._lines.append(template.life_line)
        return template

    def start(self, template, name: str):
        """Split off a kernel; return its client and its process."""
        from jupyter_client import BlockingKernelClient
        from jupyter_client.connect import write_connection_file

        folder = self.folder / name
        folder.mkdir()
        file, _ = write_connection_file(
            str(folder / "c.json"), transport="ipc", ip=str(folder / "k"), key=os.urandom(16).hex().encode()
        )
        environment = {"COURSE_LEDGER": str(folder / "evidence.jsonl")}
        request = {"connection_file": file, "folder": str(folder), "environment": environment}
        answer, line = self.do(ask(template.door, request))
        self._lines.append(line)
        client = BlockingKernelClient()
        client.load_connection_file(file)
        client.start_channels(hb=False)  # its heart beats in a thread that no test waits for
        return client, psutil.Process(answer["pid"]), line, folder

    async def _close_lines(self) -> None:
        for line in self._lines:
            line.close()
            with contextlib.suppress(OSError):
                await line.wait_closed()

    def close(self) -> None:
        self.do(self.fork_server_client.stop())
        self.do(self._close_lines())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def kernels():
    folder = Path(tempfile.mkdtemp(prefix="fork-"))  # sockets need a short path
    made = Kernels(folder)
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def two(kernels):
    """Two viewers of one notebook, which have come at the same time."""
    template = kernels.prepare(TOY, "import ipywidgets\nslider = ipywidgets.IntSlider(value=3)\nslider")
    both = [kernels.start(template, name) for name in ("a", "b")]
    for client, *_ in both:
        client.wait_for_ready(timeout=SOON_S)
    yield template, both
    for client, *_ in both:
        hang_up(client)


def hang_up(client) -> None:
    """Close a client with all its sockets."""
    client.stop_channels()
    client.context.destroy(linger=0)


def run(client, source: str) -> str:
    """Run a line in a kernel; return what it prints."""
    printed = []
    client.execute_interactive(
        source,
        timeout=SOON_S,
        output_hook=lambda message: printed.append(message["content"].get("text", "")),
    )
    return "".join(printed).strip()


def test_what_cells_show_names_the_widgets_that_every_kernel_has(two):
    template, both = two
    (shown,) = template.cells["cell1"]
    model = shown["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    for client, *_ in both:
        assert model in client.comm_info(reply=True, timeout=SOON_S)["content"]["comms"]


def test_viewers_do_not_see_each_others_state(two):
    _, ((first, *_), (second, *_)) = two
    run(first, "slider.value = 7; mine = 1")
    assert run(first, "print(slider.value, 'mine' in globals())") == "7 True"
    assert run(second, "print(slider.value, 'mine' in globals())") == "3 False"


def test_viewers_draw_numbers_of_their_own(two):
    drawn = [run(client, "print(random.random(), numpy.random.rand())") for client, *_ in two[1]]
    assert drawn[0] != drawn[1]
    for first, second in zip(*(line.split() for line in drawn), strict=True):
        assert first != second


def test_each_kernel_has_its_own_place(two):
    for client, _, _, folder in two[1]:
        told = run(client, "import tempfile; print(os.getcwd(), os.environ['COURSE_LEDGER'])")
        assert told.split() == [str(folder), str(folder / "evidence.jsonl")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is shared")
def test_another_viewer_takes_little_memory_of_its_own(two):
    for _, process, *_ in two[1]:
        memory = process.memory_full_info()
        assert memory.uss < 40e6, f"{memory.uss / 1e6:.0f} MB"
        assert memory.rss > 100e6  # the notebook's fifty megabytes are there, and shared


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory differently")
def test_a_viewer_cannot_take_all_memory(two):
    client = two[1][0][0]
    assert "MemoryError" in run(
        client, "try:\n    x = bytearray(2_000_000_000)\nexcept MemoryError as error:\n    print(repr(error))"
    )


def test_twelve_that_come_at_once_are_all_split_off(kernels, two):
    """An ordinary kernel would be a program of its own, which starts anew and takes most of a second."""
    template, _ = two
    twelve = [kernels.start(template, f"v{i}") for i in range(12)]
    for client, process, line, _ in twelve:
        client.wait_for_ready(timeout=SOON_S)
        assert process.ppid() == template.pid
        assert process.cmdline() == psutil.Process(template.pid).cmdline()
        hang_up(client)
        kernels.cut(line)


def test_a_kernel_ends_when_its_life_line_is_cut(kernels, two):
    client, process, line, _ = kernels.start(two[0], "short")
    client.wait_for_ready(timeout=SOON_S)
    hang_up(client)
    kernels.cut(line)
    process.wait(timeout=SOON_S)


def test_kernels_outlive_their_zygote(kernels):
    template = kernels.prepare("x = 5")
    client, process, line, _ = kernels.start(template, "orphan")
    client.wait_for_ready(timeout=SOON_S)
    psutil.Process(template.pid).kill()
    kernels.do(asyncio.wait_for(until_gone(template.life_line), SOON_S))  # and the hall hears of it
    assert run(client, "print(x)") == "5"
    hang_up(client)
    kernels.cut(line)


def test_a_notebook_that_fails_says_why(kernels):
    with pytest.raises(DemoFailed, match="KeyError: 'no such thing'"):
        kernels.prepare("{}['no such thing']")


def test_a_notebook_whose_threads_go_on_is_refused(kernels, monkeypatch):
    monkeypatch.setattr(kernels.fork_server_client, "rest_s", 0.2)
    with pytest.raises(DemoFailed, match="ticker"):
        kernels.prepare(
            "import threading, time",
            "threading.Thread(target=time.sleep, args=(60,), name='ticker', daemon=True).start()",
        )


def test_work_that_panels_began_is_done_before_anybody_comes(kernels):
    template = kernels.prepare(
        "import time\nfrom course_utils.widgets.base.worker import the_worker\ndone = []\n"
        "def work(cancel):\n    time.sleep(0.3)\n    done.append(1)\n"
        "job = the_worker().prepare(work, print)"
    )
    client, _, line, _ = kernels.start(template, "rested")
    client.wait_for_ready(timeout=SOON_S)
    assert run(client, "print(done)") == "[1]"
    again = "job = the_worker().submit(lambda cancel: done.append(2), print); print(job.wait(120), done)"
    assert run(client, again) == "True [1, 2]"
    hang_up(client)
    kernels.cut(line)


def test_nothing_is_left_when_the_hall_is_gone(kernels):
    """Last: it ends the fork server."""
    template = kernels.prepare("1")
    client, process, _, _ = kernels.start(template, "last")
    hang_up(client)
    everything = [process, psutil.Process(template.pid)]
    kernels.do(kernels.fork_server_client.stop())
    kernels.cut(template.life_line)
    with contextlib.suppress(psutil.NoSuchProcess):
        everything[1].wait(60)
    assert not everything[1].is_running()
