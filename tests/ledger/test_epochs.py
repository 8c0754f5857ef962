"""Epochs, the owner and leaves on chain, through the gateway."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.errors import ConflictError, NotFoundError, TransactionRevertedError
from ledgerfed.ledger import (
    NOBODY,
    Deployment,
    LedgerGateway,
    Notice,
    TransactionKind,
    TwoStatements,
    demo_key,
    deploy,
)
from ledgerfed.ledger.events import (
    EpochOpened,
    EpochProposed,
    MemberLeft,
    MemberRegistered,
    OwnershipProposed,
    OwnershipTransferred,
    Sealed,
)
from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import receipt_digest

OWNER, HEIR, NEW_KEY = demo_key(7, 100), demo_key(7, 2), demo_key(7, 30)
A, B = keccak(b"a"), keccak(b"b")


@pytest.fixture
def owned(scene, new_federation) -> LedgerGateway:
    """A gateway to a federation with an owner."""
    scene.deployment = new_federation(owner=OWNER.address)
    return scene.gateway()


def change(**different: object) -> Change:
    """Node 1 leaves, node 2 gets a new key, a fifth node joins; the committee is 0, 2 and 4."""
    plain = Change(
        keccak(b"config 1"), 1, (0, 2, 4), (1, 2, 4), (VACANT, NEW_KEY.address, demo_key(7, 31).address)
    )
    return replace(plain, **different)


def abort(gateway: LedgerGateway) -> None:
    state = gateway.state()
    gateway.wait_for_block(state.end + gateway.terms.windows.commit)
    gateway.abort(OWNER, state.round)


def test_an_epoch_is_announced_then_due_then_in_force(scene, owned):
    announced = owned.propose(OWNER, 1, change())
    assert (announced.kind, announced.round) == (TransactionKind.PROPOSE, 1)
    (event,) = owned.read_events_of(announced.block_hash)
    assert isinstance(event, EpochProposed)
    assert (event.epoch, event.change) == (1, change())
    assert owned.proposal() == change().hash()
    assert owned.state().notice is Notice.ANNOUNCED
    with pytest.raises(TransactionRevertedError, match=r"open_epoch of epoch 1 was refused: no epoch is due"):
        owned.open_epoch(scene.nodes[3], 1, change())

    abort(owned)
    assert owned.state().notice is Notice.DUE
    t = owned.transcript()
    opened = owned.open_epoch(scene.nodes[3], 1, change())
    *members, event = owned.read_events_of(opened.block_hash)
    assert isinstance(event, EpochOpened)
    assert (event.epoch, event.round, event.config_hash) == (1, 2, keccak(b"config 1"))
    assert event.change_hash == change().hash()
    assert event.transcript == reference.after_epoch(t, 2, 1, change().hash()) == owned.transcript()
    assert [(type(e), e.index, e.epoch) for e in members] == [
        (MemberLeft, 1, 1),
        (MemberLeft, 2, 1),
        (MemberRegistered, 2, 1),
        (MemberRegistered, 4, 1),
    ]
    state = owned.state()
    assert (state.epoch, state.committee, state.quorum, state.min_updates) == (1, 3, 3, 1)
    assert owned.committee() == (0, 2, 4)
    assert owned.committee(at=opened.block_number - 1) == (0, 1, 2, 3)
    assert owned.config_hash() == keccak(b"config 1")
    assert owned.config_hash(at=opened.block_number - 1) == scene.config.hash()
    assert owned.members() == (
        scene.nodes[0].address,
        VACANT,
        NEW_KEY.address,
        scene.nodes[3].address,
        demo_key(7, 31).address,
    )
    node = owned.node(NEW_KEY.address)
    assert (node.index, node.joined, node.seat) == (2, 1, 1)
    assert owned.node(scene.nodes[3].address).seat is None
    assert owned.proposal() is None
    assert scene.gateway().open_epoch(scene.nodes[3], 1, change()) == opened


def test_an_announcement_is_sent_once_and_again_only_when_it_was_replaced(scene, owned):
    first, second = change(), change(min_updates=2)
    nonce = scene.nonce(OWNER)
    mined = owned.propose(OWNER, 1, first)
    assert scene.gateway().propose(OWNER, 1, first) == mined
    assert scene.nonce(OWNER) == nonce + 1
    owned.propose(OWNER, 1, second)
    again = owned.propose(OWNER, 1, first)
    assert again != mined
    assert scene.nonce(OWNER) == nonce + 3
    assert owned.proposal() == first.hash()
    assert scene.row(OWNER, "propose").attempt == 2


def test_a_proposal_names_its_epoch_so_that_a_late_one_is_not_another(scene, owned):
    owned.propose(OWNER, 1, change())
    abort(owned)
    owned.open_epoch(OWNER, 1, change())
    with pytest.raises(ConflictError, match="epoch 2 is the next, not 1"):
        owned.propose(OWNER, 1, change())
    with pytest.raises(TransactionRevertedError, match=r"propose of epoch 2 .*has left"):
        owned.propose(OWNER, 2, change())


def test_only_the_owner_proposes(scene, owned):
    with pytest.raises(TransactionRevertedError, match="not the owner"):
        owned.propose(scene.nodes[0], 1, change())


def test_a_node_that_an_epoch_brought_back_can_be_challenged_with_the_same_proof(scene, owned):
    t = owned.transcript()
    digests = [receipt_digest(owned.federation, 1, 0, subject, t) for subject in (A, B)]
    first, second = (scene.nodes[1].sign_digest(digest) for digest in digests)
    proof = TwoStatements(Fault.TWO_RECEIPTS, 1, 0, t, (A, B), (first, second))
    mined = owned.challenge(scene.nodes[0], proof)
    back = Change(scene.config.hash(), 2, (0, 1, 2, 3))
    owned.propose(OWNER, 1, back)
    abort(owned)
    owned.open_epoch(OWNER, 1, back)
    assert not owned.node(scene.nodes[1].address).removed
    again = owned.challenge(scene.nodes[0], proof)
    assert again.block_number > mined.block_number
    assert owned.node(scene.nodes[1].address).removed
    assert scene.gateway().challenge(scene.nodes[0], proof) == again


def test_the_federation_changes_hands_in_two_steps(scene, owned):
    assert (owned.owner(), owned.successor()) == (OWNER.address, NOBODY)
    with pytest.raises(TransactionRevertedError, match=r"accept_ownership was refused: .*not named"):
        owned.accept_ownership(HEIR)
    proposed = owned.propose_owner(OWNER, HEIR.address)
    assert scene.gateway().propose_owner(OWNER, HEIR.address) == proposed
    (event,) = owned.read_events_of(proposed.block_hash)
    assert isinstance(event, OwnershipProposed)
    assert (event.owner, event.successor) == (OWNER.address, HEIR.address)
    assert owned.successor() == HEIR.address
    owned.propose_owner(OWNER, NOBODY)
    assert owned.successor() == NOBODY
    owned.propose_owner(OWNER, HEIR.address)

    taken = owned.accept_ownership(HEIR)
    assert scene.gateway().accept_ownership(HEIR) == taken
    (event,) = owned.read_events_of(taken.block_hash)
    assert isinstance(event, OwnershipTransferred)
    assert (event.previous, event.owner) == (OWNER.address, HEIR.address)
    assert (owned.owner(), owned.successor()) == (HEIR.address, NOBODY)

    owned.propose_owner(HEIR, OWNER.address)
    owned.accept_ownership(OWNER)
    owned.propose_owner(OWNER, HEIR.address)
    assert owned.accept_ownership(HEIR) != taken  # it was the owner in between
    assert owned.owner() == HEIR.address


@pytest.fixture
def on_chain(scene) -> Deployment:
    config = replace(scene.config, leaves_on_chain=True)
    members = tuple(node.address for node in scene.nodes)
    return deploy(scene.url, OWNER, config, members, keccak(b"m"), keccak(b"r"))


def test_leaves_travel_as_calldata_where_the_federation_wants_it(scene, on_chain):
    gateway = scene.gateway(deployment=on_chain)
    assert gateway.terms.leaves_on_chain
    gateway.wait_for_block(gateway.state().end)
    relayer = scene.relayer(gateway)
    with pytest.raises(TransactionRevertedError, match="seals the other way"):
        gateway.seal(relayer, 1, A, 2)
    leaves = {0: A, 3: B}
    sealed = gateway.seal_leaves(relayer, 1, leaves)
    assert gateway.seal_leaves(relayer, 1, leaves) == sealed
    (event,) = gateway.read_events_of(sealed.block_hash)
    assert isinstance(event, Sealed)
    assert (event.root, event.n) == (build_tree(leaves, 3).root, 2)
    assert gateway.state().phase is Phase.SEALED
    assert gateway.sealed_leaves(sealed.hash) == leaves


def test_leaves_are_read_only_from_a_call_of_this_contract(scene, on_chain):
    gateway, plain = scene.gateway(deployment=on_chain), scene.gateway()
    gateway.wait_for_block(gateway.state().end)
    sealed = gateway.seal_leaves(scene.relayer(gateway), 1, {1: A, 2: B})
    for asked, tx_hash in (
        (plain, sealed.hash),
        (plain, scene.seal(plain).hash),
        (plain, scene.deployment.transaction.hash),
    ):
        with pytest.raises(NotFoundError, match="no call of seal_leaves"):
            asked.sealed_leaves(tx_hash)
    with pytest.raises(NotFoundError, match="no transaction 0x"):
        gateway.sealed_leaves(A)
