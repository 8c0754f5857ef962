"""Who gains and who loses, by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.fairness import fairness

RATIOS = st.lists(st.floats(0.1, 10), min_size=1, max_size=30).map(np.array)


@given(RATIOS)
def test_gini_is_the_mean_difference_over_twice_the_mean(ratios: np.ndarray) -> None:
    n = len(ratios)
    apart = sum(abs(a - b) for a in ratios for b in ratios)
    assert fairness(ratios).gini == pytest.approx(apart / (2 * n * n * ratios.mean()), abs=1e-12)


@given(RATIOS)
def test_jain_is_one_for_equals_and_one_over_n_for_one_that_has_all(ratios: np.ndarray) -> None:
    n = len(ratios)
    assert fairness(np.full(n, ratios[0])).jain == pytest.approx(1)
    assert 1 / n - 1e-12 <= fairness(ratios).jain <= 1 + 1e-12
    alone = np.full(n, 1e-9)
    alone[0] = 1.0
    assert fairness(alone).jain == pytest.approx(1 / n, rel=1e-6)
    expected = sum(ratios) ** 2 / (n * sum(r * r for r in ratios))
    assert fairness(ratios).jain == pytest.approx(expected)


def test_no_worse_forgives_one_per_cent_and_not_more() -> None:
    found = fairness(np.array([0.5, 1.0, 1.01, 1.0101]))
    assert found.no_worse == 0.75
    assert found.worst == 1.0101


def test_p90_is_what_nine_of_ten_nodes_do_not_exceed() -> None:
    assert fairness(np.arange(1.0, 12.0)).p90 == 10.0


@pytest.mark.parametrize("ratios", [np.array([]), np.array([1.0, 0.0]), np.array([1.0, np.nan])])
def test_what_is_no_ratio_is_refused(ratios: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="ratios of errors are positive"):
        fairness(ratios)
