from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import information
from ledgerfed.exchange.forgetting import age_weights, forget, weighted_information


def rows(seed: int = 0, n: int = 80, d: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    y = X @ rng.normal(size=d) + 0.5 * rng.normal(size=n)
    return X, y, y + 0.3 * rng.normal(size=n)


@given(gamma=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_forgetting_scales_what_is_claimed_and_leaves_what_is_said(gamma: float, seed: int) -> None:
    X, y, yhat = rows(seed)
    info = information(X, y, yhat, 1.0)
    old = forget(info, gamma)
    np.testing.assert_allclose(old.precision(), gamma * info.precision(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(old.eta(), gamma * info.eta(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(old.theta(), info.theta(), rtol=1e-7, atol=1e-9)
    assert old.residual == pytest.approx(gamma * info.residual)
    assert old.n == round(gamma * 80)
    assert old.s2 == info.s2


@settings(max_examples=40)
@given(gamma=st.floats(0.8, 1.0), fresh=st.integers(1, 30), seed=st.integers(0, 1000))
def test_forgetting_before_rows_are_added_weights_rows_by_age(gamma: float, fresh: int, seed: int) -> None:
    """P ← γP before every new row, as recursive least squares does it."""
    X, y, _ = rows(seed)
    weights = age_weights(np.ones(80, dtype=bool), gamma)
    whole = weighted_information(X, y, y, 1.0, weights, s2=0.7, ridge=0.0)
    first = 80 - fresh
    earlier = weighted_information(
        X[:first], y[:first], y[:first], 1.0, weights[:first] / weights[first - 1], s2=0.7, ridge=0.0
    )
    P, h = earlier.precision(), earlier.eta()
    for x, value in zip(X[first:], y[first:], strict=True):
        P, h = gamma * P + np.outer(x, x) / 0.7, gamma * h + x * value / 0.7
    np.testing.assert_allclose(whole.precision(), P, rtol=1e-8, atol=1e-8 * np.abs(P).max())
    np.testing.assert_allclose(whole.eta(), h, rtol=1e-8, atol=1e-8 * np.abs(h).max())
    carried = forget(earlier, gamma**fresh).precision()
    np.testing.assert_allclose(
        carried, P - (X[first:].T * weights[first:]) @ X[first:] / 0.7, atol=1e-8 * np.abs(P).max()
    )


def test_weights_fall_with_the_age_in_grid_steps_not_in_rows() -> None:
    present = np.array([True, False, False, True, True])
    np.testing.assert_allclose(age_weights(present, 0.5), [0.5**4, 0.5, 1.0])
    np.testing.assert_allclose(age_weights(present, 1.0), [1.0, 1.0, 1.0])


def test_the_coefficients_are_those_of_weighted_least_squares() -> None:
    X, y, yhat = rows()
    weights = age_weights(np.ones(80, dtype=bool), 0.95)
    info = weighted_information(X, y, yhat, 1.0, weights, ridge=0.0)
    oracle = sm.WLS(y, X, weights=weights).fit()
    np.testing.assert_allclose(info.theta(), oracle.params, rtol=1e-9)
    assert info.residual * info.s2 == pytest.approx(float(weights @ oracle.resid**2))
    assert info.n == round(weights.sum()) == 20


def test_rows_of_weight_one_are_plain_information() -> None:
    X, y, yhat = rows()
    for lam in (0.0, 0.4, 1.0):
        plain = information(X, y, yhat, lam)
        weighted = weighted_information(X, y, yhat, lam, np.ones(80))
        np.testing.assert_allclose(weighted.R, plain.R, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(weighted.z, plain.z, rtol=1e-9, atol=1e-12)
        assert weighted.s2 == pytest.approx(plain.s2, rel=1e-12)
        assert weighted.n == plain.n


def test_the_noise_of_forgotten_rows_is_estimated_without_bias() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 4))
    weights = age_weights(np.ones(60, dtype=bool), 0.9)
    found = [weighted_information(X, y, y, 1.0, weights).s2 for y in 1.5 * rng.standard_normal((3000, 60))]
    assert np.mean(found) == pytest.approx(1.5**2, rel=0.03)


def test_a_noise_variance_that_is_given_is_kept() -> None:
    X, y, yhat = rows()
    assert weighted_information(X, y, yhat, 1.0, np.full(80, 0.5), s2=7.0).s2 == 7.0


def test_what_cannot_be_forgotten_is_refused() -> None:
    X, y, yhat = rows()
    info = information(X, y, yhat, 1.0)
    for gamma in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(InvalidValueError, match="forgetting factor must lie in"):
            forget(info, gamma)
        with pytest.raises(InvalidValueError, match="forgetting factor must lie in"):
            age_weights(np.ones(3, dtype=bool), gamma)
    for weights in (np.zeros(80), np.full(80, 1.5), np.ones(79), np.full(80, np.nan)):
        with pytest.raises(InvalidValueError, match="as many weights in"):
            weighted_information(X, y, yhat, 1.0, weights)
    with pytest.raises(InvalidValueError, match="5 rows leave no degree of freedom"):
        weighted_information(X[:5], y[:5], yhat[:5], 1.0, np.full(5, 0.5))
    with pytest.raises(InvalidValueError, match="there is no noise"):
        weighted_information(X, X @ np.ones(5), yhat, 1.0, np.full(80, 0.5))
