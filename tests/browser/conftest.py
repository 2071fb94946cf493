"""A real JupyterLab, a real Voila and a real browser, all on this machine, with folders of their own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from forked_kernels import forked_kernels
from repository import ROOT
from transformers import AutoTokenizer, GPT2LMHeadModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.conftest import random_gpt2

TOKEN = "only-on-loopback"
HOSTILE = "</script><img src=x onerror=window.__xss=1>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",  # a container's root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_BROWSER = "no browser here: apt-get install chromium, or python -m playwright install chromium"
NO_AXE = "no axe-core here: npm install in this folder, or set AXE_CORE to its axe.min.js"


# -- models ------------------------------------------------------------------------------------------------------------


def save_beside_tokenizer(network: GPT2LMHeadModel, tokenizer_folder: Path, folder: Path) -> Path:
    network.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_folder / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def slow_folder(tiny_folder, tmp_path_factory) -> Path:
    """A random GPT-2 slow enough to be watched: gibberish, some of it broken UTF-8."""
    network = random_gpt2(1, 3, n_layer=24, n_embd=256, n_head=4)  # a larger spread would write the same words again
    return save_beside_tokenizer(network, tiny_folder, tmp_path_factory.mktemp("class") / "random-gpt2")


@pytest.fixture(scope="session")
def hostile_folder(tiny_folder, tmp_path_factory) -> Path:
    """A GPT-2 that writes script, and nothing else: one entry of its vocabulary is HOSTILE, and a bias prefers it."""
    folder = tmp_path_factory.mktemp("hostile") / "hostile-gpt2"
    network = GPT2LMHeadModel.from_pretrained(tiny_folder)
    last = len(AutoTokenizer.from_pretrained(tiny_folder)) - 2  # the last merge: no other one is built on it
    with torch.no_grad():
        row = network.transformer.wte.weight[last]
        network.transformer.ln_f.weight.zero_()
        network.transformer.ln_f.bias.copy_(20 * row / row.dot(row))
    save_beside_tokenizer(network, tiny_folder, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
    old = next(token for token, token_id in vocabulary.items() if token_id == last)
    del vocabulary[old]
    vocabulary["".join(bytes_to_unicode()[byte] for byte in HOSTILE.encode())] = last
    merges.pop()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return folder


# -- servers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def environment(slow_folder, tmp_path_factory) -> Iterator[dict[str, str]]:
    """Folders that no person and no other test shares, and kernels that start quickly."""
    home = tmp_path_factory.mktemp("jupyter")
    news = home / "config/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    variables = {
        **os.environ,
        **{name: str(home / folder) for name, folder in folders.items()},
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COURSE_MODELS": str(slow_folder.parent),
        "COURSE_LEDGER": str(home / "kept.jsonl"),
        "COURSE_CACHE": str(tmp_path_factory.mktemp("browser-cache")),
    }
    with forked_kernels(variables) as kernels:
        yield variables | kernels


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(command: list[str], environment: dict[str, str], url: str, log: Path, folder: Path = ROOT):
    """Start a server in a folder, give its address, and end it with its kernels."""
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        for _ in range(960):
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail(f"no answer from {url}\n{log.read_text()}")
        yield
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def write_notebook(file: Path, *sources: str) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{i}",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": source,
        }
        for i, source in enumerate(sources)
    ]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    file.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), "utf-8")


@pytest.fixture(scope="session")
def notebooks(hostile_folder, tmp_path_factory) -> Path:
    """Copies of the course's notebooks, and two of the tests' own; what a test saves does not touch the originals."""
    folder = tmp_path_factory.mktemp("notebooks")
    for original in [*ROOT.glob("notebooks/*.ipynb"), ROOT / "notebooks/demos/playground.ipynb"]:
        shutil.copy(original, folder)
    one = 'Playground(prompt="The letter said", settings=Settings(max_new_tokens=400))'
    write_notebook(folder / "two_panels.ipynb", f"from course_utils import Playground, Settings\n{one}", one)
    hostile = (
        f"from pathlib import Path\nfrom course_utils import Playground\nPlayground(Path({str(hostile_folder)!r}))"
    )
    write_notebook(folder / "hostile.ipynb", hostile)
    return folder


@pytest.fixture(scope="session")
def lab_url(environment, notebooks, tmp_path_factory, browser):
    """JupyterLab, showing the folder of notebooks."""
    port = free_port()
    options = ["--no-browser", f"--port={port}", "--allow-root", f"--ServerApp.root_dir={notebooks}"]
    command = ["jupyterlab", *options, f"--IdentityProvider.token={TOKEN}"]
    log = tmp_path_factory.mktemp("log") / "lab.log"
    yield from (f"http://127.0.0.1:{port}" for _ in serve(command, environment, f"http://127.0.0.1:{port}/api", log))


@pytest.fixture(scope="session")
def open_lab(environment, tmp_path_factory, browser):
    """Start a JupyterLab in a folder of a test's own: a context that gives its address and its token."""

    @contextlib.contextmanager
    def opened(folder: Path):
        port = free_port()
        options = ["--no-browser", f"--port={port}", "--allow-root", f"--ServerApp.root_dir={folder}"]
        command = ["jupyterlab", *options, f"--IdentityProvider.token={TOKEN}"]
        log = tmp_path_factory.mktemp("log") / "lab.log"
        with contextlib.contextmanager(serve)(command, environment, f"http://127.0.0.1:{port}/api", log, folder):
            yield f"http://127.0.0.1:{port}", TOKEN

    return opened


@pytest.fixture(scope="session")
def voila_url(environment, notebooks, tmp_path_factory, browser):
    """Voila with the settings of `make demo`, serving the same folder."""
    port = free_port()
    log = tmp_path_factory.mktemp("log") / "voila.log"
    command = ["voila", str(notebooks), "--no-browser", f"--port={port}"]
    yield from (f"http://127.0.0.1:{port}" for _ in serve(command, environment, f"http://127.0.0.1:{port}/", log))


# -- the browser -------------------------------------------------------------------------------------------------------


PATIENCE_MS = 120_000


class PatientBrowser:
    """A browser whose pages wait longer than Playwright's 30 seconds: other processes may keep the cores busy."""

    def __init__(self, browser) -> None:
        self._browser = browser

    def new_page(self, **options):
        page = self._browser.new_page(**options)
        page.set_default_timeout(PATIENCE_MS)
        return page

    def new_context(self, **options):
        context = self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        return context


@pytest.fixture(scope="session")
def browser():
    """Chromium, or a skip that says how to get it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install -r requirements-dev.txt")
    with playwright.sync_playwright() as driver:
        found = next(filter(None, map(shutil.which, BROWSERS)), driver.chromium.executable_path)
        if not Path(found).exists():
            pytest.skip(NO_BROWSER)
        playwright.expect.set_options(timeout=PATIENCE_MS)
        running = driver.chromium.launch(executable_path=found, args=FLAGS, timeout=PATIENCE_MS)
        yield PatientBrowser(running)
        running.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker's script, or a skip that says how to get it."""
    places = [os.environ.get("AXE_CORE"), "node_modules/axe-core/axe.min.js", ".venv/share/axe-core/axe.min.js"]
    found = next((path for path in places if path and (ROOT / path).is_file()), None)
    if not found:
        pytest.skip(NO_AXE)
    return (ROOT / found).read_text("utf-8")


@pytest.fixture(scope="session")
def photograph():
    """Save a picture for people to look at."""
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    return lambda page, name: page.screenshot(path=folder / f"{name}.png")
