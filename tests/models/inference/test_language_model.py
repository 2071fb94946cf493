"""A model speaks exactly as transformers' own generate does, reproduces itself, and can be stopped anywhere."""

import threading

import pytest
import torch
from conftest import N_SMALL
from seeded_noise import SeededNoise
from transformers import AutoModelForCausalLM, LogitsProcessorList

from course_utils.errors import SettingsError, TextError
from course_utils.models.inference.decoding import read
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.sampling import process
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation

pytestmark = pytest.mark.slow

PROMPT = "The staged release of a language model"
SETTINGS = [
    Settings(max_new_tokens=24, seed=5),
    Settings(max_new_tokens=24, seed=6, temperature=0.7, top_k=0, top_p=0.9),
    Settings(max_new_tokens=24, seed=7, temperature=1.3, top_k=50, repetition_penalty=1.3),
    Settings(max_new_tokens=24, temperature=0),
    Settings(max_new_tokens=24, temperature=0, repetition_penalty=1.2),
]


class Shape:
    """The course's processors as one of transformers."""

    def __init__(self, settings):
        self.settings = settings

    def __call__(self, input_ids, scores):
        """Return the scores after all processors."""
        return process(self.settings, input_ids, scores)


def plain(folder):
    """Return the network as transformers computes it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def reference(model, folder, prompt, settings):
    """What transformers' generate writes with the untouched network, greedily or with our noise as last processor."""
    network = plain(folder)
    ids = model.tensor(model.encode(prompt))
    extra = LogitsProcessorList([Shape(settings), *([] if settings.is_greedy else [SeededNoise([settings.seed])])])
    out = network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=settings.max_new_tokens,
        do_sample=False,
        logits_processor=extra,
        pad_token_id=model.start_id,
        eos_token_id=sorted(model.end_ids),
    )
    return [i for i in out[0, ids.shape[1] :].tolist() if i not in model.end_ids]


@pytest.mark.parametrize("settings", SETTINGS)
def test_ids_equal_those_of_transformers_generate(tiny, tiny_folder, settings):
    assert tiny.generate(PROMPT, settings)[0].token_ids == reference(tiny, tiny_folder, PROMPT, settings)


def test_logits_equal_those_of_a_plain_forward_pass(tiny, tiny_folder):
    ids = tiny.tensor(tiny.encode(PROMPT * 12))
    assert ids.shape[1] > 64, "more than one chunk"
    with torch.inference_mode():
        expected = plain(tiny_folder)(ids).logits[:, -1]
    assert torch.allclose(read(tiny.network, ids, tiny.network.new_cache()), expected, atol=1e-4)


@pytest.mark.parametrize("settings", SETTINGS)
def test_same_seed_same_text_streamed_or_not(tiny, settings):
    written = tiny.generate(PROMPT, settings)[0]
    assert "".join(step.text for step in tiny.stream(PROMPT, settings)) == written.text
    assert tiny.generate(PROMPT, settings)[0] == written


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_same_seed_same_text_alone_or_in_a_batch(tiny_folder, precision):
    model, settings = LanguageModel(tiny_folder, precision), Settings(max_new_tokens=30, seed=40)
    batch = model.generate(PROMPT, settings, n_samples=8)
    alone = [model.generate(PROMPT, settings.replace(seed=40 + i))[0] for i in range(8)]
    assert [g.text for g in batch] == [g.text for g in alone]
    assert [g.seed for g in batch] == list(range(40, 48))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_same_seed_same_text_alone_or_beside_prompts_of_other_lengths(tiny_folder, precision):
    model = LanguageModel(tiny_folder, precision)
    prompts = ["A", "The old bridge over the river", "It rained, and then it rained again. " * 8]
    settings = Settings(max_new_tokens=20, seed=3, repetition_penalty=1.3)
    empty = [Generation(prompt, (), settings, 3, model.name, model.precision, "", "stopped") for prompt in prompts]
    stream = model.resume(empty)
    assert {step.sample for step in stream} == {0, 1, 2}
    for prompt, beside in zip(prompts, stream.generations(), strict=True):
        (alone,) = model.generate(prompt, settings)
        assert beside.text == alone.text
        assert beside.ended == alone.ended


def test_different_seeds_give_different_texts(tiny):
    texts = [g.text for g in tiny.generate(PROMPT, Settings(max_new_tokens=20, top_k=0), n_samples=6)]
    assert len(set(texts)) == 6


