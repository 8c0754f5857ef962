"""What to do with a fused autoregression that explodes: leave it, contract its roots, or clip its partial
autocorrelations.

    python -m ledgerfed.evaluation.stability_study [--trials 2000]

Federations of short series whose truth has a root just inside the unit circle; those whose exact solution has
one outside are forecast 1, 14 and 56 steps ahead by each remedy. Nothing here is fitted to real data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.consensus.stability import is_stable, stabilise
from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.exchange import information
from ledgerfed.fusion import fuse
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.score import ONE
from ledgerfed.series.arrays import Floats

HORIZONS: Final = (1, 14, 56)
SCALE: Final = 40
CLIP: Final = 0.999
TEST: Final = 4000
SEED: Final = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """Federations of `nodes` series of `rows` values; the root near one is of the `season`."""

    name: str
    lags: tuple[int, ...]
    nodes: int
    rows: int
    season: int


SETTINGS: Final = (
    Setting("lags 1..4, one node, 30 rows", (1, 2, 3, 4), 1, 30, 1),
    Setting("lags 1..4, 4 nodes, 40 rows", (1, 2, 3, 4), 4, 40, 1),
    Setting("lags 1..7 and 14, one node, 50 rows", (1, 2, 3, 4, 5, 6, 7, 14), 1, 50, 7),
    Setting("lags 1..7 and 14, 4 nodes, 60 rows", (1, 2, 3, 4, 5, 6, 7, 14), 4, 60, 7),
)


def contracted(theta: Floats, lags: tuple[int, ...]) -> Floats:
    """Return what the exact wing makes of the coefficients, float64 [p]."""
    integers = FixedVector(tuple(round(float(value) * 2**SCALE) for value in theta), SCALE)
    values = stabilise(integers, lags, ONE)[0].values
    return np.array([value * 2.0**-SCALE for value in values])


def clipped(theta: Floats, lags: tuple[int, ...]) -> Floats:
    """Return the coefficients with partial autocorrelations in [-CLIP, CLIP], float64 [p]; lags 1..p only."""
    ahead = theta[: len(lags)].copy()
    reflections = []
    while len(ahead):
        k = float(ahead[-1])
        reflections.append(k)
        ahead = (ahead[:-1] + k * ahead[:-1][::-1]) / (1 - k * k)
    stepped = np.zeros(0)
    for k in np.clip(reflections[::-1], -CLIP, CLIP):
        stepped = np.append(stepped - k * stepped[::-1], k)
    return np.concatenate([stepped, theta[len(lags) :]])


Remedy = Callable[[Floats, tuple[int, ...]], Floats]
REMEDIES: Final[Mapping[str, Remedy]] = {
    "as solved": lambda theta, _: theta,
    "contracted": contracted,
    "clipped": clipped,
}


def study(setting: Setting, trials: int) -> tuple[int, dict[str, tuple[list[float], float]]]:
    """Return how many solutions exploded, and by remedy RMSE over that of the truth: the geometric mean by
    horizon, and the worst at the last one."""
    rng = np.random.default_rng(SEED)
    remedies = {n: r for n, r in REMEDIES.items() if n != "clipped" or setting.lags[-1] == len(setting.lags)}
    found: dict[str, list[list[float]]] = {name: [] for name in remedies}
    for _ in range(trials):
        truth = _truth(setting, rng)
        theta = _fused(setting, truth, rng)
        integers = [round(float(value) * 2**SCALE) for value in theta[:-1]]
        if is_stable(integers, SCALE, setting.lags, ONE):
            continue
        test = _series(truth, TEST, rng)
        best = _errors(truth, 0.0, test)
        for name, remedy in remedies.items():
            changed = remedy(theta, setting.lags)
            errors = _errors(_dense(changed[:-1], setting.lags), float(changed[-1]), test)
            found[name].append([e / b for e, b in zip(errors, best, strict=True)])
    exploded = len(found["as solved"])
    return exploded, {name: _summary(rows) for name, rows in found.items() if rows}


def _summary(rows: Sequence[Sequence[float]]) -> tuple[list[float], float]:
    columns = list(zip(*rows, strict=True))
    return [geometric_mean(list(column)) for column in columns], max(columns[-1])


def _truth(setting: Setting, rng: np.random.Generator) -> Floats:
    """Return dense coefficients with one root, or one of each season, just inside the unit circle."""
    short = np.array([1.0])
    for k in rng.uniform(-0.4, 0.4, setting.lags[-1] - setting.season if setting.season == 1 else 1):
        short = np.convolve(short, [1.0, -k])
    near = np.zeros(setting.season + 1)
    near[0], near[-1] = 1.0, -rng.uniform(0.97, 0.999)
    return -np.convolve(short, near)[1:]


def _fused(setting: Setting, truth: Floats, rng: np.random.Generator) -> Floats:
    infos = []
    for _ in range(setting.nodes):
        y = _series(truth, setting.rows, rng)
        reach = setting.lags[-1]
        columns = [y[reach - lag : len(y) - lag] for lag in setting.lags]
        X = np.column_stack([*columns, np.ones(len(y) - reach)])
        infos.append(information(X, y[reach:], y[reach:], 1.0))
    return fuse(infos, [1.0] * len(infos))[0]


def _series(truth: Floats, n: int, rng: np.random.Generator) -> Floats:
    from scipy.signal import lfilter

    shocks = rng.standard_normal(n + 2000)
    return np.asarray(lfilter([1.0], [1.0, *-truth], shocks)[2000:], dtype=np.float64)


def _dense(coefficients: Floats, lags: tuple[int, ...]) -> Floats:
    dense = np.zeros(lags[-1])
    dense[np.array(lags) - 1] = coefficients
    return dense


def _errors(dense: Floats, intercept: float, y: Floats) -> list[float]:
    """Return the RMSE of iterated forecasts at each of HORIZONS."""
    reach, last = len(dense), HORIZONS[-1]
    past = [y[reach - 1 - lag : len(y) - last - lag] for lag in range(reach)]
    errors = []
    for step in range(1, last + 1):
        ahead = np.add.reduce([a * x for a, x in zip(dense, past, strict=True)]) + intercept
        past = [ahead, *past[:-1]]
        if step in HORIZONS:
            target = y[reach - 1 + step : len(y) - last + step]
            errors.append(float(np.sqrt(np.mean((ahead - target) ** 2))))
    return errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ledgerfed.evaluation.stability_study", description=__doc__
    )
    parser.add_argument("--trials", type=int, default=2000)
    options = parser.parse_args(arguments)
    head = "".join(f"{f'h = {h}':>10}" for h in HORIZONS) + f"{'worst':>12}"
    for setting in SETTINGS:
        exploded, rows = study(setting, options.trials)
        sys.stdout.write(f"{setting.name}: {exploded} of {options.trials} explode\n{'':14}{head}\n")
        for name, (means, worst) in rows.items():
            values = "".join(f"{value:10.3f}" for value in means)
            sys.stdout.write(f"  {name:12}{values}{worst:12.1f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
