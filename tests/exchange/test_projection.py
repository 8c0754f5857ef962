from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_models import autoregressions, moving_averages, reflections
from statsmodels.tsa.arima_process import arma2ar, arma_acovf

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.differencing import Difference
from ledgerfed.exchange.linear_prediction import levinson, padded, step_up
from ledgerfed.exchange.projection import autocovariances, best_autoregression, infinite_autoregression


def error_variance(weights: np.ndarray, ar: np.ndarray, ma: np.ndarray) -> float:
    """The one-step error of Σ w_j x_{t-j} under the ARMA, from its autocovariances by statsmodels."""
    r = arma_acovf(np.concatenate([[1.0], -ar]), np.concatenate([[1.0], ma]), nobs=len(weights) + 1)
    gram = r[np.abs(np.subtract.outer(np.arange(len(r)), np.arange(len(r))))]
    error = np.concatenate([[1.0], -weights])
    return float(error @ gram @ error)


@given(ar=autoregressions(5), ma=moving_averages(4))
def test_the_infinite_autoregression_agrees_with_statsmodels(ar: np.ndarray, ma: np.ndarray) -> None:
    expected = arma2ar(np.concatenate([[1.0], -ar]), np.concatenate([[1.0], ma]), 31)
    np.testing.assert_allclose(infinite_autoregression(ar, ma, 30), -expected[1:], atol=1e-9)


@given(ar=autoregressions(5), ma=moving_averages(4), count=st.integers(0, 20))
def test_the_autocovariances_agree_with_statsmodels(ar: np.ndarray, ma: np.ndarray, count: int) -> None:
    expected = arma_acovf(np.concatenate([[1.0], -ar]), np.concatenate([[1.0], ma]), nobs=count + 1)
    np.testing.assert_allclose(autocovariances(ar, ma, count), expected, atol=1e-8 * expected[0])


@given(k=reflections(12))
def test_an_autoregression_is_its_own_best(k: np.ndarray) -> None:
    ar = step_up(0.8 * k)
    np.testing.assert_allclose(levinson(autocovariances(ar, (), 12)).ar, padded(ar, 12), atol=1e-9)
    np.testing.assert_array_equal(best_autoregression(ar, (), 12), padded(ar, 12))


@given(ar=autoregressions(3), ma=moving_averages(2, least=1))
def test_the_best_autoregression_is_never_worse_than_the_infinite_one_cut(
    ar: np.ndarray, ma: np.ndarray
) -> None:
    best = error_variance(best_autoregression(ar, ma, 6), ar, ma)
    cut = error_variance(infinite_autoregression(ar, ma, 6), ar, ma)
    assert 1 - 1e-9 <= best <= cut + 1e-9


def test_projecting_halves_what_cutting_costs_near_a_unit_root_of_the_moving_average() -> None:
    ar, ma = np.array([0.5]), np.array([-0.95])
    best = error_variance(best_autoregression(ar, ma, 12), ar, ma) - 1
    cut = error_variance(infinite_autoregression(ar, ma, 12), ar, ma) - 1
    assert 0 < best < 0.5 * cut


@given(ma=moving_averages(2), season=st.sampled_from([4, 7]))
def test_the_best_autoregression_of_a_difference_keeps_its_unit_roots(ma: np.ndarray, season: int) -> None:
    difference = Difference(1, 1, season)
    weights = best_autoregression((), ma, 14, difference)
    np.testing.assert_allclose(
        difference.unfold(weights), best_autoregression((), ma, 14 - difference.order), atol=1e-9
    )


def test_a_difference_needs_its_lags() -> None:
    assert (
        best_autoregression((), (0.4,), 8, Difference(1, 1, 7)).tolist()
        == Difference(1, 1, 7).fold([]).tolist()
    )
    with pytest.raises(InvalidValueError, match="takes 8 lags of 7"):
        best_autoregression((), (0.4,), 7, Difference(1, 1, 7))


def test_an_autoregression_at_the_edge_of_stability_is_still_its_own_best() -> None:
    ar = step_up([0.999, -0.999, 0.999, -0.999, 0.999, -0.999, 0.999, -0.999])
    np.testing.assert_array_equal(best_autoregression(ar, [0.0], 9), np.append(ar, 0.0))
    with pytest.raises(InvalidValueError, match="not stable"):
        best_autoregression([1.5], [0.5], 4)


def test_an_unstable_model_has_no_autocovariances() -> None:
    with pytest.raises(InvalidValueError, match="not stable"):
        autocovariances([1.0], (), 3)


def test_roots_close_to_one_keep_their_digits() -> None:
    k = np.array([0.9999, -0.999, 0.99])
    r = autocovariances(step_up(k), (), 3)
    assert r[0] == pytest.approx(1 / np.prod(1 - k**2), rel=1e-9)
