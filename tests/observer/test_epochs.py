"""Epochs, keys and the owner in the index."""

from __future__ import annotations

from dataclasses import replace

import pytest
from simulated_federation import FIRST_BLOCK, SimulatedFederation

from ledgerfed.errors import VerificationError
from ledgerfed.observer import Finality, Observer, observe, reindex
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.hashing import from_hex, to_hex
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store import Store
from ledgerfed.store.chain_log import find_federation
from ledgerfed.store.reading import (
    read_certificate,
    read_epoch,
    read_epochs,
    read_head,
    read_keys,
    read_members,
    read_ownership,
    read_proposal,
    read_reputations,
    read_round,
)

OWNER, HEIR = b"\x11" * 20, b"\x22" * 20


@pytest.fixture
def chain(store: Store) -> SimulatedFederation:
    return SimulatedFederation(store.blobs, room=2, owner=OWNER)


@pytest.fixture
def observer(store: Store, chain: SimulatedFederation) -> Observer:
    return observe(store, chain, chain.federation, FIRST_BLOCK, Finality(50))


def _change(chain: SimulatedFederation) -> Change:
    """Node 1 leaves, node 2 has another key, a fifth joins the committee."""
    return chain.change(joins=1, leaves=[1], rekeys=[2], committee=(0, 2, 4))


def _walk_into(chain: SimulatedFederation) -> Change:
    change = _change(chain)
    chain.propose(change)
    chain.run_round()
    chain.mine(chain.config.windows.challenge)
    chain.open_epoch()
    return change


