"""The cases that methods are compared on: who the nodes are, what they forecast, and when.

Rules:
- a node's scale, its model and every choice come from its training window; the test window is forecast one
  step (or `horizon` steps) ahead at every origin, each time with all values before it, and never fitted on;
- all methods are compared on the same rows, those that are complete on the basis;
- a node whose training rows are fewer than MIN_TRAIN, or whose test rows are fewer than MIN_TEST, or that
  moves in none of the steps of the naive forecast in one of the two, is left out before anything is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from typing import Final

import numpy as np

from ledgerfed.datasets import load_health_patients, load_health_wards, load_industry, load_transit
from ledgerfed.datasets.episodes import episodes
from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.evaluation.bases import ALL_CHANNELS, HEART_RATE, TRANSIT_WEEKS, dryer_basis
from ledgerfed.evaluation.metrics import last_values, seasonal_naive
from ledgerfed.exchange import Basis, Design, design
from ledgerfed.series import Panel, Window, align, standardisation
from ledgerfed.series.arrays import Booleans, Floats

MIN_TRAIN: Final = 12
MIN_TEST: Final = 4
LINEAR: Final = ("arx",)
"""Every node fits the columns of the basis by least squares."""
SERIES: Final = ("ar", "arma", "local_level", "linear_state_space")
"""For a series without a season and without channels."""
WEEKLY: Final = ("ar", "arma", "local_level", "structural", "markov_switching")
"""For a series with a week in it."""
CHANNELS: Final = ("ar", "arx", "arma", "local_level", "dynamic_regression")
"""For a series with channels around it."""
RIDERS_PRIOR: Final = 30
"""Thirty rows of one unit, of all stations together: on earlier years the best of 1 to 1,000, since two
months do not tell a season from a trend (`python -m ledgerfed.evaluation.prior_study`)."""
Windows = Callable[[Panel], tuple[Window, Window]]


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: `naive` is the lag of the naive forecast, `families` are dealt out to the nodes.

    `prior` is what the model that knows nothing weighs in the sum, as the federation's configuration says.
    """

    name: str
    scenario: str
    basis: Basis
    panels: Callable[[], tuple[Panel, ...]]
    windows: Windows
    naive: int
    families: tuple[str, ...] = LINEAR
    prior: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Participant:
    """A node of a case: its training rows, and its design up to the end of the test window.

    `test` bool [T] marks the rows to forecast, `naive` float64 [n] is the naive forecast of them, and
    `naive_spread` the root mean square of its error in training; `past` float64 is the target on the grid of
    the training window, standardised, NaN where it is missing.
    """

    name: str
    family: str
    train: Design
    through: Design
    test: Booleans
    naive: Floats
    naive_spread: float
    past: Floats
    prior: int = 1

    @property
    def answers(self) -> tuple[Floats, Floats]:
        """X [n, d] and y [n] of the rows to forecast, standardised."""
        return self.through.X[self.test], self.through.y[self.test]


def last_days(train: int, test: int, back: int = 0) -> Windows:
    """Return the windows of a daily panel: `test` days ending `back` days before it, `train` before them."""

    def windows(panel: Panel) -> tuple[Window, Window]:
        stop = len(panel) - back
        return Window(stop - test - train, stop - test), Window(stop - test, stop)

    return windows


def hours(train: int, stop: int) -> Windows:
    """Return the windows of one stay: its first `train` hours, and those up to `stop`."""
    return lambda _: (Window(0, train), Window(train, stop))


def batches(train: slice, test: slice) -> Windows:
    """Return the windows of a panel of episodes: from the first to the last row of each slice of them."""

    def windows(panel: Panel) -> tuple[Window, Window]:
        runs = episodes(panel)
        return _span(runs[train]), _span(runs[test])

    return windows


def participants(case: Case, horizon: int = 1) -> tuple[Participant, ...]:
    """Return the nodes of a case, for direct forecasts `horizon` steps ahead.

    Raises:
        InvalidValueError: nobody has enough rows, or the seasonal naive forecast is not known that early.
    """
    if 1 < case.naive < horizon:
        raise InvalidValueError(f"the naive forecast of {case.name!r} is not known {horizon} steps ahead")
    found = [
        participant
        for panel in case.panels()
        if (participant := _participant(case, panel, case.basis.at_horizon(horizon), horizon)) is not None
    ]
    if not found:
        raise InvalidValueError(f"no node of {case.name!r} has {MIN_TRAIN} rows to train on")
    return tuple(
        replace(participant, family=family)
        for participant, family in zip(found, cycle(case.families), strict=False)
    )


