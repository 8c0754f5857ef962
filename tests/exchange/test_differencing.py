from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_models import autoregressions

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.differencing import Difference

DIFFERENCES = st.builds(Difference, st.integers(0, 2), st.integers(0, 2), st.sampled_from([1, 4, 7, 12]))


@given(ar=autoregressions(6), difference=DIFFERENCES)
def test_unit_roots_are_folded_in_and_out_again(ar: np.ndarray, difference: Difference) -> None:
    folded = difference.fold(ar)
    assert len(folded) == len(ar) + difference.order
    np.testing.assert_allclose(difference.unfold(folded), ar, atol=1e-9)


@given(ar=autoregressions(4), difference=DIFFERENCES, seed=st.integers(0, 2**32 - 1))
def test_the_folded_model_predicts_the_series_as_the_model_its_difference(
    ar: np.ndarray, difference: Difference, seed: int
) -> None:
    y = np.random.default_rng(seed).normal(size=60).cumsum()
    changes = y.copy()
    for _ in range(difference.regular):
        changes = np.diff(changes)
    for _ in range(difference.seasonal):
        changes = changes[difference.season :] - changes[: -difference.season]
    error = changes[-1] - ar @ changes[-2 : -2 - len(ar) : -1]
    folded = difference.fold(ar)
    assert y[-1] - folded @ y[-2 : -2 - len(folded) : -1] == pytest.approx(error, abs=1e-9)


def test_a_model_without_the_unit_roots_is_not_unfolded() -> None:
    with pytest.raises(InvalidValueError, match="has not these unit roots"):
        Difference(1).unfold([0.5])
    with pytest.raises(InvalidValueError, match="has not these unit roots"):
        Difference(1, 1, 7).unfold(Difference(1).fold([0.5]))
    with pytest.raises(InvalidValueError, match="must be a list of finite numbers"):
        Difference(1).unfold([np.nan])


def test_a_difference_is_checked_where_it_is_made() -> None:
    for regular, seasonal, season in ((-1, 0, 1), (0, -1, 1), (0, 1, 0)):
        with pytest.raises(InvalidValueError):
            Difference(regular, seasonal, season)
