"""How good forecasts of one node are: scale-free errors, and whether the spread that they claim is true."""

from __future__ import annotations

from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats

LEVELS: Final = (0.1, 0.5, 0.9)
"""The quantiles of the pinball loss."""
INTERVALS: Final = (0.80, 0.95)


def mase(y: Floats, forecast: Floats, train: Floats, lag: int) -> float:
    """Return the mean absolute error in units of the naive forecast's in training.

    Args:
        y, forecast: the values and their forecasts, float64 [n].
        train: the target on the training grid, float64 [T], NaN where missing.
        lag: how many grid steps back the naive forecast looks.

    Hyndman & Koehler, International Journal of Forecasting 22, 2006.

    Raises:
        InvalidValueError: the training values never move, so there is no unit.
    """
    moved = np.abs(train[lag:] - train[:-lag])
    moved = moved[np.isfinite(moved)]
    if not moved.size or not moved.mean() > 0:
        raise InvalidValueError(f"the target never moves over {lag} steps of training: no unit of error")
    return float(np.mean(np.abs(y - forecast)) / moved.mean())


def pinball(y: Floats, mean: Floats, sd: Floats) -> float:
    """Return the mean pinball loss of Gaussian forecasts at LEVELS (Koenker & Bassett 1978)."""
    from scipy.stats import norm

    losses = []
    for level in LEVELS:
        over = y - (mean + sd * norm.ppf(level))
        losses.append(np.mean(np.maximum(level * over, (level - 1) * over)))
    return float(np.mean(losses))


def crps(y: Floats, mean: Floats, sd: Floats) -> float:
    """Return the mean continuous ranked probability score of Gaussian forecasts, in the unit of y.

    Gneiting & Raftery, Journal of the American Statistical Association 102, 2007, equation 21.

    Raises:
        InvalidValueError: a deviation is not positive.
    """
    from scipy.stats import norm

    if not (sd > 0).all():
        raise InvalidValueError("a Gaussian forecast needs a positive deviation for every value")
    z = (y - mean) / sd
    return float(np.mean(sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))))


def coverage(y: Floats, mean: Floats, sd: Floats, share: float) -> float:
    """Return the share of values inside the central Gaussian interval that should hold `share` of them."""
    from scipy.stats import norm

    return float(np.mean(np.abs(y - mean) <= sd * norm.ppf(0.5 + share / 2)))
