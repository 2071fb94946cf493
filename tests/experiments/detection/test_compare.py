"""Laws of the detection experiments: rows follow from the texts they keep, no article is on both sides, all is told."""

import itertools
import json

import numpy as np
import pytest
from made_pairs import made_pairs, wordy_model
from sklearn.metrics import roc_auc_score

from course_utils.errors import SettingsError, TextError
from course_utils.experiments.detection.compare import by_condition, compare_detectors, differences, transfer
from course_utils.experiments.detection.detectors import RankDetector, WordDetector

pytestmark = pytest.mark.slow

FEW = made_pairs(24, apart=0.15)
MANY = made_pairs(210, apart=0.04)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model of 310 tokens: with GPT-2's 50,257, the detectors would sort most of the time."""
    return wordy_model(tmp_path_factory.mktemp("wordy"))


@pytest.fixture(scope="module")
def few(tiny, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return compare_detectors(FEW, [tiny])


def sides(details):
    test = details[details["half"] == "test"]
    return (test.loc[test["author"] == author, "score"].to_numpy() for author in ("human", "machine"))


def test_every_row_follows_from_the_texts_that_are_kept(few):
    assert len(few.rows) == 3
    for row in few.rows.itertuples():
        human, machine = sides(few.details[few.details["detector"] == row.detector])
        assert len(human) == len(machine) == row.n_human == row.n_machine == len(FEW.test)
        assert row.auc == pytest.approx(roc_auc_score([0] * len(human) + [1] * len(machine), [*human, *machine]))
        assert row.accuracy == pytest.approx((np.sum(human <= 0) + np.sum(machine > 0)) / (2 * len(human)))
        assert row.auc_low <= row.auc <= row.auc_high and row.accuracy_low <= row.accuracy <= row.accuracy_high


def test_the_kept_texts_alone_let_anyone_learn_and_judge_again(few):
    details = few.details[few.details["detector"] == "word counts"]
    test = details[details["half"] == "test"]
    text = {(name, author): part["text"].tolist() for (name, author), part in details.groupby(["half", "author"])}
    detector = WordDetector().fit(text["training", "human"], text["training", "machine"])
    np.testing.assert_allclose(detector.score(test["text"]), test["score"])


def test_no_article_is_learnt_from_and_judged(few):
    for result in (few, transfer([FEW, made_pairs(24, apart=0.3, generator="loaded dice")])):
        halves = result.details.groupby("half")["article"].agg(set)
        assert not halves["training"] & halves["test"]
        assert result.details.loc[result.details["half"] == "training", "score"].isna().all()


def test_few_human_texts_give_no_rate_at_one_percent_and_many_do(few):
    assert few.rows["caught"].isna().all()
    assert "12 human texts are too few for the rate at 1 % false alarms" in few.finding
    many = compare_detectors(MANY)
    row = many.rows.iloc[0]
    assert row["caught_low"] <= row["caught"] <= row["caught_high"]
    assert f"catches {100 * row['caught']:.0f} %" in many.finding and "at 1 % false alarms" in many.finding


def test_the_finding_tells_auc_interval_generator_sampling_and_n(few):
    best = few.rows.loc[few.rows["auc"].idxmax()]
    for told in (
        f"AUC {best['auc']:.2f} ({best['auc_low_of_all']:.2f} to",
        best["detector"],
        "12 pairs",
        "dice",
        "top-k 40",
    ):
        assert told in few.finding


def test_differences_are_those_of_the_rows_with_the_better_first(few):
    auc = few.rows.set_index("detector")["auc"]
    table = differences(few)
    assert len(table) == 3
    for row in table.itertuples():
        assert row.auc_gained == pytest.approx(auc[row.better] - auc[row.than]) and row.auc_gained >= 0
        assert row.low <= row.auc_gained <= row.high


def test_the_record_is_plain_and_names_all_weights(few, tiny):
    record = json.loads(json.dumps(few.record()))
    assert set(record["models"]) == {"dice", tiny.name}
    assert record["settings"]["sets"][0]["n_pairs"] == 24 and record["rows"][0]["caught"] is None


def test_every_condition_has_its_row_and_learns_for_itself():
    sets = [FEW, made_pairs(24, apart=0.5, generator="loaded dice")]
    result = by_condition(sets, lengths=[10, 30])
    found = list(zip(result.rows["generator"], result.rows["n_words"], strict=True))
    assert found == list(itertools.product(["dice", "loaded dice"], [10, 30]))
    alone = compare_detectors(sets[1].cut(10)).rows.iloc[0]
    assert result.rows["auc"][2] == alone["auc"]
    for (_, n_words), texts in result.details.groupby(["generator", "n_words"])["text"]:
        assert {len(text.split()) for text in texts} == {n_words}
    assert "10" in result.picture().alt and f"{result.rows['auc'][0]:.2f}" in result.picture().alt


def test_longer_texts_from_two_sources_are_easier():
    rows = by_condition([made_pairs(120, apart=0.05)], lengths=[3, 30]).rows
    assert rows["auc"][1] > rows["auc"][0]


def test_the_diagonal_of_the_transfer_matrix_is_each_set_by_itself():
    sets = [FEW, made_pairs(24, apart=0.5, generator="loaded dice")]
    result = transfer(sets)
    assert len(result.rows) == 4
    table = result.rows.pivot(index="trained_on", columns="tested_on", values="auc")
    for each in sets:
        assert table.loc[each.generator, each.generator] == compare_detectors(each).rows["auc"][0]
    assert all(f"{row.auc:.2f} ({row.auc_low:.2f}" in result.picture().alt for row in result.rows.itertuples())


def test_a_reader_can_judge_every_condition(tiny):
    result = by_condition([FEW], detector=RankDetector(tiny))
    assert result.rows["detector"][0] == f"ranks under {tiny.name}" and tiny.name in result.models
    assert result.picture().png()


def test_progress_rises_to_the_end():
    told = []
    transfer([FEW, made_pairs(24, generator="other")], progress=lambda share, what: told.append(share))
    assert told == sorted(told) and told[-1] == 1 and max(told[:-1]) < 1


def test_sets_that_cannot_be_told_apart_or_compared_are_refused():
    with pytest.raises(SettingsError, match="Two sets at least"):
        transfer([FEW])
    with pytest.raises(SettingsError, match="Name each set once"):
        transfer([FEW, FEW])
    with pytest.raises(TextError, match="Raise n_pairs"):
        transfer([FEW, made_pairs(4, generator="other")])
    with pytest.raises(SettingsError, match="n_words is"):
        by_condition([FEW], lengths=[31])
