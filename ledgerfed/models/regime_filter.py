"""Two hidden regimes of a Markov chain: what the past says of the next regime, and what all values say.

Hamilton, Econometrica 57, 1989 (the filter); Kim, Journal of Econometrics 60, 1994 (the smoother). An
episode starts with even odds. The chain has two states, so a probability says all and plain floats run it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ledgerfed.series.arrays import Booleans, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Regimes:
    """Probabilities of the second regime at each row, float64 [T].

    `predicted` from the values before it, `filtered` from those up to it; `loglike` is that of all values.
    """

    predicted: Floats
    filtered: Floats
    loglike: float


def filter_regimes(logs: Floats, restarts: Booleans, stay: tuple[float, float]) -> Regimes:
    """Run the chain forward.

    Args:
        logs: log densities of the values in each regime, float64 [T, 2]; NaN where a value is missing.
        restarts: bool [T], true where an episode begins.
        stay: the probabilities of staying in either regime.
    """
    first, second = stay
    chance, total = 0.5, 0.0
    predicted, filtered = [], []
    for begins, (calm, other) in zip(restarts.tolist(), logs.tolist(), strict=True):
        chance = 0.5 if begins else chance * second + (1.0 - chance) * (1.0 - first)
        predicted.append(chance)
        if calm == calm:  # not NaN
            top = max(calm, other)
            a, b = (1.0 - chance) * math.exp(calm - top), chance * math.exp(other - top)
            chance = b / (a + b)
            total += top + math.log(a + b)
        filtered.append(chance)
    return Regimes(np.array(predicted), np.array(filtered), total)


def smooth_regimes(regimes: Regimes, restarts: Booleans, stay: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return what all values say: the second regime at each row [T], and expected transitions [2, 2].

    Entry i, j of the transitions counts the steps from regime i to j; none leads over a restart.
    """
    first, second = stay
    p, f, starts = regimes.predicted.tolist(), regimes.filtered.tolist(), restarts.tolist()
    smoothed = list(f)
    moves = [[0.0, 0.0], [0.0, 0.0]]
    for t in range(len(f) - 2, -1, -1):
        if starts[t + 1]:
            continue
        after = smoothed[t + 1]
        to_second, to_first = after / p[t + 1], (1.0 - after) / (1.0 - p[t + 1])
        moves[0][0] += (1.0 - f[t]) * first * to_first
        moves[0][1] += (1.0 - f[t]) * (1.0 - first) * to_second
        moves[1][0] += f[t] * (1.0 - second) * to_first
        moves[1][1] += f[t] * second * to_second
        smoothed[t] = f[t] * (second * to_second + (1.0 - second) * to_first)
    return np.array(smoothed), np.array(moves)
