from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_models import autoregressions, moving_averages
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.differencing import Difference
from ledgerfed.exchange.innovations import (
    Innovations,
    StateSpace,
    innovations,
    local_level_autoregression,
    local_level_gain,
    observable_form,
    state_space,
)
from ledgerfed.exchange.linear_prediction import padded
from ledgerfed.exchange.projection import infinite_autoregression

ONE = np.ones(1)


def local_level(ratio: float) -> StateSpace:
    return StateSpace(np.eye(1), ONE, ratio * np.eye(1), 1.0)


def settled(model: StateSpace, steps: int) -> tuple[np.ndarray, float]:
    """The gain and the innovation variance of statsmodels' filter after so many steps."""
    m = len(model.H)
    kalman = KalmanFilter(
        k_endog=1,
        k_states=m,
        transition=model.F,
        design=model.H[None],
        selection=np.eye(m),
        state_cov=model.Q,
        obs_cov=[[model.R]],
        initialization="known",
        initial_state=np.zeros(m),
        initial_state_cov=np.zeros((m, m)),
        tolerance=0,
    )
    kalman.bind(np.zeros((steps, 1)))
    result = kalman.filter()
    return result.kalman_gain[:, 0, -1], float(result.forecasts_error_cov[0, 0, -1])


@given(ar=autoregressions(5), ma=moving_averages(4), variance=st.floats(0.01, 100))
def test_an_arma_survives_the_way_to_state_space_and_back(
    ar: np.ndarray, ma: np.ndarray, variance: float
) -> None:
    for form in (observable_form(ar, ma, variance), innovations(state_space(ar, ma, variance))):
        a, b = form.arma()
        np.testing.assert_allclose(a, padded(ar, len(a)), atol=1e-9)
        np.testing.assert_allclose(b, padded(ma, len(b)), atol=1e-9)
        assert form.variance == pytest.approx(variance)
        np.testing.assert_allclose(
            form.infinite_autoregression(30), infinite_autoregression(ar, ma, 30), atol=1e-9
        )


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 4))
def test_the_gain_is_the_one_that_the_filter_of_statsmodels_settles_at(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(m, m))
    F *= rng.uniform(0.3, 0.98) / np.abs(np.linalg.eigvals(F)).max()
    root = rng.normal(size=(m, m))
    model = StateSpace(F, rng.normal(size=m), root @ root.T, float(rng.exponential()) + 0.01)
    gain, variance = settled(model, 400)
    form = innovations(model)
    np.testing.assert_allclose(form.K, gain, atol=1e-9 * max(1.0, np.abs(gain).max()))
    assert form.variance == pytest.approx(variance, rel=1e-9)


@settings(max_examples=40)
@given(ar=autoregressions(3), ma=moving_averages(2), seed=st.integers(0, 2**32 - 1))
def test_coordinates_of_the_state_do_not_show_in_the_weights(
    ar: np.ndarray, ma: np.ndarray, seed: int
) -> None:
    model = state_space(ar, ma)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=model.F.shape))
    turned = innovations(
        StateSpace(turn @ model.F @ turn.T, turn @ model.H, _symmetric(turn @ model.Q @ turn.T), 0.0)
    )
    np.testing.assert_allclose(
        turned.infinite_autoregression(30), infinite_autoregression(ar, ma, 30), atol=1e-9
    )


@pytest.mark.parametrize("ratio", [0.0, 1e-12, 1e-8, 1e-4, 0.1, 1.0, 10.0, 1e6])
def test_the_gain_of_a_local_level_has_a_closed_form(ratio: float) -> None:
    form = innovations(local_level(ratio))
    assert form.K[0] == pytest.approx(local_level_gain(ratio), rel=1e-9, abs=1e-15)
    a, b = form.arma()
    np.testing.assert_allclose([a[0], b[0]], [1.0, local_level_gain(ratio) - 1])
    np.testing.assert_allclose(
        form.infinite_autoregression(20), local_level_autoregression(local_level_gain(ratio), 20), atol=1e-12
    )


def test_a_local_level_smooths_exponentially() -> None:
    np.testing.assert_allclose(local_level_autoregression(0.25, 3), [0.25, 0.1875, 0.140625])
    assert local_level_gain(np.inf) == 1.0
    with pytest.raises(InvalidValueError, match="at least 0"):
        local_level_gain(-1.0)


def test_a_trend_with_a_seasonal_gives_the_unit_roots_of_its_differences() -> None:
    F = np.zeros((5, 5))
    F[:2, :2] = [[1, 1], [0, 1]]
    F[2, 2:] = -1
    F[3, 2] = F[4, 3] = 1
    model = StateSpace(F, np.array([1.0, 0, 1, 0, 0]), np.diag([0.3, 0.02, 0.1, 0, 0]), 1.0)
    form = innovations(model)
    gain, _ = settled(model, 3000)
    np.testing.assert_allclose(form.K, gain, atol=1e-9)
    a, b = form.arma()
    np.testing.assert_allclose(Difference(1, 1, 4).unfold(a), [], atol=1e-9)
    weights = infinite_autoregression(a, b, 40)
    np.testing.assert_allclose(form.infinite_autoregression(40), weights, atol=1e-9)


def test_a_seasonal_that_never_changes_is_known_and_not_corrected() -> None:
    F = np.diag([1.0, -1.0])
    form = innovations(StateSpace(F, np.ones(2), np.diag([0.5, 0.0]), 1.0))
    np.testing.assert_allclose(form.K, [local_level_gain(0.5), 0.0], atol=1e-12)


def test_models_without_a_usable_filter_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"multiplies its errors by 2\.0 a step"):
        innovations(state_space([0.5], [2.0]))
    with pytest.raises(InvalidValueError, match="no noise reaches the series"):
        innovations(StateSpace(np.array([[0.0, 1], [0, 0]]), np.array([1.0, 0]), np.diag([0.0, 1]), 0.0))
    with pytest.raises(InvalidValueError, match="does not settle"):
        innovations(StateSpace(np.diag([0.5, 1.0]), np.array([1.0, 0]), np.eye(2), 1.0))


def test_values_are_checked_where_they_are_made() -> None:
    with pytest.raises(InvalidValueError, match="R is a variance"):
        StateSpace(np.eye(1), ONE, np.eye(1), -1.0)
    with pytest.raises(InvalidValueError, match=r"eigenvalue is -1\.0"):
        StateSpace(np.eye(1), ONE, -np.eye(1), 1.0)
    with pytest.raises(InvalidValueError, match="Q must be a covariance"):
        StateSpace(np.eye(2), np.ones(2), np.array([[1.0, 0.5], [0.0, 1.0]]), 1.0)
    with pytest.raises(InvalidValueError, match="F must have the shape"):
        StateSpace(np.eye(2), ONE, np.eye(1), 1.0)
    with pytest.raises(InvalidValueError, match="K holds NaN"):
        Innovations(np.eye(1), ONE, np.array([np.nan]), 1.0)
    with pytest.raises(InvalidValueError, match="variance above 0"):
        Innovations(np.eye(1), ONE, ONE, 0.0)


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2
