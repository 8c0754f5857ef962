"""The redescending centre of `ledgerfed.aggregation.whitened`, for updates that only have a Gram matrix.

The start is the medoid with the smallest lower-median distance; then 8 reweighted steps with weight 1 up to
four times the lower median m of the squared distances D and (4 m / D)^2 beyond, so that the pull of an update
falls as it moves away (Hampel 1974, Yohai 1987). A squared distance below one step of the grid counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.aggregation.centre import medoid, squared_radii
from ledgerfed.aggregation.gram import split, squared_distances
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.weights import WEIGHT_ONE, Weights, even
from ledgerfed.protocol.score import lower_median

STEPS = 8
KNEE = 4


def redescending(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:  # noqa: ARG001
    """Return the weights of the redescending centre; it does not depend on `hostile`."""
    n = len(gram)
    distances = squared_distances(gram)
    limbs = split(distances)
    weights = even(n, [medoid(distances, (n + 1) // 2, ranks)])
    for _ in range(STEPS):
        radii = squared_radii(limbs, weights)
        knee = KNEE * max(2 * sum(weights) ** 2, lower_median(radii))
        weights = tuple(WEIGHT_ONE if r <= knee else WEIGHT_ONE * knee**2 // r**2 for r in radii)
    return weights
