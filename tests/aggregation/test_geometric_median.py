"""The geometric median: its steps in Python integers, its float twin, and that it is the median."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from robust_rows import KINDS, TOP, Case, cases, centre, radii, rows_of, squared

from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.rules import geometric_median as rule
from ledgerfed.aggregation.rules.geometric_median import geometric_median
from ledgerfed.aggregation.weights import WEIGHT_ONE


def start(distances: list[list[int]], case: Case) -> list[int]:
    """Return weight one for the n - f nearest of the update whose (n - f)-th distance is the smallest."""
    n = len(distances)
    count = n - case.hostile
    middle = min(range(n), key=lambda i: (sorted(distances[i])[count - 1], case.ranks[i]))
    near = sorted(range(n), key=lambda j: (j != middle, distances[middle][j], case.ranks[j]))[:count]
    return [WEIGHT_ONE if i in near else 0 for i in range(n)]


def plainly(case: Case) -> list[int]:
    distances = squared(case.gram)
    weights = start(distances, case)
    for _ in range(rule.STEPS):
        found = [max(r, Fraction(1)) for r in radii(distances, weights)]
        shares = [min(found) / r for r in found]
        weights = [isqrt((s.numerator << 64) // s.denominator) for s in shares]
    return weights


@settings(max_examples=40)
@given(cases(largest=7))
def test_the_weights_are_those_of_all_steps_in_fractions(case):
    assert list(geometric_median(case.gram, case.hostile, case.ranks)) == plainly(case)


def in_floats(values: np.ndarray, hostile: int) -> np.ndarray:
    """Return the same steps on the rows themselves, in float64."""
    rows = values.astype(np.float64)
    between = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    count = len(rows) - hostile
    middle = np.argmin(np.sort(between, axis=1)[:, count - 1])
    z = rows[np.argsort(between[middle])[:count]].mean(axis=0)
    for _ in range(rule.STEPS):
        weights = 1 / np.maximum(np.sqrt(((rows - z) ** 2).sum(axis=1)), 1.0)
        z = weights @ rows / weights.sum()
    return z


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "hostile", "d"), [(11, 3, 40), (30, 9, 300)])
def test_it_equals_its_float_twin_to_nine_digits(kind, n, hostile, d):
    """A weight is cut at 2^-32 of the largest, so the result is off by that share of the furthest update."""
    values = rows_of(kind, np.random.default_rng(11), n, hostile, d)
    found = centre(values, geometric_median(gram(values), hostile, range(n)))
    expected = in_floats(values, hostile)
    assert np.linalg.norm((found - expected).astype(float)) <= 1e-9 * np.linalg.norm(values, axis=1).max()


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_away_from_it_shortens_the_sum_of_distances(kind):
    generator = np.random.default_rng(2)
    values = rows_of(kind, generator, 17, 5, 6)
    found = centre(values, geometric_median(gram(values), 5, range(17))).astype(float)

    def total(z: np.ndarray) -> float:
        return float(np.sqrt(((values - z) ** 2).sum(axis=1)).sum())

    for size in (0.01, 1.0, 100.0):
        for direction in generator.normal(0, size, (50, 6)):
            assert total(found) <= total(found + direction) * (1 + 1e-9)


def test_a_majority_at_one_point_is_the_median():
    values = np.array([[5, 5]] * 4 + [[TOP, -TOP]] * 3, np.int32)
    found = centre(values, geometric_median(gram(values), 3, range(7)))
    assert np.abs(found - 5).max() < 1.1


@pytest.mark.parametrize("far", [1 << 52, (1 << 52) - 3])
def test_a_gram_matrix_at_the_extreme_does_not_wrap(far):
    """Three updates within a few steps of each other, two so far that their squares fill the matrix."""
    diagonal = np.diag(np.array([far, far, 9, 16, 25], np.int64))
    weights = geometric_median(diagonal, 2, range(5))
    exact = radii(squared(diagonal), list(weights))
    assert weights[2] == WEIGHT_ONE
    assert 0 < max(weights[:2]) < 1 << 12
    for weight, radius in zip(weights, exact, strict=True):
        assert abs(weight - float(WEIGHT_ONE * (exact[2] / radius) ** Fraction(1, 2))) <= 1


def test_equal_updates_share_the_weight():
    assert set(geometric_median(np.zeros((5, 5), np.int64), 2, range(5))) == {WEIGHT_ONE}