def test_an_announcement_is_pending_until_it_is_in_force(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    change = _change(chain)
    first = chain.change(joins=2)
    chain.propose(first)
    chain.propose(change)
    block = chain.head().number
    observer.advance()
    with store.database.read() as connection:
        pending = read_proposal(connection, 1)
        assert pending is not None
        assert (pending.epoch, pending.block, pending.due) == (1, block, False)
        assert (pending.change, pending.change_hash) == (change.to_bytes(), change.hash())
    chain.run_round()
    observer.advance()
    with store.database.read() as connection:
        assert read_proposal(connection, 1) == replace(pending, due=True)
    chain.open_epoch()
    observer.advance()
    with store.database.read() as connection:
        assert read_proposal(connection, 1) is None


def test_an_epoch_has_its_committee_registry_and_first_round(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    change = _walk_into(chain)
    opened = chain.head().number
    observer.advance()
    with store.database.read() as connection:
        second, first = read_epochs(connection, 1, after=None, limit=10)
        assert (first.number, first.first_round, first.committee) == (0, 1, (0, 1, 2, 3))
        assert (first.change, first.config_hash) == (None, chain.config.hash())
        assert (second.number, second.first_round, second.block) == (1, 2, opened)
        assert (second.committee, second.min_updates, second.quorum) == ((0, 2, 4), 1, 3)
        assert (second.change_hash, second.config_hash) == (change.hash(), change.config_hash)
        assert second.transcript == chain.now.t
        assert read_epoch(connection, 1) == second
        assert read_epoch(connection, 1, 0) == first
        head = read_head(connection, 1)
        assert (head.number, head.epoch, head.window_end) == (2, 1, opened)
        assert head.opened_at == head.transcript == chain.now.t
        members = {m.node: (m.address, m.joined, m.left) for m in read_members(connection, 1)}
        assert members == {
            0: (chain.members[0], 0, None),
            1: (chain.members[1], 0, 1),
            2: (chain.now.members[2], 0, None),
            3: (chain.members[3], 0, None),
            4: (chain.now.members[4], 1, None),
        }
        assert [(k.epoch, k.address) for k in read_keys(connection, 1, 2)] == [
            (0, chain.members[2]),
            (1, chain.now.members[2]),
        ]
        assert len(read_keys(connection, 1)) == 6


def test_a_round_of_a_later_epoch_is_unfolded_with_its_own_committee(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    _walk_into(chain)
    chain.run_round()
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        assert [c.validator for c in read_certificate(connection, 1, 2, 0)] == [0, 2, 4]
        assert [c.validator for c in read_certificate(connection, 1, 1, 0)] == [0, 1, 2]
        assert (read_round(connection, 1, 1).epoch, read_round(connection, 1, 2).epoch) == (0, 1)
        assert len(read_reputations(connection, 1, 0)) == len(read_reputations(connection, 1, 1)) == 4
        assert len(read_reputations(connection, 1, 2)) == 5
        record = find_federation(connection, chain.federation)
    before, after = reindex(store, record)
    assert before == after


def test_the_genesis_registry_is_that_of_epoch_0_whenever_the_configuration_comes(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    path = store.blobs._path(chain.config.hash())
    data = path.read_bytes()
    path.unlink()
    _walk_into(chain)
    assert [w.round for w in observer.advance().waiting] == [0]
    store.blobs.put(data)
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        assert [r.node for r in read_reputations(connection, 1, 0)] == [0, 1, 2, 3]


def test_seats_are_free_again_in_a_new_epoch_but_a_key_stays_removed(store: Store) -> None:
    chain = SimulatedFederation(store.blobs, nodes=5, committee=4, room=2)
    observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(50))
    chain.dispute(0)
    chain.dispute(4)
    chain.propose(chain.change(joins=1))
    chain.abort()
    chain.open_epoch()
    observer.advance()
    with store.database.read() as connection:
        epoch, members = read_epoch(connection, 1), read_members(connection, 1)
        assert [epoch.has_removed(m) for m in members] == [False] * 4 + [True, False]
    chain.propose(chain.change(rekeys=[4]))
    chain.abort()
    chain.open_epoch()
    observer.advance()
    with store.database.read() as connection:
        epoch, members = read_epoch(connection, 1), read_members(connection, 1)
        assert not any(epoch.has_removed(m) for m in members)


def test_the_owner_and_who_was_named(store: Store, chain: SimulatedFederation, observer: Observer) -> None:
    def owned() -> tuple[bytes, bytes]:
        observer.advance()
        with store.database.read() as connection:
            found = read_ownership(connection, 1)
        assert found is not None
        return found.owner, found.successor

    assert owned() == (OWNER, VACANT)
    chain.propose_owner(HEIR)
    assert owned() == (OWNER, HEIR)
    chain.accept_ownership(HEIR)
    assert owned() == (HEIR, VACANT)
    chain.fork(back=1, branch=b"other")
    chain.mine()
    assert owned() == (OWNER, HEIR)


def test_a_reorganisation_takes_an_epoch_back(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    change = _walk_into(chain)
    observer.advance()
    chain.fork(back=1, branch=b"other")
    chain.mine()
    observer.advance()
    with store.database.read() as connection:
        epoch, head, pending = (
            read_epoch(connection, 1),
            read_head(connection, 1),
            read_proposal(connection, 1),
        )
        assert (epoch.number, head.epoch, head.transcript) == (0, 0, chain.now.t)
        assert (pending.change_hash, pending.due) == (change.hash(), True)
        assert [m.address for m in read_members(connection, 1)] == chain.members
        assert len(read_keys(connection, 1)) == 4


def _forge(chain: SimulatedFederation, kind: str, **arguments: object) -> None:
    """Let the newest block tell an event of a kind with other arguments."""
    events = [
        replace(e, arguments={**e.arguments, **arguments}) if e.kind == kind else e
        for e in chain.events(chain.head().hash)
    ]
    chain.forge(chain.head().number, events)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("MemberRegistered", {"member": to_hex(HEIR)}, "was not announced"),
        ("MemberLeft", {"index": 3}, "was not announced"),
        ("MemberLeft", {"epoch": 2}, "was not announced"),
        ("EpochOpened", {"config_hash": to_hex(b"\x07" * 32)}, "not the one that was announced"),
        ("EpochOpened", {"round": 3}, "not the one that was announced"),
        ("EpochOpened", {"transcript": to_hex(b"\x07" * 32)}, "leads to the transcript"),
    ],
)
def test_an_epoch_that_was_not_announced_so_stops_the_index(
    store: Store,
    chain: SimulatedFederation,
    observer: Observer,
    kind: str,
    arguments: dict[str, object],
    message: str,
) -> None:
    _walk_into(chain)
    _forge(chain, kind, **arguments)
    with pytest.raises(VerificationError, match=message):
        observer.advance()


def test_an_announcement_that_was_changed_is_found_when_the_epoch_opens(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    change = _change(chain)
    chain.propose(change)
    other = replace(change, min_updates=2)
    assert from_hex("change", to_hex(other.to_bytes()), len(other.to_bytes())) == other.to_bytes()
    _forge(chain, "EpochProposed", change=to_hex(other.to_bytes()))
    chain.abort()
    observer.advance()
    chain.open_epoch()
    with pytest.raises(VerificationError, match=r"epoch 1 in block .* is not the one that was announced"):
        observer.advance()


def test_an_epoch_opens_only_when_it_is_due(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.propose(_change(chain))
    assert chain.now.phase is Phase.OPEN
    chain.open_epoch()
    with pytest.raises(VerificationError, match="none is due"):
        observer.advance()


def test_no_certificate_falls_once_an_epoch_was_opened(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    _walk_into(chain)
    assert chain.now.scored is None
    chain.dispute(0, round_number=1)
    observer.advance()
    with store.database.read() as connection:
        assert read_round(connection, 1, 1).phase == Phase.CERTIFIED
        head = read_head(connection, 1)
        assert (head.number, head.transcript, head.opened_at) == (2, chain.now.t, chain.now.t)


def test_an_epoch_opens_in_no_phase_but_open(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.propose(_change(chain))
    chain.abort()
    chain.seal()
    chain.open_epoch()
    with pytest.raises(VerificationError, match="none is due"):
        observer.advance()


def test_nothing_is_announced_while_an_epoch_is_due_nor_for_another_than_the_next(
    store: Store, chain: SimulatedFederation, observer: Observer
) -> None:
    chain.propose(_change(chain))
    _forge(chain, "EpochProposed", epoch=2)
    with pytest.raises(VerificationError, match=r"epoch 2 is announced in block .* of epoch 0"):
        observer.advance()
    chain.fork(back=1, branch=b"other")
    chain.propose(_change(chain))
    chain.abort()
    chain.propose(_change(chain))
    with pytest.raises(VerificationError, match="an event before it is missing"):
        observer.advance()
