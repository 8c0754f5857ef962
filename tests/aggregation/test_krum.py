"""Krum and Multi-Krum against their definition, ties by rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from robust_rows import Case, cases, squared

from ledgerfed.aggregation.rules.krum import krum, multi_krum, scores
from ledgerfed.aggregation.weights import WEIGHT_ONE


def plain_scores(case: Case) -> list[int]:
    distances = squared(case.gram)
    n = len(distances)
    others = [sorted(d for j, d in enumerate(row) if j != i) for i, row in enumerate(distances)]
    return [sum(row[: n - case.hostile - 1]) for row in others]


@given(cases())
def test_the_scores_are_sums_over_the_nearest_others(case):
    assert scores(case.gram, case.hostile) == plain_scores(case)


@given(cases())
def test_the_smallest_scores_are_chosen_and_ties_fall_by_rank(case):
    found = plain_scores(case)
    order = sorted(range(len(found)), key=lambda i: (found[i], case.ranks[i]))
    one = {i for i, w in enumerate(krum(case.gram, case.hostile, case.ranks)) if w}
    several = multi_krum(case.gram, case.hostile, case.ranks)
    assert one == {order[0]}
    assert {i for i, w in enumerate(several) if w} == set(order[: len(order) - case.hostile])
    assert set(several) <= {0, WEIGHT_ONE}


def test_a_tie_falls_by_rank_and_not_by_position():
    gram = np.zeros((5, 5), np.int64)
    assert krum(gram, 1, [4, 3, 0, 1, 2]) == (0, 0, WEIGHT_ONE, 0, 0)
    assert multi_krum(gram, 1, [4, 3, 0, 1, 2]) == (0, *[WEIGHT_ONE] * 4)


@pytest.mark.parametrize("n", [600, 1200])
def test_scores_of_many_rows_at_the_extreme_do_not_wrap(n):
    gram = np.where(np.arange(n)[:, None] % 2 == np.arange(n) % 2, 1 << 52, -(1 << 52)).astype(np.int64)
    assert set(scores(gram, 0)) == {(n // 2) << 54}
