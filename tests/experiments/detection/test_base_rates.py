"""Laws of the base rates: Bayes by exact fractions, and the table that the course prints."""

from fractions import Fraction

import pytest

from course_utils.errors import SettingsError
from course_utils.experiments.detection.base_rates import (
    ACCURACIES,
    SHARES,
    base_rates,
    share_of_flags_that_are_right,
    worth_of_a_flag,
)

PRINTED = {  # accuracy: share of right flags at 50, 10, 1 and 0.1 % machine text; human texts flagged a million
    0.95: ("95.0", "67.9", "16.1", "1.9", 50_000),
    0.99: ("99.0", "91.7", "50.0", "9.0", 10_000),
    0.999: ("99.9", "99.1", "91.0", "50.0", 1_000),
    0.9999: ("100.0", "99.9", "99.0", "90.9", 100),
}


def test_the_table_is_bayes_by_counting_a_million_texts():
    rows = iter(base_rates().rows.itertuples())
    for accuracy in ACCURACIES:
        for share in SHARES:
            machine, human = share * 10**9, (1 - share) * 10**9
            right, wrong = machine * accuracy, human * (1 - accuracy)
            row = next(rows)
            assert (row.accuracy, row.machine_share) == (float(accuracy), float(share))
            assert row.flags_right == float(right / (right + wrong))


def test_the_table_is_the_one_that_is_printed():
    rows = base_rates().rows
    for accuracy, group in rows.groupby("accuracy"):
        *shares, per_million = PRINTED[accuracy]
        assert [f"{100 * share:.1f}" for share in group["flags_right"]] == shares
        assert set(group["wrongly_flagged_per_million"]) == {per_million}


def test_a_float_means_the_fraction_that_a_person_typed():
    assert base_rates([0.999], [0.001]).rows["flags_right"][0] == 0.5


def test_with_half_machine_text_a_flag_is_worth_the_accuracy():
    for accuracy in (Fraction(1, 3), Fraction(7, 8), Fraction(1)):
        assert share_of_flags_that_are_right(accuracy, 1 - accuracy, Fraction(1, 2)) == accuracy


def test_a_detector_that_guesses_tells_nothing():
    assert share_of_flags_that_are_right(Fraction(1, 3), Fraction(1, 3), Fraction(1, 7)) == Fraction(1, 7)


def test_rarer_machine_text_makes_flags_worth_less_and_no_false_alarm_makes_them_sure():
    worth = [share_of_flags_that_are_right(0.9, 0.05, share) for share in (0.5, 0.2, 0.1, 0.01, 0.001)]
    assert worth == sorted(worth, reverse=True)
    assert share_of_flags_that_are_right(0.9, 0.0, 0.001) == 1
    assert share_of_flags_that_are_right(0, 0, 0.5) != share_of_flags_that_are_right(0, 0, 0.5)  # NaN: nothing flagged


def test_the_ends_of_a_measured_worth_hold_it():
    middle, low, high = worth_of_a_flag((0.9, 0.8, 0.95), (0.02, 0.005, 0.05), 0.01)
    assert low < middle < high
    assert low == pytest.approx(share_of_flags_that_are_right(0.8, 0.05, 0.01))
    assert high == pytest.approx(share_of_flags_that_are_right(0.95, 0.005, 0.01))


def test_the_finding_tells_the_worst_cell_and_that_it_is_arithmetic():
    finding = base_rates().finding
    assert "0.1 % of all texts" in finding and "95 % of either kind" in finding and "1.9 % right" in finding
    assert "arithmetic" in finding


def test_the_record_is_plain_and_the_picture_tells_every_number():
    result = base_rates()
    assert len(result.record()["rows"]) == 16
    alt = result.picture().alt
    for row in result.rows.itertuples():
        assert f"{row.flags_right:.1%} of flags right at {row.machine_share:.4g} machine" in alt
        assert f"{row.wrongly_flagged_per_million:,.0f} of a million" in alt


@pytest.mark.parametrize("numbers", [(1.1, 0, 0.5), (0.5, -0.1, 0.5), (0.5, 0.5, 2), (float("nan"), 0, 0)])
def test_what_is_no_share_is_refused(numbers):
    with pytest.raises(SettingsError, match="A share"):
        share_of_flags_that_are_right(*numbers)


def test_no_accuracy_or_share_is_refused():
    for wrong in ([], [0.5]), ([0.9], []):
        with pytest.raises(SettingsError, match="accuracies or"):
            base_rates(*wrong)
