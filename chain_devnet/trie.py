"""Merkle-Patricia tries: lookup, and a change of many keys in one pass.

Source: Ethereum yellow paper appendix B (RLP), C (hex prefix) and D (trie). A node is what RLP decodes to:
b"" for nothing, [path, value] for a leaf, [path, child] for an extension, 16 children and a value for a
branch. A child is the keccak-256 hash of a node, or the node itself when its RLP has fewer than 32 bytes. No
key may be the start of another one, which holds for hashes and for the RLP of numbers; so branches carry no
value.

The trie library walks from the root for each key and writes every node on the way; a block touches the same
upper nodes again and again, so here each node is read and written once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from eth_hash.auto import keccak

from ledgerfed.errors import StoreError

Item = Any  # bytes, or a list of items: what RLP encodes
Change = tuple[bytes, bytes]  # nibbles of the key, value; an empty value removes the key

NOTHING = b""
EMPTY_ROOT = keccak(b"\x80")


class Source(Protocol):
    """Where nodes are read from."""

    def get(self, key: bytes) -> bytes | None:
        """The RLP of the node with hash `key`, or None."""


def rlp_encode(item: Item) -> bytes:
    """RLP of bytes and lists of such."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _header(0x80, len(item)) + item
    payload = b"".join([rlp_encode(part) for part in item])
    return _header(0xC0, len(payload)) + payload


def _header(kind: int, length: int) -> bytes:
    if length < 56:
        return _SHORT[kind + length]
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return _SHORT[kind + 55 + len(size)] + size


_SHORT = [bytes([value]) for value in range(256)]


def rlp_decode(data: bytes) -> Item:
    """The item in `data`, which `rlp_encode` wrote: it is not checked again."""
    return _decode(data, 0)[0]


def _decode(data: bytes, start: int) -> tuple[Item, int]:
    first = data[start]
    if first < 0x80:
        return data[start : start + 1], start + 1
    if first < 0xC0:
        begin, end = _span(data, start, first - 0x80)
        return data[begin:end], end
    begin, end = _span(data, start, first - 0xC0)
    parts: list[Item] = []
    while begin < end:
        # Most parts of a branch are hashes or empty; they are not worth a call.
        first = data[begin]
        if first == 0xA0:
            parts.append(data[begin + 1 : begin + 33])
            begin += 33
        elif first == 0x80:
            parts.append(b"")
            begin += 1
        else:
            part, begin = _decode(data, begin)
            parts.append(part)
    return parts, end


def _span(data: bytes, start: int, length: int) -> tuple[int, int]:
    begin = start + 1
    if length >= 56:
        size = length - 55
        length = int.from_bytes(data[begin : begin + size], "big")
        begin += size
    return begin, begin + length


def nibbles(key: bytes) -> bytes:
    """The half bytes of `key`, high one first."""
    return key.hex().encode().translate(_FROM_HEX)


_FROM_HEX = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_TO_HEX = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")


def _packed(path: bytes, *, leaf: bool) -> bytes:
    """Hex prefix encoding (appendix C)."""
    flag = 2 if leaf else 0
    marked = bytes([flag + 1]) + path if len(path) % 2 else bytes([flag, 0]) + path
    return bytes.fromhex(marked.translate(_TO_HEX).decode())


def _unpacked(encoded: bytes) -> tuple[bytes, bool]:
    path = nibbles(encoded)
    return path[1 if path[0] % 2 else 2 :], path[0] >= 2


def _shared(left: bytes, right: bytes) -> int:
    """How many nibbles two paths have in common from their beginning."""
    length = min(len(left), len(right))
    return next((place for place in range(length) if left[place] != right[place]), length)


def lookup(source: Source, root: bytes, key: bytes) -> bytes:
    """The value under `key` in the trie with hash `root`; empty when there is none.

    Raises:
        StoreError: the source lacks a node.
    """
    node, path = _resolved(source, root), nibbles(key)
    while node:
        if len(node) == 17:
            node, path = _resolved(source, node[path[0]]), path[1:]
            continue
        own, leaf = _unpacked(node[0])
        if leaf:
            value: bytes = node[1] if own == path else b""
            return value
        if not path.startswith(own):
            return b""
        node, path = _resolved(source, node[1]), path[len(own) :]
    return b""


