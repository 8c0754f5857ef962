"""Structural series, dynamic regression, linear state space, and what they share with the local level."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_series import HOURS, daily, explained, hourly

from ledgerfed.errors import FitError
from ledgerfed.exchange import Design
from ledgerfed.exchange.innovations import innovations
from ledgerfed.exchange.linear_prediction import step_down
from ledgerfed.models import Family, Iterated, load_family
from ledgerfed.models import linear_state_space as module
from ledgerfed.models.dynamic_regression import DynamicRegression
from ledgerfed.models.linear_state_space import LinearStateSpace
from ledgerfed.models.state_space import akaike, history, on_grid, restarts, stretch
from ledgerfed.models.structural import Components, Structural
from ledgerfed.models.variances import estimate
from ledgerfed.series import Split

NAMES = ("local_level", "structural", "dynamic_regression", "linear_state_space")
WEEKEND = ("weekday:5", "weekday:6")


def walk(n: int, step: float = 0.3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(step * rng.normal(size=n)) + rng.normal(size=n)


def autoregression(n: int, phi: tuple[float, float], theta: float = 0.0, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n + 50)
    y = np.zeros(n + 50)
    for t in range(2, n + 50):
        y[t] = phi[0] * y[t - 1] + phi[1] * y[t - 2] + noise[t] + theta * noise[t - 1]
    return y[50:]


def any_design(y: np.ndarray, x: np.ndarray) -> Design:
    """With a channel and a week, so that every family has what it looks for."""
    return explained(y, x, (1, 2, 7))


# the stretch


def test_an_episode_begins_after_as_many_missing_rows_as_the_lags_and_the_hold_reach() -> None:
    y = np.array([1, 2, np.nan, np.nan, 3, np.nan, np.nan, np.nan, 4, np.nan])
    assert np.flatnonzero(restarts(y, 3)).tolist() == [0, 8]
    assert np.flatnonzero(restarts(y, 2)).tolist() == [0, 4, 7, 8]
    assert np.flatnonzero(stretch(hourly(y, (1, 2))).restarts).tolist() == [0, 4, 7, 8]
    assert np.flatnonzero(stretch(hourly(y, (1, 2), hold=1)).restarts).tolist() == [0, 8]


def test_whether_a_value_is_missing_does_not_start_an_episode_at_its_own_row() -> None:
    y = np.array([1, np.nan, np.nan, 2.0])
    other = np.array([1, np.nan, np.nan, np.nan])
    assert restarts(y, 2).tolist() == restarts(other, 2).tolist()


def test_the_history_reaches_as_far_back_as_the_basis_or_two_seasons(transit: Design, windows: Split) -> None:
    train = transit.within(windows.train)
    assert history(train) == slice(windows.train.start - 14, windows.train.stop)
    assert history(train, 12) == slice(windows.train.start - 24, windows.train.stop)
    assert history(transit).start == 0


def test_parameters_lie_on_the_grid() -> None:
    assert on_grid([0.1, -1e-9, 2.0**-20]) == (104_858 / 2**20, 0.0, 2.0**-20)
    assert not np.signbit(on_grid([-1e-9])[0])


def test_the_corrected_criterion_costs_more_the_fewer_values_there_are() -> None:
    assert akaike(-10.0, 3, 1_000_000) == pytest.approx(26.0, abs=1e-3)
    assert akaike(-10.0, 3, 20) == pytest.approx(20 + 6 + 24 / 16)
    assert akaike(-10.0, 3, 4) == np.inf


# structural


@pytest.mark.parametrize(("level", "season"), [("local level", 7), ("local linear trend", 0)])
def test_the_variances_are_those_of_statsmodels(level: str, season: int) -> None:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    y = walk(150) + np.resize([2.0, 0, 0, 1, 0, -2, -2], 150) * (season > 0)
    y[[30, 31, 99]] = np.nan
    components = Components(level != "local level", season)
    begins = np.arange(150) == 0
    mine = estimate("test", components, y[:, None], begins, 0)
    model = UnobservedComponents(y, level=level, seasonal=season or None, use_exact_diffuse=True)
    assert model.loglike(mine.variances) > model.fit(disp=False, maxiter=1_000).llf - 1e-4


@pytest.mark.parametrize(
    ("shape", "trend", "season"),
    [("level", False, 0), ("trend", True, 0), ("season", False, 7), ("both", True, 7)],
)
def test_a_structure_has_the_components_that_the_series_shows(shape: str, trend: bool, season: int) -> None:
    rng = np.random.default_rng(5)
    y = walk(200, 0.5)
    if shape in ("trend", "both"):
        y += np.cumsum(np.cumsum(0.2 * rng.normal(size=200)))
    if shape in ("season", "both"):
        y += np.resize([4.0, 0, 0, 2, 0, -4, -4], 200)
    fitted = Structural().fit(daily(y, (1, 2, 7)))
    assert (fitted.components.trend, fitted.components.season) == (trend, season)
    assert fitted.parameters[:2] == (trend, season)
    assert len(fitted.variances) == 2 + trend + (season > 0)


def test_components_are_compared_on_the_values_that_all_of_them_predict() -> None:
    """Else a model that starts more states has fewer values to explain, and wins by that."""
    for seed in range(6):
        noise = np.random.default_rng(seed).normal(size=40)
        assert Structural().fit(daily(noise, (1, 7))).components == Components(False, 0)


def test_a_trend_is_continued_further_ahead() -> None:
    y = np.arange(80.0) + 0.1 * np.random.default_rng(0).normal(size=80)
    panel = hourly(y)
    fitted = Structural().fit(panel)
    assert isinstance(fitted, Iterated)
    np.testing.assert_allclose(fitted.ahead(panel, 5)[30:], y[30:], atol=0.6)
    np.testing.assert_array_equal(fitted.ahead(panel, 1), fitted.one_step(panel))


def test_a_season_that_the_history_hardly_shows_is_left_out() -> None:
    y = walk(27) + np.resize([4.0, 0, 0, 2, 0, -4, -4], 27)
    short = Structural().fit(daily(y, (1, 7)))
    assert short.components.season == 0
    assert short.variances == Structural().fit(daily(y, (1, 2))).variances
    assert Structural().fit(daily(np.resize(y, 60), (1, 7))).components.season == 7


def test_the_matrices_of_a_level_lead_to_its_steady_gain() -> None:
    steady = innovations(Components(False, 0).matrices((1.0, 0.25)))
    assert steady.K[0] == pytest.approx((np.sqrt(0.25 * 4.25) + 0.25) / (np.sqrt(0.25 * 4.25) + 0.25 + 2))


# dynamic regression


def explaining(n: int, drift: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """y and two channels, which enter a day later with the coefficients 1.5 and -0.7."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    b = np.array([1.5, -0.7]) + np.cumsum(drift * rng.normal(size=(n, 2)), axis=0)
    lagged = np.vstack([np.zeros(2), x[:-1]])
    return walk(n, 0.2, seed) + (b * lagged).sum(axis=1), x


