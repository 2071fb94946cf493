"""Base rates: of the texts that a detector flags, how many did a machine write? Bayes' rule for any accuracy."""

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from numbers import Rational

import pandas as pd

from course_utils.errors import SettingsError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result
from course_utils.plots.detection import right_flags

ACCURACIES = Fraction(95, 100), Fraction(99, 100), Fraction(999, 1000), Fraction(9999, 10_000)
SHARES = Fraction(1, 2), Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000)
MILLION = 1_000_000
MEASURES = (
    Measure("flags_right", "share", of=("accuracy", "machine_share")),
    Measure("wrongly_flagged_per_million", "of a million human texts", of=("accuracy", "machine_share")),
)


def share_of_flags_that_are_right(
    caught: float | Fraction, false_alarms: float | Fraction, machine_share: float | Fraction
) -> float:
    """Return the share of flagged texts that a machine wrote: the precision, by Bayes' rule.

    Parameters
    ----------
    caught : float
        Share of machine texts that are flagged, 0 to 1 (sensitivity).
    false_alarms : float
        Share of human texts that are flagged, 0 to 1 (1 minus specificity).
    machine_share : float
        Share of machine texts among all, 0 to 1 (the base rate).

    Returns
    -------
    float
        Exact when all three are fractions; NaN where nothing is flagged.

    Raises
    ------
    SettingsError
        One of them is no share.

    Examples
    --------
    >>> share_of_flags_that_are_right(Fraction(99, 100), Fraction(1, 100), Fraction(1, 100))
    Fraction(1, 2)
    """
    for name, value in (("caught", caught), ("false_alarms", false_alarms), ("machine_share", machine_share)):
        if not 0 <= value <= 1:
            raise SettingsError(f"{name} is {value!r}.", "A share, from 0 to 1.", "5 % is 0.05.")
    right, wrong = caught * machine_share, false_alarms * (1 - machine_share)
    return right / (right + wrong) if right + wrong else float("nan")


@experiment(
    "base_rates.base_rates",
    {
        "accuracies": input_types.list_of(input_types.fraction, 60),
        "machine_shares": input_types.list_of(input_types.fraction, 60),
    },
    redraw=lambda rows, run: right_flags(rows),
)
def base_rates(
    accuracies: Sequence[float | Fraction] = ACCURACIES,
    machine_shares: Sequence[float | Fraction] = SHARES,
    progress: Callable[[float, str], object] | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Tabulate what a flag is worth if the detector is as often right about machine as about human texts.

    Parameters
    ----------
    accuracies : sequence of float or Fraction
        OpenAI's six-month follow-up (2019) asks for 99.9 % to 99.99 % and puts detectors of its day in the low to mid
        90s.
    machine_shares : sequence of float or Fraction
        Shares of machine text in what is read.
    progress, cancel
        As other experiments take them; here there is nothing to wait for.

    Returns
    -------
    Result
        One row an accuracy and share: accuracy, machine_share, flags_right, wrongly_flagged_per_million (of a million
        human texts). It is arithmetic: no sample, no interval.

    Raises
    ------
    SettingsError
        A number that is no share, or none at all.
    """
    if not len(accuracies) or not len(machine_shares):
        raise SettingsError(
            "accuracies or machine_shares is empty.", "At least one of each.", "Leave both out to use the defaults."
        )
    asked = {"accuracies": [*map(_exact, accuracies)], "machine_shares": [*map(_exact, machine_shares)]}
    exact = [(accuracy, share) for accuracy in asked["accuracies"] for share in asked["machine_shares"]]
    rows = pd.DataFrame([_row(accuracy, 1 - accuracy, share) for accuracy, share in exact])
    worst = rows.loc[rows["flags_right"].idxmin()]
    finding = (
        f"If {_percent(worst['machine_share'])} of all texts are machine-written, a detector that is right about "
        f"{_percent(worst['accuracy'])} of either kind makes {_percent(worst['flags_right'])} right flags (arithmetic, "
        "no sampling)."
    )
    settings = {
        "accuracies": [float(accuracy) for accuracy in accuracies],
        "shares": [float(share) for share in machine_shares],
    }
    of = f"a detector right about {_percent(worst['accuracy'])}, {_percent(worst['machine_share'])} machine-written"
    inputs = {name: [*map(str, fractions)] for name, fractions in asked.items()}
    if progress:
        progress(1.0, "done")
    return Result(
        rows,
        finding,
        settings=settings,
        models={},
        seed=None,
        draw=right_flags,
        details=None,
        headline=Metric("flags_right", of, worst["flags_right"], "share"),
        measures=MEASURES,
        inputs=inputs,
    )


def worth_of_a_flag(
    caught: tuple[float, float, float], false_alarms: tuple[float, float, float], machine_share: float
) -> tuple[float, float, float]:
    """Return the share of right flags of a measured detector, with its worst and best case.

    Parameters
    ----------
    caught, false_alarms : tuple of float
        Each a share, its low and its high end.
    machine_share : float

    Returns
    -------
    tuple of float
        The share, and the two ends that come of the least caught with the most false alarms, and the reverse: wider
        than a 95% interval of the share itself would be.
    """
    ends = (caught[1], false_alarms[2]), (caught[2], false_alarms[1])
    cases = [(caught[0], false_alarms[0]), *ends]
    share, worst, best = (share_of_flags_that_are_right(found, alarms, machine_share) for found, alarms in cases)
    return share, worst, best


def _row(accuracy: Fraction, false_alarms: Fraction, machine_share: Fraction) -> dict[str, float]:
    right = share_of_flags_that_are_right(accuracy, false_alarms, machine_share)
    row = {"accuracy": float(accuracy), "machine_share": float(machine_share), "flags_right": float(right)}
    return row | {"wrongly_flagged_per_million": float(false_alarms * MILLION)}


def _exact(share: float | Fraction) -> Fraction:
    """Return the fraction that a person means by 0.999, which no float is."""
    return Fraction(share) if isinstance(share, Rational) else Fraction(str(float(share)))


def _percent(share: float) -> str:
    """Write a share as a person would.

    Examples
    --------
    >>> [_percent(share) for share in (0.5, 0.999, 0.9999, 0.018664)]
    ['50 %', '99.9 %', '99.99 %', '1.9 %']
    """
    percent = 100 * share
    digits = 1 if abs(percent - round(percent, 2)) > 1e-9 else 2
    return f"{round(percent, digits):.6g} %"
