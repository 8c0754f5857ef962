from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import information
from ledgerfed.fusion.square_root import residual_about, second_moment, triangular


def rows(seed: int, n: int = 60, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return X, X @ rng.normal(size=d) + rng.normal(size=n)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_message_tells_the_squares_of_its_target_and_its_errors_about_any_model(seed: int) -> None:
    X, y = rows(seed)
    info = information(X, y, y, 1.0)
    assert second_moment(info) == pytest.approx(float(y @ y) / info.s2)
    theta = np.random.default_rng(seed).normal(size=4)
    error = y - X @ theta
    assert residual_about(info, theta) == pytest.approx(float(error @ error) / info.s2)
    assert residual_about(info, info.theta()) == pytest.approx(info.residual)


def test_stacked_rows_become_a_triangle_with_a_positive_diagonal() -> None:
    X, y = rows(1)
    R, z = triangular(X, y)
    np.testing.assert_allclose(R.T @ R, X.T @ X, atol=1e-9)
    np.testing.assert_allclose(R.T @ z, X.T @ y, atol=1e-9)
    assert (np.diag(R) > 0).all()
    assert not np.tril(R, -1).any()


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="3 rows do not determine 4 coefficients"):
        triangular(*(part[:3] for part in rows(2)))
