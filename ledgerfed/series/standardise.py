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
    """Mean and standard deviation per column, float64 [columns]; the deviations are positive."""

    columns: tuple[str, ...]
    mean: Floats
    sd: Floats

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
    moments = np.array([_moments(v[~np.isnan(v)]) for v in values])
    return Standardisation(tuple(columns), moments[:, 0], moments[:, 1])


def _moments(values: Floats) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    # ptp, not std: the deviation of a constant column is rounding noise, not zero
    return float(values.mean()), float(values.std()) if np.ptp(values) > 0 else 1.0
