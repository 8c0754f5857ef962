"""ARIMA by conditional least squares: Gauss-Newton in partial autocorrelations, a filter call or two a step.

Residuals of the differenced series w follow

    φ(B) Φ(B^s) w_t = c + θ(B) Θ(B^s) e_t

conditionally on the first p + s·P differences of every run of values, whose residuals are 0 (Box & Jenkins,
Time Series Analysis, 7.1.2). Runs end where a value is missing; their sums of squares add up. Estimates
differ from exact maximum likelihood (`arma_likelihood`) by O(1/T), and are for long series.

Rules:
- the search keeps partial autocorrelations within ±BOUND, so every fit is stationary and invertible;
- residuals and all their derivatives are linear recursions: two calls of one filter an iteration;
- a search that does not converge is a FitError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.models.arma_fit import ArmaFit
from ledgerfed.models.lag_polynomials import Polynomials, polynomials, product_lags
from ledgerfed.models.orders import Order
from ledgerfed.models.runs import Runs, hannan_rissanen, runs_of
from ledgerfed.series.arrays import Floats

BOUND: Final = 1.0 - 2.0**-10
"""The largest partial autocorrelation: a root may come as close as this to the unit circle."""
TOLERANCE: Final = 2.0**-31
"""Converged when the next step promises to lower the sum of squares by less than this share of it: with 1,000
rows a distance of less than a thousandth of a standard error, and that step is still taken."""
ITERATIONS: Final = 60
_TRIALS: Final = 12
_LONGEST: Final = 8.0
_CLOSE: Final = 0.2
_RIDGE: Final = 2.0**-40
_NOTHING: Final = 2.0**-44
"""Rounding noise of a sum of squares, as a share of it."""


def fit_arma(y: Floats, p: int, q: int) -> ArmaFit:
    """Return the ARMA(p, q) with mean of a series y float64 [T], NaN where a value is missing.

    Raises:
        FitError: too few values in a row, no variation, or the search did not converge.
        InvalidValueError: a negative order, or y is not one-dimensional.
    """
    return fit_arima(y, Order(p, 0, q))


def fit_arima(y: Floats, order: Order) -> ArmaFit:
    """Return the ARIMA of this order of a series y float64 [T], NaN where a value is missing.

    Raises:
        FitError: too few values in a row, no variation, or the search did not converge.
        InvalidValueError: y is not one-dimensional.
    """
    return _Search(runs_of(y, order, order.reach), order).fit()


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A place of the search: coordinates, their polynomials, filtered regressors and residuals."""

    x: Floats
    polynomials: Polynomials
    moving: Floats
    filtered: Floats
    e: Floats
    sse: float


