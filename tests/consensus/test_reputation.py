"""Reputation is slow to gain, quick to lose, and never leaves its bits (notes: round protocol LFR-2)."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.consensus import reputation as rule
from ledgerfed.protocol.manifest import Conduct, Reason
from ledgerfed.protocol.reputation import A_MAX, B_MAX, Evidence, Reputation
from ledgerfed.protocol.score import ONE

NEWCOMER = Reputation(Evidence(0, 0), Evidence(0, 0))
GOOD = 9 * ONE // 10
HARD_REASONS = [r for r in Reason if r.value[:2] in ("V3", "V4", "V5", "V6")]
TRAJECTORIES = json.loads((Path(__file__).parents[1] / "vectors" / "reputation.json").read_text("utf-8"))[
    "trajectories"
]
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


@pytest.mark.threat("N14")
def test_n14_the_reputation_that_a_bad_node_throws_away_is_worth_no_more_than_a_newcomers():
    assert rule.influence(after(NEWCOMER, Reason.OUTLIER, 1)) == 0 == rule.influence(NEWCOMER)


def test_an_honest_node_reaches_full_influence_after_2_rounds_and_stands_at_0_725_after_60():
    assert rounds_until(NEWCOMER, Reason.ADMITTED, lambda r: r >= 0.40) == 2
    assert rounds_until(NEWCOMER, Reason.ADMITTED, lambda r: r >= 0.60) == 6
    assert after(NEWCOMER, Reason.ADMITTED, 60).trainer.value / ONE == pytest.approx(0.725, abs=0.001)
    assert after(NEWCOMER, Reason.ADMITTED, 1000).trainer.value / ONE == pytest.approx(0.713, abs=0.001)
    assert 0 < rule.influence(after(NEWCOMER, Reason.ADMITTED, 1)) < ONE
    assert rule.influence(after(NEWCOMER, Reason.ADMITTED, 2)) == ONE


@pytest.mark.threat("N15")
@pytest.mark.parametrize(
    ("reason", "rounds"),
    [(Reason.OUTLIER, 6), (Reason.COPY, 4), (Reason.EQUIVOCATION, 1)],
)
def test_n15_a_traitor_after_60_good_rounds_falls_below_0_40(reason, rounds):
    trusted = after(NEWCOMER, Reason.ADMITTED, 60)
    assert rounds_until(trusted, reason, lambda r: r < 0.40) == rounds


@pytest.mark.threat("N15")
def test_n15_a_node_with_a_proven_fault_needs_43_good_rounds_to_be_trusted_again():
    fallen = after(after(NEWCOMER, Reason.ADMITTED, 60), Reason.EQUIVOCATION, 1)
    assert rounds_until(fallen, Reason.ADMITTED, lambda r: r >= 0.60) == 43


@pytest.mark.threat("N15")
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


@pytest.mark.threat("V3")
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


# --- golden trajectories ----------------------------------------------------------------------------------

NEGATIVE = {"V7": 2, "V8": 2, "V6": 4, "V2": 16, "V1": 0, "absent": 0}


def written_again(name):
    """The trajectory by the words of the notes, in plain integers."""
    told, a, b = TRAJECTORIES[name], 0, 0
    for verdict, rounds in told["schedule"]:
        if verdict == "registers again":
            a, b = 0, 0
        for _ in range(rounds):
            good = told["quality"] if verdict == "admitted" else 0
            bad = 65536 - good if verdict == "admitted" else 65536 * NEGATIVE[verdict.split(":")[0]]
            a, b = a - a // 16 + good, b - b // 32 + bad
            value = (a + 65536) * 65536 // (a + b + 262144)
            yield a, b, value, min(65536, max(0, (value - 16384) * 20 // 3))


def values(name):
    """The reputation after every round."""
    return [int(row.split()[2]) / ONE for row in TRAJECTORIES[name]["rounds"]]


@pytest.mark.parametrize("name", sorted(TRAJECTORIES))
def test_the_golden_trajectories_follow_the_notes(name):
    pinned = [tuple(map(int, row.split())) for row in TRAJECTORIES[name]["rounds"]]
    assert pinned == list(written_again(name))


def test_the_golden_honest_node_passes_0_40_after_2_rounds_0_60_after_6_and_stands_at_0_725():
    honest = values("honest")
    assert honest[0] < 0.40 <= honest[1]
    assert honest[4] < 0.60 <= honest[5]
    assert honest[-1] == pytest.approx(0.725, abs=0.001)


@pytest.mark.threat("N15")
@pytest.mark.parametrize(
    ("name", "rounds"), [("traitor, statistical", 6), ("traitor, hard", 4), ("traitor, proven", 1)]
)
def test_n15_the_golden_traitors_fall_below_0_40_after_so_many_rounds(name, rounds):
    fall = values(name)[60:]
    assert min(fall[: rounds - 1], default=1) >= 0.40 > fall[rounds - 1]


@pytest.mark.threat("N14")
def test_n14_the_golden_whitewasher_starts_at_a_quarter_and_without_influence():
    rows = TRAJECTORIES["registers again"]["rounds"]
    influences = [int(row.split()[3]) for row in rows]
    assert influences[:10] == [0] * 10
    newcomer = TRAJECTORIES["newcomer"]["rounds"]
    assert rows[10:12] == newcomer[:2]


# --- absence and a new registration -----------------------------------------------------------------------

EVIDENCE = st.builds(Evidence, st.integers(0, A_MAX), st.integers(0, B_MAX))


def trainer(evidence):
    return Reputation(evidence, Evidence(0, 0))


@pytest.mark.threat("N15")
@given(EVIDENCE, st.sampled_from([Reason.ABSENT, Reason.QUARANTINED]), st.integers(1, 40))
def test_n15_no_influence_is_gained_by_absence(evidence, reason, rounds):
    node = trainer(evidence)
    before = rule.influence(node)
    for number in range(rounds):
        node = rule.train_step(node, reason, ONE, number + 1)
        assert rule.influence(node) <= before
        before = rule.influence(node)


@pytest.mark.threat("N14")
@given(st.lists(st.sampled_from([Reason.ADMITTED, Reason.ABSENT, Reason.COPY]), max_size=1))
def test_n14_nobody_has_influence_in_its_first_round_nor_all_of_it_before_the_third(first):
    node = NEWCOMER
    for reason in first:
        node = rule.train_step(node, reason, ONE, 1)
        assert rule.influence(node) < ONE
    assert first or rule.influence(node) == 0


@given(EVIDENCE, EVIDENCE, st.sampled_from([*Reason]), st.integers(0, ONE), st.integers(0, ONE))
def test_better_evidence_stays_better_whatever_happens_to_both(one, other, reason, quality, worse):
    """So the theorems need to look at the best start and at full quality only."""
    best = trainer(Evidence(max(one.a, other.a), min(one.b, other.b)))
    after_best = rule.train_step(best, reason, max(quality, worse), 1).trainer
    after_one = rule.train_step(trainer(one), reason, min(quality, worse), 1).trainer
    assert after_best.a >= after_one.a
    assert after_best.b <= after_one.b
    assert after_best.value >= after_one.value


# --- the sleeper ------------------------------------------------------------------------------------------

SLEEPER = {
    Reason.OUTLIER: (13, 8, 673306),
    Reason.COPY: (8, 5, 422919),
    Reason.EQUIVOCATION: (3, 2, 154625),
}
"""Rounds until influence 0, those with full influence, and the sum of influence over them (Q16)."""


def strikes(node, reason):
    """The influence in each bad round until there is none."""
    while found := rule.influence(node):
        yield found
        node = rule.train_step(node, reason, ONE, 1)


@pytest.mark.threat("N15")
@pytest.mark.parametrize("reason", SLEEPER)
def test_n15_the_best_that_a_sleeper_can_do(reason):
    best = [*strikes(trainer(Evidence(A_MAX, 0)), reason)]
    assert (len(best), best.count(ONE), sum(best)) == SLEEPER[reason]


@pytest.mark.threat("N15")
@given(EVIDENCE, st.sampled_from([*SLEEPER]))
def test_n15_no_sleeper_does_better_however_long_it_was_honest(evidence, reason):
    rounds, full, total = SLEEPER[reason]
    found = [*strikes(trainer(evidence), reason)]
    assert len(found) <= rounds
    assert found.count(ONE) <= full
    assert sum(found) <= total


@pytest.mark.threat("N15")
@pytest.mark.parametrize("honest", [20, 200, 2000])
def test_n15_without_forgetting_a_sleeper_would_be_trusted_the_longer_the_longer_it_slept(honest):
    """Plain beta: (g + 1) / (g + b + 4) stays above a quarter for 3 g / 2 bad rounds after g good ones."""
    plain = 0
    while 4 * (honest + 1) > honest + 2 * plain + 4:
        plain += 1
    ours = len([*strikes(after(NEWCOMER, Reason.ADMITTED, honest, ONE), Reason.OUTLIER)])
    assert plain == 3 * honest // 2
    assert ours <= 13 < plain


# --- the on-off attacker ----------------------------------------------------------------------------------


def rate(size):
    """The largest share of rounds in which a node with influence can offend, and how many more at once.

    The potential r (3 a / 2 - b) pays for every offence of `size`: docs/adr/0019.
    """
    share = 1 / (size + Fraction(3, 2) + (size + Fraction(3, 2)) / 32)
    return 1 - size * share, share * (24 + 24 + Fraction(3, 2) + size)


SIZES = {Reason.LOW_SCORE: 2, Reason.WITHHELD: 4, Reason.FAULT: 16}


def offences(reason, schedule, start=NEWCOMER):
    """How often a node offended while it had influence; it behaves (or is absent) otherwise."""
    node, count = start, 0
    for move in schedule:
        count += move == "bad" and rule.influence(node) > 0
        verdict = {"bad": reason, "good": Reason.ADMITTED, "absent": Reason.ABSENT}[move]
        node = rule.train_step(node, verdict, ONE, 1)
    return count


@pytest.mark.threat("N15")
@given(
    st.sampled_from([*SIZES]),
    st.lists(st.tuples(st.sampled_from(["bad", "good", "good", "absent"]), st.integers(1, 12)), max_size=30),
)
@settings(max_examples=200)
def test_n15_no_schedule_offends_more_often_than_the_bound(reason, parts):
    schedule = [move for move, rounds in parts for _ in range(rounds)]
    share, at_once = rate(SIZES[reason])
    start = trainer(Evidence(A_MAX, 0))
    assert offences(reason, schedule, start) <= share * len(schedule) + at_once + 1


@pytest.mark.threat("N15")
@pytest.mark.parametrize(
    ("reason", "expected"),
    [(Reason.LOW_SCORE, 0.43125), (Reason.WITHHELD, 0.2822), (Reason.FAULT, 0.10005)],
)
def test_n15_who_offends_whenever_it_has_influence_comes_close_to_the_bound(reason, expected):
    node, count, rounds = NEWCOMER, 0, 20_000
    for _ in range(rounds):
        strikes_now = rule.influence(node) > 0
        count += strikes_now
        node = rule.train_step(node, reason if strikes_now else Reason.ADMITTED, ONE, 1)
    share, at_once = rate(SIZES[reason])
    assert count / rounds == expected
    assert expected <= share + at_once / rounds < expected * 1.15


@pytest.mark.threat("N15")
@pytest.mark.parametrize(
    ("reason", "any_influence", "full"),
    [(Reason.LOW_SCORE, 3, 4), (Reason.WITHHELD, 4, 7), (Reason.FAULT, 10, 18)],
)
def test_n15_the_shortest_period_that_keeps_influence_and_all_of_it(reason, any_influence, full):
    def least(period):
        node, found = trainer(Evidence(A_MAX, 0)), ONE
        for number in range(1, 4000):
            bad = number % period == 0
            found = min(found, rule.influence(node)) if bad else found
            node = rule.train_step(node, reason if bad else Reason.ADMITTED, ONE, 1)
        return found

    assert least(any_influence) > 0 == least(any_influence - 1)
    assert least(full) == ONE > least(full - 1)
