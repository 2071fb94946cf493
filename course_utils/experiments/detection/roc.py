"""ROC curves and AUC of detector scores, and the true positive rate at 1 % false positives, with intervals."""

import math

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError
from course_utils.experiments.core.statistics import Numbers, percentiles, resample, wilson

FALSE_ALARMS = 0.01
MIN_HUMAN_TEXTS = 100  # texts: with fewer, 1 % of them is less than one text
Z_95 = 1.959964
GRID = np.linspace(0, 1, 101)


def measure(human: Numbers, machine: Numbers, seed: int) -> dict[str, float]:
    """Say how well scores tell the two apart, where above 0 means "machine".

    Parameters
    ----------
    human, machine : sequence of float of shape (n,)
        Scores; entry i of both belongs to one pair of texts.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        n_human, n_machine; auc, accuracy (at threshold 0) and caught (the share of machine texts above all but 1 % of
        the human ones), each with its _low and _high; false_alarms (the share of human texts above 0). caught is NaN
        below `MIN_HUMAN_TEXTS` human texts.

    Raises
    ------
    SettingsError
        Not as many of one as of the other, none, or a score that is no finite number.

    Notes
    -----
    Intervals are 95% percentile bootstraps over pairs (Efron 1979). Near a perfect detector they are too narrow: what
    was not seen cannot be drawn. So each is widened to at least the interval that counts would have: Newcombe's
    method 5 for AUC (2006), Wilson's for shares.
    """
    human, machine = _checked(human, machine)
    drawn, n = resample(len(human), seed), len(human)
    right = (machine > 0).astype(float) + (human <= 0)  # of each pair, 0 to 2
    share = wilson(int(right.sum()), 2 * n)
    row = {"n_human": n, "n_machine": n, "auc": auc(human, machine)}
    ends = _wider(percentiles(_resampled_auc(human, machine, drawn)), newcombe(row["auc"], n, n))
    row["auc_low"], row["auc_high"] = ends
    row["accuracy"] = share.share
    ends = _wider(percentiles(right[drawn].mean(axis=1) / 2), (share.low, share.high))
    row["accuracy_low"], row["accuracy_high"] = ends
    row["false_alarms"] = float((human > 0).mean())
    return row | _caught(human, machine, drawn)


def auc(human: Numbers, machine: Numbers) -> float:
    """Return the share of (human, machine) couples in which the machine's score is the higher; ties count half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([0] * len(human) + [1] * len(machine), [*human, *machine]))


def roc(human: Numbers, machine: Numbers, seed: int) -> pd.DataFrame:
    """Return the ROC curve and its 95% band over pairs.

    Returns
    -------
    pandas.DataFrame
        false_alarms (0 to 1 in hundredths), caught, low, high: the share of machine texts that score above all but so
        many of the human ones.
    """
    human, machine = _checked(human, machine)
    drawn = resample(len(human), seed)
    resampled = _caught_at(human[drawn], machine[drawn], GRID)  # (R, F)
    low, high = percentiles(resampled)
    caught = _caught_at(human[None], machine[None], GRID)[0]
    return pd.DataFrame({"false_alarms": GRID, "caught": caught, "low": low, "high": high})


def newcombe(area: float, n_human: int, n_machine: int, n_compared: int = 1) -> tuple[float, float]:
    """Return the 95% interval of an AUC by Newcombe's method 5 (2006), which is honest at 0 and 1 too.

    Parameters
    ----------
    area : float
        From 0 to 1.
    n_human, n_machine : int
    n_compared : int
        Of so many AUCs the interval holds for all at once (Bonferroni).

    Examples
    --------
    >>> [round(end, 3) for end in newcombe(1.0, 20, 20)]
    [0.899, 1.0]
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = Z_95 if n_compared == 1 else float(norm.isf(0.025 / n_compared))
    more = (n_human + n_machine) / 2 - 1

    def surprise(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + more * (1 - theta) / (2 - theta) + more * theta / (1 + theta))
        return abs(area - theta) - z * math.sqrt(spread / (n_human * n_machine))

    # At an area of 0 or 1 the surprise is 0 there as well: start beside it to find the other end.
    low = brentq(surprise, 0, min(area, 1 - 1e-12)) if surprise(0) > 0 else 0.0
    high = brentq(surprise, max(area, 1e-12), 1) if surprise(1) > 0 else 1.0
    return low, high


def resampled_auc(human: Numbers, machine: Numbers, seed: int) -> np.ndarray:
    """Return the AUC of each resample of the pairs, shape (R,): the same pairs are drawn for every detector."""
    human, machine = _checked(human, machine)
    return _resampled_auc(human, machine, resample(len(human), seed))


def _resampled_auc(human: np.ndarray, machine: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    n = len(human)
    wins = (machine[:, None] > human) + 0.5 * (machine[:, None] == human)  # (N, N)
    indices = drawn + n * np.arange(len(drawn))[:, None]
    counts = np.bincount(indices.ravel(), minlength=n * len(drawn)).reshape(-1, n).astype(float)  # (R, N): how often
    return ((counts @ wins) * counts).sum(axis=1) / n**2


def _caught(human: np.ndarray, machine: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    if len(human) < MIN_HUMAN_TEXTS:
        return dict.fromkeys(("caught", "caught_low", "caught_high"), math.nan)
    at = np.array([FALSE_ALARMS])
    caught = float(_caught_at(human[None], machine[None], at)[0, 0])
    counted = wilson(round(caught * len(machine)), len(machine))
    ends = _wider(percentiles(_caught_at(human[drawn], machine[drawn], at)[:, 0]), (counted.low, counted.high))
    return {"caught": caught, "caught_low": ends[0], "caught_high": ends[1]}


def _caught_at(human: np.ndarray, machine: np.ndarray, false_alarms: np.ndarray) -> np.ndarray:
    """Return, for each row of scores (R, N), the share caught when at most such shares of human texts are flagged."""
    n = human.shape[1]
    n_flagged = np.floor(false_alarms * n + 1e-9).astype(int)
    thresholds = -np.sort(-human, axis=1)  # (R, N), the highest human score first
    caught = [(machine > thresholds[:, [k]]).mean(axis=1) if k < n else np.ones(len(machine)) for k in n_flagged]
    return np.stack(caught, axis=1)


def _wider(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def _checked(human: Numbers, machine: Numbers) -> tuple[np.ndarray, np.ndarray]:
    human, machine = np.asarray(human, dtype=float), np.asarray(machine, dtype=float)
    if len(human) != len(machine) or not len(human) or not np.isfinite([human, machine]).all():
        raise SettingsError(
            f"There are {len(human)} scores of human texts and {len(machine)} of machine texts.",
            "As many of one as of the other, at least one, all finite numbers.",
            "Score both texts of every pair.",
        )
    return human, machine
