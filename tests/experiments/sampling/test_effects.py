"""Laws of the two measures, and of the table that compares settings."""

import json
import math
import random
import threading

import pandas as pd
import pytest

from course_utils.errors import TextError
from course_utils.experiments.sampling.effects import PERPLEXITY, compare_settings, measure_settings, summarise
from course_utils.experiments.texts.repetition import distinct_ngrams, ngrams, repeated_ngram_share, words
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.settings import Settings


def random_text(seed: int, n_words: int = 60, n_different: int = 5) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice("abcdefghij"[:n_different]) for _ in range(n_words))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_repeated_share_and_distinct_share_are_one_count_seen_from_two_sides(seed, n):
    text = random_text(seed)
    assert repeated_ngram_share(text, n) + distinct_ngrams(text, n) == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_text_without_repetition_repeats_nothing(n):
    text = " ".join(str(number) for number in range(50))
    assert repeated_ngram_share(text, n) == 0
    assert distinct_ngrams(text, n) == 1


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_loop_repeats_all_but_its_first_round(n):
    text = "round it goes and on " * 20
    n_all = 100 - n + 1
    assert repeated_ngram_share(text, n) == (n_all - 5) / n_all


def test_a_repeat_is_counted_where_it_already_occurred():
    assert repeated_ngram_share("a b c d a b c d") == 1 / 5  # of abcd bcda cdab dabc abcd, only the last came before


def test_saying_a_text_twice_never_lowers_its_repetition():
    for seed in range(5):
        text = random_text(seed, n_different=10)
        assert repeated_ngram_share(f"{text} {text}") >= repeated_ngram_share(text)


def test_white_space_and_case_do_not_matter():
    assert distinct_ngrams("To  be\nor not\tto BE") == distinct_ngrams("to be or not to be")
    assert words("  ") == []


def test_any_characters_count_as_words():
    assert words("naïve 😀 你好 <b>") == ["naïve", "😀", "你好", "<b>"]


@pytest.mark.parametrize("measure", [repeated_ngram_share, distinct_ngrams])
@pytest.mark.parametrize("text", ["", "  \n", "one two three"])
def test_a_text_too_short_is_refused_with_its_length(measure, text):
    with pytest.raises(TextError, match=f"The text has {len(text.split())} word"):
        measure(text, 4)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "2", None])
def test_an_n_that_is_no_count_is_refused(n):
    with pytest.raises(TextError, match="n is"):
        ngrams("one two three", n)


# -- the table ---------------------------------------------------------------------------------------------------------

WAYS = {"greedy": Settings(temperature=0, max_new_tokens=12), "pure": Settings(top_k=0, max_new_tokens=12, seed=5)}


@pytest.fixture(scope="module")
def table(tiny):
    return compare_settings(tiny, ["The bridge", "Rain fell"], WAYS, n_samples=3)


def test_one_row_a_text_and_greedy_writes_one(table):
    assert table.groupby(["setting", "prompt"], sort=False).size().tolist() == [1, 1, 3, 3]
    assert table.query("setting == 'pure'")["seed"].tolist() == [5, 6, 7, 5, 6, 7]


def test_the_measures_are_those_of_the_machine_text_alone(table):
    for row in table.itertuples():
        assert row.n_words == len(row.text.split())
        if row.n_words >= 4:
            assert row.repeated_4grams == repeated_ngram_share(row.text)
            assert row.distinct_2 == distinct_ngrams(row.text)


def test_the_same_call_gives_the_same_table(tiny, table):
    again = compare_settings(tiny, iter(["The bridge", "Rain fell"]), WAYS, n_samples=3)
    pd.testing.assert_frame_equal(again, table)


def test_a_text_too_short_keeps_its_row_with_the_measure_missing(tiny):
    short = compare_settings(tiny, ["The bridge"], {"one token": Settings(max_new_tokens=1)}, n_samples=2)
    assert len(short) == 2
    assert short[["repeated_4grams", "distinct_2"]].isna().all(axis=None)
    told = summarise(short)
    assert told["n_texts"].tolist() == [0, 0]
    assert told["n_too_short"].tolist() == [2, 2]
    assert told[["mean", "low", "high"]].isna().all(axis=None)


def test_one_string_is_not_taken_for_a_list_of_prompts(tiny):
    with pytest.raises(TextError, match="prompts is the text"):
        compare_settings(tiny, "The bridge", WAYS)


