"""Exact products of integer matrices through float64 matrix products.

The only file of the exact wing that may hold a float64, and every float64 here holds an integer. Rules:
- an integer below 2^53 is a float64, and so is every sum of such integers that stays below 2^53: nothing is
  rounded, so BLAS kernel, threads, block size, order and fused multiply-adds cannot change a bit;
- rows on the grid have |q| < 2^17, so 2^19 - 1 columns of products stay below 2^53; longer rows go on in
  int64;
- a wider matrix is split into two limbs of 28 bits and a vector into limbs that fit beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ledgerfed.aggregation.grid import GRID_BITS, Integers, Values, require_values, round_shift
from ledgerfed.errors import InvalidValueError

EXACT_BITS = 53
"""The integers that a float64 holds without rounding have at most this many bits."""
GRAM_BITS = 52
"""The rules take Gram matrices with |entries| <= 2^52."""
SPAN = (1 << (EXACT_BITS - 2 * GRID_BITS)) - 1
"""So many columns on the grid have products that sum below 2^53."""
LIMB_BITS = 28
LIMB_MASK = (1 << LIMB_BITS) - 1
HALF_BITS = 27
RESCALE_BITS = 6
BUFFER = 1 << 19
"""Entries of a converted block: 4 MiB, which stays in the last cache while the product reads it."""

_Floats = npt.NDArray[np.float64]


def gram(values: Values, block: int | None = None) -> Integers:
    """Return the exact Gram matrix Q Q', int64 [n, n], of rows on the grid, int32 [n, d].

    Any BLAS, number of threads, block size and order of columns gives the same integers.

    Args:
        values: the rows, |q| < 2^17.
        block: how many columns are converted at once, 1 to 2^19 - 1; chosen for the cache when None.

    Raises:
        InvalidValueError: the rows are not on the grid, the block is out of range, or d >= 2^29.
    """
    require_values(values)
    n, d = values.shape
    width = min(d, SPAN, _block(n) if block is None else block)
    if width < 1 or (block or 1) > SPAN or d >> (63 - 2 * GRID_BITS):
        raise InvalidValueError(f"a block has 1 to {SPAN} columns and d < 2^29, got {block} and d = {d}")
    total = np.zeros((n, n), np.int64)
    buffer, product, partial = np.empty((n, width)), np.empty((n, n)), np.zeros((n, n))
    held = 0
    for start in range(0, d, width):
        part = buffer[:, : min(width, d - start)]
        if held + part.shape[1] > SPAN:
            total += partial.astype(np.int64)
            partial[...], held = 0, 0
        part[...] = values[:, start : start + width]
        partial += np.matmul(part, part.T, out=product)
        held += part.shape[1]
    return total + partial.astype(np.int64)


def _block(n: int) -> int:
    return max(256, BUFFER // n)


def squared_distances(gram: Integers) -> Integers:
    """Return D_ij = G_ii + G_jj - 2 G_ij, int64 [n, n], of a Gram matrix with |entries| <= 2^52.

    Raises:
        InvalidValueError: not a square int64 matrix, not symmetric, or an entry that is too large.
    """
    require_gram(gram)
    own = np.diagonal(gram)
    distances: Integers = np.maximum(own[:, None] + own[None, :] - 2 * gram, 0)
    return distances


def require_gram(gram: Integers) -> None:
    """Raise InvalidValueError unless `gram` is a square, symmetric int64 matrix, |entries| <= 2^52."""
    if gram.dtype != np.int64 or gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.size == 0:
        raise InvalidValueError(f"a Gram matrix is square and int64, got {gram.dtype} {list(gram.shape)}")
    if _largest(gram) > 1 << GRAM_BITS:
        raise InvalidValueError(
            f"a Gram matrix has |entries| <= 2^{GRAM_BITS}, got {_largest(gram)}; coarsen it"
        )
    if not np.array_equal(gram, gram.T):
        raise InvalidValueError("a Gram matrix is symmetric, this one is not")


def as_gram(rows: Integers | Sequence[Sequence[int]]) -> Integers:
    """Return a Gram matrix given as rows of integers or as an array, checked as `require_gram` says."""
    if not isinstance(rows, np.ndarray):
        if any(abs(value) >> GRAM_BITS + 1 for row in rows for value in row):
            raise InvalidValueError(f"a Gram matrix has |entries| <= 2^{GRAM_BITS}; coarsen it")
        rows = np.array(rows, np.int64)
    require_gram(rows)
    return rows


def coarsened(gram: Integers) -> Integers:
    """Return the Gram matrix times the largest power of two <= 1 that gives |entries| <= 2^52, half to even.

    No rule depends on the scale of a Gram matrix, so this costs them 2^-53 of the largest entry.
    """
    excess = _excess(_largest(gram))
    return round_shift(gram, excess) if excess else gram


def mixed_gram(gram: Integers, mixing: Integers) -> Integers:
    """Return M G M', G a Gram matrix, M a 0/1 matrix, n by n, n <= 4096; `coarsened` where it must be."""
    matrix = mixing.astype(np.float64)
    # Limbs of 24 and 28 bits, summed over at most 2^24 pairs: below 2^53.
    halves = (gram >> LIMB_BITS, gram & LIMB_MASK)
    upper, lower = ((matrix @ half.astype(np.float64) @ matrix.T).astype(np.int64) for half in halves)
    upper, lower = upper + (lower >> LIMB_BITS), lower & LIMB_MASK
    largest = max(int(upper.max()) + 1, -int(upper.min())) << LIMB_BITS
    excess = _excess(largest)
    if not excess:
        return (upper << LIMB_BITS) + lower
    return (upper << (LIMB_BITS - excess)) + round_shift(lower, excess)


