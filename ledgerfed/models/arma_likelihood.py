"""ARIMA by exact Gaussian maximum likelihood, at the cost of a few linear filters.

Every run of differences w starts from a random state s with covariance σ²P, of which its residuals are a
linear function: e = e₀ − Hᵀs, with e₀ those from a start at 0 and H the shifted impulse response of 1/θ. With
s integrated out,

    −2 log L = n log 2πσ² + Σ log det(I + P H Hᵀ) + Σ (eᵀe + sᵀP⁻¹s) / σ²    at the best s of every run

(Ljung & Box 1979, Biometrika 66, 265-270), and σ² is concentrated out. The gradient is exact; P solves
P = F P Fᵀ + K Kᵀ, whose adjoint gives its part. The search is BFGS from the Gauss-Newton Hessian in atanh of
the partial autocorrelations, so every fit is stationary and invertible. One that does not converge is a
FitError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.models.arma_fit import ArmaFit
from ledgerfed.models.innovations_form import InnovationsForm, innovations_form, stationary
from ledgerfed.models.lag_polynomials import Polynomials, polynomials
from ledgerfed.models.orders import Order
from ledgerfed.models.runs import Runs, hannan_rissanen, runs_of
from ledgerfed.series.arrays import Floats

TOLERANCE: Final = 2.0**-40
"""Converged when the next step promises to lower −2 log L by less than this a row: with 1,000 rows a distance
of 3 hundred-thousandths of a standard error."""
ITERATIONS: Final = 100
_FURTHEST: Final = 4.0
"""atanh of the largest partial autocorrelation, 0.9993."""
_LONGEST: Final = 2.0
_HALVINGS: Final = 24
_ENOUGH: Final = 1e-4
_INDISTINCT: Final = 1e-5
"""A gain in −2 log L that its own rounding errors can hide, near a unit root."""
_FLAT: Final = 1e-6
"""Curvature that every direction is given, for those in which the likelihood has none."""
_NOTHING: Final = 2.0**-44


def fit_likelihood(y: Floats, order: Order) -> ArmaFit:
    """Return the ARIMA of this order of a series y float64 [T], NaN where a value is missing.

    Raises:
        FitError: too few values in a row, no variation, or the search did not converge.
        InvalidValueError: y is not one-dimensional.
    """
    return _Likelihood(runs_of(y, order, 0), order).maximise()


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A place of the search. `value` is −2 log L / n but for constants.

    `omega` and `iota` are w − mean and 1 through 1/θ, `e` the residuals from the best start s, each
    [runs, L]; `response` is the impulse response h of 1/θ [L], `H` [m, L] its shifts and `pull` H e = P⁻¹ s
    [runs, m]. For every length of a run, `gram` is H Hᵀ over it and `inverse` (I + P H Hᵀ)⁻¹, each
    [lengths, m, m].
    """

    x: Floats
    polynomials: Polynomials
    form: InnovationsForm
    omega: Floats
    iota: Floats
    e: Floats
    response: Floats
    H: Floats
    gram: Floats
    inverse: Floats
    pull: Floats
    sse: float
    value: float


