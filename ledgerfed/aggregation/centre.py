"""Distances to a weighted centre, from the distances between the updates alone.

With z = sum_j w_j x_j / W and W = sum_j w_j,  ||x_i - z||^2 = (D w)_i / W - w'D w / (2 W^2),  where D holds
the squared distances. Taken times 2 W^2 this is an integer, exact, and free of the offset that all updates
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np

from ledgerfed.aggregation.gram import Limbs
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.ties import smallest
from ledgerfed.aggregation.weights import WEIGHT_BITS, WEIGHT_ONE


def squared_radii(distances: Limbs, weights: Sequence[int]) -> list[int]:
    """Return 2 W^2 ||x_i - z||^2 for every update, exact."""
    products = distances.times(weights)
    total = sum(weights)
    spread = sum(weight * product for weight, product in zip(weights, products, strict=True))
    # Rounding of a coarsened Gram matrix may leave a distance of zero a little below it.
    return [max(0, 2 * total * product - spread) for product in products]


def root_ratio(numerator: int, denominator: int) -> int:
    """Return floor(2^32 sqrt(numerator / denominator)), at most 2^32."""
    return WEIGHT_ONE if numerator >= denominator else isqrt((numerator << 2 * WEIGHT_BITS) // denominator)


def medoid(distances: Integers, count: int, ranks: Sequence[int]) -> int:
    """Return the centre of the tightest ball of `count` updates, itself counted; equal ones by rank."""
    reach = np.partition(distances, count - 1, axis=1)[:, count - 1]
    return smallest(reach.tolist(), ranks, 1)[0]


def ball(distances: Integers, count: int, ranks: Sequence[int]) -> list[int]:
    """Return the `count` updates nearest to the medoid, itself first, equal ones by rank.

    All of them lie within the smallest radius that holds `count` updates about one of them, which for
    count <= n - f is at most the diameter of the honest ones.
    """
    middle = medoid(distances, count, ranks)
    others = [-1 if i == middle else d for i, d in enumerate(distances[middle].tolist())]
    return smallest(others, ranks, count)