def _largest(matrix: Values | Integers) -> int:
    return max(int(matrix.max()), -int(matrix.min()))


def _excess(largest: int) -> int:
    return max(0, (largest - 1).bit_length() - GRAM_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class Limbs:
    """An integer matrix [m, n] as high * 2^28 + low: `halves` is float64 [2m, n], first high, then low."""

    halves: _Floats

    def times(self, vector: Sequence[int]) -> list[int]:
        """Return the exact product with a vector of n integers that are not negative."""
        columns, bits = _vector_limbs(np.asarray(vector, np.int64))
        return _joined(self.halves, columns, bits, LIMB_BITS)


def split(matrix: Integers) -> Limbs:
    """Return the limbs of an int64 matrix with |entries| <= 2^54; both are at most 2^27 in absolute value."""
    return Limbs(np.concatenate(_halved(matrix, LIMB_BITS)).astype(np.float64))


def _halved(matrix: Integers, bits: int) -> tuple[Integers, Integers]:
    """Return high and low with matrix = high * 2^bits + low and |low| <= 2^(bits - 1)."""
    high = (matrix + (1 << (bits - 1))) >> bits
    return high, matrix - (high << bits)


def _joined(halves: _Floats, columns: list[_Floats], vector_bits: int, matrix_bits: int) -> list[int]:
    """Return the product of a matrix in two limbs with a vector in its limbs, in Python integers."""
    m = len(halves) // 2
    total = [0] * m
    for column in columns:
        # Column by column: BLAS is several times slower where the other factor is a matrix of two columns.
        product = (halves @ column).astype(np.int64).tolist()
        high, low = product[:m], product[m:]
        total = [
            (t << vector_bits) + (h << matrix_bits) + v for t, h, v in zip(total, high, low, strict=True)
        ]
    return total


def _vector_limbs(vector: Integers) -> tuple[list[_Floats], int]:
    """Return the limbs of a vector that is not negative, the highest first, and the bits of one.

    A limb is at most 2^b, one of the matrix 2^27, and n <= 2^k of their products sum to at most 2^53.
    """
    bits = EXACT_BITS - (LIMB_BITS - 1) - (len(vector) - 1).bit_length()
    return _limbs(vector, bits), bits


class WeightedProduct:
    """Products of a Gram matrix with integer vectors, less their weighted mean, to 2^-35 of the largest.

    The matrix is scaled by a power of two to what still has weight, so that updates which were removed cost
    the others no precision. `scale` is that power plus the bits that a product drops.
    """

    def __init__(self, gram: Integers) -> None:
        """Take int64 [n, n] with |entries| <= 2^54 and the weights of nobody yet."""
        self._gram, self._own = gram, np.diagonal(gram).copy()
        n = len(gram)
        self._n, self._active = n, np.zeros(n, np.bool_)
        self._largest = 0
        self._halves = np.zeros((2 * n + 2, n))
        self.vector_bits = EXACT_BITS - (HALF_BITS - 1) - max(10, (n - 1).bit_length())
        self.scale = 0

    def weigh(self, weights: Integers) -> None:
        """Take other weights, int64 [n]; what has lost its weight must not regain it."""
        active = weights > 0
        largest = int(self._own[active].max())
        if not self._largest or largest.bit_length() < self._largest.bit_length() - RESCALE_BITS:
            self._rescale(active, largest)
        for row in np.flatnonzero(self._active & ~active):
            self._halves[[row, row + self._n + 1]] = 0
        self._active = active
        self._write_mean(weights)

    def furthest(self, ranks: Sequence[int]) -> int:
        """Return which update with weight has the largest diagonal entry, of equals the first by rank."""
        return max(np.flatnonzero(self._active).tolist(), key=lambda i: (int(self._own[i]), -ranks[i]))

    def deviations(self, vector: Integers) -> Integers:
        """Return (G v)_i less its weighted mean, times 2^-scale, for |v| <= 2^(2 vector_bits - 1)."""
        bits, n = self.vector_bits, self._n
        upper, lower = (vector >> bits).astype(np.float64), (vector & ((1 << bits) - 1)).astype(np.float64)
        # The product of both low limbs is below what is dropped.
        first = (self._halves @ upper).astype(np.int64)
        second = (self._halves[: n + 1] @ lower).astype(np.int64)
        joined = (first[: n + 1] << 9) + (second >> (bits - 9)) + (first[n + 1 :] >> (HALF_BITS - 9))
        return np.asarray(joined[:n] - joined[n], np.int64)

    def _rescale(self, active: npt.NDArray[np.bool_], largest: int) -> None:
        """Scale what is active to 53 bits and split it into limbs of 26 and 27 bits."""
        both = active[:, None] & active[None, :]
        matrix = np.where(both, self._gram, 0)
        excess = _largest(matrix).bit_length() - 2 * HALF_BITS + 1
        matrix = round_shift(matrix, excess) if excess > 0 else matrix << -excess
        high, low = _halved(matrix, HALF_BITS)
        n = self._n
        self._halves[:n], self._halves[n + 1 : -1] = high, low
        self._largest, self._active = largest, active
        self.scale = excess + self.vector_bits + HALF_BITS - 9

    def _write_mean(self, weights: Integers) -> None:
        n = self._n
        columns, bits = _vector_limbs(weights)
        matrix = np.concatenate((self._halves[:n], self._halves[n + 1 : -1]))
        sums, total = _joined(matrix, columns, bits, HALF_BITS), int(weights.sum())
        mean = np.array([value // total for value in sums], np.int64)
        self._halves[n], self._halves[-1] = _halved(mean, HALF_BITS)


def weighted_sums(values: Values | Integers, weights: Sequence[int], largest: int) -> Integers:
    """Return sum_i w_i q_i, int64 [d], of rows int32 or int64 [n, d] with |q| <= largest.

    The caller has checked that the sums fit int64. On the grid weights are taken in limbs whose products sum
    to at most 2^53.
    """
    shares = np.array(weights, np.int64)
    chosen = np.flatnonzero(shares)
    if 2 * len(chosen) <= len(shares):
        values, shares = values[chosen], shares[chosen]
    n, d = values.shape
    bits = EXACT_BITS - GRID_BITS - n.bit_length()
    if largest >> GRID_BITS:
        return np.asarray(shares @ values.astype(np.int64), np.int64)
    limbs = _limbs(shares, bits)
    width = min(d, _block(n))
    buffer, total = np.empty((n, width)), np.zeros(d, np.int64)
    for start in range(0, d, width):
        part = buffer[:, : min(width, d - start)]
        part[...] = values[:, start : start + width]
        for limb in limbs:
            here = total[start : start + width]
            total[start : start + width] = (here << bits) + (limb @ part).astype(np.int64)
    return total


def _limbs(vector: Integers, bits: int) -> list[_Floats]:
    """Return the limbs of a vector that is not negative, the highest first, each at most 2^bits.

    The highest one may reach 2^bits, so that a weight of one, 2^32, has two limbs of 16.
    """
    places = range(max(1, -(-(int(vector.max()) - 1).bit_length() // bits)))
    parts = [vector >> bits * place for place in places]
    parts[:-1] = [part & ((1 << bits) - 1) for part in parts[:-1]]
    return [part.astype(np.float64) for part in reversed(parts)]


def mixed_rows(values: Values, mixing: Integers) -> Values:
    """Return M @ values, int32 [n, d], for a 0/1 matrix M [n, n] with n <= 2^14 and rows on the grid."""
    require_values(values)
    n, d = values.shape
    matrix = mixing.astype(np.float64)
    width = min(d, _block(n))
    buffer, mixed = np.empty((n, width)), np.empty((n, d), np.int32)
    for start in range(0, d, width):
        part = buffer[:, : min(width, d - start)]
        part[...] = values[:, start : start + width]
        mixed[:, start : start + width] = matrix @ part
    return mixed
