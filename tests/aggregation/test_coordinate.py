"""Median and trimmed mean against fractions in plain Python, and what a minority can do to them."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ledgerfed.aggregation.rules.coordinate import median, trimmed_mean
from ledgerfed.errors import InvalidValueError

LIMIT = 2**17 - 1
INT32 = np.iinfo(np.int32)


@st.composite
def stacks(draw):
    n, d = draw(st.integers(1, 12)), draw(st.integers(0, 9))
    few = draw(st.sampled_from([1, 3, LIMIT]))  # few values make many ties and halves
    return draw(arrays(np.int32, (n, d), elements=st.integers(-few, few)))


@st.composite
def attacked(draw):
    """Honest rows, hostile rows with anything in them, and the places at which the hostile ones stand."""
    hostile = draw(st.integers(1, 4))
    n = draw(st.integers(2 * hostile + 1, 12))
    honest = draw(arrays(np.int32, (n - hostile, 5), elements=st.integers(-900, 900)))
    anything = draw(arrays(np.int32, (hostile, 5), elements=st.integers(-LIMIT, LIMIT)))
    order = draw(st.permutations(range(n)))
    return honest, np.vstack([honest, anything])[list(order)], hostile


def rounded(column, dropped):
    """Return the mean of a column without `dropped` values at each end; `round` takes halves to even."""
    kept = sorted(int(value) for value in column)[dropped : len(column) - dropped]
    return round(Fraction(sum(kept), len(kept)))


@given(stacks())
def test_the_median_is_that_of_fractions_rounded_half_to_even(values):
    middle = (len(values) - 1) // 2
    assert median(values).tolist() == [rounded(column, middle) for column in values.T]


@given(stacks(), st.data())
def test_the_trimmed_mean_is_that_of_fractions_rounded_half_to_even(values, data):
    hostile = data.draw(st.integers(0, (len(values) - 1) // 2))
    assert trimmed_mean(values, hostile).tolist() == [rounded(column, hostile) for column in values.T]


def test_halves_go_to_the_even_neighbour_on_both_sides_of_zero():
    values = np.array([[-3, -1, 1, 3, 5], [0, 0, 0, 0, 0]], dtype=np.int32)
    expected = [-2, 0, 0, 2, 2]
    assert median(values).tolist() == expected
    assert trimmed_mean(values, 0).tolist() == expected


def test_the_result_is_int64_and_the_largest_integers_do_not_wrap():
    values = np.full((4, 3), INT32.max, dtype=np.int32)
    for result in (median(values), trimmed_mean(values, 1), trimmed_mean(values, 0)):
        assert result.dtype == np.int64
        assert result.tolist() == [INT32.max] * 3
    assert median(np.full((2, 1), INT32.min, dtype=np.int32)).tolist() == [INT32.min]


@given(stacks(), st.randoms(use_true_random=False))
def test_the_order_of_the_updates_changes_nothing(values, random):
    order = random.sample(range(len(values)), len(values))
    hostile = (len(values) - 1) // 2
    assert median(values[order]).tolist() == median(values).tolist()
    assert trimmed_mean(values[order], hostile).tolist() == trimmed_mean(values, hostile).tolist()


@given(stacks(), st.integers(1, 12))
def test_the_block_size_changes_nothing(values, block):
    hostile = (len(values) - 1) // 4
    assert median(values, block).tolist() == median(values).tolist()
    assert trimmed_mean(values, hostile, block).tolist() == trimmed_mean(values, hostile).tolist()


def test_more_columns_than_a_block_come_out_in_their_places():
    d = 1300
    values = np.arange(3 * d, dtype=np.int32).reshape(3, d)
    assert median(values).tolist() == trimmed_mean(values, 1).tolist() == list(range(d, 2 * d))
    assert trimmed_mean(values, 0).tolist() == list(range(d, 2 * d))


def test_the_updates_themselves_stay_as_they_are_and_may_be_any_view():
    values = np.random.default_rng(5).integers(-LIMIT, LIMIT, (7, 40), dtype=np.int32)
    before = values.copy()
    values.flags.writeable = False
    assert median(values[::-1, ::2]).tolist() == median(values).tolist()[::2]
    assert trimmed_mean(np.asfortranarray(values), 2).tolist() == trimmed_mean(values, 2).tolist()
    assert (values == before).all()


@given(attacked())
def test_hostile_rows_anywhere_leave_every_coordinate_within_the_honest_range(case):
    honest, values, hostile = case
    for result in (median(values), trimmed_mean(values, hostile)):
        assert (result >= honest.min(axis=0)).all()
        assert (result <= honest.max(axis=0)).all()


def test_one_hostile_row_more_than_was_declared_moves_the_trimmed_mean_out():
    values = np.array([[1], [2], [3], [LIMIT], [LIMIT]], dtype=np.int32)
    assert trimmed_mean(values, 2).tolist() == [3]
    assert trimmed_mean(values, 1).tolist() > [3]


@pytest.mark.parametrize(
    ("n", "hostile", "message"),
    [
        (4, 2, "trimmed-mean with 2 hostile updates needs at least 5 in all, got 4"),
        (0, 0, "trimmed-mean with 0 hostile updates needs at least 1 in all, got 0"),
        (4, -1, "the number of hostile updates must not be negative, got -1"),
    ],
)
def test_a_trimmed_mean_outside_its_bound_is_refused(n, hostile, message):
    with pytest.raises(InvalidValueError, match=re.escape(message)):
        trimmed_mean(np.zeros((n, 2), dtype=np.int32), hostile)


def test_a_median_of_nothing_is_refused():
    with pytest.raises(InvalidValueError, match="median with 0 hostile updates needs at least 1"):
        median(np.zeros((0, 2), dtype=np.int32))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.zeros((3, 2)), "float64 of 3 x 2"),
        (np.zeros((3, 2), dtype=np.int64), "int64 of 3 x 2"),
        (np.zeros(3, dtype=np.int32), "int32 of 3"),
    ],
)
def test_what_is_no_matrix_of_int32_is_refused(values, found):
    for rule in (median, lambda stack: trimmed_mean(stack, 0)):
        with pytest.raises(InvalidValueError, match=f"needs an int32 matrix, got {found}"):
            rule(values)


def test_a_block_without_columns_is_refused():
    with pytest.raises(InvalidValueError, match="at least one column, got 0"):
        median(np.zeros((3, 2), dtype=np.int32), 0)
