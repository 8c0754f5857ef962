"""71 batches of an industrial dryer, ten tags each (`data/dryer.md`).

9,220 samples; a batch lasts 89 to 201 of them. Twelve groups of about six consecutive batches are the nodes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ledgerfed.datasets.episodes import Kind, Layout, join_episodes
from ledgerfed.datasets.shipped import FOLDER, Shipped, read_arrays
from ledgerfed.series.panel import Panel

DRYER: Final = Shipped(
    FOLDER / "dryer.npz",
    ("lengths", "tags"),
    "61851e3563587fd15119ab86ca49a5ab1228582db1da9ddd9b4f33c481ef417d",
)
"""The shipped file; the digest is what `derive_dryer` prints."""
SCALE: Final = 100_000
"""Readings are stored as integers; the source has at most five decimals."""
BATCHES: Final = 71
NODES: Final = 12
NOMINAL_PERIOD: Final = 60
"""Seconds. The source says only that samples are assumed to be evenly spaced."""
UNSTATED: Final = "unstated"
"""The source names no units."""

TAGS: Final = (
    "CollectorTankLevel",
    "DifferentialPressure",
    "DryerPressure",
    "AgitatorPower",
    "AgitatorTorque",
    "AgitatorSpeed",
    "JacketTemperatureSP",
    "JacketTemperature",
    "DryerTemperatureSP",
    "DryerTemp",
)
"""The order of the shipped array, as in the source."""


def _kind(name: str, *tags: str) -> Kind:
    return Kind(name, dict.fromkeys(tags, UNSTATED))


LAYOUT: Final = Layout(
    TAGS,
    (
        _kind("agitator", "AgitatorPower", "AgitatorTorque", "AgitatorSpeed"),
        _kind("pressures", "DifferentialPressure", "DryerPressure"),
        _kind("temperatures", "JacketTemperature", "DryerTemp"),
        _kind("level", "CollectorTankLevel"),
        _kind("setpoints", "JacketTemperatureSP", "DryerTemperatureSP"),
    ),
    NOMINAL_PERIOD,
    "sample",
)
"""No kind is known ahead. The set points least of all: their tags end in `.OP`, the output of a controller,
which answers to what was just measured and is no schedule. No reading is missing, so none is held."""


def load_industry(target: str = "AgitatorPower") -> tuple[Panel, ...]:
    """Return twelve panels, `dryer-0` to `dryer-11`, of six consecutive batches each (the last has five).

    Any tag can be the target; the others stay channels. The grid step is nominal. Between two batches lie
    `LAYOUT.gap` = 24 empty rows, which no lag up to 24 crosses; `ledgerfed.datasets.episodes` returns the
    rows of each batch.

    Raises:
        NotFoundError: no such tag.
        StoreError: the shipped file is missing or not the one that this release was made with.
    """
    arrays = read_arrays(DRYER)
    readings = arrays["tags"].T / SCALE
    batches = np.split(readings, np.cumsum(arrays["lengths"])[:-1])
    groups = np.array_split(np.arange(BATCHES), NODES)
    return tuple(
        join_episodes(LAYOUT, f"dryer-{i}", target, [batches[b] for b in group])
        for i, group in enumerate(groups)
    )
