"""Laws of what makes detection harder: the same articles everywhere, the lowest AUC is the hardest, as is told."""

import threading

import numpy as np
import pytest
from made_pairs import wordy_model
from sklearn.metrics import roc_auc_score

from course_utils.core.paths import cache_folder
from course_utils.errors import SettingsError
from course_utils.experiments.detection.detectors import RankDetector, WordDetector, scores
from course_utils.experiments.detection.evasion import conditioning, evade, nucleus_sweep
from course_utils.experiments.texts.pairs import paired_texts
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.settings import Settings

pytestmark = pytest.mark.slow

SETTINGS = Settings(max_new_tokens=30, top_k=0)


@pytest.fixture(scope="module")
def wordy(tmp_path_factory):
    return wordy_model(tmp_path_factory.mktemp("wordy") / "wordy")


@pytest.fixture
def news(real_cache):
    """Lend the real news to the test's own cache folder."""
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")


def areas(details, column: str) -> dict:
    """The AUC of every condition by sklearn, from the texts that are kept."""
    test = details[details["half"] == "test"]
    return {key: roc_auc_score(part["author"] == "machine", part["score"]) for key, part in test.groupby(column)}


def test_the_hardest_p_has_the_lowest_auc_and_shares_of_resamples_add_up(news, wordy):
    told = []
    result = nucleus_sweep(
        wordy, [1.0, 0.5], 20, 15, max_new_tokens=30, progress=lambda share, what: told.append(share)
    )
    assert result.rows["top_p"].tolist() == [0.5, 1.0]
    assert result.rows["auc"].to_dict() == pytest.approx(dict(enumerate(areas(result.details, "top_p").values())))
    assert result.rows["hardest_in"].sum() == pytest.approx(1)
    hardest = result.rows.loc[result.rows["auc"].idxmin()]
    assert f"{hardest['top_p']:g} is the hardest for ranks under {wordy.name}" in result.finding
    by_p = result.details.groupby("top_p")["article"].agg(set)
    assert by_p[0.5] == by_p[1.0]
    assert [each["top_p"] for each in result.settings["sets"]] == [0.5, 1.0]
    assert told == sorted(told) and told[-1] == 1 and "0.5: " in result.picture().alt


def test_one_p_makes_no_sweep(wordy):
    with pytest.raises(SettingsError, match="ps is"):
        nucleus_sweep(wordy, [0.9, 0.9])


def test_of_all_samples_the_one_with_the_lowest_score_is_kept(news, wordy):
    pairs = paired_texts(wordy, 20, SETTINGS, 15)
    result = evade(wordy, pairs, n_tries=3, detector=RankDetector(wordy))
    assert result.rows["attack"].tolist() == ["none", "chosen", "chosen, detector trained anew"]
    assert result.rows["auc"].tolist() == pytest.approx(
        [areas(result.details, "attack")[attack] for attack in result.rows["attack"]]
    )
    machine = (
        result.details[result.details["author"] == "machine"].set_index(["attack", "half", "article"]).sort_index()
    )
    before, after = machine.loc[("none", "test")], machine.loc[("chosen", "test")]
    assert (after["score"] <= before["score"] + 1e-6).all() and (after["score"] < before["score"] - 1e-6).any()
    found = scores(RankDetector(wordy), pairs.training, after["text"].tolist())
    np.testing.assert_allclose(found, after["score"])
    assert result.rows["auc"][1] <= result.rows["auc"][0]
    assert "of 3 samples" in result.finding and "95% interval" in result.finding


def test_the_human_side_is_the_same_with_and_without_attack(news, wordy):
    result = evade(wordy, paired_texts(wordy, 20, SETTINGS, 15), n_tries=2)
    human = result.details[result.details["author"] == "human"].groupby("attack")["text"].agg(tuple)
    assert len(set(human)) == 1


@pytest.mark.parametrize("n_tries", [0, 1, 17, 2.0, True])
def test_a_number_of_samples_that_cannot_be_is_refused(n_tries):
    with pytest.raises(SettingsError, match="n_tries is"):
        evade(None, None, n_tries)


def test_conditions_hold_the_same_articles_and_tell_the_difference(news, wordy):
    result = conditioning(wordy, 20, SETTINGS, 15, WordDetector())
    assert result.rows["opening"].tolist() == ["headline", "outlet, date and headline"]
    by_opening = result.details.groupby("opening")["article"].agg(set)
    assert by_opening.iloc[0] == by_opening.iloc[1]
    assert f"{result.rows['auc'][0]:.2f} to {result.rows['auc'][1]:.2f}" in result.finding
    assert all(f"{row.opening}: {row.auc:.2f}" in result.picture().alt for row in result.rows.itertuples())
    with pytest.raises(SettingsError, match="openings is"):
        conditioning(wordy, openings=["headline", "headline"])


def test_a_stop_is_told(news, wordy):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        nucleus_sweep(wordy, [0.5, 1.0], 20, 15, cancel=cancel)
