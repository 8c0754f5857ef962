"""What a round finds about its scorers: rings, copies, and who stands apart (threats V1, V2)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest

from ledgerfed.consensus.conduct import APART, BAND, COMMON, suspects
from ledgerfed.consensus.gates import order_key
from ledgerfed.consensus.reputation import HARD, STATISTICAL
from ledgerfed.protocol.manifest import Conduct, Scorer
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, lower_median

NODES = range(8)
SPREAD = 100 * BAND
TRUSTED = Reputation(Evidence(8 * ONE, 0), Evidence(6 * ONE, ONE))


def honest_scores(seed=3):
    """Scores of validators with different hold-outs: by (validator, node)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-SPREAD, SPREAD, size=(8, 8))
    return {(j, i): int(ONE // 4 + noise[j, i]) for j in NODES for i in NODES}


def like(scores, copier, original, shift=0):
    """The scores in which `copier` says what `original` says, moved by `shift`."""
    return scores | {(copier, i): scores[original, i] + shift for i in NODES}


def found(scene, scores, **change):
    """What the round finds, by validator: only the suspects."""
    return dict(suspects(replace(scene, scores=scores, **change).given()))


@pytest.fixture(scope="session")
def scene(scene):
    """Eight validators (f = 2) that have all earned the same."""
    return replace(scene, reputations=(TRUSTED,) * 8)


def ranked(scene, **better):
    """The scene in which validator `v3=` and so on have earned so many good rounds."""
    rows = list(scene.reputations)
    for name, rounds in better.items():
        index = int(name[1:])
        rows[index] = replace(rows[index], validator=Evidence(rounds * ONE, ONE))
    return replace(scene, reputations=tuple(rows))


# --- honest scorers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_scorers_with_different_hold_outs_are_no_suspects(scene, seed):
    assert found(scene, honest_scores(seed)) == {}


def test_an_honest_round_hears_everybody_and_says_so(scene):
    outcome = replace(scene, scores=honest_scores()).outcome()
    assert [s.conduct for s in outcome.scorers] == [Conduct.HEARD] * 8
    assert {s.voice for s in outcome.scorers} == {2}
    assert all(len(v.heard) == 7 for v in outcome.verdicts)
    assert all(r.validator.a > TRUSTED.validator.a for r in outcome.reputations)


def test_an_honest_scorer_of_an_unlike_hold_out_pays_only_for_what_lies_beyond_the_spread(scene):
    """What one node finds four spreads away from the median is no deviation at all."""
    scores = honest_scores()
    medians = {i: lower_median([scores[j, i] for j in NODES if j != i]) for i in NODES}
    for shift, deviation in ((SPREAD, 0), (ONE // 4, pytest.approx(ONE // 4 - 2 * SPREAD, abs=SPREAD))):
        moved = scores | {(5, i): medians[i] + shift for i in NODES}
        assert replace(scene, scores=moved).outcome().scorers[5].deviation == deviation


@pytest.mark.threat("V2")
@pytest.mark.parametrize("seed", range(10))
def test_v2_two_liars_far_apart_do_not_make_honest_scorers_look_alike(scene, seed):
    """Were the spread taken over all pairs, those with a liar would be more than half of them."""
    rng = np.random.default_rng(seed)
    close = rng.integers(-ONE // 64, ONE // 64, size=(8, 8))
    scores = {(j, i): int(close[j, i]) for j in NODES for i in NODES}
    scores |= {(6, i): ONE for i in NODES} | {(7, i): -ONE for i in NODES}
    suspected = found(scene, scores)
    assert Conduct.COLLUSION not in suspected.values()
    assert set(suspected) == {6, 7}


# --- colluding scorers ------------------------------------------------------------------------------------


@pytest.mark.threat("V1", "V2")
@pytest.mark.parametrize(("copier", "original"), [(0, 1), (6, 2), (3, 7)])
def test_v1_v2_two_that_say_the_same_are_one_voice_and_the_copy_pays_hard(scene, copier, original):
    above = ranked(scene, **{f"v{original}": 7})
    scores = like(honest_scores(), copier, original)
    assert found(above, scores) == {copier: Conduct.COLLUSION}
    outcome = replace(above, scores=scores).outcome()
    assert outcome.scorers[copier] == replace(outcome.scorers[copier], conduct=Conduct.COLLUSION, voice=0)
    assert outcome.scorers[original].conduct is Conduct.HEARD
    for verdict in outcome.verdicts:
        expected = [scores[j, verdict.index] for j in NODES if j not in (copier, verdict.index)]
        assert list(verdict.heard) == expected
    before, after = above.reputations[copier].validator, outcome.reputations[copier].validator
    assert after == Evidence(before.a - (before.a >> 4), before.b - (before.b >> 5) + HARD)
    assert outcome.reputations[original].validator.b < TRUSTED.validator.b


@pytest.mark.threat("V2")
def test_v2_a_ring_of_three_is_one_voice(scene):
    """f = 2 may be silenced: with the one that keeps its voice that is a ring of three."""
    scores = like(like(honest_scores(), 2, 1), 6, 1)
    assert found(ranked(scene, v6=9), scores) == dict.fromkeys((1, 2), Conduct.COLLUSION)


def test_v2_two_pairs_are_two_rings(scene):
    scores = like(like(honest_scores(), 2, 1), 6, 5)
    assert found(ranked(scene, v1=9, v6=9), scores) == dict.fromkeys((2, 5), Conduct.COLLUSION)


def test_v2_who_agrees_with_the_same_scorer_is_of_one_ring(scene):
    """1 and 3 differ by more than the band; 2 lies between them."""
    scores = like(like(honest_scores(), 2, 1), 3, 1)
    differences = [abs(scores[i, 4] - scores[j, 4]) for i, j in combinations(NODES, 2) if 4 not in (i, j)]
    half_without_two_liars = sorted(differences)[(comb(5, 2) - 1) // 2]
    step = half_without_two_liars * 3 // 4 // BAND
    scores |= {(2, 4): scores[1, 4] + step, (3, 4): scores[1, 4] + 2 * step}
    alone = scores | {place: score for place, score in honest_scores().items() if place[0] == 2}
    assert found(ranked(scene, v1=9), alone) == {}
    assert found(ranked(scene, v1=9), scores) == dict.fromkeys((2, 3), Conduct.COLLUSION)


@pytest.mark.threat("V2")
@pytest.mark.parametrize(("part", "caught"), [(16 * BAND, True), (BAND // 4, False)])
def test_v2_a_copy_with_a_little_noise_is_a_copy(scene, part, caught):
    scores = like(honest_scores(), 6, 2, SPREAD // part)
    assert (6 in found(ranked(scene, v2=9), scores)) == caught


@pytest.mark.parametrize("common", [COMMON - 1, COMMON])
def test_v2_agreement_on_too_few_updates_says_nothing(scene, common):
    scores = honest_scores() | {(6, i): GATED for i in NODES}
    scores |= {(6, i): scores[2, i] for i in (0, 1, 3, 4, 5)[:common]}
    assert (found(ranked(scene, v2=9), scores) == {6: Conduct.COLLUSION}) == (common == COMMON)


def test_v2_agreement_on_all_but_one_update_is_chance_or_costs_the_ring_its_word(scene):
    scores = like(honest_scores(), 6, 2)
    scores[6, 4] += SPREAD // 4
    assert found(scene, scores) == {}


def test_scores_that_all_share_say_nothing_about_anybody(scene):
    """Updates that change nothing: everybody says 0, or one unit more."""
    assert found(scene, {(j, i): 0 for j in NODES for i in NODES}) == {}
    assert found(scene, {(j, i): (i * j) % 3 for j in NODES for i in NODES}) == {}


@pytest.mark.parametrize("bound", [-ONE, ONE])
def test_scores_that_two_clipped_say_nothing_about_them(scene, bound):
    scores = honest_scores()
    scores |= {(j, i): bound for j in (2, 6) for i in (0, 1, 3, 4, 5)}
    assert Conduct.COLLUSION not in found(scene, scores).values()
    scores |= {(j, i): bound - bound // 8 for j in (2, 6) for i in (0, 1, 3, 4, 5)}
    scores[6, 7] = scores[2, 7]
    assert Conduct.COLLUSION in found(scene, scores).values()


def test_v2_more_than_f_that_agree_are_believed(scene):
    """Four of eight cannot all be faulty when f = 2, so equal scores are no proof of anything."""
    scores = honest_scores()
    for copier in (2, 4, 6):
        scores = like(scores, copier, 0)
    assert found(scene, scores) == {}


@pytest.mark.threat("V1")
def test_v1_who_repeats_what_an_aborted_round_showed_frames_nobody_above_itself(scene):
    scores = like(honest_scores(), 6, 2)
    assert found(ranked(scene, v2=7), scores) == {6: Conduct.COLLUSION}
    assert found(ranked(scene, v6=7), scores) == {2: Conduct.COLLUSION}


def test_between_equals_the_draw_decides_and_not_the_place(scene):
    spared = set()
    for a, b in combinations(NODES, 2):
        keeper = min((a, b), key=lambda index: order_key(scene.opened_at, index))
        (silenced,) = found(scene, like(honest_scores(), b, a))
        assert {silenced} == {a, b} - {keeper}
        spared.add(keeper < silenced)
    assert spared == {True, False}


def test_without_faults_to_expect_nobody_is_suspect(scene_of):
    three = scene_of(nodes=8, committee=3)
    assert found(three, {(j, i): 1000 * i for j in range(3) for i in NODES}) == {}


# --- scorer outliers --------------------------------------------------------------------------------------


@pytest.mark.threat("V2")
@pytest.mark.parametrize("lie", [-ONE, ONE])
def test_v2_a_scorer_outlier_is_not_heard_and_pays_statistically(scene, lie):
    scores = honest_scores() | {(5, i): lie for i in NODES}
    assert found(scene, scores) == {5: Conduct.OUTLIER}
    outcome = replace(scene, scores=scores).outcome()
    assert outcome.scorers[5] == Scorer(5, Conduct.OUTLIER, 0, outcome.scorers[5].deviation)
    assert all(lie not in verdict.heard for verdict in outcome.verdicts)
    before, after = TRUSTED.validator, outcome.reputations[5].validator
    assert after == Evidence(before.a - (before.a >> 4), before.b - (before.b >> 5) + STATISTICAL)


def test_v2_f_scorer_outliers_are_silenced_and_f_plus_1_are_believed(scene):
    scores = honest_scores()
    for liars, expected in (((5, 1), {1, 5}), ((5, 1, 7), set())):
        lied = scores | {(j, i): -ONE + 999 * j + 17 * i * j for j in liars for i in NODES}
        assert found(scene, lied).keys() == expected


def test_a_ring_and_an_outlier_share_what_may_be_silenced(scene):
    scores = like(honest_scores(), 6, 2) | {(5, i): -ONE for i in NODES}
    both = {5: Conduct.OUTLIER, 6: Conduct.COLLUSION}
    assert found(ranked(scene, v2=9), scores) == both
    three = like(scores, 4, 2)
    assert set(found(ranked(scene, v2=9), three).values()) == {Conduct.COLLUSION}


def test_honest_differences_below_the_loss_that_v8_forbids_are_no_outliers(scene):
    floor = -scene.config.gates.score_floor
    scores = honest_scores()
    medians = {i: lower_median([scores[j, i] for j in NODES if j not in (5, i)]) for i in NODES}
    for distance, expected in ((floor, {}), (floor + SPREAD * APART, {5: Conduct.OUTLIER})):
        moved = scores | {(5, i): medians[i] - distance + SPREAD for i in NODES}
        assert found(scene, moved) == expected


def test_where_everybody_differs_much_nobody_stands_apart(scene):
    wide = {(j, i): (j - 4) * (ONE // 5) + 311 * i * j for j in NODES for i in NODES}
    assert found(scene, wide) == {}


def test_one_wild_score_is_no_outlier(scene):
    scores = honest_scores() | {(5, 2): -ONE}
    assert found(scene, scores) == {}
    outcome = replace(scene, scores=scores).outcome()
    assert outcome.scorers[5].deviation > outcome.scorers[4].deviation


# --- what is written down ---------------------------------------------------------------------------------


def test_every_member_of_the_committee_has_its_line(scene_of):
    scene = scene_of(nodes=8, committee=8)
    scene = replace(
        scene,
        config=replace(scene.config, committee=(0, 1, 2, 4, 5, 6, 7)),
        silent=frozenset({4}),
        absent=frozenset({6}),
        faulted=frozenset({2}),
    )
    found = {s.index: s for s in scene.outcome().scorers}
    assert {i: s.conduct for i, s in found.items()} == {
        0: Conduct.HEARD,
        1: Conduct.HEARD,
        2: Conduct.FAULT,
        4: Conduct.UNREVEALED,
        5: Conduct.HEARD,
        6: Conduct.ABSENT,
        7: Conduct.HEARD,
    }
    assert {i: s.deviation for i, s in found.items()} == dict.fromkeys((0, 1, 5, 7), 0) | dict.fromkeys(
        (2, 4, 6)
    )
    assert {i for i, s in found.items() if s.voice} == {0, 1, 5, 7}


def test_what_a_culprit_says_is_not_heard_while_enough_others_are(scene):
    scores = honest_scores()
    outcome = replace(scene, scores=scores, faulted=frozenset({2})).outcome()
    assert all(scores[2, v.index] not in v.heard for v in outcome.verdicts)


def test_a_scorer_that_scores_nothing_has_no_deviation(scene):
    nothing = replace(scene, scores={(1, i): NOT_HELD for i in NODES}).outcome()
    assert nothing.scorers[1] == Scorer(1, Conduct.HEARD, 2, None)
