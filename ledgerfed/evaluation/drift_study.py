"""What forgetting and detecting are worth when the world changes: 20 stations, a break on known days.

    python -m ledgerfed.evaluation.drift_study [--json]

Each line is the geometric mean over the changed nodes and six break days in 2005 to 2012, all of them years
before the default hold-out. `before` and the rounds are RMSE / RMSE of the seasonal naive; `settled` is what
the same federation reaches when the world was always as it is after the break. A second table holds the
detectors against simulated changes (`evaluation.drift_detectors`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from ledgerfed.datasets import load_transit
from ledgerfed.evaluation import drift_detectors
from ledgerfed.evaluation.drift_scenario import AFTER, BEFORE, BREAKS, STEP, Played, Policy, play, stations
from ledgerfed.series import DriftRule
from ledgerfed.series.arrays import Floats

DAYS: Final = (1800, 2300, 2800, 3300, 3800, 4300)
"""Rows of the break: 500 days apart, so that they fall into different seasons."""
CLOSE: Final = 1.05
SHOWN: Final = 8
"""Rounds after the break that the text shows."""
NOTICED: Final = 90
"""Days after the break within which an alarm counts as its detection."""
NONE: Final = Policy("no reaction")
POLICIES: Final = (
    NONE,
    Policy("forget always", always=True),
    Policy("ADWIN", DriftRule(cusum=None)),
    Policy("ADWIN, flag", DriftRule(cusum=None), flag=True),
    Policy("either, cut", DriftRule(), cut=True),
    Policy("either", DriftRule()),
    Policy("either, flag", DriftRule(), flag=True),
)
SETTLED: Final = "settled"


@dataclass(frozen=True, slots=True)
class Reaction:
    """One policy under one break.

    `before` and `rounds` are RMSE / naive; `excess` is RMSE / that of the settled federation, by round from
    the break on. `recovered` counts the rounds until the ratio is within 5 % of the level before the break
    and the round after it too, `settled` the same for the excess; None: not in the rounds played.

    `false_alarms` per node and year before the break, `false_flags` rounds flagged there per federation and
    year; `noticed` is the share of the changed nodes that fired within 90 days, `delay` the median of their
    days, `flags` the median rounds to the first flag, `flagged` the share of break days that came to one.
    """

    kind: str
    changed: int
    policy: str
    before: float
    rounds: tuple[float, ...]
    excess: tuple[float, ...]
    recovered: int | None
    settled: int | None
    false_alarms: float | None = None
    false_flags: float | None = None
    noticed: float | None = None
    delay: float | None = None
    flags: float | None = None
    flagged: float | None = None


def study(
    kinds: Sequence[str] = tuple(BREAKS),
    days: Sequence[int] = DAYS,
    policies: Sequence[Policy] = POLICIES,
) -> tuple[Reaction, ...]:
    """Return the reactions for breaks at all and at half of the stations, the settled federation first.

    The first of `policies` gives the level before the break that all are held to.
    """
    count = len(load_transit())
    reactions: list[Reaction] = []
    for kind in kinds:
        for changed in (tuple(range(count)), tuple(range(0, count, 2))):
            reactions += _reactions(kind, changed, days, policies)
    return tuple(reactions)


def _reactions(
    kind: str, changed: Sequence[int], days: Sequence[int], policies: Sequence[Policy]
) -> list[Reaction]:
    settled = [play(stations(kind, changed, 0, day), day, NONE) for day in days]
    worlds = [stations(kind, changed, day, day) for day in days]
    level: float | None = None
    reactions: list[Reaction] = []
    for policy in policies:
        played = [play(world, day, policy) for world, day in zip(worlds, days, strict=True)]
        ratios = _curve(played, [p.naive for p in played], changed)
        level = float(np.exp(np.log(ratios[:BEFORE]).mean())) if level is None else level
        excess = _curve(played, [p.forecast for p in settled], changed)[BEFORE:]
        if not reactions:
            reactions.append(_settled(kind, changed, settled, [p.naive for p in played], level))
        reactions.append(
            Reaction(
                kind,
                len(changed),
                policy.name,
                float(np.exp(np.log(ratios[:BEFORE]).mean())),
                tuple(float(v) for v in ratios[BEFORE:]),
                tuple(float(v) for v in excess),
                _until_close(ratios[BEFORE:] / level),
                _until_close(excess),
                **(_alarms(played, changed) if policy.rule else {}),
            )
        )
    return reactions


def _settled(
    kind: str, changed: Sequence[int], played: Sequence[Played], naive: Sequence[Floats], level: float
) -> Reaction:
    ratios = _curve(played, naive, changed)[BEFORE:]
    rounds, ones = tuple(float(v) for v in ratios), (1.0,) * AFTER
    return Reaction(kind, len(changed), SETTLED, level, rounds, ones, _until_close(ratios / level), 0)


def _curve(played: Sequence[Played], reference: Sequence[Floats], changed: Sequence[int]) -> Floats:
    """Return the geometric mean of RMSE / reference over break days and changed nodes, float64 [rounds]."""
    logs = [
        np.log(p.forecast[:, changed] / r[:, changed]).mean(axis=1)
        for p, r in zip(played, reference, strict=True)
    ]
    return np.asarray(np.exp(np.mean(logs, axis=0)), dtype=np.float64)


def _until_close(levels: Floats) -> int | None:
    close = levels <= CLOSE
    both = np.flatnonzero(close[:-1] & close[1:])
    return int(both[0]) if both.size else None


def _alarms(played: Sequence[Played], changed: Sequence[int]) -> dict[str, float | None]:
    years = len(played) * BEFORE * STEP / 365
    false = sum(at < 0 for p in played for _, at, _ in p.alarms)
    delays = [
        min(hits)
        for p in played
        for node in changed
        if (hits := [at for i, at, _ in p.alarms if i == node and 0 <= at < NOTICED])
    ]
    # an alarm is reported at the round after it, so round 0 still speaks of the days before the break
    first = [min(rounds) for p in played if (rounds := [r for r in p.flagged() if 0 < r <= NOTICED // STEP])]
    return {
        "false_alarms": false / (years * played[0].forecast.shape[1]),
        "false_flags": sum(r <= 0 for p in played for r in p.flagged()) / years,
        "noticed": len(delays) / (len(played) * len(changed)),
        "delay": float(np.median(delays)) if delays else None,
        "flags": float(np.median(first)) if first else None,
        "flagged": len(first) / len(played),
    }


def report(reactions: Sequence[Reaction]) -> str:
    """Return the reactions as text."""
    rounds = "".join(f"{f'+{r}':>6}" for r in range(SHOWN))
    lines = [
        f"{'break':6}{'nodes':>6}  {'policy':15}{'before':>7}{rounds}{'recov.':>7}{'settl.':>7}{'excess':>7}"
        f"{'false':>7}{'flags':>6}{'fired':>6}{'delay':>6}{'flag':>6}{'share':>6}"
    ]
    for r in reactions:
        ratios = "".join(f"{value:6.2f}" for value in r.rounds[:SHOWN])
        mean = float(np.exp(np.mean(np.log(r.excess[1:7]))))
        lines.append(
            f"{r.kind:6}{r.changed:6}  {r.policy:15}{r.before:7.3f}{ratios}{_or_dash(r.recovered, 7, 0)}"
            f"{_or_dash(r.settled, 7, 0)}{mean:7.2f}{_or_dash(r.false_alarms, 7, 2)}"
            f"{_or_dash(r.false_flags, 6, 2)}{_or_dash(r.noticed, 6, 2)}{_or_dash(r.delay, 6, 0)}"
            f"{_or_dash(r.flags, 6, 0)}{_or_dash(r.flagged, 6, 2)}"
        )
    return "\n".join([*lines, "", *LEGEND]) + "\n"


LEGEND: Final = (
    f"before, +0, +1 ...: RMSE / naive, {BEFORE} rounds before the break and rounds of {STEP} days after it",
    "recov., settl.: rounds until within 5 % of the level before, of the settled federation, for two rounds",
    "excess: RMSE / settled, geometric mean of rounds +1 to +6",
    "false, flags: alarms per node and year, flagged rounds per year, before the break",
    f"fired, delay: share of changed nodes that fired within {NOTICED} days, median days until they did",
    "flag, share: median rounds to the federation's flag, share of break days that came to it",
)


def _or_dash(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.drift_study")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    reactions, detectors = study(), drift_detectors.detections()
    if options.json:
        document = {
            "reactions": [asdict(r) for r in reactions],
            "detectors": [asdict(d) for d in detectors],
        }
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
        return 0
    sys.stdout.write(report(reactions) + "\n" + drift_detectors.report(detectors))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
