"""A weighted combination is exact until its one division, in any order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robust_rows import TOP, Case, cases

from ledgerfed.aggregation.weights import TOTAL_BITS, WEIGHT_ONE, bounded, combine, even
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import divide_half_even, shift_half_even


def plainly(values: np.ndarray, weights: list[int]) -> list[int]:
    columns = values.T.tolist()
    return [
        divide_half_even(sum(w * q for w, q in zip(weights, column, strict=True)), sum(weights))
        for column in columns
    ]


@given(cases(), st.data())
def test_a_combination_is_rounded_once_half_to_even(case: Case, data):
    weight = st.one_of(st.integers(0, WEIGHT_ONE), st.sampled_from([0, 1, 2, WEIGHT_ONE]))
    n = len(case.values)
    weights = data.draw(st.lists(weight, min_size=n, max_size=n).filter(any))
    expected = plainly(case.values, weights)
    assert combine(case.values, weights).tolist() == expected
    assert combine(case.values.astype(np.int64), weights).tolist() == expected
    order = data.draw(st.permutations(range(n)))
    rows = np.ascontiguousarray(case.values[order])
    assert combine(rows, [weights[i] for i in order]).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 100, 1000])
def test_many_rows_at_the_ends_of_the_grid_do_not_wrap(n):
    for end in (TOP, -TOP):
        values = np.full((n, 3), end, np.int32)
        assert combine(values, [WEIGHT_ONE] * n).tolist() == [end] * 3
        assert combine(values, [WEIGHT_ONE - i for i in range(n)]).tolist() == [end] * 3


def test_more_columns_than_a_block_are_combined_alike():
    generator = np.random.default_rng(5)
    values = generator.integers(-TOP, TOP + 1, (40, 30_000)).astype(np.int32)
    weights = generator.integers(0, WEIGHT_ONE, 40).tolist()
    picked = np.flatnonzero(generator.random(30_000) < 0.01)
    assert combine(values, weights)[picked].tolist() == plainly(values[:, picked], weights)


def test_values_beyond_the_grid_are_combined_as_integers():
    values = np.array([[1 << 25, -5], [3, 1 << 28]], np.int32)
    assert combine(values, [3, 5]).tolist() == plainly(values, [3, 5])
    wide = values.astype(np.int64) << 20
    assert combine(wide, [3, 5]).tolist() == plainly(wide, [3, 5])


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1], "as many weights"), ([1, -1], "none negative"), ([0, 0], "not all zero"), ([1 << 44, 1], "int64")],
)
def test_weights_that_cannot_combine_are_refused(weights, message):
    with pytest.raises(InvalidValueError, match=message):
        combine(np.full((2, 1), 1 << 20, np.int64), weights)


@given(st.lists(st.integers(0, 1 << 52), min_size=1, max_size=50))
def test_weights_are_bounded_alike(weights):
    found = bounded(weights)
    assert sum(found) < 1 << TOTAL_BITS
    shift = max(0, (sum(weights) + len(weights)).bit_length() - TOTAL_BITS)
    assert list(found) == [shift_half_even(weight, shift) for weight in weights]
    assert list(bounded(found)) == list(found)


def test_even_weights_are_one_or_nothing():
    assert even(4, [2, 0]) == (WEIGHT_ONE, 0, WEIGHT_ONE, 0)
