"""A power law is found where there is one, and its interval says how sure that is."""

import math

import numpy as np
import pytest

from course_utils.errors import SettingsError
from course_utils.experiments.core.power_law import fit_power_law

SIZES = np.array([1.35e6, 3.5e6, 7.4e6, 16e6])


@pytest.mark.parametrize("exponent", [-0.3, -0.076, 0.0, 0.2])
@pytest.mark.parametrize("factor", [0.5, 30.0])
def test_an_exact_law_is_found_exactly(exponent, factor):
    law = fit_power_law(SIZES, factor * SIZES**exponent)
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.factor == pytest.approx(factor)
    assert law.at(1e9) == pytest.approx(factor * 1e9**exponent)
    assert law.per_doubling == pytest.approx(law.at(2e6) / law.at(1e6))


def test_without_resamples_nothing_is_known_of_the_interval():
    law = fit_power_law(SIZES, 1 / SIZES)
    assert math.isnan(law.low) and math.isnan(law.high)
    assert law.table()[["low", "high"]].isna().all(axis=None)


def test_the_interval_holds_the_law_and_widens_with_the_noise():
    draw, widths = np.random.default_rng(0), []
    for noise in (0.01, 0.1):
        losses = 30 * SIZES**-0.1
        resampled = losses * np.exp(noise * draw.standard_normal((500, len(SIZES))))
        law = fit_power_law(SIZES, losses, resampled)
        assert law.low < -0.1 < law.high
        assert (law.table()["low"] < law.table()["value"]).all() and (law.table()["value"] < law.table()["high"]).all()
        widths.append(law.high - law.low)
    assert widths[1] > 5 * widths[0]


def test_the_order_of_the_models_changes_nothing():
    losses = np.array([3.0, 2.5, 2.4, 2.0])
    there, back = fit_power_law(SIZES, losses), fit_power_law(SIZES[::-1], losses[::-1])
    assert there.exponent == pytest.approx(back.exponent)
    assert there.table()["value"].tolist() == pytest.approx(back.table()["value"].tolist())


@pytest.mark.parametrize(
    ("sizes", "losses"), [([], []), ([1e6], [2.0]), ([1e6, 1e6], [2.0, 3.0]), ([1e6, 2e6], [0, 1]), ([1, 2], [1])]
)
def test_what_makes_no_line_is_refused(sizes, losses):
    with pytest.raises(SettingsError, match="No line"):
        fit_power_law(sizes, losses)