def test_fixed_coefficients_and_variances_are_those_of_statsmodels() -> None:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    y, x = explaining(200, 0.0)
    panel = explained(y, x)
    fitted = DynamicRegression().fit(panel)
    drifts, *native = fitted.parameters
    assert drifts == 0
    model = UnobservedComponents(
        panel.y[1:], exog=panel.X[1:, 1:3], level="local level", use_exact_diffuse=True
    )
    best = model.fit(disp=False, maxiter=1_000)
    assert model.loglike(native) > best.llf - 1e-4
    np.testing.assert_allclose(fitted.coefficients, [1.5, -0.7], atol=0.2)
    expected = model.filter(native).forecasts[0]
    np.testing.assert_allclose(fitted.one_step(panel)[1:], expected, atol=1e-8)


def test_coefficients_drift_where_the_series_says_so() -> None:
    y, x = explaining(400, 0.15)
    fitted = DynamicRegression().fit(explained(y, x))
    noise, level, drift = fitted.variances
    np.testing.assert_allclose([noise, level, drift], [1.0, 0.04, 0.0225], rtol=0.6)
    fixed = DynamicRegression().fit(explained(*explaining(400, 0.0)))
    assert len(fixed.variances) == 2


def test_a_basis_of_lags_alone_leaves_nothing_to_regress_on() -> None:
    with pytest.raises(FitError, match="no calendar term, nor channels that 58 rows suffice"):
        DynamicRegression().fit(daily(walk(60), (1, 2)))


