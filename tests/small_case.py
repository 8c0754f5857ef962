"""A case of a few made-up nodes: an autoregression that a weather channel moves, on an hourly grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ledgerfed.evaluation.methods.result import Trained, train
from ledgerfed.evaluation.scenarios import Case, last_days, participants
from ledgerfed.exchange import Basis
from ledgerfed.exchange.basis import ChannelTerm
from ledgerfed.series import Modality, Panel

HOUR = 3_600
TRAIN, TEST, LENGTH = 80, 24, 130
TEST_START = LENGTH - TEST
BASIS = Basis("load", "kW", HOUR, (1, 2, 3), (ChannelTerm("weather", ("temp",), 1),))


def panel(seed: int, name: str = "", length: int = LENGTH) -> Panel:
    """A node: y_t = 0.5 y_{t-1} + 0.2 y_{t-2} + 0.4 x_{t-1} + e, a level of 50 and a spread of about 3."""
    rng = np.random.default_rng(seed)
    x, e, y = rng.normal(size=length), rng.normal(size=length), np.zeros(length)
    for t in range(length):
        y[t] = e[t] + (0.5 * y[t - 1] + 0.2 * y[t - 2] + 0.4 * x[t - 1] if t > 1 else 0)
    times = np.datetime64("2026-01-05T00:00:00", "s") + np.arange(length) * np.timedelta64(HOUR, "s")
    weather = Modality("weather", ("temp",), ("degC",), times, 10 + 5 * x[:, None])
    return Panel(name or f"node {seed}", HOUR, times, 50 + 2 * y, "load", "kW", (weather,))


def case_of(panels: tuple[Panel, ...], families: tuple[str, ...] = ("arx",), train_on: int = TRAIN) -> Case:
    """The case with these nodes, the last TEST rows of each to be forecast."""
    return Case("made up", "none", BASIS, lambda: panels, last_days(train_on, TEST), 1, families)


def trained(case: Case, horizon: int = 1) -> tuple[Trained, ...]:
    """The nodes of a case with their native models."""
    return tuple(train(participant) for participant in participants(case, horizon))


def changed_from(panel: Panel, t: int, seed: int) -> Panel:
    """The panel as it would be had everything from row t on come out differently."""
    rng = np.random.default_rng(seed)
    target = panel.target.copy()
    target[t:] += rng.normal(scale=20, size=len(target) - t)
    modalities = []
    for modality in panel.modalities:
        values = modality.values.copy()
        values[t:] = rng.normal(scale=20, size=values[t:].shape)
        modalities.append(replace(modality, values=values))
    return replace(panel, target=target, modalities=tuple(modalities))
