from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from single_series import HOURS, daily, hourly

from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import design
from ledgerfed.models import Iterated
from ledgerfed.models.concentrated import concentrated
from ledgerfed.models.kalman import kalman_filter
from ledgerfed.models.local_level import LocalLevel
from ledgerfed.models.local_level_likelihood import fit_local_level, fit_local_level_pieces
from ledgerfed.models.state_space import restarts
from ledgerfed.models.structural import Components
from ledgerfed.models.variances import estimate
from ledgerfed.series import align, split, standardisation


def level(n: int, step: float, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(step * rng.normal(size=n)) + noise * rng.normal(size=n)


def oracle(y: np.ndarray, **options: Any) -> Any:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    return UnobservedComponents(y, level="local level", **options)


@pytest.mark.parametrize(
    ("n", "step", "noise"), [(32, 0.5, 1.0), (100, 0.1, 1.0), (1_000, 0.3, 1.0), (997, 2.0, 1.0), (60, 0, 1)]
)
def test_the_fit_is_the_maximum_that_statsmodels_finds(n: int, step: float, noise: float) -> None:
    y = level(n, step, noise)
    mine = fit_local_level(y)
    model = oracle(y)
    best = model.fit(disp=False)
    there = model.loglike([mine.sigma2_irregular, mine.sigma2_level])
    assert there == pytest.approx(mine.loglike, abs=2e-5)  # statsmodels starts from a variance of 1e6
    assert there > best.llf - 1e-6
    np.testing.assert_allclose([mine.sigma2_irregular, mine.sigma2_level], best.params, rtol=2e-3, atol=1e-4)


def profile(y: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    variances = np.column_stack([np.ones_like(ratios), ratios])
    begins = np.arange(len(y)) == 0
    found = kalman_filter(Components(False, 0).models(variances), y[:, None], begins)
    return concentrated(found, y[:, None], begins, 1).loglike


@given(st.integers(0, 10_000), st.integers(4, 60), st.sampled_from([0.0, 0.05, 0.3, 1.0, 10.0]))
def test_no_ratio_of_the_variances_is_likelier_by_the_kalman_filter(seed: int, n: int, step: float) -> None:
    y = level(n, step, seed=seed)
    found = fit_local_level(y)
    if found.sigma2_irregular > 0:
        at = profile(y, np.array([found.sigma2_level / found.sigma2_irregular]))[0]
        assert found.loglike == pytest.approx(at, abs=1e-7)
    assert found.loglike > profile(y, np.geomspace(1e-6, 1e5, 60)).max() - 1e-9
    assert found.loglike > profile(y, np.zeros(1))[0] - 1e-9


def test_a_variance_that_is_not_there_is_zero() -> None:
    see_saw = np.resize([1.0, -1.0], 50) + level(50, 0.0, 0.01)
    assert fit_local_level(see_saw).sigma2_level == 0.0
    smooth = np.cumsum(np.cumsum(level(50, 0.0)))
    assert fit_local_level(smooth).sigma2_irregular == 0.0
    assert fit_local_level(smooth).sigma2_level == pytest.approx(np.mean(np.diff(smooth) ** 2))


def test_the_fit_turns_with_the_unit_and_ignores_the_origin() -> None:
    y = level(200, 0.3)
    one, other = fit_local_level(y), fit_local_level(1_000 * y + 5)
    assert other.sigma2_irregular == pytest.approx(1e6 * one.sigma2_irregular, rel=1e-9)
    assert other.sigma2_level == pytest.approx(1e6 * one.sigma2_level, rel=1e-9)


def test_pieces_share_variances_but_not_levels() -> None:
    first, second = level(80, 0.3, seed=1), level(50, 0.3, seed=2)
    together = fit_local_level_pieces([first, second])
    moved = fit_local_level_pieces([first, second + 1_000])
    assert astuple(together) == pytest.approx(astuple(moved), rel=1e-9)
    assert together.sigma2_level != pytest.approx(fit_local_level(first).sigma2_level, rel=1e-3)
    y = np.concatenate([first, second])
    begins = np.isin(np.arange(len(y)), [0, 80])
    variances = np.array([[together.sigma2_irregular, together.sigma2_level]])
    found = kalman_filter(Components(False, 0).models(variances), y[:, None], begins)
    likelihood = concentrated(found, y[:, None], begins, 1)
    assert likelihood.loglike[0] == pytest.approx(together.loglike, abs=1e-8)
    assert likelihood.scale[0] == pytest.approx(1.0, abs=1e-9)


def test_what_is_no_series_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"3 or more finite values in a row, got the shape \(2,\)"):
        fit_local_level(np.zeros(2))
    with pytest.raises(InvalidValueError, match="split at gaps"):
        fit_local_level(np.array([1.0, np.nan, 2.0, 3.0]))
    with pytest.raises(FitError, match="this one is constant"):
        fit_local_level(np.ones(20))


def test_a_search_that_does_not_end_is_a_fit_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledgerfed.models.local_level_likelihood._ITERATIONS", 1)
    with pytest.raises(FitError, match="found no maximum within 1 steps, at q = "):
        fit_local_level(level(100, 0.3))


def test_a_week_of_days_brings_a_seasonal_and_anything_else_none() -> None:
    y = level(80, 0.3) + np.resize([3.0, 0, 0, 0, 0, -2, -2], 80)
    weekly = LocalLevel().fit(daily(y, (1, 7)))
    plain = LocalLevel().fit(daily(y, (1, 2)))
    assert (weekly.season, len(weekly.parameters)) == (7, 3)
    assert (plain.season, len(plain.parameters)) == (0, 2)
    assert weekly.parameters[0] < 0.5 * plain.parameters[0]


@pytest.mark.parametrize("season", [0, 7])
def test_the_family_agrees_with_statsmodels_where_values_are_missing(season: int) -> None:
    y = level(90, 0.4) + np.resize([3.0, 0, 0, 0, 0, -2, -2], 90) * (season > 0)
    y[[20, 41, 42, 77]] = np.nan
    panel = daily(y, (1, 2, 7) if season else (1, 2, 3))
    fitted = LocalLevel().fit(panel)
    model = oracle(panel.y, seasonal=season or None, use_exact_diffuse=True)
    assert model.loglike(fitted.parameters) > model.fit(disp=False, maxiter=500).llf - 1e-5
    expected = model.filter(fitted.parameters).forecasts[0]
    np.testing.assert_allclose(fitted.one_step(panel), expected, atol=1e-9)


def test_the_closed_form_and_the_search_end_at_the_same_variances(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = level(70, 0.3, seed=1), level(60, 0.3, seed=2) + 4
    y = np.concatenate([first, np.full(10, np.nan), second])
    closed = LocalLevel().fit(daily(y, (1, 2)))
    searched = estimate("test", Components(False, 0), y[:, None], restarts(y, 2), 1)
    np.testing.assert_allclose(closed.parameters, searched.variances, atol=1e-5)
    monkeypatch.setattr("ledgerfed.models.likelihood_search._ITERATIONS", 0)
    assert LocalLevel().fit(daily(y, (1, 2))) == closed
    y[30] = np.nan
    with pytest.raises(FitError, match="found no maximum within 0 steps"):
        LocalLevel().fit(daily(y, (1, 2)))


def test_a_seasonal_that_stands_still_is_no_failed_fit() -> None:
    panel = next(panel for panel in load_transit() if panel.name == "Montrose")
    aligned = align(panel.head(len(panel) - 6 * 180))
    train = split(aligned).train
    rows = design(aligned, TRANSIT_BASIS, standardisation(aligned, train)).within(train)
    noise, steps, season = LocalLevel().fit(rows).parameters
    np.testing.assert_allclose([noise, steps, season], [0.0709, 0.0171, 0.0], atol=1e-4)


def test_a_level_is_forecast_flat_and_a_week_repeats() -> None:
    y = level(80, 0.3) + np.resize([3.0, 0, 0, 0, 0, -2, -2], 80)
    plain, weekly = daily(y, (1, 2)), daily(y, (1, 7))
    flat = LocalLevel().fit(plain)
    assert isinstance(flat, Iterated)
    np.testing.assert_allclose(flat.ahead(plain, 4)[10:], flat.one_step(plain)[7:-3], atol=1e-12)
    np.testing.assert_array_equal(flat.ahead(plain, 1), flat.one_step(plain))
    week = LocalLevel().fit(weekly)
    np.testing.assert_allclose(week.ahead(weekly, 8)[47:], week.one_step(weekly)[40:-7], atol=1e-9)


def test_a_stay_of_32_hours_is_enough_for_a_level_and_one_of_seven_is_not() -> None:
    assert len(LocalLevel().fit(hourly(level(HOURS, 0.4))).parameters) == 2
    with pytest.raises(FitError, match="'local_level' needs 8 values, got 7; train on more"):
        LocalLevel().fit(hourly(level(7, 0.4)))
    with pytest.raises(FitError, match="'local_level' needs 28 values, got 27"):
        LocalLevel().fit(daily(level(27, 0.4), (1, 7)))
