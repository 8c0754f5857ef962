"""The same attacks on two ways to federate that check nothing: plain FedAvg and a quality-weighted median.

Rules:
- what a hostile node sends is the same lie about coefficients, or what the same poisoned rows lead to; an
  inflated claim multiplies the number of rows that FedAvg weighs by, and the quality that the median does;
- in FedAvg it lies in every round; the server takes the mean of what it is sent, and the nodes go on from it;
- a method that leaves the finite numbers has an error of INFINITE times the one without attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from ledgerfed.evaluation.attack_study.catalogue import Play
from ledgerfed.evaluation.attack_study.nodes import Federation, load
from ledgerfed.evaluation.methods.averaging import (
    ROUNDS,
    best_steps,
    local_maps,
    own_units,
    weighted_medians,
)
from ledgerfed.evaluation.methods.result import Trained
from ledgerfed.series.arrays import Floats

INFINITE: Final = 1e6
FEDAVG: Final = "FedAvg"
MEDIAN: Final = "median"


def fedavg_mse(
    federation: Federation,
    honest: tuple[int, ...],
    ring: tuple[int, ...] = (),
    attack: Play | None = None,
    rounds: int = ROUNDS,
) -> Floats:
    """Return the test MSE of FedAvg's last parameters for each honest node, float64 [honest]."""
    nodes = _poisoned(federation, ring, attack)
    rows = [node.rows for node in nodes]
    factor, offset = local_maps(rows, _steps(federation.scenario.name))
    counts = np.array([float(len(y)) for _, y in rows])
    if attack:
        counts[list(ring)] *= attack.claim
    share, theta = counts / counts.sum(), np.zeros(offset.shape[1])
    rng = np.random.default_rng(len(ring))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(rounds):
            sent = factor @ theta + offset
            theta = share @ _told(sent, honest, ring, attack, rng)
            if not np.isfinite(theta).all():
                return np.full(len(honest), np.inf)
        return np.array([_mse(federation.nodes[i], theta) for i in honest])


def median_mse(
    federation: Federation,
    honest: tuple[int, ...],
    ring: tuple[int, ...] = (),
    attack: Play | None = None,
) -> Floats:
    """Return the test MSE of the quality-weighted median for each honest node, float64 [honest]."""
    views = [own_units(node) for node in _poisoned(federation, ring, attack)]
    quality = np.array([1.0 / view.s2 for view in views])
    if attack:
        quality[list(ring)] *= attack.claim
    sent = np.array([view.theta for view in views])
    theta = weighted_medians(_told(sent, honest, ring, attack, np.random.default_rng(len(ring))), quality)
    found = []
    for index in honest:
        X, y = federation.nodes[index].participant.answers
        found.append(float(np.mean((y - views[index].forecast(X, theta)) ** 2)))
    return np.array(found)


def comparable(attack: Play) -> bool:
    """Return whether the attack makes sense for these methods."""
    return attack.lie is not None or attack.spoil is not None


def growth(attacked: Floats, reference: Floats) -> float:
    """Return the geometric mean of the ratios of two lists of MSE, at most INFINITE."""
    with np.errstate(over="ignore", invalid="ignore"):
        ratios = np.nan_to_num(attacked / reference, nan=INFINITE, posinf=INFINITE)
    return float(np.exp(np.mean(np.log(np.minimum(ratios, INFINITE)))))


@lru_cache(maxsize=4)
def _steps(name: str) -> int:
    """Return how many local steps the nodes agreed on when nobody attacked."""
    return best_steps([node.rows for node in load(name).nodes])


def _poisoned(federation: Federation, ring: Sequence[int], attack: Play | None) -> list[Trained]:
    nodes = list(federation.nodes)
    if attack and attack.spoil:
        for index in ring:
            part = nodes[index].participant
            y = attack.spoil(part.train.y)
            nodes[index] = replace(nodes[index], participant=replace(part, train=replace(part.train, y=y)))
    return nodes


def _told(
    sent: Floats,
    honest: tuple[int, ...],
    ring: tuple[int, ...],
    attack: Play | None,
    rng: np.random.Generator,
) -> Floats:
    if attack is None or attack.lie is None:
        return sent
    said, true = sent.copy(), sent[list(honest)]
    for index in ring:
        said[index] = attack.lie(sent[index], true, rng)
    return said


def _mse(node: Trained, theta: Floats) -> float:
    X, y = node.participant.answers
    return float(np.mean((y - X @ theta) ** 2))
