"""From ARMA to AR: the infinite autoregression, the autocovariances, and the best AR(M).

x_t = Σ a_j x_{t-j} + e_t + Σ b_j e_{t-j}. To cut the infinite autoregression after M lags costs accuracy that
the best AR(M) does not: it solves the Yule-Walker equations of the autocovariances that the model implies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.differencing import Difference
from ledgerfed.exchange.linear_prediction import coefficients, lengthen, levinson, padded, step_down
from ledgerfed.series.arrays import Floats

STATIONARY = Difference()


def infinite_autoregression(ar: ArrayLike, ma: ArrayLike, count: int) -> Floats:
    """Return π_1..π_count of x_t = Σ π_j x_{t-j} + e_t, float64.

    The recursion of Brockwell and Davis, Time Series: Theory and Methods, 3.3; `ar` may hold unit roots.
    """
    b = coefficients("the moving average", ma)
    pi = padded(coefficients("the autoregression", ar), count) + padded(b, count)
    for j in range(1, count):
        reach = min(j, len(b))
        pi[j] -= b[:reach] @ pi[j - reach : j][::-1]
    return pi


def autocovariances(ar: ArrayLike, ma: ArrayLike, count: int) -> Floats:
    """Return r_0..r_count for innovations of variance 1, float64 [count + 1].

    Those of the AR part by the inverse Levinson recursion, then the moving average applied to both sides;
    neither solves a linear system, so roots near 1 keep their digits.

    Raises:
        InvalidValueError: the autoregression is not stable.
    """
    ar = coefficients("the autoregression", ar)
    b = np.concatenate([[1.0], coefficients("the moving average", ma)])
    both_sides = np.correlate(b, b, mode="full")
    q = len(b) - 1
    r = _autoregressive(ar, count + q)
    mirrored = np.concatenate([r[:0:-1], r])
    return np.convolve(mirrored, both_sides, mode="valid")[count:]


def best_autoregression(
    ar: ArrayLike, ma: ArrayLike, lags: int, difference: Difference = STATIONARY
) -> Floats:
    """Return the coefficients [lags] of the AR(lags) with the least one-step error under the ARMA model.

    `ar` and `ma` model the difference of the series. Its unit roots stay exactly where they are: the rest is
    projected on the lags that they leave. An autoregression that fits these lags is its own best.

    Raises:
        InvalidValueError: the ARMA is not stable, or so nearly that double precision cannot tell; or the
            difference takes more than the lags.
    """
    free = lags - difference.order
    if free < 0:
        raise InvalidValueError(f"{difference} takes {difference.order} lags of {lags}; use more lags")
    a = coefficients("the autoregression", ar)
    if len(a) <= free and not np.any(ma):
        return difference.fold(padded(a, free))
    return difference.fold(levinson(autocovariances(a, ma, free)).ar)


def _autoregressive(ar: Floats, count: int) -> Floats:
    reflections = step_down(ar)
    variance = 1 / float(np.prod((1 - reflections) * (1 + reflections)))
    r = np.zeros(max(count, len(ar)) + 1)
    r[0] = variance
    partial = np.empty(0)
    for m, k in enumerate(reflections, start=1):
        r[m] = k * variance + partial @ r[m - 1 : 0 : -1]
        partial = lengthen(partial, float(k))
        variance *= (1 - k) * (1 + k)
    for m in range(len(ar) + 1, len(r)):
        r[m] = ar @ r[m - len(ar) : m][::-1]
    return r[: count + 1]