def update(source: Source, root: bytes, changes: Mapping[bytes, bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """The root after `changes` (key to value, empty to remove it) and the new nodes by hash.

    Raises:
        StoreError: the source lacks a node.
    """
    if not changes:
        return root, {}
    ordered = sorted((nibbles(key), value) for key, value in changes.items())
    building = _Building(source)
    node = building.changed(_resolved(source, root), ordered, 0)
    if not node:
        return EMPTY_ROOT, building.written
    encoded = rlp_encode(node)
    new_root = keccak(encoded)
    building.written[new_root] = encoded
    return new_root, building.written


def ordered_root(items: Sequence[bytes]) -> bytes:
    """Root of the trie from RLP(index) to item: transactions and receipts roots."""
    changes = {
        rlp_encode(index.to_bytes((index.bit_length() + 7) // 8, "big")): item
        for index, item in enumerate(items)
    }
    return update({}, EMPTY_ROOT, changes)[0]


def _resolved(source: Source, child: Item) -> Item:
    """The node that a child, or a root hash, stands for."""
    if isinstance(child, list) or not child or child == EMPTY_ROOT:
        return NOTHING if child == EMPTY_ROOT else child
    encoded = source.get(child)
    if encoded is None:
        raise StoreError(f"trie node 0x{child.hex()} is missing; the chain's database is damaged")
    return rlp_decode(encoded)


class _Building:
    """One pass over a trie: `written` collects the RLP of all nodes that it makes, by hash."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.written: dict[bytes, bytes] = {}

    def changed(self, node: Item, changes: Sequence[Change], depth: int) -> Item:
        """`node`, which lies `depth` nibbles below the root, after the ordered `changes` of what is there."""
        if not node:
            return self._built([change for change in changes if change[1]], depth)
        if len(node) == 17:
            return self._changed_branch(node, changes, depth)
        path, leaf = _unpacked(node[0])
        if leaf:
            kept = {changes[0][0][:depth] + path: node[1]} | dict(changes)
            return self._built(sorted((key, value) for key, value in kept.items() if value), depth)
        return self._changed_extension(path, node[1], changes, depth)

    def _built(self, items: Sequence[Change], depth: int) -> Item:
        """A new node that holds just `items`."""
        if not items:
            return NOTHING
        if len(items) == 1:
            return [_packed(items[0][0][depth:], leaf=True), items[0][1]]
        # In order, so that what the first and the last have in common, all have.
        shared = _shared(items[0][0][depth:], items[-1][0][depth:])
        branch: list[Item] = [b""] * 17
        for nibble, group in groupby(items, key=lambda item: item[0][depth + shared]):
            branch[nibble] = self._child(self._built(list(group), depth + shared + 1))
        return self._under(items[0][0][depth : depth + shared], branch)

    def _changed_branch(self, node: list[Item], changes: Sequence[Change], depth: int) -> Item:
        branch = list(node)
        for nibble, group in groupby(changes, key=lambda change: change[0][depth]):
            below = self._resolved(branch[nibble])
            branch[nibble] = self._child(self.changed(below, list(group), depth + 1))
        used = [nibble for nibble in range(16) if branch[nibble]]
        if len(used) > 1:
            return branch
        return self._under(bytes(used), self._resolved(branch[used[0]])) if used else NOTHING

    def _changed_extension(self, path: bytes, child: Item, changes: Sequence[Change], depth: int) -> Item:
        shared = min(_shared(path, changes[0][0][depth:]), _shared(path, changes[-1][0][depth:]))
        if shared == len(path):
            below = self.changed(self._resolved(child), changes, depth + shared)
            return self._under(path, below)
        branch: list[Item] = [b""] * 17
        rest = path[shared + 1 :]
        branch[path[shared]] = self._child([_packed(rest, leaf=False), child]) if rest else child
        return self._under(path[:shared], self._changed_branch(branch, changes, depth + shared))

    def _under(self, path: bytes, node: Item) -> Item:
        """`node` reached by `path`: paths that follow each other become one."""
        if not node or not path:
            return node
        if len(node) == 17:
            return [_packed(path, leaf=False), self._child(node)]
        own, leaf = _unpacked(node[0])
        return [_packed(path + own, leaf=leaf), node[1]]

    def _child(self, node: Item) -> Item:
        if not node:
            return NOTHING
        encoded = rlp_encode(node)
        if len(encoded) < 32:
            return node
        found = keccak(encoded)
        self.written[found] = encoded
        return found

    def _resolved(self, child: Item) -> Item:
        # A child that this pass has just made is not in the source yet.
        made = self.written.get(child) if isinstance(child, bytes) else None
        return _resolved(self._source, child) if made is None else rlp_decode(made)
