"""The covariance filter: its integers written plainly, its float twin, and what it is for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from robust_rows import KINDS, Case, cases, centre, rows_of, squared

from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.rules import covariance_filter as rule
from ledgerfed.aggregation.rules.covariance_filter import covariance_filter
from ledgerfed.aggregation.weights import WEIGHT_ONE

BITS = 17
"""Of a limb of a vector, for at most 1024 updates."""


def about_medoid(case: Case) -> list[list[int]]:
    distances = squared(case.gram)
    n, count = len(distances), len(distances) - case.hostile
    m = min(range(n), key=lambda i: (sorted(distances[i])[count - 1], case.ranks[i]))
    g = case.gram.tolist()
    return [[g[i][j] - g[i][m] - g[m][j] + g[m][m] for j in range(n)] for i in range(n)]


class PlainProduct:
    """Deviations as the rule rounds them: the matrix at 53 bits, the product of both low limbs dropped."""

    def __init__(self, matrix: list[list[int]]) -> None:
        self.matrix, self.held = matrix, 0

    def weigh(self, weights: list[int]) -> None:
        n, active = len(weights), [i for i, w in enumerate(weights) if w]
        largest = max(self.matrix[i][i] for i in active)
        if not self.held or largest.bit_length() < self.held.bit_length() - 6:
            both = [
                [v if i in active and j in active else 0 for j, v in enumerate(row)]
                for i, row in enumerate(self.matrix)
            ]
            top = max(abs(v) for row in both for v in row).bit_length()
            self.shift, self.held = top - 53, largest
            self.scaled = [[round(Fraction(v) * Fraction(2) ** -self.shift) for v in row] for row in both]
        self.scaled = [row if i in active else [0] * n for i, row in enumerate(self.scaled)]
        columns = list(zip(*self.scaled, strict=True))
        self.mean = [
            sum(w * v for w, v in zip(weights, column, strict=True)) // sum(weights) for column in columns
        ]

    def deviations(self, vector: list[int]) -> list[int]:
        found = [self._product(row, vector) for row in (*self.scaled, self.mean)]
        return [value - found[-1] for value in found[:-1]]

    @staticmethod
    def _product(row: list[int], vector: list[int]) -> int:
        high = [(v + (1 << 26)) >> 27 for v in row]
        low = [v - (h << 27) for v, h in zip(row, high, strict=True)]
        upper, lower = [q >> BITS for q in vector], [q % (1 << BITS) for q in vector]

        def dot(a: list[int], b: list[int]) -> int:
            return sum(x * y for x, y in zip(a, b, strict=True))

        return (dot(high, upper) << 9) + (dot(high, lower) >> (BITS - 9)) + (dot(low, upper) >> 18)


def shifted(value: int, bits: int) -> int:
    return value >> bits if bits > 0 else value << -bits


def iterated(product: PlainProduct, weights: list[int], start: list[int]) -> tuple[list[int], list[int]]:
    found = [sum(weights) * v - sum(w * u for w, u in zip(weights, start, strict=True)) for v in start]
    for _ in range(rule.STEPS):
        excess = max(max(found), -min(found)).bit_length() - 30
        mixture = [(w * shifted(p, excess)) >> (32 + 30 - 33) for w, p in zip(weights, found, strict=True)]
        found = product.deviations(mixture)
        if not any(found):
            break
    return mixture, found


def plainly(case: Case) -> list[int]:
    n = len(case.values)
    matrix = about_medoid(case)
    product = PlainProduct(matrix)
    weights = best = [WEIGHT_ONE] * n
    least = None
    while sum(weights) > (n - 2 * case.hostile) * WEIGHT_ONE:
        product.weigh(weights)
        mixture, found = iterated(product, weights, [2 * r + 1 - n for r in case.ranks])
        if not any(found):
            far = max((i for i in range(n) if weights[i]), key=lambda i: (matrix[i][i], -case.ranks[i]))
            mixture, found = iterated(product, weights, [int(i == far) for i in range(n)])
        above = sum(w * p * p for w, p in zip(weights, found, strict=True))
        below = sum(weights) * sum(q * p for q, p in zip(mixture, found, strict=True))
        variance = Fraction(0)
        if above == 0 or below <= 0:
            found = [0] * n
        else:
            variance = Fraction(above, below) * Fraction(2) ** product.shift
        if least is None or variance < least:
            best, least = weights, variance
        furthest = max(abs(p) for p, w in zip(found, weights, strict=True) if w)
        if not furthest:
            break
        shares = [1 - Fraction(p * p, furthest**2) for p in found]
        weights = [round(w * s) if w else 0 for w, s in zip(weights, shares, strict=True)]
    return best


@settings(max_examples=150)
@given(cases(largest=9))
def test_the_weights_are_those_of_the_definition_in_fractions(case):
    assert list(covariance_filter(case.gram, case.hostile, case.ranks)) == plainly(case)


def in_floats(values: np.ndarray, hostile: int) -> np.ndarray:
    """Return the filter's result on the rows themselves in float64, the same start and steps."""
    rows = values.astype(np.float64)
    n = len(rows)
    weights = best = np.ones(n)
    least = np.inf
    while weights.sum() > n - 2 * hostile:
        away = rows - weights @ rows / weights.sum()
        found = np.arange(1.0 - n, n, 2.0)
        for _ in range(rule.STEPS):
            mixture = weights * found
            direction = (mixture - weights * mixture.sum() / weights.sum()) @ away
            found = away @ (direction / np.linalg.norm(direction))
        variance = weights @ found**2 / weights.sum()
        if variance < least:
            best, least = weights, variance
        tau = found**2
        weights = np.where(weights > 0, weights * (1 - tau / tau[weights > 0].max()), 0.0)
        weights[weights < 2.0**-33] = 0.0
    return best @ rows / best.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "hostile", "d"), [(11, 3, 40), (30, 9, 300)])