def test_channels_are_regressed_on_where_there_are_five_rows_for_each_coefficient() -> None:
    y, x = np.random.default_rng(0).normal(size=90), np.random.default_rng(1).normal(size=(90, 10))
    for family in (DynamicRegression(), LinearStateSpace()):
        assert len(family.fit(explained(y, x)).columns) >= 10
        few = explained(y[:40], x[:40])
        intercept = few.basis.width - 1
        if isinstance(family, LinearStateSpace):
            assert family.fit(few).columns == (intercept,)
        else:
            with pytest.raises(FitError, match="nor channels that 39 rows suffice for"):
                family.fit(few)


def test_a_column_that_never_moved_gets_the_coefficient_zero() -> None:
    y, x = explaining(60, 0.0)
    x[:, 1] = 0.0
    assert DynamicRegression().fit(explained(y, x)).coefficients[1] == 0.0


# linear state space


@pytest.mark.parametrize("n", [150, 600])
def test_the_system_is_as_likely_as_the_best_of_its_order(n: int) -> None:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    y = autoregression(n, (1.1, -0.6), 0.5)
    y[[40, 41, 90]] = np.nan
    panel = hourly(y, (1, 2, 3))
    fitted = LinearStateSpace().fit(panel)
    k = len(fitted.phi)
    theta = np.array(fitted.gain) - np.array(fitted.phi)
    model = SARIMAX(y, exog=np.ones(n), order=(k, 0, k))
    native = [*fitted.inputs, *fitted.phi, *theta, fitted.sigma2]
    assert model.loglike(native) > model.fit(disp=False, maxiter=1_000).llf - 0.3  # the priors are weak
    expected = model.filter(native).forecasts[0]
    np.testing.assert_allclose(fitted.one_step(panel), expected, atol=1e-6)


def test_the_system_is_recovered() -> None:
    fitted = LinearStateSpace().fit(hourly(autoregression(2_000, (1.1, -0.6), 0.5)))
    pi = fitted.matrices().infinite_autoregression(4)
    truth = np.array([1.6, -1.4, 0.7, -0.35])
    np.testing.assert_allclose(pi, truth, atol=0.12)
    ar, ma = fitted.matrices().arma()
    np.testing.assert_allclose(ar, fitted.phi, atol=1e-9)
    np.testing.assert_allclose(ar + ma, fitted.gain, atol=1e-9)


def test_the_order_grows_with_what_there_is_to_explain() -> None:
    for seed in range(3):
        simple, waving = (
            LinearStateSpace().fit(hourly(autoregression(250, phi, seed=seed)))
            for phi in ((0.6, 0.0), (1.2, -0.8))
        )
        assert (len(simple.phi), len(waving.phi)) == (1, 2)


def test_every_system_is_stable_and_invertible() -> None:
    for seed in range(4):
        fitted = LinearStateSpace().fit(hourly(np.cumsum(walk(40, 1.0, seed))))
        matrices = fitted.matrices()
        closed = matrices.F - np.outer(matrices.K, matrices.H)
        assert max(np.abs(np.linalg.eigvals(m)).max() for m in (matrices.F, closed)) < 1


def test_what_the_likelihood_cannot_tell_from_the_edge_stays_away_from_it() -> None:
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=61)
        fitted = LinearStateSpace().fit(hourly(noise[1:] + noise[:-1]))
        theta = np.array(fitted.gain) - np.array(fitted.phi)
        assert 0.7 < np.abs(step_down(-theta)).max() < 0.998


