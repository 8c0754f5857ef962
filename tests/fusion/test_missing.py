from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import RIDGE, Information, dequantise, information, quantise
from ledgerfed.fusion.combine import fuse
from ledgerfed.fusion.missing import (
    complete_own,
    conditional,
    fuse_completed,
    onto_present,
    pool_moments,
    present_columns,
)

D = 5
ALL = np.ones(D, dtype=bool)
BASE_ONLY = np.array([True, True, True, False, False])
IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": b"\x03" * 4}
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


def test_when_nobody_lacks_anything_the_coefficients_are_those_of_the_plain_sum() -> None:
    infos, masks = federation(1, lacking=0)
    pooled = pool_moments(infos, masks, [1.0, 0.5, 2.0])
    assert pooled.steps == 0
    theta, precision = fuse(infos, [1.0, 0.5, 2.0])
    np.testing.assert_allclose(pooled.theta, theta, rtol=1e-9)
    np.testing.assert_allclose(fuse_completed(infos, masks, [1.0, 0.5, 2.0], pooled), precision, rtol=1e-9)
    assert pooled.noise.tolist() == [info.s2 for info in infos]


def log_likelihood(
    samples: list[Sample], masks: list[np.ndarray], xx: np.ndarray, theta: np.ndarray, noise: np.ndarray
) -> float:
    """What EM says it maximises, from the rows: normal columns (the intercept too), noise a node."""
    total = 0.0
    for (X, y), mask, s2 in zip(samples, masks, noise, strict=True):
        joint = np.block([[xx, (xx @ theta)[:, None]], [theta @ xx, np.array([theta @ xx @ theta + s2])]])
        known = np.append(mask, True)
        joint, rows = joint[np.ix_(known, known)], np.column_stack([X, y])[:, known]
        quadratic = (rows @ np.linalg.inv(joint) * rows).sum()
        total -= (len(y) * np.linalg.slogdet(joint)[1] + quadratic) / 2
        total += 0.0 if mask.all() else np.log(s2) * mask.sum() / 2  # the columns' degrees of freedom
    return float(total)


@pytest.mark.parametrize("seed", range(4))
def test_em_ends_at_a_maximum_of_the_likelihood_of_the_rows_that_it_never_saw(seed: int) -> None:
    masks = [ALL] * 2 + [BASE_ONLY, np.array([True, False, True, True, True])]
    samples = [sample(seed, 400 + 50 * k, 0.5 + 0.3 * k, k) for k in range(4)]
    noise = [0.5 + 0.3 * k for k in range(4)]
    infos = [message(s, mask, n**2) for s, mask, n in zip(samples, masks, noise, strict=True)]
    pooled = pool_moments(infos, masks, tolerance=1e-12)
    here = log_likelihood(samples, masks, pooled.xx, pooled.theta, pooled.noise)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        turn = rng.normal(size=(D, D))
        for sign in (0.02, -0.02):
            lift = np.eye(D) + sign * turn
            moved = log_likelihood(samples, masks, lift @ pooled.xx @ lift.T, pooled.theta, pooled.noise)
            theta = pooled.theta + sign * turn[0]
            about = pooled.noise * np.where([m.all() for m in masks], 1.0, np.exp(sign * turn[1, :4]))
            assert moved < here
            assert log_likelihood(samples, masks, pooled.xx, theta, pooled.noise) < here
            assert log_likelihood(samples, masks, pooled.xx, pooled.theta, about) < here


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
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-9, atol=1e-9)


def test_a_message_of_weight_zero_does_not_count() -> None:
    infos, masks = federation(8)
    liar = message(sample(9, 400, 0.1, 0), ALL)
    one = pool_moments(infos, masks)
    other = pool_moments([*infos, liar], [*masks, ALL], [1.0] * 6 + [0.0])
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-12)


def test_what_a_mask_hides_is_not_read() -> None:
    infos, masks = federation(9)
    rows = sample(9, 150, 0.5, 3)
    told, hidden = (message(rows, mask, 0.3) for mask in (ALL, BASE_ONLY))
    one, other = (pool_moments([*infos[:3], info], [*masks[:3], BASE_ONLY]) for info in (told, hidden))
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-6)


def test_em_that_does_not_converge_is_an_error() -> None:
    infos, masks = federation(10)
    with pytest.raises(FitError, match=r"EM still moves by .* after 3 steps"):
        pool_moments(infos, masks, max_steps=3)


def test_what_cannot_be_pooled_is_refused() -> None:
    infos, masks = federation(11)
    with pytest.raises(InvalidValueError, match="no node has column 3"):
        pool_moments(infos[3:], masks[3:])
    with pytest.raises(InvalidValueError, match="no node has column 3"):
        pool_moments(infos, masks, [0.0] * 3 + [1.0] * 3)
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