def test_the_mean_lies_in_its_interval_and_more_texts_narrow_it():
    draw = random.Random(0)
    widths = []
    for n in (5, 500):
        texts = pd.DataFrame({"setting": "any", "distinct_2": [draw.random() for _ in range(n)]})
        row = summarise(texts, ["distinct_2"]).iloc[0]
        assert row["low"] <= row["mean"] <= row["high"]
        widths.append(row["high"] - row["low"])
    assert widths[1] < widths[0] / 3


def test_one_text_has_a_mean_and_no_interval():
    row = summarise(pd.DataFrame({"setting": ["any"], "distinct_2": [0.5]}), ["distinct_2"]).iloc[0]
    assert row["mean"] == 0.5
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])


def test_settings_keep_the_order_in_which_they_came():
    texts = pd.DataFrame({"setting": ["z", "a", "z"], "distinct_2": [0.1, 0.2, 0.3]})
    assert summarise(texts, ["distinct_2"])["setting"].tolist() == ["z", "a"]


# -- the result --------------------------------------------------------------------------------------------------------

PROMPTS = ["The bridge", "Rain fell"]


@pytest.fixture(scope="module")
def result(tiny, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield measure_settings(tiny, PROMPTS, WAYS, n_samples=3)


def test_the_result_has_the_texts_and_the_means_of_the_table(result, table):
    columns = [column for column in table.columns if column != "model"]
    pd.testing.assert_frame_equal(result.details[columns], table[columns])
    told = result.rows[result.rows["measure"] != "perplexity"].reset_index(drop=True)
    alone = told.drop(columns=["low_of_all", "high_of_all"])
    pd.testing.assert_frame_equal(alone, summarise(table), check_dtype=False)
    assert (told["low_of_all"].dropna() <= told["low"].dropna()).all()
    assert (told["high_of_all"].dropna() >= told["high"].dropna()).all()


def test_perplexity_is_that_of_the_model_s_own_distribution(result, tiny):
    rows = result.rows[result.rows["measure"] == "perplexity"].set_index("setting")
    for name, chosen in WAYS.items():
        n_samples = 1 if chosen.is_greedy else 3
        written = [each for prompt in PROMPTS for each in tiny.generate(prompt, chosen, n_samples=n_samples)]
        chances = [math.log(step.model_probability) for each in written for step in each.steps]
        row = rows.loc[name]
        assert row["mean"] == pytest.approx(math.exp(-sum(chances) / len(chances)), rel=1e-6)
        assert row["low"] <= row["mean"] * (1 + 1e-9) and row["mean"] <= row["high"] * (1 + 1e-9)
    assert rows.loc["greedy", "mean"] < rows.loc["pure", "mean"]


def test_asked_again_nothing_is_written_again(tiny, result, monkeypatch):
    first = measure_settings(tiny, PROMPTS, WAYS, n_samples=3)
    monkeypatch.setattr(tiny, "stream", None)  # so that writing would fail
    again = measure_settings(tiny, PROMPTS, WAYS, n_samples=3)
    pd.testing.assert_frame_equal(again.details, first.details)
    with pytest.raises(TypeError):
        measure_settings(tiny, PROMPTS, WAYS, n_samples=2)


def test_the_finding_the_record_and_the_picture_tell_the_numbers(result, tiny):
    record = json.loads(json.dumps(result.record()))
    assert list(record["models"]) == [tiny.name]
    assert record["settings"]["settings"]["pure"]["seed"] == 5
    assert "under “" in result.finding and "n = " in result.finding
    picture = result.picture()
    assert PERPLEXITY in picture.alt and picture.png()
    scales = [axes.get_xscale() for axes in picture.figure.axes]
    assert scales == ["linear", "linear", "log"]


def test_a_stop_keeps_what_was_written(tiny):
    cancel, told = threading.Event(), []

    def stop(share, what):
        told.append(share)
        if share > 0:
            cancel.set()

    with pytest.raises(Cancelled):
        measure_settings(tiny, PROMPTS, WAYS, progress=stop, cancel=cancel)
    measure_settings(tiny, PROMPTS, WAYS, progress=lambda share, what: told.append(share))
    assert told[-1] == 1


@pytest.mark.parametrize(("prompts", "settings"), [("The bridge", WAYS), ([], WAYS), (["x"], {})])
def test_nothing_to_measure_is_refused(tiny, prompts, settings):
    with pytest.raises(TextError, match="A list of prompts, and a setting"):
        measure_settings(tiny, prompts, settings)


def test_texts_too_short_have_rows_and_no_numbers(tiny):
    result = measure_settings(tiny, ["The bridge"], {"one token": Settings(max_new_tokens=1)}, n_samples=2)
    assert "long enough" in result.finding
    assert result.picture().png() and len(result.details) == 2
