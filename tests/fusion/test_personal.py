from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import Information, dequantise, information, noise_about, quantise
from ledgerfed.fusion import KAPPA, KAPPAS, fuse, personal, personalise, predictive, shrinkage
from ledgerfed.fusion.forecaster import prior_weights

IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": b"\x03" * 4}
Sample = tuple[np.ndarray, np.ndarray]


def nodes(
    seed: int, count: int = 12, d: int = 5, n: int = 60, apart: float = 0.0, mix: float = 0.5
) -> list[Sample]:
    """Nodes whose coefficients differ by `apart` from a common truth."""
    rng = np.random.default_rng(seed)
    truth, columns = rng.normal(size=d), np.eye(d) + mix * rng.normal(size=(d, d))
    made = []
    for _ in range(count):
        X = rng.normal(size=(n, d)) @ columns
        made.append((X, X @ (truth + apart * rng.normal(size=d)) + rng.normal(size=n)))
    return made


def federation(samples: list[Sample]) -> tuple[list[Information], np.ndarray, np.ndarray]:
    """Messages, global coefficients and mean precision after a second round, noise about the global model."""
    infos = [information(X, y, y, 1.0) for X, y in samples]
    theta, _ = fuse(infos, [1.0] * len(infos))
    infos = [information(X, y, y, 1.0, noise_about(X, y, theta)) for X, y in samples]
    theta, precision = fuse(infos, [1.0] * len(infos))
    return infos, theta, precision / len(infos)


def test_the_evidence_is_the_likelihood_of_the_rows_under_the_prior() -> None:
    """The oracle integrates nothing: y is normal with mean Xθ and covariance s² + X(κP̄)⁻¹Xᵀ."""
    from scipy.stats import multivariate_normal

    X, y = nodes(1)[0]
    _, theta, mean = federation(nodes(1))
    own = information(X, y, y, 1.0, s2=1.3, ridge=0.0)
    expected = [
        multivariate_normal.logpdf(y, X @ theta, 1.3 * np.eye(len(y)) + X @ np.linalg.inv(k * mean) @ X.T)
        for k in KAPPAS[1:-1]
    ]
    found = shrinkage(own, theta, mean).log_evidence()[1:-1]
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], atol=1e-7)


def test_every_strength_on_the_path_solves_the_normal_equations() -> None:
    infos, theta, mean = federation(nodes(2, apart=0.3))
    path = shrinkage(infos[0], theta, mean).thetas()
    for kappa, found in zip(KAPPAS, path, strict=True):
        np.testing.assert_allclose(
            found, personal(infos[0], theta, mean, float(kappa)), rtol=1e-8, atol=1e-10
        )


def test_one_certain_strength_has_the_covariance_of_the_posterior() -> None:
    infos, theta, mean = federation(nodes(3))
    certain = np.zeros(len(KAPPAS))
    certain[7] = 1.0
    expected = np.linalg.inv(infos[0].precision() + KAPPAS[7] * mean)
    found = shrinkage(infos[0], theta, mean).covariance(certain)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_uncertain_strength_makes_the_coefficients_less_certain() -> None:
    infos, theta, mean = federation(nodes(4, apart=1.0))
    view = shrinkage(infos[0], theta, mean)
    both = np.zeros(len(KAPPAS))
    both[[0, -1]] = 0.5
    found, thetas = view.covariance(both), view.thetas()
    within = sum(np.linalg.inv(infos[0].precision() + KAPPAS[i] * mean) / 2 for i in (0, -1))
    gap = (thetas[0] - thetas[-1]) / 2
    np.testing.assert_allclose(found, within + np.outer(gap, gap), rtol=1e-6, atol=1e-9)


def test_nodes_that_agree_give_evidence_for_a_stronger_prior_than_nodes_that_differ() -> None:
    def preferred(samples: list[Sample]) -> float:
        infos, theta, mean = federation(samples)
        evidence = sum(shrinkage(info, theta, mean).log_evidence() for info in infos)
        return float(KAPPAS[int(np.argmax(evidence))])

    assert preferred(nodes(5)) >= 10
    assert preferred(nodes(5, apart=2.0)) <= 0.1


def test_rows_that_say_nothing_leave_the_prior_where_it_sits() -> None:
    _, theta, mean = federation(nodes(6))
    silent = information(np.zeros((30, 5)), np.ones(30), np.ones(30), 1.0)
    assert KAPPA / 1.5 < personalise(silent, theta, mean).kappa < KAPPA * 1.5
    assert int(np.argmax(prior_weights())) == int(np.argmin(np.abs(np.log(KAPPAS / KAPPA))))


def test_a_node_that_differs_leaves_the_global_model_and_the_others_stay() -> None:
    samples = nodes(8, count=20)
    X, y = samples[3]
    samples[3] = (X, y + X @ np.array([0.0, 0.0, 1.5, 0.0, 0.0]))
    infos, theta, mean = federation(samples)
    own, other = (personalise(infos[i], theta, mean) for i in (3, 0))
    assert own.kappa < 0.5 < 2 < other.kappa
    alone = infos[3].theta()
    assert np.linalg.norm(own.theta - alone) < 0.4 * np.linalg.norm(theta - alone)


