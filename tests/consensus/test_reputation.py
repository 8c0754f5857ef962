"""Reputation is slow to gain, quick to lose, and never leaves its bits (notes: round protocol LFR-1)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.consensus import reputation as rule
from ledgerfed.protocol.manifest import Conduct, Reason
from ledgerfed.protocol.reputation import A_MAX, B_MAX, Evidence, Reputation
from ledgerfed.protocol.score import ONE

NEWCOMER = Reputation(Evidence(0, 0), Evidence(0, 0))
GOOD = 9 * ONE // 10
HARD_REASONS = [r for r in Reason if r.value[:2] in ("V3", "V4", "V5", "V6")]
STATISTICAL_REASONS = [r for r in Reason if r.value[:2] in ("V7", "V8")]


def after(reputation, reason, rounds, quality=GOOD):
    for number in range(rounds):
        reputation = rule.train_step(reputation, reason, quality, number + 1)
    return reputation


def rounds_until(reputation, reason, reached, quality=GOOD):
    for number in range(1, 200):
        reputation = rule.train_step(reputation, reason, quality, number)
        if reached(reputation.trainer.value / ONE):
            return number
    raise AssertionError("never")


def test_a_newcomer_stands_at_a_quarter_without_influence():
    assert NEWCOMER.trainer.value == ONE // 4
    assert rule.influence(NEWCOMER) == 0


def test_n14_the_reputation_that_a_bad_node_throws_away_is_worth_no_more_than_a_newcomers():
    assert rule.influence(after(NEWCOMER, Reason.OUTLIER, 1)) == 0 == rule.influence(NEWCOMER)


def test_an_honest_node_reaches_full_influence_after_2_rounds_and_stands_at_0_725_after_60():
    assert rounds_until(NEWCOMER, Reason.ADMITTED, lambda r: r >= 0.40) == 2
    assert rounds_until(NEWCOMER, Reason.ADMITTED, lambda r: r >= 0.60) == 6
    assert after(NEWCOMER, Reason.ADMITTED, 60).trainer.value / ONE == pytest.approx(0.725, abs=0.001)
    assert after(NEWCOMER, Reason.ADMITTED, 1000).trainer.value / ONE == pytest.approx(0.713, abs=0.001)
    assert 0 < rule.influence(after(NEWCOMER, Reason.ADMITTED, 1)) < ONE
    assert rule.influence(after(NEWCOMER, Reason.ADMITTED, 2)) == ONE


@pytest.mark.parametrize(
    ("reason", "rounds"),
    [(Reason.OUTLIER, 6), (Reason.COPY, 4), (Reason.EQUIVOCATION, 1)],
)
def test_n15_a_traitor_after_60_good_rounds_falls_below_0_40(reason, rounds):
    trusted = after(NEWCOMER, Reason.ADMITTED, 60)
    assert rounds_until(trusted, reason, lambda r: r < 0.40) == rounds


def test_n15_a_node_with_a_proven_fault_needs_43_good_rounds_to_be_trusted_again():
    fallen = after(after(NEWCOMER, Reason.ADMITTED, 60), Reason.EQUIVOCATION, 1)
    assert rounds_until(fallen, Reason.ADMITTED, lambda r: r >= 0.60) == 43


@pytest.mark.parametrize(("reason", "period"), [(Reason.OUTLIER, 6), (Reason.COPY, 11)])
def test_n15_an_on_off_attacker_that_strikes_more_often_than_this_falls_below_0_40(reason, period):
    def lowest(every):
        node, values = after(NEWCOMER, Reason.ADMITTED, 60), []
        for number in range(1, 400):
            struck = reason if number % every == 0 else Reason.ADMITTED
            node = rule.train_step(node, struck, GOOD, number)
            values.append(node.trainer.value / ONE)
        return min(values)

    assert lowest(period) >= 0.40 > lowest(period - 1)


def test_every_reason_has_its_class():
    start = after(NEWCOMER, Reason.ADMITTED, 20)
    decayed = start.trainer.b - (start.trainer.b >> 5)
    for reason in HARD_REASONS:
        assert rule.train_step(start, reason, GOOD, 1).trainer.b == decayed + 4 * ONE, reason
    for reason in STATISTICAL_REASONS:
        assert rule.train_step(start, reason, GOOD, 1).trainer.b == decayed + 2 * ONE, reason
    for reason in (Reason.ABSENT, Reason.QUARANTINED):
        assert rule.train_step(start, reason, GOOD, 1).trainer.b == decayed
    for reason in (Reason.FAULT, Reason.EQUIVOCATION):
        assert rule.train_step(start, reason, GOOD, 1).trainer.b == decayed + 16 * ONE
    named = {*HARD_REASONS, *STATISTICAL_REASONS, Reason.ABSENT, Reason.QUARANTINED}
    assert set(Reason) - named == {Reason.ADMITTED, Reason.EQUIVOCATION, Reason.FAULT}


def test_absence_only_decays_towards_the_newcomer():
    node = after(NEWCOMER, Reason.ADMITTED, 30)
    values = []
    for number in range(400):
        node = rule.train_step(node, Reason.ABSENT, GOOD, number + 1)
        values.append(node.trainer.value)
    assert all(later <= earlier for earlier, later in pairwise(values[:80]))
    assert values[-1] == pytest.approx(ONE // 4, abs=10)


@pytest.mark.parametrize("reason", [Reason.EQUIVOCATION, Reason.FAULT])
def test_a_proven_fault_quarantines_for_20_rounds(reason):
    assert rule.train_step(NEWCOMER, reason, 0, 7).quarantined_until == 27
    assert rule.train_step(NEWCOMER, Reason.COPY, 0, 7).quarantined_until == 0


@pytest.mark.parametrize(
    ("start", "positive", "negative"),
    [
        (Evidence(0, 0), ONE, 16 * ONE),
        (Evidence(A_MAX, B_MAX), ONE, 16 * ONE),
        (Evidence(A_MAX, B_MAX), 0, 0),
    ],
)
def test_evidence_settles_at_a_fixpoint_within_its_bits(start, positive, negative):
    evidence, seen = start, None
    while evidence != seen:
        seen = evidence
        evidence = rule.step(evidence, positive, negative)
    assert evidence.a <= A_MAX < 1 << 21
    assert evidence.b <= B_MAX < 1 << 26
    if positive:
        assert evidence.a - (evidence.a >> 4) + ONE == evidence.a
    assert rule.step(Evidence(A_MAX, 0), ONE, 0).a <= A_MAX
    assert rule.step(Evidence(0, B_MAX), 0, 16 * ONE).b <= B_MAX


@given(st.integers(0, A_MAX), st.integers(0, B_MAX), st.integers(0, ONE), st.integers(0, 16 * ONE))
def test_no_step_leaves_the_bits(a, b, positive, negative):
    moved = rule.step(Evidence(a, b), positive, negative)
    assert 0 < moved.value < ONE


@pytest.mark.parametrize(
    ("deviation", "positive"), [(0, ONE), (ONE // 2, 0), (ONE // 6, ONE // 2), (2 * ONE, 0)]
)
def test_a_validator_gains_by_agreeing_with_the_medians(deviation, positive):
    moved = rule.validate_step(NEWCOMER, deviation)
    assert moved.validator.a == pytest.approx(positive, abs=2)
    assert moved.validator.a + moved.validator.b == ONE
    assert moved.trainer == NEWCOMER.trainer


def test_a_validator_that_scores_a_third_earns_a_third():
    moved = rule.validate_step(NEWCOMER, 0, 2, 6)
    assert (moved.validator.a, moved.validator.b) == (ONE // 3, 0)


def test_v3_a_validator_that_never_reveals_is_punished_hard():
    moved = rule.misconduct_step(NEWCOMER, Conduct.UNREVEALED)
    assert moved == Reputation(NEWCOMER.trainer, Evidence(0, 4 * ONE))


def test_a_validator_with_a_proven_fault_loses_four_times_as_much():
    trusted = rule.validate_step(NEWCOMER, 0)
    moved = rule.faulty_validator_step(trusted)
    assert moved.validator == Evidence(ONE - (ONE >> 4), 16 * ONE)
    assert (moved.trainer, moved.quarantined_until) == (trusted.trainer, trusted.quarantined_until)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(0, 0), 0),
        (Evidence(0, B_MAX), 0),
        (Evidence(ONE, ONE), 5 * ONE // 9),  # R = 1/3
        (Evidence(2 * ONE, 0), ONE),
        (Evidence(A_MAX, 0), ONE),
    ],
)
def test_influence_rises_from_a_quarter_to_0_40(evidence, expected):
    value = evidence.value / ONE
    exact = max(0.0, min(1.0, (value - 0.25) / 0.15))
    found = rule.influence(Reputation(evidence, Evidence(0, 0)))
    assert found / ONE == pytest.approx(exact, abs=1e-4)
    assert (found in (0, ONE)) == (expected in (0, ONE))