def test_two_threads_at_once_each_reproduce_themselves(tiny):
    settings = [Settings(max_new_tokens=25, seed=seed) for seed in (1, 2)]
    expected = [tiny.generate(PROMPT, s)[0].text for s in settings]
    found = {}
    threads = [
        threading.Thread(target=lambda s=s: found.update({s.seed: tiny.generate(PROMPT, s)[0].text})) for s in settings
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [found[1], found[2]] == expected


def test_a_text_is_its_tokens_decoded(tiny):
    for written in tiny.generate("", Settings(max_new_tokens=40, temperature=2, top_k=0), n_samples=8):
        assert written.text == tiny.tokenizer.decode(written.token_ids)


def test_an_empty_prompt_starts_from_the_end_of_text_token(tiny):
    settings = Settings(max_new_tokens=10, temperature=0)
    assert tiny.generate("", settings)[0].token_ids == tiny.generate("<|endoftext|>", settings)[0].token_ids


def test_a_prompt_too_long_keeps_its_last_tokens_and_says_so(tiny):
    settings, ids = Settings(max_new_tokens=20, temperature=0), tiny.encode("one two three four five " * 60)
    kept = tiny.tokenizer.decode(ids[-(tiny.context - 20) :])
    long, short = tiny.stream(tiny.tokenizer.decode(ids), settings), tiny.stream(kept, settings)
    assert [step.token_id for step in long] == [step.token_id for step in short]
    assert f"{len(ids):,}" in long.notice and str(tiny.context - 20) in long.notice and short.notice == ""
    assert long.generations()[0].notice == long.notice


def test_more_new_tokens_than_the_context_is_refused_with_both_numbers(tiny):
    with pytest.raises(SettingsError, match=r"(?s)max_new_tokens is 128.*128 tokens.*127"):
        tiny.stream(PROMPT, Settings(max_new_tokens=128))


@pytest.mark.parametrize("bad", [None, 5, b"bytes", ["list"], "half \ud83d of a pair"])
def test_a_prompt_that_is_no_text_is_refused(tiny, bad):
    with pytest.raises(TextError):
        tiny.stream(bad)


@pytest.mark.parametrize("n", [0, -1, 65, 1.5, "2"])
def test_a_number_of_samples_out_of_range_is_refused(tiny, n):
    with pytest.raises(SettingsError, match="n_samples"):
        tiny.stream(PROMPT, n_samples=n)


def test_a_closed_stream_ends_and_leaves_no_thread(tiny):
    before = threading.active_count()
    stream = tiny.stream(PROMPT, Settings(max_new_tokens=100))
    first = [next(stream) for _ in range(3)]
    stream.close()
    assert list(stream) == [] and threading.active_count() == before
    assert stream.generations()[0].steps == tuple(first) and stream.generations()[0].ended == "stopped"


def test_the_cancel_event_stops_between_two_tokens(tiny):
    cancel = threading.Event()
    stream = tiny.stream(PROMPT, Settings(max_new_tokens=100), n_samples=2, cancel=cancel)
    for n, _ in enumerate(stream):
        if n == 5:
            cancel.set()
    assert n < 14
    assert len({len(g.steps) for g in stream.generations()}) == 1, "all samples stop at the same token"


def test_the_cancel_event_stops_before_the_first_token(tiny):
    cancel = threading.Event()
    cancel.set()
    assert list(tiny.stream(PROMPT, cancel=cancel)) == []


@pytest.mark.parametrize("n_before", [1, 7, 20])
def test_stopped_and_resumed_is_the_text_that_was_never_stopped(tiny, n_before):
    settings = Settings(max_new_tokens=30, seed=11)
    whole = tiny.generate(PROMPT, settings, n_samples=3)
    stream = tiny.stream(PROMPT, settings, n_samples=3)
    for _ in range(n_before):
        next(stream)
    resumed = tiny.resume(stream.generations())
    for _ in resumed:
        pass
    for long, short in zip(resumed.generations(), whole, strict=True):
        assert long.token_ids[:30] == short.token_ids and len(long.steps) >= 30


def test_a_text_at_its_end_is_not_resumed(tiny_folder):
    model = LanguageModel(tiny_folder)
    with torch.no_grad():  # push the network towards its end-of-text token, so that it comes first
        model.network.final_norm[1].add_(100 * model.network.token_embedding[model.start_id])
    written = model.generate(PROMPT, Settings(temperature=0))
    assert written[0].ended == "end of text" and written[0].text == ""
    assert list(model.resume(written)) == []


def test_a_step_tells_the_models_own_opinion(tiny, tiny_folder):
    settings = Settings(max_new_tokens=12, top_k=3, temperature=0.5, seed=2)
    steps = list(tiny.stream(PROMPT, settings))
    with torch.inference_mode():
        ids = tiny.encode(PROMPT) + [step.token_id for step in steps]
        probability = torch.softmax(plain(tiny_folder)(tiny.tensor(ids)).logits[0, -len(steps) - 1 : -1], -1)
    for row, step in zip(probability, steps, strict=True):
        assert step.model_probability == pytest.approx(row[step.token_id].item(), rel=1e-3)
        assert step.rank <= 3 and step.rank == 1 + (row > row[step.token_id]).sum().item()
        assert step.entropy_bits == pytest.approx(-(row * row.log2()).sum().item(), rel=1e-3)
        best = [a.probability for a in step.alternatives]
        assert (
            len(best) == 10
            and best == sorted(best, reverse=True)
            and best[0] == pytest.approx(row.max().item(), rel=1e-3)
        )
        assert step.probability > step.model_probability
    assert [step.is_last for step in steps] == [False] * 11 + [True]


def test_next_tokens_are_the_first_steps_alternatives(tiny):
    first = next(tiny.stream(PROMPT, Settings(max_new_tokens=2)))
    assert [a.token_id for a in tiny.next_tokens(PROMPT)] == [a.token_id for a in first.alternatives]
    assert sum(a.probability for a in tiny.next_tokens(PROMPT, k=N_SMALL)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("k", [0, -3, 60000, 2.5])
def test_a_k_out_of_range_is_refused(tiny, k):
    with pytest.raises(SettingsError, match="k is"):
        tiny.next_tokens(PROMPT, k)


def test_smollm2_writes_english_and_reproduces_itself(smollm2):
    """The stand-in is a real model: it knows a capital and finds English likelier than a shuffle of it."""
    assert smollm2.next_tokens("The capital of France is")[0].text == " Paris"
    words = "The company said on Monday that it would release the new model to the public."
    shuffled = " ".join(sorted(words.split()))
    assert smollm2.score(words).bits_per_character < 0.7 * smollm2.score(shuffled).bits_per_character
    settings = Settings(max_new_tokens=12, seed=3)
    assert smollm2.generate(words, settings)[0].text == smollm2.generate(words, settings, n_samples=3)[0].text
