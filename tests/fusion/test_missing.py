from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import RIDGE, Information, dequantise, information, quantise
from ledgerfed.fusion.combine import fuse
from ledgerfed.fusion.missing import (
    complete_own,
    conditional,
    onto_present,
    pool_moments,
    present_columns,
)

D = 5
ALL = np.ones(D, dtype=bool)
BASE_ONLY = np.array([True, True, True, False, False])
IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": b"\x03" * 32}
Sample = tuple[np.ndarray, np.ndarray]


def population(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What all nodes share: how columns mix (the last two depend on the first three) and θ."""
    rng = np.random.default_rng(seed)
    return np.eye(D) + 0.6 * np.triu(rng.normal(size=(D, D)), 1), rng.normal(size=D)


def sample(seed: int, n: int, noise: float, node: int) -> Sample:
    mixing, theta = population(seed)
    rng = np.random.default_rng([seed, node])
    X = rng.normal(size=(n, D)) @ mixing
    X[:, 0] = 1.0
    return X, X @ theta + noise * rng.normal(size=n)


def message(rows: Sample, present: np.ndarray, s2: float | None = None) -> Information:
    X, y = rows
    return information(np.where(present, X, 0.0), y, y, 1.0, s2)


def federation(seed: int, lacking: int = 3, n: int = 150) -> tuple[list[Information], list[np.ndarray]]:
    masks = [ALL, ALL, ALL] + [BASE_ONLY] * lacking
    samples = [sample(seed, n + 7 * k, 0.5 + 0.2 * k, k) for k in range(len(masks))]
    return [message(s, mask) for s, mask in zip(samples, masks, strict=True)], masks


def joint_moments(X: np.ndarray, y: np.ndarray, s2: float) -> np.ndarray:
    rows = np.column_stack([X, y])
    gram = rows.T @ rows / s2
    gram[:-1, :-1] += RIDGE * np.eye(X.shape[1])
    return gram


def test_when_nobody_lacks_anything_the_moments_are_the_plain_sum() -> None:
    infos, masks = federation(1, lacking=0)
    pooled = pool_moments(infos, masks)
    assert pooled.steps == 0
    theta, precision = fuse(infos, [1.0] * 3)
    np.testing.assert_allclose(pooled.theta, theta, rtol=1e-9)
    np.testing.assert_allclose(pooled.xx * pooled.mass, precision, rtol=1e-9, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_em_reaches_the_closed_form_of_one_missing_block(seed: int) -> None:
    """Factored likelihood: moments of (x_o, y) from all nodes, x_m given them from those who have it."""
    infos, masks = federation(seed)
    pooled = pool_moments(infos, masks, tolerance=1e-12)
    samples = [sample(seed, 150 + 7 * k, 0.5 + 0.2 * k, k) for k in range(6)]
    grams = [
        joint_moments(np.where(mask, X, 0.0), y, info.s2)
        for (X, y), mask, info in zip(samples, masks, infos, strict=True)
    ]
    o, m = [0, 1, 2, 5], [3, 4]
    complete = sum(grams[:3])
    mass = sum(info.n / info.s2 for info in infos)
    known = np.asarray(sum(g[np.ix_(o, o)] for g in grams)) / mass
    B = np.linalg.solve(complete[np.ix_(o, o)], complete[np.ix_(o, m)]).T
    rest = complete[np.ix_(m, m)] - B @ complete[np.ix_(o, m)]
    rest /= sum(info.n / info.s2 for info in infos[:3])
    expected = np.zeros((6, 6))
    expected[np.ix_(o, o)] = known
    expected[np.ix_(m, o)] = B @ known
    expected[np.ix_(o, m)] = (B @ known).T
    expected[np.ix_(m, m)] = B @ known @ B.T + rest
    np.testing.assert_allclose(pooled.joint, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_allclose(
        pooled.theta, np.linalg.solve(expected[:5, :5], expected[:5, 5]), rtol=1e-4, atol=1e-5
    )


def root_mean_square(errors: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def test_em_and_completion_remove_the_bias_of_zero_padding() -> None:
    padded, pooled, completed = [], [], []
    for seed in range(8):
        truth = population(seed)[1]
        infos, masks = federation(seed, lacking=6, n=3000)
        ones = [1.0] * len(infos)
        padded.append(fuse(infos, ones)[0] - truth)
        pooled.append(pool_moments(infos, masks).theta - truth)
        having = fuse(infos[:3], ones[:3])[1]
        messages = [complete_own(i, mask, having) for i, mask in zip(infos, masks, strict=True)]
        completed.append(fuse(messages, ones)[0] - truth)
    assert root_mean_square(pooled) < 0.2 * root_mean_square(padded)
    assert root_mean_square(completed) < 0.2 * root_mean_square(padded)


def test_em_reads_what_crossed_the_network() -> None:
    infos, masks = federation(6)
    received = [dequantise(quantise(info, **IDS)) for info in infos]
    found = [present_columns(info) for info in received]
    np.testing.assert_array_equal(found, masks)
    one, other = pool_moments(infos, masks), pool_moments(received, found)
    np.testing.assert_allclose(other.theta, one.theta, atol=2e-3)


def test_the_order_and_the_grouping_of_messages_do_not_matter() -> None:
    infos, masks = federation(7)
    one = pool_moments(infos, masks)
    other = pool_moments(infos[::-1], masks[::-1])
    np.testing.assert_allclose(one.joint, other.joint, rtol=1e-9, atol=1e-9)


def test_a_message_of_weight_zero_does_not_count() -> None:
    infos, masks = federation(8)
    liar = message((sample(9, 400, 0.1, 0)), ALL)
    one = pool_moments(infos, masks)
    other = pool_moments([*infos, liar], [*masks, ALL], [1.0] * 6 + [0.0])
    np.testing.assert_allclose(one.joint, other.joint, rtol=1e-12)


def test_em_that_does_not_converge_is_an_error() -> None:
    infos, masks = federation(10)
    with pytest.raises(FitError, match=r"EM still moves by .* after 3 steps"):
        pool_moments(infos, masks, max_steps=3)


def test_what_cannot_be_pooled_is_refused() -> None:
    infos, masks = federation(11)
    with pytest.raises(InvalidValueError, match="no node has column 3"):
        pool_moments(infos[3:], masks[3:])
    with pytest.raises(InvalidValueError, match="6 messages, 5 masks"):
        pool_moments(infos, masks[1:])
    with pytest.raises(InvalidValueError, match="must not be negative"):
        pool_moments(infos, masks, [-1.0] * 6)
    with pytest.raises(InvalidValueError, match="a mask of 5 columns"):
        conditional(np.eye(5), ~ALL)


def test_a_completed_message_is_that_of_rows_with_the_missing_columns_predicted() -> None:
    rows = sample(12, 200, 0.7, 0)
    info = message(rows, BASE_ONLY)
    precision = message(sample(12, 300, 0.7, 1), ALL).precision()
    completed = complete_own(info, BASE_ONLY, precision)
    X = rows[0].copy()
    X[:, 3:] = X[:, :3] @ np.linalg.solve(precision[:3, :3], precision[:3, 3:])
    expected = information(X, rows[1], rows[1], 1.0, info.s2)
    np.testing.assert_allclose(completed.precision(), expected.precision(), rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(completed.eta(), expected.eta(), rtol=1e-6, atol=1e-6)
    assert completed.residual == pytest.approx(expected.residual, rel=1e-4)
    assert (completed.n, completed.s2) == (info.n, info.s2)


def test_a_completed_message_claims_no_more_than_the_columns_it_has() -> None:
    info = message(sample(13, 200, 0.7, 0), BASE_ONLY)
    precision = message(sample(13, 300, 0.7, 1), ALL).precision()
    completed = complete_own(info, BASE_ONLY, precision).precision()
    spectrum = np.linalg.eigvalsh(completed)
    assert (spectrum[:2] < 3 * RIDGE).all()
    assert spectrum[2] > 1.0
    B = conditional(precision, BASE_ONLY)
    unseen = np.concatenate([-B.T @ np.array([1.0, 0.0]), [1.0, 0.0]])
    assert unseen @ completed @ unseen < 3 * RIDGE * float(unseen @ unseen)


def test_completing_with_a_model_that_knows_nothing_is_zero_padding() -> None:
    info = message(sample(14, 200, 0.7, 0), BASE_ONLY)
    completed = complete_own(info, BASE_ONLY, np.eye(D))
    np.testing.assert_allclose(completed.R, info.R, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(completed.z, info.z, rtol=1e-9, atol=1e-9)
    assert complete_own(info, ALL, np.eye(D)) is info


def test_rounds_of_completion_converge_to_the_regression_among_those_who_have_the_columns() -> None:
    infos, masks = federation(15)
    precision = np.asarray(sum(info.precision() for info in infos))
    for _ in range(60):
        messages = [complete_own(i, mask, precision) for i, mask in zip(infos, masks, strict=True)]
        precision = np.asarray(sum(info.precision() for info in messages))
    having = np.asarray(sum(info.precision() for info in infos[:3]))
    np.testing.assert_allclose(conditional(precision, BASE_ONLY), conditional(having, BASE_ONLY), atol=1e-3)


def test_a_node_without_the_columns_gets_the_best_forecast_from_those_it_has() -> None:
    X, y = sample(17, 200_000, 0.5, 0)
    info = message((X, y), ALL)
    folded = onto_present(info.theta(), BASE_ONLY, info.precision())
    assert folded[3:].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(folded[:3], np.linalg.lstsq(X[:, :3], y)[0], atol=1e-6)
    np.testing.assert_array_equal(onto_present(info.theta(), ALL, info.precision()), info.theta())
