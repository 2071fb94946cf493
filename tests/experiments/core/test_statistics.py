"""Counts and means tell how sure they are, as statsmodels, scikit-learn and the formulas written out say it."""

import math
import random

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest

from course_utils.errors import SettingsError
from course_utils.experiments.core.statistics import kappa, mean_interval, two_proportions, wilson

COUNTS = [(n_yes, n) for n in (1, 2, 5, 10, 37, 50, 400, 100_000) for n_yes in sorted({0, 1, n // 3, n - 1, n})]
PAIRS = [(a, b) for a in COUNTS[::3] for b in COUNTS[::4]]


def newcombe(yes_a, n_a, yes_b, n_b):
    """Method 10 of Newcombe (1998), written out over SciPy's Wilson intervals."""
    a, b = (
        (yes / n, stats.binomtest(yes, n).proportion_ci(method="wilson")) for yes, n in ((yes_a, n_a), (yes_b, n_b))
    )
    (p, in_a), (q, in_b) = a, b
    return (
        p - q - math.hypot(p - in_a.low, in_b.high - q),
        p - q + math.hypot(in_a.high - p, q - in_b.low),
    )


# -- one share ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_a_share_is_wilson_s_by_statsmodels_and_by_scipy(confidence):
    for n_yes, n in COUNTS:
        share = wilson(n_yes, n, confidence)
        theirs = proportion_confint(n_yes, n, 1 - confidence, method="wilson")
        scipys = stats.binomtest(n_yes, n).proportion_ci(confidence, method="wilson")
        assert (share.low, share.high) == pytest.approx(theirs, abs=1e-12)
        assert (share.low, share.high) == pytest.approx((scipys.low, scipys.high), abs=1e-12)


def test_a_share_lies_in_its_interval_and_that_between_none_and_all():
    for n_yes, n in COUNTS:
        share = wilson(n_yes, n)
        assert 0 <= share.low <= share.share <= share.high <= 1
        assert share.low < share.high
        assert (share.n_yes, share.n, share.share) == (n_yes, n, n_yes / n)


def test_more_confidence_is_wider_and_more_counting_narrower():
    for n_yes, n in COUNTS:
        usual, sure = wilson(n_yes, n), wilson(n_yes, n, 0.99)
        many = wilson(10 * n_yes, 10 * n)
        assert sure.high - sure.low > usual.high - usual.low > many.high - many.low


def test_wilson_s_interval_is_where_a_share_would_be_two_standard_errors_off():
    for n_yes, n in ((3, 10), (50, 80), (1, 4)):
        share = wilson(n_yes, n)
        for end in (share.low, share.high):
            assert abs(n_yes / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(1.96, abs=0.001)


def test_nothing_counted_is_unknown_not_zero():
    share = wilson(0, 0)
    assert all(math.isnan(each) for each in (share.share, share.low, share.high))
    assert str(share) == "unknown (n = 0)"


def test_a_share_says_itself_with_interval_and_count():
    assert str(wilson(31, 50)) == "62 % (48 % to 74 %, n = 50)"


@pytest.mark.parametrize("counts", [(3, 2), (-1, 2), (1.0, 2), (True, 2), (1, "2"), (0, -1), (math.nan, 3)])
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(SettingsError, match="The count is"):
        wilson(*counts)
    with pytest.raises(SettingsError, match="The count is"):
        two_proportions(1, 2, *counts)


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, math.nan])
def test_a_confidence_that_cannot_be_is_refused(confidence):
    with pytest.raises(SettingsError, match="confidence is"):
        wilson(1, 2, confidence)
    with pytest.raises(SettingsError, match="confidence is"):
        mean_interval([1, 2], 0, confidence=confidence)


def test_numpy_s_counts_are_counts():
    assert wilson(np.int64(3), np.int32(9)) == wilson(3, 9)


# -- two shares --------------------------------------------------------------------------------------------------------


def test_a_difference_is_newcombe_s_and_its_test_the_pooled_one():
    for (yes_a, n_a), (yes_b, n_b) in PAIRS:
        found = two_proportions(yes_a, n_a, yes_b, n_b)
        assert found.difference == yes_a / n_a - yes_b / n_b
        theirs = confint_proportions_2indep(yes_a, n_a, yes_b, n_b, method="newcomb", compare="diff")
        assert (found.low, found.high) == pytest.approx(theirs, abs=1e-12)
        assert (found.low, found.high) == pytest.approx(newcombe(yes_a, n_a, yes_b, n_b), abs=1e-9)
        if 0 < yes_a + yes_b < n_a + n_b:
            z, p_value = proportions_ztest([yes_a, yes_b], [n_a, n_b])
            chi2 = stats.chi2_contingency([[yes_a, n_a - yes_a], [yes_b, n_b - yes_b]], correction=False)
            assert (found.z, found.p_value) == pytest.approx((z, p_value))
            assert (found.z**2, found.p_value) == pytest.approx((chi2.statistic, chi2.pvalue), rel=1e-6, abs=1e-9)


def test_the_other_way_round_the_difference_is_the_other_way_round():
    for (yes_a, n_a), (yes_b, n_b) in PAIRS:
        one, other = two_proportions(yes_a, n_a, yes_b, n_b), two_proportions(yes_b, n_b, yes_a, n_a)
        assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
        assert (one.z, one.p_value) == pytest.approx((-other.z, other.p_value))


@pytest.mark.parametrize("yes", [0, 1])
def test_two_groups_of_one_mind_do_not_differ(yes):
    found = two_proportions(10 * yes, 10, 25 * yes, 25)
    assert (found.difference, found.z, found.p_value) == (0, 0, 1)
    assert found.low < 0 < found.high


def test_an_empty_group_makes_a_difference_unknown():
    for counts in ((0, 0, 1, 2), (1, 2, 0, 0), (0, 0, 0, 0)):
        assert math.isnan(two_proportions(*counts).p_value)
        assert str(two_proportions(*counts)) == "unknown (a group is empty)"


def test_a_difference_is_told_in_percentage_points():
    assert str(two_proportions(40, 50, 25, 50)) == "+30 percentage points (+11 to +46, p = 0.002)"
    assert "p < 0.001" in str(two_proportions(90, 100, 10, 100))


# -- agreement ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("human", "machine"), (1, 2, 3, 4, 5), (True, False), ("a", 1, None)])
def test_kappa_is_scikit_learn_s(labels):
    for seed in range(12):
        draw = random.Random(seed)
        a = [draw.choice(labels) for _ in range(10 + 7 * seed)]
        b = [each if draw.random() < seed / 12 else draw.choice(labels) for each in a]
        found = kappa(a, b)
        numbers = [[labels.index(each) for each in ratings] for ratings in (a, b)]
        assert found.kappa == pytest.approx(cohen_kappa_score(*numbers))
        assert found.observed == pytest.approx(np.mean([one == other for one, other in zip(a, b, strict=True)]))
        assert -1 <= found.low <= found.kappa <= found.high <= 1
        assert kappa(b, a).kappa == pytest.approx(found.kappa)


def test_kappa_s_interval_holds_the_truth_about_as_often_as_it_says():
    """Two raters who agree by a coin of 0.6, and otherwise guess: kappa is 0.6."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        a, guess = rng.integers(2, size=(2, 120))
        found = kappa(a, np.where(rng.random(120) < 0.6, a, guess))
        held += found.low <= 0.6 <= found.high
    assert 0.90 <= held / 300 <= 0.99


def test_who_agrees_always_has_kappa_one_and_who_never_less_than_none():
    assert kappa("abab", "abab").kappa == 1
    assert kappa("abab", "baba").kappa == -1
    assert kappa([1, 1, 2, 2], [1, 2, 1, 2]).kappa == pytest.approx(0)


def test_two_raters_with_one_word_have_no_kappa():
    for ratings in ([], ["human"], ["human"] * 5):
        found = kappa(ratings, ratings)
        assert math.isnan(found.kappa) and found.n == len(ratings)
        assert str(found) == f"kappa unknown (n = {len(ratings)})"


def test_ratings_that_do_not_pair_up_are_refused():
    with pytest.raises(SettingsError, match="3 items, the other 2"):
        kappa("abc", "ab")


# -- means -------------------------------------------------------------------------------------------------------------


def test_a_mean_lies_in_its_interval_which_is_near_the_normal_one():
    for seed, n in enumerate((2, 3, 10, 60, 400)):
        values = np.random.default_rng(seed).normal(5, 2, n)
        found = mean_interval(values, seed)
        assert found.low <= found.mean == pytest.approx(values.mean()) and found.mean <= found.high
        assert values.min() <= found.low and found.high <= values.max()
        if n >= 60:
            half = 1.96 * values.std() / math.sqrt(n)
            assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=half / 5)


def test_the_same_seed_draws_the_same_interval_and_another_another():
    values = np.random.default_rng(1).random(30)
    assert mean_interval(values, 4) == mean_interval(list(values), 4) != mean_interval(values, 5)


def test_values_that_are_all_equal_are_sure():
    found = mean_interval([3.5] * 9, 0)
    assert (found.mean, found.low, found.high) == (3.5, 3.5, 3.5)


def test_fewer_than_two_values_have_no_interval():
    assert math.isnan(mean_interval([2.0], 0).low) and mean_interval([2.0], 0).mean == 2
    assert math.isnan(mean_interval([], 0).mean)
    assert str(mean_interval([], 0)) == "unknown (n = 0)"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(SettingsError, match="The values hold"):
        mean_interval([1, value, 3], 0)
