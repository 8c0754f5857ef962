"""Linear prediction: an autoregression as coefficients, partial autocorrelations or cepstrum.

x_t = Σ a_j x_{t-j} + e_t throughout; arrays hold a_1..a_p, so an empty one is white noise.

- Levinson-Durbin gives the best predictor from autocovariances (Levinson 1946; Durbin 1960);
- its steps are the partial autocorrelations k_j, |k_j| < 1 for all j if and only if the model is stable
  (Monahan, Biometrika 71, 1984); step-up and step-down go between k and a;
- the cepstrum c_j are the coefficients of -log(1 - Σ a_j z^j) (Markel and Gray, Linear Prediction of Speech,
  1976, 10.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class LinearPrediction:
    """The best predictor of order p: `ar` and `reflections` float64 [p], `variance` of its error."""

    ar: Floats
    reflections: Floats
    variance: float


def levinson(r: ArrayLike) -> LinearPrediction:
    """Return the best predictor from the autocovariances r_0..r_p; always stable.

    Raises:
        InvalidValueError: r is no positive definite sequence.
    """
    r = coefficients("the autocovariances", r)
    if not r.size or not r[0] > 0:
        raise InvalidValueError(f"autocovariances start with a variance above 0, got {r[:1].tolist()}")
    ar, reflections, variance = np.empty(0), [], float(r[0])
    for order in range(1, len(r)):
        k = float(r[order] - ar @ r[order - 1 : 0 : -1]) / variance
        if not abs(k) < 1:
            raise InvalidValueError(
                f"the autocovariances are not positive definite at lag {order}: partial autocorrelation {k}"
            )
        ar = lengthen(ar, k)
        reflections.append(k)
        variance *= (1 - k) * (1 + k)
    return LinearPrediction(ar, np.array(reflections, dtype=np.float64), variance)


def step_up(reflections: ArrayLike) -> Floats:
    """Return the coefficients a [p] of the model with these partial autocorrelations [p]."""
    ar = np.empty(0)
    for k in coefficients("the partial autocorrelations", reflections):
        ar = lengthen(ar, float(k))
    return ar


def step_down(ar: ArrayLike, bound: float | None = None) -> Floats:
    """Return the partial autocorrelations [p] of the model a [p].

    Args:
        bound: below 1: bring each one that lies beyond it back to ±bound, before it is taken out of the
            lower orders; by default a model that is not stable is refused.

    Raises:
        InvalidValueError: the model is not stable and there is no bound, or the bound is not below 1.
    """
    ar = coefficients("the coefficients", ar)
    if bound is not None and not 0 <= bound < 1:
        raise InvalidValueError(f"the bound of partial autocorrelations lies in [0, 1), got {bound}")
    reflections = np.zeros(len(ar))
    for order in range(len(ar), 0, -1):
        k = float(ar[-1]) if bound is None else float(np.clip(ar[-1], -bound, bound))
        if not abs(k) < 1:
            raise InvalidValueError(
                f"not stable: partial autocorrelation {k} at lag {order}; difference first, or give a bound"
            )
        reflections[order - 1] = k
        ar = (ar[:-1] + k * ar[-2::-1]) / ((1 - k) * (1 + k))
    return reflections


def cepstrum(ar: ArrayLike, count: int) -> Floats:
    """Return c_1..c_count of the model a [p], float64: c_n = a_n + Σ_{k<n} (k/n) c_k a_{n-k}."""
    a = padded(coefficients("the coefficients", ar), count)
    c = np.zeros(count)
    for n in range(1, count + 1):
        weights = np.arange(1, n) / n
        c[n - 1] = a[n - 1] + (weights * c[: n - 1]) @ a[: n - 1][::-1]
    return c


def from_cepstrum(c: ArrayLike) -> Floats:
    """Return a_1..a_p of the model with the cepstrum c_1..c_p; exact if its order is at most p."""
    c = coefficients("the cepstrum", c)
    a = np.zeros(len(c))
    for n in range(1, len(c) + 1):
        weights = np.arange(1, n) / n
        a[n - 1] = c[n - 1] - (weights * c[: n - 1]) @ a[: n - 1][::-1]
    return a


def lengthen(ar: Floats, k: float) -> Floats:
    """Return the coefficients [p + 1] that the partial autocorrelation k at lag p + 1 makes of a [p]."""
    return np.append(ar - k * ar[::-1], k)


def coefficients(what: str, values: ArrayLike) -> Floats:
    """Return `values` as float64 [n]; InvalidValueError unless one-dimensional and finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise InvalidValueError(f"{what} must be a list of finite numbers, got {array.tolist()}")
    return array


def padded(values: Floats, length: int) -> Floats:
    """Return the first `length` values, with zeros after those that are there."""
    return np.concatenate([values[:length], np.zeros(max(0, length - len(values)))])
