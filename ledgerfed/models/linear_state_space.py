"""Linear Gaussian state space of order k, in the observable innovations form, by maximum likelihood.

    y_t = d'u_t + H x_t + e_t,  x_{t+1} = F x_t + K e_t,  var e = σ²

with F the companion matrix of φ and H = (1, 0, ..., 0): every minimal model of k states has this form for
one F and K, which is why it can be estimated. u_t are the calendar terms, the intercept and, if there are
rows enough, the channels of the basis. The search runs over the partial autocorrelations of φ and of
θ = K - φ, so that each point of it is stable and invertible. Two weak priors keep it where it can be used:
one on their inverse hyperbolic tangents away from the edge, where the likelihood no longer moves, and one on
the error φ(1) / θ(1) that a lasting shift of y by 1 leaves, which few values do not show but the next shift
would. The order is chosen by BIC: one state too many is a pole anywhere that nearly cancels a zero, and AIC
takes it too often. Hannan & Deistler, The Statistical Theory of Linear Systems, 1988, chapters 1, 2 and 5;
Monahan, Biometrika 71, 1984 (partial autocorrelations).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.exchange.innovations import Innovations
from ledgerfed.models.concentrated import Concentrated, concentrated
from ledgerfed.models.kalman import Candidates, kalman_filter
from ledgerfed.models.likelihood_search import Maximum, maximise
from ledgerfed.models.regressors import regressors
from ledgerfed.models.state_space import on_grid, stretch
from ledgerfed.series.arrays import Booleans, Floats

ORDERS = (1, 2, 3)
_LEAST = 10
_PRIOR = 2.0
"""Standard deviation of atanh of a partial autocorrelation: 19 of 20 lie within ±0.9993."""
_AMPLIFIED = math.log(2.0)
"""Standard deviation of the logarithm of what a shift leaves, above 0: amplifying it twofold is unusual."""
_SHARPNESS = 4.0
_BOUND = 1.0 - 2.0**-10
"""The largest partial autocorrelation."""
_AR = (-0.5, 0.0, 0.5, 1.2)
_MA = (-0.5, 0.0, 0.5)


@dataclass(frozen=True, slots=True)
class FittedLinearStateSpace:
    """φ and the gain K by state, σ² of the innovations, and d on `columns` of the basis."""

    columns: tuple[int, ...]
    phi: tuple[float, ...]
    gain: tuple[float, ...]
    sigma2: float
    inputs: tuple[float, ...]
    family: ClassVar[str] = "linear_state_space"

    @property
    def parameters(self) -> tuple[float, ...]:
        """The native numbers; the first is the order."""
        return (float(len(self.phi)), *self.phi, *self.gain, self.sigma2, *self.inputs)

    def matrices(self) -> Innovations:
        """Return F, H, K and σ², for the conversions of the exchange."""
        k = len(self.phi)
        F = np.eye(k, k=1)
        F[:, 0] = self.phi
        return Innovations(F, np.eye(k)[0], np.array(self.gain), self.sigma2)

    def one_step(self, design: Design) -> Floats:
        """Return the filtered predictions, float64 [T].

        NaN stands before the history and where an input is missing; an episode starts at the mean.
        """
        given = stretch(design)
        mean = design.X[given.span, self.columns] @ np.array(self.inputs)
        models = _models(np.array([self.phi]), np.array([self.gain]))
        filtered = kalman_filter(models, (given.y - mean)[:, None], given.restarts)
        return given.placed(mean + filtered.predictions[0, :, 0])


@dataclass(frozen=True, slots=True)
class LinearStateSpace:
    """One to three states, whichever order explains the node's own values best."""

    name: ClassVar[str] = "linear_state_space"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedLinearStateSpace:
        """Return the maximum-likelihood fit of the best order; raises FitError when none converges."""
        given = stretch(design)
        columns = regressors(design, 2, intercept=True)
        series = np.column_stack([given.y, design.X[given.span, columns]])
        values = int((~np.isnan(series).any(axis=1)).sum())
        needed = _LEAST + series.shape[1]
        if values < needed:
            raise FitError(f"{self.name!r} needs {needed} values, got {values}; train on more")
        return _rounded(self.name, columns, *_best(self.name, series, given.restarts))


def _best(family: str, series: Floats, restarts: Booleans) -> tuple[Floats, Concentrated]:
    """Return the end of the search for the order with the least BIC; one that fails takes no part."""
    found: list[tuple[float, Floats, Concentrated]] = []
    reasons, below = [], np.empty((0, 2))
    for order in ORDERS:
        try:
            theta = _maximum(family, order, series, restarts, below).theta
        except FitError as error:
            reasons.append(error)
            continue
        end = _evaluate(theta[None], series, restarts)
        below = theta.reshape(2, order).T
        found.append((2 * order * math.log(end.n) - 2 * float(end.loglike[0]), theta, end))
    if not found:
        raise reasons[0]
    return min(found, key=lambda one: one[0])[1:]


