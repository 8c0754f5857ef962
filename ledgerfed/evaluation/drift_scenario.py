"""A federation of stations whose world changes on a known day, and what its nodes do about it.

Every 30 days each node informs on its last two years, the informations are fused, and each node forecasts the
next 30 days with its personal coefficients. No verification, no integers: the float reference of a round.
Rules:
- a break changes the target from its row on, by a formula without chance;
- what a node does at a round follows from rows before it only: its detector watches its own forecasts;
- scales come from the window before the first round and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.metrics import rmse
from ledgerfed.exchange import Design, Information, design, information
from ledgerfed.exchange.forgetting import age_weights, weighted_information
from ledgerfed.fusion.combine import fuse, personal, predict
from ledgerfed.series import TARGET, DriftMonitor, DriftRule, Panel, Window, align, standardisation
from ledgerfed.series.arrays import Floats, Integers

STEP: Final = 30
"""Days between two rounds."""
WINDOW: Final = 730
BEFORE: Final = 12
AFTER: Final = 12
"""Rounds before and after the break."""
GAMMA: Final = 0.99
"""Forgetting per day: a memory of 100 days."""
FEWEST: Final = 2 * TRANSIT_BASIS.width
"""Rows that a node trains on at least, however late the change was."""
SHIFT: Final = 3
LOSS: Final = 0.6


def another_week(target: Floats, at: int) -> Floats:
    """Return the target with the days of rest three days earlier in the week, from row `at` on."""
    changed = target.copy()
    changed[at:-SHIFT] = target[at + SHIFT :]
    return changed


def fewer_riders(target: Floats, at: int) -> Floats:
    """Return the target with two riders in five gone from row `at` on."""
    return np.concatenate([target[:at], LOSS * target[at:]])


BREAKS: Final[Mapping[str, Callable[[Floats, int], Floats]]] = {"week": another_week, "level": fewer_riders}


@dataclass(frozen=True, slots=True)
class Policy:
    """How nodes react. `rule` sets the detector, None has none.

    `always` forgets at GAMMA whatever happens. After an alarm a node forgets at GAMMA until its window lies
    behind the change, or, with `cut`, trains on the rows since the change only. With `flag` all nodes do as
    if they had an alarm in the round after at least a third of the updates carried one.
    """

    name: str
    rule: DriftRule | None = None
    always: bool = False
    cut: bool = False
    flag: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Station:
    """A node's rows, its target's spread in riders, and whether its world changes."""

    design: Design
    spread: float
    broken: bool


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What came of it: RMSE of forecast and naive in riders, float64 [rounds, nodes], and who fired when.

    `alarms` holds (node, days from the break, the same of the change as dated), in the order of rounds;
    `firing` int64 [rounds] counts the updates that carried an alarm.
    """

    forecast: Floats
    naive: Floats
    alarms: tuple[tuple[int, int, int], ...]
    firing: Integers

    def flagged(self) -> tuple[int, ...]:
        """Return the rounds, counted from the break, in which a third of the updates or more had an alarm."""
        return tuple(int(r) - BEFORE for r in np.flatnonzero(3 * self.firing >= self.forecast.shape[1]))


def stations(kind: str, broken: Collection[int], at: int, day: int) -> tuple[Station, ...]:
    """Return all stations for the rounds around row `day`; those in `broken` change at row `at`.

    Raises:
        NotFoundError: no break of that kind.
    """
    if kind not in BREAKS:
        raise NotFoundError(f"no break {kind!r}; there are {list(BREAKS)}")
    first = day - BEFORE * STEP
    window = Window(first - WINDOW, first)
    return tuple(
        _station(replace(p, target=BREAKS[kind](p.target, at)) if i in broken else p, window, i in broken)
        for i, p in enumerate(load_transit())
    )


def _station(panel: Panel, window: Window, broken: bool) -> Station:
    aligned = align(panel)
    scale = standardisation(aligned, window)
    spread = float(scale.sd[scale.columns.index(TARGET)])
    return Station(design(aligned, TRANSIT_BASIS, scale), spread, broken)


def play(nodes: Sequence[Station], day: int, policy: Policy) -> Played:
    """Return the rounds around row `day`, the first of which is BEFORE rounds earlier."""
    watches = [_Watch(policy, day - BEFORE * STEP) for _ in nodes]
    alarms: list[tuple[int, int, int]] = []
    forecast, naive, firing = [], [], []
    flagged = False
    for start in range(day - BEFORE * STEP, day + AFTER * STEP, STEP):
        if policy.flag and flagged:
            for watch in watches:
                watch.believe(start - 2 * STEP)
        fired = [watch.at_round(start) for watch in watches]
        alarms += [(i, at - day, since - day) for i, hit in enumerate(fired) if hit for at, since in [hit]]
        firing.append(sum(hit is not None for hit in fired))
        flagged = 3 * firing[-1] >= len(nodes)
        infos = [
            inform(node.design, Window(start - WINDOW, start), watch.since, policy)
            for node, watch in zip(nodes, watches, strict=True)
        ]
        theta, precision = fuse(infos, [1.0] * len(infos))
        errors = [
            _errors(node.design, start, personal(info, theta, precision / len(infos)))
            for node, info in zip(nodes, infos, strict=True)
        ]
        for watch, (own, _) in zip(watches, errors, strict=True):
            watch.see(own)
        spread = np.array([node.spread for node in nodes])
        forecast.append(spread * [rmse(own) for own, _ in errors])
        naive.append(spread * [rmse(other) for _, other in errors])
    return Played(np.array(forecast), np.array(naive), tuple(alarms), np.array(firing, dtype=np.int64))


def inform(rows: Design, window: Window, since: int | None, policy: Policy) -> Information:
    """Return what a node says at a round about its window, when it believes in a change at row `since`."""
    changed = since is not None and since > window.start
    if changed and policy.cut and since is not None:
        window = Window(max(window.start, min(since, window.stop - FEWEST)), window.stop)
    counted = rows.rows[window.rows]
    X, y = rows.X[window.rows][counted], rows.y[window.rows][counted]
    if policy.always or (changed and not policy.cut):
        return weighted_information(X, y, y, 1.0, age_weights(counted, GAMMA))
    return information(X, y, y, 1.0)


def _errors(rows: Design, start: int, theta: Floats) -> tuple[Floats, Floats]:
    ahead = slice(start, start + STEP)
    return rows.y[ahead] - predict(rows.X[ahead], theta), rows.y[ahead] - rows.y[start - 7 : start + STEP - 7]


class _Watch:
    """A node's detector over the rounds, and the change that it believes in."""

    def __init__(self, policy: Policy, start: int) -> None:
        self.since: int | None = None
        self._rule = policy.rule
        self._monitor = DriftMonitor(policy.rule or DriftRule())
        self._start = start

    def see(self, errors: Floats) -> None:
        """Take the errors of the days of a round in."""
        if self._rule is None:
            return
        for error in errors:
            self._monitor, _ = self._monitor.update(float(error))

    def believe(self, since: int) -> None:
        """Take it from the federation that something changed at `since`, unless a later change is known."""
        self.since = since if self.since is None else max(self.since, since)

    def at_round(self, start: int) -> tuple[int, int] | None:
        """Return the rows of alarm and change if there was an alarm, and watch the next forecaster afresh."""
        status = self._monitor.status
        if status.since is None or status.at is None:
            return None
        found = (self._start + status.at, self._start + status.since)
        self.since = found[1]
        self._monitor, self._start = DriftMonitor(self._monitor.rule), start
        return found
