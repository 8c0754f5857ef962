"""The Kalman filter of one observed series, for many candidate models at once.

    y_t = H_t x_t + ε_t,  x_{t+1} = F x_t + η_t,  var ε = R,  var η = Q

Rules:
- a value that is missing is predicted and skipped, the covariance grows;
- at a restart the past is forgotten: a state that starts diffuse is diffuse again (exactly: Koopman, JASA 92,
  1997; Durbin & Koopman, Time Series Analysis by State Space Methods, 2012, 5.2), the others start at
  mean 0 and their covariance;
- candidates differ in their noises (and F): the loop over time runs once for all of them, so that numerical
  derivatives of a likelihood cost little more than the likelihood;
- covariances do not depend on values: several series (the target and its regressors) pass the same gains;
- once the gain has settled, what is left is a linear filter of constant coefficients, taken in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Booleans, Floats

_DETERMINED = 1e-9
"""A diffuse variance below this is rounding noise: the values so far have determined the state."""
_SETTLED = 1e-12
_BLOCK = 64


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """G models of m states: `F`, `Q`, `start` float64 [G or 1, m, m], `R` [G or 1], `diffuse` bool [m].

    `H` is [m], or [T, m] where the observation changes with time. `start` is the covariance of the states
    that do not start diffuse, 0 in the rows and columns of those that do. One model is a batch of one.
    """

    F: Floats
    H: Floats
    Q: Floats
    R: Floats
    start: Floats
    diffuse: Booleans

    def __post_init__(self) -> None:
        m = self.H.shape[-1]
        for name in ("F", "Q", "start"):
            matrix = getattr(self, name)
            if matrix.ndim != 3 or matrix.shape[1:] != (m, m):
                raise InvalidValueError(f"{name} must be a batch of {m} x {m}, got the shape {matrix.shape}")
        if self.diffuse.shape != (m,) or self.R.ndim != 1 or (self.R < 0).any():
            raise InvalidValueError(f"{m} states need {m} marks and variances R >= 0, got {self.R}")

    @property
    def count(self) -> int:
        """The number of candidates G."""
        return max(len(self.F), len(self.Q), len(self.R), len(self.start))


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """One-step `predictions` float64 [G, T, S] of S series and the `variances` [G, T] of y about them.

    `diffuse` [T] is the diffuse part of that variance, equal for all candidates, 0 where the past has
    determined the prediction; `seen` bool [T] marks the values that were used.
    """

    predictions: Floats
    variances: Floats
    diffuse: Floats
    seen: Booleans


def kalman_filter(models: Candidates, series: Floats, restarts: Booleans) -> Filtered:
    """Return the predictions of each value from those before it, since the last restart.

    Args:
        series: float64 [T, S]; a row with NaN in any of them is missing.
        restarts: bool [T], true where the states start anew before the row is predicted; row 0 always does.
    """
    return _Pass(models, series, restarts).run()


class _Pass:
    """One pass over the rows; holds the predicted states x [G, m, S] and covariances P [G, m, m]."""

    def __init__(self, models: Candidates, series: Floats, restarts: Booleans) -> None:
        T, S = series.shape
        G, m = models.count, models.H.shape[-1]
        self.models, self.series, self.restarts = models, series, restarts
        self.H = np.broadcast_to(models.H, (T, m))
        self.constant = models.H.ndim == 1
        self.seen = np.isfinite(np.concatenate([series, self.H], axis=1)).all(axis=1)
        self.predictions = np.empty((G, T, S))
        self.variances = np.empty((G, T))
        self.diffuse = np.zeros(T)
        self.transposed = np.swapaxes(models.F, 1, 2)
        self.start()

    def start(self) -> None:
        """Forget the past."""
        G, m = self.models.count, len(self.models.diffuse)
        self.x = np.zeros((G, m, self.series.shape[1]))
        self.P = np.broadcast_to(self.models.start, (G, m, m)).copy()
        diffuse = self.models.diffuse
        self.D: Floats | None = np.diag(diffuse.astype(np.float64)) if diffuse.any() else None

    def run(self) -> Filtered:
        """Filter all rows."""
        t, T = 0, len(self.series)
        while t < T:
            if self.restarts[t]:
                self.start()
            before = self.P
            self.step(t)
            t += 1
            if self.constant and t % 8 == 0 and T - t > _BLOCK and self.settled(before, t - 1):
                t = self.blocks(t, self.steady_until(t))
        return Filtered(self.predictions, self.variances, self.diffuse, self.seen)

    def step(self, t: int) -> None:
        """Predict row t, take its value in if there is one, and go to t + 1."""
        h = self.H[t]
        self.predictions[:, t] = h @ self.x
        M = self.P @ h
        f = M @ h + self.models.R
        self.variances[:, t] = f
        if self.seen[t]:
            self.update(t, h, M, f)
        self.x = self.models.F @ self.x
        self.P = self.models.F @ self.P @ self.transposed + self.models.Q
        if self.D is not None:
            self.D = self.models.F[0] @ self.D @ self.transposed[0]

    def update(self, t: int, h: Floats, M: Floats, f: Floats) -> None:
        """Take the value of row t in; M is P h and f the variance about the prediction."""
        error = self.series[t] - self.predictions[:, t]
        if self.D is not None:
            N = self.D @ h
            g = float(N @ h)
            if g > _DETERMINED:
                rest = self.D - np.outer(N, N) / g
                self.D = rest if np.trace(rest) > _DETERMINED else None
                self.diffuse[t] = g
                self.diffuse_update(N / g, M, f, error)
                return
        K = M / f[:, None]
        self.x = self.x + K[:, :, None] * error[:, None, :]
        self.P = self.P - K[:, :, None] * M[:, None, :]

    def diffuse_update(self, K: Floats, M: Floats, f: Floats, error: Floats) -> None:
        """Take the value in where the past does not determine the prediction, with the diffuse gain K."""
        self.x = self.x + K[:, None] * error[:, None, :]
        mixed = K[:, None] * M[:, None, :]
        self.P = self.P + f[:, None, None] * np.outer(K, K) - mixed - np.swapaxes(mixed, 1, 2)

    def settled(self, before: Floats, t: int) -> bool:
        """Whether the step at t changed no covariance any more."""
        if self.D is not None or not self.seen[t]:
            return False
        return bool(np.abs(self.P - before).max() <= _SETTLED * np.abs(self.P).max())

    def steady_until(self, t: int) -> int:
        """Return the first row from t on that is missing or a restart."""
        broken = ~self.seen[t:] | self.restarts[t:]
        return t + int(np.argmax(broken)) if broken.any() else len(self.series)

    def blocks(self, t: int, stop: int) -> int:
        """Filter whole blocks of rows with the gain as it is; return the row that follows them."""
        if stop - t < _BLOCK:
            return t
        h = self.H[t]
        M = self.P @ h
        f = M @ h + self.models.R
        gain = self.models.F @ (M / f[:, None])[:, :, None]
        steady = _Steady(self.models.F - gain * h, h, gain, self.models.count)
        while stop - t >= _BLOCK:
            rows = slice(t, t + _BLOCK)
            self.predictions[:, rows], self.x = steady.pass_block(self.x, self.series[rows])
            self.variances[:, rows] = f[:, None]
            t += _BLOCK
        return t


class _Steady:
    """x_{t+1} = A x_t + B y_t, predictions h x_t, unrolled over one block."""

    def __init__(self, A: Floats, h: Floats, B: Floats, count: int) -> None:
        m = len(h)
        self.observed = np.empty((count, _BLOCK, m))
        self.driven = np.empty((count, m, _BLOCK))
        row, column = np.broadcast_to(h, (count, 1, m)), np.broadcast_to(B, (count, m, 1))
        for i in range(_BLOCK):
            self.observed[:, i] = row[:, 0]
            self.driven[:, :, _BLOCK - 1 - i] = column[:, :, 0]
            row, column = row @ A, A @ column
        self.power = np.linalg.matrix_power(np.broadcast_to(A, (count, m, m)), _BLOCK)
        impulse = (self.observed @ B)[:, :, 0]
        lag = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK)) - 1
        self.response = np.where(lag >= 0, impulse[:, np.maximum(lag, 0)], 0.0)

    def pass_block(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return the predictions [G, block, S] of y [block, S] from states x, and the states after them."""
        return self.observed @ x + self.response @ y, self.power @ x + self.driven @ y
