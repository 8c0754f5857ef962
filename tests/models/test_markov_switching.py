from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_series import HOURS, daily, explained, hourly

from ledgerfed.errors import FitError
from ledgerfed.exchange import Design
from ledgerfed.models import load_family
from ledgerfed.models.markov_switching import FittedMarkovSwitching, MarkovSwitching, chosen_columns
from ledgerfed.models.regime_filter import filter_regimes, smooth_regimes
from ledgerfed.models.state_space import on_grid
from ledgerfed.models.switching_likelihood import Switching, fit_switching, log_densities
from ledgerfed.series import Split

STAY = (0.95, 0.85)


def switching(n: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, its regressor, and the regimes: -0.5 with deviation 0.4, and 1.5 with deviation 1."""
    rng = np.random.default_rng(seed)
    regime = np.zeros(n, dtype=int)
    for t in range(1, n):
        regime[t] = regime[t - 1] if rng.random() < STAY[regime[t - 1]] else 1 - regime[t - 1]
    x = rng.normal(size=n)
    y = np.where(regime, 1.5, -0.5) + 0.4 * x + np.where(regime, 1.0, 0.4) * rng.normal(size=n)
    return y, x, regime


def start(n: int) -> np.ndarray:
    return np.arange(n) == 0


def oracle(y: np.ndarray, x: np.ndarray, stay: tuple[float, float]) -> Any:
    """The model of statsmodels, where the chain has made two steps when the first value comes."""
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    model = MarkovRegression(y, k_regimes=2, exog=x, switching_variance=True, switching_exog=False)
    chain = np.array([[stay[0], 1 - stay[1]], [1 - stay[0], stay[1]]])
    model.initialize_known(np.linalg.solve(chain @ chain, [0.5, 0.5]))
    return model


def native(found: Switching) -> list[float]:
    stay, leave = found.stay[0], 1 - found.stay[1]
    return [stay, leave, *found.intercepts, *found.beta, *found.variances]


def test_filter_and_smoother_are_those_of_statsmodels() -> None:
    y, x, _ = switching(200)
    given = Switching((-0.4, 1.3), (0.2, 0.9), (0.9, 0.8), np.array([0.5]))
    logs = log_densities(y - 0.5 * x, given.intercepts, given.variances)
    found = filter_regimes(logs, start(200), given.stay)
    smoothed, moves = smooth_regimes(found, start(200), given.stay)
    expected = oracle(y, x, given.stay).smooth(native(given))
    assert found.loglike == pytest.approx(expected.llf, abs=1e-8)
    np.testing.assert_allclose(found.filtered, expected.filtered_marginal_probabilities[:, 1], atol=1e-10)
    np.testing.assert_allclose(smoothed, expected.smoothed_marginal_probabilities[:, 1], atol=1e-10)
    joint = expected.smoothed_joint_probabilities[:, :, 1:].sum(axis=2)  # to, from
    np.testing.assert_allclose(moves, joint.T, atol=1e-6)
    assert moves.sum() == pytest.approx(199)


def test_what_is_expected_of_the_next_regime_follows_the_chain() -> None:
    logs = np.array([[0.0, -50.0], [np.nan, np.nan], [np.nan, np.nan], [-50.0, 0.0], [0.0, 0.0]])
    begins = np.array([True, False, False, False, True])
    found = filter_regimes(logs, begins, (0.9, 0.8))
    first = 0.1
    second = first * 0.8 + (1 - first) * 0.1
    np.testing.assert_allclose(found.predicted, [0.5, first, second, second * 0.7 + 0.1, 0.5], atol=1e-12)
    np.testing.assert_allclose(found.filtered[3:], [1.0, 0.5], atol=1e-12)


@pytest.mark.parametrize("n", [120, 500])
def test_the_fit_is_nearly_as_likely_as_the_maximum_of_statsmodels(n: int) -> None:
    y, x, _ = switching(n)
    found = fit_switching("test", y, x[:, None], start(n))
    model = oracle(y, x, found.stay)
    best = model.fit(disp=False)
    assert model.loglike(native(found)) > best.llf - 0.5  # what the priors cost
    mine, theirs = np.array(native(found)), best.params
    np.testing.assert_allclose(mine, theirs, atol=0.1)


def test_the_fit_is_a_stationary_point_of_the_penalised_likelihood() -> None:
    from ledgerfed.models import switching_likelihood as module

    y, x, _ = switching(150)
    found = fit_switching("test", y, x[:, None], start(150))
    plain = np.column_stack([np.ones(150), x])
    noise = float(np.mean((y - plain @ np.linalg.lstsq(plain, y)[0]) ** 2))
    problem = module._Problem(y, x[:, None], np.ones(150, dtype=bool), start(150), noise)

    def value(vector: np.ndarray) -> float:
        return module._iterate(problem, Switching.from_vector(vector))[1]

    at = found.vector()
    slopes = [(value(at + h) - value(at - h)) / 2e-4 for h in 1e-4 * np.eye(len(at))]
    np.testing.assert_allclose(slopes, 0.0, atol=1e-3)


def test_regimes_variances_and_coefficients_are_recovered_and_the_calm_one_comes_first() -> None:
    y, x, _ = switching(3_000)
    fitted = MarkovSwitching().fit(explained(y, np.roll(x, -1)[:, None]))
    np.testing.assert_allclose(fitted.intercepts, [-0.5, 1.5], atol=0.2)
    np.testing.assert_allclose(fitted.variances, [0.16, 1.0], rtol=0.2)
    np.testing.assert_allclose(fitted.stay, STAY, atol=0.06)
    assert fitted.beta[1] == pytest.approx(0.4, abs=0.05)
    mirrored = MarkovSwitching().fit(explained(-y, np.roll(x, -1)[:, None]))
    np.testing.assert_allclose(mirrored.intercepts, [0.5, -1.5], atol=0.2)
    assert mirrored.variances[0] < mirrored.variances[1]
    assert fitted.parameters == on_grid(fitted.parameters)


@pytest.mark.parametrize(("means", "deviations"), [((-2, 2), (1, 1)), ((0, 0), (0.3, 2))])
def test_regimes_that_differ_in_mean_or_in_variance_alone_are_found(
    means: tuple[float, float], deviations: tuple[float, float]
) -> None:
    rng = np.random.default_rng(3)
    _, _, regime = switching(400)
    y = np.array(means)[regime] + np.array(deviations)[regime] * rng.normal(size=400)
    found = fit_switching("test", y, np.empty((400, 0)), start(400))
    order = np.argsort(found.intercepts if means[0] != means[1] else found.variances)
    np.testing.assert_allclose(np.array(found.intercepts)[order], means, atol=0.5)
    np.testing.assert_allclose(np.sqrt(found.variances)[order], deviations, rtol=0.2)


def test_a_prediction_weighs_the_regimes_by_what_the_past_expects() -> None:
    fitted = FittedMarkovSwitching((), (-1.0, 1.0), (0.01, 0.01), (0.9, 0.8), ())
    y = np.array([-1.0, -1.0, 1.0, 1.0, np.nan, -1.0])
    expected = [0.0, -0.8, -0.8, 0.6, 0.6, -1 + 2 * (0.8 * 0.8 + 0.2 * 0.1)]
    predicted = fitted.one_step(hourly(y, (1, 2, 3)))
    np.testing.assert_allclose(predicted, expected, atol=1e-9)


def test_the_columns_are_short_and_seasonal_lag_calendar_and_channels_if_rows_suffice() -> None:
    y, x = np.random.default_rng(0).normal(size=90), np.random.default_rng(1).normal(size=(90, 10))
    weekly = daily(y, (1, 2, 7), ("weekday:5",))
    assert [weekly.basis.names[i] for i in chosen_columns(weekly)] == ["y@1", "y@7", "weekday:5"]
    rich = explained(y, x)
    assert len(chosen_columns(rich)) == 11
    assert len(chosen_columns(explained(y[:40], x[:40]))) == 1


def test_families_agree_on_what_a_family_is(transit: Design, windows: Split) -> None:
    family = load_family("markov_switching")
    assert (family.name, family.exchange_weight) == ("markov_switching", 0.0)
    train = transit.within(windows.train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = family.fit(train)
    assert fitted.family == "markov_switching"
    assert family.fit(train).parameters == fitted.parameters
    y, naive = (transit.y[windows.train.start - lag : windows.train.stop - lag] for lag in (0, 7))
    error = fitted.one_step(train)[windows.train.rows] - y
    assert np.sqrt(np.mean(error**2)) < 0.95 * np.sqrt(np.mean((naive - y) ** 2))


def test_a_fit_looks_at_the_rows_that_count_only(transit: Design, windows: Split) -> None:
    y, X = transit.y.copy(), transit.X.copy()
    for values in (y, X):
        values[windows.test.start :] = 77.0
        values[: windows.train.start] = -77.0
    other = Design(transit.basis, transit.times, X, y, transit.rows).within(windows.train)
    fits = [MarkovSwitching().fit(rows) for rows in (transit.within(windows.train), other)]
    assert fits[0].parameters == fits[1].parameters


@settings(deadline=None)
@given(t=st.integers(10, 79), seed=st.integers(0, 2**32 - 1))
def test_no_prediction_up_to_t_knows_y_from_t_on(t: int, seed: int) -> None:
    fitted = FittedMarkovSwitching((0, 3), (-0.5, 1.0), (0.3, 2.0), (0.9, 0.7), (0.4, -0.3))
    rng = np.random.default_rng(seed)
    y, x = np.where(rng.random(80) < 0.15, np.nan, rng.normal(size=80)), rng.normal(size=(80, 1))
    later_y, later_x = y.copy(), x.copy()
    later_y[t:], later_x[t:] = np.where(rng.random(80 - t) < 0.4, np.nan, 100.0), 100.0
    before, after = (
        fitted.one_step(Design(d.basis, d.times, d.X, d.y, np.arange(80) >= 9))[: t + 1]
        for d in (explained(y, x, (1, 2, 7)), explained(later_y, later_x, (1, 2, 7)))
    )
    np.testing.assert_array_equal(before, after)


def test_an_episode_starts_with_even_odds_and_no_step_leads_into_it() -> None:
    y, x, _ = switching(200)
    begins = start(200) | (np.arange(200) == 90)
    logs = log_densities(y - 0.4 * x, (-0.5, 1.5), (0.2, 1.0))
    found = filter_regimes(logs, begins, STAY)
    alone = filter_regimes(logs[90:], begins[90:], STAY)
    np.testing.assert_array_equal(found.predicted[90:], alone.predicted)
    smoothed, moves = smooth_regimes(found, begins, STAY)
    assert moves.sum() == pytest.approx(198)
    np.testing.assert_allclose(smoothed[:90], smooth_regimes_of(logs[:90]), atol=1e-12)


def smooth_regimes_of(logs: np.ndarray) -> np.ndarray:
    begins = start(len(logs))
    return smooth_regimes(filter_regimes(logs, begins, STAY), begins, STAY)[0]


def test_missing_rows_are_passed_over_and_every_row_that_counts_is_predicted() -> None:
    y, x, _ = switching(200)
    y[[20, 21, 60]] = np.nan
    y[90:120] = np.nan
    panel = explained(y, np.roll(x, -1)[:, None])
    predictions = MarkovSwitching().fit(panel).one_step(panel)
    assert np.isfinite(predictions[panel.rows]).all()


def test_32_hours_are_enough_and_20_are_a_fit_error() -> None:
    y, _, _ = switching(HOURS)
    panel = hourly(y)
    assert np.isfinite(MarkovSwitching().fit(panel).one_step(panel)[panel.rows]).all()
    with pytest.raises(FitError, match="'markov_switching' needs 24 rows, got 18; train on more"):
        MarkovSwitching().fit(hourly(y[:20]))


def test_no_regime_shrinks_onto_one_value() -> None:
    """Without its prior the likelihood is unbounded where a variance goes to zero."""
    y = np.random.default_rng(1).normal(size=60)
    y[20:45] = 0.5
    calm, _ = MarkovSwitching().fit(hourly(y)).variances
    assert 0.01 < calm < 0.2


def test_a_series_without_noise_and_a_climb_without_end_are_fit_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(FitError, match="reproduces the series exactly"):
        MarkovSwitching().fit(hourly(np.zeros(60)))
    monkeypatch.setattr("ledgerfed.models.switching_likelihood._ITERATIONS", 2)
    with pytest.raises(FitError, match="'markov_switching' did not converge in 2 iterations"):
        MarkovSwitching().fit(hourly(switching(60)[0]))
