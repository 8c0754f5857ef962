"""Averages of parameters, as others do it: the baselines that this federation should beat.

All of them exchange coefficients on the basis. Only federated averaging demands that every node fits the same
architecture; the other two take a native model by what it predicts (`Trained.information`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ledgerfed.evaluation.methods.pooled import rounds_to_centralized
from ledgerfed.evaluation.methods.result import Result, Trained, linear_prediction
from ledgerfed.series.arrays import Floats

LOCAL_STEPS: Final = 10
ROUNDS: Final = 500
NUMBER: Final = 8
"""Bytes of a coefficient as these methods send it, a double."""


def federated_averaging(nodes: Sequence[Trained], _: int) -> Result:
    """FedAvg (McMahan et al. 2017, arXiv 1602.05629): local gradient steps, means weighted by rows.

    ROUNDS rounds of `averages`, whose last parameters themselves forecast. Note: `rounds_to_centralized`.
    """
    thetas = averages(nodes, ROUNDS)
    cost = ROUNDS * NUMBER * thetas.shape[1]
    predictions = tuple(linear_prediction(node, thetas[-1]) for node in nodes)
    arrived = rounds_to_centralized(nodes, thetas)
    return Result(predictions, ROUNDS, cost, cost, notes={"rounds_to_centralized": float(arrived)})


def averages(nodes: Sequence[Trained], rounds: int) -> Floats:
    """Return the averaged parameters after each round from zero, float64 [rounds, d].

    Full batches, LOCAL_STEPS steps a round of size 1 / L with the largest curvature L of any node.
    """
    grams, moments, counts = _quadratics(nodes)
    step = 1.0 / float(np.linalg.eigvalsh(grams)[:, -1].max())
    thetas = np.zeros((rounds + 1, grams.shape[1]))
    for number in range(rounds):
        local = np.tile(thetas[number], (len(nodes), 1))
        for _ in range(LOCAL_STEPS):
            local = local - step * (np.einsum("kij,kj->ki", grams, local) - moments)
        thetas[number + 1] = counts @ local / counts.sum()
    return thetas[1:]


def quality_weighted_median(nodes: Sequence[Trained], _: int) -> Result:
    """The median of each coefficient, nodes weighted by the inverse of their own training error."""
    thetas = np.array([node.information.theta() for node in nodes])
    quality = np.array([1.0 / node.information.s2 for node in nodes])
    theta = np.array([_weighted_median(column, quality) for column in thetas.T])
    return _one_round(nodes, theta)


def scalar_weighted(nodes: Sequence[Trained], _: int) -> Result:
    """The mean of coefficients weighted by n / s²: DARIMA as released (Wang et al. 2022, simplified reducer).

    The full method weighs with precision matrices; its public code sends identity-shaped ones.
    """
    thetas = np.array([node.information.theta() for node in nodes])
    weights = np.array([node.information.n / node.information.s2 for node in nodes])
    return _one_round(nodes, weights @ thetas / weights.sum())


def _one_round(nodes: Sequence[Trained], theta: Floats) -> Result:
    predictions = tuple(linear_prediction(node, theta) for node in nodes)
    return Result(predictions, 1, NUMBER * (len(theta) + 2), NUMBER * len(theta))


def _quadratics(nodes: Sequence[Trained]) -> tuple[Floats, Floats, Floats]:
    rows = [node.rows for node in nodes]
    grams = np.array([X.T @ X / len(y) for X, y in rows])
    moments = np.array([X.T @ y / len(y) for X, y in rows])
    return grams, moments, np.array([float(len(y)) for _, y in rows])


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
