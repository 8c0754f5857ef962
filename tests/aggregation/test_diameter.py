"""MDA: the first of the smallest of all subsets, and what happens without budget."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robust_rows import KINDS, Case, cases, rows_of, squared

from ledgerfed.aggregation.gram import gram, squared_distances
from ledgerfed.aggregation.rules.diameter import minimum_diameter, minimum_diameter_subset
from ledgerfed.aggregation.weights import WEIGHT_ONE


def widest(distances: list[list[int]], kept: tuple[int, ...]) -> int:
    return max(distances[i][j] for i in kept for j in kept)


def first_of_all(case: Case) -> tuple[tuple[int, ...], int]:
    """Go through all subsets in the order of ranks and keep the first best one."""
    distances = squared(case.gram)
    n = len(distances)
    by_rank = sorted(range(n), key=lambda i: case.ranks[i])
    best = min(combinations(by_rank, n - case.hostile), key=lambda kept: widest(distances, kept))
    return tuple(sorted(best)), widest(distances, best)


@given(cases(largest=9, besides=1))
def test_it_is_the_first_smallest_of_all_subsets(case):
    found = minimum_diameter_subset(squared_distances(case.gram), case.hostile, case.ranks)
    assert (found.kept, found.diameter) == first_of_all(case)
    assert found.exact
    weights = minimum_diameter(case.gram, case.hostile, case.ranks)
    assert [i for i, w in enumerate(weights) if w == WEIGHT_ONE] == list(found.kept)
    assert sum(weights) == len(found.kept) * WEIGHT_ONE


@given(st.data(), st.integers(3, 11))
def test_any_distances_are_searched_exactly(data, n):
    """Distances of a few values are what makes covers hard, and not all of them are of points."""
    upper = data.draw(st.lists(st.integers(1, 6), min_size=n * n, max_size=n * n))
    distances = np.array(upper, np.int64).reshape(n, n)
    distances = np.triu(distances, 1) + np.triu(distances, 1).T
    hostile = data.draw(st.integers(0, (n - 1) // 2))
    listed = distances.tolist()
    best = min(combinations(range(n), n - hostile), key=lambda kept: widest(listed, kept))
    found = minimum_diameter_subset(distances, hostile, range(n))
    assert (found.kept, found.diameter) == (best, widest(listed, best))


@given(cases(largest=9, besides=1), st.integers(0, 12))
def test_without_budget_it_is_at_most_twice_as_wide(case, budget):
    smallest = first_of_all(case)[1]
    found = minimum_diameter_subset(squared_distances(case.gram), case.hostile, case.ranks, budget)
    assert len(found.kept) == len(case.values) - case.hostile
    assert found.diameter <= 4 * smallest
    assert found.diameter == smallest or not found.exact


def test_the_fallback_is_the_tightest_ball_and_says_so():
    line = np.array([[0], [10], [20], [30], [45], [60]], np.int32)
    distances = squared_distances(gram(line))
    found = minimum_diameter_subset(distances, 2, [5, 4, 3, 2, 1, 0], budget=0)
    assert (found.kept, found.diameter, found.exact) == ((1, 2, 3, 4), 35**2, False)
    found = minimum_diameter_subset(distances, 2, [5, 4, 3, 2, 1, 0])
    assert (found.kept, found.diameter, found.exact) == ((0, 1, 2, 3), 30**2, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 1000])
def test_fifty_updates_with_ten_hostile_ones_are_searched_within_budget(kind, d):
    values = rows_of(kind, np.random.default_rng(3), 50, 10, d)
    found = minimum_diameter_subset(squared_distances(gram(values)), 10, range(50), budget=400)
    assert found.exact
