"""Gate V8 against those who stay below every other limit and are of less use than the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.consensus.regret import PATIENCE, quality, regret, share, usual_score
from ledgerfed.errors import RoundAbortedError
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.rule import Aggregation, Rule
from ledgerfed.protocol.score import ONE

SCORES = st.integers(-ONE, ONE)
LIMIT = ONE // 5
SCALE = ONE // 12


def limited(scene, limit=LIMIT, scale=SCALE):
    gates = replace(scene.config.gates, regret_limit=limit, regret_scale=scale)
    return replace(scene, config=replace(scene.config, gates=gates))


def scored(scene, worse):
    """Everybody scores everybody ONE / 4, but the nodes in `worse` as it says."""
    return replace(scene, scores={(j, i): score for i, score in worse.items() for j in range(8)})


@given(SCORES, SCORES)
def test_who_is_as_good_as_usual_regrets_nothing(score, usual):
    assert (regret(score, usual) == 0) == (score >= usual or (usual - score) << 16 < max(1, ONE - usual))


@given(SCORES, SCORES, SCORES)
def test_a_worse_score_is_never_regretted_less(one, other, usual):
    low, high = sorted((one, other))
    assert regret(low, usual) >= regret(high, usual)


def test_an_error_half_as_large_again_is_a_regret_of_one_half_in_every_round():
    first, later = (9 * ONE // 10, 85 * ONE // 100), (0, -ONE // 2)
    assert [regret(score, usual) for usual, score in (first, later)] == [
        pytest.approx(ONE // 2, abs=2),
        ONE // 2,
    ]


@given(st.integers(0, 1 << 36), st.integers(1, 1 << 32))
def test_weight_falls_faster_than_quality_from_one_without_regret(regretted, scale):
    kept, good = share(regretted, scale), quality(regretted, scale)
    assert 0 <= kept <= good <= ONE
    assert kept >= share(regretted + 1, scale)
    assert share(0, scale) == quality(0, scale) == ONE
    assert (share(scale, scale), quality(PATIENCE * scale, scale)) == (ONE // 4, ONE // 2)


def test_nobody_to_compare_with_is_as_bad_as_it_gets():
    assert usual_score([]) == -ONE


@pytest.mark.threat("N10")
def test_n10_a_ring_that_is_of_less_use_than_others_loses_most_of_its_weight_and_its_reputation(scene):
    """An attack inside every distance, such as ALIE, still costs those who forecast with it."""
    usual, ring = ONE // 4, (5, 6, 7)
    worse = usual - (ONE - usual) * 15 // 100  # a regret of 0.15, a share of 0.06
    attacked = limited(scored(scene, dict.fromkeys(ring, worse))).outcome()
    weights = [v.weight for v in attacked.verdicts]
    assert all(v.admitted for v in attacked.verdicts)
    assert max(weights[i] for i in ring) < min(weights[i] for i in range(5)) // 15
    for i in ring:
        assert attacked.reputations[i].trainer.value < attacked.reputations[0].trainer.value


@pytest.mark.threat("N10")
def test_n10_beyond_the_limit_a_regret_is_a_low_score(scene):
    far = ONE // 4 - (ONE - ONE // 4) * 21 // 100
    verdict = limited(scored(scene, {6: far})).outcome().verdicts[6]
    assert (verdict.reason, verdict.weight) == (Reason.LOW_SCORE, 0)
    assert dict(verdict.measures)["regret"] > LIMIT
    assert limited(scored(scene, {6: far}), 4 * ONE).outcome().verdicts[6].admitted


@pytest.mark.threat("N13")
def test_n13_newcomers_without_influence_do_not_say_what_is_usual(scene):
    """Five of eight without any weight yet score badly; were they asked, the honest three would look bad."""
    newcomer = replace(scene.reputations[0], trainer=replace(scene.reputations[0].trainer, a=0, b=0))
    reputations = tuple(r if i < 3 else newcomer for i, r in enumerate(scene.reputations))
    swamped = scored(replace(scene, reputations=reputations), dict.fromkeys(range(3, 8), -ONE // 10))
    outcome = limited(swamped).outcome()
    assert [v.reason for v in outcome.verdicts] == [Reason.ADMITTED] * 3 + [Reason.LOW_SCORE] * 5


def test_a_round_in_which_nobody_keeps_any_weight_aborts(scene):
    """Krum gives all weight to one, and that one is regretted: else the prior alone would be certified."""
    krum = replace(scene, config=replace(scene.config, aggregation=Aggregation(Rule.KRUM, 2), min_updates=7))
    chosen = next(v.index for v in krum.outcome().verdicts if v.weight)
    with pytest.raises(RoundAbortedError, match="keeps any weight"):
        limited(scored(krum, {chosen: 0}), limit=1 << 32, scale=1).outcome()
