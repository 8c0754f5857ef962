"""Whose scores are heard, how often, and that f liars never leave the honest range (threats V1, V2, V3)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.consensus import authenticate
from ledgerfed.consensus.scores import Hearing, heard, listen, voice
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.manifest import MAX_VOICE, Conduct
from ledgerfed.protocol.reputation import A_MAX, B_MAX, Evidence, Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, ScoreVector, lower_median

NOBODY = Evidence(0, 0)
LOUD = Reputation(NOBODY, Evidence(8 * ONE, 0))
NEWCOMER = Reputation(NOBODY, NOBODY)
DISTRUSTED = Reputation(NOBODY, Evidence(0, ONE))
TRUST = {2: LOUD, 1: NEWCOMER, 0: DISTRUSTED}
SIZES = (1, 2, 3, 4, 5, 6, 7, 8)


@pytest.fixture(scope="session")
def inputs(scene_of):
    """`inputs[C]`: what a round of eight nodes is decided from, C of them validators."""
    return {c: scene_of(nodes=8, committee=c).given() for c in SIZES}


def said(round_input, scores, reputations):
    """The same round with these scores, {validator: {node: score}}; who is missing never revealed."""
    capacity = round_input.config.capacity
    reveals = tuple(
        ScoreVector(5, j, tuple(row.get(i, NOT_HELD) for i in range(capacity)), bytes(32))
        for j, row in sorted(scores.items())
    )
    evidence = replace(round_input.evidence, reveals=reveals)
    return replace(round_input, evidence=evidence, reputations=tuple(reputations))


def ranks(values):
    """Reputations of eight nodes from voices; the rest are newcomers."""
    return [*(TRUST[v] for v in values), *[NEWCOMER] * (8 - len(values))]


# --- voices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (0, 0, 1),
        (0, 1, 0),
        (0, B_MAX, 0),
        (A_MAX, 0, 2),
        (ONE, 0, 1),
        (3 * ONE + ONE // 2, 0, 2),
        (3 * ONE + ONE // 2 - 64, 0, 1),
        (7 * ONE, 8 * ONE, 1),
    ],
)
def test_a_newcomer_is_heard_once_who_has_earned_60_percent_twice_and_who_lost_trust_not(a, b, expected):
    assert voice(Reputation(NOBODY, Evidence(a, b))) == expected


@given(st.integers(0, A_MAX), st.integers(0, B_MAX))
def test_no_scorer_has_more_voices_than_the_cap(a, b):
    assert 0 <= voice(Reputation(NOBODY, Evidence(a, b))) <= MAX_VOICE


def test_the_lower_median_of_the_row_is_the_weighted_one(inputs):
    scores = {j: {7: 100 * j} for j in range(7)}
    told = said(inputs[7], scores, ranks((1, 1, 1, 2, 2, 2, 2)))
    row = heard(told, listen(told), 7)
    assert row == (0, 100, 200, 300, 300, 400, 400, 500, 500, 600, 600)
    assert lower_median(row) == 400 > lower_median([100 * j for j in range(7)])


def test_where_all_are_alike_each_stands_once(inputs):
    scores = {j: {7: 100 * j} for j in range(7)}
    for often in (1, 2):
        told = said(inputs[7], scores, ranks((often,) * 7))
        assert heard(told, listen(told), 7) == tuple(range(0, 700, 100))


def test_v2_who_lost_trust_is_not_heard_while_enough_others_are(inputs):
    scores = {j: {7: 100 * j} for j in range(7)}
    told = said(inputs[7], scores, ranks((0, 1, 0, 1, 1, 1, 1)))
    assert heard(told, listen(told), 7) == (100, 300, 400, 500, 600)
    too_few = said(inputs[7], scores, ranks((0, 1, 0, 0, 1, 1, 1)))
    assert heard(too_few, listen(too_few), 7) == tuple(range(0, 700, 100))


@pytest.mark.threat("V2")
def test_v2_two_loud_liars_among_five_are_heard_once_like_everybody(inputs):
    """Heard twice they would be four of seven: their word against three."""
    scores = {0: {7: -ONE}, 1: {7: -ONE}} | {j: {7: 100 * j} for j in (2, 3, 4)}
    told = said(inputs[7], scores, ranks((2, 2, 1, 1, 1)))
    assert heard(told, listen(told), 7) == (-ONE, -ONE, 200, 300, 400)


def test_a_loud_liar_is_heard_once_about_a_validator_where_it_would_speak_for_half(inputs):
    """Of four validators three speak about the fourth; 2 + 1 + 1 would let the loud one decide."""
    scores = {0: {0: 7}, 1: {0: -ONE}, 2: {0: 20}, 3: {0: 30}}
    told = said(inputs[4], scores, ranks((1, 2, 1, 1)))
    assert heard(told, listen(told), 0) == (-ONE, 20, 30)


# --- the bound --------------------------------------------------------------------------------------------

ANY = st.integers(-ONE, ONE) | st.sampled_from([-ONE, ONE, 0, 1])


@st.composite
def lied_about(draw, inputs):
    """A round with at most f faulty validators: they lie, refuse, hold back or keep silent."""
    committee = draw(st.sampled_from(SIZES))
    given_ = inputs[committee]
    faulty = draw(st.sets(st.integers(0, committee - 1), max_size=given_.config.faults))
    scores = {
        j: {i: draw(ANY | st.sampled_from([GATED, NOT_HELD]) if j in faulty else ANY) for i in range(8)}
        for j in range(committee)
    }
    silent = draw(st.sets(st.sampled_from(sorted(faulty)))) if faulty else set()
    ring = draw(st.booleans())
    for j in faulty & {*range(committee)}:
        scores[j] = scores[min(faulty)] if ring else scores[j]  # as one: the collusion check sees them
    reputations = [TRUST[draw(st.integers(0, 2))] for _ in range(8)]
    spoken = {j: row for j, row in scores.items() if j not in silent}
    return said(given_, spoken, reputations), faulty


@pytest.mark.threat("V2")
@given(st.data())
@settings(max_examples=400)
def test_v2_f_liars_never_leave_the_honest_range_whatever_anybodys_reputation(inputs, data):
    told, faulty = data.draw(lied_about(inputs))
    hearing = listen(told)
    rows = {reveal.index: reveal.scores for reveal in told.evidence.reveals}
    for index in range(8):
        honest = [row[index] for j, row in rows.items() if j not in faulty and j != index]
        row = heard(told, hearing, index)
        if not honest:
            continue
        assert row, "f faulty validators leave nobody unscored"
        median = lower_median(row)
        assert median <= max(honest)
        others = [j for j, r in rows.items() if j != index and r[index] not in (GATED, NOT_HELD)]
        if len(others) > 2 * told.config.faults or index in faulty:
            assert median >= min(honest)


@pytest.mark.threat("V2")
@pytest.mark.parametrize("f", [1, 2])
@pytest.mark.parametrize("lie", [-ONE, ONE])
def test_v2_every_ring_of_f_under_every_reputation(inputs, f, lie):
    """All of them reveal: the honest range holds for a validator's own update too."""
    committee = 3 * f + 1
    ranked = product((0, 1, 2), repeat=committee) if f == 1 else ((2,) * 2 + (1,) * 5, (0,) * 2 + (2,) * 5)
    for voices in ranked:
        for ring in combinations(range(committee), f):
            scores = {j: dict.fromkeys(range(8), lie if j in ring else 100 * j) for j in range(committee)}
            told = said(inputs[committee], scores, ranks(voices))
            hearing = listen(told)
            for index in range(8):
                honest = [100 * j for j in range(committee) if j not in ring and j != index]
                assert min(honest) <= lower_median(heard(told, hearing, index)) <= max(honest)


