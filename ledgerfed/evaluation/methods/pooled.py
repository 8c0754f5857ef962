"""What a trusted server would do with everybody's rows: the reference, not an option."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.evaluation.methods.result import Result, Trained, linear_prediction
from ledgerfed.series.arrays import Floats


def centralized(nodes: Sequence[Trained], _: int) -> Result:
    """Least squares on the standardised training rows of all nodes together."""
    theta = pooled_least_squares(nodes)
    return Result(tuple(linear_prediction(node, theta) for node in nodes))


def pooled_least_squares(
    nodes: Sequence[Trained], weights: Sequence[float] | None = None, ridge: float = 0.0
) -> Floats:
    """Return pooled least squares, float64 [d].

    `weights` multiply each node's squared errors; `ridge` is the precision of a prior about zero.
    """
    factors = np.sqrt(np.ones(len(nodes)) if weights is None else np.asarray(weights))
    samples = [node.rows for node in nodes]
    d = samples[0][0].shape[1]
    prior = np.sqrt(ridge) * np.eye(d)
    X = np.concatenate([*(f * X for f, (X, _) in zip(factors, samples, strict=True)), prior])
    y = np.concatenate([*(f * y for f, (_, y) in zip(factors, samples, strict=True)), np.zeros(d)])
    return np.asarray(np.linalg.lstsq(X, y)[0], dtype=np.float64)
