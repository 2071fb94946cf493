import random
import threading
import time
from collections.abc import Callable

import pytest
import torch
from served_models import Reader, running, save_random_llama

from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import TokenStep
from course_utils.models.server.batching import Batch, Row, Scoring
from course_utils.models.server.engine import MAX_UNREAD_STEPS, Engine
from course_utils.models.server.protocol import Refusal
from course_utils.models.server.request import CompletionRequest
from course_utils.models.server.scheduler import FairQueue, Limits, QueuedRequest
from course_utils.models.server.stop_sequences import StopSequenceFilter

pytestmark = pytest.mark.slow

WORDS = ["the", "release", "of a", "model", "in stages:", "why", "2019?", "🙂", "naïve", "café\n", '"so on"', "read"]
SETTINGS = [
    Settings(temperature=0),
    Settings(),
    Settings(top_k=0),
    Settings(top_k=0, top_p=0.8),
    Settings(temperature=0.7, top_k=20, top_p=0.9),
    Settings(repetition_penalty=1.4),
    Settings(temperature=0, repetition_penalty=1.2),
]


@pytest.fixture(scope="module")
def folders(tiny_folder, tmp_path_factory):
    return {"gpt2": tiny_folder, "llama": save_random_llama(tmp_path_factory.mktemp("llama") / "random-llama")}


@pytest.fixture(scope="module")
def pairs(folders):
    """Each model twice: one that speaks alone, one whose network is prepared for batches."""
    return {
        (kind, precision): (LanguageModel(folder, precision), LanguageModel(folder, precision))
        for kind, folder in folders.items()
        for precision in ("fp32", "int8")
    }


@pytest.fixture(scope="module")
def llama(pairs):
    return pairs["llama", "int8"][1]


def a_request(chance: random.Random, longest: int = 12) -> CompletionRequest:
    prompt = " ".join(chance.choices(WORDS, k=chance.choice([0, 1, 3, 10, 40])))
    settings = chance.choice(SETTINGS).replace(max_new_tokens=chance.randint(1, longest), seed=chance.randrange(2**31))
    return CompletionRequest(prompt=prompt, settings=settings, steps=chance.random() < 0.5)


class Listener:
    """A row of a batch, and what it was told."""

    def __init__(self, batch: Batch, request: CompletionRequest, sample: int = 0) -> None:
        self.steps, self.ended, self.is_wanted = [], "", True
        model, settings = batch.model, request.settings
        ids = model.encode(request.prompt)[-(model.context - settings.max_new_tokens) :] or [model.start_id]
        self.row = Row(
            sample, ids, settings, settings.seed_of(sample), request.first_step, request.looks, request.stop, self.tell,
            lambda: self.is_wanted,
        )  # fmt: skip
        batch.add(self.row)

    def tell(self, steps, ended):
        assert not self.ended, "told after its end"
        self.steps += steps
        self.ended = ended


def alone(model: LanguageModel, request: CompletionRequest) -> tuple[list[TokenStep], str]:
    stream = model.stream(request.prompt, request.settings)
    steps = list(stream)
    return steps, {"end of text": "stop", "length": "length"}[stream.generations()[0].ended]


def assert_same(steps: list[TokenStep], expected: list[TokenStep], looks: bool) -> None:
    assert [(s.token_id, s.text) for s in steps] == [(s.token_id, s.text) for s in expected]
    assert [s.probability for s in steps] == pytest.approx([s.probability for s in expected], abs=1e-5)
    if looks:
        for name in ("model_probability", "entropy_bits"):
            mine, other = ([getattr(s, name) for s in each] for each in (steps, expected))
            assert mine == pytest.approx(other, abs=1e-4)
        assert [len(s.alternatives) for s in steps] == [10] * len(steps)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)


