"""The solution is the exact one, rounded once, whatever the order of the rows."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.aggregation.rational import solve_half_even
from ledgerfed.errors import InvalidValueError

numbers = st.integers(-50, 50) | st.integers(-(1 << 90), 1 << 90)


def solve_fractions(matrix, right):
    """Gaussian elimination in rationals, the textbook way."""
    rows = [[Fraction(v) for v in (*row, b)] for row, b in zip(matrix, right, strict=True)]
    d = len(rows)
    for k in range(d):
        pivot = next(i for i in range(k, d) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [v / rows[k][k] for v in rows[k]]
        for i in range(d):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[d] for row in rows]


@st.composite
def systems(draw):
    """A positive definite matrix AᵀA + I and a right side."""
    d = draw(st.integers(1, 5))
    a = draw(st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=d, max_size=d))
    gram = [[sum(r[i] * r[j] for r in a) + (i == j) for j in range(d)] for i in range(d)]
    return gram, draw(st.lists(numbers, min_size=d, max_size=d))


@given(systems(), st.integers(0, 62))
def test_the_solution_is_that_of_rational_elimination_rounded_half_to_even(system, scale):
    matrix, right = system
    expected = tuple(round(x * 2**scale) for x in solve_fractions(matrix, right))
    assert solve_half_even(matrix, right, scale) == expected


@given(systems(), st.integers(0, 62), st.data())
def test_the_order_of_rows_never_matters(system, scale, data):
    matrix, right = system
    order = data.draw(st.permutations(range(len(right))))
    moved = solve_half_even([[matrix[i][j] for j in order] for i in order], [right[i] for i in order], scale)
    straight = solve_half_even(matrix, right, scale)
    assert moved == tuple(straight[i] for i in order)


@given(systems(), st.integers(0, 200))
def test_a_common_power_of_two_never_matters(system, shift):
    matrix, right = system
    shifted = [[v << shift for v in row] for row in matrix]
    assert solve_half_even(shifted, [v << shift for v in right], 40) == solve_half_even(matrix, right, 40)


def test_ties_go_to_even():
    assert solve_half_even([[2, 0], [0, 2]], [1, 3], 0) == (0, 2)
    assert solve_half_even([[2, 0], [0, 2]], [-1, -3], 0) == (0, -2)


@pytest.mark.parametrize(
    "matrix", [[[0]], [[-1]], [[1, 1], [1, 1]], [[1, 2], [2, 1]], [[0, 1], [1, 0]], [[0, 0], [0, 0]]]
)
def test_a_matrix_that_is_not_positive_definite_is_refused(matrix):
    with pytest.raises(InvalidValueError, match="positive definite"):
        solve_half_even(matrix, [1] * len(matrix), 10)


def test_a_nearly_singular_system_is_still_exact():
    n = 1 << 300
    assert solve_half_even([[n, n - 1], [n - 1, n]], [1, 1], 310) == (1 << 9, 1 << 9)
