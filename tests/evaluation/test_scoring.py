"""Scores mean what their papers say: each is held against an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.scoring import INTERVALS, LEVELS, coverage, crps, mase, pinball

VALUES = st.floats(-5, 5)
DEVIATIONS = st.floats(0.1, 4)


def one(value: float) -> np.ndarray:
    return np.array([value])


@given(VALUES, VALUES, DEVIATIONS)
def test_crps_is_the_integrated_squared_distance_of_the_distribution_functions(
    y: float, mean: float, sd: float
) -> None:
    below = quad(lambda x: norm.cdf(x, mean, sd) ** 2, min(mean - 12 * sd, y), y)[0]
    above = quad(lambda x: (1 - norm.cdf(x, mean, sd)) ** 2, y, max(mean + 12 * sd, y))[0]
    assert crps(one(y), one(mean), one(sd)) == pytest.approx(below + above, abs=1e-6)


def test_crps_is_twice_the_pinball_loss_integrated_over_all_levels() -> None:
    y, mean, sd = 1.3, 0.4, 0.8
    levels = (np.arange(20_000) + 0.5) / 20_000
    over = y - norm.ppf(levels, mean, sd)
    expected = 2 * np.mean(np.maximum(levels * over, (levels - 1) * over))
    assert crps(one(y), one(mean), one(sd)) == pytest.approx(expected, rel=1e-4)


def test_the_crps_of_many_forecasts_is_the_mean_of_each() -> None:
    y, mean, sd = np.array([1.0, -2.0]), np.array([0.0, 1.0]), np.array([1.0, 3.0])
    single = [crps(one(a), one(b), one(c)) for a, b, c in zip(y, mean, sd, strict=True)]
    assert crps(y, mean, sd) == pytest.approx(np.mean(single))


@given(VALUES, VALUES, DEVIATIONS)
def test_the_quantile_has_the_least_expected_pinball_loss(y: float, mean: float, sd: float) -> None:
    expected = []
    for level in LEVELS:
        quantile = norm.ppf(level, mean, sd)
        expected.append(level * (y - quantile) if y > quantile else (1 - level) * (quantile - y))
    assert pinball(one(y), one(mean), one(sd)) == pytest.approx(np.mean(expected), abs=1e-12)


def test_coverage_of_true_deviations_is_the_nominal_share() -> None:
    rng = np.random.default_rng(1)
    sd = rng.uniform(0.5, 2, 200_000)
    y = rng.normal(3.0, sd)
    for share in INTERVALS:
        assert coverage(y, np.full(len(y), 3.0), sd, share) == pytest.approx(share, abs=0.005)
        assert coverage(y, np.full(len(y), 3.0), sd / 2, share) < share - 0.1


def test_mase_is_the_error_in_steps_of_the_seasonal_naive_forecast_in_training() -> None:
    train = np.array([1.0, 4.0, 2.0, 5.0, 5.0, 9.0])
    steps = [abs(train[t] - train[t - 2]) for t in range(2, 6)]
    y, forecast = np.array([7.0, 8.0]), np.array([6.0, 11.0])
    assert mase(y, forecast, train, 2) == pytest.approx(2.0 / np.mean(steps))


def test_mase_leaves_out_steps_with_a_missing_end() -> None:
    train = np.array([1.0, 3.0, np.nan, 8.0, 9.0])
    assert mase(np.array([1.0]), np.array([4.0]), train, 1) == pytest.approx(3.0 / 1.5)


@pytest.mark.parametrize("train", [np.ones(5), np.array([1.0, np.nan, 2.0, np.nan])])
def test_without_a_step_in_training_there_is_no_mase(train: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="never moves over 1 steps"):
        mase(np.array([1.0]), np.array([2.0]), train, 1)


def test_a_deviation_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="positive deviation"):
        crps(one(1.0), one(1.0), one(0.0))
