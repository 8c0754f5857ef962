"""The mean: equal weights. It stands no hostile update, and is what every robust rule is measured against."""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.weights import Weights, even


def mean(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:  # noqa: ARG001
    """Return weight one for every update."""
    return even(len(gram), range(len(gram)))
