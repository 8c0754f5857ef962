"""Centered clipping and the redescending centre on a Gram matrix, against their definitions in fractions."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from robust_rows import Case, cases, centre, radii, rows_of, squared

from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.rules import clipping, redescending
from ledgerfed.aggregation.rules.clipping import centered_clipping
from ledgerfed.aggregation.weights import WEIGHT_ONE
from ledgerfed.protocol.score import lower_median


def clipped_plainly(case: Case) -> list[int]:
    """Take the zero for one more row and move towards the clipped differences."""
    n = len(case.values)
    distances = squared(np.pad(case.gram, ((0, 1), (0, 1))))
    weights = [0] * n + [WEIGHT_ONE]
    for _ in range(clipping.STEPS):
        found = radii(distances, weights)[:n]
        bound = sorted(found)[(n - 1) // 2]
        shares = [Fraction(1) if r <= bound else bound / r for r in found]
        taken = [isqrt((s.numerator << 64) // s.denominator) for s in shares] + [0]
        kept = 1 - Fraction(sum(taken), n * WEIGHT_ONE)
        weights = [round(w * kept + Fraction(t, n)) for w, t in zip(weights, taken, strict=True)]
    return weights[:n]


@settings(max_examples=40)
@given(cases(largest=6))
def test_the_clipped_weights_are_those_of_all_steps_in_fractions(case):
    assert list(centered_clipping(case.gram, case.hostile, case.ranks)) == clipped_plainly(case)


@pytest.mark.parametrize("kind", ["none", "uneven", "shifted", "one far"])
def test_clipping_ends_where_the_clipped_differences_cancel(kind):
    values = rows_of(kind, np.random.default_rng(4), 21, 5, 200)
    found = centre(values, centered_clipping(gram(values), 5, range(21))).astype(float)
    away = values - found
    lengths = np.linalg.norm(away, axis=1)
    bound = np.sort(lengths)[(len(lengths) - 1) // 2]
    pull = (away * np.minimum(1, bound / lengths)[:, None]).mean(axis=0)
    assert np.linalg.norm(pull) < 1e-3 * bound


def test_nothing_of_the_base_model_is_left_after_the_steps():
    values = np.full((5, 3), 1000, np.int32)
    values[0] = -100_000
    assert sum(centered_clipping(gram(values), 1, range(5))) > WEIGHT_ONE - 100


def redescended_plainly(case: Case) -> list[int]:
    distances = squared(case.gram)
    n = len(distances)
    reach = [(lower_median(row), case.ranks[i], i) for i, row in enumerate(distances)]
    weights = [WEIGHT_ONE if i == min(reach)[2] else 0 for i in range(n)]
    for _ in range(redescending.STEPS):
        found = radii(distances, weights)
        knee = redescending.KNEE * max(Fraction(1), 1 * sorted(found)[(n - 1) // 2])
        weights = [WEIGHT_ONE if r <= knee else int(WEIGHT_ONE * (knee / r) ** 2) for r in found]
    return weights


@given(cases())
def test_the_redescending_weights_are_those_of_all_steps_in_fractions(case):
    found = redescending.redescending(case.gram, case.hostile, case.ranks)
    assert list(found) == redescended_plainly(case)


def test_the_pull_of_an_update_falls_as_it_moves_away():
    generator = np.random.default_rng(8)
    values = np.rint(generator.normal(0, 100, (9, 20))).astype(np.int32)
    shares = []
    for far in (2_000, 20_000, 100_000):
        values[0] = far
        weights = redescending.redescending(gram(values), 1, range(9))
        shares.append(weights[0] * far)
    assert shares[0] > shares[1] > shares[2]
