"""Laws of the model server, asked as the world asks it: by OpenAI's own client, and by people who mean no good."""

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import openai
import pytest
from repository import ROOT
from served_models import save_random_llama

from course_utils.errors import ModelNotHere, SettingsError, UnknownModel
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.models.server import model_pool, streaming
from course_utils.models.server.engine import Engine
from course_utils.models.server.protocol import step_of
from course_utils.models.server.scheduler import Limits
from course_utils.models.server.serve import ModelServer

pytestmark = pytest.mark.slow

TOKEN = "open-sesame"


@pytest.fixture(scope="module")
def shelf_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_random_llama(folder / "random-llama")
    return folder


@pytest.fixture(autouse=True)
def _served(shelf_folder, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(shelf_folder))


@pytest.fixture(scope="module")
def server(shelf_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_MODELS", str(shelf_folder))
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        limits = Limits(rows=6, at_once=2, waiting_a_viewer=1, waiting_in_all=8)
        with ModelServer(
            port=0, models=("random-llama",), token=TOKEN, limits=limits, precision="int8"
        ).in_thread() as running:
            yield running


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def llama(server):
    return server.pool.get("random-llama")


def post(server, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"} | headers
    return httpx.post(f"{server.url}/v1/completions", content=content, headers=told, timeout=120)


def rows_within(server, n: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while server.engine.state()["rows"] != n and time.monotonic() < end:
        time.sleep(0.005)
    return server.engine.state()["rows"] == n


def raw(server, body: dict) -> socket.socket:
    """A connection on which a request has been sent, and nothing read."""
    content = json.dumps(body).encode()
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
    line.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
    return line


# -- OpenAI's own client -----------------------------------------------------------------------------------------------


def test_the_text_is_the_one_that_the_model_writes_by_itself(client, llama):
    settings = Settings(max_new_tokens=12, temperature=0.8, top_k=30, top_p=0.9, repetition_penalty=1.2, seed=5)
    more = {"top_k": 30, "repetition_penalty": 1.2}
    asked = {"model": "random-llama", "prompt": "Once", "max_tokens": 12, "temperature": 0.8, "top_p": 0.9, "seed": 5}
    answer = client.completions.create(**asked, n=3, extra_body=more)
    alone = [each.text for each in llama.generate("Once", settings, 3)]
    assert [choice.text for choice in answer.choices] == alone
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(llama.encode("Once")), 36)
    texts = ["", "", ""]
    for chunk in client.completions.create(**asked, n=3, stream=True, extra_body=more):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == alone


def test_steps_are_those_of_the_model(server, llama):
    asked = {"prompt": "Once", "max_tokens": 9, "top_k": 40, "seed": 2, "course": {}}
    (choice,) = post(server, asked).json()["choices"]
    steps = [step_of(row) for row in choice["course"]["steps"]]
    alone = llama.generate("Once", Settings(max_new_tokens=9, seed=2))[0].steps
    told = [(s.token_id, s.text, s.rank, s.probability, s.model_probability, s.alternatives) for s in steps]
    assert told == [(s.token_id, s.text, s.rank, s.probability, s.model_probability, s.alternatives) for s in alone]


@pytest.mark.parametrize("field", ["input", "content", "prompt"])
def test_the_token_ids_of_a_text_are_told(server, llama, field):
    headers = {"authorization": f"Bearer {TOKEN}"}
    for text in ("Once upon a time", "", "春天" * 500):
        told = httpx.post(f"{server.url}/tokenize", json={field: text}, headers=headers, timeout=120).json()
        assert (told["tokens"], told["count"]) == (llama.encode(text), len(llama.encode(text)))
    assert httpx.post(f"{server.url}/tokenize", json={field: text}, timeout=120).status_code == 401
    for body in ({field: 5}, {field: "x" * 20_001}, {"text": "x"}, [], {"model": "gpt-9", field: "x"}):
        refused = httpx.post(f"{server.url}/tokenize", json=body, headers=headers, timeout=120)
        assert refused.status_code in (400, 404) and refused.json()["error"]["message"]


def test_usage_comes_last_where_it_is_wanted(client, llama):
    stream = client.completions.create(
        model="random-llama", prompt="Once", max_tokens=5, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert last.choices == [] and last.usage.total_tokens == len(llama.encode("Once")) + 5
    assert chunks[-1].choices[0].finish_reason == "length"


def test_log_probabilities_have_the_old_shape(client, llama):
    text = "Why was it released in stages?"
    answer = client.completions.create(model="random-llama", prompt=text, max_tokens=0, echo=True, logprobs=3)
    told, scored = answer.choices[0].logprobs, llama.score(text)
    assert "".join(told.tokens) == text == answer.choices[0].text
    assert [text[i:].startswith(token) for i, token in zip(told.text_offset, told.tokens, strict=True)]
    nats = [step.surprisal_bits * 0.6931471805599453 for step in scored.steps]
    assert told.token_logprobs == pytest.approx([-n for n in nats], abs=1e-6)
    assert all(3 <= len(top) <= 4 for top in told.top_logprobs)


def test_a_text_without_a_seed_can_be_asked_for_again(server):
    first = post(server, {"prompt": "Once", "max_tokens": 8}).json()
    again = post(server, {"prompt": "Once", "max_tokens": 8, "seed": first["course"]["seed"]}).json()
    assert first["choices"] == again["choices"]


def test_a_stop_word_ends_the_text_before_it(client, llama):
    whole = llama.generate("Once", Settings(max_new_tokens=20, top_k=0, seed=1))[0].text
    word = whole[len(whole) // 2 :][:3]
    answer = client.completions.create(model="random-llama", prompt="Once", max_tokens=20, seed=1, stop=[word])
    assert answer.choices[0].text == whole[: whole.index(word)]
    assert answer.choices[0].finish_reason == "stop"


def test_models_are_listed_with_what_the_course_wants_to_know(client, llama):
    known = {model.id: model.model_dump() for model in client.models.list()}
    mine = known["random-llama"]["course"]
    assert mine["n_parameters"] == llama.n_parameters and mine["context"] == llama.context
    assert mine["label"] == llama.label and mine["precision"] == "int8"
    assert client.models.retrieve("random-llama").model_dump() == known["random-llama"]
    assert len(mine["vocabulary_sha256"]) == len(mine["weights_sha256"]) == 64


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_nobody_is_served_without_the_token(server):
    for key in ("", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x"):
        assert post(server, {"prompt": "Once"}, authorization=key).status_code == 401
        assert httpx.get(f"{server.url}/v1/models", headers={"authorization": key}).status_code == 401
    assert httpx.get(f"{server.url}/health").json()["status"] == "ok"


def test_too_much_of_one_viewer_is_a_rate_limit(server, client):
    asked = {"model": "random-llama", "prompt": "Once", "max_tokens": 500, "stream": True, "user": "greedy"}
    streams = [client.completions.create(**asked) for _ in range(3)]
    try:
        with pytest.raises(openai.RateLimitError) as refused:
            client.completions.create(**asked)
        assert refused.value.code == "too_many_for_viewer"
        assert int(refused.value.response.headers["retry-after"]) > 0
        assert "3 of your texts" in refused.value.message
        client.completions.create(model="random-llama", prompt="Once", max_tokens=1, user="modest")
    finally:
        for stream in streams:
            stream.close()
    assert rows_within(server, 0)


def test_a_place_in_the_queue_is_told(server):
    lines = [raw(server, {"prompt": "Once", "max_tokens": 500, "n": 6, "stream": True, "user": "a"})]
    assert rows_within(server, 6)
    try:
        asked = {"prompt": "Once", "max_tokens": 1, "stream": True, "user": "b"}
        lines.append(raw(server, asked))
        read = b""
        while b"waiting" not in read:
            read += lines[1].recv(4096)
        assert b": waiting 1\n\n" in read
    finally:
        for line in lines:
            line.close()
    assert rows_within(server, 0)


def test_unknown_and_closed_models_are_told_apart(client):
    with pytest.raises(openai.NotFoundError, match="random-llama"):
        client.completions.create(model="random-lama", prompt="Once")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("../../etc/passwd")
    release_stage.choose("Feb 2019")
    try:
        with pytest.raises(openai.PermissionDeniedError, match="not released yet"):
            client.completions.create(model="pocket-xl", prompt="Once")
    finally:
        release_stage.open_all()


def test_a_prompt_that_is_too_long_is_refused_or_cut(server, client):
    long = {"prompt": " and" * 2000, "max_tokens": 100}
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="random-llama", **long)
    assert refused.value.code == "context_length_exceeded"
    cut = post(server, long | {"prompt": " and" * 2048, "max_tokens": 1, "course": {"fit": True}}).json()["course"]
    assert cut["prompt_tokens"] == 2047 and "only the last 2,047" in cut["notice"]


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"prompt": "\xff"}',
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "NaN": b'{"temperature": NaN}',
    "infinite": b'{"temperature": 1e999}',
    "huge": b'{"seed": 1' + b"0" * 5000 + b"}",
    "large": b'{"top_k": 1' + b"0" * 400 + b"}",
    "negative": b'{"max_tokens": -1}',
    "too many": b'{"max_tokens": 501}',
    "half a token": b'{"max_tokens": 1.5}',
    "true": b'{"temperature": true}',
    "text for a number": b'{"temperature": "1"}',
    "surrogate": b'{"prompt": "\\ud800"}',
    "null character": b'{"prompt": "a\\u0000b"}',
    "raw null": b'{"prompt": "a\x00b"}',
    "prompt of numbers": b'{"prompt": [1.5]}',
    "negative id": b'{"prompt": [-1]}',
    "unknown id": b'{"prompt": [5000]}',
    "two prompts": b'{"prompt": ["a", "b"]}',
    "prompt of another kind": b'{"prompt": {"a": 1}}',
    "too many samples": b'{"n": 9}',
    "empty stop": b'{"stop": [""]}',
    "many stops": b'{"stop": ["a", "b", "c", "d", "e"]}',
    "best_of": b'{"best_of": 2}',
    "suffix": b'{"suffix": "x"}',
    "logit_bias": b'{"logit_bias": {"1": 1}}',
    "misspelt": b'{"temprature": 1}',
    "course of another kind": b'{"course": 1}',
    "unknown wish": b'{"course": {"x": 1}}',
    "stride": b'{"prompt": "a", "echo": true, "max_tokens": 0, "logprobs": 1, "course": {"stride": 5000}}',
    "nothing to score": b'{"echo": true, "max_tokens": 0, "logprobs": 1}',
    "long user": json.dumps({"user": "u" * 999}).encode(),
    "long prompt": json.dumps({"prompt": "a" * 20_001}).encode(),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_whatever_is_sent_is_refused_in_plain_words(server, name):
    answer = post(server, HOSTILE[name])
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error" and len(error["message"]) < 1200
    assert "Traceback" not in error["message"] and ".py" not in error["message"]


def test_a_long_body_another_kind_and_another_address_are_refused(server):
    assert post(server, b" " * 300_000).status_code == 413
    assert post(server, {"prompt": "a"}, **{"content-type": "text/plain"}).status_code == 415
    assert httpx.get(f"{server.url}/v1/completions").json()["error"]["code"] == "unknown_url"
    assert httpx.get(f"{server.url}/%2e%2e/etc/passwd").status_code == 404


# -- readers who go, and readers who stay and do not read --------------------------------------------------------------


def test_a_reader_who_is_killed_frees_the_rows(server):
    line = raw(server, {"prompt": "Once", "max_tokens": 500, "n": 4, "stream": True})
    assert rows_within(server, 4)
    line.recv(100)
    n_steps = server.engine.n_steps
    line.close()
    assert rows_within(server, 0)
    assert server.engine.n_steps - n_steps < 400


def test_a_reader_who_leaves_before_one_answer_frees_the_rows(server):
    line = raw(server, {"prompt": "Once", "max_tokens": 500, "n": 4})
    assert rows_within(server, 4)
    n_steps = server.engine.n_steps
    line.close()
    assert rows_within(server, 0)
    assert server.engine.n_steps - n_steps < 400


def test_a_reader_who_does_not_read_is_cut_off_and_the_others_read_on(server, client, monkeypatch):
    monkeypatch.setattr(streaming, "PATIENCE_S", 0.5)
    line = raw(server, {"prompt": "Once", "max_tokens": 500, "n": 6, "stream": True, "course": {}, "user": "deaf"})
    assert rows_within(server, 6)
    n_steps = server.engine.n_steps
    text = client.completions.create(model="random-llama", prompt="Once", max_tokens=3, user="hearing").choices[0].text
    assert text and rows_within(server, 0, 20)
    assert server.engine.n_steps - n_steps < 450  # before the text came to its end
    read = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(1 << 20):
            read += piece
    line.close()
    assert b"[DONE]" not in read


# -- the process -------------------------------------------------------------------------------------------------------


def test_an_address_open_to_others_needs_a_token():
    with pytest.raises(SettingsError, match="token"):
        ModelServer("0.0.0.0", 0)


def test_a_port_that_is_taken_is_named(server):
    with pytest.raises(SettingsError, match="cannot be opened"):
        ModelServer(port=int(server.url.rsplit(":", 1)[1]))


def test_a_server_ends_before_its_texts_do_with_a_word_to_their_readers(shelf_folder, tmp_path):
    environment = {**os.environ, "COURSE_MODELS": str(shelf_folder), "COURSE_CACHE": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-m", "course_utils", "serve", "--port", "0", "--model", "random-llama"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        url = process.stdout.readline().decode().split()[-1]
        lines = []

        def read() -> None:
            body = {"prompt": "Once", "max_tokens": 500, "n": 8, "stream": True}
            with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=120) as answer:
                for line in answer.iter_lines():
                    lines.append(line)

        reader = threading.Thread(target=read)
        reader.start()
        while not lines:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        reader.join()
        error = json.loads([line for line in lines if line][-1].removeprefix("data: "))["error"]
        assert error["code"] == "closing"
        assert process.stderr.read() == b""


def test_a_model_that_was_removed_a_moment_ago_is_no_longer_offered(shelf_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    for name in ("stays", "goes"):
        shutil.copytree(next(folder for folder in shelf_folder.iterdir() if folder.is_dir()), tmp_path / name)
    offered = model_pool.ModelPool(Engine(Limits()), "fp32")
    assert {"stays", "goes"} <= {each["id"] for each in offered.models()}
    monkeypatch.setattr(model_pool, "REMEMBERED_S", math.inf)  # from now on the list is not made anew
    shutil.rmtree(tmp_path / "goes")
    assert "goes" not in {each["id"] for each in offered.models()}
    with pytest.raises((ModelNotHere, UnknownModel)):
        offered.model("goes")
