"""Autoregressions by least squares: on plain arrays, on designs, as a system, and further ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import Basis, ChannelTerm, Design, design
from ledgerfed.models import Iterated, load_family
from ledgerfed.models.ar import AR
from ledgerfed.models.arx import ARX
from ledgerfed.models.autoregression import fit_ar, fit_var
from ledgerfed.models.iterated import system_of
from ledgerfed.models.varx import VARX
from ledgerfed.series import Modality, Panel, Split, align, split, standardisation
from ledgerfed.series.split import Window

DAY = 86_400


def series(T: int, ar: tuple[float, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = np.zeros(T + 200)
    for t in range(len(ar), len(y)):
        y[t] = sum(a * y[t - 1 - i] for i, a in enumerate(ar)) + rng.normal()
    return y[200:]


@settings(max_examples=40, deadline=None)
@given(
    p=st.integers(0, 9),
    T=st.integers(40, 300),
    seed=st.integers(0, 1 << 20),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
)
def test_an_autoregression_is_the_one_of_statsmodels(
    p: int, T: int, seed: int, shift: float, scale: float
) -> None:
    from statsmodels.tsa.ar_model import AutoReg

    y = scale * (series(T, (0.5, -0.3), seed) + shift)
    own, oracle = fit_ar(y, p), AutoReg(y, p).fit()
    np.testing.assert_allclose(own.ar, oracle.params[1:], atol=1e-9)
    np.testing.assert_allclose(own.constant, oracle.params[0], atol=1e-8 * scale * (1 + abs(shift)))
    np.testing.assert_allclose(own.s2, oracle.sigma2, rtol=1e-7)
    assert own.rows == T - p


def test_a_vector_autoregression_is_the_one_of_statsmodels() -> None:
    from statsmodels.tsa.api import VAR

    Y = np.random.default_rng(3).normal(size=(300, 3)) + np.array([5.0, 0.0, -2.0])
    Y[1:] += Y[:-1] @ np.array([[0.4, 0.3, 0.0], [0.0, 0.2, 0.1], [-0.3, 0.0, 0.1]])
    own, oracle = fit_var(Y, 2), VAR(Y).fit(2)
    np.testing.assert_allclose(own.ar, oracle.coefs, atol=1e-10)
    np.testing.assert_allclose(own.constant, oracle.intercept, atol=1e-9)
    np.testing.assert_allclose(own.covariance, oracle.sigma_u_mle, atol=1e-10)
    assert own.rows == 298


def test_rows_with_a_missing_value_are_left_out() -> None:
    y = series(200, (0.6,))
    y[[50, 51, 120]] = np.nan
    lagged = np.column_stack([np.ones(198), y[1:-1], y[:-2]])
    complete = ~np.isnan(lagged).any(axis=1) & ~np.isnan(y[2:])
    theta = np.linalg.lstsq(lagged[complete], y[2:][complete])[0]
    own = fit_ar(y, 2)
    np.testing.assert_allclose([own.constant, *own.ar], theta, atol=1e-10)
    assert own.rows == complete.sum() == 191


def test_a_nearly_singular_autoregression_is_as_exact_as_least_squares_on_the_rows() -> None:
    rng = np.random.default_rng(1)
    y = np.cumsum(np.cumsum(np.cumsum(rng.normal(size=400))))
    lagged = np.column_stack([np.ones(396), *(y[4 - i : 400 - i] for i in range(1, 5))])
    centred = lagged[:, 1:] - lagged[:, 1:].mean(axis=0)
    theta = np.linalg.lstsq(centred, y[4:] - y[4:].mean())[0]
    np.testing.assert_allclose(fit_ar(y, 4).ar, theta, rtol=1e-6)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(60, 2.5), "constant"),
        (np.arange(60.0), "constant or follows its past"),
        (np.arange(4.0), "complete rows"),
        (np.full(60, np.nan), "0 complete rows"),
    ],
)
def test_what_leaves_nothing_to_estimate_is_a_fit_error(y: np.ndarray, message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit_ar(y, 2)


def test_arrays_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="needs a series"):
        fit_ar(np.zeros((3, 3)), 1)
    with pytest.raises(InvalidValueError, match=r"needs \[T, k\]"):
        fit_var(np.zeros(9), 1)


def chain(T: int = 600, seed: int = 5, driver: float = 0.7) -> Panel:
    """y follows x of the step before, and x follows itself; z is noise that is known ahead and adds to y."""
    rng = np.random.default_rng(seed)
    x, y, z = np.zeros(T), np.zeros(T), rng.normal(size=T)
    for t in range(1, T):
        x[t] = 0.8 * x[t - 1] + rng.normal()
        y[t] = 0.3 * y[t - 1] + driver * x[t - 1] + 0.5 * z[t] + 0.3 * rng.normal()
    days = np.datetime64("2024-01-01", "s") + np.arange(T) * np.timedelta64(DAY, "s")
    return Panel(
        "p",
        DAY,
        days,
        y,
        "y",
        "1",
        (
            Modality("sensor", ("x",), ("1",), days, x[:, None]),
            Modality("plan", ("z",), ("1",), days, z[:, None], known_ahead=True),
        ),
    )


BASIS = Basis(
    "y",
    "1",
    DAY,
    (1, 2),
    (ChannelTerm("sensor", ("x",), 1), ChannelTerm("sensor", ("x",), 2), ChannelTerm("plan", ("z",), 0)),
)


def designed(panel: Panel, basis: Basis = BASIS) -> tuple[Design, Split]:
    aligned = align(panel)
    windows = split(aligned, 1, len(panel) - 101, 100)
    return design(aligned, basis, standardisation(aligned, windows.train)), windows


def test_the_number_of_lags_is_chosen_on_the_nodes_own_rows() -> None:
    basis = Basis("y", "1", DAY, (1, 2, 3, 4, 5, 6))
    chosen = []
    for ar in ((0.8,), (0.2, 0.5), (0.1, 0.1, 0.0, 0.5)):
        y = series(800, ar, seed=2)
        days = np.datetime64("2024-01-01", "s") + np.arange(800) * np.timedelta64(DAY, "s")
        whole, windows = designed(Panel("p", DAY, days, y, "y", "1"), basis)
        fitted = AR().fit(whole.within(windows.train))
        assert len(fitted.parameters) == 7
        chosen.append(sum(value != 0 for value in fitted.parameters[:6]))
    assert chosen == [1, 2, 4]


def test_lags_are_dropped_from_the_longest_on_whatever_their_order_in_the_basis() -> None:
    y = series(800, (0.2, 0.5), seed=4)
    days = np.datetime64("2024-01-01", "s") + np.arange(800) * np.timedelta64(DAY, "s")
    whole, windows = designed(Panel("p", DAY, days, y, "y", "1"), Basis("y", "1", DAY, (5, 2, 1)))
    fitted = AR().fit(whole.within(windows.train))
    by_column = dict(zip(fitted.columns, fitted.parameters, strict=True))
    assert by_column[0] == 0.0
    np.testing.assert_allclose([by_column[2], by_column[1]], [0.2, 0.5], atol=0.1)


@pytest.mark.parametrize("name", ["ar", "arx", "varx"])
def test_native_parameters_lie_on_the_grid(name: str) -> None:
    whole, windows = designed(chain())
    parameters = np.array(load_family(name).fit(whole.within(windows.train)).parameters)
    np.testing.assert_array_equal(np.ldexp(parameters, 20), np.rint(np.ldexp(parameters, 20)))


def test_one_step_ahead_the_system_is_its_first_equation() -> None:
    whole, windows = designed(chain())
    train = whole.within(windows.train)
    system, single = VARX().fit(train), ARX().fit(train)
    assert system.parameters[: whole.basis.width] == single.parameters
    np.testing.assert_allclose(system.one_step(whole)[5:], single.one_step(whole)[5:], atol=1e-12)
    assert len(system.parameters) == 2 * whole.basis.width


def test_a_system_is_the_vector_autoregression_of_statsmodels() -> None:
    from statsmodels.tsa.api import VAR

    panel = chain()
    basis = Basis("y", "1", DAY, (1, 2), tuple(ChannelTerm("sensor", ("x",), lag) for lag in (1, 2)))
    whole, windows = designed(panel, basis)
    train = whole.within(windows.train)
    fitted = VARX().fit(train)
    x = np.concatenate([whole.X[1:, 2], [np.nan]])
    span = slice(windows.train.start, windows.train.stop - 1)
    oracle = VAR(np.column_stack([whole.y, x])[span]).fit(2)
    order = [0, 2, 1, 3, 4]
    params = np.vstack([oracle.params[1:], oracle.params[:1]])
    np.testing.assert_allclose(np.array(fitted.equations)[:, order], params.T, atol=5e-3)


def test_further_ahead_the_system_follows_its_own_recursion() -> None:
    whole, windows = designed(chain())
    fitted = VARX().fit(whole.within(windows.train))
    steps, t = 4, windows.test.start + 20
    target, sensor = (np.array(equation) for equation in fitted.equations)
    x = np.concatenate([whole.X[1:, 2], [np.nan]])
    y_path, x_path = list(whole.y[: t - steps + 1]), list(x[: t - steps + 1])
    for s in range(t - steps + 1, t + 1):
        row = np.array([y_path[s - 1], y_path[s - 2], x_path[s - 1], x_path[s - 2], whole.X[s, 4], 1.0])
        y_path.append(float(row @ target))
        x_path.append(float(row @ sensor))
    assert fitted.ahead(whole, steps)[t] == pytest.approx(y_path[t], abs=1e-12)
    np.testing.assert_allclose(fitted.ahead(whole, 1), fitted.one_step(whole), atol=1e-12)


@pytest.mark.parametrize("name", ["ar", "varx"])
def test_a_prediction_ahead_knows_nothing_younger_than_its_origin(name: str) -> None:
    whole, windows = designed(chain())
    fitted = load_family(name).fit(whole.within(windows.train))
    assert isinstance(fitted, Iterated)
    t, steps = windows.test.start + 30, 3
    origin = t - steps
    X, y = whole.X.copy(), whole.y.copy()
    y[origin + 1 :] += 9.0
    X[origin + 2 :, 0] += 9.0
    X[origin + 3 :, 1] += 9.0
    X[origin + 2 :, 2] += 9.0
    X[origin + 3 :, 3] += 9.0
    changed = Design(whole.basis, whole.times, X, y, whole.rows)
    assert fitted.ahead(changed, steps)[t] == fitted.ahead(whole, steps)[t]
    assert fitted.ahead(changed, steps)[t + 1] != fitted.ahead(whole, steps)[t + 1]


def test_knowing_how_a_channel_goes_on_pays_two_steps_ahead() -> None:
    whole, windows = designed(chain(T=1_500))
    train, test = whole.within(windows.train), whole.within(windows.test)
    y = test.y[windows.test.rows]
    errors = {
        name: float(np.mean((load_family(name).fit(train).ahead(test, 2)[windows.test.rows] - y) ** 2))
        for name in ("ar", "varx")
    }
    assert errors["varx"] < 0.8 * errors["ar"]


def test_channels_without_an_equation_are_no_ground_for_a_prediction_ahead() -> None:
    whole, windows = designed(chain())
    fitted = ARX().fit(whole.within(windows.train))
    with pytest.raises(InvalidValueError, match="does not predict 'sensor/x@1'"):
        fitted.ahead(whole, 2)


def test_a_channel_that_stands_still_is_taken_to_stay() -> None:
    panel = chain()
    still = Modality("sensor", ("x",), ("1",), panel.times, np.full((len(panel), 1), 4.0))
    whole, windows = designed(
        Panel("p", DAY, panel.times, panel.target, "y", "1", (still, panel.modalities[1]))
    )
    fitted = VARX().fit(whole.within(windows.train))
    assert fitted.equations[1] == (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    assert np.isfinite(fitted.ahead(whole, 3)[10:]).all()


def test_the_variables_of_a_basis_are_the_target_and_each_channel_term_with_a_lag() -> None:
    system = system_of(BASIS)
    assert (system.variable, system.lag) == ((0, 0, 1, 1, -1, -1), (1, 2, 1, 2, 0, 0))
    assert (system.size, system.youngest(1)) == (2, 2)


def test_too_few_rows_are_a_fit_error_or_a_smaller_model() -> None:
    whole, _ = designed(chain())
    few = whole.within(Window(10, 14))
    for family in (ARX(), VARX()):
        with pytest.raises(FitError, match="cannot be fitted: 4 rows leave no degree of freedom"):
            family.fit(few)
    assert [value != 0 for value in AR().fit(few).parameters] == [False, False, True]
    with pytest.raises(FitError, match="cannot be fitted"):
        AR().fit(whole.within(Window(10, 11)))
