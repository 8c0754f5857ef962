"""Modalities on their own clocks, brought onto the panel's grid without looking ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import NotFoundError
from ledgerfed.series.arrays import Booleans, Floats, Integers, Times
from ledgerfed.series.panel import Modality, Panel


@dataclass(frozen=True, slots=True, eq=False)
class AlignedModality:
    """A modality on the grid: the last reading at or before each grid time.

    `values` float64 [T, channels], NaN where nothing stands; `observed` bool [T, channels]; `age` int64
    [T, channels], seconds since the reading was made, -1 where nothing stands.
    """

    name: str
    channels: tuple[str, ...]
    known_ahead: bool
    values: Floats
    observed: Booleans
    age: Integers

    def column(self, channel: str) -> Floats:
        """Return one channel, float64 [T]; raises NotFoundError for a name that it does not have."""
        if channel not in self.channels:
            raise NotFoundError(f"{self.name!r} has no channel {channel!r}, only {list(self.channels)}")
        return self.values[:, self.channels.index(channel)]


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPanel:
    """A panel whose modalities share its grid: `times` [T], `target` [T] and `modalities`."""

    name: str
    period: int
    times: Times
    target: Floats
    target_name: str
    unit: str
    modalities: tuple[AlignedModality, ...]

    def modality(self, name: str) -> AlignedModality:
        """Return the modality of that name; raises NotFoundError when the panel lacks it."""
        for modality in self.modalities:
            if modality.name == name:
                return modality
        raise NotFoundError(
            f"{self.name!r} has no modality {name!r}, only {[m.name for m in self.modalities]}"
        )

    def has(self, modality: str, channel: str) -> bool:
        """Return whether the panel has that channel of that modality, read or not."""
        return any(m.name == modality and channel in m.channels for m in self.modalities)


def align(panel: Panel) -> AlignedPanel:
    """Return the panel with every modality on its grid; missing stays NaN, nothing is interpolated."""
    modalities = tuple(_on_grid(m, panel.times) for m in panel.modalities)
    return AlignedPanel(
        panel.name, panel.period, panel.times, panel.target, panel.target_name, panel.unit, modalities
    )


def _on_grid(modality: Modality, grid: Times) -> AlignedModality:
    n, channels = modality.values.shape
    readings = np.where(np.isnan(modality.values), -1, np.arange(n)[:, None])
    latest = np.vstack([np.full((1, channels), -1), np.maximum.accumulate(readings, axis=0)])
    row = latest[np.searchsorted(modality.times, grid, side="right")]
    age = (grid[:, None] - modality.times[row]).astype(np.int64)
    observed = row >= 0
    if modality.valid_for is not None:
        observed &= age <= modality.valid_for
    values = np.where(observed, modality.values[row, np.arange(channels)], np.nan)
    age = np.where(observed, age, -1)
    for array in (values, observed, age):
        array.setflags(write=False)
    return AlignedModality(modality.name, modality.channels, modality.known_ahead, values, observed, age)
