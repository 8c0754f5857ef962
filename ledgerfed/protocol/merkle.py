"""Positional Merkle tree of fixed depth: leaf index = registry index, absence is provable.

After RFC 6962, section 2.1 (domain separation 0x00 / 0x01 against second preimages), with two changes: the
depth is fixed, so an index cannot be aliased, and an absent leaf is EMPTY, so an exclusion proof is an
inclusion proof of EMPTY. A leaf hash carries its own 0x00 prefix where it is made (`leaf`, `reputation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.hashing import EMPTY, keccak, require_hash, require_range

MAX_DEPTH = 20


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return keccak(b"\x01" + left + right)


@dataclass(frozen=True, slots=True)
class PositionalTree:
    """All levels of a tree with 2^depth positions; `levels[0]` are the leaves, `levels[-1]` is the root."""

    levels: tuple[tuple[bytes, ...], ...]

    @property
    def depth(self) -> int:
        """Number of levels between a leaf and the root."""
        return len(self.levels) - 1

    @property
    def root(self) -> bytes:
        """The 32-byte root."""
        return self.levels[-1][0]

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Return the `depth` siblings of position `index`, lowest level first.

        Raises:
            InvalidValueError: the index is outside the tree.
        """
        require_range("the position in the Merkle tree", index, 0, len(self.levels[0]) - 1)
        return tuple(self.levels[k][(index >> k) ^ 1] for k in range(self.depth))


def build_tree(leaves: Mapping[int, bytes], depth: int) -> PositionalTree:
    """Build the tree that holds `leaves` by position and EMPTY elsewhere.

    Raises:
        InvalidValueError: a position is outside the tree, a leaf is not 32 bytes, or a leaf is EMPTY.
    """
    require_range("the depth of a Merkle tree", depth, 0, MAX_DEPTH)
    row = [EMPTY] * (1 << depth)
    for index, leaf in leaves.items():
        require_range("the position in the Merkle tree", index, 0, len(row) - 1)
        if require_hash(f"leaf {index}", leaf) == EMPTY:
            raise InvalidValueError(f"leaf {index} is EMPTY; leave the position out instead")
        row[index] = leaf
    levels = [tuple(row)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append(tuple(inner_hash(below[k], below[k + 1]) for k in range(0, len(below), 2)))
    return PositionalTree(tuple(levels))


def root_from_proof(leaf: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to from `leaf` (or EMPTY) at position `index`.

    Raises:
        InvalidValueError: the index has bits beyond the proof (an alias), or a sibling is not 32 bytes.
    """
    require_range("the position in the Merkle tree", index, 0, (1 << len(proof)) - 1)
    node = require_hash("the leaf", leaf)
    for level, sibling in enumerate(proof):
        require_hash(f"sibling {level}", sibling)
        node = inner_hash(sibling, node) if (index >> level) & 1 else inner_hash(node, sibling)
    return node


def verify_inclusion(root: bytes, leaf: bytes, index: int, proof: Sequence[bytes], depth: int) -> None:
    """Check that `leaf` stands at `index` under `root`; EMPTY as the leaf makes it an exclusion proof.

    Raises:
        VerificationError: the proof has another depth or leads to another root.
    """
    if len(proof) != depth:
        raise VerificationError(f"the proof has {len(proof)} siblings, the tree has depth {depth}")
    found = root_from_proof(leaf, index, proof)
    if found != root:
        raise VerificationError(f"position {index}: the proof leads to {found.hex()}, not to {root.hex()}")
