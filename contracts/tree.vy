# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title Positional Merkle trees of a fixed depth
@license Apache-2.0
@notice Position = index, absent = empty, inner node = keccak(0x01 | left | right): docs/protocol.md.
"""

MAX_DEPTH: constant(uint256) = 20
MAX_LEAVES: constant(uint256) = 1024


@internal
@pure
def root_from_path(leaf: bytes32, index: uint256, path: DynArray[bytes32, MAX_DEPTH], depth: uint256) -> bytes32:
    assert len(path) == depth, "the path has another length than the depth of the tree"
    assert index < 1 << depth, "the index is outside the tree"
    node: bytes32 = leaf
    rest: uint256 = index
    for sibling: bytes32 in path:
        if rest & 1 == 1:
            node = keccak256(concat(b"\x01", sibling, node))
        else:
            node = keccak256(concat(b"\x01", node, sibling))
        rest >>= 1
    return node


@internal
@pure
def root(leaves: DynArray[bytes32, MAX_LEAVES], depth: uint256) -> bytes32:
    """The root of the positional tree of the leaves; what is missing on the right is empty."""
    level: DynArray[bytes32, MAX_LEAVES] = leaves
    count: uint256 = len(leaves)
    nothing: bytes32 = empty(bytes32)
    for height: uint256 in range(MAX_DEPTH):
        if height == depth:
            break
        for k: uint256 in range((count + 1) // 2, bound=MAX_LEAVES // 2):
            right: bytes32 = nothing
            if 2 * k + 1 < count:
                right = level[2 * k + 1]
            level[k] = keccak256(concat(b"\x01", level[2 * k], right))
        count = (count + 1) // 2
        nothing = keccak256(concat(b"\x01", nothing, nothing))
    assert count <= 1, "more leaves than the tree has positions"
    if count == 0:
        return nothing
    return level[0]
