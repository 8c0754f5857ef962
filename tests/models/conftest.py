from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.exchange import Basis, Design, design
from ledgerfed.series import AlignedPanel, Panel, Split, align, split, standardisation


@pytest.fixture(scope="session")
def clark_lake() -> AlignedPanel:
    return align(next(panel for panel in load_transit() if panel.name == "Clark_Lake"))


@pytest.fixture(scope="session")
def windows(clark_lake: AlignedPanel) -> Split:
    return split(clark_lake)


@pytest.fixture(scope="session")
def transit(clark_lake: AlignedPanel, windows: Split) -> Design:
    return design(clark_lake, TRANSIT_BASIS, standardisation(clark_lake, windows.train))


def plain_design(target: np.ndarray, lags: tuple[int, ...] = (1, 2)) -> Design:
    """The design of a series without modalities, unstandardised where its mean is 0 and deviation 1."""
    days = np.datetime64("2024-01-01", "s") + np.arange(len(target)) * np.timedelta64(86_400, "s")
    panel = align(Panel("p", 86_400, days, target, "y", "1"))
    whole = split(panel, 1, len(target) - 2, 1)
    return design(panel, Basis("y", "1", 86_400, lags), standardisation(panel, whole.train))


@pytest.fixture
def autoregression() -> Design:
    """x_t = 0.6 x_{t-1} - 0.2 x_{t-2} + e_t, 4,000 steps."""
    rng = np.random.default_rng(11)
    x = np.zeros(4_000)
    for t in range(2, len(x)):
        x[t] = 0.6 * x[t - 1] - 0.2 * x[t - 2] + rng.normal()
    return plain_design(x)


@pytest.fixture
def constant() -> Design:
    return plain_design(np.full(120, 3.0))
