"""A node's private data: one target series and the modalities around it, each on its own clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats, Times, read_only_floats, read_only_times


@dataclass(frozen=True, slots=True, eq=False)
class Modality:
    """Readings of several channels on one clock.

    `times` is datetime64[s] [n], strictly increasing; `values` float64 [n, channels], NaN where a reading is
    missing; `units` names the unit of each channel. A modality that is `known_ahead` (a calendar, a fixture
    list) is known before its time and may enter a forecast at lag 0. A reading stands until the next one,
    but no longer than `valid_for` seconds if that is given.
    """

    name: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    times: Times
    values: Floats
    known_ahead: bool = False
    valid_for: int | None = None

    def __post_init__(self) -> None:
        require_names(f"the channels of {self.name!r}", self.channels)
        if len(self.units) != len(self.channels):
            raise InvalidValueError(
                f"{self.name!r} has {len(self.channels)} channels but {len(self.units)} units"
            )
        if self.valid_for is not None and self.valid_for < 0:
            raise InvalidValueError(f"{self.name!r}: valid_for must be 0 s or more, got {self.valid_for}")
        times = read_only_times(f"the times of {self.name!r}", self.times)
        shape = (len(times), len(self.channels))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", read_only_floats(f"{self.name!r}", self.values, shape))

    def until(self, time: np.datetime64) -> Modality:
        """Return what is known before `time`: all of it if it is known ahead.

        Raises:
            InvalidValueError: nothing is known before `time`.
        """
        if self.known_ahead:
            return self
        n = int(np.searchsorted(self.times, time))
        return replace(self, times=self.times[:n], values=self.values[:n])


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One target on a regular grid, and its modalities.

    `period` is the grid step in seconds, `times` datetime64[s] [T], `target` float64 [T] with NaN where it is
    missing, `target_name` and `unit` say what it measures.
    """

    name: str
    period: int
    times: Times
    target: Floats
    target_name: str
    unit: str
    modalities: tuple[Modality, ...] = ()

    def __post_init__(self) -> None:
        require_names(f"the modalities of {self.name!r}", tuple(m.name for m in self.modalities), least=0)
        times = read_only_times(f"the times of {self.name!r}", self.times)
        require_grid(self.name, times, self.period)
        object.__setattr__(self, "times", times)
        object.__setattr__(
            self, "target", read_only_floats(f"the target of {self.name!r}", self.target, times.shape)
        )

    def __len__(self) -> int:
        return len(self.times)

    def head(self, stop: int) -> Panel:
        """Return the panel as it was known just before grid row `stop`.

        Raises:
            InvalidValueError: `stop` is not in [1, T], or a modality had no reading yet.
        """
        if not 1 <= stop <= len(self):
            raise InvalidValueError(f"{self.name!r} has rows 1..{len(self)}, not {stop}")
        end = self.times[stop - 1] + np.timedelta64(self.period, "s")
        return replace(
            self,
            times=self.times[:stop],
            target=self.target[:stop],
            modalities=tuple(m.until(end) for m in self.modalities),
        )


def require_names(what: str, names: tuple[str, ...], least: int = 1) -> None:
    """Raise InvalidValueError unless `names` are at least `least` different, non-empty strings."""
    if len(names) < least or len(set(names)) != len(names) or not all(names):
        raise InvalidValueError(f"{what} must be {least} or more different names, got {list(names)}")


def require_grid(name: str, times: Times, period: int) -> None:
    """Raise InvalidValueError unless `times` step by exactly `period` seconds."""
    if period < 1:
        raise InvalidValueError(f"the period of {name!r} must be at least 1 second, got {period}")
    wrong = np.diff(times) != np.timedelta64(period, "s")
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InvalidValueError(
            f"the grid of {name!r} steps from {times[at]} to {times[at + 1]}, not by {period} s; "
            "put NaN in the target where a time is missing"
        )
