"""A position holds one leaf or nothing, and either is provable (threats N17, R5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.merkle import build_tree, inner_hash, root_from_proof, verify_inclusion

hashes = st.binary(min_size=32, max_size=32).filter(any)


@st.composite
def trees(draw):
    depth = draw(st.integers(0, 6))
    leaves = draw(st.dictionaries(st.integers(0, (1 << depth) - 1), hashes))
    return build_tree(leaves, depth), leaves


@pytest.mark.threat("R1")
@given(trees())
def test_every_position_is_proved_to_hold_its_leaf_or_nothing(case):
    tree, leaves = case
    for index in range(1 << tree.depth):
        verify_inclusion(tree.root, leaves.get(index, EMPTY), index, tree.proof(index), tree.depth)


@given(trees(), hashes, st.data())
def test_no_position_is_proved_to_hold_anything_else(case, other, data):
    tree, leaves = case
    index = data.draw(st.integers(0, (1 << tree.depth) - 1))
    held = leaves.get(index, EMPTY)
    for claim in {other, EMPTY} - {held}:
        with pytest.raises(VerificationError, match=f"position {index}"):
            verify_inclusion(tree.root, claim, index, tree.proof(index), tree.depth)


@pytest.mark.threat("N17")
@given(trees(), st.data())
def test_an_index_with_bits_beyond_the_depth_is_refused(case, data):
    tree, leaves = case
    index = data.draw(st.integers(0, (1 << tree.depth) - 1))
    alias = index + (data.draw(st.integers(1, 5)) << tree.depth)
    with pytest.raises(InvalidValueError):
        root_from_proof(leaves.get(index, EMPTY), alias, tree.proof(index))
    with pytest.raises(InvalidValueError):
        root_from_proof(leaves.get(index, EMPTY), index - (1 << tree.depth), tree.proof(index))
    with pytest.raises(InvalidValueError):
        tree.proof(alias)


@pytest.mark.threat("R5")
@given(trees())
def test_swapped_leaves_make_another_root(case):
    tree, leaves = case
    for a in leaves:
        for b in leaves:
            if leaves[a] != leaves[b]:
                swapped = {**leaves, a: leaves[b], b: leaves[a]}
                assert build_tree(swapped, tree.depth).root != tree.root


@pytest.mark.threat("N17")
def test_an_inner_node_is_no_leaf():
    """64-byte leaf forgery: a pair of children passed off as the preimage of a leaf, one level up."""
    leaves = {i: keccak(b"\x00leaf" + bytes([i])) for i in range(4)}
    tree = build_tree(leaves, 2)
    pair = leaves[0] + leaves[1]
    node = inner_hash(leaves[0], leaves[1])
    assert tree.levels[1][0] == node == keccak(b"\x01" + pair)
    assert node not in (keccak(pair), keccak(b"\x00" + pair))
    with pytest.raises(VerificationError, match="1 siblings, the tree has depth 2"):
        verify_inclusion(tree.root, node, 0, tree.proof(0)[1:], 2)


@pytest.mark.threat("N17")
def test_a_longer_proof_is_refused():
    tree = build_tree({0: keccak(b"x")}, 1)
    with pytest.raises(VerificationError, match="2 siblings"):
        verify_inclusion(tree.root, keccak(b"x"), 0, (*tree.proof(0), EMPTY), 1)


@pytest.mark.parametrize(
    ("leaves", "depth", "message"),
    [
        ({4: b"x" * 32}, 2, "position"),
        ({-1: b"x" * 32}, 2, "position"),
        ({0: b"x" * 31}, 2, "32 bytes"),
        ({0: EMPTY}, 2, "EMPTY"),
        ({}, 21, "depth"),
        ({}, -1, "depth"),
    ],
)
def test_what_is_no_tree_is_refused(leaves, depth, message):
    with pytest.raises(InvalidValueError, match=message):
        build_tree(leaves, depth)


def test_a_sibling_that_is_no_hash_is_refused():
    with pytest.raises(InvalidValueError, match="sibling 0"):
        root_from_proof(EMPTY, 0, (b"short",))
