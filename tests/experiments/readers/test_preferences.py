"""Laws of the tally: places add up, every pair is counted once a ranking, and the interval behaves."""

import itertools
import json
import math
import random

import pytest

from course_utils.errors import DamagedFile, TextError
from course_utils.experiments.core.statistics import wilson
from course_utils.experiments.readers.preferences import append, in_words, pairs, read, tally

SIZES = {"small": 10, "medium": 30, "large": 60, "huge": 120}


def ranking(*best_first: str) -> dict:
    return {"ranking": list(best_first), "n_parameters": {name: SIZES[name] for name in best_first}}


def random_rankings(seed: int, n: int = 9) -> list[dict]:
    draw = random.Random(seed)
    return [ranking(*draw.sample(list(SIZES), k=draw.randint(2, 4))) for _ in range(n)]


@pytest.mark.parametrize("seed", range(8))
def test_every_pair_is_counted_once_in_each_ranking(seed):
    rankings = random_rankings(seed)
    n_pairs = sum(math.comb(len(each["ranking"]), 2) for each in rankings)
    table = pairs(rankings)
    assert table["n"].sum() == n_pairs
    assert (table["smaller"].map(SIZES) < table["larger"].map(SIZES)).all()
    assert (table["n_won"] / table["n"]).tolist() == table["share"].tolist()
    assert ((table["low"] <= table["share"]) & (table["share"] <= table["high"])).all()


@pytest.mark.parametrize("seed", range(8))
def test_mean_places_of_full_rankings_average_to_the_middle(seed):
    draw = random.Random(seed)
    rankings = [ranking(*draw.sample(list(SIZES), k=4)) for _ in range(7)]
    table = tally(rankings)
    assert table["mean_place"].mean() == pytest.approx(2.5)
    assert table["model"].tolist() == list(SIZES)
    assert table["against"].tolist() == ["", "small", "medium", "large"]


def test_who_always_prefers_the_larger_gives_it_every_pair_and_who_never_does_none():
    for order, share in ((list(SIZES)[::-1], 1), (list(SIZES), 0)):
        assert set(pairs([ranking(*order)] * 5)["share"]) == {share}
        assert tally([ranking(*order)] * 5)["preferred"].tolist()[1:] == [share] * 3


def test_the_order_of_rankings_does_not_matter():
    rankings = random_rankings(1)
    for order in itertools.islice(itertools.permutations(rankings), 0, 5000, 999):
        assert tally(order).equals(tally(rankings))


def test_models_that_never_met_have_no_pair():
    table = tally([ranking("small", "large"), ranking("medium", "huge")])
    assert table["n"].tolist() == [0, 0, 0, 0]
    assert table["preferred"].isna().all()
    assert len(pairs([ranking("small", "large"), ranking("medium", "huge")])) == 2


def test_no_rankings_make_empty_tables_with_the_same_columns():
    for count in (pairs, tally):
        assert len(count([])) == 0
        assert list(count([]).columns) == list(count(random_rankings(0)).columns)
    assert in_words([]) == ""


def test_the_interval_of_a_share_is_wilsons():
    for row in pairs(random_rankings(3)).itertuples():
        share = wilson(row.n_won, row.n)
        assert (row.share, row.low, row.high) == (share.share, share.low, share.high)


def test_words_name_every_model_and_every_neighbour_that_met():
    told = in_words(random_rankings(3))
    assert told.startswith("9 rankings so far. Mean place: ")
    assert all(name in told for name in SIZES)
    assert in_words(random_rankings(3, n=1)).startswith("1 ranking so far.")


@pytest.mark.parametrize("seed", range(3))
def test_what_is_appended_is_read(seed, tmp_path):
    file, rankings = tmp_path / "new" / "rankings.jsonl", random_rankings(seed)
    assert read(file) == []
    for each in rankings:
        append(file, each | {"prompt": "naïve 你好\n😀"})
    assert read(file) == [each | {"prompt": "naïve 你好\n😀"} for each in rankings]


@pytest.mark.parametrize("line", ["{", "7", "[]", "{}", '{"ranking": ["a"]}', '{"ranking": ["a"], "n_parameters": {}}'])
def test_a_line_that_is_no_ranking_is_named(line, tmp_path):
    file = tmp_path / "rankings.jsonl"
    file.write_text(f"{json.dumps(ranking('small', 'large'))}\n{line}\n")
    with pytest.raises(DamagedFile, match="line 2"):
        read(file)


def test_a_folder_is_no_record(tmp_path):
    with pytest.raises(TextError, match="folder"):
        read(tmp_path)
