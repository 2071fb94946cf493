"""Laws of the measures of detection: they are sklearn's numbers, and their intervals hold what they promise."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from course_utils.errors import SettingsError
from course_utils.experiments.core.statistics import resample
from course_utils.experiments.detection.roc import GRID, MIN_HUMAN_TEXTS, auc, measure, newcombe, resampled_auc, roc

pytestmark = pytest.mark.slow


def scores_apart(n: int, by: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=n), draw.normal(loc=by, size=n)


@pytest.mark.parametrize(("n", "by"), [(7, 0.0), (60, 1.0), (250, 2.0)])
def test_the_numbers_are_those_of_sklearn_and_of_counting(n, by):
    human, machine = scores_apart(n, by, seed=n)
    labels, together = [0] * n + [1] * n, [*human, *machine]
    row = measure(human, machine, 0)
    assert row["auc"] == pytest.approx(roc_auc_score(labels, together))
    assert row["auc"] == pytest.approx(np.mean([m > h for h in human for m in machine]))
    assert row["accuracy"] == pytest.approx(np.mean((np.array(together) > 0) == np.array(labels)))
    assert row["false_alarms"] == np.mean(human > 0)
    if n >= MIN_HUMAN_TEXTS:
        flagged, caught, _ = roc_curve(labels, together, drop_intermediate=False)
        assert row["caught"] == pytest.approx(caught[flagged <= 0.01].max())


def test_ties_count_half():
    assert auc([1, 1, 1], [1, 1, 1]) == 0.5 == measure([1, 1, 1], [1, 1, 1], 0)["auc"]
    assert (resampled_auc([1, 1, 1], [1, 1, 1], 0) == 0.5).all()


def test_a_resample_is_what_sklearn_says_of_the_pairs_drawn():
    human, machine = scores_apart(12, 0.5, seed=1)
    human[3] = machine[4]
    for found, drawn in list(zip(resampled_auc(human, machine, seed=2), resample(12, 2), strict=True))[:50]:
        assert found == pytest.approx(roc_auc_score([0] * 12 + [1] * 12, [*human[drawn], *machine[drawn]]))


@pytest.mark.parametrize("n", [20, 150])
def test_a_perfect_separator_has_auc_1_and_an_interval_that_still_has_a_width(n):
    row = measure(np.linspace(-2, -1, n), np.linspace(1, 2, n), 0)
    assert row["auc"] == row["accuracy"] == row["auc_high"] == 1 and row["false_alarms"] == 0
    assert 0.85 < row["auc_low"] < 1 and row["accuracy_low"] < 1
    if n >= MIN_HUMAN_TEXTS:
        assert row["caught"] == 1 and 0.9 < row["caught_low"] < 1


def test_a_detector_turned_round_has_the_rest_of_the_auc():
    human, machine = scores_apart(40, 0.8, seed=3)
    one, other = measure(human, machine, 0), measure(-human, -machine, 0)
    assert one["auc"] + other["auc"] == pytest.approx(1)
    assert one["auc_low"] == pytest.approx(1 - other["auc_high"])


@pytest.mark.parametrize("n", [1, 40, MIN_HUMAN_TEXTS - 1])
def test_too_few_human_texts_give_no_rate_at_one_percent(n):
    row = measure(*scores_apart(n, 1.0, seed=0), 0)
    assert all(math.isnan(row[name]) for name in ("caught", "caught_low", "caught_high"))


def test_the_rate_at_one_percent_lets_no_more_human_texts_pass():
    for n in (100, 150, 199, 200):
        human, machine = scores_apart(n, 2.0, seed=n)
        row = measure(human, machine, 0)
        threshold = np.sort(human)[::-1][n // 100]
        assert np.mean(human > threshold) <= 0.01
        assert row["caught"] == np.mean(machine > threshold)
        assert row["caught_low"] <= row["caught"] <= row["caught_high"]


@pytest.mark.parametrize(("n", "by"), [(20, 0.0), (20, 2.5), (60, 1.0), (60, 3.3)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n, by):
    """95% promised; of 100 drawings, 88 or fewer would hold it with a probability below 0.5%."""
    truth, threshold = norm.cdf(by / math.sqrt(2)), (norm.cdf(by) + 0.5) / 2
    rows = [measure(*scores_apart(n, by, seed), 0) for seed in range(100)]
    assert np.mean([row["auc_low"] <= truth <= row["auc_high"] for row in rows]) > 0.88
    assert np.mean([row["accuracy_low"] <= threshold <= row["accuracy_high"] for row in rows]) > 0.88


def test_newcombes_interval_holds_its_estimate_narrows_with_n_and_ends_at_0_and_1():
    for area in (0.0, 0.2, 0.5, 0.9, 1.0):
        few, many = newcombe(area, 20, 20), newcombe(area, 200, 200)
        assert 0 <= few[0] <= many[0] <= area <= many[1] <= few[1] <= 1


def test_the_curve_rises_from_what_is_caught_for_nothing_to_all():
    human, machine = scores_apart(80, 1.0, seed=5)
    curve = roc(human, machine, 0)
    assert curve["false_alarms"].tolist() == GRID.tolist()
    assert curve["caught"].is_monotonic_increasing and curve["caught"].iloc[-1] == 1
    assert curve["caught"].iloc[0] == np.mean(machine > human.max())
    assert (curve["low"] <= curve["caught"] + 1e-9).all() and (curve["caught"] <= curve["high"] + 1e-9).all()
    flagged, caught, _ = roc_curve([0] * 80 + [1] * 80, [*human, *machine], drop_intermediate=False)
    for row in curve.itertuples():
        assert row.caught == caught[flagged <= row.false_alarms + 1e-9].max()


@pytest.mark.parametrize(("human", "machine"), [([], []), ([1], [1, 2]), ([np.nan, 1], [1, 2]), ([np.inf], [1])])
def test_scores_that_are_no_pairs_of_numbers_are_refused(human, machine):
    with pytest.raises(SettingsError, match="scores of human"):
        measure(human, machine, 0)
