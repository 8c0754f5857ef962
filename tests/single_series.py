"""Designs of one series without modalities, in the units they come in."""

from __future__ import annotations

import numpy as np

from ledgerfed.exchange import Basis, ChannelTerm, Design, design
from ledgerfed.series import Modality, Panel, Standardisation, align

DAY, HOUR = 86_400, 3_600
HOURS = 32
"""The training hours of a patient: the shortest series there are."""


def series_design(
    y: np.ndarray,
    basis: Basis,
    channels: np.ndarray | None = None,
) -> Design:
    """The design of y [T] on a basis; `channels` [T, c] are those of the modality m, by number."""
    times = np.datetime64("2024-01-01", "s") + np.arange(len(y)) * np.timedelta64(basis.period, "s")
    readings = np.empty((len(y), 0)) if channels is None else channels
    names = tuple(str(i) for i in range(readings.shape[1]))
    modality = Modality("m", names, ("1",) * len(names), times, readings) if names else None
    panel = Panel("p", basis.period, times, y, "y", "1", (modality,) if modality else ())
    columns = ("target", *(f"m/{name}" for name in names))
    scale = Standardisation(columns, np.zeros(len(columns)), np.ones(len(columns)))
    return design(align(panel), basis, scale)


def daily(y: np.ndarray, lags: tuple[int, ...], calendar: tuple[str, ...] = ()) -> Design:
    """Days, from a Monday on."""
    return series_design(y, Basis("y", "1", DAY, lags, (), calendar))


def hourly(y: np.ndarray, lags: tuple[int, ...] = (1, 2), hold: int = 0) -> Design:
    """Hours."""
    return series_design(y, Basis("y", "1", HOUR, lags, hold=hold))


def explained(y: np.ndarray, x: np.ndarray, lags: tuple[int, ...] = (1,)) -> Design:
    """Days with channels x [T, c], each a lag-1 column."""
    terms = tuple(ChannelTerm("m", (str(i),), 1) for i in range(x.shape[1]))
    return series_design(y, Basis("y", "1", DAY, lags, terms), x)
