"""Laws of a model behind a server: it says what the weights say, and a text outlives the process that writes it."""

import dataclasses
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cut_line import cut_line
from repository import ROOT

from course_utils.errors import AccessRefused, CourseError, SettingsError, TextError, UnknownModel
from course_utils.experiments.detection.token_ranks import read_ranks
from course_utils.experiments.detection.token_scores import read_texts
from course_utils.models import loading
from course_utils.models.client import connection
from course_utils.models.client.connection import ABSENT, ConnectionLost, NoServer, NotServed, ServerConnection, viewer
from course_utils.models.client.remote_model import RemoteModel
from course_utils.models.client.stream import BACK
from course_utils.models.inference.base import Capabilities, NeedsWeights
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import TokenStep
from course_utils.models.loading import load
from course_utils.models.registry import release_stage
from course_utils.models.server.scheduler import Limits
from course_utils.models.server.serve import ModelServer

pytestmark = pytest.mark.slow

KEY = "a key for tests"
PROMPTS = ["The senate met", "", "naïve 你好 🙂👩‍👩‍👧 e\u0301", "word " * 200]
SETTINGS = [
    Settings(12, seed=2**31 - 2),
    Settings(12, temperature=0),
    Settings(12, top_k=0, seed=5),
    Settings(12, temperature=0.7, top_k=0, top_p=0.8, repetition_penalty=1.4, seed=9),
]


@pytest.fixture(scope="module")
def server(tiny_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COURSE_MODELS", str(tiny_folder.parent))
        with ModelServer(
            port=0, models=(tiny_folder.name,), precision="fp32", limits=Limits(rows=4)
        ).in_thread() as one:
            yield one


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(connection, "PAUSES_S", (0.05,))


@pytest.fixture
def remote(server, tiny_folder):
    return RemoteModel(server.url, tiny_folder.name)


def told(step: TokenStep) -> tuple:
    ids = sorted(each.token_id for each in step.alternatives[:3])
    return step.sample, step.token_id, step.text, step.is_last, ids


def numbers(step: TokenStep) -> list[float]:
    return [step.probability, step.model_probability, step.entropy_bits]


def require_same_steps(ours, theirs) -> None:
    assert list(map(told, ours)) == list(map(told, theirs))
    for one, other in zip(ours, theirs, strict=True):  # sums in another order differ in their last digits
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-3, abs=1e-6)


