"""Local standardisation: each column in units of its own spread in the training window.

Mean and scale never leave the node; the federation sees standardised columns only, so stations of different
size speak of the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.series.align import AlignedPanel
from ledgerfed.series.arrays import Floats, read_only_floats
from ledgerfed.series.panel import require_names
from ledgerfed.series.split import Window

TARGET = "target"
"""The name of the target's column."""


@dataclass(frozen=True, slots=True, eq=False)
class Standardisation:
    """Mean and standard deviation per column, float64 [columns]; the deviations are positive.

    `flat` names the columns without a spread: constant or wholly missing in the window, with the deviation 1.
    """

    columns: tuple[str, ...]
    mean: Floats
    sd: Floats
    flat: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        require_names("the columns of a standardisation", self.columns)
        shape = (len(self.columns),)
        object.__setattr__(self, "mean", read_only_floats("the mean", self.mean, shape))
        object.__setattr__(self, "sd", read_only_floats("the standard deviation", self.sd, shape))
        if not (np.isfinite(self.mean).all() and (self.sd > 0).all()):
            raise InvalidValueError("a standardisation needs finite means and positive standard deviations")

    def apply(self, column: str, values: Floats) -> Floats:
        """Return (values - mean) / sd of that column; raises NotFoundError for an unknown column."""
        at = self._index(column)
        return np.asarray((values - self.mean[at]) / self.sd[at])

    def invert(self, column: str, values: Floats) -> Floats:
        """Return mean + sd * values, the inverse of `apply`; raises NotFoundError for an unknown column."""
        at = self._index(column)
        return np.asarray(self.mean[at] + self.sd[at] * values)

    def moments(self, column: str) -> tuple[float, float]:
        """Return mean and deviation of a column; raises NotFoundError for an unknown column."""
        at = self._index(column)
        return float(self.mean[at]), float(self.sd[at])

    def has_spread(self, column: str) -> bool:
        """Return whether the column moved in the window; raises NotFoundError for an unknown column."""
        return self.columns[self._index(column)] not in self.flat

    def _index(self, column: str) -> int:
        if column not in self.columns:
            raise NotFoundError(f"no column {column!r} was standardised, only {list(self.columns)}")
        return self.columns.index(column)


def channel_column(modality: str, channel: str) -> str:
    """Return the name of a channel's column."""
    return f"{modality}/{channel}"


def standardisation(panel: AlignedPanel, window: Window) -> Standardisation:
    """Return mean and standard deviation (population, NaN left out) of target and channels in `window`.

    A column that is constant or wholly missing there carries no scale: it gets the deviation 1.

    Raises:
        InvalidValueError: the window ends after the panel, or holds no value of the target.
    """
    if window.stop > len(panel.times):
        raise InvalidValueError(f"the window ends at row {window.stop}, the panel at {len(panel.times)}")
    columns = [TARGET]
    values = [panel.target[window.rows]]
    for modality in panel.modalities:
        columns += [channel_column(modality.name, channel) for channel in modality.channels]
        values += list(modality.values[window.rows].T)
    if np.isnan(values[0]).all():
        raise InvalidValueError(f"{panel.name!r} has no target in rows {window.start}..{window.stop - 1}")
    readings = [v[~np.isnan(v)] for v in values]
    moments = np.array([_moments(v) for v in readings])
    flat = frozenset(c for c, v in zip(columns, readings, strict=True) if _is_flat(v))
    return Standardisation(tuple(columns), moments[:, 0], moments[:, 1], flat)


def _moments(values: Floats) -> tuple[float, float]:
    mean = float(values.mean()) if values.size else 0.0
    return mean, 1.0 if _is_flat(values) else float(values.std())


def _is_flat(values: Floats) -> bool:
    # ptp, not std: the deviation of a constant column is rounding noise, not zero
    return not values.size or bool(np.ptp(values) == 0)