class _Search:
    """The sum of squares over some runs as a function of c and partial autocorrelations, and its minimum.

    Arrays of regressors are float64 [regressors, runs · length].
    """

    def __init__(self, runs: Runs, order: Order) -> None:
        from scipy.signal import lfilter

        self._filter = lfilter
        self.order, self.first, self.runs = order, int(order.has_mean), len(runs.lengths)
        self.start = hannan_rissanen(runs, order)
        lags = (0, *product_lags(order.p, order.P, order.season))
        self.counts = runs.mask(order.reach).ravel()
        lagged = runs.lagged(order.reach, lags).reshape(len(lags), -1)
        self.regressors = np.vstack([lagged[:1], *[self.counts] * self.first, lagged[1:]])
        self.rows = int(self.counts.sum())
        self.bounds = np.full(order.size, BOUND)
        self.bounds[: self.first] = np.inf

    def fit(self) -> ArmaFit:
        """Return the minimum; raises FitError when the search does not come to it."""
        point = self._at(self.start)
        total = float(self.regressors[0] @ self.regressors[0])
        for iteration in range(ITERATIONS):
            if point.sse <= _NOTHING * total:
                raise FitError(
                    f"ARIMA{self.order} leaves no noise in {self.rows} rows; the series is constant"
                )
            step, promised = self._step(point)
            if promised < TOLERANCE:
                return self._result(self._inside(point.x + step), point.sse * (1 - promised), iteration)
            point = self._descend(point, step, promised)
        raise FitError(
            f"ARIMA{self.order} did not converge in {ITERATIONS} steps; "
            "train on other rows or a smaller order"
        )

    def _recursion(self, moving: Floats, values: Floats) -> Floats:
        """Return θ(B)⁻¹ Θ(B^s)⁻¹ of every row, each run started from 0."""
        if len(moving) == 1:
            return values
        shape = (-1, self.runs, values.shape[-1] // self.runs)
        filtered: Floats = self._filter(np.ones(1), moving, values.reshape(shape), axis=-1)
        filtered = filtered.reshape(values.shape)
        return filtered if self.runs == 1 else filtered * self.counts

    def _at(self, x: Floats) -> _Point:
        found = polynomials(self.order, x[self.first :].tolist())
        moving = found.ma_polynomial
        filtered = self._recursion(moving, self.regressors)
        e = np.concatenate([[1.0], -x[: self.first], [-value for value in found.ar.values()]]) @ filtered
        return _Point(x, found, moving, filtered, e, float(e @ e))

    def _step(self, point: _Point) -> tuple[Floats, float]:
        """Return the Gauss-Newton step within the bounds, and the share of the sum of squares it promises."""
        slopes = self._slopes(point)
        jacobian = np.eye(len(slopes), self.order.size)
        jacobian[self.first :, self.first :] = point.polynomials.jacobian
        gram = jacobian.T @ (slopes @ slopes.T) @ jacobian
        gradient = jacobian.T @ (slopes @ point.e)
        np.einsum("ii->i", gram)[:] *= 1 + _RIDGE
        if not (gram.diagonal() > 0).all():
            raise FitError(
                f"ARIMA{self.order} looks back further than any run of values; take a smaller order"
            )
        free = (np.abs(point.x) < self.bounds) | (np.sign(point.x) != np.sign(gradient))
        step = np.zeros_like(point.x)
        if free.all():
            step[:] = np.linalg.solve(gram, gradient)
        else:
            step[free] = np.linalg.solve(gram[np.ix_(free, free)], gradient[free])
        return step, float(step @ gradient) / point.sse

    def _slopes(self, point: _Point) -> Floats:
        """Return -∂e/∂(c, a, b), float64 [first + ar lags + ma lags, runs · length]."""
        echo = self._recursion(point.moving, point.e).reshape(self.runs, -1)
        known = len(point.filtered) - 1
        slopes = np.zeros((known + len(point.polynomials.ma), echo.size))
        slopes[:known] = point.filtered[1:]
        for row, lag in zip(slopes[known:], point.polynomials.ma, strict=True):
            row.reshape(self.runs, -1)[:, lag:] = echo[:, :-lag]
        return slopes

    def _descend(self, point: _Point, step: Floats, promised: float) -> _Point:
        """Return a better place along the step.

        Where the sum of squares bends otherwise than the linearised residuals say, the parabola through what
        was found tells how far to go.
        """
        length, best = 1.0, point
        for _ in range(_TRIALS):
            found = self._at(self._inside(point.x + length * step))
            best = found if found.sse < best.sse else best
            bend = (found.sse - point.sse) / (point.sse * promised * length) + 2.0
            ideal = min(_LONGEST, 1.0 / bend * length) if bend > 0 else _LONGEST
            if best is not point and (abs(ideal - length) < _CLOSE * length or best is not found):
                return best
            length = ideal if ideal < length / 2 or found is best else length / 2
        if best is not point:
            return best
        raise FitError(
            f"ARIMA{self.order} stopped where {promised:.1e} of the sum of squares was still to gain; "
            "train on other rows or a smaller order"
        )

    def _inside(self, x: Floats) -> Floats:
        return np.clip(x, -self.bounds, self.bounds)

    def _result(self, x: Floats, sse: float, iterations: int) -> ArmaFit:
        ar, seasonal_ar, ma, seasonal_ma = (
            tuple(factor) for factor in polynomials(self.order, x[self.first :].tolist()).factors
        )
        s2 = sse / self.rows
        return ArmaFit(
            self.order,
            float(x[0]) / ((1 - sum(ar)) * (1 - sum(seasonal_ar))) if self.first else 0.0,
            ar,
            seasonal_ar,
            ma,
            seasonal_ma,
            s2,
            self.rows,
            self.runs,
            self.rows * (math.log(2 * math.pi * s2) + 1),
            0.0,
            iterations,
        )
