"""Disputes in the index: culprits, certificates that fall, rounds that end for want of members."""

from __future__ import annotations

from dataclasses import replace

import pytest
from simulated_federation import FIRST_BLOCK, SimulatedFederation

from ledgerfed.errors import VerificationError
from ledgerfed.observer import Finality, Observer, observe, reindex
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.store import Store
from ledgerfed.store.chain_log import find_federation
from ledgerfed.store.reading import (
    read_certificate,
    read_disputes,
    read_epoch,
    read_fallen,
    read_head,
    read_members,
    read_reputations,
    read_round,
    read_scores,
    read_updates,
)


@pytest.fixture
def chain(store: Store) -> SimulatedFederation:
    return SimulatedFederation(store.blobs)


@pytest.fixture
def observer(store: Store, chain: SimulatedFederation) -> Observer:
    return observe(store, chain, chain.federation, FIRST_BLOCK, Finality(50))


def _reindexed(store: Store, chain: SimulatedFederation) -> bool:
    with store.database.read() as connection:
        record = find_federation(connection, chain.federation)
        assert record is not None
    before, after = reindex(store, record)
    return before == after


def test_a_certificate_that_falls_leaves_nothing_but_itself(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.run_round()
    manifest = chain.run_round(refused={1: Reason.OUTLIER}, forced=[3])
    certified = chain.head().number
    observer.advance()
    with store.database.read() as connection:
        ended = read_round(connection, 1, 2)
        assert len(read_updates(connection, 1, 2)) == 4
    assert ended is not None
    chain.dispute(1, Fault.TWO_CERTIFICATES, round_number=2)
    observer.advance()
    with store.database.read() as connection:
        head = read_head(connection, 1)
        assert head is not None
        assert (head.number, head.phase, head.attempt) == (2, Phase.SCORED, 1)
        assert (head.manifest, head.model, head.ended_block) == (None, None, None)
        assert head.window_end == chain.head().number + chain.config.windows.certify
        assert head.transcript == chain.now.t
        assert (head.root, head.opened_at) == (ended.root, ended.opened_at)
        assert read_updates(connection, 1, 2) == read_scores(connection, 1, 2) == []
        assert read_reputations(connection, 1, 2) == []
        assert len(read_updates(connection, 1, 1)) == 4
        (fallen,) = read_fallen(connection, 1, 2)
        assert (fallen.attempt, fallen.dispute, fallen.certified_block) == (0, 1, certified)
        assert (fallen.manifest, fallen.evidence) == (manifest.hash(), manifest.evidence)
        assert fallen.transcript == ended.transcript
        assert [c.validator for c in read_certificate(connection, 1, 2, 0)] == [0, 1, 2]
        (dispute,) = read_disputes(connection, 1)
        assert (dispute.fault, dispute.nodes, dispute.round) == (Fault.TWO_CERTIFICATES, (1,), 2)
        assert (dispute.contested, dispute.aborted) == (True, False)
    assert _reindexed(store, chain)


def test_a_certificate_that_replaces_a_fallen_one_is_unfolded(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.run_round(forced=[3])
    chain.dispute(1, round_number=1)
    manifest = chain.certify()
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        ended = read_round(connection, 1, 1)
        assert ended is not None
        assert (ended.phase, ended.attempt, ended.manifest) == (Phase.CERTIFIED, 1, manifest.hash())
        assert ended.unfolded
        assert [c.validator for c in read_certificate(connection, 1, 1, 1)] == [0, 2, 3]
        assert [c.validator for c in read_certificate(connection, 1, 1, 0)] == [0, 1, 2]
        assert len(read_updates(connection, 1, 1)) == 4
        epoch = read_epoch(connection, 1)
        assert epoch is not None
        assert (epoch.removed, epoch.left, epoch.quorum) == (0b0010, 3, 3)
        assert [epoch.has_removed(m) for m in read_members(connection, 1)] == [False, True, False, False]


def test_after_its_challenge_window_a_certificate_stands(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.run_round()
    chain.mine(chain.config.windows.challenge)
    chain.dispute(1, round_number=1)
    observer.advance()
    with store.database.read() as connection:
        ended, head = read_round(connection, 1, 1), read_head(connection, 1)
        assert ended is not None
        assert head is not None
        assert (ended.phase, head.number, head.phase) == (Phase.CERTIFIED, 2, Phase.OPEN)
        assert head.opened_at == head.transcript == chain.now.t != ended.transcript
        assert not read_disputes(connection, 1)[0].contested


def test_a_wrong_median_ends_the_round(store: Store, chain: SimulatedFederation, observer: Observer) -> None:
    first = chain.run_round()
    chain.run_round()
    chain.dispute(0b0111, Fault.WRONG_MEDIAN, round_number=2)
    observer.advance()
    with store.database.read() as connection:
        ended, head = read_round(connection, 1, 2), read_head(connection, 1)
        assert ended is not None
        assert head is not None
        assert (ended.phase, ended.aborted_in, ended.model) == (Phase.ABORTED, Phase.DISPUTED, None)
        assert (head.number, head.phase, head.base_model) == (3, Phase.OPEN, first.model)
        assert head.transcript == chain.now.t
        (dispute,) = read_disputes(connection, 1)
        assert (dispute.nodes, dispute.contested, dispute.aborted) == ((0, 1, 2), True, True)
        assert len(read_fallen(connection, 1, 2)) == 1
    assert _reindexed(store, chain)


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.SEALED, Phase.SCORED])
def test_a_dispute_in_any_phase_moves_the_transcript_and_no_more_than_it_must(
    store: Store, chain: SimulatedFederation, observer: Observer, phase: Phase
) -> None:
    steps = [chain.seal, chain.score, chain.certify]
    for step in steps[:phase]:
        step()
    observer.advance()
    with store.database.read() as connection:
        before = read_head(connection, 1)
    assert before is not None
    chain.dispute(3)
    observer.advance()
    with store.database.read() as connection:
        head = read_head(connection, 1)
    assert head is not None
    assert (head.number, head.phase, head.transcript) == (1, phase, chain.now.t)
    if phase is Phase.SCORED:
        window_end = chain.head().number + chain.config.windows.certify
        assert (head.attempt, head.window_end) == (1, window_end)
    else:
        assert (head.attempt, head.window_end) == (0, before.window_end)
    for step in steps[phase:]:
        step()
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        assert read_head(connection, 1).number == 2
        assert read_round(connection, 1, 1).unfolded


def test_a_reorganisation_gives_the_certificate_back(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.run_round()
    chain.dispute(1, round_number=1)
    observer.advance()
    chain.fork(back=1, branch=b"other")
    chain.mine()
    observer.advance()
    with store.database.read() as connection:
        ended, epoch = read_round(connection, 1, 1), read_epoch(connection, 1)
        assert ended is not None
        assert epoch is not None
        assert (ended.phase, ended.unfolded, epoch.removed) == (Phase.CERTIFIED, True, 0)
        assert read_disputes(connection, 1) == read_fallen(connection, 1, 1) == []
        assert read_head(connection, 1).number == 2


def test_a_node_without_a_seat_is_removed_by_its_registry_row(store: Store) -> None:
    chain = SimulatedFederation(store.blobs, nodes=6, committee=4)
    chain.dispute(5)
    observe(store, chain, chain.federation, FIRST_BLOCK, Finality(0)).advance()
    with store.database.read() as connection:
        epoch, members = read_epoch(connection, 1), read_members(connection, 1)
        assert epoch is not None
        assert (epoch.removed, [m.removed for m in members]) == (0, [False] * 5 + [True])
        assert epoch.has_removed(members[5])


def test_a_voided_manifest_that_is_not_here_is_not_waited_for_but_found_when_it_comes(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.seal()
    chain.score()
    evidence = chain._evidence()
    manifest = chain.certify(publish=False)
    chain.dispute(1, round_number=1)
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        assert read_fallen(connection, 1, 1)[0].evidence is None
    chain.publish(manifest, evidence)
    observer.advance()
    with store.database.read() as connection:
        assert read_fallen(connection, 1, 1)[0].evidence == evidence.hash()


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("contested", False, "says contested=False of round 1, which the events before it contradict"),
        ("culprits", 2, "leads to the transcript"),
        ("fault", 2, "leads to the transcript"),
    ],
)
def test_a_dispute_that_was_changed_stops_the_index(
    store: Store, chain: SimulatedFederation, observer: Observer, argument: str, value: object, message: str
) -> None:
    chain.run_round()
    chain.dispute(1, round_number=1)
    (event,) = chain.events(chain.head().hash)
    forged = replace(event, arguments={**event.arguments, argument: value})
    chain.forge(chain.head().number, [forged])
    with pytest.raises(VerificationError, match=message):
        observer.advance()


def test_a_round_is_not_given_up_for_want_of_members_while_they_are_enough(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.seal()
    chain.abort()
    (event,) = chain.events(chain.head().hash)
    chain.forge(chain.head().number, [replace(event, arguments={**event.arguments, "phase": 5})])
    with pytest.raises(VerificationError, match="for want of members, but 4 of 4 are left"):
        observer.advance()


def test_a_certificate_falls_after_a_dispute_that_took_nothing_back(store: Store) -> None:
    chain = SimulatedFederation(store.blobs, nodes=7, committee=7)
    observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(50))
    chain.run_round()
    chain.run_round()
    chain.dispute(3, round_number=1)
    chain.dispute(1, round_number=2)
    observer.advance()
    with store.database.read() as connection:
        assert [d.contested for d in read_disputes(connection, 1)] == [False, True]
        head = read_head(connection, 1)
        assert (head.number, head.phase, head.transcript) == (2, Phase.SCORED, chain.now.t)
    assert _reindexed(store, chain)
    manifest = chain.certify()
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        assert read_round(connection, 1, 2).manifest == manifest.hash()
        assert [c.validator for c in read_certificate(connection, 1, 2, 1)] == [0, 2, 4, 5, 6]
