from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.fusion.experts import Estimate, error_moments, intersect, weigh


def covariance(seed: int, k: int = 3) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(k, k))
    return root @ root.T + 0.1 * np.eye(k)


def test_uncorrelated_experts_count_by_their_precision() -> None:
    np.testing.assert_allclose(weigh(np.diag([1.0, 4.0, 2.0])), np.array([4, 1, 2]) / 7)


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 5))
def test_no_other_weights_that_sum_to_one_err_less(seed: int, k: int) -> None:
    S, rng = covariance(seed, k), np.random.default_rng(seed)
    free, positive = weigh(S, non_negative=False), weigh(S)
    assert free.sum() == pytest.approx(1.0)
    assert positive.sum() == pytest.approx(1.0)
    assert (positive >= 0).all()
    assert free @ S @ free <= positive @ S @ positive + 1e-12
    for _ in range(30):
        other = rng.dirichlet(np.full(k, 0.5))
        assert positive @ S @ positive <= other @ S @ other + 1e-9
        other = free + rng.normal(size=k) * 0.1
        other = other / other.sum()
        assert free @ S @ free <= other @ S @ other + 1e-9 * abs(other @ S @ other)


def test_an_expert_that_copies_a_better_one_with_noise_gets_nothing_unless_weights_may_be_negative() -> None:
    S = np.array([[1.0, 1.1], [1.1, 1.5]])
    assert weigh(S).tolist() == [1.0, 0.0]
    assert weigh(S, non_negative=False)[1] < 0


def test_the_moments_of_errors_are_about_zero() -> None:
    errors = np.array([[3.0, 1.0], [3.0, -1.0], [3.0, 2.0]])
    S = error_moments(errors, shrink=False)
    np.testing.assert_allclose(S, [[9.0, 2.0], [2.0, 2.0]])


def test_few_errors_shrink_the_correlation_and_many_do_not() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(5_000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])

    def kept(n: int) -> float:
        plain, shrunk = error_moments(errors[:n], shrink=False), error_moments(errors[:n])
        np.testing.assert_array_equal(np.diag(plain), np.diag(shrunk))
        return float(shrunk[0, 1] / plain[0, 1])

    assert kept(5_000) > 0.99
    assert 0 <= kept(6) < 0.9
    assert error_moments(np.array([[1.0, 1.0], [1.0, -1.0]]))[0, 1] == 0.0


def test_shrinking_has_the_published_intensity() -> None:
    """Schäfer & Strimmer 2005, target D: the sum of Var(s_ij) over the sum of s_ij², off the diagonal."""
    errors = np.random.default_rng(3).normal(size=(12, 3)) + 0.5
    n, S = len(errors), errors.T @ errors / len(errors)
    top = bottom = 0.0
    for i in range(3):
        for j in range(3):
            if i != j:
                w = errors[:, i] * errors[:, j]
                top += ((w - w.mean()) ** 2).sum() / (n * (n - 1))
                bottom += S[i, j] ** 2
    expected = (1 - min(1.0, top / bottom)) * S
    np.fill_diagonal(expected, np.diag(S))
    np.testing.assert_allclose(error_moments(errors), expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    criterion=st.sampled_from(["trace", "determinant", "traces"]),
    rho=st.floats(-0.99, 0.99),
)
def test_an_intersection_never_claims_more_than_any_correlation_allows(
    seed: int, criterion: str, rho: float
) -> None:
    A, B = covariance(seed), covariance(seed + 1)
    a, b = Estimate(np.zeros(3), A), Estimate(np.ones(3), B)
    fused = intersect([a, b], criterion)  # type: ignore[arg-type]
    cross = rho * np.linalg.cholesky(A) @ np.linalg.cholesky(B).T
    # the weight on A comes back from C⁻¹ = ω A⁻¹ + (1 - ω) B⁻¹
    inverse = [np.linalg.inv(M) for M in (fused.covariance, A, B)]
    omega = np.trace(inverse[0] - inverse[2]) / np.trace(inverse[1] - inverse[2])
    K, L = fused.covariance @ (omega * inverse[1]), fused.covariance @ ((1 - omega) * inverse[2])
    truth = K @ A @ K.T + L @ B @ L.T + K @ cross @ L.T + (K @ cross @ L.T).T
    assert np.linalg.eigvalsh(fused.covariance - truth).min() > -1e-6 * np.trace(fused.covariance)
    np.testing.assert_allclose(fused.mean, L @ np.ones(3), atol=1e-8 * max(1.0, float(np.abs(L).max())))


@given(seed=st.integers(0, 2**32 - 1))
def test_the_search_finds_the_least_trace_and_determinant(seed: int) -> None:
    a, b = Estimate(np.zeros(3), covariance(seed)), Estimate(np.ones(3), covariance(seed + 1))
    A, B = np.linalg.inv(a.covariance), np.linalg.inv(b.covariance)
    grid = [np.linalg.inv(w * A + (1 - w) * B) for w in np.linspace(0, 1, 101)]
    by_trace = np.trace(intersect([a, b], "trace").covariance)
    by_determinant = np.linalg.det(intersect([a, b], "determinant").covariance)
    assert by_trace <= min(np.trace(C) for C in grid) * (1 + 1e-6)
    assert by_determinant <= min(np.linalg.det(C) for C in grid) * (1 + 1e-6)


def test_traces_weigh_without_a_search() -> None:
    a, b = Estimate(np.array([0.0]), np.array([[1.0]])), Estimate(np.array([1.0]), np.array([[3.0]]))
    fused = intersect([a, b], "traces")
    assert fused.covariance[0, 0] == pytest.approx(1 / (0.75 + 0.25 / 3))
    assert fused.mean[0] == pytest.approx(fused.covariance[0, 0] * 0.25 / 3)
    assert intersect([a, b]).covariance[0, 0] == pytest.approx(1.0)
    assert intersect([b, a, b]).mean[0] == pytest.approx(0.0)
    assert intersect([a]) is a


@pytest.mark.parametrize(
    ("S", "message"),
    [
        (np.ones((2, 2)), "positive definite"),
        (np.ones((2, 3)), "need S of 1..12"),
        (np.eye(13), "need S of 1..12"),
    ],
)
def test_weights_need_a_covariance(S: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        weigh(S)


def test_what_is_no_estimate_or_no_error_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="symmetric covariance"):
        Estimate(np.zeros(2), np.eye(3))
    with pytest.raises(InvalidValueError, match="positive definite"):
        Estimate(np.zeros(2), -np.eye(2))
    with pytest.raises(InvalidValueError, match="estimates of one length"):
        intersect([Estimate(np.zeros(2), np.eye(2)), Estimate(np.zeros(3), np.eye(3))])
    with pytest.raises(InvalidValueError, match="estimates of one length"):
        intersect([])
    with pytest.raises(InvalidValueError, match="two or more rows"):
        error_moments(np.zeros((1, 2)))
    with pytest.raises(InvalidValueError, match="expert 1 is never wrong"):
        error_moments(np.array([[1.0, 0.0], [2.0, 0.0]]))
