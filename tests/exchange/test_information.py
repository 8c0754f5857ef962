from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import RIDGE, Information, information, noise_about


def rows(seed: int = 0, n: int = 80, d: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    y = X @ rng.normal(size=d) + 0.5 * rng.normal(size=n)
    return X, y, y + 0.3 * rng.normal(size=n)


@given(
    seed=st.integers(0, 2**32 - 1),
    lam=st.sampled_from([0.0, 0.3, 1.0]),
    s2=st.sampled_from([None, 0.04, 7.0]),
    ridge=st.sampled_from([0.0, RIDGE, 1.0]),
)
def test_r_and_z_are_the_square_root_of_the_normal_equations(
    seed: int, lam: float, s2: float | None, ridge: float
) -> None:
    X, y, yhat = rows(seed)
    info = information(X, y, yhat, lam, s2, ridge)
    assert (np.diag(info.R) > 0).all()
    assert not np.tril(info.R, -1).any()
    gram = X.T @ X / info.s2 + ridge * np.eye(5)
    np.testing.assert_allclose(info.precision(), gram, rtol=1e-9, atol=1e-9 * gram.max())
    moment = X.T @ (lam * y + (1 - lam) * yhat) / info.s2
    np.testing.assert_allclose(info.eta(), moment, rtol=1e-9, atol=1e-9 * np.abs(moment).max())


def test_exact_statistics_give_ordinary_least_squares_and_its_noise() -> None:
    X, y, yhat = rows()
    info = information(X, y, yhat, 1.0, ridge=0.0)
    theta, (rss,), _, _ = np.linalg.lstsq(X, y)
    np.testing.assert_allclose(info.theta(), theta, rtol=1e-10)
    assert info.s2 == pytest.approx(rss / 75)
    assert info.residual == pytest.approx(75)
    assert info.n == 80


def test_distillation_projects_the_predictions_but_measures_the_noise_on_the_data() -> None:
    X, y, yhat = rows()
    info = information(X, y, yhat, 0.0, ridge=0.0)
    theta = np.linalg.lstsq(X, yhat)[0]
    np.testing.assert_allclose(info.theta(), theta, rtol=1e-10)
    assert info.s2 == pytest.approx(((y - X @ theta) ** 2).sum() / 75)


def test_noise_can_be_measured_about_a_base_model() -> None:
    X, y, yhat = rows()
    s2 = noise_about(X, y, np.zeros(5))
    assert s2 == pytest.approx(np.mean(y * y))
    info = information(X, y, yhat, 1.0, s2)
    assert info.s2 == s2
    assert info.residual < 80


def test_a_column_that_never_moved_needs_a_ridge_and_then_says_nothing() -> None:
    X, y, yhat = rows()
    X = np.column_stack([X[:, :2], np.zeros(80), X[:, 2:]])
    with pytest.raises(InvalidValueError, match="column 2 is a combination of others; give a ridge"):
        information(X, y, yhat, 1.0, ridge=0.0)
    info = information(X, y, yhat, 1.0)
    assert info.precision()[2, 2] == pytest.approx(RIDGE)
    assert info.theta()[2] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "message"), [("X", r"X\[3,1\] is nan"), ("y", r"y\[3\]"), ("yhat", r"yhat\[3\]")]
)
def test_a_missing_value_is_refused_by_place(name: str, message: str) -> None:
    values = dict(zip(("X", "y", "yhat"), rows(), strict=True))
    values[name][(3, 1) if name == "X" else 3] = np.nan
    with pytest.raises(InvalidValueError, match=message):
        information(**values, lam=1.0)


def test_too_few_rows_or_no_noise_are_refused() -> None:
    X, y, yhat = rows()
    with pytest.raises(InvalidValueError, match="5 rows leave no degree of freedom for 5 columns"):
        information(X[:5], y[:5], yhat[:5], 1.0)
    with pytest.raises(InvalidValueError, match="there is no noise"):
        information(X, X @ np.ones(5), yhat, 1.0)
    with pytest.raises(InvalidValueError, match="lam must lie in"):
        information(X, y, yhat, 1.1)
    with pytest.raises(InvalidValueError, match="they must match"):
        information(X, y[:-1], yhat, 1.0)


def test_information_that_is_no_square_root_cannot_be_made() -> None:
    with pytest.raises(InvalidValueError, match="positive diagonal"):
        Information(9, 1.0, np.array([[1.0, 0.0], [0.5, 1.0]]), np.zeros(2), 1.0)
    with pytest.raises(InvalidValueError, match="positive diagonal"):
        Information(9, 1.0, np.diag([1.0, -1.0]), np.zeros(2), 1.0)
    with pytest.raises(InvalidValueError, match="s2 > 0"):
        Information(9, 0.0, np.eye(2), np.zeros(2), 1.0)
