"""Confidence intervals: the bootstrap, simultaneous intervals for the best of many, Wilson's, Newcombe's, kappa.

All resampling goes through `bootstrap`. It takes the seed that the record of the experiment carries, so the same record
gives the same interval. statsmodels is imported when first needed: it takes two seconds.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from course_utils.errors import SettingsError

Numbers: TypeAlias = Sequence[float] | NDArray[Any]  # one number for each unit

N_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Share:
    """How many of n, with the interval of that share; all but the counts are NaN when nothing was counted."""

    n_yes: int
    n: int
    share: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as a sentence would have it."""
        if not self.n:
            return "unknown (n = 0)"
        return f"{100 * self.share:.0f} % ({100 * self.low:.0f} % to {100 * self.high:.0f} %, n = {self.n})"

    __repr__ = __str__


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much larger share a is than share b, its interval, and a test of whether they differ at all."""

    difference: float
    low: float
    high: float
    z: float
    p_value: float

    def __str__(self) -> str:
        """Return it in percentage points."""
        if math.isnan(self.difference):
            return "unknown (a group is empty)"
        low, high = (f"{100 * end:+.0f}" for end in (self.low, self.high))
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        return f"{100 * self.difference:+.0f} percentage points ({low} to {high}, {p})"

    __repr__ = __str__


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How often two raters agreed (observed, a share), and Cohen's kappa: how far beyond chance, 1 at most."""

    kappa: float
    low: float
    high: float
    observed: float
    n: int

    def __str__(self) -> str:
        """Return it as a sentence would have it."""
        if math.isnan(self.kappa):
            return f"kappa unknown (n = {self.n})"
        return f"kappa {self.kappa:.2f} ({self.low:.2f} to {self.high:.2f}, n = {self.n})"

    __repr__ = __str__


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean with its interval, which is NaN with fewer than two values."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return it to three digits behind the point."""
        if math.isnan(self.low):
            return f"{self.mean:.3f} (n = {self.n})" if self.n else "unknown (n = 0)"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f}, n = {self.n})"

    __repr__ = __str__


def wilson(n_yes: int, n: int, confidence: float = 0.95) -> Share:
    """Return a share with Wilson's interval (Wilson 1927).

    Unlike the share plus or minus two standard errors, it stays between 0 and 1 and is honest for small counts.

    Parameters
    ----------
    n_yes, n : int
        So many of so many.
    confidence : float
        Of the interval.

    Raises
    ------
    SettingsError
        Counts that cannot be, or a confidence that is not between 0 and 1.

    Examples
    --------
    >>> print(wilson(31, 50))
    62 % (48 % to 74 %, n = 50)
    """
    from statsmodels.stats.proportion import proportion_confint

    _require_count(n_yes, n)
    _require_confidence(confidence)
    n_yes, n = int(n_yes), int(n)
    if not n:
        return Share(0, 0, math.nan, math.nan, math.nan)
    low, high = proportion_confint(n_yes, n, 1 - confidence, method="wilson")
    share = n_yes / n
    low, high = max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding could put an end past 0, 1 or it
    return Share(n_yes, n, share, float(low), float(high))


def two_proportions(yes_a: int, n_a: int, yes_b: int, n_b: int) -> Difference:
    """Compare two independent shares: a minus b, Newcombe's 95% interval, and the pooled z-test.

    Returns
    -------
    Difference
        All NaN where a group is empty. Where all said yes, or all no, in both groups, z is 0 and p is 1.

    Raises
    ------
    SettingsError
        Counts that cannot be.

    Notes
    -----
    Newcombe (1998), method 10, is made of the two Wilson intervals and stays between -1 and 1. The groups must be
    independent: the same items judged twice are paired, and their difference is surer than this says.

    Examples
    --------
    >>> print(two_proportions(40, 50, 25, 50))
    +30 percentage points (+11 to +46, p = 0.002)
    """
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

    _require_count(yes_a, n_a)
    _require_count(yes_b, n_b)
    if not n_a or not n_b:
        return Difference(*[math.nan] * 5)
    low, high = confint_proportions_2indep(yes_a, n_a, yes_b, n_b, method="newcomb", compare="diff")
    z, p_value = 0.0, 1.0
    if 0 < yes_a + yes_b < n_a + n_b:  # otherwise the variance is 0, and so is the difference
        z, p_value = proportions_ztest([yes_a, yes_b], [n_a, n_b])
    return Difference(yes_a / n_a - yes_b / n_b, float(low), float(high), float(z), float(p_value))


