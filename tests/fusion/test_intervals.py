from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from ledgerfed.datasets import load_transit
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.bases import TRANSIT_WEEKS
from ledgerfed.exchange import design, information, noise_about
from ledgerfed.fusion import Personal, fuse, interval, personalise
from ledgerfed.fusion.intervals import EMPIRICAL_FROM, Interval, deviation, deviations, left_out
from ledgerfed.series import Window, align, standardisation

Sample = tuple[np.ndarray, np.ndarray]


def certain(d: int = 2, s2: float = 4.0) -> Personal:
    return Personal(np.zeros(d), np.zeros((d, d)), np.full(15, 1 / 15), s2)


@cache
def stations(horizon: int, years_back: int) -> tuple[tuple[Sample, Sample], ...]:
    """Rows of all stations: half a year to fit, the year after to forecast directly, `horizon` days ahead."""
    basis = TRANSIT_WEEKS.at_horizon(horizon)
    found = []
    for panel in load_transit():
        stop = len(panel) - 60 - 365 * years_back
        fitted = Window(stop - 365 - 180, stop - 365)
        aligned = align(panel)
        whole = design(aligned, basis, standardisation(aligned, fitted))
        asked = whole.within(Window(stop - 365, stop))
        found.append((whole.within(fitted).sample(), asked.sample()))
    return tuple(found)


def forecasters(samples: list[Sample]) -> list[Personal]:
    infos = [information(X, y, y, 1.0) for X, y in samples]
    theta, _ = fuse(infos, [1.0] * len(infos))
    infos = [information(X, y, y, 1.0, noise_about(X, y, theta)) for X, y in samples]
    theta, precision = fuse(infos, [1.0] * len(infos))
    return [personalise(info, theta, precision / len(infos)) for info in infos]


@pytest.mark.parametrize("horizon", [1, 7])
def test_intervals_hold_what_they_say_over_earlier_years(horizon: int) -> None:
    """Direct forecasts of tomorrow and of a week ahead; single years are calmer or wilder."""
    found: dict[float, list[float]] = {0.8: [], 0.95: []}
    for rows in (stations(horizon, back) for back in (1, 3, 5, 7)):
        for own, ((X, y), (ahead, truth)) in zip(forecasters([fit for fit, _ in rows]), rows, strict=True):
            errors = left_out(own, X, y) / deviation(own, X)
            for level, shares in found.items():
                held = interval(ahead @ own.theta, deviation(own, ahead), errors, level)
                shares.append(held.coverage(truth))
    assert np.mean(found[0.8]) == pytest.approx(0.8, abs=0.06)
    assert np.mean(found[0.95]) == pytest.approx(0.95, abs=0.03)


def test_a_week_ahead_is_less_certain_than_tomorrow() -> None:
    sizes = [np.mean([own.s2 for own in forecasters([fit for fit, _ in stations(h, 1)])]) for h in (1, 7)]
    assert sizes[1] > 1.1 * sizes[0]


def test_leaving_out_in_closed_form_is_leaving_out() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    prior = 3.0 * np.eye(4)

    def fit(X: np.ndarray, y: np.ndarray) -> Personal:
        covariance = np.linalg.inv(X.T @ X / 0.5 + prior)
        return Personal(covariance @ X.T @ y / 0.5, covariance, np.full(15, 1 / 15), 0.5)

    expected = []
    for i in range(30):
        others = np.arange(30) != i
        expected.append(y[i] - X[i] @ fit(X[others], y[others]).theta)
    np.testing.assert_allclose(left_out(fit(X, y), X, y), expected, rtol=1e-9)


def test_a_row_that_only_fits_itself_is_not_blown_up_without_bound() -> None:
    own = Personal(np.zeros(1), np.eye(1), np.full(15, 1 / 15), 1.0)
    assert left_out(own, np.array([[50.0]]), np.array([1.0])) == pytest.approx(20.0)


def test_the_deviation_grows_with_what_is_not_known_about_the_coefficients() -> None:
    own = Personal(np.zeros(2), np.diag([1.0, 0.0]), np.full(15, 1 / 15), 4.0)
    np.testing.assert_allclose(deviation(own, np.array([[0.0, 9.0], [3.0, 0.0]])), [2.0, np.sqrt(13.0)])
    np.testing.assert_allclose(deviation(certain(), np.ones((3, 2))), 2.0)


def test_few_errors_take_students_quantile_of_their_size() -> None:
    errors = np.array([1.0, -2.0, 2.0, -1.0, 0.5, 0.0])
    size = np.sqrt(np.mean(errors**2))
    assert deviations(errors, 0.95) == pytest.approx(size * student.ppf(0.975, 6))
    assert deviations(errors, 0.8) == pytest.approx(size * student.ppf(0.9, 6))


def test_many_errors_take_their_own_quantile_whatever_their_distribution() -> None:
    rng = np.random.default_rng(4)
    skewed = rng.exponential(size=4000)
    assert deviations(skewed, 0.8) == pytest.approx(-np.log(0.2), rel=0.05)
    assert deviations(rng.normal(size=4000), 0.95) == pytest.approx(norm.ppf(0.975), rel=0.05)
    edge = np.arange(1.0, EMPIRICAL_FROM + 1)
    assert deviations(edge, 0.8) == 81.0  # the ceil(101 * 0.8)-th of 100


def test_a_level_beyond_the_largest_error_falls_back_on_students_quantile() -> None:
    errors = np.random.default_rng(5).normal(size=EMPIRICAL_FROM)
    size = np.sqrt(np.mean(errors**2))
    assert deviations(errors, 0.999) == pytest.approx(size * student.ppf(0.9995, EMPIRICAL_FROM))


@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 60, 99, 100, 101, 300]))
def test_a_higher_level_is_never_narrower(seed: int, m: int) -> None:
    errors = np.random.default_rng(seed).standard_t(3, size=m)
    widths = [deviations(errors, level) for level in (0.5, 0.8, 0.9, 0.95)]
    assert widths == sorted(widths)


def test_an_interval_lies_around_its_forecast_and_counts_its_edges() -> None:
    held = interval(np.array([0.0, 10.0]), np.array([1.0, 2.0]), np.ones(200), 0.8)
    np.testing.assert_allclose([held.lower, held.upper], [[-1.0, 8.0], [1.0, 12.0]])
    assert held.coverage(np.array([1.0, 12.1])) == 0.5
    assert held.coverage(np.array([-1.0, 8.0])) == 1.0


def test_what_gives_no_interval_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="at least one error"):
        deviations(np.zeros(0), 0.8)
    with pytest.raises(InvalidValueError, match="finite"):
        deviations(np.array([1.0, np.nan]), 0.8)
    for level in (0.0, 1.0):
        with pytest.raises(InvalidValueError, match="between 0 and 1"):
            deviations(np.ones(3), level)
    with pytest.raises(InvalidValueError, match="deviations"):
        interval(np.zeros(2), np.ones(3), np.ones(9), 0.8)
    with pytest.raises(InvalidValueError, match="the interval is for"):
        Interval(np.zeros(2), np.ones(2), 0.8).coverage(np.zeros(3))