def test_what_forecast_unseen_rows_best_gains_weight_and_rounds_add_up() -> None:
    samples = nodes(9, apart=0.7)
    infos, theta, mean = federation(samples)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5))
    own_way, common_way = X @ infos[0].theta(), X @ theta
    alone, together = (predictive(infos[0], theta, mean, X, y) for y in (own_way, common_way))
    kappas = [personalise(infos[0], theta, mean, p).kappa for p in (alone, None, together)]
    assert kappas[0] < kappas[1] / 2 < kappas[1] < kappas[2] / 2
    noisy = common_way + rng.normal(size=40)
    once = predictive(infos[0], theta, mean, X, noisy)
    kappa = [personalise(infos[0], theta, mean, times * once).kappa for times in (1, 8)]
    assert kappa[1] > 1.4 * kappa[0]


def test_fitted_rows_count_a_quarter_of_what_unseen_rows_count() -> None:
    infos, theta, mean = federation(nodes(13, apart=0.5))
    evidence = shrinkage(infos[0], theta, mean).log_evidence()
    seen = np.linspace(0.0, 3.0, len(KAPPAS))
    logs = np.log(personalise(infos[0], theta, mean, seen).weights)
    expected = prior_weights() + 0.25 * evidence + seen
    np.testing.assert_allclose(logs - logs[0], expected - expected[0], atol=1e-9)


def test_the_predictive_likelihood_is_that_of_normal_errors_with_their_own_variance() -> None:
    from scipy.stats import norm

    infos, theta, mean = federation(nodes(10, apart=0.7))
    X, y = nodes(11)[0]
    found = predictive(infos[0], theta, mean, X, y)
    errors = y - shrinkage(infos[0], theta, mean).thetas() @ X.T
    expected = [norm.logpdf(e, scale=np.sqrt(np.mean(e * e))).sum() for e in errors]
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], atol=1e-9)
    np.testing.assert_array_equal(predictive(infos[0], theta, mean, X[:0], y[:0]), np.zeros(len(KAPPAS)))


def test_a_column_that_only_others_have_comes_from_them() -> None:
    samples = nodes(10, mix=0.0)
    _, theta, mean = federation(samples)
    X, y = samples[0]
    X = X.copy()
    X[:, 2] = 0.0
    own = information(X, y, y, 1.0, noise_about(X, y, theta))
    assert personalise(own, theta, mean).theta[2] == pytest.approx(theta[2], abs=0.05)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), power=st.floats(0, 7))
def test_nearly_deterministic_columns_give_finite_forecasters(seed: int, power: float) -> None:
    """Two columns that differ by 10^-power of their size, as a jacket's and a dryer's temperature do."""
    samples = []
    for X, y in nodes(seed, count=4):
        X = X.copy()
        X[:, 1] = X[:, 0] + 10.0**-power * X[:, 1]
        samples.append((X, y))
    infos, theta, mean = federation(samples)
    found = personalise(dequantise(quantise(infos[0], **IDS)), theta, mean)
    assert np.isfinite(found.theta).all()
    assert abs(found.weights.sum() - 1) < 1e-12
    assert np.linalg.eigvalsh(found.covariance).min() >= -1e-9 * np.abs(found.covariance).max()
    X, y = samples[0]
    worst = max(np.std(y - X @ theta), np.std(y - X @ infos[0].theta()))
    assert np.std(y - X @ found.theta) <= 1.01 * worst


def test_a_prior_that_rounding_made_singular_still_gives_a_forecaster() -> None:
    """Columns that only differ in the last bit of what a model carries: one direction has no precision."""
    infos, theta, mean = federation(nodes(14))
    mean = mean.copy()
    mean[1], mean[:, 1] = mean[0], mean[:, 0]
    mean[1, 1] = mean[0, 0] * (1 - 1e-13)
    assert np.linalg.eigvalsh(mean).min() < 0
    found = personalise(infos[0], theta, mean)
    assert np.isfinite(found.theta).all()
    assert np.linalg.norm(found.theta - infos[0].theta()) < 1.0


def test_what_is_no_prior_is_refused() -> None:
    infos, theta, mean = federation(nodes(12))
    with pytest.raises(InvalidValueError, match="as many"):
        personalise(infos[0], theta[:4], mean)
    for wrong in (np.zeros((5, 5)), np.full((5, 5), np.nan)):
        with pytest.raises(InvalidValueError, match="positive diagonal"):
            personalise(infos[0], theta, wrong)
    for wrong in (np.zeros(3), np.full(len(KAPPAS), np.nan)):
        with pytest.raises(InvalidValueError, match="each of 15"):
            personalise(infos[0], theta, mean, wrong)
    with pytest.raises(InvalidValueError, match="positive"):
        prior_weights(0.0)