def require_same(ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        require_same_steps(one.steps, other.steps)
        assert dataclasses.replace(one, steps=()) == dataclasses.replace(other, steps=())


# -- it says what the weights say --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("prompt", PROMPTS, ids=["words", "empty", "letters of many bytes", "too long"])
def test_a_text_and_all_that_is_told_of_it_are_those_of_the_weights(remote, tiny, prompt, settings):
    require_same(remote.generate(prompt, settings, 3), tiny.generate(prompt, settings, 3))


def test_texts_under_load_are_those_of_the_weights(server, tiny, tiny_folder):
    wishes = [(PROMPTS[i % 3], Settings(15, top_k=0, seed=100 + i)) for i in range(12)]

    def write(wish):
        return RemoteModel(server.url, tiny_folder.name).generate(*wish)[0].text

    with ThreadPoolExecutor(6) as at_once:
        assert list(at_once.map(write, wishes)) == [tiny.generate(*wish)[0].text for wish in wishes]


@pytest.mark.parametrize("prompt", PROMPTS[:3], ids=["words", "empty", "letters of many bytes"])
def test_a_text_that_goes_on_goes_on_as_with_the_weights(remote, tiny, prompt):
    begun = tiny.generate(prompt, Settings(8, top_k=0, seed=3), 3)
    ours, theirs = remote.resume(begun), tiny.resume(begun)
    assert len(list(ours)) > 0 and list(theirs)
    for one, other in zip(ours.generations(), theirs.generations(), strict=True):
        assert one.text.startswith(other.text[:-2]) and one.ended == other.ended


def test_scores_next_tokens_and_what_experiments_read_are_those_of_the_weights(remote, tiny):
    text = "The senate met again, naïve crowd 你好 and all."
    ours, theirs = remote.score(text), tiny.score(text)
    require_same_steps(ours.steps, theirs.steps)
    assert (ours.window, ours.stride, ours.text) == (theirs.window, theirs.stride, theirs.text)
    long = "word " * 150
    by_hand = [model.score(long, stride=16).total_bits for model in (remote, tiny)]
    assert by_hand[0] == pytest.approx(by_hand[1])
    named = [[each.token_id for each in model.next_tokens(text, 4)] for model in (remote, tiny)]
    assert named[0] == named[1] and remote.count_tokens(text) == tiny.count_tokens(text)
    assert read_texts(remote, [text])[0].ranks.tolist() == [step.rank for step in theirs.steps]
    ranks = [read_ranks(model, [text]).rows["bits_per_token"][0] for model in (remote, tiny)]
    assert ranks[0] == pytest.approx(ranks[1])


@pytest.mark.parametrize(
    "text", ["春天" * 500, "🙂" * 900, "word " * 900, "a" * 1600, 'don\'t, "so"' * 200, "你好，世界。" * 4000]
)
def test_the_tokens_of_any_text_are_those_of_the_weights(remote, tiny, text):
    assert remote.encode(text) == tiny.encode(text) and remote.count_tokens(text) == len(tiny.encode(text))


def test_a_text_in_letters_of_many_bytes_goes_on_where_it_could_be_written(remote, tiny):
    begun = remote.generate("春天" * 500, Settings(5, seed=1))
    ours, theirs = remote.resume(begun), tiny.resume(begun)
    list(ours), list(theirs)
    assert ours.generations()[0].token_ids == theirs.generations()[0].token_ids


def test_it_names_the_weights_and_finds_the_file_that_lies_here(remote, tiny):
    assert remote.weights_sha256 == tiny.weights_sha256 and remote.folder == tiny.folder
    assert (remote.context, remote.n_parameters, remote.precision) == (tiny.context, tiny.n_parameters, "fp32")
    assert remote.label == f"{tiny.name} · {tiny.n_parameters / 1e6:.1f} M parameters · fp32 · shared server"
    assert remote.identity == tiny.identity and remote.capabilities == Capabilities(weights=False)


# -- it outlives the process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", PROMPTS, ids=["words", "empty", "letters of many bytes", "too long"])
def test_a_text_that_is_cut_off_anywhere_is_the_text_that_would_have_come(server, tiny, tiny_folder, prompt):
    settings, n_samples = Settings(24, top_k=0, seed=7), 2
    whole = [each.text for each in tiny.generate(prompt, settings, n_samples)]
    with cut_line(server.url) as line:
        model, words = RemoteModel(line.url, tiny_folder.name), []
        stream = model.stream(prompt, settings, n_samples)
        stream.on_wait = words.append
        for place, _ in enumerate(stream):
            if place in (0, 7, 8, 20):
                line.cut()
                threading.Timer(0.05, line.mend).start()
        assert [each.text for each in stream.generations()] == whole
        assert {ABSENT, ""} <= set(words)
        assert line.n_requests > 4


def test_in_8_bits_too_a_text_that_is_cut_off_is_the_text_that_would_have_come(tiny_folder):
    settings = Settings(40, top_k=0, seed=7)
    whole = [each.text for each in LanguageModel(tiny_folder, "int8").generate("The senate", settings, 2)]
    server = ModelServer(port=0, models=(tiny_folder.name,), precision="int8")
    with server.in_thread(), cut_line(server.url) as line:
        words = []
        stream = RemoteModel(line.url).stream("The senate", settings, 2)
        stream.on_wait = lambda told: (words.append(told), told == ABSENT and line.mend())
        for place, _ in enumerate(stream):
            if place in (5, 50):
                line.cut()
        assert [each.text for each in stream.generations()] == whole
        assert {ABSENT, BACK, ""} == set(words) and stream.notice == ""


@pytest.mark.parametrize("n_bytes", range(200, 30_000, 7_450))
def test_an_answer_may_break_off_at_any_byte(server, tiny, tiny_folder, n_bytes):
    settings = Settings(20, top_k=0, seed=1)
    with cut_line(server.url) as line:
        model = RemoteModel(line.url, tiny_folder.name)
        line.cut_after = line.n_bytes + n_bytes
        stream = model.stream("Once 🙂", settings, 2)
        stream.on_wait = lambda words: words and line.mend()
        assert len(list(stream)) == 40
        whole = tiny.generate("Once 🙂", settings, 2)
        assert [each.text for each in stream.generations()] == [each.text for each in whole]


def test_a_stop_is_heard_while_nobody_answers(server, tiny_folder):
    with cut_line(server.url) as line:
        model, cancel = RemoteModel(line.url, tiny_folder.name), threading.Event()
        stream = model.stream("Once", Settings(50), 1, cancel)
        stream.on_wait = lambda words: words and threading.Timer(0.2, cancel.set).start()
        steps = [next(stream)]
        line.cut()
        steps += list(stream)  # would never end if the stop were not heard
        assert stream.generations()[0].steps == tuple(steps) and stream.generations()[0].ended == "stopped"


def test_a_stop_is_heard_while_tokens_come_and_frees_the_server_s_row(server, remote):
    cancel = threading.Event()
    stream = remote.stream("Once", Settings(120), 1, cancel)
    next(stream)
    cancel.set()
    assert len(list(stream)) < 100
    end = time.monotonic() + 120
    while ServerConnection(server.url).get("/health")["course"]["rows"] and time.monotonic() < end:
        time.sleep(0.02)
    assert ServerConnection(server.url).get("/health")["course"]["rows"] == 0


def test_where_nobody_is_told_an_absent_server_is_an_error_in_the_end(server, tiny_folder, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_S", 0.1)
    with cut_line(server.url) as line:
        model = RemoteModel(line.url, tiny_folder.name)
    with pytest.raises(NoServer, match="does not answer"):
        model.generate("Once")
    with pytest.raises(NoServer, match="does not answer"):
        RemoteModel(line.url)
    with pytest.raises(NoServer):
        model.score("Once")


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_refusal_comes_in_the_server_s_words_and_in_the_course_s_kind(server, remote):
    with pytest.raises(UnknownModel, match="no model called 'gpt-9'"):
        RemoteModel(server.url, "gpt-9")
    with pytest.raises(CourseError, match="100,000|20,000|longer|prompt"):
        remote.generate("x" * 30_000)
    with pytest.raises(SettingsError, match="k is 11"):
        remote.next_tokens("Once", 11)
    with pytest.raises(SettingsError, match="stride is 1000"):
        remote.score("Once upon a time", stride=1000)
    with pytest.raises(SettingsError, match="n_samples is 0"):
        remote.stream("Once", n_samples=0)
    for text in ("", 5, "\ud800"):
        with pytest.raises(TextError):
            remote.score(text)


@pytest.mark.parametrize("address", ["127.0.0.1:8799", "ftp://x", "http://", "http://x:99999"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(SettingsError, match="address"):
        ServerConnection(address)


def test_a_server_with_a_key_serves_who_has_it_only(tiny_folder, monkeypatch):
    with ModelServer(port=0, models=(tiny_folder.name,), token=KEY, precision="fp32").in_thread() as server:
        for key in (None, "another"):
            with pytest.raises((NotServed, AccessRefused), match="key"):
                RemoteModel(server.url, key=key)
        assert RemoteModel(server.url, key=KEY).generate("Once", Settings(2))[0].text
        monkeypatch.setenv("COURSE_MODEL_KEY", KEY)
        assert RemoteModel(server.url).name == tiny_folder.name


def test_too_many_texts_of_one_viewer_wait_for_each_other(server, remote, tiny):
    wishes = [("Once", Settings(20, seed=i)) for i in range(9)]  # the server takes six of one viewer at a time
    with ThreadPoolExecutor(9) as at_once:
        found = list(at_once.map(lambda wish: remote.generate(*wish)[0].text, wishes))
    assert found == [tiny.generate(*wish)[0].text for wish in wishes]


def test_a_process_that_splits_is_another_viewer():
    code = (
        "import os\nfrom course_utils.models.client.connection import viewer\n"
        "tell = lambda: os.write(1, f'{viewer()}\\n'.encode())\n"
        "tell()\npid = os.fork()\ntell()\npid and os.wait()\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names = told.stdout.split()
    assert len(names) == 3 and len(set(names)) == 2 and viewer() not in names


# -- one door ----------------------------------------------------------------------------------------------------------


def test_load_asks_the_server_that_is_named(server, tiny_folder, monkeypatch):
    assert isinstance(load(tiny_folder.name), LanguageModel)
    assert load(server.url).name == tiny_folder.name
    monkeypatch.setenv(loading.SERVER, server.url)
    assert isinstance(load(), RemoteModel) and isinstance(load(tiny_folder.name, "fp32"), RemoteModel)
    assert isinstance(load(tiny_folder), LanguageModel)  # a folder lies here
    with pytest.raises(SettingsError, match="int8 is asked for"):
        load(tiny_folder.name, "int8")
    release_stage.choose("Feb 2019")
    try:
        with pytest.raises(AccessRefused, match="pocket-xl"):
            load("pocket-xl")
        assert "pocket-medium" not in loading.family(4)
    finally:
        release_stage.open_all()


# -- servers of other kinds --------------------------------------------------------------------------------------------


class Plain(BaseHTTPRequestHandler):
    """A server that knows of OpenAI's completions only what `told` says, and sends the chunks that it is given."""

    models, chunks, told = {"data": [{"id": "theirs", "max_model_len": 512}]}, [], {}

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802
        self._answer(404 if self.path == "/health" else 200, json.dumps(self.models))

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not body.get("stream"):
            self._answer(200, json.dumps({"choices": [self.told | {"text": " a"}]}))
            return
        lines = [chunk if isinstance(chunk, str) else f"data: {json.dumps(chunk)}" for chunk in self.chunks]
        self._answer(200, "\n\n".join([*lines, "data: [DONE]", ""]), "text/event-stream")

    def _answer(self, status, text, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def plain():
    kind = type("Kind", (Plain,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    kind.url = f"http://127.0.0.1:{server.server_port}"
    yield kind
    server.shutdown()
    server.server_close()


def test_log_probabilities_become_alternatives_without_ranks(plain):
    told = {"tokens": [" a", "b"], "token_logprobs": [-0.5, None], "top_logprobs": [{" the": -0.1, " a": -0.5}, None]}
    plain.told = {"logprobs": {"top_logprobs": [{" the": -0.1, " a": -0.5}]}}
    plain.chunks = [{"choices": [{"index": 0, "text": " ab", "logprobs": told, "finish_reason": "length"}]}]
    model = RemoteModel(plain.url)
    assert model.context == 512 and model.capabilities == Capabilities(False, 2, False, True, False, False, False)
    assert model.capabilities.in_words() == (
        "This server gives no ranks or scores of a text and takes no repetition penalty or seed."
    )
    generation = model.generate("Once", Settings(2))[0]
    first, last = generation.steps
    assert (generation.text, generation.ended, last.is_last, first.is_last) == (" ab", "length", True, False)
    assert [each.text for each in first.alternatives] == [" the", " a"]
    assert first.token_id == first.alternatives[1].token_id and first.rank == 0
    assert first.model_probability == pytest.approx(0.6065, abs=1e-3) and first.probability != first.probability
    assert last.alternatives == () and last.surprisal_bits != last.surprisal_bits
    with pytest.raises(NeedsWeights, match="does not score"):
        model.score("Once")
    with pytest.raises(SettingsError, match="from 1 to 2"):
        model.next_tokens("Once", 3)


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": None},
        {"choices": [{}]},
        {"choices": [{"text": None, "logprobs": []}]},
        {"choices": [{"text": "", "logprobs": {"tokens": None}}], "course": 5},
        {"choices": [{"text": "", "course": {"steps": None}}]},
        ": a comment",
        "event: ping",
        ": waiting 2",
    ],
    ids=str,
)
def test_a_chunk_of_which_much_is_missing_does_no_harm(plain, chunk):
    plain.chunks = [chunk, {"choices": [{"text": " sea"}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}]
    told = []
    stream = RemoteModel(plain.url).stream("The")
    stream.on_wait = told.append
    assert [(step.text, step.probability == step.probability) for step in stream] == [(" sea", False)]
    generation = stream.generations()[0]
    assert generation.ended == "end of text" and generation.steps[-1].is_last
    assert told == (["One text is before yours.", ""] if chunk == ": waiting 2" else [])


def test_an_error_in_the_midst_comes_in_its_words(plain):
    plain.chunks = [{"choices": [{"text": " a"}]}, {"error": {"message": "out of memory", "type": "server_error"}}]
    stream = RemoteModel(plain.url).stream("The")
    assert next(stream).text == " a"
    with pytest.raises(NotServed, match="out of memory"):
        list(stream)


def test_a_server_that_cannot_write_on_is_asked_anew_and_the_reader_is_told(plain):
    plain.chunks = [{"choices": [{"text": " a", "finish_reason": "length"}]}]
    model = RemoteModel(plain.url)
    begun = model.generate("Once", Settings(1))
    stream = model.resume(begun)
    assert [step.text for step in stream] == [" a"] and stream.generations()[0].text == " a a"
    assert "asked for anew" in stream.generations()[0].notice


ODD_LISTS = [{}, {"data": None}, {"data": [5, {"id": 3}]}, {"data": [{"id": "theirs", "course": 1}]}]


@pytest.mark.parametrize("models", ODD_LISTS, ids=str)
def test_a_list_of_models_of_which_much_is_missing_does_no_harm(plain, models):
    plain.models = models
    assert RemoteModel(plain.url, "theirs").name == "theirs"


@pytest.mark.parametrize("body", ["", "data: [DONE]\n\n", ": a comment\n\ndata: {}\n\n", ": one\n\n: two\n\n"])
@pytest.mark.parametrize("ask", ["get", "ask", "token_ids"])
def test_a_stream_in_the_place_of_one_object_is_a_clear_error(body, ask):
    class Streams(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Streams)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        line = ServerConnection(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises((NotServed, ConnectionLost)):
            line.get("/v1/models") if ask == "get" else getattr(line, ask)({"model": "one"})
        with pytest.raises((NotServed, NoServer)):
            RemoteModel(line.url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
