import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.merkle import build_tree

hashes = st.binary(min_size=32, max_size=32)


def test_the_contract_proves_what_the_python_tree_proves(deploy_ledger):
    for depth in (2, 3, 5):
        ledger = deploy_ledger(depth=depth)
        leaves = {i: keccak(bytes([i])) for i in range(1, 1 << depth, 3)}
        tree = build_tree(leaves, depth)
        for index in range(1 << depth):
            path = tree.proof(index)
            leaf = leaves.get(index, EMPTY)
            assert ledger.view("verify_exclusion", tree.root, index, path) is (index not in leaves)
            if leaf != EMPTY:
                assert ledger.view("verify_inclusion", tree.root, leaf, index, path) is True
                assert ledger.view("verify_inclusion", tree.root, leaf, index ^ 1, path) is False
            assert ledger.view("verify_inclusion", tree.root, keccak(b"another"), index, path) is False
            wrong = (*path[:-1], keccak(b"another sibling"))
            assert ledger.view("verify_exclusion", tree.root, index, wrong) is False


def test_a_tree_of_depth_zero_is_its_only_leaf(deploy_ledger):
    ledger = deploy_ledger(nodes=1, committee=1, depth=0, min_updates=1)
    leaf = keccak(b"only")
    assert ledger.view("verify_inclusion", leaf, leaf, 0, ()) is True
    assert ledger.view("verify_exclusion", EMPTY, 0, ()) is True


@pytest.mark.threat("N17")
def test_an_index_is_not_aliased_and_a_path_has_the_depth_of_the_tree(ledger, reverts):
    tree = build_tree({1: keccak(b"leaf")}, 3)
    path = tree.proof(1)
    for name, arguments in (
        ("verify_inclusion", (tree.root, keccak(b"leaf"))),
        ("verify_exclusion", (tree.root,)),
    ):
        for alias in (8, 1 + 8, 1 + 2**32, 2**256 - 7):
            with reverts("the index is outside the tree"):
                ledger.view(name, *arguments, alias, path)
        for wrong in (path[:-1], (*path, EMPTY)):
            with reverts("another length than the depth"):
                ledger.view(name, *arguments, 1, wrong)


@pytest.mark.threat("N17")
def test_an_inner_node_does_not_pass_for_a_leaf_and_empty_is_not_included(ledger, reverts):
    tree = build_tree({0: keccak(b"a"), 1: keccak(b"b")}, 3)
    with reverts("another length than the depth"):
        ledger.view("verify_inclusion", tree.root, tree.levels[1][0], 0, tree.proof(0)[1:])
    with reverts("the leaf is empty"):
        ledger.view("verify_inclusion", tree.root, EMPTY, 5, tree.proof(5))


def test_leaf_hashes_are_the_python_ones(ledger):
    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(1, 2**32 - 1),
        st.integers(0, 2**20 - 1),
        st.integers(0, 2**40 - 1),
        st.tuples(hashes, hashes, hashes, hashes),
    )
    def check(round_number, index, n_samples, words):
        base, update, schema, salt = words
        opening = Opening(round_number, index, base, update, n_samples, schema, salt)
        leaf = ledger.view("leaf_hash", round_number, index, base, update, n_samples, schema, salt)
        assert leaf == opening.leaf(ledger.federation)

    check()
