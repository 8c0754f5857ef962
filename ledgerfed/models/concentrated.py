"""The Gaussian likelihood of what a Kalman filter leaves, with scale and regression coefficients solved for.

The filter runs on variances up to a common scale σ² and passes y and its regressors alike, so that the
innovations are e_y - E b: least squares gives b, the mean square σ². Harvey, Forecasting, Structural Time
Series Models and the Kalman Filter, 1989, 3.4.2 and 7.3.2. A small ridge, the one of `exchange.information`,
holds the coefficient of a column that never moved at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.exchange.information import RIDGE
from ledgerfed.models.kalman import Filtered
from ledgerfed.series.arrays import Booleans, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Concentrated:
    """For each of G candidates: log-likelihood [G], scale σ² [G], coefficients b float64 [G, c].

    `n` values were predicted; -inf stands where they are reproduced exactly.
    """

    loglike: Floats
    scale: Floats
    coefficients: Floats
    n: int


def concentrated(filtered: Filtered, series: Floats, restarts: Booleans, burn: int) -> Concentrated:
    """Return the likelihood of series[:, 0], float64 [T, 1 + c], given the regressors in the other columns.

    Args:
        burn: how many values after each restart only start the states. Models compare on the same values, so
            it is the largest number of diffuse states among them.
    """
    late = filtered.seen & (_values_before(filtered.seen, restarts) >= burn)
    rows = late & (filtered.diffuse == 0)
    n = int(rows.sum())
    variances = filtered.variances[:, rows]
    # rounding may drive the variance of a candidate at the edge below 0: it gets the likelihood -inf
    usable = np.asarray((np.isfinite(variances) & (variances > 0)).all(axis=1))[:, None]
    variances = np.where(usable, variances, 1.0)
    weighted = (series[rows] - filtered.predictions[:, rows]) / np.sqrt(variances)[:, :, None]
    weighted = np.where(usable[:, :, None], weighted, 0.0)
    coefficients, squares = _least_squares(weighted)
    logdet = np.log(variances).sum(axis=1) + np.log(filtered.diffuse[late & ~rows]).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = squares / n
        loglike = -0.5 * (n * (np.log(2 * np.pi * scale) + 1) + logdet)
    possible = usable[:, 0] & (squares > np.finfo(np.float64).eps * n)
    return Concentrated(np.where(possible, loglike, -np.inf), scale, coefficients, n)


def _values_before(seen: Booleans, restarts: Booleans) -> Floats:
    """Return how many values were seen between the last restart and each row, [T]."""
    total = np.concatenate([[0], np.cumsum(seen)[:-1]])
    return np.asarray(total - np.maximum.accumulate(np.where(restarts, total, 0)), dtype=np.float64)


def _least_squares(weighted: Floats) -> tuple[Floats, Floats]:
    """Return b [G, c] and the penalised sum of squares [G] of e_y - E b, weighted [G, n, 1 + c]."""
    y, X = weighted[:, :, 0], weighted[:, :, 1:]
    gram = np.swapaxes(X, 1, 2) @ X + RIDGE * np.eye(X.shape[2])
    b = np.linalg.solve(gram, np.swapaxes(X, 1, 2) @ y[:, :, None])[:, :, 0]
    rest = y - (X @ b[:, :, None])[:, :, 0]
    squares = (rest * rest).sum(axis=1) + RIDGE * (b * b).sum(axis=1)
    return np.asarray(b, dtype=np.float64), np.asarray(squares, dtype=np.float64)