# -- the text it would be alone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_text_is_the_same_whatever_else_is_written(pairs, kind, precision):
    lonely, social = pairs[kind, precision]
    chance, batch = random.Random(kind + precision), Batch(social)
    requests, listeners = [a_request(chance) for _ in range(24)], []
    while len(listeners) < len(requests) or batch.n_rows:
        if len(listeners) < len(requests) and chance.random() < 0.5:
            listeners.append(Listener(batch, requests[len(listeners)]))
        batch.turn()
    for request, listener in zip(requests, listeners, strict=True):
        steps, ended = alone(lonely, request)
        assert_same(listener.steps, steps, request.looks)
        assert listener.ended == ended


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_int8_is_the_same_to_the_last_bit(pairs, kind):
    lonely, social = pairs[kind, "int8"]
    batch, chance = Batch(social), random.Random(5)
    requests = [a_request(chance, 8) for _ in range(9)]
    listeners = []
    for request in requests:
        listeners.append(
            Listener(batch, CompletionRequest(prompt=request.prompt, settings=request.settings, steps=True))
        )
        batch.turn()
    while batch.n_rows:
        batch.turn()
    for request, listener in zip(requests, listeners, strict=True):
        steps, _ = alone(lonely, request)
        assert [s.model_probability for s in listener.steps] == [s.model_probability for s in steps]
        assert [s.alternatives for s in listener.steps] == [s.alternatives for s in steps]


def test_samples_share_one_reading_of_their_prompt(llama, monkeypatch):
    read_tokens, batch = [], Batch(llama)
    read = llama.network.read
    monkeypatch.setattr(llama.network, "read", lambda ids, *more: (read_tokens.append(ids.shape), read(ids, *more))[1])
    request = CompletionRequest(prompt=" and" * 150, settings=Settings(max_new_tokens=2))
    listeners = [Listener(batch, request, sample) for sample in range(4)]
    while batch.n_rows:
        batch.turn()
    assert sum(shape[1] for shape in read_tokens if shape[1] > 1) == 150
    texts = [generation.text for generation in llama.generate(request.prompt, request.settings, 4)]
    assert ["".join(step.text for step in listener.steps) for listener in listeners] == texts


def test_a_text_that_goes_on_is_the_text_without_the_break(pairs):
    lonely, social = pairs["llama", "int8"]
    whole = lonely.generate("Why", Settings(max_new_tokens=20, seed=4))[0]
    batch = Batch(social)
    request = CompletionRequest(settings=Settings(max_new_tokens=13, seed=4), first_step=7)
    rest = Listener(batch, request)
    rest.row.ids[:] = [*lonely.encode("Why"), *whole.token_ids[:7]]
    while batch.n_rows:
        batch.turn()
    assert [step.token_id for step in rest.steps] == whole.token_ids[7:]


def test_a_scored_text_has_the_numbers_of_score(pairs):
    lonely, social = pairs["gpt2", "int8"]
    text, told = " ".join(WORDS * 9), []
    batch = Batch(social)
    other = Listener(batch, CompletionRequest(prompt="Meanwhile", settings=Settings(max_new_tokens=12)))
    scoring = Scoring(social, social.encode(text), None, lambda steps, ended: told.extend(steps), lambda: True)
    batch.add(scoring)
    while batch.n_rows:
        batch.turn()
    scored = lonely.score(text)
    assert told == list(scored.steps)
    assert (scoring.window, scoring.stride) == (scored.window, scored.stride)
    assert len(other.steps) == 12


def test_a_long_prompt_keeps_nobody_waiting(llama):
    batch = Batch(llama)
    writer = Listener(batch, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=50)))
    batch.turn()
    reader = Listener(batch, CompletionRequest(prompt=" and" * 640, settings=Settings(max_new_tokens=1)))
    n_before = batch.n_steps
    while not reader.ended:
        batch.turn()
    assert batch.n_steps - n_before == 10  # one step for each chunk
    assert len(writer.steps) >= 9


