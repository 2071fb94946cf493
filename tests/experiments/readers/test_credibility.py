"""Laws of the blind test: balanced and blind items, counts by hand, intervals by statsmodels, kappa by sklearn."""

import json
import math
import random

import numpy as np
import pytest
from made_pairs import wordy_model
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from course_utils.core.paths import cache_folder
from course_utils.data import news_articles
from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.experiments.readers.blind_items import HUMAN, Item, make_items
from course_utils.experiments.readers.credibility import OPENAI, SCALES, agreements, index, judge, rate, read_answers
from course_utils.experiments.readers.preferences import append
from course_utils.experiments.texts.pairs import first_sentence
from course_utils.models.inference.settings import Settings

SHORT = {"settings": Settings(max_new_tokens=16), "n_words": 8}


@pytest.fixture(scope="module")
def wordy(tmp_path_factory):
    return wordy_model(tmp_path_factory.mktemp("wordy") / "wordy")


@pytest.fixture
def news(real_cache):
    """Lend the real news to the test's own cache folder."""
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")
    return {article.id: article for article in news_articles.articles("held_out")}


def some_items(n: int = 20) -> list[Item]:
    sources = [HUMAN, "pocket-small", HUMAN, "pocket-large"]
    return [
        Item(f"text {i:02d}", "A headline", "A text …", sources[i % 4], "" if i % 2 == 0 else "ab", 5 * i)
        for i in range(n)
    ]


def some_answers(items, raters="AB", seed: int = 0) -> list[dict]:
    draw = random.Random(seed)
    return [
        {"item": item.id, "rater": rater, "answer": draw.choice(["human", "machine"])}
        | {scale: draw.randint(1, 4) for scale in SCALES}
        for item in items
        for rater in raters
    ]


# -- items -------------------------------------------------------------------------------------------


def test_half_are_human_each_article_comes_once_and_all_have_one_length(news, wordy):
    items = make_items(wordy, 12, **SHORT)
    assert sorted(item.source for item in items) == [HUMAN] * 6 + [wordy.name] * 6
    assert len({item.article for item in items}) == 12
    for item in items:
        article = news[item.article]
        opening = " ".join(first_sentence(article.text).split())
        assert item.headline == article.title and item.text.startswith(opening + " ") and item.text.endswith(" …")
        continuation = item.text.removeprefix(opening + " ").removesuffix(" …")
        assert len(continuation.split()) == 8
        assert (continuation in " ".join(article.text.split())) == (item.source == HUMAN)


def test_what_is_shown_does_not_tell_who_wrote_it(news, wordy):
    items = make_items(wordy, 12, **SHORT)
    for place, item in enumerate(items, start=1):
        assert item.shown() == {"id": f"text {place:02d}", "headline": item.headline, "text": item.text}
    orders = {tuple(item.source for item in make_items(wordy, 12, seed=seed, **SHORT)) for seed in range(3)}
    assert len(orders) > 1


def test_the_seed_decides_the_test(news, wordy):
    assert make_items(wordy, 8, **SHORT) == make_items(wordy, 8, **SHORT) != make_items(wordy, 8, seed=1, **SHORT)


def test_two_models_share_the_machines_half(news, wordy, tmp_path):
    other = wordy_model(tmp_path / "another", seed=1)
    items = make_items([wordy, other], 8, **SHORT)
    assert sorted(item.source for item in items) == sorted([HUMAN] * 4 + [wordy.name] * 2 + [other.name] * 2)
    assert len({item.article for item in items}) == 8


@pytest.mark.parametrize("n", [0, 7, -2, 2.0, True, "8"])
def test_a_number_that_cannot_be_halved_is_refused(wordy, n):
    with pytest.raises(SettingsError, match="n is"):
        make_items(wordy, n)


def test_a_model_that_writes_too_little_is_told(news, wordy):
    with pytest.raises(TextError, match="have 30 words"):
        make_items(wordy, 4, settings=Settings(max_new_tokens=4), n_words=30)


# -- judgements -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_by_hand_and_intervals_those_of_statsmodels(seed):
    items = some_items()
    answers, source = some_answers(items, "ABC", seed), {item.id: item.source for item in items}
    rows = judge(items, answers).rows
    assert rows["source"].tolist() == [HUMAN, "pocket-large", "pocket-small", "all"]
    for row in rows.itertuples():
        mine = [a for a in answers if row.source in ("all", source[a["item"]])]
        called = sum(a["answer"] == "human" for a in mine)
        right = sum((a["answer"] == "human") == (source[a["item"]] == HUMAN) for a in mine)
        assert (row.n, row.n_called_human, row.n_right) == (len(mine), called, right)
        assert (row.called_human, row.right) == (called / len(mine), right / len(mine))
        assert (row.low, row.high) == pytest.approx(proportion_confint(called, len(mine), method="wilson"))
        assert (row.right_low, row.right_high) == pytest.approx(proportion_confint(right, len(mine), method="wilson"))


def test_kappa_is_sklearns_on_the_texts_that_both_judged():
    items = some_items(30)
    answers = [a for a in some_answers(items) if not (a["rater"] == "B" and a["item"] == "text 03")]
    (row,) = agreements(answers).itertuples()
    by = {rater: {a["item"]: a["answer"] for a in answers if a["rater"] == rater} for rater in "AB"}
    shared = sorted(by["B"])
    assert row.n == 29
    assert row.kappa == pytest.approx(cohen_kappa_score([by["A"][i] for i in shared], [by["B"][i] for i in shared]))
    assert f"kappa of the two raters is {row.kappa:.2f}" in judge(items, answers).finding


