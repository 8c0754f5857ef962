"""Federations that seal their leaves as calldata (docs/adr/0009)."""

import pytest
from deployed_ledger import FIRST_STATE, deploy
from faults import broken_receipt
from hypothesis import given, settings
from hypothesis import strategies as st
from played_rounds import Play, leaf_of

from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Seal

LEAVES = (leaf_of(0), EMPTY, leaf_of(2))


def root_of(leaves, depth):
    return build_tree({i: leaf for i, leaf in enumerate(leaves) if leaf != EMPTY}, depth).root


def seal(ledger, leaves):
    """Seal the leaves in the first block that allows it."""
    state = ledger.state()
    ledger.evm.block = max(ledger.evm.block, state["end"] + 1)
    return ledger.transact("seal_leaves", state["round"], leaves, sender=ledger.relayer())


@pytest.fixture
def alone(local_evm):
    return lambda **terms: deploy(local_evm(), leaves_on_chain=True, **terms)


def test_a_round_is_sealed_with_its_leaves_as_with_their_root(deploy_ledger):
    ledger = deploy_ledger(leaves_on_chain=True)
    play, relayer = Play(ledger), ledger.relayer()
    receipt = seal(ledger, LEAVES)
    root = root_of(LEAVES, 3)
    play.happened(Seal(1, root, 2))
    (log,) = receipt.logs
    assert log.name == "Sealed"
    assert log.values == {
        "round": 1,
        "root": root,
        "n": 2,
        "relayer": "0x" + relayer.hex(),
        "transcript": play.t,
    }
    after = {"phase": Phase.SEALED, "end": receipt.block + 5, "n": 2, "sealer": ledger.members.index(relayer)}
    assert ledger.state() == FIRST_STATE | after
    play.force(1, leaf_of(1)).scores().certify()


def test_a_federation_seals_one_way_only(ledger, deploy_ledger, reverts):
    with reverts("the federation seals the other way: ask leaves_on_chain"):
        seal(ledger, LEAVES)
    other = deploy_ledger(leaves_on_chain=True)
    other.evm.block = other.state()["end"] + 1
    with reverts("the federation seals the other way: ask leaves_on_chain"):
        other.transact("seal", 1, root_of(LEAVES, 3), 2, sender=other.relayer())


def test_what_the_contract_builds_is_the_python_tree(alone):
    """Every length at every depth up to 4."""
    for depth in range(5):
        ledger = alone(depth=depth, nodes=1, committee=1, min_updates=1)
        for count in range(1, (1 << depth) + 1):
            leaves = [leaf_of(index) for index in range(count)]
            assert sealed_root(ledger, leaves) == root_of(leaves, depth)


def sealed_root(ledger, leaves):
    """The root of the leaves, as the contract logs it; the round is given up after it."""
    (log,) = seal(ledger, leaves).logs
    assert log.values["n"] == sum(leaf != EMPTY for leaf in leaves)
    ledger.evm.block = ledger.state()["end"] + ledger.windows[2] + 1
    ledger.transact("abort", ledger.state()["round"], sender=ledger.members[0])
    return log.values["root"]


def test_gaps_and_what_is_missing_on_the_right_are_empty(alone):
    ledgers = {
        depth: alone(depth=depth, nodes=1, committee=1, min_updates=1) for depth in (0, 1, 2, 5, 7, 20)
    }

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.sampled_from(list(ledgers)), st.lists(st.booleans(), min_size=1, max_size=40))
    def check(depth, present):
        present = present[: 1 << depth]
        leaves = [leaf_of(i) if there else EMPTY for i, there in enumerate(present)]
        leaves[-1] = leaves[-1] if any(present) else leaf_of(0)
        root = sealed_root(ledgers[depth], leaves)
        assert root == sparse_root(leaves, depth)
        if len(leaves) < 1 << depth:
            assert sealed_root(ledgers[depth], [*leaves, EMPTY]) == root

    check()


def sparse_root(leaves, depth):
    """The root, without the 2^depth positions of build_tree."""
    level, nothing = list(leaves), EMPTY
    for _ in range(depth):
        level = [*level, nothing] if len(level) % 2 else level
        level = [keccak(b"\x01" + level[k] + level[k + 1]) for k in range(0, len(level), 2)]
        nothing = keccak(b"\x01" + nothing + nothing)
    return level[0]


def test_the_sparse_root_of_this_test_is_that_of_the_nodes():
    assert all(sparse_root(LEAVES, depth) == root_of(LEAVES, depth) for depth in (2, 3, 6))


@pytest.mark.parametrize(
    ("leaves", "reason"),
    [
        ((), "fewer leaves than min_updates"),
        ((EMPTY,) * 8, "fewer leaves than min_updates"),
        ((leaf_of(0), EMPTY), "fewer leaves than min_updates"),
        (tuple(leaf_of(i) for i in range(9)), "more leaves than the tree has positions"),
        ((*LEAVES, *(EMPTY,) * 6), "more leaves than the tree has positions"),
        ((leaf_of(0),) * 1025, "no reason"),  # the ABI has no longer list
    ],
    ids=["none", "all empty", "too few", "nine", "nine with empty ones", "1025"],
)
def test_leaves_that_cannot_be_sealed_are_refused(alone, reverts, leaves, reason):
    ledger = alone()
    with reverts(reason):
        seal(ledger, leaves)
    seal(ledger, [leaf_of(i) for i in range(8)])  # the tree is full with eight


def test_a_full_tree_of_1024_leaves_is_sealed_in_one_transaction(alone):
    ledger = alone(depth=10)
    leaves = [leaf_of(i % 256, b"%d" % i) for i in range(1024)]
    receipt = seal(ledger, leaves)
    assert receipt.logs[0].values["root"] == root_of(leaves, 10)
    assert receipt.gas_used < 1 << 24  # EIP-7825 caps a transaction


def test_only_whose_turn_it_is_seals_leaves(alone, reverts):
    ledger = alone(nodes=6)
    ledger.evm.block = ledger.state()["end"] + 1
    other = next(m for m in ledger.members[:4] if m != ledger.relayer())
    for sender, reason in ((other, "another relayer's turn"), (ledger.members[5], "not on the committee")):
        with reverts(reason):
            ledger.transact("seal_leaves", 1, LEAVES, sender=sender)
    with reverts("another round is current"):
        ledger.transact("seal_leaves", 2, LEAVES, sender=ledger.relayer())
    ledger.transact("seal_leaves", 1, LEAVES, sender=ledger.relayer())
    with reverts("the round is in another phase"):
        ledger.transact("seal_leaves", 1, LEAVES, sender=ledger.relayer())


def test_the_sealer_of_leaves_answers_for_its_receipts(alone):
    ledger = alone()
    play = Play(ledger)
    play.sealer = ledger.members.index(ledger.relayer())
    seal(ledger, LEAVES)
    play.tree = build_tree({0: leaf_of(0), 2: leaf_of(2)}, 3)
    play.happened(Seal(1, play.tree.root, 2))
    play.force(1, leaf_of(1))
    assert play.refusal(broken_receipt(play, 0, leaf_of(0))) == "the receipt was honoured"
    play.challenge(broken_receipt(play, 1, leaf_of(1)))
