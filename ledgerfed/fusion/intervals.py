"""Prediction intervals of a personal forecaster, at any horizon that it forecasts directly.

Rules:
- the variance of an error is s² + xᵀVx: noise, and what is not known about the coefficients;
- how many deviations an interval takes is read off errors on rows that the forecaster was not fitted on, in
  units of that deviation: leaving one out in closed form, and a validation tail;
- from `EMPIRICAL_FROM` errors on it is their empirical quantile (split conformal prediction: Lei et al. 2018,
  Journal of the American Statistical Association 113), which needs no distribution; fewer cannot place the
  tails, and their root mean square is taken times Student's quantile.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.fusion.forecaster import Personal
from ledgerfed.series.arrays import Floats

LEVELS: Final = (0.8, 0.95)
"""The levels that are reported."""
EMPIRICAL_FROM: Final = 100
_LEVERAGE: Final = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """`lower` and `upper` float64 [n], in the units of the forecast, at `level` in (0, 1)."""

    lower: Floats
    upper: Floats
    level: float

    def coverage(self, y: Floats) -> float:
        """Return the share of y [n] inside; raises InvalidValueError for another length or none."""
        if y.shape != self.lower.shape or not y.size:
            raise InvalidValueError(f"the interval is for {self.lower.shape} values, got {y.shape}")
        return float(np.mean((y >= self.lower) & (y <= self.upper)))


def deviation(own: Personal, X: Floats) -> Floats:
    """Return the standard deviation of forecast errors on the rows X [n, d], float64 [n]."""
    spread = np.einsum("ni,ij,nj->n", X, own.covariance, X)
    return np.asarray(np.sqrt(own.s2 + np.maximum(spread, 0.0)))


def left_out(own: Personal, X: Floats, y: Floats) -> Floats:
    """Return the errors on the fitted rows X [n, d], y [n], each as if its row were left out; float64 [n].

    e / (1 − xᵀVx / s²), the strengths κ kept (Allen 1974, Technometrics 16); a leverage counts 0.95 at most.
    """
    leverage = np.einsum("ni,ij,nj->n", X, own.covariance, X) / own.s2
    return np.asarray((y - X @ own.theta) / (1 - np.minimum(leverage, _LEVERAGE)))


def deviations(standardised: Floats, level: float) -> float:
    """Return how many deviations an interval at `level` reaches to either side.

    Args:
        standardised: errors of rows that were not fitted, each over its `deviation` [m].
        level: the share of values that the interval shall hold.

    Raises:
        InvalidValueError: there is no error, one is missing, or the level is not between 0 and 1.
    """
    m = len(standardised)
    if not m or not np.isfinite(standardised).all():
        raise InvalidValueError("an interval needs at least one error, and every one of them finite")
    if not 0 < level < 1:
        raise InvalidValueError(f"a level lies between 0 and 1, got {level}")
    rank = ceil((m + 1) * level)
    if m >= EMPIRICAL_FROM and rank <= m:
        return float(np.sort(np.abs(standardised))[rank - 1])
    from scipy.special import stdtrit

    scale = float(np.sqrt(np.mean(standardised * standardised)))
    return scale * float(stdtrit(m, (1 + level) / 2))


def interval(mean: Floats, deviation: Floats, standardised: Floats, level: float) -> Interval:
    """Return the interval around forecasts `mean` [n] whose errors have these deviations [n].

    Raises:
        InvalidValueError: see `deviations`; or shapes differ.
    """
    if mean.shape != deviation.shape:
        raise InvalidValueError(f"got {mean.shape} forecasts and {deviation.shape} deviations")
    half = deviations(standardised, level) * deviation
    return Interval(mean - half, mean + half, level)
