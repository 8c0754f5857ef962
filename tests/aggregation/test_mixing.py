"""Nearest-neighbour mixing against its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from robust_rows import cases, squared

from ledgerfed.aggregation.rules.mixing import nearest_neighbour_mixing


@given(cases())
def test_a_row_takes_itself_and_its_nearest_and_ties_fall_by_rank(case):
    distances = squared(case.gram)
    n = len(distances)
    expected = [
        sorted(sorted(range(n), key=lambda j: (j != i, distances[i][j], case.ranks[j]))[: n - case.hostile])
        for i in range(n)
    ]
    found = nearest_neighbour_mixing(case.gram, case.hostile, case.ranks)
    assert [np.flatnonzero(row).tolist() for row in found] == expected
    assert set(found.ravel().tolist()) <= {0, 1}


def test_equal_rows_each_keep_themselves():
    found = nearest_neighbour_mixing(np.zeros((4, 4), np.int64), 2, [3, 0, 2, 1])
    assert found.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]]
