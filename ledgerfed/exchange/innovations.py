"""State space models of one series, brought to the form that has no freedom left: innovations, then ARMA.

y_t = H x_t + v_t and x_{t+1} = F x_t + w_t with noises of variance R and Q. Any change of coordinates of x
gives the same series, so F, H and Q of different nodes are never averaged. The steady Kalman gain K leads to
x_{t+1} = F x_t + K e_t with y_t = H x_t + e_t, and that to polynomials and to π_j = H (F - KH)^{j-1} K.
Hannan and Deistler, The Statistical Theory of Linear Systems, 1988, chapter 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.linear_prediction import coefficients, padded
from ledgerfed.series.arrays import Floats, read_only_floats

TOLERANCE: Final = 1e-14
"""How little the filtered covariance may still change, relative to its largest entry."""
_DOUBLINGS: Final = 60
_FORGETS: Final = 1.0 + 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class StateSpace:
    """F float64 [m, m], H [m], Q [m, m] positive semidefinite, R at least 0."""

    F: Floats
    H: Floats
    Q: Floats
    R: float

    def __post_init__(self) -> None:
        m = len(self.H)
        for name, shape in (("F", (m, m)), ("H", (m,)), ("Q", (m, m))):
            object.__setattr__(self, name, _finite(name, getattr(self, name), shape))
        if not (self.R >= 0 and np.isfinite(self.R)):
            raise InvalidValueError(f"R is a variance, got {self.R}")
        least = float(np.linalg.eigvalsh(self.Q).min()) if np.array_equal(self.Q, self.Q.T) else -np.inf
        if least < -1e-12 * float(np.trace(self.Q)):
            raise InvalidValueError(f"Q must be a covariance, its smallest eigenvalue is {least}")


@dataclass(frozen=True, slots=True, eq=False)
class Innovations:
    """F float64 [m, m], H [m] and the steady gain K [m], with the `variance` of the innovations."""

    F: Floats
    H: Floats
    K: Floats
    variance: float

    def __post_init__(self) -> None:
        m = len(self.H)
        for name, shape in (("F", (m, m)), ("H", (m,)), ("K", (m,))):
            object.__setattr__(self, name, _finite(name, getattr(self, name), shape))
        if not 0 < self.variance < np.inf:
            raise InvalidValueError(f"the innovations need a variance above 0, got {self.variance}")

    def infinite_autoregression(self, count: int) -> Floats:
        """Return π_1..π_count, float64."""
        closed = self.F - np.outer(self.K, self.H)
        state, pi = self.K, np.zeros(count)
        for j in range(count):
            pi[j] = self.H @ state
            state = closed @ state
        return pi

    def arma(self) -> tuple[Floats, Floats]:
        """Return the coefficients a and b, float64 [m] each: det(I - Fz) and det(I - (F - KH)z)."""
        closed = self.F - np.outer(self.K, self.H)
        autoregression, moving_average = _characteristic(self.F), _characteristic(closed)
        return -autoregression[1:], moving_average[1:]


def observable_form(ar: ArrayLike, ma: ArrayLike, variance: float = 1.0) -> Innovations:
    """Return the ARMA as innovations form with m = max(p, q) states: F companion, K = a + b."""
    a, b = coefficients("the autoregression", ar), coefficients("the moving average", ma)
    m = max(len(a), len(b), 1)
    F = np.eye(m, k=1)
    F[:, 0] = padded(a, m)
    return Innovations(F, np.eye(m)[0], padded(a, m) + padded(b, m), variance)


def state_space(ar: ArrayLike, ma: ArrayLike, variance: float = 1.0) -> StateSpace:
    """Return the ARMA as a state space model with m = max(p, q + 1) states and no measurement noise.

    Harvey, Forecasting, Structural Time Series Models and the Kalman Filter, 1989, 3.3.
    """
    a, b = coefficients("the autoregression", ar), coefficients("the moving average", ma)
    m = max(len(a), len(b) + 1)
    F = np.eye(m, k=1)
    F[:, 0] = padded(a, m)
    loading = padded(np.concatenate([[1.0], b]), m)
    return StateSpace(F, np.eye(m)[0], variance * np.outer(loading, loading), 0.0)


def innovations(model: StateSpace) -> Innovations:
    """Return the innovations form, with the gain to which the Kalman filter settles from a known state.

    Doubling: the filter over 2^k steps composed with itself gives that over 2^(k+1) (Särkkä and
    García-Fernández, IEEE Trans. Automatic Control 66, 2021), so slow filters take no more than 60 products.
    Settled means that the last doubling changed the covariance by at most `TOLERANCE`.

    Raises:
        InvalidValueError: no noise reaches the series within a step, the covariance does not settle, or the
            filter never forgets its start (a moving average that is not invertible).
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows does not settle, and is refused
        filtered = _filtered_covariance(model)
    predicted = model.F @ filtered @ model.F.T + model.Q
    variance = float(model.H @ predicted @ model.H) + model.R
    K = model.F @ predicted @ model.H / variance
    radius = float(np.abs(np.linalg.eigvals(model.F - np.outer(K, model.H))).max())
    if not radius <= _FORGETS:
        raise InvalidValueError(
            f"the filter multiplies its errors by {radius} a step; give the invertible form of the model"
        )
    return Innovations(model.F, model.H, K, variance)


def local_level_gain(ratio: float) -> float:
    """Return the steady gain K of a random walk in noise, from its variance ratio q = Q / R.

    K = 2 √q / (√q + √(q + 4)); Harvey 1989, 4.1.
    """
    if not ratio >= 0:
        raise InvalidValueError(f"a ratio of variances is at least 0, got {ratio}")
    if ratio == np.inf:
        return 1.0
    root = float(np.sqrt(ratio))
    return float(2 * root / (root + np.hypot(root, 2.0)))


def local_level_autoregression(gain: float, count: int) -> Floats:
    """Return π_j = K (1 - K)^{j-1}, j = 1..count: exponential smoothing."""
    return gain * (1 - gain) ** np.arange(count, dtype=np.float64)


def _filtered_covariance(model: StateSpace) -> Floats:
    identity = np.eye(len(model.H))
    variance = float(model.H @ model.Q @ model.H) + model.R
    if not variance > 0:
        raise InvalidValueError("no noise reaches the series within a step; give R or another state")
    gain = model.Q @ model.H / variance
    A = model.F - np.outer(gain, model.H @ model.F)
    C = model.Q - np.outer(gain, model.H @ model.Q)
    J = np.outer(model.H @ model.F, model.H @ model.F) / variance
    for _ in range(_DOUBLINGS):
        inner = np.linalg.solve(identity + C @ J, np.hstack([A, C @ A.T]))
        outer = np.linalg.solve(identity + J @ C, J @ A)
        m = len(A)
        before, C = C, A @ inner[:, m:] + C
        A, J = A @ inner[:, :m], A.T @ outer + J
        if not np.isfinite(C).all():
            break
        if np.abs(C - before).max() <= TOLERANCE * np.abs(C).max():
            return C
    raise InvalidValueError(
        f"the filter does not settle in 2^{_DOUBLINGS} steps; drop states that y never shows"
    )


def _characteristic(matrix: Floats) -> Floats:
    return np.asarray(np.real(np.poly(matrix)), dtype=np.float64)


def _finite(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = read_only_floats(name, values, shape)
    if np.isnan(array).any():
        raise InvalidValueError(f"{name} holds NaN; a model is made of numbers")
    return array
