"""ARIMA: conditional least squares and exact likelihood against statsmodels, prediction, and the families."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import Basis, Design, design
from ledgerfed.exchange.linear_prediction import step_down
from ledgerfed.models import Family, Iterated
from ledgerfed.models.arima import ARIMA, FittedARIMA
from ledgerfed.models.arma import ARMA
from ledgerfed.models.arma_likelihood import _Likelihood, fit_likelihood
from ledgerfed.models.css import BOUND, fit_arima, fit_arma
from ledgerfed.models.lag_polynomials import polynomials
from ledgerfed.models.ma import MA
from ledgerfed.models.orders import Order
from ledgerfed.models.runs import runs_of
from ledgerfed.series import Panel, Split, align, standardisation
from ledgerfed.series.split import Window

HOUR = 3_600
FAMILIES = (MA(), ARMA(), ARIMA())
WELL_APART = (((1.2, -0.5), (0.4,)), ((0.8,), (-0.3,)), ((), (0.7, 0.3)), ((-0.5, 0.3, 0.2), ()))


def simulated(T: int, ar: tuple[float, ...], ma: tuple[float, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=T + 500)
    return np.asarray(lfilter([1.0, *ma], [1.0, *(-a for a in ar)], noise))[500:]


def hourly(y: np.ndarray, lags: tuple[int, ...] = (1, 2), hold: int = 0) -> Design:
    """The design of an hourly series, in its own units."""
    times = np.datetime64("2024-01-01", "s") + np.arange(len(y)) * np.timedelta64(HOUR, "s")
    panel = align(Panel("p", HOUR, times, y, "y", "1"))
    return design(panel, Basis("y", "1", HOUR, lags, hold=hold), standardisation(panel, Window(0, len(y))))


@pytest.mark.parametrize(("ar", "ma"), WELL_APART)
def test_conditional_least_squares_is_within_a_fifth_of_a_standard_error_of_exact_likelihood(
    ar: tuple[float, ...], ma: tuple[float, ...]
) -> None:
    """Both lie O(1/T) apart, a standard error is O(1/√T): at T = 1,000 the ratio is a few hundredths."""
    from statsmodels.tsa.arima import model as oracles

    y = 3.0 + simulated(1_000, ar, ma)
    own = fit_arma(y, len(ar), len(ma))
    oracle = oracles.ARIMA(y, order=(len(ar), 0, len(ma))).fit()
    estimates = np.array([own.mean, *own.ar, *own.ma, own.s2])
    assert (np.abs(estimates - oracle.params) / oracle.bse).max() < 0.2
    assert oracle.llf - oracle.model.loglike(estimates) < 0.05


@pytest.mark.parametrize(
    ("order", "T"),
    [
        (Order(2, 0, 1), 60),
        (Order(2, 0, 1), 1_000),
        (Order(0, 0, 2), 150),
        (Order(3, 0, 0), 150),
        (Order(1, 1, 1), 150),
        (Order(1, 0, 1, 0, 1, 1, 7), 90),
        (Order(1, 0, 0, 1, 0, 1, 7), 150),
        (Order(0, 0, 0), 40),
    ],
    ids=str,
)
def test_the_likelihood_and_its_maximum_are_those_of_statsmodels(order: Order, T: int) -> None:
    from statsmodels.tsa.arima import model as oracles

    y = 3.0 + simulated(T, (0.9, -0.3), (0.4,), seed=T)
    if order.d:
        y = np.cumsum(y - 3.0)
    own = fit_likelihood(y, order)
    w = y
    for lag in [1] * order.d + [order.season] * order.D:
        w = w[lag:] - w[:-lag]
    model = oracles.ARIMA(
        w,
        order=(order.p, 0, order.q),
        seasonal_order=(order.P, 0, order.Q, order.season),
        trend="c" if order.has_mean else "n",
    )
    mean = [own.mean] if order.has_mean else []
    estimates = [*mean, *own.ar, *own.ma, *own.seasonal_ar, *own.seasonal_ma, own.s2]
    assert model.loglike(estimates) == pytest.approx(-own.criterion / 2, abs=1e-7)
    assert -own.criterion / 2 > model.fit().llf - 1e-4
    assert own.rows == len(w)


def test_values_missing_for_good_part_runs_whose_likelihoods_add_up() -> None:
    y = simulated(300, (0.7,), (0.3,))
    gap = y.copy()
    gap[120:130] = np.nan
    whole = fit_likelihood(gap, Order(1, 0, 1))
    assert (whole.rows, whole.runs) == (290, 2)
    from statsmodels.tsa.arima import model as oracles

    estimates = [whole.mean, *whole.ar, *whole.ma, whole.s2]
    parts = [oracles.ARIMA(part, order=(1, 0, 1)).loglike(estimates) for part in (y[:120], y[130:])]
    assert sum(parts) == pytest.approx(-whole.criterion / 2, abs=1e-8)


def test_the_opening_is_the_density_of_the_first_value_of_every_run() -> None:
    y = simulated(200, (0.8,), ())
    y[90] = np.nan
    own = fit_likelihood(y, Order(1, 0, 0))
    variance = own.s2 / (1 - own.ar[0] ** 2)
    first = y[[0, 91]] - own.mean
    assert own.opening == pytest.approx(float((np.log(2 * np.pi * variance) + first**2 / variance).sum()))


@pytest.mark.parametrize(
    ("order", "share"), [(Order(2, 0, 2), 0.05), (Order(2, 1, 1, 1, 0, 1, 4), 0.02), (Order(1, 0, 1), 0.0)]
)
def test_the_gradient_of_the_likelihood_is_its_slope(order: Order, share: float) -> None:
    rng = np.random.default_rng(8)
    y = simulated(300, (0.6, 0.1), (0.3,))
    y[rng.random(300) < share] = np.nan
    likelihood = _Likelihood(runs_of(y, order, 0), order)
    x = likelihood._start() + 0.1
    gradient, _ = likelihood._slope(likelihood._at(x))
    steps = 1e-5 * np.eye(len(x))
    slope = [(likelihood._at(x + s).value - likelihood._at(x - s).value) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, slope, atol=1e-8)


def test_a_small_series_is_weighed_whole() -> None:
    """Conditional least squares of 29 hours gives its first rows away; the likelihood does not."""
    y = simulated(29, (0.7,), ())
    assert fit_arma(y, 3, 0).rows == 26
    assert fit_likelihood(y, Order(3)).rows == 29


def test_conditional_sums_of_squares_run_by_run() -> None:
    y = 2.0 + simulated(400, (0.6,), (0.4,))
    y[[100, 101, 250]] = np.nan
    own = fit_arma(y, 1, 1)
    phi, theta, total, rows = own.ar[0], own.ma[0], 0.0, 0
    for run in (y[:100], y[102:250], y[251:]):
        e = 0.0
        for before, value in pairwise(run):
            e = (value - own.mean) - phi * (before - own.mean) - theta * e
            total, rows = total + e * e, rows + 1
    assert (own.rows, own.runs) == (rows, 3)
    assert own.s2 == pytest.approx(total / rows, rel=1e-9)
    for change in (-1e-3, 1e-3):
        assert _conditional(y, own.mean, phi + change, theta) > total
        assert _conditional(y, own.mean, phi, theta + change) > total


def _conditional(y: np.ndarray, mean: float, phi: float, theta: float) -> float:
    total = 0.0
    for run in (y[:100], y[102:250], y[251:]):
        w = run - mean
        total += float((lfilter([1.0], [1.0, theta], w[1:] - phi * w[:-1]) ** 2).sum())
    return total


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 20),
    T=st.integers(30, 200),
    p=st.integers(0, 3),
    q=st.integers(0, 3),
    d=st.integers(0, 1),
    kind=st.sampled_from([fit_arima, fit_likelihood]),
)
def test_a_fit_is_stationary_and_invertible_or_an_error(
    seed: int, T: int, p: int, q: int, d: int, kind: object
) -> None:
    rng = np.random.default_rng(seed)
    y = np.cumsum(rng.normal(size=T)) if seed % 2 else rng.standard_t(3, size=T)
    y[rng.random(T) < 0.03] = np.nan
    try:
        own = kind(y, Order(p, d, q))
    except FitError:
        return
    assert np.abs(step_down(own.ar)).max(initial=0) < 1
    assert np.abs(step_down([-theta for theta in own.ma])).max(initial=0) < 1
    assert own.s2 > 0


@settings(max_examples=60)
@given(st.data())
def test_partial_autocorrelations_and_coefficients_turn_together(data: st.DataObject) -> None:
    order = Order(*(data.draw(st.integers(0, n)) for n in (3, 0, 3, 2, 0, 2)), season=4)
    count = order.p + order.P + order.q + order.Q
    partials = data.draw(st.lists(st.floats(-0.95, 0.95), min_size=count, max_size=count))
    found = polynomials(order, partials)
    np.testing.assert_allclose(step_down(found.factors[0]), partials[: order.p], atol=1e-9)
    product = np.convolve(_factor(found.factors[0], 1, -1), _factor(found.factors[1], 4, -1))
    np.testing.assert_allclose(
        np.trim_zeros(found.ar_polynomial, "b"), np.trim_zeros(product, "b"), atol=1e-12
    )
    product = np.convolve(_factor(found.factors[2], 1, 1), _factor(found.factors[3], 4, 1))
    np.testing.assert_allclose(
        np.trim_zeros(found.ma_polynomial, "b"), np.trim_zeros(product, "b"), atol=1e-12
    )
    for i in range(count):
        moved = [
            polynomials(order, [v + step * (j == i) for j, v in enumerate(partials)])
            for step in (1e-6, -1e-6)
        ]
        up, down = ([*m.ar.values(), *m.ma.values()] for m in moved)
        np.testing.assert_allclose(found.jacobian[:, i], (np.array(up) - down) / 2e-6, atol=1e-7)


def _factor(coefficients: list[float], season: int, sign: float) -> np.ndarray:
    polynomial = np.zeros(1 + season * len(coefficients))
    polynomial[0] = 1.0
    polynomial[season::season] = sign * np.array(coefficients)
    return polynomial


@pytest.mark.parametrize("fit", [fit_arima, fit_likelihood])
def test_what_cannot_be_fitted_says_why(fit: object) -> None:
    with pytest.raises(FitError, match="needs 16 values behind each other, found 12"):
        fit(np.arange(12.0), Order(0, 0, 1))
    with pytest.raises(FitError, match="leaves no noise"):
        fit(np.full(60, 3.0), Order(0, 1, 1))
    with pytest.raises(InvalidValueError, match="one dimension"):
        fit(np.zeros((30, 2)), Order(1))


@pytest.mark.parametrize("module", ["css", "arma_likelihood"])
def test_a_search_that_does_not_converge_is_a_fit_error(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"ledgerfed.models.{module}.ITERATIONS", 1)
    fit = fit_arima if module == "css" else fit_likelihood
    with pytest.raises(FitError, match="did not converge in 1 steps"):
        fit(simulated(200, (0.5,), (0.8,)), Order(1, 0, 1))


def test_a_search_that_stops_short_of_the_maximum_is_a_fit_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledgerfed.models.arma_likelihood._HALVINGS", 0)
    with pytest.raises(FitError, match=r"stopped where .* of likelihood a row was still to gain"):
        fit_likelihood(simulated(200, (0.5,), (0.8,)), Order(1, 0, 1))


def test_a_difference_undone_stops_at_the_bound() -> None:
    noise = np.random.default_rng(0).normal(size=(20, 80))
    found = [fit_arma(np.diff(row), 0, 1).ma[0] for row in noise]
    assert min(found) == -BOUND


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_family_whose_every_search_fails_is_a_fit_error(
    family: Family, transit: Design, windows: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledgerfed.models.arma_likelihood.ITERATIONS", 0)
    with pytest.raises(FitError, match="finds no order"):
        family.fit(transit.within(windows.train))


def test_the_orders_of_simulated_series_are_found() -> None:
    found = {}
    for name, (ar, ma) in {"ar": ((0.5, -0.6), ()), "ma": ((), (0.8,)), "walk": ((0.5,), ())}.items():
        y = simulated(600, ar, ma, seed=1)
        found[name] = ARIMA().fit(hourly(np.cumsum(y) if name == "walk" else y)).order
    assert found == {"ar": Order(2, 0, 0), "ma": Order(0, 0, 1), "walk": Order(1, 1, 0)}


def test_noise_is_not_taken_for_a_cycle_that_never_fades() -> None:
    """The criterion alone takes (1,0,1) here, with a root of 0.9993 on the unit circle."""
    fitted = ARMA().fit(hourly(simulated(45, (), (), seed=18)))
    assert fitted.order == Order()


def test_a_walk_is_differenced_and_not_taken_for_slow_reversion() -> None:
    """The criterion alone takes (1,0,1) here, with a root of 0.99 and a mean that nothing reverts to."""
    fitted = ARIMA().fit(hourly(np.cumsum(simulated(1_000, (), (), seed=12))))
    assert fitted.order.d == 1


def test_a_value_missing_in_the_first_season_is_held_from_before() -> None:
    y = simulated(60, (0.8,), (0.5,))
    y[3] = np.nan
    order = Order(0, 0, 1, 0, 1, 1, 7)
    fitted = FittedARIMA("arma", order, 0.0, (), (), (0.3,), (-0.5,), 1.0)
    filled = y.copy()
    filled[3] = y[2]
    predictions = fitted.one_step(_given(y, (1, 24)))
    np.testing.assert_allclose(predictions, fitted.one_step(_given(filled, (1, 24))), atol=1e-12)
    assert np.isfinite(predictions).all()


def test_the_seasonal_moving_average_is_recovered(transit: Design) -> None:
    noise = np.random.default_rng(6).normal(size=2_000)
    w = lfilter(np.convolve([1, 0.2], [1, 0, 0, 0, 0, 0, 0, -0.6]), [1, -0.7], noise)
    y = lfilter([1], [1, 0, 0, 0, 0, 0, 0, -1], w)
    series = Design(
        transit.basis, transit.times[:2_000], np.zeros((2_000, 12)), y, np.ones(2_000, dtype=bool)
    )
    fitted = ARMA().fit(series)
    assert fitted.order == Order(1, 0, 1, 0, 1, 1, 7)
    np.testing.assert_allclose(
        [*fitted.ar, *fitted.ma, *fitted.seasonal_ma, fitted.s2], [0.7, 0.2, -0.6, 1.0], atol=0.08
    )


@pytest.mark.parametrize("order", [Order(2, 0, 1), Order(1, 1, 1), Order(0, 0, 1, 0, 1, 1, 7)], ids=str)
def test_predictions_are_those_of_the_kalman_filter_of_statsmodels(order: Order) -> None:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    y = 1.0 + simulated(120, (0.8, -0.2), (0.5,))
    fit = fit_likelihood(y, order)
    fitted = FittedARIMA("arma", order, fit.mean, fit.ar, (), fit.ma, fit.seasonal_ma, fit.s2)
    times = np.datetime64("2024-01-01", "s") + np.arange(120) * np.timedelta64(HOUR, "s")
    basis = Basis("y", "1", HOUR, (1, 7))
    rows = np.ones(120, dtype=bool)
    given = Design(basis, times, np.zeros((120, basis.width)), y, rows)
    w = y
    for lag in [1] * order.d + [order.season] * order.D:
        w = w[lag:] - w[:-lag]
    model = SARIMAX(w - fit.mean, order=(order.p, 0, order.q), seasonal_order=(0, 0, order.Q, order.season))
    oracle = model.filter([*fit.ar, *fit.ma, *fit.seasonal_ma, fit.s2]).forecasts[0] + fit.mean
    base = y[order.lost :] - w
    np.testing.assert_allclose(fitted.one_step(given)[order.lost :], base + oracle, atol=1e-8)
    assert (fitted.one_step(given)[: order.lost] == 0).all()


def test_missing_values_are_bridged_as_the_kalman_filter_does() -> None:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    y = simulated(200, (0.8,), (0.5,))
    y[[60, 61, 130]] = np.nan
    fitted = FittedARIMA("arma", Order(1, 0, 1), 0.0, (0.8,), (), (0.5,), (), 1.0)
    oracle = SARIMAX(y, order=(1, 0, 1)).filter([0.8, 0.5, 1.0]).forecasts[0]
    given = _given(y, (1, 24))
    np.testing.assert_allclose(fitted.one_step(given), oracle, atol=1e-8)


def test_a_gap_that_no_lag_crosses_starts_the_filter_anew() -> None:
    y = simulated(200, (0.9,), ())
    y[100:104] = np.nan
    fitted = FittedARIMA("arma", Order(1, 0, 0), 0.5, (0.9,), (), (), (), 1.0)
    bridged, parted = fitted.one_step(_given(y, (1, 5))), fitted.one_step(_given(y, (1, 4)))
    held = fitted.one_step(_given(y, (1, 2), hold=3))
    assert parted[104] == 0.5 != bridged[104] == held[104]
    alone = fitted.one_step(_given(y[104:], (1, 4)))
    np.testing.assert_array_equal(parted[104:], alone)


def _given(y: np.ndarray, lags: tuple[int, ...], hold: int = 0) -> Design:
    times = np.datetime64("2024-01-01", "s") + np.arange(len(y)) * np.timedelta64(HOUR, "s")
    basis = Basis("y", "1", HOUR, lags, hold=hold)
    return Design(basis, times, np.zeros((len(y), basis.width)), y, np.ones(len(y), dtype=bool))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_episodes_behind_each_other_get_a_prediction_for_every_row_that_counts(family: Family) -> None:
    rng = np.random.default_rng(2)
    episodes = []
    for _ in range(6):
        y = 2.0 * rng.normal() + np.cumsum(0.5 * rng.normal(size=40)) + rng.normal(size=40)
        y[rng.random(40) < 0.1] = np.nan
        episodes += [y, np.full(24, np.nan)]
    whole = hourly(np.concatenate(episodes), lags=(1, 2), hold=2)
    fitted = family.fit(whole)
    predictions = fitted.one_step(whole)
    assert np.isfinite(predictions[whole.rows]).all()
    naive = whole.X[whole.rows][:, 0]
    y = whole.y[whole.rows]
    limit = 1.4 if family.name == "ma" else 1.0
    assert np.mean((predictions[whole.rows] - y) ** 2) < limit * np.mean((naive - y) ** 2)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
@pytest.mark.parametrize("seed", range(4))
def test_a_day_of_hours_gives_a_small_model_and_less_an_error(family: Family, seed: int) -> None:
    y = simulated(29, (0.6,), (), seed)
    fitted = family.fit(hourly(y))
    assert fitted.order.size <= 29 // 5
    assert np.mean((fitted.one_step(hourly(y)) - hourly(y).y) ** 2) < 1.1 * np.var(hourly(y).y)
    with pytest.raises(FitError, match=rf"'{family.name}' finds no order for so few rows"):
        family.fit(hourly(y[:14]))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_further_ahead_predictions_follow_the_recursion_and_know_only_their_past(
    family: Family, transit: Design, windows: Split
) -> None:
    through = transit.within(Window(windows.train.start, windows.test.stop))
    fitted = family.fit(transit.within(windows.train))
    assert isinstance(fitted, Iterated)
    np.testing.assert_array_equal(fitted.ahead(through, 1), fitted.one_step(through))
    t, steps = windows.test.start + 50, 9
    y = through.y.copy()
    y[t - steps + 1 :] = np.nan
    cut = Design(through.basis, through.times, through.X, y, through.rows)
    # what is missing is filled in by predictions, so that one step after them is many steps after the past
    assert fitted.ahead(through, steps)[t] == pytest.approx(fitted.one_step(cut)[t], abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_native_parameters_lie_on_the_grid_and_begin_with_the_order(
    family: Family, transit: Design, windows: Split
) -> None:
    fitted = family.fit(transit.within(windows.train))
    scaled = np.ldexp(fitted.parameters, 20)
    np.testing.assert_array_equal(scaled, np.rint(scaled))
    assert fitted.parameters[:7] == fitted.order.numbers
    assert len(fitted.parameters) == 7 + 2 + sum(fitted.order.numbers[i] for i in (0, 2, 3, 5))


def test_too_short_a_history_is_a_fit_error(transit: Design) -> None:
    for family in FAMILIES:
        with pytest.raises(FitError, match="for so few rows; train on more"):
            family.fit(transit.within(Window(14, 20)))


_UPDATES = """
from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.exchange import family_tag, information, quantise
from ledgerfed.models import load_family
from ledgerfed.node.walk import fit_local, prepare
from ledgerfed.protocol.payload import encode_update
from ledgerfed.series import split
panel = next(panel for panel in load_transit() if panel.name == "Monroe")
bench = prepare(panel, split(panel), TRANSIT_BASIS)
X, y = bench.train.sample()
for name in ("ar", "varx", "arma"):
    local = fit_local(bench, load_family(name))
    info = information(X, y, local.predictions, local.family.exchange_weight)
    update = quantise(info, schema=TRANSIT_BASIS.basis_id, base_model=bytes(32), family=family_tag(name))
    print(name, local.fitted.parameters, encode_update(update).hex())
"""


def test_other_instructions_of_the_linear_algebra_library_give_the_same_update() -> None:
    """Parameters and payload bytes of a station, with OpenBLAS' kernels with and without fused products."""
    given = [
        subprocess.run(
            [sys.executable, "-c", _UPDATES],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"},
        ).stdout
        for kernel in ("Nehalem", "Haswell")
    ]
    assert given[0] == given[1]
    assert given[0].count("\n") == 3


def test_importing_the_kernels_does_not_import_scipy() -> None:
    script = (
        "import sys, ledgerfed.models.arima, ledgerfed.models.css, ledgerfed.models.varx;"
        "print('scipy' in sys.modules, 'statsmodels' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out.split() == ["False", "False"]
