"""Our rule: what a node's updates are worth to the others, round after round, decides its weight.

All integers, from the exact Gram matrix alone. Rules:
- the score of an update is the lower median, over all others, of the cosine between their update and it
  (Q16): to first order how much a step along it helps on their private data, per length. A node is not heard
  about itself, and liars below a half cannot move the median beyond what honest nodes say (as in V8);
- evidence a' = a - (a >> 2) + score, a memory of about four rounds;
- trust is full down to KNEE deviations below the lower median of all evidence and none from 2 KNEE on,
  linear between; the deviation is the lower median of absolute deviations, at least FLOOR;
- updates that point the same way share one vote: weight over 1 + the sum of the fourth powers of positive
  cosines to the others, so that a copy, a mimic or a ring that repeats itself gains nothing (as in V6, but
  without a threshold);
- an update longer than the lower median of lengths is scaled down to it.
It does not ask how many are hostile, only that fewer than half are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np

from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.grid import Integers, Stack, round_shift
from ledgerfed.aggregation.weights import combine
from ledgerfed.protocol.score import ONE, lower_median

MEMORY: Final = 2
"""Evidence forgets 2^-2 of itself in a round."""
KNEE: Final = 4
"""Deviations below the median down to which trust is full; none is left at twice as many."""
FLOOR: Final = ONE >> 8
"""The least deviation of evidence, so that near-equal scores single nobody out."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a round makes of its updates: `weights` at 2^-32, `evidence` afterwards, `scores` Q16."""

    weights: tuple[int, ...]
    evidence: tuple[int, ...]
    scores: tuple[int, ...]


def stand(products: Integers, before: Sequence[int | None]) -> Standing:
    """Return the standing of updates with Gram matrix `products`, int64 [n, n], n >= 2.

    `before` is the evidence of each node, None for one that was never scored.
    """
    rows = cosines(products)
    scores = tuple(lower_median(row[:i] + row[i + 1 :]) for i, row in enumerate(rows))
    evidence = tuple(
        score << MEMORY if old is None else old - (old >> MEMORY) + score
        for old, score in zip(before, scores, strict=True)
    )
    votes = [votes_of(row, i) for i, row in enumerate(rows)]
    weights = tuple(t * v for t, v in zip(trust(evidence), votes, strict=True))
    return Standing(weights, evidence, scores)


def cosines(products: Integers) -> list[list[int]]:
    """Return the cosines of all pairs in Q16, 0 where one is zero; rounded towards zero."""
    values = products.tolist()
    own = [values[i][i] for i in range(len(values))]
    found = [[ONE] * len(own) for _ in own]
    for i, row in enumerate(values):
        for j in range(i):
            length = isqrt(own[i] * own[j])
            size = min(ONE, (abs(row[j]) << 16) // length) if length else 0
            found[i][j] = found[j][i] = -size if row[j] < 0 else size
    return found


def trust(evidence: Sequence[int]) -> list[int]:
    """Return the Q16 trust in each node: full down to KNEE deviations below the median, none from 2 KNEE."""
    middle = lower_median(evidence)
    deviation = max(FLOOR << MEMORY, lower_median([abs(value - middle) for value in evidence]))
    span = KNEE * deviation
    return [max(0, min(ONE, ((value - middle + 2 * span) << 16) // span)) for value in evidence]


def votes_of(row: Sequence[int], own: int) -> int:
    """Return the Q16 share of a vote that an update has among those that point the same way."""
    alike = sum(cosine**4 >> 48 for j, cosine in enumerate(row) if j != own and cosine > 0)
    return (ONE << 16) // (ONE + alike)


def clipped(values: Integers, products: Integers) -> Integers:
    """Return the rows, int64 [n, d], none longer than the lower median of lengths; half to even in Q16."""
    lengths = [isqrt(value) for value in np.diagonal(products).tolist()]
    limit = lower_median(lengths)
    found = values.copy()
    for i, length in enumerate(lengths):
        if length > limit:
            found[i] = round_shift(values[i] * ((limit << 16) // length), 16)
    return found


def weigh_and_combine(stack: Stack, before: Sequence[int | None]) -> tuple[Integers, Standing]:
    """Return the aggregate of the updates, int64 [d] at the stack's scale, and where the nodes stand."""
    products = gram(stack.values)
    standing = stand(products, before)
    return combine(clipped(stack.values.astype(np.int64), products), standing.weights), standing
