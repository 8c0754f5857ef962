"""Nearest-neighbour mixing, a step before a rule (Allouah et al., "Fixing by mixing", AISTATS 2023).

Every update is replaced by the mean of its n - f nearest, itself among them. It makes heterogeneous updates
agree; it is a choice, not a free gain: before a trimmed mean it raises the worst error that can be found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.aggregation.gram import squared_distances
from ledgerfed.aggregation.grid import Integers


def nearest_neighbour_mixing(gram: Integers, hostile: int, ranks: Sequence[int]) -> Integers:
    """Return the 0/1 matrix M, int64 [n, n]: row i marks the n - f updates nearest to i, itself first.

    Equal distances by rank. The mixed updates are M @ values / (n - f).
    """
    kept = len(gram) - hostile
    by_rank = np.argsort(np.array(ranks, np.int64))
    distances = squared_distances(gram)
    np.fill_diagonal(distances, -1)
    distances = distances[:, by_rank]
    furthest = np.partition(distances, kept - 1, axis=1)[:, kept - 1 : kept]
    nearer, level = distances < furthest, distances == furthest
    room = kept - nearer.sum(axis=1, keepdims=True)
    mixing = np.empty(distances.shape, np.int64)
    mixing[:, by_rank] = nearer | (level & (np.cumsum(level, axis=1) <= room))
    return mixing
