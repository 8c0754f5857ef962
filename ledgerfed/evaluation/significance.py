"""Whether one forecaster is better than another, or lucky: Diebold-Mariano, corrected for many nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats


def diebold_mariano(first: Floats, second: Floats, horizon: int = 1) -> float:
    """Return the one-sided p-value that `first` has smaller squared errors than `second` by luck.

    Errors float64 [n] in the order of time. The long-run variance takes horizon - 1 autocovariances; with
    Bartlett's weights where these give more, since a plain sum that happens to come near zero on few errors
    makes anything significant; the statistic has the small-sample factor of
    Harvey, Leybourne & Newbold (International Journal of Forecasting 13, 1997) and is held against
    Student's t with n - 1 degrees of freedom. Equal errors give 0.5.

    Raises:
        InvalidValueError: fewer than two errors, different lengths, or no more errors than the horizon.
    """
    from scipy.stats import t

    n = len(first)
    if n < 2 or len(second) != n or n <= horizon:
        raise InvalidValueError(f"{n} and {len(second)} errors at horizon {horizon} cannot be compared")
    gain = first * first - second * second
    centred = gain - gain.mean()
    if not centred.any():
        return 0.5 if gain.mean() == 0 else float(gain.mean() > 0)
    variance = _long_run_variance(centred, horizon)
    factor = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    return float(t.cdf(factor * gain.mean() / np.sqrt(variance / n), n - 1))


def _long_run_variance(centred: Floats, horizon: int) -> float:
    n = len(centred)
    lagged = np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(horizon)])
    weights = np.vstack([np.ones(horizon - 1), 1 - np.arange(1, horizon) / horizon])
    return float((lagged[0] + 2 * weights @ lagged[1:]).max())


def holm(p_values: Sequence[float], level: float = 0.05) -> tuple[bool, ...]:
    """Return which hypotheses fall at a family-wise `level` (Holm, Scandinavian J. of Statistics 6, 1979)."""
    order = np.argsort(p_values, kind="stable")
    fallen = [False] * len(p_values)
    for place, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - place):
            break
        fallen[int(index)] = True
    return tuple(fallen)
