"""The calendar terms of a basis as columns: known ahead for every time, alike at every node."""

from __future__ import annotations

import numpy as np

from ledgerfed.exchange.basis import CYCLES
from ledgerfed.series.arrays import Floats, Times

_MONDAY = np.datetime64("1970-01-05", "s")


def calendar_column(times: Times, term: str) -> Floats:
    """Return the column of a calendar term at `times` [T], float64 [T]: a weekday's flag or a wave."""
    kind, *rest = term.split(":")
    since = (times - _MONDAY).astype(np.int64)
    if kind == "weekday":
        return np.asarray(since // CYCLES["day"] % 7 == int(rest[0]), dtype=np.float64)
    cycle = CYCLES[rest[0]]
    # in integers first: the angle of a wave must not lose digits as the years go by
    angle = 2 * np.pi * ((int(rest[1]) * since) % cycle) / cycle
    return np.asarray(np.sin(angle) if kind == "sin" else np.cos(angle), dtype=np.float64)
