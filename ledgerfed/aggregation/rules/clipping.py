"""Centered clipping (Karimireddy, He, Jaggi, ICML 2021), in Gram space.

The centre starts at the base model, which is the zero of the updates, and moves by the mean of the updates'
differences from it, none of them longer than the radius: z <- z + 1/n sum_i min(1, r / ||x_i - z||) (x_i -
z). The radius of a step is the lower median of the distances to the centre, so at least half of the updates
are taken whole and fewer than half hostile ones cannot choose it. Rules:
- the centre is a weighting of the updates and of the zero, with integer weights at 2^-32;
- STEPS steps; what is left of the zero's weight, at most 2^-STEPS, falls to the updates in proportion;
- a radius of zero (half of the updates are where the centre is) clips all others away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.aggregation.centre import root_ratio, squared_radii
from ledgerfed.aggregation.gram import split, squared_distances
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.weights import WEIGHT_ONE, Weights
from ledgerfed.protocol.fixedpoint import divide_half_even
from ledgerfed.protocol.score import lower_median

STEPS = 32


def centered_clipping(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:  # noqa: ARG001
    """Return the weights of the clipped centre; it depends on neither `hostile` nor `ranks`."""
    n = len(gram)
    limbs = split(squared_distances(np.pad(gram, ((0, 1), (0, 1)))))
    weights = [0] * n + [WEIGHT_ONE]
    for _ in range(STEPS):
        radii = squared_radii(limbs, weights)[:n]
        bound = lower_median(radii)
        taken = [root_ratio(bound, radius) for radius in radii]
        rest = n * WEIGHT_ONE - sum(taken)
        following = [
            divide_half_even(weight * rest + share * WEIGHT_ONE, n * WEIGHT_ONE)
            for weight, share in zip(weights, (*taken, 0), strict=True)
        ]
        if following == weights:
            break
        weights = following
    return tuple(weights[:n])
