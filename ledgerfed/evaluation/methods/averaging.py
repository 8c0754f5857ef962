"""Averages of parameters, as others do it: the baselines that this federation should beat.

All of them exchange coefficients on the basis. Only federated averaging demands that every node fits the same
architecture; the other two take a native model by what it predicts (`Trained.information`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ledgerfed.evaluation.methods.pooled import pooled_least_squares
from ledgerfed.evaluation.methods.result import Result, Trained, linear_prediction
from ledgerfed.series.arrays import Floats

LOCAL_STEPS: Final = 10
ROUNDS: Final = 500
CLOSE: Final = 1.01
"""A node has arrived when its error is within one per cent of the centralized model's."""
NUMBER: Final = 8
"""Bytes of a coefficient as these methods send it, a double."""


def federated_averaging(nodes: Sequence[Trained], _: int) -> Result:
    """FedAvg (McMahan et al. 2017, arXiv 1602.05629): local gradient steps, means weighted by rows.

    Full batches, LOCAL_STEPS steps a round of size 1 / L with the largest curvature L of any node, ROUNDS
    rounds; the averaged parameters themselves forecast. The note `rounds_to_centralized` is the first round
    after which every node's test error stays within CLOSE of the centralized model's, 0 if there is none.
    """
    grams, moments, counts = _quadratics(nodes)
    step = 1.0 / float(np.linalg.eigvalsh(grams)[:, -1].max())
    theta = np.zeros(grams.shape[1])
    reference = _errors(nodes, pooled_least_squares(nodes))
    arrived = 0
    for number in range(1, ROUNDS + 1):
        local = np.tile(theta, (len(nodes), 1))
        for _ in range(LOCAL_STEPS):
            local = local - step * (np.einsum("kij,kj->ki", grams, local) - moments)
        theta = counts @ local / counts.sum()
        close = bool((_errors(nodes, theta) <= CLOSE * reference).all())
        arrived = (arrived or number) if close else 0
    cost = ROUNDS * NUMBER * len(theta)
    predictions = tuple(linear_prediction(node, theta) for node in nodes)
    return Result(predictions, ROUNDS, cost, cost, notes={"rounds_to_centralized": float(arrived)})


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


def _errors(nodes: Sequence[Trained], theta: Floats) -> Floats:
    answers = [node.participant.answers for node in nodes]
    return np.array([np.sqrt(np.mean((y - X @ theta) ** 2)) for X, y in answers])


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
