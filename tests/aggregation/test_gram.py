"""Products of integers through float64 matrix products: equal to Python's integers, at every extreme."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robust_rows import TOP, Case, cases

from ledgerfed.aggregation.gram import (
    SPAN,
    WeightedProduct,
    as_gram,
    coarsened,
    gram,
    mixed_gram,
    mixed_rows,
    split,
    squared_distances,
)
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import shift_half_even

EXTREMES = [0, 1, -1, (1 << 52), -(1 << 52), (1 << 28) - 1, 1 << 27, -(1 << 27), 1 << 54, -(1 << 54)]


@given(cases(), st.integers(1, 5))
def test_a_gram_matrix_equals_pythons_integers_whatever_the_block(case: Case, block):
    assert np.array_equal(gram(case.values), case.gram)
    assert np.array_equal(gram(case.values, block), case.gram)


@pytest.mark.parametrize("block", [None, 1000, SPAN])
def test_rows_longer_than_a_float64_can_sum_stay_exact(block):
    d = SPAN + 30
    values = np.full((2, d), TOP, np.int32)
    values[1] = -TOP
    values[1, 0] = TOP - 1
    square = d * TOP * TOP
    assert square > 1 << 53
    mixed = (TOP - 1) * TOP - (d - 1) * TOP * TOP
    assert gram(values, block).tolist() == [[square, mixed], [mixed, square - TOP * TOP + (TOP - 1) ** 2]]


@pytest.mark.parametrize("block", [0, -1, SPAN + 1])
def test_a_block_that_could_round_is_refused(block):
    with pytest.raises(InvalidValueError, match="a block has 1 to 524287 columns"):
        gram(np.zeros((2, 2), np.int32), block)


def test_many_rows_give_the_integers_of_an_integer_product():
    values = np.random.default_rng(1).integers(-TOP, TOP + 1, (70, 5000)).astype(np.int32)
    wide = values.astype(np.int64)
    for block in (None, 1, 77, 4999, 5000, 100_000):
        assert np.array_equal(gram(values, block), wide @ wide.T)


@given(cases())
def test_squared_distances_are_those_of_the_rows(case):
    rows = case.values.astype(np.int64)
    expected = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    assert np.array_equal(squared_distances(gram(case.values)), expected)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2], [3, 4]], "symmetric"),
        ([[1, 2]], "square"),
        ([[(1 << 52) + 1]], "coarsen"),
        ([[1 << 80]], "coarsen"),
        (np.zeros((2, 2), np.int32), "int64"),
        (np.full((1, 1), -(1 << 52) - 1, np.int64), "coarsen"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(matrix, message):
    with pytest.raises(InvalidValueError, match=message):
        as_gram(matrix)


@given(st.lists(st.integers(-(1 << 62), 1 << 62), min_size=1, max_size=9))
def test_a_gram_matrix_that_is_too_large_is_shifted_as_a_whole(values):
    excess = max(0, (max(abs(v) for v in values) - 1).bit_length() - 52)
    found = coarsened(np.array([values], np.int64))
    assert found.tolist() == [[shift_half_even(value, excess) for value in values]]
    assert max(abs(v) for v in found[0].tolist()) <= 1 << 52


@given(st.data(), st.integers(2, 6))
def test_a_mixed_gram_matrix_equals_pythons_integers(data, n):
    entry = st.one_of(st.integers(-(1 << 52), 1 << 52), st.sampled_from(EXTREMES[:8]))
    half = data.draw(st.lists(st.lists(entry, min_size=n, max_size=n), min_size=n, max_size=n))
    matrix = [[half[min(i, j)][max(i, j)] for j in range(n)] for i in range(n)]
    mix = data.draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=n, max_size=n))
    exact = [
        [sum(mix[i][a] * matrix[a][b] * mix[j][b] for a in range(n) for b in range(n)) for j in range(n)]
        for i in range(n)
    ]
    found = mixed_gram(np.array(matrix, np.int64), np.array(mix, np.int64)).tolist()
    largest = max(abs(v) for row in exact for v in row)
    shifts = [s for s in range(8) if [[shift_half_even(v, s) for v in row] for row in exact] == found]
    assert shifts
    assert largest <= 1 << 52 or max(abs(v) for row in found for v in row) <= 1 << 52
    assert largest > 1 << 51 or found == exact


def test_a_mixed_gram_matrix_of_many_rows_at_the_extreme_is_exact_but_for_its_shift():
    n = 300
    ones = np.ones((n, n), np.int64)
    found = mixed_gram(ones << 52, ones)
    assert set(found.ravel().tolist()) == {(n * n << 52) >> 17}


@given(cases(), st.data())
def test_mixed_rows_are_sums_of_rows(case, data):
    n = len(case.values)
    mix = data.draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=n, max_size=n))
    matrix = np.array(mix, np.int64)
    found = mixed_rows(case.values, matrix)
    assert found.dtype == np.int32
    assert np.array_equal(found, matrix @ case.values)


@given(st.integers(1, 5), st.data())
def test_a_product_in_limbs_equals_pythons_integers(n, data):
    entry = st.one_of(st.integers(-(1 << 54), 1 << 54), st.sampled_from(EXTREMES))
    weight = st.one_of(st.integers(0, 1 << 32), st.sampled_from([0, 1, 1 << 32, (1 << 32) - 1]))
    matrix = data.draw(st.lists(st.lists(entry, min_size=n, max_size=n), min_size=n, max_size=n))
    vector = data.draw(st.lists(weight, min_size=n, max_size=n))
    found = split(np.array(matrix, np.int64)).times(vector)
    assert found == [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


@pytest.mark.parametrize("n", [64, 1000, 1030])
def test_a_product_in_limbs_of_many_extremes_is_exact(n):
    for entry in (1 << 54, -(1 << 54), (1 << 54) - 1, (1 << 53) + (1 << 27) - 1):
        for weight in (1 << 32, (1 << 32) - 1):
            found = split(np.full((2, n), entry, np.int64)).times([weight] * n)
            assert found == [n * entry * weight] * 2


@given(cases(largest=7), st.data())
def test_deviations_are_those_of_the_weighted_mean(case, data):
    n = len(case.values)
    weights = data.draw(
        st.lists(st.sampled_from([0, 1 << 20, 1 << 31, (1 << 32) - 7, 1 << 32]), min_size=n, max_size=n)
    )
    weights[0] = 1 << 32
    vector = data.draw(st.lists(st.integers(-(1 << 33), 1 << 33), min_size=n, max_size=n))
    vector = [v if w else 0 for v, w in zip(vector, weights, strict=True)]
    product = WeightedProduct(case.gram)
    product.weigh(np.array(weights, np.int64))
    found = product.deviations(np.array(vector, np.int64)).tolist()
    rows = case.gram.tolist()
    sums = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in rows]
    mean = Fraction(sum(w * s for w, s in zip(weights, sums, strict=True)), sum(weights))
    largest = max(abs(rows[i][j]) for i in range(n) for j in range(n) if weights[i] and weights[j])
    for i in range(n):
        if weights[i]:
            off = abs(found[i] * Fraction(2) ** product.scale - (sums[i] - mean))
            assert off <= Fraction(largest, 1) * 2**33 * n / 2**32


def test_what_was_removed_costs_the_others_no_precision():
    gram_of_two_scales = np.diag(np.array([1 << 54, 1000, 1010, 990], np.int64))
    product = WeightedProduct(gram_of_two_scales)
    product.weigh(np.full(4, 1 << 32, np.int64))
    product.weigh(np.array([0, 1 << 32, 1 << 32, 1 << 32], np.int64))
    vector = np.array([0, 1 << 32, -(1 << 32), 5], np.int64)
    found = [
        float(Fraction(v) * Fraction(2) ** product.scale) for v in product.deviations(vector)[1:].tolist()
    ]
    sums = [1000 * 2**32, -1010 * 2**32, 5 * 990]
    assert found == pytest.approx([s - sum(sums) / 3 for s in sums], rel=1e-9)
