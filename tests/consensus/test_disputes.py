"""What disputes do to a round: who is heard, who answers for it, and how the history must read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.consensus import authenticate, decide
from ledgerfed.consensus.authenticate import seal_root
from ledgerfed.consensus.reputation import FAULT, QUARANTINE_ROUNDS
from ledgerfed.errors import InvalidValueError, RoundAbortedError, VerificationError
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import EMPTY, keccak, word
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.reputation import Evidence, Reputation, heard_row
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.signature import recover_address
from ledgerfed.protocol.transition import (
    Abort,
    Certify,
    Dispute,
    EpochOpening,
    Fault,
    Force,
    Scores,
    Seal,
)
from ledgerfed.protocol.typed_data import score_commitment_digest

SEALED_IN = 100
PROOF = keccak(b"proof")
FELL = Certify(5, keccak(b"manifest"), keccak(b"model"), keccak(b"reputations"))


def dispute(culprit: int, round_number: int = 5, fault: Fault = Fault.TWO_LEAVES) -> Dispute:
    return Dispute(round_number, fault, culprit, PROOF)


def refused(scene, evidence: RoundEvidence, message: str, removed: frozenset[int] = frozenset()) -> None:
    with pytest.raises(VerificationError, match=message):
        authenticate(scene.config, scene.members, evidence, SEALED_IN, removed)


def with_history(scene, *history) -> RoundEvidence:
    return replace(scene.evidence(), history=history)


# --- the history ------------------------------------------------------------------------------------------


def test_the_transcript_runs_over_forced_leaves_scores_disputes_and_certificates_in_their_order(scene):
    told = replace(scene, forced=(6, 2), early=(dispute(1),), late=(FELL, dispute(3), dispute(7, 2)))
    t = Seal(5, seal_root(told.config, told.evidence()), 6).after(told.opened_at)
    for step in told.evidence().history:
        t = step.after(t)
    assert told.authenticate() == t
    kinds = [type(step) for step in told.evidence().history]
    assert kinds == [Force, Force, Dispute, Scores, Certify, Dispute, Dispute]


def test_a_dispute_after_the_last_forced_leaf_leaves_the_score_commitments_as_they_are(scene):
    plain, told = scene.evidence(), replace(scene, early=(dispute(1),)).evidence()
    assert told.commitments == plain.commitments


def test_a_dispute_before_a_forced_leaf_is_part_of_what_the_validators_sign(scene):
    forced = replace(scene, forced=(6,))
    evidence = forced.evidence()
    leaf, scores = evidence.history
    assert authenticate(forced.config, forced.members, evidence, SEALED_IN)
    lie = replace(evidence, history=(dispute(1), leaf, scores), reveals=())
    refused(forced, lie, "score commitment 0: signed by")
    told = forced.with_scores(replace(evidence, history=(dispute(1), leaf)))
    t = Seal(5, seal_root(forced.config, evidence), 7).after(forced.opened_at)
    t = leaf.after(dispute(1).after(t))
    digest = score_commitment_digest(told.federation, 5, 0, told.commitments[0].commitment, t)
    assert recover_address(digest, told.commitments[0].signature) == forced.members[0]


def test_the_scores_stand_in_the_history_once(scene):
    (scores,) = scene.evidence().history
    for history, count in (((), 0), ((scores, scores), 2)):
        refused(scene, with_history(scene, *history), f"round 5: the history holds the scores {count} times")


def test_no_leaf_is_forced_after_the_scores(scene):
    """All validators have signed it, every hash is right, and the contract could not have done it."""
    forced = replace(scene, forced=(7,))
    leaf, scores = forced.evidence().history
    history = (scores, leaf)
    lie = replace(forced.with_scores(replace(forced.evidence(), history=history)), history=history)
    refused(forced, lie, "round 5: the history forces a leaf after the scores")


@pytest.mark.parametrize("root", [PROOF, EMPTY])
def test_the_scores_are_the_root_of_the_commitments(scene, root):
    lie = with_history(scene, Scores(5, root))
    refused(scene, lie, "round 5: the history anchors other scores than the commitments")


@pytest.mark.parametrize(
    "foreign",
    [
        Seal(5, PROOF, 8),
        Abort(5, 2),
        EpochOpening(5, 1, PROOF),
        Scores(4, PROOF),
        replace(FELL, round=4),
        replace(FELL, round=6),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_not_of_the_round_has_no_place_in_its_history(scene, foreign, place):
    history = [*scene.evidence().history]
    history.insert(place, foreign)
    name = type(foreign).__name__
    refused(scene, with_history(scene, *history), f"round 5: the history holds {name} of round")


def test_a_leaf_forced_in_another_round_has_no_place_in_the_history(scene):
    forced = replace(scene, forced=(6,))
    leaf, scores = forced.evidence().history
    draft = replace(forced.evidence(), history=(replace(leaf, round=4),))
    lie = forced.with_scores(draft)
    assert lie.history[1] == replace(scores, root=lie.history[1].root)
    refused(forced, lie, "round 5: the history holds Force of round 4")


def test_a_dispute_about_an_earlier_round_has_its_place(scene):
    for number in (0, 1, 4):
        assert replace(scene, late=(dispute(3, number),)).authenticate()


def test_another_order_of_the_history_is_another_transcript(scene):
    one = replace(scene, late=(dispute(1), dispute(2)))
    other = replace(scene, late=(dispute(2), dispute(1)))
    early = replace(scene, early=(dispute(1),), late=(dispute(2),))
    assert len({one.authenticate(), other.authenticate(), early.authenticate()}) == 3


@pytest.mark.parametrize("change", [{"fault": 2}, {"culprits": 4}, {"proof": EMPTY}, {"round": 4}])
def test_a_dispute_with_any_field_changed_is_another_transcript(scene, change):
    """So a proposer who bends the history finds no honest node that signs: the ledger says otherwise."""
    told = replace(scene, late=(dispute(3),), silent=frozenset({4}))
    bent = replace(told, late=(replace(dispute(3), **change),), silent=frozenset({3, 4}))
    assert told.authenticate() != bent.authenticate()


# --- who is heard -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["early", "late"])
def test_a_validator_that_a_dispute_convicts_is_not_heard(scene, place):
    told = replace(scene, **{place: (dispute(3),)})
    evidence = told.evidence()
    assert [reveal.index for reveal in evidence.reveals] == [0, 1, 2, 4, 5, 6, 7]
    assert told.authenticate()
    lie = replace(evidence, reveals=scene.evidence().reveals)
    refused(told, lie, "round 5: validator 3 was removed and is not to be heard")


def test_a_validator_that_was_removed_before_the_seal_is_not_heard(scene):
    removed = frozenset({3})
    refused(scene, scene.evidence(), "round 5: validator 3 was removed", removed)
    without = replace(scene, removed=removed)
    assert [reveal.index for reveal in without.evidence().reveals] == [0, 1, 2, 4, 5, 6, 7]
    assert without.authenticate()


@pytest.mark.threat("V5")
def test_a_wrong_median_silences_every_seat_that_signed_it(scene_of):
    scene = scene_of(nodes=8, committee=8)
    scene = replace(scene, config=replace(scene.config, committee=(0, 1, 2, 4, 5, 6, 7)))
    signed = Dispute(5, Fault.WRONG_MEDIAN, 0b0001000, PROOF)
    told = replace(scene, late=(FELL, signed))
    assert told.convicted == {4}
    lie = replace(told.evidence(), reveals=scene.evidence().reveals)
    refused(told, lie, "round 5: validator 4 was removed")


def test_what_a_removed_validator_held_does_not_demand_an_opening(scene):
    """f + 1 = 3 say that they hold the opening of node 6, one of them a culprit."""
    hidden = replace(scene, shut=frozenset({6}), scores={(j, 6): 0 for j in (1, 2, 3)})
    refused(hidden, hidden.evidence(), "opening 6 is left out")
    assert replace(hidden, late=(dispute(3),)).authenticate()


def test_too_few_that_may_be_heard_abort_the_round(small):
    told = replace(small, late=(dispute(1), dispute(2)))
    with pytest.raises(RoundAbortedError, match="2 score reveals, 3 are needed"):
        told.outcome()


@given(st.data())
@settings(max_examples=40)
def test_no_decision_rests_on_a_removed_validator(scene, data):
    """Whatever the removed score, the verdicts, the model and the reputations of all others stay the same."""
    node, score = st.integers(0, 7), st.integers(-ONE, ONE)
    early = data.draw(st.lists(node.map(dispute), max_size=2))
    late = data.draw(st.lists(node.map(dispute), max_size=2))
    removed = frozenset(data.draw(st.sets(node, max_size=2)))
    told = replace(scene, early=tuple(early), late=tuple(late), removed=removed)
    mute = told.convicted | removed
    lies = data.draw(st.dictionaries(st.tuples(st.sampled_from(sorted(mute) or [0]), node), score))
    scores = {place: score for place, score in lies.items() if place[0] in mute}
    lying = replace(told, scores=scores)
    assert RoundEvidence.from_bytes(lying.evidence().to_bytes()) == lying.evidence()
    for scene_told in (told, lying):
        assert mute.isdisjoint(reveal.index for reveal in scene_told.evidence().reveals)
    try:
        honest = told.outcome()
    except RoundAbortedError:
        with pytest.raises(RoundAbortedError):
            lying.outcome()
        return
    outcome = lying.outcome()
    assert (outcome.verdicts, outcome.model, outcome.reputations) == (
        honest.verdicts,
        honest.model,
        honest.reputations,
    )
    for index in told.convicted:
        assert outcome.verdicts[index].reason is Reason.FAULT


# --- who answers for it -----------------------------------------------------------------------------------


@pytest.mark.threat("N5")
def test_a_culprit_is_rejected_loses_both_reputations_and_is_quarantined(scene):
    trusted = Reputation(Evidence(8 * ONE, 0), Evidence(8 * ONE, 0))
    told = replace(scene, reputations=(trusted,) * 8, late=(dispute(3),))
    outcome = told.outcome()
    verdict, after = outcome.verdicts[3], outcome.reputations[3]
    assert (verdict.reason, verdict.weight, verdict.score, verdict.heard) == (Reason.FAULT, 0, None, ())
    lost = Evidence(8 * ONE - ONE // 2, FAULT)
    assert after == Reputation(lost, lost, 5 + QUARANTINE_ROUNDS)
    assert all(outcome.verdicts[i].admitted for i in range(8) if i != 3)
    assert outcome.model.contributors == 7


def test_a_culprit_of_an_aborted_round_answers_in_the_next_outcome(scene):
    outcome = replace(scene, faulted=frozenset({3})).outcome()
    assert outcome.verdicts[3].reason is Reason.FAULT
    assert outcome.reputations[3].quarantined_until == 25


def test_a_culprit_that_sat_the_round_out_answers_all_the_same(scene):
    payloads = {i: p for i, p in scene.payloads.items() if i != 3}
    outcome = replace(scene, payloads=payloads, faulted=frozenset({3})).outcome()
    assert outcome.verdicts[3].reason is Reason.FAULT
    assert outcome.reputations[3].trainer.b == FAULT


def test_a_culprit_that_left_the_committee_answers_as_a_validator_too(scene):
    """After a wrong median the next epoch seats others; what the culprits earned as validators goes too."""
    trusted = Reputation(Evidence(8 * ONE, 0), Evidence(8 * ONE, 0))
    config = replace(scene.config, committee=tuple(range(7)))
    later = replace(scene, config=config, reputations=(trusted,) * 8, faulted=frozenset({7}))
    assert later.outcome().reputations[7].validator == Evidence(8 * ONE - ONE // 2, FAULT)


def test_a_culprit_in_quarantine_answers_again(scene):
    rows = (
        *scene.reputations[:3],
        replace(scene.reputations[3], quarantined_until=9),
        *scene.reputations[4:],
    )
    quarantined = replace(scene, reputations=rows)
    assert quarantined.outcome().verdicts[3].reason is Reason.QUARANTINED
    outcome = replace(quarantined, faulted=frozenset({3})).outcome()
    assert outcome.verdicts[3].reason is Reason.FAULT
    assert outcome.reputations[3].quarantined_until == 25


@pytest.mark.parametrize(("until", "reason"), [(4, Reason.ADMITTED), (5, Reason.QUARANTINED)])
def test_a_quarantine_lasts_until_its_round(scene, until, reason):
    rows = (*scene.reputations[:3], replace(scene.reputations[3], quarantined_until=until))
    outcome = replace(scene, reputations=(*rows, *scene.reputations[4:])).outcome()
    assert outcome.verdicts[3].reason is reason


def test_a_decision_that_forgets_a_culprit_of_its_own_history_cannot_be_asked_for(scene):
    given_ = replace(scene, late=(dispute(3),)).given()
    with pytest.raises(InvalidValueError, match=r"the disputes convict \[3\] beside the culprits \[\]"):
        replace(given_, faulted=frozenset())
    with pytest.raises(InvalidValueError, match=r"culprits \[3, 8\] of 8 nodes"):
        replace(given_, faulted=frozenset({3, 8}))


# --- what the reputation leaves bind ----------------------------------------------------------------------


def test_a_verdict_holds_the_scores_that_were_heard_and_the_reputation_leaf_binds_them(scene):
    scores = {(j, 2): -100 * j for j in range(8)}
    outcome = replace(scene, scores=scores).outcome()
    verdict = outcome.verdicts[2]
    assert verdict.heard == (0, -100, -300, -400, -500, -600, -700)
    assert verdict.score == -400
    row = b"".join(value.to_bytes(4, "big", signed=True) for value in verdict.heard)
    assert heard_row(verdict.heard) == row
    result = keccak(b"\x02LF1M" + (-400).to_bytes(32, "big", signed=True) + row)
    numbers = (2, *outcome.reputations[2].row())
    leaf = keccak(b"\x00LF1R" + b"".join(map(word, numbers)) + result)
    assert outcome.reputations[2].leaf(2, verdict.result) == leaf
    other = replace(outcome, verdicts=(*outcome.verdicts[:2], replace(verdict, score=-300)))
    other = replace(other, verdicts=(*other.verdicts, *outcome.verdicts[3:]))
    assert other.reputation_root != outcome.reputation_root


def test_a_node_without_a_score_has_an_empty_result(scene):
    payloads = {i: p for i, p in scene.payloads.items() if i != 3}
    outcome = replace(scene, payloads=payloads).outcome()
    assert outcome.verdicts[3].result == EMPTY


# --- members ----------------------------------------------------------------------------------------------


def test_a_leaf_of_a_node_that_left_is_refused(scene):
    config = replace(scene.config, committee=tuple(range(7)))
    later = replace(scene, config=config)
    members = (*later.members[:7], VACANT)
    with pytest.raises(VerificationError, match="round 5: leaf 7 belongs to no member"):
        authenticate(config, members, later.evidence(), SEALED_IN)
    gone = replace(later, payloads={i: p for i, p in scene.payloads.items() if i != 7})
    assert authenticate(config, members, gone.evidence(), SEALED_IN)
    assert gone.outcome().verdicts[7].reason is Reason.ABSENT


def test_a_committee_may_sit_anywhere_in_the_registry(scene):
    sparse = replace(scene, config=replace(scene.config, committee=(1, 3, 4, 6)))
    outcome = sparse.outcome()
    assert [reveal.index for reveal in sparse.evidence().reveals] == [1, 3, 4, 6]
    assert len(outcome.verdicts[0].heard) == 4
    assert len(outcome.verdicts[1].heard) == 3
    assert [r.validator.a > 0 for r in outcome.reputations] == [i in (1, 3, 4, 6) for i in range(8)]
    outside = replace(sparse, config=replace(sparse.config, committee=(0, 1, 3, 4, 6))).evidence()
    refused(sparse, outside, "round 5: score commitment 0 is not by a committee member")


def test_the_decision_of_a_round_is_the_same_from_its_own_document(scene):
    told = replace(scene, forced=(6,), early=(dispute(1),), late=(FELL, dispute(3)))
    again = RoundEvidence.from_bytes(told.evidence().to_bytes())
    assert again == told.evidence()
    given_ = replace(told.given(), evidence=again)
    assert decide(given_).manifest().hash() == told.outcome().manifest().hash()
