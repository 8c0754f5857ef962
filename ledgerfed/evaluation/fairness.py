"""Who gains and who loses: the errors of all nodes against those of their own models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats

TOLERANCE: Final = 1.01
"""A node is no worse off when its error is at most one per cent above its own model's."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """Over nodes: share no worse off, worst and 90th percentile of the ratio to the own model, Gini, Jain.

    Gini and Jain are of the ratio; they are reported and never gated on, since they barely move.
    """

    no_worse: float
    worst: float
    p90: float
    gini: float
    jain: float


def fairness(ratios: Floats) -> Fairness:
    """Return the fairness of ratios of error to the own model's, float64 [nodes]; below 1 is a gain.

    Jain, Chiu & Hawe, DEC research report TR-301, 1984; Gini 1912.

    Raises:
        InvalidValueError: no ratios, or one is not positive.
    """
    if not ratios.size or not (ratios > 0).all():
        raise InvalidValueError(f"ratios of errors are positive, got {ratios.tolist()}")
    apart = np.abs(ratios[:, None] - ratios).mean()
    return Fairness(
        no_worse=float(np.mean(ratios <= TOLERANCE)),
        worst=float(ratios.max()),
        p90=float(np.quantile(ratios, 0.9)),
        gini=float(apart / (2 * ratios.mean())),
        jain=float(ratios.sum() ** 2 / (len(ratios) * (ratios**2).sum())),
    )
