"""Fewer than half of the updates do not move the robust centre, whatever they claim (threat N10)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ledgerfed.aggregation.information import ExactInformation, expand, ratio_cap
from ledgerfed.aggregation.whitened import robust_centre
from ledgerfed.exchange import Information, dequantise, information, quantise
from ledgerfed.protocol.score import ONE, lower_median

PRIOR = 1 << 86
TRUTH = np.array([0.5, -0.3, 0.2, 0.1])
ZERO = bytes(32)


def sent(info: Information) -> ExactInformation:
    return expand(quantise(info, schema=ZERO, base_model=ZERO, family=bytes(4)))


def honest(seed: int, n: int = 100) -> Information:
    rng = np.random.default_rng([3, seed])
    X = rng.standard_normal((n, 4))
    y = X @ TRUTH + rng.standard_normal(n)
    return information(X, y, y, 1.0)


def about(info: Information, theta: np.ndarray, gain: float = 1.0) -> Information:
    R = gain * info.R
    return Information(info.n, info.s2, R, R @ theta, info.residual)


ATTACKS: dict[str, Callable[[Information, int], Information]] = {
    "sign flip": lambda info, k: about(info, -3 * info.theta()),
    "another truth": lambda info, k: about(info, np.array([-0.4, 0.6, -0.2, 0.9])),
    "far away": lambda info, k: about(info, np.full(4, 1000.0)),
    "great precision": lambda info, k: about(info, TRUTH + 1.0, gain=64.0),
    "no precision": lambda info, k: about(info, TRUTH + 50.0, gain=2.0**-12),
    "scattered": lambda info, k: about(info, TRUTH + 5 * np.random.default_rng(k).standard_normal(4)),
    "one direction": lambda info, k: about(info, TRUTH + np.array([0, 0, 0, 3.0 + k])),
}


def caps(infos):
    traces = [info.trace for info in infos]
    return [ratio_cap(t, 4 * ONE, lower_median(traces)) for t in traces]


def centre_of(infos):
    return robust_centre(infos, caps(infos), PRIOR, 40)


def theta_of(centre):
    return np.array(centre.theta.values) / 2.0**40


@pytest.mark.parametrize("attack", sorted(ATTACKS))
@pytest.mark.parametrize("n", [3, 7, 11])
def test_the_centre_stays_where_the_honest_majority_is(attack, n):
    liars = (n - 1) // 2
    true = [honest(i) for i in range(n - liars)]
    lies = [ATTACKS[attack](honest(100 + k), k) for k in range(liars)]
    infos = [sent(info) for info in (*lies, *true)]
    centre = centre_of(infos)
    alone = centre_of([sent(info) for info in true])
    assert np.abs(theta_of(centre) - theta_of(alone)).max() < 0.1
    median = max(ONE, lower_median(centre.distances))
    assert max(centre.distances[liars:]) < 8 * median
    if attack != "no precision":
        assert min(centre.distances[:liars]) > max(centre.distances[liars:])


@pytest.mark.parametrize("n", [4, 7, 13])
def test_liars_within_the_noise_move_the_centre_by_no_more_than_their_share(n):
    """Zero is too near the truth here to be an outlier; scores and reputation are there for such liars."""
    f = (n - 1) // 3
    true = [honest(i) for i in range(n - f)]
    lies = [about(honest(100 + k), np.zeros(4)) for k in range(f)]
    centre = centre_of([sent(info) for info in (*lies, *true)])
    alone = centre_of([sent(info) for info in true])
    share = f / n * np.abs(theta_of(alone)).max()
    assert np.abs(theta_of(centre) - theta_of(alone)).max() < 1.2 * share


@pytest.mark.parametrize("n", [1, 5, 12])
def test_the_centre_of_honest_updates_is_near_their_weighted_least_squares(n):
    infos = [honest(i, 100 + 10 * i) for i in range(n)]
    gram = sum(info.precision() for info in infos)
    pooled = np.linalg.solve(gram, sum(info.eta() for info in infos))
    assert np.abs(theta_of(centre_of([sent(i) for i in infos])) - pooled).max() < 0.05


def test_a_single_update_is_its_own_centre():
    info = honest(0)
    centre = centre_of([sent(info)])
    assert theta_of(centre) == pytest.approx(dequantise(quantised(info)).theta(), abs=1e-5)
    assert centre.weights == (ONE,)


def quantised(info):
    return quantise(info, schema=ZERO, base_model=ZERO, family=bytes(4))


def test_the_same_updates_in_another_order_have_the_same_centre():
    infos = [sent(honest(i)) for i in range(9)]
    first = centre_of(infos)
    turned = centre_of(infos[::-1])
    assert turned.theta == first.theta
    assert turned.distances == first.distances[::-1]
    assert turned.weights == first.weights[::-1]


def test_the_pull_of_an_update_falls_as_it_moves_away():
    true = [sent(honest(i)) for i in range(6)]
    pulls = []
    for far in (2.0, 4.0, 8.0, 16.0):
        centre = centre_of([*true, sent(about(honest(50), TRUTH + far))])
        pulls.append(centre.weights[-1] * far)
    assert pulls == sorted(pulls, reverse=True)
