"""Laws of panels whose model lies behind a server: they need no torch, wait in words, and find the server again."""

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cut_line import cut_line
from repository import ROOT

from course_utils.experiments.access.access_modes import ACTIONS
from course_utils.models import loading
from course_utils.models.client import connection
from course_utils.models.client.connection import ABSENT, ServerConnection
from course_utils.models.client.remote_model import RemoteModel
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.models.server.scheduler import Limits
from course_utils.models.server.serve import ModelServer
from course_utils.widgets.access_regimes.access_regimes import AccessRegimes
from course_utils.widgets.base.server_watch import NOT_THERE
from course_utils.widgets.blind_test.blind_test import BlindTest
from course_utils.widgets.detector_bench.detector_bench import DetectorBench
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.side_by_side.side_by_side import SideBySide
from course_utils.widgets.token_map.token_map import TokenMap

pytestmark = pytest.mark.slow

PANELS = [
    "playground",
    "side_by_side",
    "token_map",
    "blind_test",
    "detector_bench",
    "timeline",
    "access_regimes",
    "bias_probe",
]
SOON_S = 120


@pytest.fixture(scope="module")
def server(tiny_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COURSE_MODELS", str(tiny_folder.parent))
        one = ModelServer(port=0, models=(tiny_folder.name,), precision="fp32", limits=Limits(rows=2))
        with one.in_thread():
            yield one


@pytest.fixture
def line(server, monkeypatch):
    """The line to the server that every panel of the test uses."""
    monkeypatch.setattr(connection, "PAUSES_S", (0.05,))
    monkeypatch.setattr(loading, "FRESH_S", 0.0)
    with cut_line(server.url) as line:
        monkeypatch.setenv(loading.SERVER, line.url)
        yield line


def until(is_so) -> None:
    end = time.monotonic() + SOON_S
    while not is_so():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def hello(panel) -> None:
    panel._on_message(None, {"kind": "ready"}, [])


def test_no_panel_of_a_demo_loads_torch():
    code = f"import importlib, sys\nfor name in {PANELS}: importlib.import_module(f'course_utils.widgets.{{name}}')\n"
    code += (
        "import course_utils; course_utils.load; print(*sorted({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (child.stdout.strip(), child.stderr) == ("", "")


def test_a_panel_offers_what_the_server_has_and_writes_what_the_weights_write(line, tiny):
    panel = Playground(prompt="The senate", settings=Settings(12, seed=4), n_samples=2)
    assert panel.model == tiny.name and "shared server" in panel.models[0]["about"]
    assert {"pocket-small", "pocket-xl"} <= {each["name"] for each in panel.models}
    panel.generate()
    assert panel.wait(SOON_S) and panel.state == "done", panel.message
    assert [each["text"] for each in panel.samples] == [
        each.text for each in tiny.generate("The senate", panel.settings, 2)
    ]
    assert "shared server" in panel.line and panel.lacks == {} and panel.waiting == ""
    panel.resume()
    assert panel.wait(SOON_S) and [len(each.steps) for each in panel.generations] == [24, 24]


def test_a_text_that_the_server_s_end_cuts_off_goes_on_by_itself_and_the_panel_says_so(line, tiny):
    panel, words = Playground(prompt="The senate", settings=Settings(40, top_k=0, seed=1)), []
    panel.observe(lambda change: words.append(change["new"]), "waiting")
    line.cut_after = line.n_bytes + 9_000
    panel.generate()
    until(lambda: panel.waiting == ABSENT)
    assert panel.state == "generating"
    line.mend()
    assert panel.wait(SOON_S) and panel.state == "done", panel.message
    assert panel.samples[0]["text"] == tiny.generate("The senate", panel.settings)[0].text
    assert words[-1] == panel.waiting == ""


def test_stop_is_heard_while_the_server_is_away(line):
    panel = Playground(prompt="The senate", settings=Settings(40))
    line.cut()
    panel.generate()
    until(lambda: panel.waiting)
    panel.stop()
    assert panel.wait(SOON_S) and panel.state == "stopped" and panel.waiting == ""


@pytest.mark.parametrize("make", [Playground, SideBySide, TokenMap, BlindTest, DetectorBench, AccessRegimes])
def test_a_page_that_opens_while_the_server_is_away_says_so_and_recovers_by_itself(line, make):
    line.cut()
    panel = make()
    assert panel.waiting == NOT_THERE and panel.state == "idle"
    hello(panel)
    line.mend()
    until(lambda: panel.waiting == "" and panel.state == "idle")
    assert panel.message == ""
    named = {"models": getattr(panel, "models", None), "speaker": getattr(panel, "speaker", None)}
    assert "shared server" in json.dumps(named)
    panel.close()


def test_what_is_asked_while_the_server_is_away_is_done_when_it_is_back(line, tiny):
    line.cut()
    panel = Playground(prompt="The senate", settings=Settings(5))
    panel.generate()
    until(lambda: panel.waiting == ABSENT)
    assert panel.state == "loading"
    line.mend()
    assert panel.wait(SOON_S) and panel.state == "done" and panel.model == tiny.name
    assert panel.samples[0]["text"] == tiny.generate("The senate", Settings(5))[0].text


def test_who_waits_in_the_queue_is_told_the_place(line, server, tiny_folder):
    panel, words = Playground(tiny_folder.name, prompt="The senate", settings=Settings(3)), []
    panel.observe(lambda change: words.append(change["new"]), "waiting")
    other = RemoteModel(server.url, tiny_folder.name)
    with ThreadPoolExecutor(4) as at_once:
        texts = [at_once.submit(other.generate, "Once", Settings(120, seed=i)) for i in range(4)]
        until(lambda: ServerConnection(server.url).get("/health")["course"] == {"version": 1, "rows": 2, "waiting": 2})
        panel.generate()
        assert panel.wait(SOON_S) and panel.state == "done" and all(text.result() for text in texts)
    assert any("before yours" in told or "next text" in told for told in words) and words[-1] == ""


def test_the_release_stage_of_the_kernel_closes_models_that_the_server_has(line):
    panel = Playground()
    release_stage.choose("Feb 2019")
    try:
        assert {each["name"] for each in panel.models} & {"pocket-small", "pocket-xl"} == {"pocket-small"}
        panel.model = "pocket-xl"
        panel.generate()
        assert panel.wait(SOON_S) and panel.state == "failed" and "is not released yet" in panel.message
    finally:
        release_stage.open_all()


def test_several_models_stand_side_by_side_and_can_be_ranked(line):
    panel = SideBySide(prompt="The letter", settings=Settings(6), blind=True)
    assert panel.chosen == ["pocket-small", "pocket-medium", "pocket-large", "pocket-xl"]
    panel.generate()
    assert panel.wait(SOON_S) and panel.state == "done", panel.message
    panel.rank("CADB")
    assert all(column["file_mb"] > 0 and column["released"] for column in panel.columns)
    assert all(len(sha256) == 64 for sha256 in panel.rankings[0]["models"].values())


def test_a_text_is_read_as_the_weights_read_it(line, tiny):
    panel = TokenMap("The senate met again, naïve crowd 你好 and all.")
    panel.read()
    assert panel.wait(SOON_S) and panel.state == "done", panel.message
    assert panel.tokens["rank"].tolist() == [step.rank for step in tiny.score(panel.texts[0]).steps]
    assert panel.result.models == {tiny.name: tiny.weights_sha256} and "shared server" in panel.label


ASKED = [*(("open", action) for action in ACTIONS), ("demo", "text")]


@pytest.mark.parametrize(("regime", "action"), ASKED)
def test_every_regime_answers_from_behind_the_server(line, regime, action):
    panel = AccessRegimes("pocket-small")
    panel.ask(regime, "The letter said", action)
    assert panel.wait(SOON_S) and panel.state == "done", panel.answers
    answer = panel.answers[regime]
    assert answer.get("texts") or answer.get("rows") or answer.get("facts")


def test_an_address_may_be_given_in_place_of_a_name(line, server, monkeypatch, tiny):
    monkeypatch.delenv(loading.SERVER)
    panel = Playground(server.url, prompt="Once", settings=Settings(3))
    panel.generate()
    assert panel.wait(SOON_S) and panel.samples[0]["text"] == tiny.generate("Once", Settings(3))[0].text


def test_a_column_that_waits_for_its_turn_keeps_no_other_waiting(line, server):
    panel, order = SideBySide(prompt="The letter", settings=Settings(60, temperature=0)), []
    panel.listeners.append(lambda message: order.extend(step[0] for step in message.get("steps", [])))
    panel.generate()
    assert panel.wait(SOON_S) and panel.state == "done", panel.message
    firsts = {column: order.index(column) for column in range(4)}
    begun_late = max(firsts, key=firsts.get)
    # The server writes two texts of one viewer at a time: before the last begins, others have been shown in full.
    assert firsts[begun_late] > 60 and len(order) == sum(len(each.steps) for each in panel.generations)


def test_a_stop_ends_all_columns(line):
    panel = SideBySide(prompt="The letter", settings=Settings(200))
    panel.generate()
    until(lambda: any(sample["n_tokens"] for sample in panel._live.cards))
    panel.stop()
    assert panel.wait(SOON_S) and panel.state == "stopped"
    shown = [sample["text"] for sample in panel.samples]
    assert shown == [generation.text for generation in panel.generations]


@pytest.mark.parametrize(
    ("panel", "wish"),
    [
        (SideBySide, {"kind": "choose", "models": ["{}"]}),
        (Playground, {"kind": "choose", "model": "{}"}),
        (TokenMap, {"kind": "read", "texts": ["A text."], "model": "{}"}),
    ],
    ids=lambda given: getattr(given, "__name__", "says"),
)
@pytest.mark.parametrize("is_served", [True, False], ids=["served", "not served"])
def test_a_page_sends_nobody_to_an_address(panel, wish, is_served, line, server, monkeypatch):
    shown = panel()
    if not is_served:
        monkeypatch.delenv(loading.SERVER)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.2)
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        shown._on_message(None, json.loads(json.dumps(wish).replace("{}", address)), [])
        with pytest.raises(TimeoutError):
            elsewhere.accept()
    until(lambda: "is no model's name" in shown.message)
    shown.close()
