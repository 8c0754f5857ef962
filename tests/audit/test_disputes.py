"""Disputes and void certificates: what the contract can have emitted, and who lies when it says otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.audit import Certificate, verify_bundle, write_bundle
from ledgerfed.audit.events import (
    Aborted,
    Certified,
    Disputed,
    EpochOpened,
    Forced,
    Genesis,
    RoundEvent,
    Scored,
    Sealed,
    transition_of,
)
from ledgerfed.audit.rules import Rules, opening_state, replay_rounds
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import certificate_digest

SEATS = (0, 1, 3)


@pytest.fixture
def verify(tmp_path):
    def run(history):
        write_bundle(history, tmp_path / "bundle.zip")
        return verify_bundle(tmp_path / "bundle.zip")

    return run


def replay(walk, events=None):
    """Replay the walk, or other events in its federation, with the transcripts that follow from them."""
    told = walk.chain.events if events is None else events
    first = next(place for place, event in enumerate(walk.chain.events) if isinstance(event, Genesis))
    rules = Rules(
        walk.federation,
        walk.genesis,
        tuple(e.member for e in walk.chain.events[:first]),
        {walk.config.hash(): walk.config},
    )
    start = opening_state(rules, walk.chain.events[first], walk.chain.events[first + 1].owner)
    t, followed = start.transcript, []
    for event in told[first + 2 :]:
        if isinstance(event, RoundEvent):
            t = transition_of(event).after(t)
            event = replace(event, transcript=t)
        followed.append(event)
    return replay_rounds(rules, start, followed)


def refused(walk, events, reason):
    with pytest.raises(VerificationError, match=reason):
        replay(walk, events)


def later(event, blocks=1, **changes):
    at = replace(event.at, block_number=event.at.block_number + blocks, log_index=0, tx_hash=keccak(b"later"))
    return replace(event, at=at, **changes)


def with_last(walk, **changes):
    """Return the events of the walk with another last one."""
    *before, last = walk.chain.events
    return [*before, replace(last, **changes)]


def in_block(event, number):
    return replace(event, at=replace(event.at, block_number=number))


def disputed_after(walk, **fields):
    """Return the events of the walk and a dispute in the next block."""
    last = walk.chain.events[-1]
    values = {"fault": 1, "culprits": 1, "proof": keccak(b"proof"), "contested": False, **fields}
    values = {"round": walk.number, "transcript": walk.t, **values}
    place = replace(last.at, block_number=walk.chain.block + 1, log_index=0, tx_hash=keccak(b"dispute"))
    return [*walk.chain.events, Disputed(place, **values)]


# --- the history that all this is about ------------------------------------------------------------------


def test_an_eventful_history_passes_every_step(eventful_bundle):
    report = verify_bundle(eventful_bundle)
    assert report.passed, report.verdict
    assert [r.phase for r in report.rounds] == ["certified", "certified", "aborted", "certified", "certified"]
    assert [len(r.fell) for r in report.rounds] == [1, 0, 0, 0, 0]


def test_culprits_answer_for_it_in_the_next_outcome_that_stands(eventful_bundle):
    first, second, _, fourth, fifth = verify_bundle(eventful_bundle).rounds
    assert dict(first.rejected) == {3: "V1:proven-fault"}
    assert dict(second.rejected) == {3: "V1:quarantined", 4: "V1:proven-fault"}
    assert dict(fourth.rejected)[2] == "V1:proven-fault"
    assert dict(fifth.rejected)[2] == "V1:quarantined"


def test_a_contested_round_is_scored_again_with_all_that_happened_in_its_history(walk_events):
    found = replay(walk_events(until="contested"))
    (trace,) = found.rounds
    assert (trace.phase, trace.ended, len(trace.fell)) == (Phase.SCORED, None, 1)
    assert [type(step) for step in trace.steps] == [Scored, Certified, Disputed]
    assert found.state.faulted == {3} == found.state.removed


def test_a_dispute_that_leaves_too_few_aborts_the_round_at_once(walk_events):
    found = replay(walk_events(until="aborted"))
    assert found.rounds[-1].phase is Phase.ABORTED
    assert [dispute.aborted for dispute in found.disputes] == [False, False, True]
    assert found.state.faulted == {2}
    assert found.state.end == found.state.block


def test_disputes_between_a_certificate_and_the_one_that_voids_it_stand_in_its_history(begun, walk_scores):
    walk = begun(nodes=5)
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    earlier = walk.dispute(Fault.TWO_LEAVES, 4, 2, evidence)
    history = (*evidence.history, walk.before[4], *earlier.history[len(evidence.history) :])
    evidence = replace(earlier, history=history)
    reopened = walk.dispute(Fault.TWO_RECEIPTS, 2, 1, evidence, contested=True)
    fixed = replace(reopened, history=(*history, reopened.history[-1]))
    walk.certify(fixed, payloads, SEATS)
    (trace,) = replay(walk).rounds
    assert [type(step) for step in trace.steps] == [Scored, Certified, Disputed, Disputed]
    assert trace.faulted == {2, 4}
    assert trace.history == fixed.history


def test_who_was_convicted_before_the_seal_answers_after_the_certificate_fell_too(begun, walk_scores, verify):
    walk = begun(nodes=5)
    walk.dispute(Fault.TWO_LEAVES, 4, 1, nothing(walk))
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    evidence = walk.dispute(Fault.TWO_RECEIPTS, 3, 1, evidence, contested=True)
    walk.certify(evidence, payloads, (0, 1, 2))
    report = verify(walk.history())
    assert report.passed, report.verdict
    assert dict(report.rounds[0].rejected) == {3: "V1:proven-fault", 4: "V1:proven-fault"}


# --- what the contract can have emitted -------------------------------------------------------------------


@pytest.mark.parametrize("fault", [0, 8, 1 << 52])
def test_an_unknown_fault_is_refused(walk_events, fault):
    walk = walk_events(until="beside")
    refused(walk, with_last(walk, fault=fault), f"{fault} is no fault")


def test_a_certificate_inside_its_challenge_window_falls_and_later_it_stands(begun, walk_scores):
    walk = begun(nodes=5)
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    *before, dispute = disputed_after(walk, round=1, contested=True)
    for block in (walk.end - 1, walk.end):
        assert replay(walk, [*before, in_block(dispute, block)]).rounds[0].phase is Phase.SCORED
        stands = in_block(replace(dispute, contested=False), block)
        refused(walk, [*before, stands], "the certificate of the round falls with it")
    after = in_block(dispute, walk.end + 1)
    refused(walk, [*before, after], "does not fall with it: there is none that still can")
    assert replay(walk, [*before, replace(after, contested=False)]).rounds[0].phase is Phase.CERTIFIED


def test_a_fault_of_another_round_voidsnothing(begun, walk_scores):
    walk = begun(nodes=5)
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    for number in (0, 2):
        found = replay(walk, disputed_after(walk, round=number))
        assert found.rounds[0].phase is Phase.CERTIFIED
        assert found.state.faulted == {1}
        refused(walk, disputed_after(walk, round=number, contested=True), "does not fall with it")


def test_an_aborted_round_cannot_be_contested(walk_events):
    walk = walk_events(until="aborted")
    refused(walk, disputed_after(walk, round=3, contested=True), "does not fall with it")


def test_a_round_that_has_not_begun_has_no_faults(walk_events):
    walk = walk_events(until="proposed")
    refused(walk, disputed_after(walk, round=walk.number + 1), "the round has not begun")


def test_nobody_is_removed_twice_on_the_committee_or_beside_it(walk_events):
    walk = walk_events(until="beside")
    for culprit in (3, 4):
        refused(walk, disputed_after(walk, culprits=culprit), f"node {culprit} was removed before")
    refused(walk, disputed_after(walk, culprits=5), "5 is the index of no member")


def test_after_an_epoch_a_seat_can_be_lost_again_and_a_node_beside_it_only_with_a_new_key(walk_events):
    walk = walk_events(until="opened")
    replay(walk, disputed_after(walk, culprits=2))
    replay(walk, disputed_after(walk, culprits=5))
    refused(walk, disputed_after(walk, culprits=4), "node 4 was removed before")
    refused(walk, disputed_after(walk, culprits=3), "3 is the index of no member")


@pytest.mark.parametrize("culprit", range(5))
def test_a_broken_receipt_convicts_the_sealer(begun, culprit):
    walk = begun(nodes=5)
    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    sealer = walk.members.index(walk.chain.events[-1].relayer)
    events = disputed_after(walk, fault=5, culprits=culprit)
    if culprit == sealer:
        assert replay(walk, events).state.faulted == {culprit}
    else:
        refused(walk, events, f"node {culprit} has not sealed the round")


@pytest.mark.parametrize("culprit", range(5))
def test_a_doubled_index_convicts_a_node_that_forced(begun, culprit):
    walk = begun(nodes=5)
    openings = walk.commit({index: walk.payload(index) for index in range(5)})
    walk.force(walk.seal([openings[index] for index in range(4)]), openings[4])
    events = disputed_after(walk, fault=6, culprits=culprit)
    if culprit == 4:
        assert replay(walk, events).state.out == {4}
    else:
        refused(walk, events, f"node {culprit} has forced no leaf")


@pytest.mark.parametrize("fault", [5, 6, 7])
def test_a_seal_is_answered_for_until_its_challenge_window_is_over(begun, walk_scores, fault):
    walk = begun(nodes=5)
    refused(walk, disputed_after(walk, fault=fault), "no seal of this round")
    evidence, payloads = walk_scores(walk, range(5))
    refused(walk, disputed_after(walk, fault=fault, round=0), "no seal of this round")
    walk.certify(evidence, payloads, SEATS)
    *before, dispute = disputed_after(walk, fault=fault, round=1)
    refused(walk, [*before, in_block(dispute, walk.end + 1)], "no seal of this round")


@pytest.mark.parametrize(
    ("mask", "reason"),
    [(0b0011, "cannot have signed"), (0, "cannot have signed"), (0b10111, "cannot have signed")],
)
def test_a_wrong_median_convicts_a_quorum_of_seats(begun, walk_scores, mask, reason):
    walk = begun(nodes=5)
    evidence, payloads = walk_scores(walk, range(5))
    refused(walk, disputed_after(walk, fault=7, culprits=mask), "no certificate of the round")
    walk.certify(evidence, payloads, SEATS)
    refused(walk, disputed_after(walk, fault=7, culprits=mask, round=1, contested=True), reason)


def test_a_round_with_too_few_left_must_abort_in_the_same_transaction(walk_events):
    walk = walk_events(until="aborted")
    *before, dispute, abort = walk.chain.events
    refused(walk, [*before, dispute], "ends within a transaction")
    refused(walk, [*before, dispute, later(abort)], "in another transaction than its dispute")
    timed_out = replace(abort, phase=int(Phase.SCORED))
    refused(walk, [*before, dispute, timed_out], "too few of the committee are left")
    other = replace(dispute, at=abort.at, culprits=0)
    refused(walk, [*before, dispute, other], "too few of the committee are left")
    refused(walk, [*before, abort], "it says phase 5, the round is SCORED")


def test_a_scored_round_gets_a_new_certify_window_by_a_dispute_and_a_sealed_one_none(begun, walk_scores):
    walk = begun(nodes=5)
    walk_scores(walk, range(5))
    end = walk.end
    scored = replay(walk, [*disputed_after(walk)[:-1], in_block(disputed_after(walk)[-1], end)])
    assert scored.state.end == end + walk.config.windows.certify
    other = begun(nodes=5)
    other.seal(list(other.commit({index: other.payload(index) for index in range(3)}).values()))
    assert replay(other, disputed_after(other)).state.end == other.end


def test_who_was_removed_relays_no_more(begun):
    walk = begun(nodes=5)
    turn = walk.config.committee[int.from_bytes(walk.t, "big") % 4]
    walk.dispute(Fault.TWO_LEAVES, turn, 1, nothing(walk))
    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    *before, seal = walk.chain.events
    removed = replace(seal, relayer=walk.members[turn])
    for block in (walk.chain.events[-1].at.block_number, seal.at.block_number + 1):
        refused(walk, [*before, in_block(removed, block)], "was removed")
    assert replay(walk).rounds[0].removed == {turn}


def nothing(walk):
    return RoundEvidence(walk.federation, walk.number, walk.t, (), (), (), (), ())


# --- lies of an exporter ----------------------------------------------------------------------------------


def events_with(history, kind, change, which=0):
    """Return the history with the event number `which` of a kind changed, or dropped by None."""
    places = [place for place, event in enumerate(history.events) if isinstance(event, kind)]
    events = list(history.events)
    changed = change(events[places[which]])
    events[places[which] : places[which] + 1] = [] if changed is None else [changed]
    return replace(history, events=tuple(events))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_dispute_cannot_be_dropped(eventful, verify, which):
    lie = events_with(eventful.history(), Disputed, lambda event: None, which)
    assert verify(lie).failure.number == (2 if which == 0 else 6)


def test_a_void_certificate_cannot_be_told_as_one_that_stands(eventful, walk_events, verify):
    """Even with all its documents: without the dispute, or with one that leaves it standing."""
    kept = {}
    walk_events(told=lambda walk, moment: kept.update(walk.blobs) if moment == "certified" else None)
    history = eventful.history()
    lies = {
        "round 1: Certified in block": lambda event: None,
        "the certificate of the round falls": lambda event: replace(event, contested=False),
    }
    for reason, change in lies.items():
        lie = events_with(replace(history, blobs={**history.blobs, **kept}), Disputed, change)
        failure = verify(lie).failure
        assert failure.number in (2, 6), failure
        without_second = [event for event in lie.events if event != _recertified(history)]
        certificates = (history.certificates[0], *history.certificates[2:])
        told = replace(lie, events=tuple(without_second), certificates=certificates)
        failure = verify(told).failure
        assert failure.number == 6, reason


def _recertified(history):
    return [event for event in history.events if isinstance(event, Certified)][1]


@pytest.mark.parametrize("change", [{"culprits": 2}, {"fault": 1}, {"round": 0}, {"proof": keccak(b"x")}])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_no_field_of_a_dispute_can_be_changed(eventful, verify, change, which):
    history = eventful.history()
    old = [event for event in history.events if isinstance(event, Disputed)][which]
    lie = events_with(history, Disputed, lambda event: replace(event, **change), which)
    if replace(old, **change) != old:
        assert verify(lie).failure.number in (2, 6)


def test_a_dispute_cannot_be_invented(eventful, verify):
    history = eventful.history()
    last = history.events[-1]
    place = replace(last.at, block_number=last.at.block_number + 1, block_hash=keccak(b"b"), tx_hash=EMPTY)
    dispute = Disputed(place, 6, 1, 0, keccak(b"proof"), False, last.transcript)
    told = replace(dispute, transcript=transition_of(dispute).after(last.transcript))
    failure = verify(replace(history, events=(*history.events, told))).failure
    assert failure.number == 12


def test_the_documents_of_a_void_certificate_have_no_place_in_a_bundle(eventful, walk_events, verify):
    kept = {}
    walk_events(told=lambda walk, moment: kept.update(walk.blobs) if moment == "certified" else None)
    history = eventful.history()
    failure = verify(replace(history, blobs={**history.blobs, **kept})).failure
    assert failure.number == 8
    assert "belongs to no certified round" in failure.found


def test_a_void_certificate_keeps_its_signatures(eventful, verify):
    history = eventful.history()
    cut = replace(history, certificates=history.certificates[1:])
    assert verify(cut).failure.number == 6
    fell = next(event for event in history.events if isinstance(event, Certified))
    digest = certificate_digest(eventful.federation, 1, fell.transcript)
    keys = walk_keys(eventful)
    for signers, reason in (((0, 1), "2, 3 are needed"), ((0, 1, 4), "not on the committee")):
        signatures = b"".join(sign_digest(keys[index], digest) for index in signers)
        lie = replace(history, certificates=(Certificate(1, signatures), *history.certificates[1:]))
        failure = verify(lie).failure
        assert failure.number == 9
        assert failure.found.startswith("round 1: certificate signed by")
        assert reason in failure.found


def test_the_certificates_of_one_round_cannot_be_swapped(eventful, verify):
    history = eventful.history()
    first, second, *others = history.certificates
    assert verify(replace(history, certificates=(second, first, *others))).failure.number == 9


def walk_keys(walk):
    """Return the keys of the founders."""
    return tuple(keccak(b"key" + bytes([1, index])) for index in range(5))


# --- lies of a colluding quorum ---------------------------------------------------------------------------


def test_a_certificate_signed_by_who_was_removed_is_refused(walk_events, begun, walk_scores, verify):
    walk = begun(nodes=5)
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    evidence = walk.dispute(Fault.TWO_CERTIFICATES, 3, 1, evidence, contested=True)
    walk.certify(evidence, payloads, SEATS)
    failure = verify(walk.history()).failure
    assert failure.number == 9
    assert failure.found == "round 1: certificate signed by 3, who was removed"


def test_a_removed_member_cannot_sign_a_later_round_of_the_epoch(begun, walk_scores, verify):
    walk = begun(nodes=5)
    walk.dispute(Fault.TWO_LEAVES, 3, 1, nothing(walk))
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    assert verify(walk.history()).failure.found == "round 1: certificate signed by 3, who was removed"


@pytest.mark.parametrize("moment", ["before the seal", "after it"])
def test_the_reveal_of_a_removed_member_is_not_heard(begun, walk_scores, verify, moment):
    walk = begun(nodes=5)
    if moment == "before the seal":
        walk.dispute(Fault.TWO_LEAVES, 3, 1, nothing(walk))
        walk.removed = frozenset()
        evidence, payloads = walk_scores(walk, range(5))
        heard = evidence.reveals
    else:
        evidence, payloads = walk_scores(walk, range(5))
        heard = evidence.reveals
        evidence = walk.dispute(Fault.TWO_COMMITMENTS, 3, 1, evidence)
    walk.certify(evidence, payloads, (0, 1, 2), lambda e: replace(e, reveals=heard))
    failure = verify(walk.history()).failure
    assert failure.number == 9
    assert failure.found == "round 1: validator 3 was removed and is not to be heard"


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (lambda history: history[:-1], "the disputes of the evidence"),
        (lambda history: (*history[:-1], replace(history[-1], culprits=2)), "the disputes of the evidence"),
        (lambda history: (history[0], history[2], history[1]), "the history of the evidence"),
        (lambda history: (history[0], history[2]), "the history of the evidence"),
    ],
)
def test_evidence_that_tells_another_history_is_refused(begun, walk_scores, verify, lie, reason):
    walk = begun(nodes=5)
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS)
    evidence = walk.dispute(Fault.TWO_CERTIFICATES, 3, 1, evidence, contested=True)
    walk.certify(evidence, payloads, (0, 1, 2), lambda e: replace(e, history=lie(e.history)))
    failure = verify(walk.history()).failure
    assert failure.number == 6
    assert reason in failure.found


@pytest.mark.parametrize("where", ["of its own round", "of an aborted round"])
def test_a_culprit_cannot_be_forgiven(begun, walk_scores, verify, where):
    """The quorum admits the culprit again, or leaves its reputation alone; the replay finds both."""

    def admit(outcome):
        verdicts = list(outcome.verdicts)
        verdicts[4] = replace(verdicts[4], reason=Reason.ABSENT)
        return replace(outcome, verdicts=tuple(verdicts))

    def spare(outcome):
        rows = list(outcome.reputations)
        rows[4] = replace(rows[4], quarantined_until=0)
        return replace(outcome, reputations=tuple(rows))

    for lie in (admit, spare):
        walk = begun(nodes=5)
        if where == "of an aborted round":
            walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
            walk.dispute(Fault.TWO_LEAVES, 4, 1, nothing(walk))
            walk.abort(Phase.SEALED)
            evidence, payloads = walk_scores(walk, range(5))
        else:
            evidence, payloads = walk_scores(walk, range(5))
            evidence = walk.dispute(Fault.TWO_LEAVES, 4, 1, evidence)
        walk.certify(evidence, payloads, SEATS, outcome_lie=lie)
        failure = verify(walk.history()).failure
        assert failure.number == 11, failure


def bent_median(outcome):
    first, *others = outcome.verdicts
    return replace(outcome, verdicts=(replace(first, score=first.score + 1), *others))


def walked_wrong_median(walk, walk_scores, mask):
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, SEATS, outcome_lie=bent_median)
    walk.dispute(Fault.WRONG_MEDIAN, mask, 1, evidence, contested=True)
    return walk


def test_a_wrong_median_removes_its_signers_and_aborts_the_round(begun, walk_scores, verify):
    walk = walked_wrong_median(begun(nodes=5), walk_scores, 0b1011)
    report = verify(replace(walk.history(), blobs=genesis_only(walk)))
    assert report.passed, report.verdict
    assert report.rounds[0].phase == "aborted"
    assert report.disputes[0].culprits == SEATS
    assert "nodes 0, 1, 3 are removed, the certificate of round 1 is void" in report.disputes[0].consequence


@pytest.mark.parametrize("mask", [0b0111, 0b1111, 0b1110])
def test_a_wrong_median_is_charged_to_those_who_signed_it(begun, walk_scores, verify, mask):
    walk = walked_wrong_median(begun(nodes=5), walk_scores, mask)
    failure = verify(replace(walk.history(), blobs=genesis_only(walk))).failure
    assert failure.number == 9
    assert failure.found.startswith("round 1: the culprits of the wrong median is ")


def genesis_only(walk):
    model = next(event.model for event in walk.chain.events if isinstance(event, Genesis))
    return {model: walk.blobs[model]}


def test_every_kind_of_event_of_a_round_is_walked(eventful, walked):
    told = {type(event) for event in (*eventful.chain.events, *walked.chain.events)}
    assert {Sealed, Forced, Scored, Certified, Aborted, Disputed, EpochOpened} <= told