def find_case(name: str) -> Case:
    """Return the case of that name; raises NotFoundError for another."""
    for case in CASES:
        if case.name == name:
            return case
    raise NotFoundError(f"no case {name!r}; one of {[case.name for case in CASES]}")


def _participant(case: Case, panel: Panel, basis: Basis, horizon: int) -> Participant | None:
    train, test = case.windows(panel)
    if np.isnan(panel.target[train.rows]).all():
        return None
    aligned = align(panel)
    scale = standardisation(aligned, train)
    whole = design(aligned, basis, scale)
    lag = case.naive + horizon - 1 if case.naive == 1 else case.naive
    last = seasonal_naive(last_values(whole.y, basis.hold), lag)
    asked = np.arange(len(whole.y))
    rows = whole.rows & (asked >= test.start) & (asked < test.stop) & ~np.isnan(last)
    fitted_on = whole.rows[train.rows].sum()
    past = whole.y[train.rows]
    moves = np.abs(past[case.naive :] - past[: -case.naive])
    if fitted_on < MIN_TRAIN or rows.sum() < MIN_TEST:
        return None
    if not np.nansum(moves) > 0 or not (whole.y[rows] != last[rows]).any():
        return None
    through = whole.within(Window(train.start, test.stop))
    seen = rows[: test.stop]
    before = whole.rows[train.rows] & ~np.isnan(last[train.rows])
    moved = (whole.y - last)[train.rows][before]
    spread = float(np.sqrt(np.mean(moved * moved))) if moved.any() else 1.0
    naive = last[: test.stop][seen]
    return Participant(panel.name, "", whole.within(train), through, seen, naive, spread, past, case.prior)


def _span(runs: Sequence[Window]) -> Window:
    return Window(runs[0].start, runs[-1].stop)


FOUR_PATIENTS: Final = batches(slice(0, 4), slice(-2, None))
"""The first four patients of a ward of six to train on, the last two to forecast."""
CASES: Final = (
    Case("transit-60", "transit", TRANSIT_WEEKS, load_transit, last_days(60, 365), 7, prior=RIDERS_PRIOR),
    Case("transit-180", "transit", TRANSIT_WEEKS, load_transit, last_days(180, 365), 7, prior=RIDERS_PRIOR),
    Case("heart-rate", "health", HEART_RATE, load_health_patients, hours(32, 48), 1),
    Case("heart-rate-all-channels", "health", ALL_CHANNELS, load_health_patients, hours(32, 48), 1),
    Case(
        "dryer-power",
        "industry",
        dryer_basis("AgitatorPower"),
        partial(load_industry, "AgitatorPower"),
        batches(slice(0, 2), slice(-2, None)),
        1,
    ),
    Case(
        "dryer-temperature",
        "industry",
        dryer_basis("DryerTemp"),
        partial(load_industry, "DryerTemp"),
        batches(slice(0, 2), slice(-2, None)),
        1,
    ),
    Case("ward-heart-rate", "health", HEART_RATE, load_health_wards, FOUR_PATIENTS, 1),
    Case("ward-all-channels", "health", ALL_CHANNELS, load_health_wards, FOUR_PATIENTS, 1),
    Case(
        "transit-60-mixed",
        "transit",
        TRANSIT_WEEKS,
        load_transit,
        last_days(60, 365),
        7,
        WEEKLY,
        RIDERS_PRIOR,
    ),
    Case(
        "transit-180-mixed",
        "transit",
        TRANSIT_WEEKS,
        load_transit,
        last_days(180, 365),
        7,
        WEEKLY,
        RIDERS_PRIOR,
    ),
    Case("heart-rate-mixed", "health", HEART_RATE, load_health_patients, hours(32, 48), 1, SERIES),
    Case(
        "dryer-power-mixed",
        "industry",
        dryer_basis("AgitatorPower"),
        partial(load_industry, "AgitatorPower"),
        batches(slice(0, 2), slice(-2, None)),
        1,
        CHANNELS,
    ),
)
