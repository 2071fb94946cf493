"""Laws of choosing: the estimate is the mean over all subsets, more to choose from is never worse, raters are named."""

import itertools
import json
import random
import threading

import numpy as np
import pandas as pd
import pytest
from sentences import sentences

from course_utils.errors import SettingsError, TextError
from course_utils.experiments.sampling.best_of import (
    KOEBIS_MOSSINK,
    PROXY,
    WEAKNESS,
    best_of,
    blind,
    expected_best,
    samples,
)
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.settings import Settings

pytestmark = pytest.mark.slow

PROMPTS = ["The old bridge", "Rain fell", "She said that"]
HOW = {"n_samples": 4, "settings": Settings(max_new_tokens=8), "ns": (1, 2, 4, 10)}
REFERENCES = [sentences(400, seed) for seed in range(8)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def table(tiny, cache):
    return samples(tiny, PROMPTS, 4, HOW["settings"])


@pytest.fixture
def ratings(table):
    draw = random.Random(0)
    return [{"item": item, "rating": draw.randint(1, 5), "rater": "one"} for item in table["item"]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_all", [1, 3, 7])
def test_the_expected_best_is_the_mean_over_all_subsets(seed, n_all):
    draw = random.Random(seed)
    ratings = [draw.randint(1, 5) for _ in range(n_all)]
    for n in range(1, n_all + 1):
        by_hand = np.mean([max(subset) for subset in itertools.combinations(ratings, n)])
        assert expected_best(ratings, n) == pytest.approx(by_hand)
        assert expected_best(ratings[::-1], n) == expected_best(ratings, n)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_of_more_is_never_worse(seed):
    draw = random.Random(seed)
    ratings = [draw.uniform(1, 5) for _ in range(10)]
    best = [expected_best(ratings, n) for n in range(1, 11)]
    assert all(more >= fewer - 1e-12 for fewer, more in itertools.pairwise(best))
    assert best[0] == pytest.approx(np.mean(ratings)) and best[-1] == max(ratings)


@pytest.mark.parametrize("n", [0, 4, -1, 1.0, True])
def test_an_n_that_no_subset_has_is_refused(n):
    with pytest.raises(SettingsError, match="n is"):
        expected_best([1, 2, 3], n)


def test_every_prompt_has_its_samples_and_every_sample_its_seed(table, tiny, cache):
    assert table.groupby("prompt", sort=False).size().tolist() == [4, 4, 4]
    assert table["item"].is_unique and table["seed"].is_unique
    pd.testing.assert_frame_equal(samples(tiny, PROMPTS, 4, HOW["settings"]), table)


def test_the_blind_sheet_holds_every_text_and_nothing_else(table):
    sheet = blind(table, seed=3)
    assert {each["item"] for each in sheet} == set(table["item"])
    assert all(set(each) == {"item", "prompt", "text"} for each in sheet)
    assert blind(table, seed=3) == sheet != blind(table, seed=4)


def test_people_s_ratings_give_the_mean_over_prompts(tiny, cache, ratings):
    result = best_of(tiny, PROMPTS, ratings=ratings, **HOW)
    assert result.rows["n"].tolist() == [1, 2, 4]  # of 10 there are not so many
    given = {each["item"]: each["rating"] for each in ratings}
    by_prompt = [[given[f"{p}-{s}"] for s in range(1, 5)] for p in range(1, 4)]
    for row in result.rows.itertuples():
        assert row.mean_of_best == pytest.approx(np.mean([expected_best(each, row.n) for each in by_prompt]))
        assert row.low <= row.mean_of_best <= row.high
    assert result.rows["mean_of_best"].is_monotonic_increasing
    assert set(result.rows["rated_by"]) == {"1 person"}
    assert "proxy" not in f"{result} {result.picture().alt}"


def test_two_raters_are_averaged(tiny, cache, ratings):
    other = [each | {"rater": "two", "rating": 6 - each["rating"]} for each in ratings]
    result = best_of(tiny, PROMPTS, ratings=[*ratings, *other], **HOW)
    assert result.rows["mean_of_best"].tolist() == [3, 3, 3]
    assert set(result.rows["rated_by"]) == {"2 people"}


def test_without_people_rows_finding_and_picture_say_proxy(tiny, cache):
    result = best_of(tiny, PROMPTS, references=REFERENCES, **HOW)
    assert set(result.rows["rated_by"]) == {PROXY}
    assert PROXY in result.finding and PROXY in result.picture().alt
    assert PROXY in result.picture().figure.get_suptitle()
    assert result.settings["weakness"] == WEAKNESS
    assert result.details["rating"].between(1, 5).all()
    assert json.loads(json.dumps(result.record()))["rows"][0]["rated_by"] == PROXY
    assert result.picture().png()


def test_the_proxy_rates_by_the_place_among_the_references(tiny, cache, table):
    result = best_of(tiny, PROMPTS, references=REFERENCES, **HOW)
    bits = {}
    for row in table.itertuples():
        steps = tiny.score(row.prompt + row.text).steps[len(tiny.encode(row.prompt)) :]
        bits[row.item] = np.mean([step.surprisal_bits for step in steps]) if steps else None
    cut = [tiny.tokenizer.decode(tiny.encode(each)[:18]) for each in REFERENCES]
    ordinary = [np.mean([step.surprisal_bits for step in tiny.score(each).steps[10:]]) for each in cut]
    for row in result.details.itertuples():
        if bits[row.item] is None:  # a text that ended at once
            assert row.rating == 1
            continue
        place = np.mean([bits[row.item] > other for other in ordinary])
        assert row.rating == pytest.approx(5 - 8 * abs(place - 0.5), abs=1e-6)


def test_ratings_that_are_none_are_refused(tiny, cache, ratings):
    for wrong, told in (({"rating": 6}, "rated 6"), ({"rating": True}, "rated True"), ({"rating": None}, "rated None")):
        with pytest.raises(SettingsError, match=told):
            best_of(tiny, PROMPTS, ratings=[ratings[0] | wrong], **HOW)
    with pytest.raises(TextError, match="'9-9'"):
        best_of(tiny, PROMPTS, ratings=[ratings[0] | {"item": "9-9"}], **HOW)
    with pytest.raises(SettingsError, match="0 rated texts"):
        best_of(tiny, PROMPTS, ratings=ratings[:4], **HOW)


def test_a_prompt_rated_in_part_limits_n(tiny, cache, ratings):
    assert best_of(tiny, PROMPTS, ratings=ratings[:-2], **HOW).rows["n"].tolist() == [1, 2]


def test_one_prompt_has_no_interval(tiny, cache):
    result = best_of(tiny, PROMPTS[0], references=REFERENCES, **HOW)
    assert result.rows[["low", "high"]].isna().all(axis=None)
    assert "nan" not in result.finding and "nan" not in result.picture().alt


def test_samples_that_would_be_one_text_are_refused(tiny):
    with pytest.raises(SettingsError, match="temperature 0"):
        samples(tiny, PROMPTS, 3, Settings(temperature=0))
    with pytest.raises(SettingsError, match="n_samples is 0"):
        samples(tiny, PROMPTS, 0)
    with pytest.raises(TextError, match="twice"):
        samples(tiny, ["a", "a"], 2)


def test_a_stop_is_heeded(tiny):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        best_of(tiny, PROMPTS, references=REFERENCES, cancel=cancel, **HOW)


def test_the_figures_beside_it_have_a_source():
    assert KOEBIS_MOSSINK["recognised_percent"].tolist() == [65.5, 53.7]
    assert set(KOEBIS_MOSSINK["tag"]) == {"V2"}
