"""Weights of updates, and the one division that turns them into a result.

Rules:
- a weight is an integer at 2^-32, not negative; their total is positive and need not be 1;
- the combination is round_half_even(sum w q / sum w): exact until that one division, in any order of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import numpy as np
import numpy.typing as npt

from ledgerfed.aggregation.gram import weighted_sums
from ledgerfed.aggregation.grid import Integers
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import shift_half_even

WEIGHT_BITS = 32
WEIGHT_ONE = 1 << WEIGHT_BITS
TOTAL_BITS = 44
"""A total below 2^44 times a value on the grid leaves two bits of int64 for the rounding."""

Weights = tuple[int, ...]


def combine(values: npt.NDArray[np.int32] | Integers, weights: Sequence[int] | Integers) -> Integers:
    """Return round_half_even(sum_i w_i q_i / sum_i w_i), int64 [d], of rows int32 or int64 [n, d].

    Raises:
        InvalidValueError: the weights do not match the rows, one is negative, their total is not positive, or
            the total times the largest value does not fit int64 with its rounding.
    """
    shares = [int(weight) for weight in weights]
    total = sum(shares)
    if len(shares) != len(values) or min(shares) < 0 or total <= 0:
        raise InvalidValueError(
            f"{len(values)} rows need as many weights, none negative and not all zero, got {shares}"
        )
    largest = max(int(values.max()), -int(values.min()))
    if (total * (largest + 1)) >> 62:
        raise InvalidValueError(
            f"weights that sum to {total} and values up to {largest} do not fit int64; coarsen one of them"
        )
    shared = gcd(*shares)
    lowest = [share // shared for share in shares]
    return divide_rounded(weighted_sums(values, lowest, largest), total // shared)


def divide_rounded(numerators: Integers, denominator: int) -> Integers:
    """Return int64 numerators / denominator rounded half to even; both below 2^62 in absolute value."""
    floor = numerators // denominator
    twice = 2 * (numerators - floor * denominator)
    up = (twice > denominator) | ((twice == denominator) & ((floor & 1) == 1))
    rounded: Integers = floor + up
    return rounded


def bounded(weights: Sequence[int]) -> Weights:
    """Return the weights if their total is below 2^44, else shifted right alike, rounded half to even."""
    excess = max(0, (sum(weights) + len(weights)).bit_length() - TOTAL_BITS)
    return tuple(shift_half_even(weight, excess) for weight in weights)


def even(n: int, chosen: Sequence[int]) -> Weights:
    """Return weight one for the chosen rows of n and zero for the others."""
    weights = [0] * n
    for row in chosen:
        weights[row] = WEIGHT_ONE
    return tuple(weights)
