"""Stays of patients or runs of a batch process, one after another on the grid of one panel.

Rules:
- between two episodes lie as many empty rows as the longest hold of a reading plus LONGEST_LAG, so that no
  row of an episode reaches a reading of the one before by lag, hold, or both;
- the modality `episode` says how long the running one has lasted: a clock, so it is known ahead and may
  enter at lag 0; in the rows between two episodes it has no reading, which is how `episodes` finds them;
- nothing is imputed: a channel without a reading stays NaN, be it for a whole episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.series.align import align
from ledgerfed.series.arrays import Floats, Times
from ledgerfed.series.panel import Modality, Panel
from ledgerfed.series.split import Window

EPISODE: Final = "episode"
ELAPSED: Final = "elapsed"
LONGEST_LAG: Final = 24
"""Grid steps that a basis may look back without meeting the episode before."""
NOMINAL_START: Final = np.datetime64("1970-01-05", "s")
"""A Monday. The sources have no dates: only the distances between times mean something."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Channels of one kind, which become one modality: their units by name, and how long a reading stands.

    `hold` counts grid steps; 0 means that a reading stands for its own row only.
    """

    name: str
    units: Mapping[str, str]
    hold: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of an episode are: `columns` in order, `kinds` of them, the grid `period` in seconds.

    `step` is the unit in which `elapsed` counts the rows of an episode.
    """

    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    period: int
    step: str

    @property
    def gap(self) -> int:
        """How many empty rows lie between two episodes."""
        return LONGEST_LAG + max(kind.hold for kind in self.kinds)

    def unit(self, column: str) -> str:
        """Return the unit of a column; raises NotFoundError for one that the layout does not have."""
        for kind in self.kinds:
            if column in kind.units:
                return kind.units[column]
        raise NotFoundError(f"no column {column!r}; one of {sorted(self.columns)}")


def join_episodes(layout: Layout, name: str, target: str, readings: Sequence[Floats]) -> Panel:
    """Return one panel from the readings of each episode, float64 [rows, columns], in their order.

    The target is no channel besides; a kind that it alone made up is left out.

    Raises:
        InvalidValueError: there is no episode.
        NotFoundError: the target is no column of the layout.
    """
    if not readings:
        raise InvalidValueError(f"the panel {name!r} needs an episode")
    unit = layout.unit(target)
    values = _apart(readings, layout.gap)
    elapsed = _apart([np.arange(len(r), dtype=np.float64)[:, None] for r in readings], layout.gap)
    times = NOMINAL_START + np.arange(len(values)) * np.timedelta64(layout.period, "s")
    modalities = [_modality(layout, kind, target, times, values) for kind in layout.kinds]
    clock = Modality(EPISODE, (ELAPSED,), (layout.step,), times, elapsed, known_ahead=True, valid_for=0)
    return Panel(
        name,
        layout.period,
        times,
        values[:, layout.columns.index(target)],
        target,
        unit,
        (*(m for m in modalities if m), clock),
    )


def episodes(panel: Panel) -> tuple[Window, ...]:
    """Return the grid rows of each episode, in order; they do not touch.

    Raises:
        NotFoundError: the panel has no modality `episode` with a channel `elapsed`.
    """
    clock = align(
        replace(panel, modalities=tuple(m for m in panel.modalities if m.name == EPISODE))
    ).modality(EPISODE)
    running = np.concatenate([[False], ~np.isnan(clock.column(ELAPSED)), [False]])
    edges = np.flatnonzero(running[1:] != running[:-1])
    return tuple(Window(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _apart(parts: Sequence[Floats], gap: int) -> Floats:
    empty = np.full((gap, parts[0].shape[1]), np.nan)
    return np.concatenate([array for part in parts for array in (part, empty)][:-1])


def _modality(layout: Layout, kind: Kind, target: str, times: Times, values: Floats) -> Modality | None:
    channels = tuple(c for c in kind.units if c != target)
    if not channels:
        return None
    at = [layout.columns.index(c) for c in channels]
    units = tuple(kind.units[c] for c in channels)
    hold = kind.hold * layout.period
    return Modality(kind.name, channels, units, times, values[:, at], valid_for=hold)