def kappa(ratings_a: Sequence, ratings_b: Sequence) -> Agreement:
    """Return Cohen's kappa of two raters who judged the same items, and its 95% interval.

    Parameters
    ----------
    ratings_a, ratings_b : sequence of shape (n,)
        Any labels; entry i of both is about item i.

    Returns
    -------
    Agreement
        kappa is NaN where both always said the same one thing: chance alone would have agreed.

    Raises
    ------
    SettingsError
        Not as many ratings of one as of the other.

    Notes
    -----
    Cohen (1960); the interval is the asymptotic one of Fleiss, Cohen and Everitt (1969), cut at -1 and 1. It is too
    narrow for a handful of items, and of no width where all agreed.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    a, b = list(ratings_a), list(ratings_b)
    if len(a) != len(b):
        raise SettingsError(
            f"One rater judged {len(a)} items, the other {len(b)}.",
            "The same items.",
            "Leave out the items that one of them did not judge.",
        )
    labels = list(dict.fromkeys([*a, *b]))
    counts = np.zeros((max(2, len(labels)),) * 2)
    for one, other in zip(a, b, strict=True):
        counts[labels.index(one), labels.index(other)] += 1
    observed = float(np.trace(counts) / len(a)) if a else math.nan
    if len(labels) < 2:
        return Agreement(math.nan, math.nan, math.nan, observed, len(a))
    found = cohens_kappa(counts)
    low, high = max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp))
    return Agreement(float(found.kappa), low, high, observed, len(a))


def resample(n: int, seed: int) -> np.ndarray:
    """Return which of n units each bootstrap resample holds, shape (N_RESAMPLES, n).

    The same n and seed give the same resamples. So statistics of the same units are resampled together: a difference
    of two models is taken on the same documents.

    Parameters
    ----------
    n : int
        Units: documents, pairs of texts, prompts or readers.
    seed : int
        The seed in the record of the experiment.
    """
    return np.random.default_rng(seed).integers(n, size=(N_RESAMPLES, n))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, seed: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic (Efron 1979); NaN with fewer than two units.

    Parameters
    ----------
    statistic : callable
        Takes resamples of shape (R, n), as `resample` returns them, and returns the statistic of each, shape (R,).
    n, seed
        As for `resample`.
    confidence : float
        Of the interval.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 4.0])
    >>> [round(end, 2) for end in bootstrap(lambda drawn: values[drawn].mean(axis=1), 3, seed=0)]
    [1.0, 4.0]
    """
    if n < 2:
        return math.nan, math.nan
    return percentiles(statistic(resample(n, seed)), confidence)


def percentiles(resampled: np.ndarray, confidence: float = 0.95) -> tuple:
    """Return the ends that cut off equal shares of resampled statistics, along the first axis.

    The ends are numbers for shape (R,), and arrays of shape (K,) for shape (R, K).
    """
    tail = 50 * (1 - confidence)
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=0)
    return (low, high) if np.ndim(low) else (float(low), float(high))


def mean_interval(values: Numbers, seed: int, confidence: float = 0.95) -> Estimate:
    """Return a mean with its bootstrap interval.

    Parameters
    ----------
    values : sequence of float of shape (n,)
        Independent of each other: one a document, a prompt or a reader.
    seed : int
        Of the resampling.
    confidence : float
        Of the interval.

    Raises
    ------
    SettingsError
        A value is not a finite number.
    """
    _require_confidence(confidence)
    numbers = np.asarray(values, dtype=float).ravel()
    if not np.isfinite(numbers).all():
        raise SettingsError(
            f"The values hold {numbers[~np.isfinite(numbers)][0]}.", "Finite numbers.", "Leave this value out."
        )
    mean = float(numbers.mean()) if len(numbers) else math.nan
    low, high = bootstrap(lambda drawn: numbers[drawn].mean(axis=1), len(numbers), seed, confidence)
    return Estimate(mean, min(low, mean), max(high, mean), len(numbers))  # in this order, NaN stays


def ratio_interval(amounts: Numbers, lengths: Numbers, seed: int) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a ratio of sums, such as bits to characters; NaN with one document.

    Parameters
    ----------
    amounts, lengths : array_like of shape (n_documents,)
    seed : int
        Of the resampling.
    """
    over, under = np.asarray(amounts), np.asarray(lengths)
    return bootstrap(lambda drawn: over[drawn].sum(axis=1) / under[drawn].sum(axis=1), len(over), seed)


def simultaneous(estimates: Numbers, resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intervals that hold for all of K statistics at once, and so for the best of them too.

    An interval of 95 % for each alone is too narrow for the largest of K: that one was chosen because it came out
    large. These intervals are as wide as the largest of all K standardised deviations needs (Efron and Tibshirani
    1993, chapter 22; Romano and Wolf 2005).

    Parameters
    ----------
    estimates : sequence of float of shape (K,)
    resampled : np.ndarray of shape (R, K)
        The same statistics of each resample, all K from the same resample.

    Returns
    -------
    tuple of np.ndarray of shape (K,)
        Low and high ends. With one statistic, or one that never varies, as `percentiles` has them.
    """
    estimates = np.asarray(estimates, dtype=float)
    low, high = percentiles(resampled)
    spread = np.std(resampled, axis=0)
    varies = spread > 1e-12
    if resampled.shape[1] < 2 or not varies.any():
        return low, high
    largest = (np.abs(resampled - estimates)[:, varies] / spread[varies]).max(axis=1)
    reach = np.percentile(largest, 95) * spread
    return np.minimum(low, estimates - reach), np.maximum(high, estimates + reach)


def _require_count(n_yes: int, n: int) -> None:
    whole = all(isinstance(count, Integral) and not isinstance(count, bool) for count in (n_yes, n))
    if not whole or not 0 <= n_yes <= n:
        raise SettingsError(
            f"The count is {n_yes!r} of {n!r}.",
            "Whole numbers from 0, the first not larger than the second.",
            "Correct the two counts.",
        )


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise SettingsError(f"confidence is {confidence!r}.", "Between 0 and 1.", "Set confidence=0.95.")