class _Likelihood:
    """−2 log L / n over some runs as a function of the mean and atanh of the partial autocorrelations."""

    def __init__(self, runs: Runs, order: Order) -> None:
        from scipy.signal import lfilter

        self._filter = lfilter
        self.order, self.runs, self.first = order, runs, int(order.has_mean)
        self.mask = runs.mask(0)
        self.rows = int(runs.lengths.sum())
        self.m = max(order.reach, order.q + order.season * order.Q, 1)
        self.lengths, self.which = np.unique(runs.lengths, return_inverse=True)
        self.limit = np.full(order.size, _FURTHEST)
        self.limit[: self.first] = np.inf

    def maximise(self) -> ArmaFit:
        """Return the maximum; raises FitError when the search does not come to it."""
        point = self._at(self._start())
        if not point.sse > _NOTHING * float(np.vdot(self.runs.w, self.runs.w)):
            raise FitError(f"ARIMA{self.order} leaves no noise in {self.rows} rows; the series is constant")
        gradient, hessian = self._slope(point)
        for iteration in range(ITERATIONS):
            free = (np.abs(point.x) < self.limit) | (np.sign(point.x) == np.sign(gradient))
            step = np.zeros(self.order.size)
            step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
            promised = -float(step @ gradient) / 2
            if promised < TOLERANCE:
                return self._result(point, iteration)
            nearer = self._along(point, step, 2 * promised)
            if nearer is None:
                return self._result(point, iteration)
            before, (gradient, _) = gradient, self._slope(nearer)
            hessian = _updated(hessian, nearer.x - point.x, gradient - before)
            point = nearer
        raise FitError(
            f"ARIMA{self.order} did not converge in {ITERATIONS} steps; "
            "train on other rows or a smaller order"
        )

    def _start(self) -> Floats:
        start = hannan_rissanen(self.runs, self.order)
        if self.first:
            start[0] = self.runs.w.sum() / self.rows
        start[self.first :] = np.arctanh(start[self.first :])
        return start

    def _along(self, point: _Point, step: Floats, slope: float) -> _Point | None:
        """Return the first place along the step, halved as often as needed, that is enough better.

        None where nothing but rounding noise is left to gain.
        """
        longest = np.abs(step[self.first :]).max(initial=0.0)
        length = min(1.0, _LONGEST / longest) if longest > 0 else 1.0
        for _ in range(_HALVINGS):
            try:
                found = self._at(np.clip(point.x + length * step, -self.limit, self.limit))
            except np.linalg.LinAlgError:  # too far out for this precision
                length /= 2
                continue
            if found.value < point.value - _ENOUGH * length * slope:
                return found
            length /= 2
        if slope / 2 * self.rows < _INDISTINCT:
            return None
        raise FitError(
            f"ARIMA{self.order} stopped where {slope / 2:.1e} of likelihood a row was still to gain; "
            "train on other rows or a smaller order"
        )

    def _at(self, x: Floats) -> _Point:
        found = polynomials(self.order, np.tanh(x[self.first :]).tolist())
        form = innovations_form(found.ar_polynomial, found.ma_polynomial)
        w = self.runs.w - x[0] * self.mask if self.first else self.runs.w
        impulse = np.zeros((1, w.shape[1]))
        impulse[0, 0] = 1.0
        recursed = self._recursion(found, np.vstack([w, impulse, *[self.mask] * self.first]))
        runs = len(w)
        omega, response, iota = recursed[:runs], recursed[runs], recursed[runs + 1 :]
        e0 = _autoregression(found, omega) * self.mask
        H = _shifts(response, self.m)
        gram = np.stack([H[:, :length] @ H[:, :length].T for length in self.lengths])
        inverse = np.asarray(np.linalg.inv(np.eye(self.m) + form.P @ gram), dtype=np.float64)
        state = np.einsum("sij,sj->si", (inverse @ form.P)[self.which], e0 @ H.T)
        e = (e0 - state @ H) * self.mask
        # P⁻¹ s = H e at the best s, whether P is regular or not
        pull = e @ H.T
        sse = float(np.vdot(e, e) + np.vdot(state, pull))
        logdet = -np.linalg.slogdet(inverse)[1]
        value = math.log(sse) + float(logdet[self.which].sum()) / self.rows if sse > 0 else -math.inf
        return _Point(x, found, form, omega, iota, e, response, H, gram, inverse, pull, sse, value)

    def _recursion(self, found: Polynomials, values: Floats) -> Floats:
        if not found.ma:
            return values
        return np.asarray(self._filter(np.ones(1), found.ma_polynomial, values, axis=-1))

    def _slope(self, point: _Point) -> tuple[Floats, Floats]:
        """Return the gradient and the Gauss-Newton Hessian of the value."""
        found = point.polynomials
        again = self._recursion(found, np.vstack([point.e, point.response[None]]))
        slopes = self._slopes(point, again[:-1])
        weights = (point.inverse @ point.form.P)[self.which]
        gradient = -2 * slopes.reshape(len(slopes), self.mask.size) @ point.e.ravel() / point.sse
        gradient[self.first :] += self._prior_slope(point)
        gradient[self.first + len(found.ar) :] += self._response_slope(point, again[-1], weights) / self.rows
        jacobian = np.eye(len(slopes), self.order.size)
        bend = 1 - np.tanh(point.x[self.first :]) ** 2
        jacobian[self.first :, self.first :] = found.jacobian * bend
        hessian = jacobian.T @ self._curvature(point, slopes, weights) @ jacobian * (2 / point.sse)
        hessian[np.diag_indices_from(hessian)] += _FLAT * (1 + np.diag(hessian))
        return jacobian.T @ gradient, hessian

    def _prior_slope(self, point: _Point) -> Floats:
        """Return the derivatives by a and b of what depends on P, through the adjoint of its equation."""
        found, form = point.polynomials, point.form
        by_P = (point.gram @ point.inverse)[self.which].sum(axis=0) / self.rows
        by_P -= point.pull.T @ point.pull / point.sse
        adjoint = stationary(form.F.T, by_P)
        back = np.array([*found.ar, *found.ma], dtype=np.int64) - 1
        slope = 2 * (adjoint @ form.K)[back]
        slope[: len(found.ar)] += 2 * (adjoint @ form.F @ form.P)[back[: len(found.ar)], 0]
        return slope

    def _curvature(self, point: _Point, slopes: Floats, weights: Floats) -> Floats:
        """Return Σ ∂e ∂eᵀ less what the states, which follow the coefficients, take up of it."""
        flat, through = slopes.reshape(len(slopes), self.mask.size), slopes @ point.H.T
        taken = np.einsum("ksm,smn->ksn", through, weights)
        size = weights[:, 0].size
        curvature = flat @ flat.T - taken.reshape(len(slopes), size) @ through.reshape(len(slopes), size).T
        return np.asarray(curvature, dtype=np.float64)

    def _slopes(self, point: _Point, echo: Floats) -> Floats:
        """Return −∂e/∂(mean, a, b) at the same states, float64 [coefficients, runs, L]."""
        found = point.polynomials
        slopes = np.zeros((self.first + len(found.ar) + len(found.ma), *self.mask.shape))
        if self.first:
            slopes[0] = _autoregression(found, point.iota)
        sources = [(point.omega, lag) for lag in found.ar] + [(echo, lag) for lag in found.ma]
        for row, (source, lag) in zip(slopes[self.first :], sources, strict=True):
            row[:, lag:] = source[:, : max(0, source.shape[1] - lag)]
        return slopes * self.mask

    def _response_slope(self, point: _Point, echo: Floats, weights: Floats) -> Floats:
        """Return Σ tr(W ∂(H Hᵀ)/∂b) over the runs, by moving-average lag."""
        lags = list(point.polynomials.ma)
        if not lags:
            return np.zeros(0)
        m, shifted = self.m, _shifts(echo, self.m + max(lags))
        total = np.zeros(len(lags))
        for group, length in enumerate(self.lengths):
            W = weights[self.which == group].sum(axis=0)
            cross = point.H[:, :length] @ shifted[:, :length].T
            total -= 2 * np.array([np.vdot(W, cross[:, lag : lag + m]) for lag in lags])
        return total

    def _result(self, point: _Point, iterations: int) -> ArmaFit:
        n, runs, s2 = self.rows, len(self.runs.lengths), point.sse / self.rows
        variance = s2 * (1 + float(point.form.P[0, 0]))
        first = self.runs.w[:, 0] - (point.x[0] if self.first else 0.0)
        ar, seasonal_ar, ma, seasonal_ma = (tuple(factor) for factor in point.polynomials.factors)
        return ArmaFit(
            self.order,
            float(point.x[0]) if self.first else 0.0,
            ar,
            seasonal_ar,
            ma,
            seasonal_ma,
            s2,
            n,
            runs,
            n * (point.value - math.log(n) + math.log(2 * math.pi) + 1),
            runs * math.log(2 * math.pi * variance) + float(first @ first) / variance,
            iterations,
        )


def _shifts(values: Floats, count: int) -> Floats:
    """Return values moved back by 0, 1, …, `count` − 1 places, float64 [count, L]."""
    shifted = np.zeros((count, len(values)))
    for i in range(min(shifted.shape)):
        shifted[i, i:] = values[: len(values) - i]
    return shifted


def _autoregression(found: Polynomials, values: Floats) -> Floats:
    """Return φ(B) Φ(B^s) of every row, from a start at 0."""
    result = values.copy()
    for lag, coefficient in found.ar.items():
        result[:, lag:] -= coefficient * values[:, : max(0, values.shape[1] - lag)]
    return result


def _updated(hessian: Floats, step: Floats, change: Floats) -> Floats:
    """Return the BFGS update of a Hessian; unchanged where the curvature along the step is not positive."""
    along = hessian @ step
    curvature, before = float(change @ step), float(step @ along)
    if curvature <= 1e-10 * before:
        return hessian
    return hessian + np.outer(change, change) / curvature - np.outer(along, along) / before
