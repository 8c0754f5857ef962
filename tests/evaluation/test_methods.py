"""Every method is what its name says: held against the definition, a limit, or a brute-force computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_case import BASIS, TRAIN, case_of, panel, trained

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.compare import METHODS, PERSONAL
from ledgerfed.evaluation.methods import alone, averaging, federated, pooled
from ledgerfed.evaluation.methods.result import Prediction, Result, Trained, errors_of
from ledgerfed.exchange.basis import MICRO
from ledgerfed.models import load_family

PANELS = tuple(panel(seed) for seed in range(4))


@pytest.fixture(scope="module")
def nodes() -> tuple[Trained, ...]:
    return trained(case_of(PANELS))


def coefficients(result: Result, nodes: tuple[Trained, ...], index: int = 0) -> np.ndarray:
    """What a linear method forecast with, read off its forecasts."""
    X, _ = nodes[index].participant.answers
    theta, missed, *_ = np.linalg.lstsq(X, result.predictions[index].mean)
    assert missed < 1e-20
    return np.asarray(theta)


def gradient_descent(node: Trained, steps: int) -> np.ndarray:
    X, y = node.rows
    step = len(y) / np.linalg.eigvalsh(X.T @ X).max()
    theta = np.zeros(X.shape[1])
    for _ in range(steps):
        theta = theta - step * X.T @ (X @ theta - y) / len(y)
    return theta


def test_the_naive_forecast_claims_the_spread_of_its_error_in_training(nodes: tuple[Trained, ...]) -> None:
    result = alone.naive(nodes, 0)
    y = nodes[0].participant.past
    # the first difference of the window has its last value before it
    before = nodes[0].participant.train.y[-TRAIN - 1 : -TRAIN]
    steps = np.diff(np.concatenate([before, y]))
    np.testing.assert_allclose(result.predictions[0].sd, np.sqrt(np.mean(steps**2)))
    np.testing.assert_array_equal(result.predictions[0].mean, nodes[0].participant.naive)


def test_the_own_model_forecasts_with_the_parameters_as_fitted() -> None:
    (node,) = trained(case_of(PANELS[:1], ("local_level",)))
    again = load_family("local_level").fit(node.participant.train).one_step(node.participant.through)
    (found,) = alone.own_model([node], 0).predictions
    np.testing.assert_array_equal(found.mean, again[node.participant.test])
    _, y = node.rows
    error = y - node.predictions
    free = len(y) - len(node.fitted.parameters)
    np.testing.assert_allclose(found.sd, np.sqrt(error @ error / free))


def test_the_own_regression_is_least_squares(nodes: tuple[Trained, ...]) -> None:
    X, y = nodes[1].rows
    expected = np.linalg.solve(X.T @ X, X.T @ y)
    result = alone.own_regression(nodes, 0)
    np.testing.assert_allclose(coefficients(result, nodes, 1), expected, rtol=1e-9)
    error = y - X @ expected
    np.testing.assert_allclose(result.predictions[1].sd, np.sqrt(error @ error / (len(y) - X.shape[1])))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(3, 30), columns=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_ridge_is_the_one_that_leaving_each_row_out_in_turn_prefers(
    rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    y = X @ rng.normal(size=columns) * 0.3 + rng.normal(size=rows)

    def fit(X: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
        return np.asarray(np.linalg.solve(X.T @ X + penalty * np.eye(columns), X.T @ y))

    missed = []
    for penalty in alone.PENALTIES:
        left = [np.arange(rows) != i for i in range(rows)]
        missed.append(sum(float((y[~k] - X[~k] @ fit(X[k], y[k], penalty))[0]) ** 2 for k in left))
    theta, used = alone.ridge(X, y)
    best = alone.PENALTIES[int(np.argmin(missed))]
    np.testing.assert_allclose(theta, fit(X, y, best), rtol=1e-6, atol=1e-9)
    hat = X @ np.linalg.solve(X.T @ X + best * np.eye(columns), X.T)
    assert used == pytest.approx(np.trace(hat))


def test_centralized_is_least_squares_on_the_rows_of_all(nodes: tuple[Trained, ...]) -> None:
    X, y = (np.concatenate(parts) for parts in zip(*(node.rows for node in nodes), strict=True))
    expected = np.linalg.lstsq(X, y)[0]
    for index in range(len(nodes)):
        np.testing.assert_allclose(
            coefficients(pooled.centralized(nodes, 0), nodes, index), expected, rtol=1e-9
        )


def test_weights_count_a_nodes_rows_so_many_times_and_the_ridge_pulls_to_zero(
    nodes: tuple[Trained, ...],
) -> None:
    twice = pooled.pooled_least_squares([nodes[0], nodes[0], nodes[1]])
    np.testing.assert_allclose(pooled.pooled_least_squares(nodes[:2], [2.0, 1.0]), twice, rtol=1e-9)
    X, y = nodes[0].rows
    expected = np.linalg.solve(X.T @ X + 5 * np.eye(X.shape[1]), X.T @ y)
    np.testing.assert_allclose(pooled.pooled_least_squares(nodes[:1], ridge=5.0), expected, rtol=1e-9)


def test_rounds_count_from_when_every_node_stays_near_the_centralized_model(
    nodes: tuple[Trained, ...],
) -> None:
    there = pooled.pooled_least_squares(nodes)
    far = there + 1.0
    assert pooled.rounds_to_centralized(nodes, [far, there, far, there, there]) == 4
    assert pooled.rounds_to_centralized(nodes, [there, far]) == 0
    assert pooled.rounds_to_centralized(nodes, [there]) == 1


def test_federated_averaging_with_one_node_is_its_gradient_descent(nodes: tuple[Trained, ...]) -> None:
    result = averaging.federated_averaging(nodes[:1], 0)
    steps = int(result.notes["local_steps"])
    assert steps in averaging.LOCAL_STEPS
    expected = gradient_descent(nodes[0], steps * averaging.ROUNDS)
    np.testing.assert_allclose(coefficients(result, nodes), expected, rtol=1e-9)


def test_a_round_of_federated_averaging_is_the_mean_of_local_descents_weighted_by_rows() -> None:
    target = PANELS[1].target.copy()
    target[40:70] = np.nan
    pair = trained(case_of((PANELS[0], replace(PANELS[1], target=target))))
    sizes = [len(node.rows[1]) for node in pair]
    assert sizes[0] != sizes[1]
    steepest = max(np.linalg.eigvalsh(X.T @ X / len(y)).max() for X, y in (n.rows for n in pair))
    locals_ = []
    for node in pair:
        X, y = node.rows
        theta = np.zeros(X.shape[1])
        for _ in range(10):
            theta = theta - X.T @ (X @ theta - y) / len(y) / steepest
        locals_.append(theta)
    expected = np.average(locals_, axis=0, weights=sizes)
    np.testing.assert_allclose(averaging.averages([node.rows for node in pair], 1, 10), [expected], rtol=1e-9)


def test_the_parameters_after_the_last_round_forecast_for_everybody_and_every_round_is_paid_for(
    nodes: tuple[Trained, ...],
) -> None:
    result = averaging.federated_averaging(nodes, 0)
    steps = int(result.notes["local_steps"])
    last = averaging.averages([node.rows for node in nodes], averaging.ROUNDS, steps)[-1]
    for index in range(len(nodes)):
        np.testing.assert_allclose(coefficients(result, nodes, index), last, rtol=1e-9)
    assert result.rounds == averaging.ROUNDS
    assert result.bytes_up == result.bytes_down == averaging.ROUNDS * 8 * BASIS.width


def test_federated_averaging_of_identical_nodes_comes_to_the_centralized_model(
    nodes: tuple[Trained, ...],
) -> None:
    same = [nodes[0]] * 3
    result = averaging.federated_averaging(same, 0)
    np.testing.assert_allclose(
        coefficients(result, nodes), pooled.pooled_least_squares(same), rtol=1e-6, atol=1e-9
    )
    assert 0 < result.notes["rounds_to_centralized"] <= averaging.ROUNDS


def test_the_weighted_median_is_where_half_the_weight_is_reached(nodes: tuple[Trained, ...]) -> None:
    result = averaging.quality_weighted_median(nodes, 0)
    thetas = np.array([node.information.theta() for node in nodes])
    quality = np.array([1 / node.information.s2 for node in nodes])
    found = coefficients(result, nodes)
    for value, column in zip(found, thetas.T, strict=True):
        nearest = column[np.argmin(np.abs(column - value))]
        assert value == pytest.approx(nearest, abs=1e-9)
        assert quality[column < nearest].sum() < quality.sum() / 2 <= quality[column <= nearest].sum()


def test_a_node_of_much_better_quality_is_the_median(nodes: tuple[Trained, ...]) -> None:
    X, y = nodes[2].rows
    theta = nodes[2].information.theta()
    calm = replace(nodes[2].participant.train, y=nodes[2].participant.train.y.copy())
    calm.y[calm.rows] = X @ theta + 1e-4 * (y - X @ theta)
    heavy = replace(nodes[2], participant=replace(nodes[2].participant, train=calm), predictions=X @ theta)
    result = averaging.quality_weighted_median([*nodes[:2], heavy], 0)
    np.testing.assert_allclose(coefficients(result, nodes), theta, rtol=1e-3, atol=1e-4)


def test_means_of_coefficients_do_not_depend_on_units_that_the_basis_pins() -> None:
    plain, pinned = (
        trained(replace(case_of(PANELS[:3]), basis=basis))
        for basis in (BASIS, replace(BASIS, scale=3 * MICRO, centre=7 * MICRO))
    )
    for method in (averaging.scalar_weighted, averaging.quality_weighted_median):
        for own, public in zip(method(plain, 0).predictions, method(pinned, 0).predictions, strict=True):
            assert np.corrcoef(own.mean, public.mean)[0, 1] > 1 - 1e-6


def test_the_scalar_weighted_mean_by_hand() -> None:
    target = PANELS[1].target.copy()
    target[40:80] = np.nan
    pair = trained(case_of((PANELS[0], replace(PANELS[1], target=target))))
    a, b = (node.information for node in pair)
    assert a.n > 1.5 * b.n
    wa, wb = a.n / a.s2, b.n / b.s2
    expected = (wa * a.theta() + wb * b.theta()) / (wa + wb)
    result = averaging.scalar_weighted(pair, 0)
    np.testing.assert_allclose(coefficients(result, pair), expected, rtol=1e-9)
    assert (result.rounds, result.bytes_up, result.bytes_down) == (1, 8 * 7, 8 * 5)


def test_averages_take_native_models_by_what_they_predict() -> None:
    mixed = trained(case_of(PANELS[:2], ("arma",)))
    thetas = [node.information.theta() for node in mixed]
    for node, theta in zip(mixed, thetas, strict=True):
        X, _ = node.rows
        projected = np.linalg.lstsq(X, node.predictions)[0]
        np.testing.assert_allclose(theta, projected, atol=1e-3)


def test_the_global_model_is_that_of_the_second_round_and_both_are_paid_for(
    nodes: tuple[Trained, ...],
) -> None:
    result = federated.global_model(nodes, 0)
    first = federated.fuse_exactly([node.informed(None) for node in nodes])
    second = federated.fuse_exactly([node.informed(first.theta) for node in nodes])
    np.testing.assert_allclose(coefficients(result, nodes), second.theta, rtol=1e-9)
    d = BASIS.width
    assert result.rounds == 2
    assert result.bytes_up == 2 * second.payload_bytes
    assert result.bytes_down == 2 * 8 * (d + d * (d + 1) // 2)
    assert result.wire_up > result.bytes_up
    assert result.notes["rounds_to_centralized"] in (0.0, 1.0, 2.0)


def test_later_rounds_measure_the_noise_of_exact_statistics_about_the_base(
    nodes: tuple[Trained, ...],
) -> None:
    base = np.full(BASIS.width, 0.1)
    X, y = nodes[0].rows
    informed = nodes[0].informed(base)
    assert informed.s2 == pytest.approx(np.mean((y - X @ base) ** 2))
    np.testing.assert_allclose(informed.theta(), nodes[0].information.theta(), atol=1e-3)
    (native,) = trained(case_of(PANELS[:1], ("arma",)))
    assert native.informed(base) is native.information


def test_personal_coefficients_lie_between_the_own_and_the_global_ones(nodes: tuple[Trained, ...]) -> None:
    odd = trained(case_of((*PANELS[:3], replace(PANELS[3], target=100 - PANELS[3].target))))
    shared = coefficients(federated.global_model(odd, 0), odd)
    for index, node in enumerate(odd):
        own = node.information.theta()
        personal = coefficients(METHODS[PERSONAL](odd, 0), odd, index)
        assert np.linalg.norm(personal - own) < np.linalg.norm(shared - own) + 1e-9
        assert np.linalg.norm(personal - shared) < np.linalg.norm(own - shared) + 1e-9


def test_a_personal_forecast_is_less_certain_the_farther_its_row_lies(nodes: tuple[Trained, ...]) -> None:
    result = METHODS[PERSONAL](nodes, 0)
    X, _ = nodes[0].participant.answers
    spread = result.predictions[0].sd
    far = np.argmax(np.linalg.norm(X, axis=1))
    assert spread[far] > np.median(spread)


def test_errors_are_root_mean_squares_on_the_test_rows(nodes: tuple[Trained, ...]) -> None:
    theta = np.arange(float(BASIS.width))
    X, y = nodes[3].participant.answers
    assert errors_of(nodes, theta)[3] == pytest.approx(np.sqrt(np.mean((y - X @ theta) ** 2)))


def test_a_forecast_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="finite mean"):
        Prediction(np.array([1.0, np.nan]), np.ones(2))
    with pytest.raises(InvalidValueError, match="deviation for every row"):
        Prediction(np.ones(2), np.ones(3))
