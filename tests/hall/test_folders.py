"""The hall opens wherever its folders lie and whatever they are called, and says so where it cannot."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from guest import Guest, OpenHall, write_notebook

from course_utils.hall.demos import DemoNotebook
from course_utils.hall.kernels.kernel_pool import DemoFailed, ForkServerClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot split processes"),
]

ODD = "a %20#b?c&d;e 'f' \"g\" [1] {connection_file} %s ü😀\n"
PANEL = "import ipywidgets\nipywidgets.IntSlider(value=3)"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which nobody can write")
def test_a_hall_opens_with_a_home_folder_that_cannot_be_written(tmp_path):
    write_notebook(tmp_path / "toy.ipynb", PANEL)
    home = "/proc/no-home"  # not even the superuser can make it
    odd = {"HOME": home, "COURSE_CACHE": f"{home}/cache", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    hall = OpenHall(tmp_path, tmp_path / "hall.log", "--no-model", **odd)
    try:
        page = Guest(hall.wait("toy"), "toy").open_line()
        assert page.states()["IntSliderModel"]["value"] == 3
        page.leave()
    finally:
        assert hall.close() == []
    assert home not in hall.log
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(("length", "base"), [(99, "/"), (200, "/vor lesung/")])
def test_a_hall_opens_below_a_long_tmpdir_with_odd_names(length, base, tmp_path):
    demos = tmp_path / ODD / "demos"
    demos.mkdir(parents=True)
    key = "my demo [1] 100%"
    write_notebook(demos / f"{key}.ipynb", PANEL)
    tmpdir = tmp_path / ("t" * length)
    tmpdir.mkdir()
    odd = {"TMPDIR": str(tmpdir), "COURSE_CACHE": str(tmp_path / ODD / "cache")}
    hall = OpenHall(demos, tmp_path / "hall.log", "--no-model", base=base, **odd)
    hall.base = quote(base)
    try:
        hall.wait(quote(key))
        assert f"voila/render/{quote(key)}.ipynb" in hall.get(hall.base)[2]
        page = Guest(hall, quote(key)).open_line()
        assert page.states()["IntSliderModel"]["value"] == 3
        page.leave()
    finally:
        assert hall.close() == []
    assert list(tmpdir.iterdir()) == []


def test_a_process_that_cannot_start_is_told_and_not_blamed_on_the_notebook(tmp_path):
    folder = tmp_path / ("x" * 120)  # a socket cannot be bound here
    folder.mkdir()
    notebook = write_notebook(tmp_path / "toy.ipynb", PANEL)

    async def prepare() -> None:
        fork_server_client = ForkServerClient(folder, {}, [])
        try:
            await fork_server_client.prepare(DemoNotebook("toy", Path(notebook), "Toy"))
        finally:
            await fork_server_client.stop()

    # A thread of its own: where browser tests run in the same process, the main thread has a loop that runs already.
    with ThreadPoolExecutor(1) as thread:
        started = thread.submit(asyncio.run, prepare())
        with pytest.raises(DemoFailed, match="(?s)cannot be started.*exit code 1.*TMPDIR") as raised:
            started.result()
    assert "top to bottom" not in str(raised.value) and len(str(raised.value).splitlines()) == 3
