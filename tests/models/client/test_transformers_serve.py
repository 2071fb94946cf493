"""Laws of the client against a server that is not ours: the one that transformers brings."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_utils.models.client.connection import ServerConnection
from course_utils.models.client.remote_model import RemoteModel
from course_utils.models.inference.base import Capabilities, NeedsWeights
from course_utils.models.inference.settings import Settings
from course_utils.widgets.playground.playground import Playground

NEEDED = ("fastapi", "uvicorn", "openai", "pydantic")
COMMAND = Path(sys.executable).with_name("transformers")
READY_S = 240

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, NEEDED)) or not COMMAND.exists(), reason="no transformers[serving] here"
    ),
]


@pytest.fixture(scope="module")
def url(tiny_folder, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [COMMAND, "serve", tiny_folder, "--device", "cpu", "--port", str(port)]
    surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path_factory.mktemp("hub"))}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(list(map(str, command)), env=surroundings, **quiet) as process:
        line, end = ServerConnection(f"http://127.0.0.1:{port}"), time.monotonic() + READY_S
        while not line.is_there() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.1)
        yield line.url
        process.kill()


def test_a_foreign_server_writes_and_what_it_lacks_is_known(url, tiny, tiny_folder):
    model = RemoteModel(url, str(tiny_folder))
    assert model.capabilities == Capabilities(False, 0, False, False, False, False, False)
    generation = model.generate("The senate", Settings(8, temperature=0))[0]
    assert generation.text == tiny.generate("The senate", Settings(8, temperature=0))[0].text
    assert (generation.ended, generation.notice) == ("length", "")
    with pytest.raises(NeedsWeights, match="does not score"):
        model.score("The senate")

    panel = Playground(model, prompt="The senate", settings=Settings(4))
    panel.generate()
    assert panel.wait(READY_S) and panel.state == "done", panel.message
    assert panel.lacks["settings"] == ["top_k", "repetition_penalty", "seed"]
    assert panel.lacks["ranks"] and panel.lacks["alternatives"]
    assert panel.lacks["words"].startswith(
        "This server gives no ranks, alternatives or scores of a text and takes no top-k"
    )
    assert all(number is None for step in panel.samples[0]["steps"] for number in (step[2], step[3], step[5]))
    panel.resume()
    assert panel.wait(READY_S) and "asked for anew" in panel.message
