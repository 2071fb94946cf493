"""Power law of loss against size: a least-squares fit on logarithmic axes, with the interval of its exponent."""

import dataclasses

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError
from course_utils.experiments.core.statistics import Numbers, percentiles


@dataclasses.dataclass(frozen=True, eq=False)
class PowerLaw:
    """The loss as ``factor * n_parameters ** exponent``.

    Parameters
    ----------
    exponent, factor : float
        A negative exponent: larger is better.
    low, high : float
        95% interval of the exponent; NaN where nothing was resampled.
    n_parameters : np.ndarray
        The sizes that it was fitted to, shape (M,).
    resampled : np.ndarray
        Exponent and log-factor of every resample, shape (R, 2).
    """

    exponent: float
    factor: float
    low: float
    high: float
    n_parameters: np.ndarray
    resampled: np.ndarray

    def __str__(self) -> str:
        """Return the exponent with its interval."""
        ends = "" if np.isnan(self.low) else f" (95% interval {self.low:.4f} to {self.high:.4f})"
        return f"loss = {self.factor:.4g} · n_parameters^{self.exponent:.4f}{ends}, {len(self.n_parameters)} models"

    __repr__ = __str__

    def at(self, n_parameters: float) -> float:
        """Return the loss that the line gives a model of this size; beyond the sizes seen it is a guess."""
        return float(self.factor * n_parameters**self.exponent)

    @property
    def per_doubling(self) -> float:
        """By what the loss is multiplied when a model has twice the parameters."""
        return 2**self.exponent

    def table(self, n_points: int = 50) -> pd.DataFrame:
        """Return the line from the smallest size to the largest, with its 95% band: n_parameters, value, low, high."""
        sizes = np.geomspace(self.n_parameters.min(), self.n_parameters.max(), n_points)
        lines = np.exp(np.outer(self.resampled[:, 0], np.log(sizes)) + self.resampled[:, 1:])  # (R, n_points)
        low, high = percentiles(lines) if len(lines) else np.full((2, n_points), np.nan)
        return pd.DataFrame(
            {"n_parameters": sizes, "value": self.factor * sizes**self.exponent, "low": low, "high": high}
        )


def fit_power_law(n_parameters: Numbers, losses: Numbers, resampled: np.ndarray | None = None) -> PowerLaw:
    """Fit the logarithm of the loss to the logarithm of the size, by least squares.

    Parameters
    ----------
    n_parameters, losses : sequence of float
        Of M models, two at least of different size.
    resampled : np.ndarray, optional
        Losses of the same models on resampled documents, shape (R, M): each is fitted too.

    Raises
    ------
    SettingsError
        There are too few sizes, or a number that has no logarithm.

    Notes
    -----
    Kaplan et al. 2020, "Scaling Laws for Neural Language Models", find such lines for models that were each given
    text enough; with four models a line always fits well, which proves little.

    Examples
    --------
    >>> round(fit_power_law([1e6, 1e8], [4.0, 2.0]).exponent, 4)
    -0.1505
    """
    sizes, losses = np.asarray(n_parameters, dtype=float), np.asarray(losses, dtype=float)
    if len(set(sizes)) < 2 or len(sizes) != len(losses) or not (np.r_[sizes, losses] > 0).all():
        raise SettingsError(
            f"No line can be fitted to {len(sizes)} sizes and {len(losses)} losses.",
            "At least two models of different sizes, each with a loss above 0.",
            "Measure another size.",
        )
    all_losses = np.vstack([losses, *([resampled] if resampled is not None else [])])
    lines = np.polyfit(np.log(sizes), np.log(all_losses).T, 1).T  # (1 + R, 2)
    low, high = percentiles(lines[1:, 0]) if len(lines) > 1 else (np.nan, np.nan)
    return PowerLaw(float(lines[0, 0]), float(np.exp(lines[0, 1])), float(low), float(high), sizes, lines[1:])