def test_a_shift_of_level_is_not_answered_many_times_over() -> None:
    """Few values about a mean may suggest a filter that hardly forgets; the next shift would show it."""
    for seed in range(8):
        y = np.random.default_rng(seed).normal(size=60)
        fitted = LinearStateSpace().fit(hourly(y - y.mean()))
        phi, theta = np.sum(fitted.phi), np.sum(fitted.gain) - np.sum(fitted.phi)
        assert (1 - phi) / (1 + theta) < 4


def test_inputs_enter_as_they_are() -> None:
    y, x = explaining(300, 0.0)
    fitted = LinearStateSpace().fit(explained(y, x))
    np.testing.assert_allclose(fitted.inputs[:2], [1.5, -0.7], atol=0.2)


def test_an_order_whose_search_fails_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = hourly(autoregression(120, (0.6, 0.0)))
    whole_range = LinearStateSpace().fit(panel)
    search = module._maximum

    def failing(family: str, order: int, *rest: Any) -> Any:
        if order in unlucky:
            raise FitError(f"{order} fails")
        return search(family, order, *rest)

    monkeypatch.setattr(module, "_maximum", failing)
    unlucky = {2}
    assert LinearStateSpace().fit(panel) == whole_range
    unlucky = {1, 2, 3}
    with pytest.raises(FitError, match="1 fails"):
        LinearStateSpace().fit(panel)


def test_an_unstable_system_is_not_built_from_rounded_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ledgerfed.models.linear_state_space.on_grid", lambda values: tuple(np.asarray(values) + 1.0)
    )
    with pytest.raises(FitError, match="found a system of radius"):
        LinearStateSpace().fit(hourly(np.cumsum(walk(100, 1.0))))


# what they share


@pytest.mark.parametrize("name", NAMES)
def test_families_project_and_stay_on_the_grid(name: str, transit: Design, windows: Split) -> None:
    family = load_family(name)
    assert isinstance(family, Family)
    assert (family.name, family.exchange_weight) == (name, 0.0)
    fitted = family.fit(transit.within(windows.train))
    assert fitted.family == name
    assert fitted.parameters == on_grid(fitted.parameters)
    assert family.fit(transit.within(windows.train)).parameters == fitted.parameters


