"""Settings are checked when made; noise depends on the request alone."""

import math
import random

import pytest
import torch
from seeded_noise import SeededNoise
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_utils.errors import SettingsError
from course_utils.models.inference.sampling import draw, process, processors
from course_utils.models.inference.settings import RANGES, Settings


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [-1, 1e12, math.nan, math.inf, "5", None, True])
def test_a_number_out_of_range_is_refused_by_name_and_value(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    assert name in str(caught.value) and repr(value) in str(caught.value)


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_every_range_are_allowed(name):
    lowest, highest, whole, _ = RANGES[name]
    assert getattr(Settings(**{name: lowest}), name) == lowest
    assert getattr(Settings(**{name: highest}), name) == highest
    if whole:
        with pytest.raises(SettingsError):
            Settings(**{name: lowest + 0.5})


def test_equal_settings_are_equal_and_hashable():
    assert Settings(top_k=3) == Settings(top_k=3.0) and len({Settings(), Settings(), Settings(seed=1)}) == 2


def test_the_last_seed_is_followed_by_the_first():
    assert Settings(seed=2**31 - 1).seed_of(1) == 0


def test_noise_depends_on_seed_and_step_only():
    logits = torch.randn(1, 1000)
    first, again = SeededNoise([7]), SeededNoise([7])
    torch.manual_seed(123)
    run = [first(None, logits) for _ in range(3)]
    torch.manual_seed(321)
    assert all(torch.equal(a, again(None, logits)) for a in run)
    assert torch.equal(SeededNoise([7], first_step=2)(None, logits), run[2])
    assert not torch.equal(run[0], run[1])


def test_noise_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    SeededNoise([1, 2])(None, torch.zeros(2, 10))
    assert torch.equal(before, torch.get_rng_state())


def test_a_row_draws_the_same_alone_and_in_a_batch():
    logits = torch.randn(1, 50)
    batch = SeededNoise([4, 5, 6])(None, logits.repeat(3, 1))
    assert all(torch.equal(batch[i], SeededNoise([4 + i])(None, logits)[0]) for i in range(3))


def test_draws_follow_the_distribution():
    """Total variation distance between 20,000 draws and the distribution; by chance about 0.01."""
    probability = torch.softmax(torch.tensor([2.0, 1.0, 0.0, -1.0, -3.0]), 0)
    n = 20_000
    seeds = list(range(n))
    drawn = SeededNoise(seeds)(None, probability.log().repeat(n, 1)).argmax(-1)
    share = torch.bincount(drawn, minlength=5) / n
    assert 0.5 * (share - probability).abs().sum() < 0.02


def test_no_draw_ever_leaves_the_tokens_that_the_settings_keep():
    """Rare noise must not win against certainty: 2,000 steps over GPT-2's whole vocabulary, 40 tokens allowed."""
    logits = torch.full((1, 50257), -torch.inf)
    logits[0, :40] = torch.linspace(0, -20, 40)
    noise = SeededNoise([3])
    drawn = [noise(None, logits) for _ in range(2000)]
    assert all(row.isfinite().sum() == 40 and not row.isnan().any() for row in drawn)
    assert max(row.argmax().item() for row in drawn) < 20, "a token of probability e^-10 or less"


def test_the_same_seed_couples_similar_distributions():
    """Two near distributions agree on most draws with the same noise, on few with different noise."""
    a, b = torch.randn(1, 200, generator=torch.Generator().manual_seed(0)), 0
    b = a + 0.1 * torch.randn(1, 200, generator=torch.Generator().manual_seed(1))
    n = 500
    same = SeededNoise(list(range(n)))(None, a.repeat(n, 1)).argmax(-1)
    coupled = SeededNoise(list(range(n)))(None, b.repeat(n, 1)).argmax(-1)
    independent = SeededNoise(list(range(n, 2 * n)))(None, b.repeat(n, 1)).argmax(-1)
    assert (same == coupled).float().mean() > 0.8 > 0.2 > (same == independent).float().mean()


def test_settings_that_change_nothing_add_no_processor():
    assert len(processors(Settings(top_k=0))) == 0
    assert len(processors(Settings(temperature=0, top_k=5, top_p=0.5))) == 0
    assert len(processors(Settings(temperature=0.5, top_k=5, top_p=0.5, repetition_penalty=1.5))) == 4


@pytest.mark.parametrize("number", range(60))
def test_processors_give_the_scores_of_those_of_transformers_to_the_last_bit(number):
    draw = random.Random(number)
    settings = Settings(
        temperature=draw.choice([1, 0.3, 0.8, 1.7]),
        top_k=draw.choice([0, 1, 5, 40, 400]),
        top_p=draw.choice([1, 0.999, 0.9, 0.3, 0.01]),
        repetition_penalty=draw.choice([1, 1.2, 1.9]),
    )
    n_rows, n_tokens = draw.choice([1, 3]), draw.choice([7, 300])
    generator = torch.Generator().manual_seed(number)
    logits = torch.randn(n_rows, n_tokens, generator=generator) * draw.choice([0.1, 3, 30])
    if number % 3 == 0:
        logits = logits.round()  # many scores are equal
    ids = torch.randint(0, n_tokens + 2, (n_rows, 9), generator=generator)  # also ids without a logit
    expected = transformers_processors(settings)(ids, logits.clone())
    assert torch.equal(process(settings, ids, logits), expected)


def transformers_processors(settings):
    """The processors that ``generate`` of transformers applies, in its order."""
    chosen = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.temperature != 1:
        chosen.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        chosen.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        chosen.append(TopPLogitsWarper(settings.top_p))
    return chosen


@pytest.mark.parametrize("n_kept", [1, 2, 40, 1000])
def test_a_token_is_drawn_as_by_noise_over_the_whole_vocabulary(n_kept):
    generator = torch.Generator().manual_seed(n_kept)
    scores = torch.full((1000,), -torch.inf)
    kept = torch.randperm(1000, generator=generator)[:n_kept]
    scores[kept] = 3 * torch.randn(n_kept, generator=generator)
    for seed in range(100):
        token, p = draw(scores, seed, step=seed % 7)
        assert token == SeededNoise([seed], seed % 7)(None, scores[None])[0].argmax()
        assert p == pytest.approx(torch.softmax(scores, 0)[token].item(), rel=1e-5)