def _maximum(family: str, order: int, series: Floats, restarts: Booleans, below: Floats) -> Maximum:
    """Return the maximum over atanh of the partial autocorrelations of φ, then of -θ, float64 [2k].

    `below` is where the order before ended, float64 [k - 1, 2]; the search also starts from there.
    """

    def likelihood(theta: Floats) -> Floats:
        return _evaluate(theta, series, restarts).loglike + _prior(theta)

    return maximise(family, likelihood, _starts(order, below))


def _starts(order: int, below: Floats) -> Floats:
    first = [(a, b) for a, b in product(_AR, _MA) if a != -b]
    second = [(a, 0.0) for a in _MA] if order > 1 else [(0.0, 0.0)]
    points = np.zeros((len(first) * len(second) + 1, order, 2))
    for i, pair in enumerate(product(first, second)):
        points[i, : min(order, 2)] = pair[:order]
    points[-1, : len(below)] = below
    return np.concatenate([points[:, :, 0], points[:, :, 1]], axis=1)


def _evaluate(theta: Floats, series: Floats, restarts: Booleans) -> Concentrated:
    filtered = kalman_filter(_models(*_polynomials(theta)), series, restarts)
    return concentrated(filtered, series, restarts, 0)


def _prior(theta: Floats) -> Floats:
    phi, gain = _polynomials(theta)
    left = np.log((1 - phi.sum(axis=1)) / (1 - (phi - gain).sum(axis=1)))
    above = np.logaddexp(0.0, _SHARPNESS * left) / _SHARPNESS
    return np.asarray(-0.5 * (((theta / _PRIOR) ** 2).sum(axis=1) + (above / _AMPLIFIED) ** 2))


def _polynomials(theta: Floats) -> tuple[Floats, Floats]:
    """Return φ and the gain K = φ + θ, float64 [G, k] each."""
    half = theta.shape[1] // 2
    partial = _BOUND * np.tanh(theta)
    phi, minus_theta = _step_up(partial[:, :half]), _step_up(partial[:, half:])
    return phi, phi - minus_theta


def _step_up(partial: Floats) -> Floats:
    """Return the coefficients of the stable autoregressions with these partial autocorrelations, [G, k]."""
    phi = partial.copy()
    for j in range(1, partial.shape[1]):
        phi[:, :j] = phi[:, :j] - partial[:, j, None] * phi[:, j - 1 :: -1][:, :j]
    return phi


def _models(phi: Floats, gain: Floats) -> Candidates:
    """Return the models with innovations of variance 1; the innovation is the last state."""
    G, k = phi.shape
    F = np.zeros((G, k + 1, k + 1))
    F[:, :k, :k] = np.eye(k, k=1)
    F[:, :k, 0] = phi
    start, Q = np.zeros_like(F), np.zeros((1, k + 1, k + 1))
    start[:, :k, :k] = _stationary(F[:, :k, :k], gain)
    start[:, k, k] = Q[:, k, k] = 1.0
    F[:, :k, k] = gain
    H = np.zeros(k + 1)
    H[[0, k]] = 1.0
    return Candidates(F, H, Q, np.zeros(1), start, np.zeros(k + 1, dtype=bool))


def _stationary(F: Floats, gain: Floats) -> Floats:
    """Return P = F P F' + K K', float64 [G, k, k]."""
    G, k = gain.shape
    driven = gain[:, :, None] * gain[:, None, :]
    system = np.eye(k * k) - np.einsum("gij,gkl->gikjl", F, F).reshape(G, k * k, k * k)
    return np.asarray(np.linalg.solve(system, driven.reshape(G, k * k, 1)).reshape(G, k, k))


def _rounded(
    family: str, columns: tuple[int, ...], theta: Floats, end: Concentrated
) -> FittedLinearStateSpace:
    phi, gain = _polynomials(theta[None])
    fitted = FittedLinearStateSpace(
        columns, on_grid(phi[0]), on_grid(gain[0]), on_grid(end.scale)[0], on_grid(end.coefficients[0])
    )
    if not fitted.sigma2 > 0:
        raise FitError(f"{family!r} reproduces the series exactly; there is no noise to scale by")
    radius = float(np.abs(np.linalg.eigvals(fitted.matrices().F)).max())
    if radius >= 1:
        raise FitError(
            f"{family!r} found a system of radius {radius}, not a stable one; difference the series"
        )
    return fitted
