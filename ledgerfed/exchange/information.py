"""Square-root information: what one node's rows say about the shared coefficients, in d(d + 3)/2 numbers.

RᵀR = XᵀX / s² + ridge · I and Rᵀz = Xᵀ(λy + (1 − λ)ŷ) / s², by QR of X / s, never by forming XᵀX (Golub &
Van Loan, Matrix Computations, 5.3). λ = 1 is the exact sufficient statistic of least squares; λ = 0 projects
the one-step predictions ŷ of any native model onto the basis. Sums of it over nodes are the statistics of
the pooled rows (distributed least squares approximation: Zhu, Li, Wang 2019, arXiv 1908.04904).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats, read_only_floats

RIDGE = 2.0**-10
"""Prior precision per coefficient in standardised units: makes R regular where a column never moved in the
window (no game in it, say), and weighs less than a thousandth of one row elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Information:
    """`n` rows with noise variance `s2`; `R` float64 [d, d] upper triangular, `z` float64 [d].

    `residual` is the sum of squares of y about the fit R⁻¹z, in units of s2.
    """

    n: int
    s2: float
    R: Floats
    z: Floats
    residual: float

    def __post_init__(self) -> None:
        d = len(self.z)
        object.__setattr__(self, "R", read_only_floats("R", self.R, (d, d)))
        object.__setattr__(self, "z", read_only_floats("z", self.z, (d,)))
        _require_present("R", self.R)
        _require_present("z", self.z)
        if self.n < 0 or not 0 < self.s2 < np.inf or not 0 <= self.residual < np.inf:
            raise InvalidValueError(
                f"n >= 0, s2 > 0 and residual >= 0 must hold, got {self.n}, {self.s2} and {self.residual}"
            )
        if np.tril(self.R, -1).any() or not (np.diag(self.R) > 0).all():
            raise InvalidValueError("R must be upper triangular with a positive diagonal")

    @property
    def width(self) -> int:
        """The width d of the basis."""
        return len(self.z)

    def precision(self) -> Floats:
        """Return RᵀR, float64 [d, d]."""
        return self.R.T @ self.R

    def eta(self) -> Floats:
        """Return Rᵀz, float64 [d]."""
        return self.R.T @ self.z

    def theta(self) -> Floats:
        """Return the node's own coefficients R⁻¹z, float64 [d]."""
        return np.asarray(np.linalg.solve(self.R, self.z), dtype=np.float64)


def information(
    X: Floats, y: Floats, yhat: Floats, lam: float, s2: float | None = None, ridge: float = RIDGE
) -> Information:
    """Return the information in the rows X [n, d] with targets y [n] and native predictions ŷ [n].

    Args:
        lam: λ in [0, 1], the weight of y against ŷ (`exchange_weight` of the family).
        s2: noise variance; by default that of y about the node's own fit on n - rank degrees of freedom. In
            later rounds: that about the base model (`noise_about`), which makes the sum over nodes feasible
            generalised least squares.
        ridge: prior precision of each coefficient about zero; 0 gives exact statistics.

    Raises:
        InvalidValueError: shapes differ, a value is missing, λ or the ridge is out of range, there are too
            few rows to tell noise from fit, or a column is a combination of others and the ridge is 0.
    """
    n = len(X)
    if y.shape != (n,) or yhat.shape != (n,):
        raise InvalidValueError(f"X has {n} rows, y {y.shape} and yhat {yhat.shape}; they must match")
    if not (0 <= lam <= 1 and ridge >= 0):
        raise InvalidValueError(f"lam must lie in [0, 1] and ridge be at least 0, got {lam} and {ridge}")
    for name, values in (("X", X), ("y", y), ("yhat", yhat)):
        _require_present(name, values)
    response = lam * y + (1 - lam) * yhat
    if s2 is None:
        s2 = _own_noise(X, y, response)
    R, z = _square_root(X, response, s2, ridge)
    error = y - X @ np.linalg.solve(R, z)
    return Information(n, s2, R, z, float(error @ error) / s2)


def noise_about(X: Floats, y: Floats, theta: Floats) -> float:
    """Return the mean squared error of X θ, the s² of rounds that have a base model."""
    error = y - X @ theta
    return float(error @ error) / len(y)


def _own_noise(X: Floats, y: Floats, response: Floats) -> float:
    theta, _, rank, _ = np.linalg.lstsq(X, response)
    if len(y) <= rank:
        raise InvalidValueError(f"{len(y)} rows leave no degree of freedom for {rank} columns; train on more")
    error = y - X @ theta
    s2 = float(error @ error) / (len(y) - int(rank))
    if s2 <= np.finfo(float).eps * float(y @ y) / len(y):
        raise InvalidValueError("the basis reproduces the target exactly; there is no noise to scale by")
    return s2


def _square_root(X: Floats, response: Floats, s2: float, ridge: float) -> tuple[Floats, Floats]:
    n, d = X.shape
    s = np.sqrt(s2)
    rows = np.zeros((n + d, d + 1))
    rows[:n, :d] = X / s
    rows[:n, d] = response / s
    rows[n:, :d] = np.sqrt(ridge) * np.eye(d)
    R = np.linalg.qr(rows, mode="r")[:d]
    sign = np.where(np.diag(R) < 0, -1.0, 1.0)
    R = np.triu(sign[:, None] * R)
    norms = np.linalg.norm(R[:, :d], axis=0)
    flat = np.abs(np.diag(R)) <= np.finfo(float).eps * n * norms
    if flat.any():
        raise InvalidValueError(f"column {int(np.argmax(flat))} is a combination of others; give a ridge")
    return R[:, :d], R[:, d]


def _require_present(name: str, values: Floats) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        place = ",".join(str(int(i)) for i in np.argwhere(wrong)[0])
        raise InvalidValueError(f"{name}[{place}] is {values[wrong][0]}; updates are made of finite numbers")
