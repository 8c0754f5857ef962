"""The drift detectors on simulated errors: false alarms, detections and delays.

An AR(2) of 3,000 steps with normal innovations; a forecaster fitted to the first 500 is watched from there
on; at step 1,500 nothing, the coefficients, the mean or the variance changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.series import DriftRule, DriftStatus, drift_status
from ledgerfed.series.arrays import Floats
from ledgerfed.series.cusum import ONE, CusumRule

STEPS: Final = 3000
CHANGE: Final = 1500
FITTED: Final = 500
RUNS: Final = 30
SEED: Final = 4
_BURN: Final = 200


@dataclass(frozen=True, slots=True)
class World:
    """x_t = mean + a₁ (x_{t-1} - mean) + a₂ (x_{t-2} - mean) + deviation · ε_t."""

    a1: float = 0.5
    a2: float = 0.2
    mean: float = 0.0
    deviation: float = 1.0


CHANGES: Final[Mapping[str, World]] = {
    "none": World(),
    "coefficients": World(a1=-0.2, a2=0.2),
    "mean": World(mean=2.0),
    "variance": World(deviation=1.5),
}
DETECTORS: Final[Mapping[str, DriftRule]] = {
    "ADWIN": DriftRule(cusum=None),
    "CUSUM calibrated": DriftRule(adwin=None),
    # what was guessed before calibration, k = 0.2 and h = 20 standard deviations of a squared normal error
    "CUSUM k=.2 h=20": DriftRule(
        adwin=None, cusum=CusumRule(round(20 * 2**0.5 * ONE), round(0.2 * 2**0.5 * ONE))
    ),
    "either": DriftRule(),
}


@dataclass(frozen=True, slots=True)
class Detections:
    """Of the runs: share with an alarm before the change, share detected after it, median delay in steps."""

    detector: str
    change: str
    false_alarms: float
    detected: float
    delay: float | None


def simulate(after: World, rng: np.random.Generator) -> Floats:
    """Return a series, float64 [STEPS], that is World() before CHANGE and `after` from there on."""
    noise = rng.standard_normal(_BURN + STEPS)
    x = np.zeros(_BURN + STEPS)
    for t in range(2, len(x)):
        world = after if t >= _BURN + CHANGE else World()
        pull = world.a1 * (x[t - 1] - world.mean) + world.a2 * (x[t - 2] - world.mean)
        x[t] = world.mean + pull + world.deviation * noise[t]
    return x[_BURN:]


def errors_of_forecaster(x: Floats) -> Floats:
    """Return the one-step errors from step FITTED on of least squares on the steps before, float64."""
    X = np.column_stack([x[1:-1], x[:-2], np.ones(len(x) - 2)])
    y = x[2:]
    theta = np.linalg.lstsq(X[: FITTED - 2], y[: FITTED - 2])[0]
    return np.asarray((y - X @ theta)[FITTED - 2 :], dtype=np.float64)


def detections(runs: int = RUNS, seed: int = SEED) -> tuple[Detections, ...]:
    """Return the table, a detector and a change a line; the same noise for every change."""
    found = []
    for change, after in CHANGES.items():
        errors = [
            errors_of_forecaster(simulate(after, np.random.default_rng([seed, run]))) for run in range(runs)
        ]
        for name, rule in DETECTORS.items():
            found.append(_count(name, change, [drift_status(e, rule) for e in errors]))
    return tuple(found)


def _count(detector: str, change: str, statuses: list[DriftStatus]) -> Detections:
    steps = [status.at + FITTED - CHANGE for status in statuses if status.at is not None]
    late = [step for step in steps if step >= 0]
    runs = len(statuses)
    delay = float(np.median(late)) if late else None
    return Detections(detector, change, (len(steps) - len(late)) / runs, len(late) / runs, delay)


def report(found: tuple[Detections, ...]) -> str:
    """Return the table as text."""
    lines = [f"{'change':14}{'detector':18}{'false alarms':>14}{'detected':>10}{'median delay':>14}"]
    lines += [
        f"{d.change:14}{d.detector:18}{d.false_alarms:14.2f}{d.detected:10.2f}"
        + (f"{d.delay:14.0f}" if d.delay is not None else f"{'-':>14}")
        for d in found
    ]
    return "\n".join(lines) + "\n"
