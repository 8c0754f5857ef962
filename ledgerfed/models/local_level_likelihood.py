"""The local level model by exact maximum likelihood, without a recursion.

y_t = μ_t + ε_t, μ_{t+1} = μ_t + η_t, var ε = σ²_ε, var η = σ²_η, the first level diffuse. Under a diffuse
start the likelihood is that of the differences w_t = y_{t+1} - y_t, whose covariance is the tridiagonal
Toeplitz matrix σ²_ε (q I + A) with q = σ²_η / σ²_ε and A = tridiag(-1, 2, -1). The sines diagonalise A, so
one discrete sine transform of w makes every evaluation a weighted sum, its derivatives in q likewise, and
the determinant a quotient of Chebyshev type:

    A = S diag(c) S,  c_j = 4 sin²(πj / 2(n+1)),  z = S w,
    -2 log L = n log Σ z_j² / (q + c_j) + Σ log(q + c_j) + const.

Harvey, Forecasting, Structural Time Series Models and the Kalman Filter, 1989, 4.1 and 4.3 (the frequency
domain, exact here because the transform is the right one); Elliott, The characteristic roots of certain real
symmetric matrices, 1953 (the spectrum of A).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.series.arrays import Floats

_GRID = 20
_LARGEST_RATIO = 1e4
_ITERATIONS = 100
_TOLERANCE = 1e-9
"""Of the last Newton step in log q; what is left after it is of the order of its square."""


@dataclass(frozen=True, slots=True)
class LocalLevelFit:
    """Variances of the noise and of the level's steps, in y's unit squared, and the log-likelihood there.

    `loglike` is the density of the T - 1 differences: what a diffuse Kalman filter gives when its first
    value, which only starts the level, is left out.
    """

    sigma2_irregular: float
    sigma2_level: float
    loglike: float


def fit_local_level(y: Floats) -> LocalLevelFit:
    """Return the maximum-likelihood fit to y, float64 [T], T >= 3, nothing missing.

    Raises:
        InvalidValueError: y is too short, not one-dimensional or not finite.
        FitError: y never moves, or the search found no maximum.
    """
    return fit_local_level_pieces([y])


def fit_local_level_pieces(pieces: Sequence[Floats]) -> LocalLevelFit:
    """Return one fit to several stretches with levels of their own; see `fit_local_level`."""
    spectrum = _Spectrum([_checked(piece) for piece in pieces])
    if not spectrum.energy.any():
        raise FitError("a local level needs a series that moves; this one is constant")
    return spectrum.fit_at(_best_ratio(spectrum))


def _checked(y: Floats) -> Floats:
    if y.ndim != 1 or len(y) < 3 or not np.isfinite(y).all():
        raise InvalidValueError(
            f"a local level needs 3 or more finite values in a row, got the shape {y.shape}; split at gaps"
        )
    return y


class _Spectrum:
    """The differences of all pieces in the basis of sines: energies z² and the spectrum c of A."""

    __slots__ = ("energy", "lengths", "n", "roots")

    def __init__(self, pieces: Sequence[Floats]) -> None:
        self.lengths = [len(y) - 1 for y in pieces]
        self.n = sum(self.lengths)
        self.energy = np.concatenate([_sine_transform(np.diff(y)) ** 2 for y in pieces])
        self.roots = np.concatenate([_roots(n) for n in self.lengths])

    def fit_at(self, ratio: float) -> LocalLevelFit:
        """Return the fit with q = `ratio`, which may be 0 or infinite."""
        if math.isinf(ratio):
            level, noise, logdet = float(self.energy.sum()) / self.n, 0.0, 0.0
        else:
            noise = float((self.energy / (ratio + self.roots)).sum()) / self.n
            level, logdet = ratio * noise, self.log_determinant(np.array([ratio]))[0]
        scale = level if math.isinf(ratio) else noise
        loglike = -0.5 * (self.n * (math.log(2 * math.pi * scale) + 1) + float(logdet))
        return LocalLevelFit(noise, level, loglike)

    def log_determinant(self, ratios: Floats) -> Floats:
        """Return Σ log(q + c_j) for each q >= 0: the sum of log(sinh((n+1)x) / sinh x), 2 cosh x = 2 + q."""
        x = np.maximum(2.0 * np.arcsinh(np.sqrt(ratios) / 2.0), 1e-9)
        total = np.zeros_like(x)
        for n in self.lengths:
            total += n * x + np.log(np.expm1(-2.0 * (n + 1) * x) / np.expm1(-2.0 * x))
        return total

    def profile(self, ratios: Floats) -> Floats:
        """Return the log-likelihood, up to a constant, the variance concentrated out, for each q >= 0."""
        power = (1.0 / (ratios[:, None] + self.roots)) @ self.energy
        return np.asarray(-0.5 * (self.n * np.log(power) + self.log_determinant(ratios)))

    def slopes(self, ratio: float) -> tuple[float, float]:
        """Return the first and second derivative of the profile in log q."""
        inverse = 1.0 / (ratio + self.roots)
        weighted = self.energy * inverse
        s1, s2, s3 = weighted.sum(), weighted @ inverse, weighted @ (inverse * inverse)
        first = 0.5 * (self.n * s2 / s1 - inverse.sum())
        second = 0.5 * (self.n * ((s2 / s1) ** 2 - 2.0 * s3 / s1) + inverse @ inverse)
        return float(ratio * first), float(ratio * (first + ratio * second))


def _sine_transform(w: Floats) -> Floats:
    """Return the orthonormal type-I discrete sine transform, float64 [n], up to its sign."""
    n = len(w)
    odd = np.zeros(2 * (n + 1))
    odd[1 : n + 1] = w
    return np.asarray(np.fft.rfft(odd).imag[1 : n + 1] * math.sqrt(2.0 / (n + 1)), dtype=np.float64)


def _roots(n: int) -> Floats:
    return np.asarray(4.0 * np.sin(np.pi / (2 * (n + 1)) * np.arange(1, n + 1)) ** 2, dtype=np.float64)


def _best_ratio(spectrum: _Spectrum) -> float:
    """Return the q of the highest maximum: 0, infinite, or the zero of the slope next to the best of a grid.

    The profile may have two maxima in a short series, hence the grid; below its first point, a thousandth of
    the smallest root, the profile is flat, and above its last, where the noise has gone, it is again.
    """
    smallest = 1e-3 * float(spectrum.roots.min())
    grid = np.concatenate([[0.0], np.geomspace(smallest, _LARGEST_RATIO, _GRID)])
    profile = spectrum.profile(grid)
    best = int(np.argmax(profile))
    if best == _GRID and spectrum.slopes(grid[best])[0] >= 0:
        return math.inf
    if best == 0 or (best == 1 and spectrum.slopes(grid[best])[0] <= 0):
        return 0.0
    return _stationary(spectrum, grid[best - 1] or grid[best] / 2, grid[best], grid[min(best + 1, _GRID)])


def _stationary(spectrum: _Spectrum, below: float, start: float, above: float) -> float:
    """Return the zero of the slope between `below` and `above` by Newton's method, or by halving."""
    low, u, high = math.log(below), math.log(start), math.log(above)
    for _ in range(_ITERATIONS):
        slope, curvature = spectrum.slopes(math.exp(u))
        low, high = (u, high) if slope > 0 else (low, u)
        step = -slope / curvature if curvature < 0 else math.inf
        after = u + step if low < u + step < high else (low + high) / 2
        if abs(after - u) < _TOLERANCE * (1 + abs(u)):
            return math.exp(after)
        u = after
    raise FitError(f"the local level found no maximum within {_ITERATIONS} steps, at q = {math.exp(u)}")
