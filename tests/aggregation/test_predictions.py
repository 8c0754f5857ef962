"""Predictions are pooled by weighted means that are exact, and compared as seen from the base."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.aggregation.predictions import aligned, distance, expand, pool, precision, solve
from ledgerfed.aggregation.space import PROBE
from ledgerfed.aggregation.whitened import robust_centre
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.bitfields import SIGNIFICANT_BITS
from ledgerfed.protocol.fixedpoint import FixedVector, round_significant
from ledgerfed.protocol.predictions import PredictionsUpdate
from ledgerfed.protocol.score import ONE

M = 4
ZERO = FixedVector((0,) * M, 30)


def made(values, precision=ONE, exponent=12):
    return PredictionsUpdate(bytes(32), bytes(32), b"made", 60, precision, exponent, tuple(values))


@st.composite
def updates(draw):
    values = draw(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=M, max_size=M))
    claim = round_significant(draw(st.integers(1, 1 << 40)), SIGNIFICANT_BITS)
    return made(values, claim, draw(st.integers(-24, 40)))


def rational(update):
    unit = Fraction(1) / Fraction(2) ** update.exponent
    return [value * unit for value in update.values], Fraction(update.precision, 1 << 16)


@given(st.lists(st.tuples(updates(), st.integers(0, 1 << 17)), max_size=5), st.integers(1, 1 << 90))
def test_the_pool_is_the_exact_weighted_mean_rounded_once(rows, prior):
    pooled = pool([(expand(u), w) for u, w in rows], prior, M)
    total = Fraction(prior, 1 << 96) + sum(Fraction(w, ONE) * rational(u)[1] for u, w in rows)
    sums = [sum(Fraction(w, ONE) * rational(u)[1] * rational(u)[0][i] for u, w in rows) for i in range(M)]
    means = [s / total for s in sums]
    if all(abs(mean) < 1 << 30 for mean in means):
        assert solve(pooled, 30).values == tuple(round(mean * 2**30) for mean in means)
    assert precision(pooled, 16).values == (round(total * 2**16),)


@given(st.lists(st.tuples(updates(), st.integers(0, 1 << 17)), max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_nodes_never_changes_a_bit(rows, shuffler):
    pairs = [(expand(u), w) for u, w in rows]
    expected = pool(pairs, 5, M)
    shuffler.shuffle(pairs)
    assert pool(pairs, 5, M) == expected


@given(updates(), st.lists(st.integers(-(1 << 40), 1 << 40), min_size=M, max_size=M))
def test_the_distance_is_the_mean_square_in_units_of_the_claimed_variance(update, theta):
    values, claim = rational(update)
    differences = [value - Fraction(t, 1 << 30) for value, t in zip(values, theta, strict=True)]
    expected = claim * sum(d * d for d in differences) / M
    assert distance(expand(update), FixedVector(tuple(theta), 30)) == round(expected * ONE)


def test_the_trace_is_the_precision_of_all_predictions():
    assert expand(made([1, 2, 3, 4], 3 * ONE)).trace == 3 * M << 80


def test_copies_are_found_by_the_direction_in_which_they_leave_the_base():
    base = FixedVector(tuple(v << 18 for v in (100, 200, -50, 7)), 30)
    at = made([110, 190, -50, 7])
    further, opposite = made([150, 150, -50, 7]), made([90, 210, -50, 7])
    other, exactly = made([100, 200, -40, 7]), made([100, 200, -50, 7])
    assert aligned(expand(at), expand(further), base, 20)
    assert not aligned(expand(at), expand(opposite), base, 1)
    assert not aligned(expand(at), expand(other), base, 1)
    assert aligned(expand(exactly), expand(exactly), base, 20)
    assert not aligned(expand(exactly), expand(at), base, 1)


@given(updates(), updates(), st.integers(1, 40))
def test_alignment_is_the_squared_cosine_of_the_differences(left, right, bits):
    a, b = rational(left)[0], rational(right)[0]
    product, norms = (
        sum(x * y for x, y in zip(a, b, strict=True)),
        sum(x * x for x in a) * sum(y * y for y in b),
    )
    if norms:
        expected = product > 0 and product * product > (1 - Fraction(1, 2**bits)) * norms
        assert aligned(expand(left), expand(right), ZERO, bits) == expected


def test_the_robust_centre_of_predictions_stays_with_the_majority():
    """The same rule as for coefficients, in another space."""
    honest = [expand(made([1000 + 3 * k, -500 + k, 20 * k, 300])) for k in range(5)]
    liars = [expand(made([-20000, 9000, 0, 30000], 40 * ONE)) for _ in range(2)]
    centre = robust_centre(honest + liars, [ONE] * 7, 1 << 60, 30, PROBE)
    alone = robust_centre(honest, [ONE] * 5, 1 << 60, 30, PROBE)
    shifts = [abs(a - b) for a, b in zip(centre.theta.values, alone.theta.values, strict=True)]
    assert max(shifts) < 1 << 24  # 2^-6 of the grid of values near 0.25
    assert all(weight == ONE for weight in centre.weights[:5])
    assert all(weight < ONE // 100 for weight in centre.weights[5:])


def test_no_precision_at_all_has_no_mean_and_a_mean_beyond_the_grid_is_an_error():
    with pytest.raises(InvalidValueError, match="no mean"):
        solve(pool([], 0, M), 30)
    with pytest.raises(InvalidValueError, match="component 0"):
        solve(pool([(expand(made([32767] * M, ONE, -24)), ONE)], 0, M), 62)