def test_a_row_that_nobody_wants_leaves_before_the_next_step(llama):
    batch = Batch(llama)
    kept, dropped = (
        Listener(batch, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=30, seed=s)))
        for s in range(2)
    )
    for _ in range(6):
        batch.turn()
    dropped.is_wanted, n_told = False, len(dropped.steps)
    assert batch.turn() == [dropped.row]
    assert batch.n_rows == 1 and len(dropped.steps) == n_told
    while batch.n_rows:
        batch.turn()
    assert len(kept.steps) == 30


# -- words at which a text ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_text_ends_before_the_stop_word_that_is_complete_first(seed):
    chance = random.Random(seed)
    for _ in range(200):
        text = "".join(chance.choices("abc", k=30))
        words = ["".join(chance.choices("abc", k=chance.randint(1, 5))) for _ in range(chance.randint(1, 3))]
        stops, out, is_found, rest = StopSequenceFilter(words), "", False, text
        while rest and not is_found:
            n = chance.randint(0, 4)
            steps, is_found = stops.add([TokenStep(0, rest[:n], 0, 1, 1, 1, 0)])
            out, rest = out + "".join(step.text for step in steps), rest[n:]
        out += "" if is_found else "".join(step.text for step in stops.finish())
        # Letter by letter: where a word is complete for the first time, the text ends before it.
        end = next((i for i in range(len(text) + 1) if text[:i].endswith(tuple(words))), None)
        longest = max((len(word) for word in words if end is not None and text[:end].endswith(word)), default=0)
        assert out == (text if end is None else text[: end - longest])
        assert is_found == (end is not None)


# -- whose turn it is --------------------------------------------------------------------------------------------------


def test_a_free_place_goes_to_who_holds_the_fewest():
    turns = FairQueue(Limits())
    greedy, modest = QueuedRequest("greedy", 8), QueuedRequest("modest", 1)
    turns.add(greedy)
    assert [turns.next(lambda turn: True) for _ in range(4)] == [greedy] * 4
    turns.add(modest)
    assert turns.next(lambda turn: True) is modest


def test_viewers_take_turns():
    turns = FairQueue(Limits(at_once=99))
    for viewer in "abc":
        for _ in range(3):
            turns.add(QueuedRequest(viewer, 1))
    served = []
    while turn := turns.next(lambda turn: True):
        served.append(turn.viewer)
        turns.end(turn)
    assert [sorted(served[i : i + 3]) for i in (0, 3, 6)] == [list("abc")] * 3


@pytest.mark.parametrize("seed", range(3))
def test_places_in_the_queue_are_told_apart_and_come_true(seed):
    chance, turns = random.Random(seed), FairQueue(Limits(at_once=1))
    waiting = [QueuedRequest(chance.choice("abcd"), 1) for _ in range(9)]
    for turn in waiting:
        turns.add(turn)
    assert sorted(turns.queue_position(turn) for turn in waiting) == list(range(1, 10))
    first = next(turn for turn in waiting if turns.queue_position(turn) == 1)
    assert turns.next(lambda turn: True) is first
    assert turns.queue_position(first) == 0


def test_one_viewer_cannot_fill_the_queue():
    turns = FairQueue(Limits(at_once=2, waiting_a_viewer=4))
    for _ in range(6):
        turns.add(QueuedRequest("a", 1))
    with pytest.raises(Refusal) as refusal:
        turns.add(QueuedRequest("a", 1))
    assert (refusal.value.status, refusal.value.code) == (429, "too_many_for_viewer")
    turns.add(QueuedRequest("b", 1))


def test_all_viewers_together_cannot_fill_memory():
    turns = FairQueue(Limits(waiting_in_all=5))
    for i in range(5):
        turns.add(QueuedRequest(str(i), 1))
    with pytest.raises(Refusal) as refusal:
        turns.add(QueuedRequest("late", 1))
    assert refusal.value.code == "queue_full" and refusal.value.retry_after > 0


def test_no_more_of_a_viewer_at_once_than_allowed():
    turns = FairQueue(Limits(at_once=2))
    for _ in range(4):
        turns.add(QueuedRequest("a", 1))
    first, second = (turns.next(lambda turn: True) for _ in range(2))
    assert turns.next(lambda turn: True) is None
    turns.end(first)
    assert turns.next(lambda turn: True) not in (None, first, second)


