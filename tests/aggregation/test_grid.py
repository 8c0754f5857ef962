"""The grid of a round: who chooses its resolution, how values are placed on it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.aggregation.grid import GRID_BITS, HEADROOM_BITS, Stack, on_grid, round_scale, round_shift
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import shift_half_even

TOP = (1 << GRID_BITS) - 1


@given(st.lists(st.integers(-(1 << 62), 1 << 62), min_size=1, max_size=20), st.integers(1, 62))
def test_a_shift_of_an_array_rounds_half_to_even_as_integers_do(values, bits):
    shifted = round_shift(np.array(values, np.int64), bits)
    assert shifted.tolist() == [shift_half_even(value, bits) for value in values]


@given(st.lists(st.integers(-TOP, TOP), min_size=1, max_size=8), st.integers(0, 40), st.integers(-20, 40))
def test_a_value_is_rounded_half_to_even_or_refused(values, scale, target):
    shift = scale - target
    expected = [shift_half_even(value, shift) for value in values]
    vectors = np.array([values], np.int64)
    if max(abs(q) for q in expected) > TOP:
        with pytest.raises(InvalidValueError, match="row 0 holds"):
            on_grid(vectors, scale, target)
    else:
        placed = on_grid(vectors, scale, target)
        assert placed.dtype == np.int32
        assert placed.tolist() == [expected]


def test_the_row_that_does_not_fit_is_named_and_nothing_wraps():
    vectors = np.zeros((3, 2), np.int64)
    vectors[1, 1] = -(1 << 62)
    with pytest.raises(InvalidValueError, match="row 1 holds -4611686018427387904"):
        on_grid(vectors, 10, 30)


def test_a_value_that_rounds_up_beyond_the_grid_is_refused():
    assert on_grid(np.array([[2 * TOP]], np.int64), 1, 0).tolist() == [[TOP]]
    with pytest.raises(InvalidValueError, match="row 0"):
        on_grid(np.array([[2 * TOP + 1]], np.int64), 1, 0)


@given(st.lists(st.integers(0, 1 << 50), min_size=5, max_size=5), st.integers(0, 1 << 62))
def test_fewer_than_half_of_the_nodes_cannot_choose_the_resolution(honest, loud):
    scales = [round_scale([value], 40) for value in honest]
    for hostile in ([loud] * 4, [0] * 4, [loud, loud, 0, 0]):
        assert min(scales) <= round_scale([*honest, *hostile], 40) <= max(scales)


@given(st.integers(1, 1 << 60), st.integers(0, 40))
def test_an_update_as_loud_as_the_median_has_the_headroom_to_itself(largest, scale):
    target = round_scale([largest] * 5, scale)
    assert target <= scale
    on_grid(np.array([[(largest << HEADROOM_BITS) - (1 << max(0, scale - target))]], np.int64), scale, target)
    if target < scale:
        assert shift_half_even(largest, scale - target) >> (GRID_BITS - HEADROOM_BITS - 1)


def test_silence_keeps_the_scale_it_came_in():
    assert round_scale([0, 0, 0], 30) == 30
    with pytest.raises(InvalidValueError, match="negative"):
        round_scale([3, -1, 2], 30)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3), np.int64), "int32 matrix"),
        (np.zeros(3, np.int32), "int32 matrix"),
        (np.zeros((0, 3), np.int32), "rows and columns"),
        (np.zeros((3, 2), np.int32).T, "contiguous"),
        (np.full((1, 1), 1 << GRID_BITS, np.int32), "does not fit 17 bits"),
        (np.full((1, 1), -(1 << GRID_BITS), np.int32), "does not fit 17 bits"),
    ],
)
def test_a_stack_is_on_the_grid_or_does_not_exist(values, message):
    with pytest.raises(InvalidValueError, match=message):
        Stack(values, 10)


def test_a_stack_has_a_scale_within_reach():
    Stack(np.full((1, 1), -TOP, np.int32), -62)
    with pytest.raises(InvalidValueError, match="scale"):
        Stack(np.zeros((1, 1), np.int32), 63)
