"""Krum and Multi-Krum: the updates with the nearest neighbours (Blanchard et al., NeurIPS 2017).

The score of an update is the sum of its squared distances to its n - f - 1 nearest others. The paper and
Flower take n - f - 2 of them; this is what byzfl takes, and it tells more apart when n is small. Breakdown
1/2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.aggregation.gram import LIMB_BITS, LIMB_MASK, squared_distances
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.ties import smallest
from ledgerfed.aggregation.weights import Weights, even


def krum(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:
    """Return all weight to the update with the smallest score; equal scores by rank."""
    return even(len(gram), smallest(scores(gram, hostile), ranks, 1))


def multi_krum(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:
    """Return equal weights to the n - f updates with the smallest scores; equal scores by rank."""
    n = len(gram)
    return even(n, smallest(scores(gram, hostile), ranks, n - hostile))


def scores(gram: Integers, hostile: int) -> list[int]:
    """Return every update's sum of squared distances to its n - f - 1 nearest others.

    The distance to itself is zero, the smallest of its row, so it may stay among the n - f. A distance is at
    most 2^54: int64 holds 511 of them, so halves of 28 bits are summed apart.
    """
    kept = len(gram) - hostile
    nearest = np.partition(squared_distances(gram), kept - 1, axis=1)[:, :kept]
    high, low = (nearest >> LIMB_BITS).sum(axis=1), (nearest & LIMB_MASK).sum(axis=1)
    return [(h << LIMB_BITS) + v for h, v in zip(high.tolist(), low.tolist(), strict=True)]
