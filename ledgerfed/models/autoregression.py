"""AR and VAR of plain arrays by normal equations, whose Gram matrix comes from lag products.

Shifting all rows by one changes an inner product of two lags by its first and last term only, so p + 1
products of length T give all (p + 1)² of them. Where the matrix is too close to singular for its Cholesky
decomposition to be trusted, least squares is done on the rows themselves. Lütkepohl, New Introduction to
Multiple Time Series Analysis, 2005, 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.series.arrays import Floats

SINGULAR: Final = 2.0**-24
"""How much of a column's variance the others must leave: with less, normal equations lose half the digits."""


@dataclass(frozen=True, slots=True, eq=False)
class ArFit:
    """y_t = `constant` + Σ `ar`[i] y_{t-1-i} + e_t, `ar` float64 [p]; `s2` is Σe² / `rows`."""

    constant: float
    ar: Floats
    s2: float
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class VarFit:
    """y_t = `constant` + Σ `ar`[i] y_{t-1-i} + e_t of k series; `covariance` is Σ e eᵀ / `rows`.

    `constant` float64 [k], `ar` float64 [p, k, k], `covariance` float64 [k, k].
    """

    constant: Floats
    ar: Floats
    covariance: Floats
    rows: int


def fit_ar(y: Floats, p: int) -> ArFit:
    """Return the AR(p) with constant of y float64 [T] by least squares; NaN marks missing values.

    Rows with a missing value are left out.

    Raises:
        FitError: too few complete rows, or the series is constant or follows itself without noise.
        InvalidValueError: y is not one-dimensional, or p is negative.
    """
    if y.ndim != 1 or p < 0:
        raise InvalidValueError(f"an AR needs a series and p >= 0, got the shape {y.shape} and {p}")
    y = np.ascontiguousarray(y, dtype=np.float64)
    mean = float(y.sum()) / max(1, len(y))
    if not np.isfinite(mean):
        return _of_var(fit_var(y[:, None], p))
    rows = _require_rows(len(y) - p, p)
    centred = y - mean
    gram, sums = _lag_products(centred, p)
    gram -= sums[:, None] * (sums / rows)
    phi = _solved(gram[1:, 1:], gram[1:, 0])
    if phi is None:
        return _of_var(fit_var(y[:, None], p))
    s2 = float(gram[0, 0] - phi @ gram[1:, 0]) / rows
    _require_noise(s2, float(gram[0, 0]) / rows)
    constant = mean * (1 - float(phi.sum())) + float(sums[0] - phi @ sums[1:]) / rows
    return ArFit(constant, phi, s2, rows)


def fit_var(Y: Floats, p: int) -> VarFit:
    """Return the VAR(p) with constant of Y float64 [T, k] by least squares; NaN marks missing values.

    Raises:
        FitError: too few complete rows, or a series is constant or follows the others without noise.
        InvalidValueError: Y is not two-dimensional, or p is negative.
    """
    if Y.ndim != 2 or p < 0:
        raise InvalidValueError(f"a VAR needs [T, k] and p >= 0, got the shape {Y.shape} and {p}")
    T, k = Y.shape
    _require_rows(T - p, p * k)
    backwards = np.ascontiguousarray(Y[::-1], dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(backwards.ravel(), (p + 1) * k)[::k]
    complete = windows[~np.isnan(windows).any(axis=1)]
    rows = _require_rows(len(complete), p * k)
    mean = complete.mean(axis=0)
    centred = complete - mean
    gram = centred.T @ centred
    theta = _solved(gram[k:, k:], gram[k:, :k])
    if theta is None:
        theta = np.linalg.lstsq(centred[:, k:], centred[:, :k])[0]
    error = centred[:, :k] - centred[:, k:] @ theta
    covariance = error.T @ error / rows
    for own in range(k):
        _require_noise(float(covariance[own, own]), float(gram[own, own]) / rows)
    constant = mean[:k] - mean[k:] @ theta
    return VarFit(constant, theta.reshape(p, k, k).transpose(0, 2, 1), covariance, rows)


def _lag_products(y: Floats, p: int) -> tuple[Floats, Floats]:
    """Return Σ y_{t-i} y_{t-j} and Σ y_{t-i} over t = p..T-1, float64 [p + 1, p + 1] and [p + 1]."""
    T, step = len(y), y.strides[0]
    shifted = np.ndarray((p + 1, T - p), np.float64, y, p * step, (-step, step))
    gram = np.empty((p + 1, p + 1))
    gram[0] = shifted @ y[p:]
    first, last = y[:p][::-1], y[T - p :][::-1]
    gram[:, 0] = gram[0]
    edges = first * first[:, None] - last * last[:, None]
    for i in range(p):
        gram[i + 1, 1:] = gram[i, :p] + edges[i]
    sums = np.empty(p + 1)
    sums[0] = y[p:].sum()
    sums[1:] = sums[0] + (first - last).cumsum()
    return gram, sums


def _solved(gram: Floats, right: Floats) -> Floats | None:
    """Return gram⁻¹ right, or None where the matrix is too close to singular."""
    if not len(gram):
        return np.zeros_like(right)
    try:
        pivots = np.linalg.cholesky(gram).diagonal()
    except np.linalg.LinAlgError:
        return None
    if not (pivots * pivots > SINGULAR * gram.diagonal()).all():
        return None
    return np.asarray(np.linalg.solve(gram, right), dtype=np.float64)


def _of_var(fit: VarFit) -> ArFit:
    return ArFit(float(fit.constant[0]), fit.ar[:, 0, 0], float(fit.covariance[0, 0]), fit.rows)


def _require_rows(rows: int, coefficients: int) -> int:
    if rows <= coefficients + 1:
        raise FitError(
            f"{rows} complete rows for {coefficients + 1} coefficients; give more or a smaller order"
        )
    return rows


def _require_noise(s2: float, variance: float) -> None:
    if not s2 > 2.0**-44 * variance:
        raise FitError(
            "the series is constant or follows its past without noise; nothing is left to estimate"
        )
