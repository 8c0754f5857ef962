"""Naive forecasts and ratios to them."""

from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.metrics import geometric_mean, last_values, rmse, rmse_ratio, seasonal_naive

NAN = np.nan


def test_the_last_value_stands_in_for_so_many_steps_and_no_longer() -> None:
    y = np.array([NAN, 1.0, NAN, NAN, NAN, 2.0])
    np.testing.assert_array_equal(last_values(y, 2), [NAN, 1, 1, 1, NAN, 2])
    np.testing.assert_array_equal(last_values(y, 0), y)


def test_the_seasonal_naive_forecast_is_the_value_of_a_season_ago() -> None:
    y = np.arange(10.0)
    np.testing.assert_array_equal(seasonal_naive(y, 7), [*[NAN] * 7, 0, 1, 2])
    with pytest.raises(InvalidValueError, match="between 1 and 9"):
        seasonal_naive(y, 10)


def test_the_ratio_is_that_of_the_two_errors() -> None:
    y, forecast, naive = np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([0.0, 1.0])
    assert rmse(y - forecast) == pytest.approx(np.sqrt(2))
    assert rmse_ratio(y, forecast, naive) == pytest.approx(np.sqrt(2))
    with pytest.raises(InvalidValueError, match="never wrong"):
        rmse_ratio(y, forecast, y)


def test_gains_and_losses_of_the_same_factor_cancel() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1)
    assert geometric_mean([3.0]) == pytest.approx(3)
    for wrong in ([], [1.0, 0.0], [1.0, NAN]):
        with pytest.raises(InvalidValueError, match="positive"):
            geometric_mean(wrong)