def test_it_equals_its_float_twin_to_nine_digits(kind, n, hostile, d):
    """Every round cuts deviations to 30 bits; uneven updates take many rounds, whose errors multiply."""
    values = rows_of(kind, np.random.default_rng(12), n, hostile, d)
    found = centre(values, covariance_filter(gram(values), hostile, range(n))).astype(float)
    share = 2e-8 if kind == "uneven" else 1e-9
    assert np.linalg.norm(found - in_floats(values, hostile)) <= share * np.linalg.norm(values, axis=1).max()


@pytest.mark.parametrize("kind", ["against", "shifted", "one far", "little"])
def test_updates_that_agree_on_a_lie_lose_nearly_all_weight(kind):
    values = rows_of(kind, np.random.default_rng(6), 17, 4, 2410)
    weights = covariance_filter(gram(values), 4, range(17))
    assert sum(weights[:4]) < sum(weights) // 20


def test_without_hostile_updates_it_is_the_mean():
    values = rows_of("none", np.random.default_rng(6), 9, 0, 20)
    assert set(covariance_filter(gram(values), 0, range(9))) == {WEIGHT_ONE}


def test_equal_updates_are_left_alone():
    assert set(covariance_filter(np.full((7, 7), 25, np.int64), 3, range(7))) == {WEIGHT_ONE}


def test_two_points_whose_start_cancels_are_told_apart():
    """The ranks of both groups sum to the same, so the start has no variance although the updates have."""
    values = np.array([[0], [900], [0], [900], [0]], np.int32)
    ranks = [0, 1, 2, 3, 4]
    weights = covariance_filter(gram(values), 2, ranks)
    assert (weights[1], weights[3]) == (0, 0)


@pytest.mark.parametrize("far", [1 << 52, (1 << 52) - 5])
def test_updates_at_the_end_of_the_matrix_do_not_hide_what_is_small(far):
    """Two updates fill the matrix; a third is far out among updates that differ by a few steps."""
    diagonal = np.diag(np.array([far, far - 1, 1 << 20, 9, 10, 11, 12, 13, 14], np.int64))
    weights = covariance_filter(diagonal, 3, range(9))
    assert weights[:3] == (0, 0, 0)
    assert min(weights[3:]) > 0