def test_who_always_says_human_is_right_on_half_and_wrong_about_every_machine():
    items = some_items()
    result = judge(items, [{"item": item.id, "rater": "A", "answer": "human"} for item in items])
    by = result.rows.set_index("source")
    assert by.loc["all", "right"] == 0.5 and (by["called_human"] == 1).all()
    assert "+0 percentage points" in result.finding


def test_only_the_first_answer_of_a_rater_counts():
    items = some_items(4)
    answers = some_answers(items, "A")
    turned = [a | {"answer": "human" if a["answer"] == "machine" else "machine"} for a in answers]
    assert judge(items, answers + turned).rows.equals(judge(items, answers).rows)


def test_the_order_of_answers_of_different_texts_does_not_matter():
    items = some_items()
    answers = some_answers(items)
    assert judge(items, answers[::-1]).rows.equals(judge(items, answers).rows)


def test_the_record_is_plain_and_the_picture_tells_every_share():
    items = some_items()
    result = judge(items, some_answers(items))
    record = json.loads(json.dumps(result.record()))
    assert record["settings"]["n_raters"] == 2 and set(record["models"]) == {"pocket-small", "pocket-large"}
    for row in result.rows[:-1].itertuples():
        assert (
            f"{row.source} {row.called_human:.0%} ({row.low:.0%} to {row.high:.0%}, n = {row.n})"
            in result.picture().alt
        )


@pytest.mark.parametrize(
    "answer", [{}, "text 01", {"item": "text 99", "rater": "A", "answer": "human"}, {"item": "text 01", "rater": "A"},
               {"item": "text 01", "rater": "A", "answer": "robot"}, {"item": "text 01", "answer": "human"}],
)  # fmt: skip
def test_answers_that_fit_no_item_are_refused(answer):
    with pytest.raises(TextError):
        judge(some_items(), [answer])
    with pytest.raises(TextError, match="answers is empty"):
        judge(some_items(), [])


# -- credibility -------------------------------------------------------------------------------------------


def test_the_index_runs_from_1_to_10_in_equal_steps():
    values = [index(a, b, c) for a in range(1, 5) for b in range(1, 5) for c in range(1, 5)]
    assert set(values) == set(range(1, 11))
    assert all(index(a, b, 2) == 1 + 9 * (a + b + 2 - 3) / 9 for a in range(1, 5) for b in range(1, 5))
    for wrong in ((0, 1, 1), (1, 5, 1), (1, 1, None), (True, 1, 1), (1.5, 1, 1)):
        with pytest.raises(SettingsError, match="1, 2, 3 or 4"):
            index(*wrong)


def test_means_are_those_by_hand_and_openais_figures_stand_beside_them():
    items = some_items()
    answers, source = some_answers(items), {item.id: item.source for item in items}
    rows = rate(items, answers).rows.set_index("source")
    for name in (HUMAN, "pocket-small", "pocket-large"):
        mine = [sum(a[scale] for scale in SCALES) - 2 for a in answers if source[a["item"]] == name]
        assert rows.loc[name, "index"] == pytest.approx(np.mean(mine))
        assert rows.loc[name, "low"] <= rows.loc[name, "index"] <= rows.loc[name, "high"]
        assert rows.loc[name, "index"] == pytest.approx(rows.loc[name, list(SCALES)].sum() - 2)
    assert rows.loc[list(OPENAI), "index"].to_dict() == {"GPT-2 355M": 6.07, "GPT-2 774M": 6.72, "GPT-2 1.5B": 6.91}
    assert rows.loc[list(OPENAI), "measured_by"].str.contains("1.5B Release").all()


def test_the_interval_is_over_texts_not_over_raters():
    """Twice as many raters who say the same are no more texts: nothing gets surer."""
    items = some_items()
    one = some_answers(items, "A")
    both = one + [answer | {"rater": "B"} for answer in one]
    columns = ["index", "low", "high", "n_texts"]
    assert rate(items, one).rows[columns].equals(rate(items, both).rows[columns])


def test_one_text_has_no_interval_and_is_drawn():
    result = rate(some_items(1), some_answers(some_items(1), "A"))
    assert math.isnan(result.rows["low"][0]) and "nan" not in result.finding
    alt = result.picture().alt
    assert "6.07" in alt and "6.91" in alt and "nan" not in alt and result.picture().png()


# -- files -------------------------------------------------------------------------------------------


def test_answers_that_were_appended_are_read_back(tmp_path):
    answers = some_answers(some_items())
    for answer in answers:
        append(tmp_path / "answers.jsonl", answer)
    assert read_answers(tmp_path / "answers.jsonl") == answers
    assert read_answers(tmp_path / "nothing.jsonl") == []


@pytest.mark.parametrize("line", ["{", "[]", '["item", "rater"]', "3", '{"item": "text 01"}', "null"])
def test_a_line_that_is_no_answer_is_named(tmp_path, line):
    (tmp_path / "answers.jsonl").write_text('{"item": "text 01", "rater": "A"}\n' + line + "\n")
    with pytest.raises(DamagedFile, match="line 2"):
        read_answers(tmp_path / "answers.jsonl")