@pytest.mark.parametrize("name", NAMES)
def test_families_explain_more_than_the_week_before(name: str, transit: Design, windows: Split) -> None:
    train = transit.within(windows.train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictions = load_family(name).fit(train).one_step(train)
    y, naive = (transit.y[windows.train.start - lag : windows.train.stop - lag] for lag in (0, 7))
    assert np.isnan(predictions[: windows.train.start - 14]).all()
    error = predictions[windows.train.rows] - y
    assert np.sqrt(np.mean(error**2)) < 0.95 * np.sqrt(np.mean((naive - y) ** 2))


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_looks_at_nothing_after_its_window(name: str, transit: Design, windows: Split) -> None:
    y, X = transit.y.copy(), transit.X.copy()
    y[windows.test.start :] = 77.0
    X[windows.test.start :] = 77.0
    other = Design(transit.basis, transit.times, X, y, transit.rows)
    fits = [load_family(name).fit(rows.within(windows.train)) for rows in (transit, other)]
    assert fits[0].parameters == fits[1].parameters


FITTED: dict[str, Any] = {}


def fitted(name: str) -> Any:
    if name not in FITTED:
        rng = np.random.default_rng(8)
        y = walk(120) + np.resize([2.0, 0, 0, 0, 0, -2, -2], 120)
        FITTED[name] = load_family(name).fit(any_design(y, rng.normal(size=(120, 1))))
    return FITTED[name]


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(t=st.integers(10, 79), seed=st.integers(0, 2**32 - 1))
def test_no_prediction_up_to_t_knows_y_from_t_on(name: str, t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.where(rng.random(80) < 0.15, np.nan, rng.normal(size=80)), rng.normal(size=(80, 1))
    later_y, later_x = y.copy(), x.copy()
    later_y[t:] = np.where(rng.random(80 - t) < 0.4, np.nan, 100.0)
    later_x[t:] = 100.0
    one, other = any_design(y, x), any_design(later_y, later_x)
    rows = np.arange(80) >= 9
    before, after = (
        fitted(name).one_step(Design(d.basis, d.times, d.X, d.y, rows))[: t + 1] for d in (one, other)
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_forgets_the_one_before(name: str) -> None:
    rng = np.random.default_rng(2)
    first, gap, second = rng.normal(size=40), np.full(20, np.nan), rng.normal(size=40)
    x = rng.normal(size=(100, 1))
    one, other = (
        fitted(name).one_step(any_design(np.concatenate([values, gap, second]), x))[60:]
        for values in (first, first + 30)
    )
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_row_that_counts_is_predicted_though_values_are_missing_around_it(name: str) -> None:
    rng = np.random.default_rng(4)
    y, x = walk(150), rng.normal(size=(150, 1))
    y[rng.random(150) < 0.1] = np.nan
    x[rng.random(150) < 0.1] = np.nan
    y[60:90] = np.nan
    panel = any_design(y, x)
    found = load_family(name).fit(panel)
    assert panel.rows.sum() > 30
    assert np.isfinite(found.one_step(panel)[panel.rows]).all()


@pytest.mark.parametrize("name", ["local_level", "structural", "linear_state_space"])
def test_a_stay_of_32_hours_is_fitted_and_one_of_six_is_a_fit_error(name: str) -> None:
    y = walk(HOURS)
    y[[7, 20]] = np.nan
    panel = hourly(y)
    predictions = load_family(name).fit(panel).one_step(panel)
    assert np.isfinite(predictions[panel.rows]).all()
    with pytest.raises(FitError, match=r"needs \d+ values, got 6; train on more"):
        load_family(name).fit(hourly(walk(6)))


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_does_not_converge_is_a_fit_error(
    name: str, transit: Design, windows: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledgerfed.models.likelihood_search._ITERATIONS", 1)
    with pytest.raises(FitError, match=f"'{name}' found no maximum within 1 steps"):
        load_family(name).fit(transit.within(windows.train))


@pytest.mark.parametrize("name", NAMES)
def test_a_series_without_noise_is_a_fit_error(name: str) -> None:
    for scale in (0.0, 1e-5):
        with pytest.raises(FitError):
            load_family(name).fit(any_design(scale * walk(80), np.zeros((80, 1))))
    if name != "dynamic_regression":
        with pytest.raises(FitError, match="reproduces the series exactly"):
            load_family(name).fit(hourly(1e-5 * walk(80)))


PAYLOADS = f"""
from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.exchange import family_tag, information, quantise
from ledgerfed.models import load_family
from ledgerfed.node.walk import fit_local, prepare
from ledgerfed.protocol.payload import encode_update
from ledgerfed.series import split
panel = next(panel for panel in load_transit() if panel.name == "Clark_Lake")
bench = prepare(panel, split(panel), TRANSIT_BASIS)
X, y = bench.train.sample()
for name in {(*NAMES, "markov_switching")}:
    local = fit_local(bench, load_family(name))
    info = information(X, y, local.predictions, 0.0)
    update = quantise(info, schema=TRANSIT_BASIS.basis_id, base_model=bytes(32), family=family_tag(name))
    print(name, local.fitted.parameters, encode_update(update).hex())
"""


def test_other_kernels_of_the_linear_algebra_give_the_same_payload() -> None:
    """What the rounded parameters are for: Nehalem has no fused multiply-add, Haswell has."""
    given = [
        subprocess.run(
            [sys.executable, "-c", PAYLOADS],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OPENBLAS_CORETYPE": kernel},
        ).stdout
        for kernel in ("Nehalem", "Haswell")
    ]
    assert given[0] == given[1]
    assert given[0].count("\n") == len(NAMES) + 1


def test_no_fit_imports_statsmodels() -> None:
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import numpy as np\n"
        "from single_series import explained\n"
        "from ledgerfed.models import load_family\n"
        "y = np.random.default_rng(0).normal(size=(90, 2))\n"
        "rows = explained(y[:, 0], y[:, 1:], (1, 7))\n"
        f"for name in {(*NAMES, 'markov_switching')}: load_family(name).fit(rows).one_step(rows)\n"
        "print('statsmodels' in sys.modules, 'scipy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out.split() == ["False", "False"]
