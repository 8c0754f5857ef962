from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.errors import FitError
from ledgerfed.evaluation.synthetic_nodes import Linear, Node, draw_nodes, fit_native, lagged
from ledgerfed.exchange.differencing import Difference
from ledgerfed.exchange.linear_prediction import step_up

AR, MA = step_up([0.7, 0.1]), np.array([0.3])
TRUTH = Linear(AR, MA)


def simulated(length: int, seed: int = 0) -> np.ndarray:
    e = np.random.default_rng(seed).normal(size=length)
    y = np.zeros(length)
    for t in range(2, length):
        y[t] = AR[0] * y[t - 1] + AR[1] * y[t - 2] + e[t] + MA[0] * e[t - 1]
    return y


@pytest.mark.parametrize(
    "forecaster",
    [
        Linear(np.array([0.9]), np.empty(0)),
        Linear(np.array([0.5, 0.2, -0.1]), np.array([-0.6])),
        Linear(np.empty(0), np.array([-0.4]), Difference(1)),
    ],
    ids=["AR(1)", "ARMA(3,1)", "local level"],
)
def test_the_excess_is_what_a_long_series_measures(forecaster: Linear) -> None:
    y = simulated(200_000)
    node = Node(y, TRUTH, TRUTH)
    measured = [float(np.mean((y - model.one_step(y))[1000:] ** 2)) for model in (forecaster, TRUTH)]
    assert node.excess(forecaster) == pytest.approx(measured[0] / measured[1] - 1, rel=0.05)


def test_the_truth_has_no_excess_and_everything_else_has_some() -> None:
    node = Node(simulated(50), TRUTH, TRUTH)
    assert node.excess(TRUTH) == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = Linear(AR + 0.1 * rng.normal(size=2), np.clip(MA + 0.3 * rng.normal(size=1), -0.9, 0.9))
        assert node.excess(other) > 0


def test_a_forecaster_is_its_weights_on_the_past() -> None:
    y = simulated(60)
    for model in (TRUTH, Linear(np.array([0.3]), np.array([-0.5]), Difference(1))):
        weights = model.weights(60)
        expected = [weights[:t] @ y[:t][::-1] for t in range(60)]
        np.testing.assert_allclose(model.one_step(y), expected, atol=1e-12)


def test_the_best_autoregression_loses_less_than_the_cut_one() -> None:
    truth = Linear(np.array([0.6]), np.array([-0.9]))
    node = Node(simulated(50), truth, truth)
    best, cut = (Linear(weights, np.empty(0)) for weights in (truth.best(6), truth.weights(6)))
    assert 0 < node.excess(best) < node.excess(cut)


def test_rows_hold_the_latest_value_first() -> None:
    np.testing.assert_array_equal(lagged(np.arange(5.0), 2), [[1, 0], [2, 1], [3, 2]])


@pytest.mark.parametrize("order", [(1, 0), (2, 0), (1, 1), (2, 1)])
def test_families_find_the_truth_they_contain(order: tuple[int, int]) -> None:
    p, q = order
    truth = Linear(step_up([0.6, -0.4][:p]), np.array([0.5][:q]))
    rng = np.random.default_rng(3)
    e = rng.normal(size=20_000)
    y = np.zeros(len(e))
    for t in range(2, len(e)):
        past = truth.ar @ y[t - p : t][::-1]
        y[t] = past + e[t] + (truth.ma[0] * e[t - 1] if q else 0)
    fit = fit_native(y, order)
    np.testing.assert_allclose(fit.ar, truth.ar, atol=0.05)
    np.testing.assert_allclose(fit.ma, truth.ma, atol=0.05)
    assert fit.difference.order == 0


def test_a_local_level_is_fitted_as_exponential_smoothing() -> None:
    rng = np.random.default_rng(4)
    y = rng.normal(size=5_000).cumsum() + rng.normal(size=5_000)
    fit = fit_native(y, None)
    assert fit.difference == Difference(1)
    assert fit.ma[0] == pytest.approx(-(1 - 0.618), abs=0.05)
    still = fit_native(rng.normal(size=400), None)
    assert -0.999 <= still.ma[0] < -0.9


def test_an_explosive_autoregression_is_brought_back_to_stability() -> None:
    fit = fit_native(1.05 ** np.arange(40.0), (1, 0))
    assert fit.ar.tolist() == [0.999]


def test_a_moving_average_on_the_edge_is_no_fit() -> None:
    overdifferenced = np.diff(np.random.default_rng(4).normal(size=200))
    with pytest.raises(FitError, match="on the edge of invertibility; take an autoregression"):
        fit_native(overdifferenced, (1, 1))


def test_nodes_differ_only_as_much_as_they_are_told_to() -> None:
    same = draw_nodes(7, 60, 0.0, np.random.default_rng(0))
    assert len({(tuple(node.truth.ar), tuple(node.truth.ma)) for node in same}) == 1
    np.testing.assert_allclose(same[0].truth.ar, AR)
    other = draw_nodes(7, 60, 0.4, np.random.default_rng(0))
    assert len({tuple(node.truth.ar) for node in other}) == 7
    assert len({len(node.y) for node in same}) > 3
    assert all(60 * np.exp(-0.7) - 1 < len(node.y) < 60 * np.exp(0.7) + 1 for node in same)
    spreads = [node.y.std() for node in draw_nodes(7, 500, 0.0, np.random.default_rng(0))]
    assert max(spreads) > 2 * min(spreads)
    shapes = [(len(n.native.ar), len(n.native.ma), n.native.difference.order) for n in same]
    assert shapes == [(1, 0, 0), (2, 0, 0), (4, 0, 0), (8, 0, 0), (1, 1, 0), (2, 1, 0), (0, 1, 1)]


def test_series_start_in_the_middle_of_their_process() -> None:
    nodes = draw_nodes(210, 60, 0.0, np.random.default_rng(6))
    assert np.mean([node.y[0] ** 2 / node.y.var() for node in nodes]) == pytest.approx(1.0, abs=0.25)


def test_a_node_whose_family_fails_says_so_and_takes_an_autoregression() -> None:
    nodes = [n for seed in range(12) for n in draw_nodes(20, 60, 0.0, np.random.default_rng(seed))]
    fallen = [node for node in nodes if node.fallback]
    assert 0 < len(fallen) < 20
    assert all(len(n.native.ma) == 0 and len(n.native.ar) in (1, 2) for n in fallen)
