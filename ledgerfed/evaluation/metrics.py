"""Scale-free accuracy: RMSE against the seasonal naive forecast, and its geometric mean over nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats


def rmse(error: Floats) -> float:
    """Return the root of the mean squared error.

    Raises:
        InvalidValueError: there is no error to average, or one is missing.
    """
    if not error.size or not np.isfinite(error).all():
        raise InvalidValueError("the RMSE needs at least one error and every one of them finite")
    return float(np.sqrt(np.mean(error * error)))


def seasonal_naive(y: Floats, season: int = 7) -> Floats:
    """Return y_{t-season}, float64 [T]: the same weekday of the week before; NaN where there is none."""
    if not 0 < season < len(y):
        raise InvalidValueError(f"the season must lie between 1 and {len(y) - 1} steps, got {season}")
    return np.concatenate([np.full(season, np.nan), y[:-season]])


def last_values(y: Floats, hold: int) -> Floats:
    """Return y with each missing value replaced by the last one up to `hold` steps before it, float64 [T]."""
    place = np.arange(len(y))
    latest = np.maximum.accumulate(np.where(np.isnan(y), -1, place))
    return np.where((latest >= 0) & (place - latest <= hold), y[latest], np.nan)


def rmse_ratio(y: Floats, forecast: Floats, naive: Floats) -> float:
    """Return RMSE of `forecast` / RMSE of `naive` on the values `y`, all float64 [n]; below 1 is better.

    Raises:
        InvalidValueError: a value is missing, or the naive forecast is never wrong.
    """
    reference = rmse(y - naive)
    if reference == 0:
        raise InvalidValueError("the naive forecast is never wrong here; the ratio has no meaning")
    return rmse(y - forecast) / reference


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return exp(mean(log)); ratios above and below 1 weigh alike.

    Raises:
        InvalidValueError: none given, or one is not positive.
    """
    if not ratios or not min(ratios) > 0:
        raise InvalidValueError(f"a geometric mean needs positive values, got {list(ratios)}")
    return float(np.exp(np.mean(np.log(ratios))))
