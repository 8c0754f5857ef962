"""CAF, the covariance-bound agnostic filter (Allouah, Guerraoui, Stephan, ICML 2025), deterministic in
integers.

All updates start with weight one. While their total exceeds n - 2f: find the direction of largest weighted
variance, give the update that lies furthest out in it weight zero and every other one
c_i <- c_i (1 - tau_i / tau_max), tau_i its squared deviation from the weighted mean in that direction. The
result is the weighting that had the smallest largest variance on the way. Breakdown 1/2. Rules:
- tau_max is taken over updates that still have weight (byzfl's includes the removed ones, whose deviation
  then keeps all others from being told apart), so at most 2f rounds are needed; without hostile updates it is
  the mean;
- the direction is v = sum_j q_j (x_j - x_m), m the medoid: STEPS steps of power iteration in Gram space from
  a start that follows from the ranks, or, where that start has no variance at all, from the furthest update;
- weights are integers at 2^-32, rounded half to even; variances are compared as exact fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ledgerfed.aggregation.centre import medoid
from ledgerfed.aggregation.gram import WeightedProduct, squared_distances
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.weights import WEIGHT_BITS, WEIGHT_ONE, Weights, even
from ledgerfed.protocol.fixedpoint import divide_half_even

STEPS = 16
DEVIATION_BITS = 30
SCALE_SPAN = 128
"""More than any scale of a product is below zero, so that both sides of a fraction are shifted left."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The deviations of all updates from the weighted mean in the direction found, on a common scale, and the
    variance there as a fraction (numerator, denominator) on the scale of the Gram matrix."""

    deviations: list[int]
    variance: tuple[int, int]


def covariance_filter(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:
    """Return the weights of the filter's best iterate."""
    n = len(gram)
    weights = best = even(n, range(n))
    about = _about(gram, medoid(squared_distances(gram), n - hostile, ranks))
    product = WeightedProduct(about)
    least: tuple[int, int] | None = None
    while sum(weights) > (n - 2 * hostile) * WEIGHT_ONE:
        found = _direction(product, weights, ranks)
        if least is None or found.variance[0] * least[1] < least[0] * found.variance[1]:
            best, least = weights, found.variance
        furthest = max(abs(p) for p, weight in zip(found.deviations, weights, strict=True) if weight)
        if furthest == 0:
            break
        square = furthest**2
        weights = tuple(
            divide_half_even(weight * (square - p * p), square) if weight else 0
            for p, weight in zip(found.deviations, weights, strict=True)
        )
    return best


def _about(gram: Integers, middle: int) -> Integers:
    """Return the Gram matrix of the updates' differences from one of them, exact: |entries| <= 2^54."""
    row = gram[middle]
    differences: Integers = gram - row[:, None] - row[None, :] + row[middle]
    return differences


def _direction(product: WeightedProduct, weights: Weights, ranks: Sequence[int]) -> Direction:
    shares = np.array(weights, np.int64)
    product.weigh(shares)
    n = len(weights)
    mixture, deviations = _iterated(product, shares, _centred(weights, [2 * r + 1 - n for r in ranks]))
    if not deviations.any():
        furthest = product.furthest(ranks)
        alone = _centred(weights, [int(i == furthest) for i in range(n)])
        mixture, deviations = _iterated(product, shares, alone)
    listed = deviations.tolist()
    above = sum(weight * p * p for weight, p in zip(weights, listed, strict=True))
    below = sum(weights) * sum(q * p for q, p in zip(mixture.tolist(), listed, strict=True))
    if above == 0 or below <= 0:
        return Direction([0] * n, (0, 1))
    return Direction(listed, (above << SCALE_SPAN + product.scale, below << SCALE_SPAN))


def _centred(weights: Weights, values: Sequence[int]) -> Integers:
    """Return W v_i - sum_j w_j v_j: the values less their weighted mean, on a scale of W."""
    total, sums = sum(weights), sum(w * v for w, v in zip(weights, values, strict=True))
    return np.array([total * value - sums for value in values], np.int64)


def _iterated(product: WeightedProduct, shares: Integers, start: Integers) -> tuple[Integers, Integers]:
    """Return the mixture q of the last step and the deviations in its direction."""
    deviations = start
    for _ in range(STEPS):
        mixture = _mixture(shares, deviations, 2 * product.vector_bits - 1)
        deviations = product.deviations(mixture)
        if not deviations.any():
            break
    return mixture, deviations


def _mixture(shares: Integers, deviations: Integers, bits: int) -> Integers:
    """Return c_i p_i scaled to |q| <= 2^bits; p is cut to 30 bits first, so that c p stays in int64."""
    excess = max(int(deviations.max()), -int(deviations.min())).bit_length() - DEVIATION_BITS
    cut: Integers = deviations >> excess if excess > 0 else deviations << -excess
    mixture: Integers = (shares * cut) >> (WEIGHT_BITS + DEVIATION_BITS - bits)
    return mixture
