"""Rounding is half to even and nothing wraps."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import (
    INT64_MAX,
    INT64_MIN,
    FixedVector,
    divide_half_even,
    require_int64,
    shift_half_even,
)
from ledgerfed.protocol.hashing import require_range, word

int64 = st.integers(INT64_MIN, INT64_MAX)


@given(st.integers(-(10**60), 10**60), st.integers(-(10**30), 10**30).filter(bool))
@example(1, 2)
@example(3, 2)
@example(-1, 2)
@example(-3, 2)
@example(5, -2)
def test_division_rounds_half_to_even_as_fractions_and_decimal_do(numerator, denominator):
    found = divide_half_even(numerator, denominator)
    assert found == round(Fraction(numerator, denominator))
    with localcontext() as context:
        context.prec = 200
        exact = Decimal(2 * numerator) / Decimal(2 * denominator)
        if 2 * numerator % denominator == 0:
            assert found == int(exact.to_integral_value(ROUND_HALF_EVEN))


@given(st.integers(-(1 << 40), 1 << 40), st.integers(0, 20))
def test_ties_go_to_the_even_neighbour(value, bits):
    tie = (2 * value + 1) << bits
    assert divide_half_even(tie, 2 << bits) == value + (value & 1)


@given(st.integers(-(1 << 80), 1 << 80), st.integers(-70, 90))
def test_a_shift_is_a_division_by_a_power_of_two(value, bits):
    assert shift_half_even(value, bits) == round(Fraction(value) / Fraction(2) ** bits)


def test_a_division_by_zero_is_an_error():
    with pytest.raises(InvalidValueError, match="divided by zero"):
        divide_half_even(7, 0)


@given(
    st.one_of(st.integers(max_value=INT64_MIN - 1), st.integers(min_value=INT64_MAX + 1)), st.integers(0, 62)
)
def test_a_value_beyond_int64_does_not_exist(value, scale):
    with pytest.raises(InvalidValueError, match="must be an integer from"):
        FixedVector((0, value), scale)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_only_integers_are_values(value):
    with pytest.raises(InvalidValueError):
        FixedVector((value,), 0)


def test_a_number_of_ten_thousand_digits_is_refused_with_a_short_message():
    with pytest.raises(InvalidValueError) as caught:
        require_int64("theta", 1 << 40_000)
    assert len(str(caught.value)) < 200
    with pytest.raises(InvalidValueError):
        require_range("theta", -(1 << 40_000), 0, 1)
    with pytest.raises(InvalidValueError):
        word(1 << 40_000)


@given(st.lists(int64), st.integers(0, 62))
def test_bytes_round_trip(values, scale):
    vector = FixedVector(tuple(values), scale)
    assert FixedVector.from_bytes(vector.to_bytes(), scale) == vector


@given(st.binary().filter(lambda data: len(data) % 8))
def test_torn_bytes_are_refused(data):
    with pytest.raises(InvalidValueError, match="whole number"):
        FixedVector.from_bytes(data, 0)


@given(st.lists(int64, min_size=1), st.integers(0, 62), st.integers(0, 62))
def test_another_grid_rounds_or_refuses(values, scale, other):
    vector = FixedVector(tuple(values), scale)
    exact = [round(Fraction(v) * Fraction(2) ** (other - scale)) for v in values]
    if all(INT64_MIN <= v <= INT64_MAX for v in exact):
        assert vector.rescale(other).values == tuple(exact)
    else:
        with pytest.raises(InvalidValueError):
            vector.rescale(other)


@pytest.mark.parametrize("value", [-1, 1 << 256])
def test_a_word_is_256_unsigned_bits(value):
    with pytest.raises(InvalidValueError, match="256-bit"):
        word(value)
