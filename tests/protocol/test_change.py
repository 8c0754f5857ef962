"""What an epoch changes: the bytes of the contract, nothing else, and who is a member after it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.change import MAX_ENTRIES, VACANT, Change
from ledgerfed.protocol.hashing import keccak, word

ABI = ["(bytes32,uint256,uint256[],uint256[],address[])"]
CONFIG = keccak(b"configuration")
ADA, BOB, CY, DEE = (keccak(name)[-20:] for name in (b"ada", b"bob", b"cy", b"dee"))


@st.composite
def changes(draw):
    ascending = st.lists(st.integers(0, (1 << 20) - 1), max_size=MAX_ENTRIES, unique=True).map(sorted)
    indices = draw(ascending)
    address = st.binary(min_size=20, max_size=20) | st.just(VACANT)
    addresses = draw(st.lists(address, min_size=len(indices), max_size=len(indices)))
    return Change(
        draw(st.binary(min_size=32, max_size=32)),
        draw(st.integers(1, 65535)),
        tuple(draw(ascending)),
        tuple(indices),
        tuple(addresses),
    )


def as_abi(change):
    addresses = ["0x" + address.hex() for address in change.addresses]
    return change.config_hash, change.min_updates, change.committee, change.indices, addresses


@given(changes())
def test_a_change_is_what_eth_abi_encodes_and_comes_back(change):
    data = change.to_bytes()
    assert data == encode(ABI, [as_abi(change)])
    assert Change.from_bytes(data) == change
    assert change.hash() == keccak(data)


@given(changes(), st.data())
def test_a_change_with_any_word_changed_is_another_change_or_none(change, data):
    encoded = change.to_bytes()
    position = data.draw(st.integers(0, len(encoded) // 32 - 1))
    values = st.integers(0, 12).map(word) | st.integers(0, len(encoded)).map(word)
    other = data.draw(values | st.binary(min_size=32, max_size=32))
    bent = encoded[: 32 * position] + other + encoded[32 * position + 32 :]
    try:
        found = Change.from_bytes(bent)
    except InvalidValueError:
        return
    assert found.to_bytes() == bent
    assert (found == change) == (bent == encoded)


@given(st.binary(max_size=400) | st.lists(st.integers(0, 400).map(word), max_size=14).map(b"".join))
def test_no_bytes_but_an_encoded_change_pass_for_one(data):
    try:
        found = Change.from_bytes(data)
    except InvalidValueError:
        return
    assert found.to_bytes() == data
    assert decode(ABI, data)[0][1] == found.min_updates


@given(changes(), st.integers(1, 64))
def test_a_change_that_is_cut_or_grows_is_refused(change, count):
    data = change.to_bytes()
    for bent in (data[:-count], data + bytes(count)):
        with pytest.raises(InvalidValueError):
            Change.from_bytes(bent)


def test_two_arrays_that_share_their_words_are_no_change():
    """eth_abi reads it; the contract hashes what it encoded itself, so only one spelling may count."""
    data = Change(CONFIG, 1, (0, 1), (0, 1), (ADA, BOB)).to_bytes()
    words = [data[k : k + 32] for k in range(0, len(data), 32)]
    words[4] = words[3]
    shared = b"".join(words)
    assert decode(ABI, shared)
    with pytest.raises(InvalidValueError, match="canonical"):
        Change.from_bytes(shared)


@pytest.mark.parametrize(
    "change",
    [
        {"config_hash": CONFIG[:31]},
        {"min_updates": 0},
        {"min_updates": 65536},
        {"min_updates": True},
        {"committee": (1, 1)},
        {"committee": (2, 1)},
        {"committee": (-1,)},
        {"committee": (1 << 20,)},
        {"indices": (1, 0)},
        {"indices": (0,)},
        {"addresses": (ADA, BOB, CY)},
        {"addresses": (ADA, BOB[:19])},
        {"addresses": (ADA, "0x" + BOB.hex())},
        {"indices": tuple(range(65)), "addresses": (ADA,) * 65},
    ],
)
def test_a_change_out_of_range_cannot_be_made(change):
    with pytest.raises(InvalidValueError):
        replace(Change(CONFIG, 1, (0, 1), (0, 1), (ADA, BOB)), **change)


def test_nodes_join_leave_and_get_new_keys_in_one_change():
    change = Change(CONFIG, 1, (0,), (0, 1, 3), (DEE, VACANT, BOB))
    assert change.apply((ADA, BOB, CY)) == (DEE, VACANT, CY, BOB)
    assert Change(CONFIG, 1, (0,)).apply((ADA, VACANT)) == (ADA, VACANT)


def test_an_index_beyond_the_first_free_one_is_not_given_out():
    change = Change(CONFIG, 1, (0,), (2, 4), (ADA, BOB))
    with pytest.raises(InvalidValueError, match="gives out index 4, the next free one is 3"):
        change.apply((CY, DEE))
