"""Averages of parameters, as others do it: the baselines that this federation should beat.

All of them exchange coefficients on the basis. Only federated averaging demands that every node fits the
same architecture; the other two take a native model by what it predicts. A mean of coefficients depends on
the units that they are in: where a basis pins public ones, which suit sums of information, these two work in
each node's own units instead, which suit them better (`own_units`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.evaluation.methods.pooled import rounds_to_centralized
from ledgerfed.evaluation.methods.result import Prediction, Result, Trained, linear_prediction
from ledgerfed.exchange import information
from ledgerfed.series.arrays import Floats

LOCAL_STEPS: Final = (1, 10, 100)
"""How many local steps a round may have; the nodes take what forecasts the last TAIL of their rows best."""
TAIL: Final = 1 / 3
ROUNDS: Final = 500
NUMBER: Final = 8
"""Bytes of a coefficient as these methods send it, a double."""


def federated_averaging(nodes: Sequence[Trained], _: int) -> Result:
    """FedAvg (McMahan et al. 2017, arXiv 1602.05629): local gradient steps, means weighted by rows.

    ROUNDS rounds of `averages`, whose last parameters themselves forecast; the rounds that chose the number
    of local steps are not counted. Notes: `rounds_to_centralized`, `local_steps`.
    """
    rows = [node.rows for node in nodes]
    steps = best_steps(rows)
    thetas = averages(rows, ROUNDS, steps)
    cost = ROUNDS * NUMBER * thetas.shape[1]
    predictions = tuple(linear_prediction(node, thetas[-1]) for node in nodes)
    arrived = rounds_to_centralized(nodes, thetas)
    notes = {"rounds_to_centralized": float(arrived), "local_steps": float(steps)}
    return Result(predictions, ROUNDS, cost, cost, notes=notes)


def averages(rows: Sequence[tuple[Floats, Floats]], rounds: int, steps: int) -> Floats:
    """Return the averaged parameters after each round from zero, float64 [rounds, d].

    What every node makes of them is `local_maps`; the mean weighs nodes by their rows.
    """
    factor, offset = local_maps(rows, steps)
    counts = np.array([float(len(y)) for _, y in rows])
    share = counts / counts.sum()
    mean_factor, mean_offset = np.einsum("k,kij->ij", share, factor), share @ offset
    thetas = np.zeros((rounds + 1, offset.shape[1]))
    for number in range(rounds):
        thetas[number + 1] = mean_factor @ thetas[number] + mean_offset
    return thetas[1:]


def best_steps(rows: Sequence[tuple[Floats, Floats]]) -> int:
    """Return the number of LOCAL_STEPS that forecasts the last TAIL of everybody's rows best."""
    return min(LOCAL_STEPS, key=lambda number: _tail_loss(rows, number))


def local_maps(rows: Sequence[tuple[Floats, Floats]], steps: int) -> tuple[Floats, Floats]:
    """Return what local steps make of the parameters θ: F θ + o, float64 [nodes, d, d] and [nodes, d].

    Full batches X [n, d], y [n] of each node, `steps` of size 1 / L with the largest curvature L of any node.
    So many steps are one affine map, made once.
    """
    grams = np.array([X.T @ X / len(y) for X, y in rows])
    moments = np.array([X.T @ y / len(y) for X, y in rows])
    step = 1.0 / float(np.linalg.eigvalsh(grams)[:, -1].max())
    once = np.eye(grams.shape[1]) - step * grams
    factor, offset = np.tile(np.eye(grams.shape[1]), (len(rows), 1, 1)), np.zeros_like(moments)
    for _ in range(steps):
        factor, offset = once @ factor, np.einsum("kij,kj->ki", once, offset) + step * moments
    return factor, offset


def quality_weighted_median(nodes: Sequence[Trained], _: int) -> Result:
    """The median of each coefficient, nodes weighted by the inverse of their own training error."""
    views = [own_units(node) for node in nodes]
    quality = np.array([1.0 / view.s2 for view in views])
    thetas = np.array([view.theta for view in views])
    return _one_round(nodes, views, weighted_medians(thetas, quality))


def scalar_weighted(nodes: Sequence[Trained], _: int) -> Result:
    """The mean of coefficients weighted by n / s²: DARIMA as released (Wang et al. 2022, simplified reducer).

    The full method weighs with precision matrices; its public code sends identity-shaped ones.
    """
    views = [own_units(node) for node in nodes]
    weights = np.array([len(node.rows[1]) / view.s2 for node, view in zip(nodes, views, strict=True)])
    return _one_round(nodes, views, weights @ np.array([view.theta for view in views]) / weights.sum())


@dataclass(frozen=True, slots=True, eq=False)
class OwnUnits:
    """A node's coefficients in units of its own training rows: `theta` float64 [d], noise variance `s2`.

    A column x is (x - `centre`) / `scale` there, float64 [d] each; the target (y - `mean`) / `sd`. Channels
    keep the units of the basis: of one that hardly moved there are no units of its own.
    """

    theta: Floats
    s2: float
    centre: Floats
    scale: Floats
    mean: float
    sd: float

    def forecast(self, X: Floats, theta: Floats) -> Floats:
        """Return what coefficients in such units say about rows X [n, d] of the node, float64 [n]."""
        return np.asarray(self.mean + self.sd * ((X - self.centre) / self.scale @ theta))


def own_units(node: Trained) -> OwnUnits:
    """Return the node's regression in its own units, which are the basis' unless that pins public ones."""
    X, y = node.rows
    basis, d = node.participant.train.basis, X.shape[1]
    centre, scale, mean, sd = np.zeros(d), np.ones(d), 0.0, 1.0
    lags = len(basis.lags)
    if basis.scale or basis.centre is not None:
        mean, sd = float(y.mean()), float(y.std())
        centre[:lags], scale[:lags] = mean, sd
    response = node.exchange_weight * y + (1 - node.exchange_weight) * node.predictions
    told = information((X - centre) / scale, (y - mean) / sd, (response - mean) / sd, 0.0)
    return OwnUnits(told.theta(), told.s2, centre, scale, mean, sd)


def _tail_loss(rows: Sequence[tuple[Floats, Floats]], steps: int) -> float:
    cuts = [len(y) - round(TAIL * len(y)) for _, y in rows]
    theta = averages([(X[:cut], y[:cut]) for cut, (X, y) in zip(cuts, rows, strict=True)], ROUNDS, steps)[-1]
    return sum(
        float(np.mean((y[cut:] - X[cut:] @ theta) ** 2)) for cut, (X, y) in zip(cuts, rows, strict=True)
    )


def _one_round(nodes: Sequence[Trained], views: Sequence[OwnUnits], theta: Floats) -> Result:
    predictions = tuple(_prediction(node, view, theta) for node, view in zip(nodes, views, strict=True))
    return Result(predictions, 1, NUMBER * (len(theta) + 2), NUMBER * len(theta))


def _prediction(node: Trained, view: OwnUnits, theta: Floats) -> Prediction:
    X, y = node.rows
    sd = float(np.sqrt(np.mean((y - view.forecast(X, theta)) ** 2)))
    mean = view.forecast(node.participant.answers[0], theta)
    return Prediction(mean, np.full(len(mean), sd))


def weighted_medians(thetas: Floats, weights: Floats) -> Floats:
    """Return the weighted median of every coefficient, float64 [d]; thetas are float64 [nodes, d]."""
    return np.array([_weighted_median(column, weights) for column in thetas.T])


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
