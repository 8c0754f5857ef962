"""Sums of information are exact, so no order and no float can change a bit."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.aggregation.information import (
    aligned,
    distance,
    expand,
    pool,
    precision_triangle,
    ratio_cap,
    solve,
)
from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import information, quantise
from ledgerfed.protocol.fixedpoint import FixedVector, divide_half_even
from ledgerfed.protocol.payload import InformationUpdate, row_start
from ledgerfed.protocol.score import ONE

ZERO = bytes(32)
TAG = bytes(4)
PRIOR = 1 << 60


@st.composite
def updates(draw, d=3):
    upper = list(draw(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=6, max_size=6)))
    for i in range(d):
        upper[row_start(i, d)] = draw(st.integers(1, (1 << 15) - 1))
    exponents = draw(st.lists(st.integers(-24, 40), min_size=d, max_size=d))
    z = draw(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=d, max_size=d))
    return InformationUpdate(ZERO, ZERO, TAG, 60, 1, 1, tuple(exponents), tuple(upper), tuple(z), 16)


def rational(update):
    """Return R (d by d) and z of an update as fractions."""
    d = update.width
    unit = [Fraction(1) / Fraction(2) ** e for e in update.exponents]
    R = [[Fraction(0)] * i + [m * unit[i] for m in update.row(i)] for i in range(d)]
    return R, [m * u for m, u in zip(update.z, unit, strict=True)]


@given(updates())
def test_expanded_information_is_the_rational_one(update):
    R, z = rational(update)
    info = expand(update)
    d = update.width
    gram = [[sum(R[k][a] * R[k][b] for k in range(d)) * 2**80 for b in range(d)] for a in range(d)]
    moment = [sum(R[k][a] * z[k] for k in range(d)) * 2**80 for a in range(d)]
    assert [list(row) for row in info.gram] == gram
    assert list(info.moment) == moment
    assert info.trace == sum(gram[k][k] for k in range(d))


@given(updates(), st.lists(st.integers(-(1 << 50), 1 << 50), min_size=3, max_size=3), st.integers(0, 62))
def test_the_distance_is_the_whitened_one_rounded_half_to_even(update, theta, scale):
    R, z = rational(update)
    values = [Fraction(t, 2**scale) for t in theta]
    errors = [z[i] - sum(R[i][k] * values[k] for k in range(3)) for i in range(3)]
    expected = round(sum(e * e for e in errors) / 3 * ONE)
    assert distance(expand(update), FixedVector(tuple(theta), scale)) == expected


@given(st.lists(st.tuples(updates(), st.integers(0, 1 << 18)), max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_nodes_never_changes_a_bit(rows, shuffler):
    pairs = [(expand(update), weight) for update, weight in rows]
    expected = pool(pairs, PRIOR, 3)
    shuffler.shuffle(pairs)
    assert pool(pairs, PRIOR, 3) == expected


@given(updates(), st.integers(1, 1 << 20))
def test_a_weight_is_a_repetition(update, count):
    info = expand(update)
    once, many = pool([(info, count)], 0, 3), pool([(info, 1)], 0, 3)
    assert once.moment == tuple(count * v for v in many.moment)
    assert once.gram == tuple(tuple(count * v for v in row) for row in many.gram)


@pytest.mark.parametrize("nodes", [1, 5, 20])
def test_the_pooled_solution_is_the_least_squares_of_all_rows(nodes):
    """Up to the 16 bits of a mantissa for the data, and to 1e-9 for the arithmetic on what was sent."""
    rng = np.random.default_rng(nodes)
    Xs = [rng.standard_normal((80, 4)) for _ in range(nodes)]
    ys = [X @ np.array([0.4, -0.2, 1.0, 0.1]) + rng.standard_normal(80) for X in Xs]
    sent = [
        quantise(information(X, y, y, 1.0, s2=1.0), schema=ZERO, base_model=ZERO, family=TAG, bits=16)
        for X, y in zip(Xs, ys, strict=True)
    ]
    pooled = pool([(expand(update), ONE) for update in sent], 1, 4)
    theta = np.array(solve(pooled, 40).values) / 2.0**40
    stacked = [np.array([[float(v) for v in row] for row in rational(u)[0]]) for u in sent]
    right = [np.array([float(v) for v in rational(u)[1]]) for u in sent]
    exact = np.linalg.lstsq(np.vstack(stacked), np.concatenate(right))[0]
    assert np.abs(theta - exact).max() < 1e-9
    centralized = np.linalg.lstsq(np.vstack(Xs), np.concatenate(ys))[0]
    assert np.abs(theta - centralized).max() < 1e-3


def test_the_precision_is_rounded_after_the_sum():
    third = InformationUpdate(ZERO, ZERO, TAG, 9, 1, 1, (20, 20), (3, 1, 5), (0, 0))
    pooled = pool([(expand(third), 3)] * 7, PRIOR, 2)
    exact = [21 * 9 << 40, 21 * 3 << 40, 21 * (1 + 25) << 40]
    exact = [exact[0] + PRIOR, exact[1], exact[2] + PRIOR]
    assert precision_triangle(pooled, 10).values == tuple(divide_half_even(v, 1 << 86) for v in exact)
    with pytest.raises(InvalidValueError):
        precision_triangle(pool([(expand(replace(third, exponents=(-24, -24))), ONE)], PRIOR, 2), 62)


def test_a_solution_beyond_the_grid_is_an_error():
    steep = InformationUpdate(ZERO, ZERO, TAG, 9, 1, 1, (0, 0), (1, 32767, 1), ((1 << 15) - 1,) * 2, 16)
    with pytest.raises(InvalidValueError):
        solve(pool([(expand(steep), ONE)], 1, 2), 40)


@pytest.mark.threat("N3")
@given(updates(), st.integers(-64, 64))
def test_n3_a_scaled_copy_is_aligned_with_its_original(update, shift):
    scaled = [e + shift for e in update.exponents]
    if all(-24 <= e <= 40 for e in scaled):
        copied = replace(update, exponents=tuple(scaled), z=(1, 2, 3))
        for bits in (1, 20, 40):
            assert aligned(expand(update), expand(copied), bits)
            assert aligned(expand(copied), expand(update), bits)


@given(updates(), updates(), st.integers(1, 40))
def test_alignment_is_the_squared_cosine_of_r(left, right, bits):
    a, b = (np.concatenate(rational(u)[0]) for u in (left, right))
    product, norms = sum(a * b), sum(a * a) * sum(b * b)
    expected = product > 0 and product * product > (1 - Fraction(1, 2**bits)) * norms
    assert aligned(expand(left), expand(right), bits) == expected


@given(st.integers(1, 1 << 90), st.integers(ONE, 1 << 40), st.integers(1, 1 << 90))
def test_a_cap_is_the_floor_of_the_ratio_and_at_most_one(value, cap, reference):
    expected = min(Fraction(ONE), Fraction(cap * reference, value))
    assert ratio_cap(value, cap, reference) == expected.__floor__()
    assert ratio_cap(value, cap, reference) * value <= cap * reference


def test_nothing_claimed_is_not_capped():
    assert ratio_cap(0, ONE, 5) == ONE


def test_no_shuffle_of_a_hundred_nodes_changes_the_model():
    rng = random.Random(1)
    infos = []
    for _ in range(100):
        numbers = [rng.randint(1, 1 << 14) for _ in range(6)]
        z = tuple(rng.randint(-(1 << 15), (1 << 15) - 1) for _ in range(3))
        exponents = tuple(rng.randint(0, 20) for _ in range(3))
        infos.append(
            (expand(InformationUpdate(ZERO, ZERO, TAG, 60, 1, 1, exponents, tuple(numbers), z, 16)), ONE)
        )
    expected = solve(pool(infos, PRIOR, 3), 40)
    for _ in range(5):
        rng.shuffle(infos)
        assert solve(pool(infos, PRIOR, 3), 40) == expected
