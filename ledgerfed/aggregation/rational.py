"""The solution of a symmetric positive definite system, exact in rationals and rounded once.

Rounded elimination depends on the order of its steps; this does not. The result is *defined* as the exact
solution rounded half to even on the grid, so any correct algorithm gives the same integers. This one is
fraction-free elimination (Bareiss, Math. Comp. 22, 1968): all intermediates are minors of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import divide_half_even

IntegerMatrix = Sequence[Sequence[int]]


def solve_half_even(matrix: IntegerMatrix, right: Sequence[int], scale: int) -> tuple[int, ...]:
    """Return round_half_even(2^scale * matrix^-1 right), the components as integers.

    Args:
        matrix: d rows of d integers, symmetric positive definite.
        right: d integers on the same grid as the matrix.
        scale: binary scale of the result.

    Raises:
        InvalidValueError: the matrix is not positive definite.
    """
    eliminated, determinant = _eliminate(matrix, right)
    d = len(eliminated)
    numerators = [0] * d
    for i in reversed(range(d)):
        row = eliminated[i]
        rest = sum(row[j] * numerators[j] for j in range(i + 1, d))
        numerators[i] = (determinant * row[d] - rest) // row[i]
    return tuple(divide_half_even(value << scale, determinant) for value in numerators)


def _eliminate(matrix: IntegerMatrix, right: Sequence[int]) -> tuple[list[list[int]], int]:
    """Return the upper triangle with the right side appended, and the determinant."""
    zeros = _trailing_zeros(matrix, right)
    rows = [[value >> zeros for value in (*row, b)] for row, b in zip(matrix, right, strict=True)]
    d = len(rows)
    previous = 1
    for k in range(d):
        pivot = rows[k][k]
        if pivot <= 0:
            raise InvalidValueError(f"the information matrix is not positive definite at column {k}")
        for i in range(k + 1, d):
            factor = rows[i][k]
            rows[i] = [
                0 if j <= k else (pivot * rows[i][j] - factor * rows[k][j]) // previous for j in range(d + 1)
            ]
        previous = pivot
    return rows, previous


def _trailing_zeros(matrix: IntegerMatrix, right: Sequence[int]) -> int:
    """Return how many low zero bits all entries share; dropping them keeps the minors short."""
    union = 0
    for row in (*matrix, right):
        for value in row:
            union |= abs(value)
    return (union & -union).bit_length() - 1 if union else 0