# -- the engine --------------------------------------------------------------------------------------------------------


def test_many_people_at_random_times_read_what_they_would_alone(pairs):
    lonely, social = pairs["llama", "int8"]
    chance = random.Random(11)
    requests = [a_request(chance, 20) for _ in range(30)]
    readers = {}
    with running(rows=5) as engine:

        def person(i: int) -> None:
            time.sleep(random.Random(i).random() / 2)
            readers[i] = Reader(engine, social, requests[i], viewer=f"v{i % 9}")
            leaves_early = i % 6 == 5
            readers[i].read(enough=lambda reader: leaves_early and reader.n_tokens > 2)
            if leaves_early:
                engine.cancel(readers[i].job)

        threads = [threading.Thread(target=person, args=(i,)) for i in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
        assert engine.state()["waiting"] == 0
    for i, request in enumerate(requests):
        if i % 6 != 5:
            steps, _ = alone(lonely, request)
            assert [s.token_id for s in readers[i].steps[0]] == [s.token_id for s in steps]


def test_a_single_text_is_not_kept_waiting_by_eight(llama):
    with running(rows=4, at_once=4) as engine:
        greedy = [
            Reader(engine, llama, CompletionRequest(prompt="Once", n=8, settings=Settings(max_new_tokens=15)), "greedy")
            for _ in range(3)
        ]
        greedy[0].read(enough=lambda reader: reader.n_tokens > 4)
        Reader(engine, llama, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=5)), "modest").read()
        assert sum(reader.n_tokens for reader in greedy) + sum(r.job._n_unread for r in greedy) < 3 * 8 * 15 / 2
        for reader in greedy:
            engine.cancel(reader.job)


def test_a_cancelled_text_is_gone_within_two_steps(llama):
    with running() as engine:
        reader = Reader(
            engine, llama, CompletionRequest(prompt="Once", n=4, settings=Settings(max_new_tokens=500))
        ).read(lambda r: r.n_tokens > 20)
        engine.cancel(reader.job)
        n_steps = engine.n_steps
        until(lambda: not engine.state()["rows"])
        assert engine.n_steps - n_steps <= 2


def test_a_reader_who_reads_nothing_is_given_up_and_the_others_are_not(llama):
    with running() as engine:
        deaf = Reader(
            engine, llama, CompletionRequest(prompt="Once", n=8, settings=Settings(max_new_tokens=200)), "deaf"
        )
        assert deaf.bell.wait(120)
        deaf.bell.clear()  # the news rang once; the next ring is the end
        assert deaf.bell.wait(120)
        assert deaf.job.error.code == "slow_reader"
        assert deaf.job._n_unread <= MAX_UNREAD_STEPS + 8
        hearing = Reader(
            engine, llama, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=5)), "hearing"
        ).read()
        assert hearing.n_tokens == 5 and engine.state()["rows"] == 0


def test_a_problem_in_one_model_leaves_the_others_writing(pairs, monkeypatch, capsys):
    broken, sound = pairs["gpt2", "fp32"][1], pairs["llama", "int8"][1]
    with running() as engine:
        writer = Reader(engine, sound, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=60)), "a")
        with monkeypatch.context() as patch:
            patch.setattr(broken.network, "read", lambda *a, **k: torch.zeros(2) @ torch.zeros(3))
            assert Reader(engine, broken, CompletionRequest(prompt="Hm"), "b").read().job.error.status == 500
        assert Reader(engine, broken, CompletionRequest(prompt="Hm"), "b").read().ended == ["length"]
        assert writer.read().n_tokens == 60
    assert "Traceback" in capsys.readouterr().err


def test_a_long_scored_text_is_no_slow_reader(llama):
    text = " and" * (MAX_UNREAD_STEPS + 200)
    with running() as engine:
        reader = Reader(engine, llama, CompletionRequest(prompt=text, scores=True, steps=True)).read()
    assert reader.job.error is None and reader.n_tokens == MAX_UNREAD_STEPS + 200


