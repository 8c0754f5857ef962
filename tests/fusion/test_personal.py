from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import Information, dequantise, information, noise_about, quantise
from ledgerfed.fusion import KAPPA, KAPPAS, common_kappa, evidence, fuse, personal, personalise
from ledgerfed.fusion.shrinkage import shrinkage

IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": b"\x03" * 32}
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
    found = evidence(own, theta, mean)[1:-1]
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


def test_nodes_that_agree_ask_for_a_stronger_prior_than_nodes_that_differ() -> None:
    alike, apart = federation(nodes(5)), federation(nodes(5, apart=2.0))
    assert common_kappa(*alike) >= 10
    assert common_kappa(*apart) <= 0.1


def test_without_messages_the_prior_sits_at_the_constant() -> None:
    _, theta, mean = federation(nodes(6))
    assert common_kappa([], theta, mean) == KAPPA
    silent = information(np.zeros((30, 5)), np.ones(30), np.ones(30), 1.0)  # rows that say nothing
    assert 1 < personalise(silent, [], theta, mean).kappa < 4


def test_what_the_others_found_decides_for_a_node_of_few_rows() -> None:
    apart, alike = federation(nodes(7, apart=2.0)), federation(nodes(7))
    X, y = nodes(7)[0]
    few = information(X[:6], y[:6], y[:6], 1.0, s2=1.0)
    assert common_kappa(*apart) < common_kappa(*alike)
    expecting_little = personalise(few, apart[0], *alike[1:]).kappa
    assert expecting_little < personalise(few, alike[0], *alike[1:]).kappa / 2


def test_an_odd_node_leaves_the_global_model_and_does_not_drag_the_others_along() -> None:
    samples = nodes(8, count=20)
    X, y = samples[3]
    samples[3] = (X, y + X @ np.array([0.0, 0.0, 1.5, 0.0, 0.0]))
    infos, theta, mean = federation(samples)
    own, other = (personalise(infos[i], infos, theta, mean) for i in (3, 0))
    assert own.kappa < 0.5 < 10 < other.kappa
    alone = infos[3].theta()
    assert np.linalg.norm(own.theta - alone) < 0.4 * np.linalg.norm(theta - alone)


def test_one_message_that_claims_everything_moves_the_common_strength_by_little() -> None:
    infos, theta, mean = federation(nodes(9, count=20))
    liar = Information(infos[0].n, infos[0].s2, 1000 * infos[0].R, -1000 * infos[0].z, infos[0].residual)
    assert evidence(liar, theta, mean).max() - evidence(liar, theta, mean)[-1] > 1e6
    honest = common_kappa(infos, theta, mean)
    assert common_kappa([*infos[1:], liar], theta, mean) >= honest / 5


def test_a_column_that_only_others_have_comes_from_them() -> None:
    samples = nodes(10, mix=0.0)
    infos, theta, mean = federation(samples)
    X, y = samples[0]
    X = X.copy()
    X[:, 2] = 0.0
    own = information(X, y, y, 1.0, noise_about(X, y, theta))
    assert personalise(own, infos, theta, mean).theta[2] == pytest.approx(theta[2], abs=0.05)


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
    coarse = [dequantise(quantise(info, **IDS)) for info in infos]
    found = personalise(infos[0], coarse, theta, mean)
    assert np.isfinite(found.theta).all()
    assert abs(found.weights.sum() - 1) < 1e-12
    assert np.linalg.eigvalsh(found.covariance).min() >= -1e-9 * np.abs(found.covariance).max()
    X, y = samples[0]
    worst = max(np.std(y - X @ theta), np.std(y - X @ infos[0].theta()))
    assert np.std(y - X @ found.theta) <= 1.01 * worst


def test_what_is_no_prior_is_refused() -> None:
    infos, theta, mean = federation(nodes(11))
    with pytest.raises(InvalidValueError, match="as many"):
        personalise(infos[0], [], theta[:4], mean)
    with pytest.raises(InvalidValueError, match="positive diagonal"):
        personalise(infos[0], [], theta, np.zeros((5, 5)))
    with pytest.raises(InvalidValueError, match="positive diagonal"):
        personalise(infos[0], [], theta, np.full((5, 5), np.nan))
