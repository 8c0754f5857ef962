"""Epochs and the owner: what may be announced, when it is in force, and by which documents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.audit import TrustInputs, verify_bundle, write_bundle
from ledgerfed.audit.epochs import require_applicable
from ledgerfed.audit.events import (
    Certified,
    EpochOpened,
    EpochProposed,
    Genesis,
    MemberLeft,
    MemberRegistered,
    OwnershipProposed,
    OwnershipTransferred,
    RoundEvent,
    Sealed,
    transition_of,
)
from ledgerfed.audit.rules import Rules, opening_state, replay_rounds
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import certificate_digest

STRANGER = keccak(b"stranger")[-20:]


@pytest.fixture
def verify(tmp_path):
    def run(history, trust=None):
        write_bundle(history, tmp_path / "bundle.zip")
        return verify_bundle(tmp_path / "bundle.zip", *([trust] if trust else []))

    return run


def replay(walk, events=None, configs=None):
    """Replay the walk, or other events in its federation, with the transcripts that follow from them."""
    told = walk.chain.events if events is None else events
    first = next(place for place, event in enumerate(walk.chain.events) if isinstance(event, Genesis))
    members = tuple(event.member for event in walk.chain.events[:first])
    known = {walk.config.hash(): walk.config} if configs is None else configs
    rules = Rules(walk.federation, walk.genesis, members, known)
    start = opening_state(rules, walk.chain.events[first], walk.chain.events[first + 1].owner)
    t, followed = start.transcript, []
    for event in told[first + 2 :]:
        if isinstance(event, RoundEvent):
            t = transition_of(event).after(t)
            event = replace(event, transcript=t)
        followed.append(event)
    return replay_rounds(rules, start, followed)


def refused(walk, events, reason, configs=None):
    with pytest.raises(VerificationError, match=reason):
        replay(walk, events, configs)


def changed(walk, kind, change, which=0):
    """Return the events of the walk with the event number `which` of a kind changed."""
    places = [place for place, event in enumerate(walk.chain.events) if isinstance(event, kind)]
    events = list(walk.chain.events)
    events[places[which]] = change(events[places[which]])
    return events


def next_place(walk):
    last = walk.chain.events[-1].at
    return replace(last, block_number=walk.chain.block + 1, log_index=0, tx_hash=keccak(b"next"))


def opened(walk):
    """Return the events up to the epoch, and those of the transaction that opens it."""
    events = walk.chain.events
    opening = events[-1]
    assert isinstance(opening, EpochOpened)
    own = [event for event in events if event.at.tx_hash == opening.at.tx_hash]
    return events[: -len(own)], own


def minimal(walk, **fields):
    """Return a change of nothing but what is named, on the configuration in force."""
    values = {"config_hash": walk.config.hash(), "min_updates": 2, "committee": walk.config.committee}
    return Change(**{**values, **fields})


# --- what an epoch is -------------------------------------------------------------------------------------


def test_an_epoch_seats_others_and_keeps_every_index(eventful_bundle, eventful):
    epochs = verify_bundle(eventful_bundle).epochs
    assert [epoch.number for epoch in epochs] == [0, 1]
    assert (epochs[0].committee, epochs[0].members, epochs[0].rounds) == ((0, 1, 2, 3), 5, (1, 2, 3))
    later = epochs[1]
    assert (later.committee, later.quorum, later.rounds) == ((0, 1, 2, 5), 3, (4, 5))
    assert (later.joined, later.left, later.rekeyed, later.members) == ((5,), (3,), (2,), 5)
    assert later.config_hash == eventful.config.hash()
    assert later.changes == "joined: 5; left: 3; has a new key: 2"


@pytest.mark.threat("N14")
def test_a_joiner_starts_without_evidence_and_a_new_key_keeps_what_was_earned(eventful):
    ended = [event for event in eventful.chain.events if isinstance(event, Certified)]
    assert len(ended) == 5
    trainers = [r.trainer for r in eventful.reputations]
    assert trainers[5].a > 16 * trainers[5].b
    assert trainers[2].b > 0
    assert trainers[5].a < trainers[0].a


def test_the_genesis_configuration_pins_the_origin_of_all_epochs(eventful_bundle, eventful):
    founders = tuple(
        event.member
        for event in eventful.chain.events
        if isinstance(event, MemberRegistered) and event.epoch == 0
    )
    trust = TrustInputs(config_hash=eventful.genesis.hash(), members=founders)
    assert verify_bundle(eventful_bundle, trust).trusted
    other = TrustInputs(config_hash=eventful.config.hash(), members=founders)
    assert verify_bundle(eventful_bundle, other).failure.number == 3


def test_the_signers_of_an_epoch_are_its_committee_with_the_keys_of_then(eventful, verify):
    history = eventful.history()
    place = [c.round for c in history.certificates].index(4)
    event = next(e for e in history.events if isinstance(e, Certified) and e.round == 4)
    digest = certificate_digest(eventful.federation, 4, event.transcript)
    old = keccak(b"key" + bytes([1, 2]))
    assert address_of(old) in (e.member for e in history.events if isinstance(e, MemberLeft))
    keys = [eventful.keys[1], old, eventful.keys[5]]
    signatures = b"".join(sign_digest(key, digest) for key in keys)
    lie = list(history.certificates)
    lie[place] = replace(lie[place], signatures=signatures)
    failure = verify(replace(history, certificates=tuple(lie))).failure
    assert failure.number == 9
    assert "who is not on the committee" in failure.found


# --- when an epoch can open -------------------------------------------------------------------------------


def test_an_epoch_opens_once_the_round_has_ended_and_its_challenge_window_is_over(begun, walk_one):
    walk = begun()
    change = minimal(walk)
    walk.propose(change)
    walk_one(walk)
    end = walk.end
    walk.open_epoch(change, walk.config, walk.keys)
    *before, opening = walk.chain.events

    def at_block(number):
        return [*before, replace(opening, at=replace(opening.at, block_number=number))]

    assert replay(walk, at_block(end + 1)).state.end == end + 1
    refused(walk, at_block(end), f"the last window ends with block {end}")
    assert replay(walk, at_block(end + 500)).epochs[1].number == 1


def test_no_epoch_opens_within_a_round_or_unannounced(begun, walk_one):
    walk = begun()
    change = minimal(walk)
    walk.open_epoch(change, walk.config, walk.keys)
    refused(walk, None, "no epoch is due")

    walk = begun()
    walk.propose(change)
    walk.open_epoch(change, walk.config, walk.keys)
    refused(walk, None, "no epoch is due")

    walk = begun()
    walk_one(walk)
    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    walk.propose(change)
    walk.open_epoch(change, walk.config, walk.keys)
    refused(walk, None, "the round is SEALED, it needs OPEN")


def test_nothing_is_sealed_while_an_epoch_is_due_but_the_round_can_be_given_up(begun, walk_one):
    walk = begun()
    walk.propose(minimal(walk))
    walk_one(walk)
    events, t = list(walk.chain.events), walk.t
    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    refused(walk, None, "an epoch is due and must be opened first")
    walk.chain.events[:], walk.t = events, t
    walk.abort(Phase.OPEN)
    assert [trace.phase for trace in replay(walk).rounds] == [Phase.CERTIFIED, Phase.ABORTED]
    assert replay(walk).state.due


def test_the_commit_window_begins_anew_with_the_epoch(begun, walk_one):
    walk = begun()
    change = minimal(walk)
    walk.propose(change)
    walk_one(walk)
    walk.chain.block += 100
    walk.open_epoch(change, walk.config, walk.keys)
    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    assert replay(walk).rounds[-1].epoch.number == 1


@pytest.mark.parametrize("rekeyed", [True, False])
def test_a_culprit_beside_the_committee_is_back_with_a_new_key_only(begun, rekeyed):
    walk = begun(nodes=5)
    nothing = RoundEvidence(walk.federation, 1, walk.t, (), (), (), (), ())
    walk.dispute(Fault.TWO_LEAVES, 4, 1, nothing)
    new = keccak(b"new key")
    keys = (*walk.keys[:4], new) if rekeyed else walk.keys
    entry = {"indices": (4,), "addresses": (address_of(new),)} if rekeyed else {}
    change = minimal(walk, **entry)
    walk.propose(change)
    walk.abort(Phase.OPEN)
    walk.open_epoch(change, walk.config, keys)
    walk.dispute(Fault.TWO_LEAVES, 4, 2, nothing)
    if rekeyed:
        assert replay(walk).state.out == {4}
    else:
        refused(walk, None, "node 4 was removed before")


def test_an_epoch_that_is_due_stays_due_when_the_certificate_falls(begun, walk_scores):
    walk = begun(nodes=5)
    change = minimal(walk)
    walk.propose(change)
    evidence, payloads = walk_scores(walk, range(5))
    walk.certify(evidence, payloads, (0, 1, 3))
    evidence = walk.dispute(Fault.TWO_CERTIFICATES, 3, 1, evidence, contested=True)
    assert replay(walk).state.due
    again = EpochProposed(next_place(walk), 1, change)
    refused(walk, [*walk.chain.events, again], "an epoch is due and must be opened first")
    walk.certify(evidence, payloads, (0, 1, 2))
    walk.open_epoch(change, walk.config, walk.keys)
    assert replay(walk).epochs[1].number == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch": 2}, "epoch 0 is in force"),
        ({"epoch": 0}, "epoch 0 is in force"),
        ({"round": 3}, "round 4 is current"),
        ({"change_hash": keccak(b"x")}, "another change was announced"),
        ({"config_hash": keccak(b"x")}, "another change was announced"),
    ],
)
def test_an_epoch_that_the_contract_cannot_open_is_refused(walk_events, change, reason):
    walk = walk_events(until="opened")
    refused(walk, changed(walk, EpochOpened, lambda event: replace(event, **change)), reason)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda own: own[1:], "registrations that are not those of the change"),
        (lambda own: [*own[:-2], own[-1]], "registrations that are not those of the change"),
        (lambda own: [own[1], own[0], *own[2:]], "registrations that are not those of the change"),
        (lambda own: [own[0], *own], "registrations that are not those of the change"),
        (lambda own: [replace(own[0], member=STRANGER), *own[1:]], "registrations that are not"),
        (lambda own: [replace(own[0], index=4), *own[1:]], "registrations that are not"),
        (lambda own: [replace(own[0], epoch=2), *own[1:]], "a registration is for epoch 2"),
        (
            lambda own: [replace(own[0], at=replace(own[0].at, tx_hash=keccak(b"x"))), *own[1:]],
            "registered in another transaction",
        ),
        (lambda own: own[:-1], "ends within a transaction"),
    ],
)
def test_the_registrations_of_an_epoch_are_those_of_its_change(walk_events, edit, reason):
    walk = walk_events(until="opened")
    before, own = opened(walk)
    assert [type(event) for event in own] == [
        MemberLeft,
        MemberRegistered,
        MemberLeft,
        MemberRegistered,
        EpochOpened,
    ]
    refused(walk, [*before, *edit(own)], reason)


def test_nobody_is_registered_outside_an_epoch(walk_events):
    walk = walk_events(until="beside")
    for kind in (MemberLeft, MemberRegistered):
        entry = kind(next_place(walk), 5, STRANGER, 1)
        refused(walk, [*walk.chain.events, entry], "no epoch is due")
    later = walk_events(until="aborted")
    entry = MemberLeft(next_place(later), 3, later.members[3], 1)
    announced = EpochProposed(next_place(later), 1, minimal(later))
    refused(later, [*later.chain.events, entry, announced], "without their epoch")


def test_a_second_genesis_is_no_event_of_a_running_federation(walk_events):
    walk = walk_events(until="beside")
    again = next(event for event in walk.chain.events if isinstance(event, Genesis))
    refused(walk, [*walk.chain.events, replace(again, at=next_place(walk))], "after the deployment")


def test_a_node_that_left_forces_nothing_and_relays_nothing(walk_events):
    opened_ = walk_events(until="opened")
    openings = opened_.commit({index: opened_.payload(index) for index in (0, 1, 2, 3)})
    opened_.force(opened_.seal([openings[index] for index in (0, 1, 2)]), openings[3])
    refused(opened_, None, "3 is the index of no member")
    walk = walk_events(until="decided")
    gone = next(event.member for event in walk.chain.events if isinstance(event, MemberLeft))
    seals = sum(isinstance(event, Sealed) for event in walk.chain.events)
    events = changed(walk, Sealed, lambda event: replace(event, relayer=gone), seals - 1)
    refused(walk, events, "is not on the committee")


# --- the configuration of the next epoch ------------------------------------------------------------------


def epoch_of(walk, config, committee=None):
    """Let the owner announce a configuration and open it, whatever it says."""
    committee = config.committee if committee is None else committee
    change = Change(config.hash(), config.min_updates, committee)
    walk.propose(change)
    walk.abort(Phase.OPEN)
    walk.open_epoch(change, config, walk.keys)
    return walk


def test_a_configuration_that_contradicts_its_change_is_refused(begun, verify):
    walk = begun()
    other = replace(walk.config, committee=(0, 2, 3))
    told = epoch_of(walk, other, committee=(0, 1, 2, 3))
    failure = verify(told.history()).failure
    assert failure.number == 6
    assert "the configuration seats (0, 2, 3), the change (0, 1, 2, 3)" in failure.found

    walk = begun()
    greedy = replace(walk.config, min_updates=4)
    change = Change(greedy.hash(), 1, greedy.committee)
    walk.propose(change)
    walk.abort(Phase.OPEN)
    walk.open_epoch(change, greedy, walk.keys)
    failure = verify(walk.history()).failure
    assert failure.number == 6
    assert "demands 4 updates, the change 1" in failure.found


@pytest.mark.parametrize(
    "change",
    [
        lambda config: {"windows": replace(config.windows, commit=11)},
        lambda config: {"depth": 4},
        lambda config: {"leaves_on_chain": True},
        lambda config: {"theta_scale": 41},
        lambda config: {"name": "five stations"},
    ],
)
def test_a_configuration_that_changes_what_is_fixed_is_refused(begun, verify, change):
    walk = begun()
    told = epoch_of(walk, replace(walk.config, **change(walk.config)))
    failure = verify(told.history()).failure
    assert failure.number == 6
    assert failure.found.startswith("epoch 1: an epoch cannot change ")


def test_the_configuration_of_an_epoch_cannot_be_exchanged_or_left_out(eventful, verify):
    history = eventful.history()
    digest, gates = eventful.config.hash(), replace(eventful.config.gates, score_floor=-1)
    other = replace(eventful.config, gates=gates)
    blobs = {name: blob for name, blob in history.blobs.items() if name != digest}
    assert verify(replace(history, blobs=blobs)).failure.number == 2
    assert verify(replace(history, blobs={**blobs, other.hash(): other.to_bytes()})).failure.number == 2
    events = tuple(
        replace(event, config_hash=other.hash()) if isinstance(event, EpochOpened) else event
        for event in history.events
    )
    lie = replace(history, events=events, blobs={**blobs, other.hash(): other.to_bytes()})
    failure = verify(lie).failure
    assert failure.number == 6
    assert "another change was announced" in failure.found


def test_a_round_is_decided_by_the_configuration_of_its_epoch(walk_events, verify):
    """The quorum decides round 4 by the committee of epoch 0, which leaves node 5 without a reputation."""
    walk = walk_events(until="opened")
    walk.decides_by = walk.genesis
    evidence, payloads = _scored(walk)
    walk.certify(evidence, payloads, (1, 2, 5))
    failure = verify(walk.history()).failure
    assert failure.number == 11
    assert failure.found.startswith("round 4: ")


def _scored(walk):
    payloads = {index: walk.payload(index) for index in (0, 1, 2, 4, 5)}
    openings = list(walk.commit(payloads).values())
    return walk.score(walk.seal(openings), openings, silent=-1), payloads


def test_an_announced_change_cannot_be_edited(eventful, verify):
    history = eventful.history()
    places = [k for k, event in enumerate(history.events) if isinstance(event, EpochProposed)]
    for edit in (
        {"min_updates": 1},
        {"committee": (0, 1, 2)},
        {"indices": (), "addresses": ()},
        {"config_hash": eventful.genesis.hash()},
    ):
        events = list(history.events)
        event = events[places[-1]]
        events[places[-1]] = replace(event, change=replace(event.change, **edit))
        assert verify(replace(history, events=tuple(events))).failure.number == 6, edit
    events = [event for event in history.events if event != history.events[places[-1]]]
    assert verify(replace(history, events=tuple(events))).failure.number == 6


# --- what can be announced --------------------------------------------------------------------------------

ADA, BOB, CY, DEE = (keccak(name)[-20:] for name in (b"ada", b"bob", b"cy", b"dee"))
MEMBERS = (ADA, BOB, VACANT, CY)


def a_change(**fields):
    return Change(**{"config_hash": keccak(b"c"), "min_updates": 1, "committee": (0, 1), **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"min_updates": 3},
        {"committee": (3,)},
        {"indices": (4,), "addresses": (DEE,), "committee": (0, 4), "min_updates": 4},
        {"indices": (0,), "addresses": (VACANT,), "committee": (1, 3), "min_updates": 2},
        {"indices": (0,), "addresses": (DEE,), "committee": (0,)},
        {"indices": (4, 5, 6, 7), "addresses": tuple(keccak(bytes([k]))[-20:] for k in range(4))},
    ],
)
def test_a_change_that_the_contract_accepts_may_be_announced(fields):
    require_applicable(a_change(**fields), MEMBERS, 3)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"min_updates": 4}, "4 updates are demanded of 3 members"),
        ({"min_updates": 3, "indices": (0,), "addresses": (VACANT,), "committee": (1,)}, "of 2 members"),
        ({"committee": ()}, "a committee of 0"),
        ({"committee": (0, 2)}, "committee member 2 is not there"),
        ({"committee": (0, 4)}, "committee member 4 is not there"),
        ({"indices": (1,), "addresses": (VACANT,)}, "committee member 1 is not there"),
        ({"indices": (5,), "addresses": (DEE,)}, "index 5 is given out before 4"),
        ({"indices": (4,), "addresses": (VACANT,)}, "nobody joins at index 4"),
        ({"indices": (2,), "addresses": (DEE,)}, "the node at index 2 has left"),
        ({"indices": (2,), "addresses": (VACANT,)}, "the node at index 2 has left"),
        ({"indices": (4,), "addresses": (BOB,)}, "is registered twice"),
        ({"indices": (0, 1), "addresses": (BOB, ADA)}, "is registered twice"),
        ({"indices": (0, 4), "addresses": (DEE, DEE)}, "an address is registered twice"),
        (
            {"indices": (4, 5, 6, 7, 8), "addresses": tuple(keccak(bytes([k]))[-20:] for k in range(5))},
            "9 members do not fit",
        ),
    ],
)
def test_a_change_that_cannot_be_applied_is_not_announced(fields, reason):
    with pytest.raises(VerificationError, match=reason):
        require_applicable(a_change(**fields), MEMBERS, 3)


def test_an_announcement_that_cannot_be_applied_is_refused_in_its_place(begun):
    walk = begun()
    walk.propose(minimal(walk, min_updates=5))
    refused(walk, None, "epoch 1: EpochProposed in block 8: 5 updates are demanded of 4 members")


def test_only_the_next_epoch_is_announced_and_only_while_there_is_an_owner(begun):
    walk = begun()
    walk.propose(minimal(walk))
    for number in (0, 2):
        lie = changed(walk, EpochProposed, lambda event, k=number: replace(event, epoch=k))
        refused(walk, lie, "epoch 0 is in force")
    nobody = begun()
    nobody.chain.events[-1] = replace(nobody.chain.events[-1], owner=VACANT)
    nobody.propose(minimal(nobody))
    refused(nobody, None, "the federation has no owner")


# --- ownership --------------------------------------------------------------------------------------------


def owning(walk, *steps):
    """Return the events of the walk and (kind, one, other) ownership events after it."""
    events = list(walk.chain.events)
    for number, (kind, one, other) in enumerate(steps, start=1):
        place = replace(next_place(walk), block_number=walk.chain.block + number)
        events.append(kind(place, one, other))
    return events


def test_ownership_passes_to_whom_the_owner_named(begun):
    walk = begun()
    named = (OwnershipProposed, walk.owner, STRANGER)
    taken = (OwnershipTransferred, walk.owner, STRANGER)
    assert replay(walk, owning(walk, named, taken)).state.owner == STRANGER
    back = ((OwnershipProposed, STRANGER, walk.owner), (OwnershipTransferred, STRANGER, walk.owner))
    assert replay(walk, owning(walk, named, taken, *back)).state.owner == walk.owner


def test_ownership_is_not_taken_given_twice_or_given_by_others(begun):
    walk = begun()
    owner = walk.owner
    named, taken = (OwnershipProposed, owner, STRANGER), (OwnershipTransferred, owner, STRANGER)
    withdrawn = (OwnershipProposed, owner, VACANT)
    for steps, reason in [
        ([taken], "was not named as the next owner"),
        ([(OwnershipProposed, STRANGER, STRANGER)], "the owner is 0x"),
        ([named, (OwnershipTransferred, owner, ADA)], "was not named as the next owner"),
        ([named, (OwnershipTransferred, STRANGER, STRANGER)], "the owner was 0x"),
        ([named, withdrawn, taken], "was not named as the next owner"),
        ([withdrawn, (OwnershipTransferred, owner, VACANT)], "was not named as the next owner"),
        ([named, taken, (OwnershipTransferred, STRANGER, STRANGER)], "was not named"),
        ([named, taken, named], "the owner is 0x"),
    ]:
        refused(walk, owning(walk, *steps), reason)
    nobody = begun()
    nobody.chain.events[-1] = replace(nobody.chain.events[-1], owner=VACANT)
    for steps in ([(OwnershipProposed, VACANT, ADA)], [(OwnershipTransferred, VACANT, ADA)]):
        refused(nobody, owning(nobody, *steps), "owner")
