from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_models import autoregressions, reflections
from statsmodels.tsa.statespace.tools import constrain_stationary_univariate
from statsmodels.tsa.stattools import levinson_durbin, levinson_durbin_pacf

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.linear_prediction import cepstrum, from_cepstrum, levinson, step_down, step_up


@given(k=reflections(12))
def test_partial_autocorrelations_survive_the_way_to_coefficients_and_back(k: np.ndarray) -> None:
    np.testing.assert_allclose(step_down(step_up(k)), k, atol=1e-9)


@given(k=reflections(12, least=1))
def test_step_up_agrees_with_statsmodels(k: np.ndarray) -> None:
    expected, _ = levinson_durbin_pacf(np.concatenate([[1.0], k]))
    np.testing.assert_allclose(step_up(k), expected, atol=1e-11)


@given(unconstrained=st.lists(st.floats(-3, 3), min_size=1, max_size=8).map(np.array))
def test_step_up_agrees_with_the_transformation_to_stationarity_of_statsmodels(
    unconstrained: np.ndarray,
) -> None:
    k = unconstrained / np.sqrt(1 + unconstrained**2)
    np.testing.assert_allclose(step_up(-k), constrain_stationary_univariate(unconstrained), atol=1e-11)


@given(k=reflections(8))
def test_step_up_gives_stable_models(k: np.ndarray) -> None:
    roots = np.roots(np.concatenate([[1.0], -step_up(k)]))
    assert np.abs(roots).max(initial=0) < 1


@given(seed=st.integers(0, 2**32 - 1))
def test_levinson_agrees_with_statsmodels_and_with_the_normal_equations(seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=40).cumsum()
    r = np.array([y[j:] @ y[: 40 - j] for j in range(9)]) / 40
    variance, ar, pacf, _, _ = levinson_durbin(r, nlags=8, isacov=True)
    best = levinson(r)
    np.testing.assert_allclose(best.ar, ar, atol=1e-9)
    np.testing.assert_allclose(best.reflections, pacf[1:], atol=1e-9)
    assert best.variance == pytest.approx(variance)
    gram = r[np.abs(np.subtract.outer(np.arange(8), np.arange(8)))]
    np.testing.assert_allclose(gram @ best.ar, r[1:], atol=1e-9 * r[0])


def test_a_variance_alone_predicts_zero() -> None:
    best = levinson([2.5])
    assert (len(best.ar), best.variance) == (0, 2.5)


@pytest.mark.parametrize(
    ("r", "message"),
    [
        ([1.0, 1.0], "not positive definite at lag 1"),
        ([1.0, 0.9, 0.1], "not positive definite at lag 2: partial autocorrelation -3.7"),
        ([0.0, 0.0], "variance above 0"),
        ([], "variance above 0"),
        ([1.0, np.nan], "must be a list of finite numbers"),
        ([[1.0]], "must be a list of finite numbers"),
    ],
)
def test_levinson_refuses_what_no_series_has(r: list[float], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        levinson(r)


def test_an_unstable_model_has_no_partial_autocorrelations() -> None:
    with pytest.raises(InvalidValueError, match=r"not stable: partial autocorrelation 1\.0 at lag 1"):
        step_down([1.0])
    with pytest.raises(InvalidValueError, match=r"autocorrelation -1\.2 at lag 2; difference first"):
        step_down([1.1, -1.2])


def test_a_bound_brings_an_unstable_model_back_and_leaves_a_stable_one_alone() -> None:
    np.testing.assert_allclose(step_down([0.5, -0.3], bound=0.999), step_down([0.5, -0.3]))
    np.testing.assert_allclose(step_down([1.1, -1.2], bound=0.9), [1.1 * 0.1 / 0.19, -0.9])
    np.testing.assert_allclose(step_down([1.7], bound=0.9), [0.9])
    for bound in (1.0, -0.1, np.nan):
        with pytest.raises(InvalidValueError, match="lies in"):
            step_down([0.5], bound=bound)


@given(ar=autoregressions(12))
def test_coefficients_survive_the_way_to_the_cepstrum_and_back(ar: np.ndarray) -> None:
    np.testing.assert_allclose(from_cepstrum(cepstrum(ar, len(ar))), ar, atol=1e-9)
    longer = from_cepstrum(cepstrum(ar, len(ar) + 5))
    np.testing.assert_allclose(longer, np.concatenate([ar, np.zeros(5)]), atol=1e-9)


@given(ar=autoregressions(4))
def test_the_cepstrum_holds_the_powers_of_the_poles(ar: np.ndarray) -> None:
    poles = np.roots(np.concatenate([[1.0], -ar]))
    n = np.arange(1, 9)
    expected = (poles[:, None] ** n).sum(axis=0).real / n
    np.testing.assert_allclose(cepstrum(ar, 8), expected, atol=1e-6)
