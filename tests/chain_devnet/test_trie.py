"""Tries against the trie library: the same roots, the same values, and every node that the root needs."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from chain_devnet.trie import EMPTY_ROOT, lookup, rlp_decode, rlp_encode, update
from ledgerfed.errors import StoreError

# Few different bytes, so that keys share long prefixes and branches collapse again.
keys = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11]), min_size=3, max_size=3).map(bytes)
values = st.sampled_from([b"", b"", b"v", b"\x80", b"w" * 30, b"x" * 32, b"y" * 60])
batches = st.lists(st.dictionaries(keys, values, max_size=6), max_size=8)


@settings(max_examples=400, deadline=None)
@given(batches)
def test_roots_and_values_are_those_of_the_trie_library(changes: list[dict[bytes, bytes]]) -> None:
    nodes: dict[bytes, bytes] = {}
    root, reference, model = EMPTY_ROOT, HexaryTrie({}), dict[bytes, bytes]()
    for batch in changes:
        root, written = update(nodes, root, batch)
        nodes |= written
        model |= batch
        for key, value in batch.items():
            if value:
                reference[key] = value
            else:
                reference.delete(key)
        assert root == reference.root_hash
    for key, value in model.items():
        assert lookup(nodes, root, key) == value
    assert lookup(nodes, root, b"\x99\x99\x99") == b""
    stored = HexaryTrie(nodes, root_hash=root)
    assert {key: stored[key] for key in model} == model


@given(st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=20), max_leaves=40))
def test_rlp_is_that_of_the_rlp_library(item: object) -> None:
    encoded = rlp.encode(item)
    assert rlp_encode(item) == encoded
    assert rlp_decode(encoded) == item


def test_a_missing_node_is_an_error_and_no_empty_value() -> None:
    root, nodes = update({}, EMPTY_ROOT, {bytes([index]) * 3: b"z" * 40 for index in range(40)})
    del nodes[root]
    with pytest.raises(StoreError, match="is missing"):
        lookup(nodes, root, bytes(3))
