"""The geometric median: the point with the smallest sum of distances to the updates, breakdown 1/2.

Weiszfeld's steps (Tohoku Math. J. 43, 1937) on weights, in Gram space: w_i = 1 / ||x_i - z||. Rules:
- the start is the mean of the n - f updates nearest to the medoid, so that no update sends the first step
  away;
- a distance below one step of the grid counts as one step (a centre may fall on an update);
- weights are floor(2^32 r_min / r_i), the largest is 2^32; their map is the same in every step, so where it
  returns what it was given the remaining ones change nothing, and are not made;
- at most STEPS steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from ledgerfed.aggregation.centre import ball, squared_radii
from ledgerfed.aggregation.gram import split, squared_distances
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.weights import WEIGHT_BITS, WEIGHT_ONE, Weights, even

STEPS = 128


def geometric_median(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:
    """Return the weights of the geometric median of the updates."""
    n = len(gram)
    distances = squared_distances(gram)
    limbs = split(distances)
    weights = even(n, ball(distances, n - hostile, ranks))
    for _ in range(STEPS):
        radii = squared_radii(limbs, weights)
        nearest = max(min(radii), 2 * sum(weights) ** 2)
        scaled = nearest << 2 * WEIGHT_BITS
        following = tuple(WEIGHT_ONE if r <= nearest else isqrt(scaled // r) for r in radii)
        if following == weights:
            break
        weights = following
    return weights
