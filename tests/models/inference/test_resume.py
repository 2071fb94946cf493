"""A text that was stopped anywhere and goes on is the text that would have come without the stop."""

import dataclasses
import random

import pytest
from conftest import save_random_gpt2
from served_models import save_random_llama

from course_utils.models.client.remote_model import RemoteModel
from course_utils.models.inference.context_window import window
from course_utils.models.inference.kv_cache import Kept
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.networks.transformers_network import TransformersNetwork
from course_utils.models.server.serve import ModelServer

pytestmark = pytest.mark.slow

PROMPTS = ["The staged release", "", "naïve 你好 🙂 " * 3, "word " * 200]  # the last is longer than the context


@pytest.fixture(scope="module")
def shelf_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    save_random_gpt2(folder / "gpt2-like")
    save_random_llama(folder / "llama-like")
    return folder


@pytest.fixture(autouse=True)
def _shelf(shelf_folder, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(shelf_folder))


def a_setting(chance: random.Random) -> Settings:
    return Settings(
        chance.randint(2, 16), temperature=chance.choice([0, 1, 1.5]), top_k=chance.choice([0, 40]),
        top_p=chance.choice([1, 0.9]), repetition_penalty=chance.choice([1, 1.3]), seed=chance.randrange(2**31),
    )  # fmt: skip


def take(stream, n: int) -> list:
    """Read some steps, then stop."""
    for _ in range(n):
        if next(stream, None) is None:
            break
    stream.close()
    return stream.generations()


def require_same_whatever_stops(model, chance: random.Random, forgets: bool = False) -> None:
    prompt, settings, n_samples = chance.choice(PROMPTS), a_setting(chance), chance.randint(1, 4)
    whole = model.generate(prompt, settings, n_samples)
    told = take(model.stream(prompt, settings, n_samples), chance.randint(0, n_samples * settings.max_new_tokens))
    for _ in range(chance.randint(0, 2)):
        if forgets:
            model.kept = Kept()
        told = take(model.resume(told), chance.randint(0, 9))
    if forgets:
        model.kept = Kept()
    stream = model.resume(told)
    list(stream)
    for resumed, uninterrupted in zip(stream.generations(), whole, strict=True):
        n = len(uninterrupted.steps)
        assert [s.token_id for s in resumed.steps[:n]] == [s.token_id for s in uninterrupted.steps]
        assert resumed.text.startswith(uninterrupted.text[:-4])
        if model.precision == "int8":  # to the last bit
            numbers = [
                [(s.probability, s.model_probability, s.entropy_bits, s.alternatives) for s in steps]
                for steps in (resumed.steps[:n], uninterrupted.steps)
            ]
            assert numbers[0] == numbers[1]


@pytest.mark.parametrize("kind", ["gpt2-like", "llama-like"])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_with_weights_here(shelf_folder, kind, precision):
    model, chance = LanguageModel(shelf_folder / kind, precision), random.Random(f"{kind} {precision}")
    for turn in range(8):
        require_same_whatever_stops(model, chance, forgets=bool(turn % 2))


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_behind_a_server(shelf_folder, precision):
    chance = random.Random(precision)
    with ModelServer(port=0, models=("gpt2-like",), precision=precision).in_thread() as server:
        model = RemoteModel(server.url, "gpt2-like")
        for _ in range(6):
            require_same_whatever_stops(model, chance)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_weights_here_and_a_server_go_on_alike(shelf_folder, precision):
    chance, here = random.Random(precision), LanguageModel(shelf_folder / "gpt2-like", precision)
    with ModelServer(port=0, models=("gpt2-like",), precision=precision).in_thread() as server:
        for prompt in PROMPTS:
            begun = take(here.stream(prompt, a_setting(chance), 2), 7)
            streams = [model.resume(begun) for model in (here, RemoteModel(server.url, "gpt2-like"))]
            for stream in streams:
                list(stream)
            ours, theirs = ([(g.token_ids, g.text, g.notice, g.ended) for g in s.generations()] for s in streams)
            assert ours == theirs


def test_a_network_that_transformers_computes_goes_on_alike_too(shelf_folder, monkeypatch):
    for module in ("course_utils.models.weights.own_config", "course_utils.models.inference.compatibility"):
        monkeypatch.setattr(f"{module}.is_known", lambda config: False)
    model, chance = LanguageModel(shelf_folder / "llama-like", "int8"), random.Random(8)
    assert isinstance(model.network, TransformersNetwork)
    for _ in range(4):
        require_same_whatever_stops(model, chance)


def test_a_text_at_its_end_keeps_a_last_token_that_is_half_a_character(shelf_folder):
    model = LanguageModel(shelf_folder / "gpt2-like")
    half = model.encode("🙂")[0]
    (begun,) = model.generate("Once", Settings(1, temperature=0))
    step = dataclasses.replace(begun.steps[0], token_id=half)
    ended = [dataclasses.replace(begun, steps=(step,), ended="end of text")]
    assert model.resume(ended).generations()[0].token_ids == [half]


@pytest.mark.parametrize("seed", range(3))
def test_what_the_model_sees_depends_on_the_length_of_the_text_alone(seed):
    chance = random.Random(seed)
    for _ in range(200):
        context = chance.randint(2, 300)
        n_new, n_prompt, n_written = chance.randrange(1, context), chance.randint(1, 900), chance.randint(0, 900)
        begin, read_to = window(n_prompt, n_written, context, n_new)
        assert 0 <= begin < read_to <= n_prompt + n_written and n_prompt <= read_to
        assert n_prompt + n_written - begin < context, "there is room for one more"
        if n_written < n_new:  # nothing moves before the first piece is whole
            assert (begin, read_to) == (max(0, n_prompt - (context - n_new)), n_prompt)


def test_caches_of_stopped_texts_are_given_back_cut_and_never_whole(shelf_folder):
    model, kept = LanguageModel(shelf_folder / "gpt2-like", "int8"), Kept()
    cache = model.network.new_cache()
    model.network.read(model.tensor([1, 2, 3, 4, 5]), cache)
    for written, expected in (([4, 5], 4), ([4, 9, 9], 4), ([9], 3), ([4], 3), ([4, 5, 6], 5)):
        kept.put([1, 2, 3], [4, 5], cache)
        assert kept.take([1, 2, 3], written).length == expected
    assert kept.take([1, 2, 3], [4]) is None, "it was taken"
    kept.put([1, 2, 3], [4, 5], cache)
    assert kept.take([1, 2], [3, 4]) is None and kept.take([1, 2, 3], []) is None
    small = Kept(most=10)
    small.put([1, 2, 3], [4, 5], cache)
    assert small.take([1, 2, 3], [4, 5]) is None