def test_v2_f_plus_1_liars_may_decide(inputs):
    """The bound is sharp: of four the two that lie outvote one about the other's update."""
    scores = {0: {2: ONE}, 1: {2: ONE}, 2: {2: 0}, 3: {2: 0}}
    told = said(inputs[4], scores, ranks((1,) * 4))
    assert lower_median(heard(told, listen(told), 2)) == ONE


@pytest.mark.threat("V3")
def test_v3_of_f_silent_and_f_lying_about_an_honest_author_none_lifts_a_score(inputs):
    """Two others speak about the third: a lie may lower its score, as more than f are faulty here."""
    for lie, expected in ((ONE, 7), (-ONE, -ONE)):
        told = said(inputs[4], {0: {0: 0}, 1: {0: lie}, 2: {0: 7}}, ranks((1,) * 4))
        assert lower_median(heard(told, listen(told), 0)) == expected


def test_suspects_are_heard_where_nobody_could_be_judged_without_them(inputs):
    scores = {j: {i: 1000 * j + i for i in range(8)} for j in range(3)}
    told = said(inputs[4], scores, ranks((1,) * 4))
    hearing = Hearing({0: 0, 1: 1, 2: 1}, {0: Conduct.COLLUSION})
    assert heard(told, hearing, 7) == (7, 1007, 2007)
    assert heard(told, hearing, 0) == (1000, 2000)


@pytest.mark.threat("V1")
def test_v1_a_reveal_that_is_not_what_was_committed_before_anybody_revealed_is_refused(scene):
    """Who waits for the others' scores to copy them has nothing to reveal."""
    evidence = scene.evidence()
    copied = replace(evidence.reveals[1], index=0)
    lazy = replace(evidence, reveals=(copied, *evidence.reveals[1:]))
    with pytest.raises(VerificationError, match="validator 0"):
        authenticate(scene.config, scene.members, lazy, 100)
