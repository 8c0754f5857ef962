"""Forecasting alone: the naive forecast, the node's own model, and its own regressions on the basis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ledgerfed.evaluation.methods.result import Prediction, Result, Trained, linear_prediction
from ledgerfed.series.arrays import Floats

PENALTIES: Final = np.logspace(-3, 3, 25)
"""The ridge penalties that a node chooses from, in standardised units."""


def naive(nodes: Sequence[Trained], _: int) -> Result:
    """The last value, or that of a season ago; its spread is that of the same error in training."""
    return Result(tuple(_naive(node) for node in nodes))


def own_model(nodes: Sequence[Trained], _: int) -> Result:
    """The node's native model with the parameters as fitted; its filter runs on through the test rows."""
    return Result(tuple(_native(node) for node in nodes), fit_seconds=_mean_fit(nodes))


def own_regression(nodes: Sequence[Trained], _: int) -> Result:
    """Least squares on every column of the basis (minimum norm where rows are too few)."""
    return Result(tuple(_least_squares(node) for node in nodes), fit_seconds=_mean_fit(nodes))


def own_ridge(nodes: Sequence[Trained], _: int) -> Result:
    """Ridge regression on the basis; the penalty with the smallest leave-one-out error on training rows.

    Golub, Heath & Wahba, Technometrics 21, 1979 (the closed form of leaving one out).
    """
    return Result(tuple(_ridge(node) for node in nodes))


def ridge(X: Floats, y: Floats) -> tuple[Floats, float]:
    """Return ridge coefficients, float64 [d], and the effective degrees of freedom they use."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    turned = U.T @ y
    kept = s * s / (s * s + PENALTIES[:, None])
    theta = (kept / np.maximum(s, np.finfo(float).tiny) * turned) @ Vt
    left_out = (y - theta @ X.T) / np.maximum(1 - kept @ (U * U).T, 1e-2)
    best = int(np.argmin((left_out * left_out).sum(axis=1)))
    return np.asarray(theta[best], dtype=np.float64), float(kept[best].sum())


def _naive(node: Trained) -> Prediction:
    p = node.participant
    return Prediction(p.naive, np.full(len(p.naive), p.naive_spread))


def _native(node: Trained) -> Prediction:
    p = node.participant
    mean = node.fitted.one_step(p.through)[p.test]
    _, y = node.rows
    error = y - node.predictions
    free = max(len(y) - len(node.fitted.parameters), 1)
    return Prediction(mean, np.full(len(mean), np.sqrt(float(error @ error) / free)))


def _least_squares(node: Trained) -> Prediction:
    X, y = node.rows
    theta, _, rank, _ = np.linalg.lstsq(X, y)
    return linear_prediction(node, np.asarray(theta, dtype=np.float64), float(rank))


def _ridge(node: Trained) -> Prediction:
    return linear_prediction(node, *ridge(*node.rows))


def _mean_fit(nodes: Sequence[Trained]) -> float:
    return float(np.mean([node.fit_seconds for node in nodes]))
