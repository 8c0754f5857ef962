"""A modality on a faster clock, summarised once per grid period.

Rules:
- the summary at grid time g is made of the readings in [g, g + period) and stamped g: it is known when the
  next period begins, so it enters a forecast at lag 1 or more, as any other reading does;
- what no reading says is missing: no mean and no last value of a period without readings, no deviation of a
  period with fewer than two.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.series.arrays import Floats, Integers, Times
from ledgerfed.series.panel import Modality, Panel

STATISTICS = ("mean", "sd", "last")


def per_period(modality: Modality, times: Times, period: int) -> Modality:
    """Return the modality with the channels `x.mean`, `x.sd` and `x.last` for each of its channels x.

    `times` is the grid, datetime64[s] [T]; readings outside its periods are left out. The deviation is that
    of the population, in the unit of the channel.

    Raises:
        InvalidValueError: the period is not positive.
    """
    if period < 1:
        raise InvalidValueError(f"a period must be at least 1 s, got {period}")
    row = np.searchsorted(times, modality.times, side="right") - 1
    inside = (row >= 0) & (modality.times < times[row] + np.timedelta64(period, "s"))
    kept, values = row[inside].astype(np.int64), modality.values[inside]
    columns = [_statistics(kept, values[:, i], len(times)) for i in range(len(modality.channels))]
    return replace(
        modality,
        channels=tuple(f"{channel}.{name}" for channel in modality.channels for name in STATISTICS),
        units=tuple(unit for unit in modality.units for _ in STATISTICS),
        times=times,
        values=np.hstack(columns),
    )


def summarise(panel: Panel, name: str) -> Panel:
    """Return the panel with the modality `name` summarised per period of the grid.

    Raises:
        NotFoundError: the panel has no such modality.
    """
    if name not in [m.name for m in panel.modalities]:
        raise NotFoundError(f"{panel.name!r} has no modality {name!r} to summarise")
    summaries = (per_period(m, panel.times, panel.period) if m.name == name else m for m in panel.modalities)
    return replace(panel, modalities=tuple(summaries))


def _statistics(row: Integers, values: Floats, n: int) -> Floats:
    """Mean, deviation and last value per row, float64 [n, 3], NaN where there is none."""
    read = ~np.isnan(values)
    row, values = row[read], values[read]
    count = np.bincount(row, minlength=n)
    mean = np.bincount(row, values, n) / np.maximum(count, 1)
    squares = np.bincount(row, (values - mean[row]) ** 2, n) / np.maximum(count, 1)
    last = np.full(n, np.nan)
    last[row] = values  # in the order of time: the last of a row stays
    return np.column_stack(
        [np.where(count > 0, mean, np.nan), np.where(count > 1, np.sqrt(squares), np.nan), last]
    )