def test_a_model_at_work_is_not_forgotten(pairs):
    busy, idle = pairs["llama", "int8"][1], pairs["gpt2", "int8"][1]
    with running(rows=1) as engine:
        writing, waiting = (
            Reader(engine, busy, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=60)), f"v{i}")
            for i in range(2)
        )
        Reader(engine, idle, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=2)), "other").read()
        writing.read(lambda reader: reader.n_tokens > 2)
        assert engine.forget([busy, idle]) == [idle]
        assert writing.read().n_tokens == 60 == waiting.read().n_tokens


def test_a_model_that_only_waits_for_its_turn_is_not_forgotten(pairs):
    model = pairs["gpt2", "int8"][1]
    engine = Engine(Limits())
    waiting = Reader(engine, model, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=3)))
    assert engine.forget([model]) == []
    engine.start()
    assert waiting.read().n_tokens == 3
    # A reader hears of the end before the engine has put the text away.
    until(lambda: engine.forget([model]) == [model])
    assert engine.close(10)


def test_a_retired_model_ends_its_texts_and_is_let_go(pairs):
    model = pairs["gpt2", "int8"][1]
    with running() as engine:
        reader = Reader(engine, model, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=40)))
        reader.read(lambda reader: reader.n_tokens > 1)
        engine.retire(model)
        assert reader.read().n_tokens == 40
        late = Reader(engine, model, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=2))).read()
        assert late.n_tokens == 2
    assert model not in engine._batches


def test_forgetting_at_any_moment_keeps_nobody_waiting(pairs):
    models = [pairs[kind, "int8"][1] for kind in ("gpt2", "llama")]
    is_over = threading.Event()
    with running(rows=3) as engine:
        # With pauses: a thread that only forgets would hold the interpreter's lock most of the time.
        forgetting = threading.Thread(
            target=lambda: [engine.forget(models) for _ in iter(lambda: is_over.wait(0.0005), True)]
        )
        forgetting.start()
        try:
            for i in range(12):
                reader = Reader(
                    engine, models[i % 2], CompletionRequest(prompt="Hm", settings=Settings(max_new_tokens=3)), f"v{i}"
                )
                assert reader.read().n_tokens == 3
        finally:
            is_over.set()
            forgetting.join()


def test_tokens_that_were_written_are_fed_one_by_one(pairs):
    """In 8 bits, reading them at once would give other numbers, and in the end another text."""
    lonely, social = pairs["gpt2", "int8"]
    settings = Settings(max_new_tokens=20, seed=4, top_k=0)
    whole = lonely.generate("Why is it so?", settings)[0]
    for n in (1, 7, 19):
        batch = Batch(social)
        request = CompletionRequest(settings=settings.replace(max_new_tokens=20 - n), first_step=n, steps=True)
        rest = Listener(batch, request)
        rest.row.ids[:], rest.row.written = [*lonely.encode("Why is it so?"), *whole.token_ids[:n]], n
        other = Listener(batch, CompletionRequest(prompt="Meanwhile", settings=Settings(max_new_tokens=9)))
        while batch.n_rows:
            batch.turn()
        told = [(step.token_id, step.model_probability, step.entropy_bits) for step in rest.steps]
        assert told == [(step.token_id, step.model_probability, step.entropy_bits) for step in whole.steps[n:]]
        assert len(other.steps) == 9


def test_those_who_wait_are_told_that_the_server_closes(llama):
    with running(rows=1) as engine:
        readers = [
            Reader(engine, llama, CompletionRequest(prompt="Once", settings=Settings(max_new_tokens=500)), f"v{i}")
            for i in range(3)
        ]
        readers[0].read(lambda reader: reader.n_tokens > 3)
    assert [reader.job.error.code for reader in readers] == ["closing"] * 3
    with pytest.raises(Refusal, match="closed"):
        Reader(engine, llama, CompletionRequest())
