from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import Information, dequantise, information, quantise
from ledgerfed.fusion import fuse, personal, predict

IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": b"\x03" * 4}


def nodes(seed: int, count: int = 5, d: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nodes of different length, scale of noise and correlation of columns."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=d)
    made = []
    for _ in range(count):
        X = rng.normal(size=(int(rng.integers(20, 200)), d)) @ (np.eye(d) + 0.5 * rng.normal(size=(d, d)))
        made.append((X, X @ theta + rng.uniform(0.1, 3) * rng.normal(size=len(X))))
    return made


def exact(samples: list[tuple[np.ndarray, np.ndarray]]) -> list[Information]:
    return [information(X, y, y, 1.0, ridge=0.0) for X, y in samples]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_liars_the_fused_model_is_the_centralised_weighted_fit(seed: int) -> None:
    samples = nodes(seed)
    infos = exact(samples)
    weights = [1.0, 0.25, 2.0, 1.0, 0.5]
    theta, precision = fuse(infos, weights)
    scale = [np.sqrt(w / info.s2) for w, info in zip(weights, infos, strict=True)]
    X = np.vstack([k * X for k, (X, _) in zip(scale, samples, strict=True)])
    y = np.concatenate([k * y for k, (_, y) in zip(scale, samples, strict=True)])
    expected = np.linalg.lstsq(X, y)[0]
    assert np.abs(theta - expected).max() <= 1e-9 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(precision, X.T @ X, rtol=1e-9, atol=1e-9 * np.abs(X.T @ X).max())


def test_one_noise_scale_for_all_gives_plain_pooled_least_squares() -> None:
    samples = nodes(3)
    infos = [information(X, y, y, 1.0, s2=0.7, ridge=0.0) for X, y in samples]
    theta, _ = fuse(infos, [1.0] * 5)
    expected = np.linalg.lstsq(np.vstack([X for X, _ in samples]), np.concatenate([y for _, y in samples]))[0]
    np.testing.assert_allclose(theta, expected, atol=1e-9)


def test_sixteen_bits_cost_less_than_a_hundredth_of_a_standard_error() -> None:
    infos = exact(nodes(4))
    theta, precision = fuse(infos, [1.0] * 5)
    coarse, _ = fuse([dequantise(quantise(info, **IDS)) for info in infos], [1.0] * 5)
    error = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert (np.abs(coarse - theta) < 0.01 * error).all()


def test_a_node_of_weight_zero_is_not_heard() -> None:
    infos = exact(nodes(5))
    left_out, _ = fuse(infos[:4], [1.0] * 4)
    silenced, _ = fuse(infos, [1.0] * 4 + [0.0])
    np.testing.assert_allclose(silenced, left_out, rtol=1e-12)


def test_kappa_leads_from_the_own_model_to_the_global_one() -> None:
    infos = exact(nodes(6))
    theta, precision = fuse(infos, [1.0] * 5)
    own = infos[0]
    np.testing.assert_allclose(personal(own, theta, precision / 5, 0.0), own.theta(), rtol=1e-8)
    np.testing.assert_allclose(personal(own, theta, precision / 5, 1e12), theta, rtol=1e-8)
    distances = [
        np.linalg.norm(personal(own, theta, precision / 5, k) - theta) for k in (0.1, 1.0, 10.0, 100.0)
    ]
    assert distances == sorted(distances, reverse=True)


def test_the_personal_model_minimises_own_loss_plus_prior() -> None:
    infos = exact(nodes(7))
    theta, precision = fuse(infos, [1.0] * 5)
    own, prior = infos[1], 2.0 * precision / 5
    best = personal(own, theta, precision / 5, 2.0)

    def loss(t: np.ndarray) -> float:
        return float(np.sum((own.R @ t - own.z) ** 2) + (t - theta) @ prior @ (t - theta))

    rng = np.random.default_rng(0)
    assert all(loss(best) < loss(best + 1e-3 * rng.normal(size=6)) for _ in range(20))


def test_predictions_are_the_product() -> None:
    np.testing.assert_array_equal(
        predict(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([3.0, -1.0])), [1.0, -1.0]
    )


def test_what_cannot_be_fused_is_refused() -> None:
    infos = exact(nodes(8))
    with pytest.raises(InvalidValueError, match="0 updates"):
        fuse([], [])
    with pytest.raises(InvalidValueError, match="one width"):
        fuse([infos[0], exact(nodes(8, 1, 4))[0]], [1.0, 1.0])
    with pytest.raises(InvalidValueError, match="must not be negative"):
        fuse(infos[:2], [1.0, -1.0])
    with pytest.raises(InvalidValueError, match="nor all zero"):
        fuse(infos[:2], [0.0, 0.0])
    with pytest.raises(InvalidValueError, match="kappa"):
        personal(infos[0], np.zeros(6), np.eye(6), -1.0)
