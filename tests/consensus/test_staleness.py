"""A late update counts for less, one on a base that nobody certified counts for nothing (gate V4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.score import ONE

EARLIER = tuple(keccak(b"model %d" % age) for age in range(1, 5))


def with_gates(scene, **change: int):
    return replace(scene, config=replace(scene.config, gates=replace(scene.config.gates, **change)))


def late(scene, base: bytes):
    """Node 3 trained on another base than the round's."""
    return replace(scene, earlier=EARLIER).send(3, replace(scene.update(3), base_model=base))


def weight(scene) -> int:
    return scene.outcome().verdicts[3].weight


@pytest.mark.parametrize("age", [1, 2, 3])
def test_v4_an_update_on_an_earlier_model_is_discounted_once_for_each_model(scene, age):
    scene = with_gates(scene, stale_rounds=3, stale_discount=ONE // 4 * 3)
    fresh = weight(scene)
    verdict = late(scene, EARLIER[age - 1]).outcome().verdicts[3]
    assert verdict.admitted
    assert dict(verdict.measures)["staleness"] == age
    assert verdict.weight == pytest.approx(fresh * 0.75**age, abs=age)


def test_v4_a_punctual_update_has_staleness_zero_and_loses_nothing(scene):
    verdicts = replace(scene, earlier=EARLIER).outcome().verdicts
    assert [dict(v.measures)["staleness"] for v in verdicts] == [0] * 8
    assert verdicts == scene.outcome().verdicts


@pytest.mark.threat("N4")
@pytest.mark.parametrize(("allowed", "age"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_v4_beyond_the_allowed_age_the_base_is_wrong(scene, allowed, age):
    scene = with_gates(scene, stale_rounds=allowed)
    assert late(scene, EARLIER[age - 1]).outcome().verdicts[3].reason is Reason.WRONG_BASE
    if allowed:
        assert late(scene, EARLIER[age - 2]).outcome().verdicts[3].admitted


@pytest.mark.threat("N4")
def test_v4_a_base_that_nobody_certified_gains_nothing(scene):
    """An unknown model, and the one that this very round leads to: refused, and the model is without it."""
    future = scene.outcome().model.hash()
    without = replace(scene, payloads={i: p for i, p in scene.payloads.items() if i != 3}).outcome()
    for base in (keccak(b"unknown"), future, bytes(32)):
        outcome = late(scene, base).outcome()
        assert outcome.verdicts[3].reason is Reason.WRONG_BASE
        assert outcome.model == without.model
        assert outcome.reputations[3].trainer.value < without.reputations[3].trainer.value


def test_v4_nothing_certified_that_was_not_told_can_be_claimed(scene):
    """In the first round there is only the genesis model."""
    assert scene.earlier == ()
    first = scene.send(3, replace(scene.update(3), base_model=EARLIER[0]))
    assert first.outcome().verdicts[3].reason is Reason.WRONG_BASE


@pytest.mark.threat("N4")
def test_v6_an_old_update_is_measured_against_the_base_of_the_round(scene, theta_model, disguised):
    """Who sends the round's base in disguise cannot hide behind an earlier one."""
    theta = (0.4, 0.1, 0.05)
    later = replace(scene, base=theta_model(scene, theta), earlier=EARLIER)
    shape = replace(later.update(3), base_model=EARLIER[0])
    assert later.send(3, disguised(shape, theta, 0.0)).outcome().verdicts[3].reason is Reason.BASE_COPY


def test_a_discount_of_nothing_admits_without_weight(scene):
    verdict = late(with_gates(scene, stale_discount=0), EARLIER[0]).outcome().verdicts[3]
    assert (verdict.reason, verdict.weight) == (Reason.ADMITTED, 0)
