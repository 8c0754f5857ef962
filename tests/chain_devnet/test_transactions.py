"""Signed transactions: what eth_account signs is decoded as it was meant, and nothing else is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_devnet import dev_accounts
from chain_devnet.transaction import (
    SECP256K1_N,
    Transaction,
    decode_transaction,
    integer_bytes,
    intrinsic_gas,
)
from ledgerfed.errors import InvalidValueError

WHO = dev_accounts()[3]
uint64 = st.integers(0, 2**64 - 1)
uint128 = st.integers(0, 2**128)


def sign(fields: dict[str, Any]) -> Transaction:
    return decode_transaction(bytes(Account.sign_transaction(fields, WHO.key).raw_transaction))


@settings(max_examples=100, deadline=None)
@given(
    nonce=uint64,
    gas=uint64,
    value=uint128,
    fee=uint128,
    data=st.binary(max_size=100),
    to=st.none() | st.binary(min_size=20, max_size=20),
    slots=st.lists(st.binary(min_size=32, max_size=32), max_size=3),
    kind=st.sampled_from([0, 1, 2]),
)
def test_what_was_signed_is_what_is_decoded(
    nonce: int, gas: int, value: int, fee: int, data: bytes, to: bytes | None, slots: list[bytes], kind: int
) -> None:
    fields: dict[str, Any] = {"chainId": 31337, "nonce": nonce, "gas": gas, "value": value, "data": data}
    fields |= {} if to is None else {"to": to}
    fields |= {"maxFeePerGas": fee, "maxPriorityFeePerGas": fee // 2} if kind == 2 else {"gasPrice": fee}
    if kind:
        fields |= {
            "type": kind,
            "accessList": [
                {"address": "0x" + "11" * 20, "storageKeys": [f"0x{slot.hex()}" for slot in slots]}
            ],
        }
    tx = sign(fields)
    assert (tx.kind, tx.chain_id, tx.sender) == (kind, 31337, WHO.address)
    assert (tx.nonce, tx.gas, tx.value, tx.data, tx.to) == (nonce, gas, value, data, to)
    assert (tx.max_fee, tx.max_priority_fee) == (fee, fee // 2 if kind == 2 else fee)
    assert tx.access_list == (((b"\x11" * 20, tuple(slots)),) if kind else ())
    assert decode_transaction(tx.raw, WHO.address) == tx


def test_a_legacy_transaction_may_do_without_a_chain_id() -> None:
    tx = sign({"nonce": 0, "gas": 21_000, "value": 0, "gasPrice": 1, "to": b"\x11" * 20})
    assert tx.chain_id is None
    assert tx.v in (27, 28)
    assert tx.sender == WHO.address


FEES = {"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}
PLAIN = {"chainId": 1, "nonce": 0, "gas": 21_000, "value": 0, "to": b"\x11" * 20, **FEES}


def altered(position: int, value: Any) -> bytes:
    """A type 2 transaction with one field replaced."""
    fields = rlp.decode(sign(PLAIN).raw[1:])
    fields[position] = value
    return b"\x02" + rlp.encode(fields)


def test_the_other_signature_of_the_same_key_is_refused() -> None:
    tx = sign(PLAIN)
    fields = rlp.decode(tx.raw[1:])
    fields[9], fields[11] = integer_bytes(1 - tx.y_parity), integer_bytes(SECP256K1_N - tx.s)
    with pytest.raises(InvalidValueError, match="low s"):
        decode_transaction(b"\x02" + rlp.encode(fields))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "RLP"),
        (b"\x03\xc0", "blob"),
        (b"\x7f\xc0", "unknown transaction type"),
        (b"\x02\xc0", "0 fields"),
        (b"\x80", "byte string"),
        (altered(1, b"\0\x01"), "leading zeros"),
        (altered(1, b"\x01" * 9), "64 bits"),
        (altered(6, b"\x01" * 33), "256 bits"),
        (altered(5, b"\x11" * 19), "expected 20"),
        (altered(7, [b""]), "is a list"),
        (altered(8, b"x"), "access list"),
        (altered(8, [[b"\x11" * 20, [b"\x01"]]]), "expected 32"),
        (altered(9, b"\x02"), "signature"),
        (altered(10, b""), "signature"),
        (sign(PLAIN).raw + b"\0", "RLP"),
    ],
)
def test_anything_not_canonical_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        decode_transaction(raw)


def test_a_changed_byte_changes_the_sender_or_is_refused() -> None:
    raw = sign(PLAIN).raw
    for position in range(1, len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        try:
            assert decode_transaction(changed).sender != WHO.address
        except InvalidValueError:
            continue


@pytest.mark.parametrize(
    ("changes", "gas"),
    [
        ({}, 21_000),
        ({"data": bytes(100)}, 22_000),  # EIP-7623: 10 gas per zero byte
        ({"data": b"\x01" * 100}, 25_000),  # and 40 per other byte
        ({"to": None, "data": b"\x01" * 64}, 21_000 + 32_000 + 64 * 16 + 2 * 2),  # EIP-3860
        ({"access_list": ((bytes(20), (bytes(32),) * 2),)}, 21_000 + 2_400 + 2 * 1_900),
    ],
)
def test_intrinsic_gas_follows_the_eips(changes: dict[str, Any], gas: int) -> None:
    assert intrinsic_gas(replace(sign(PLAIN), **changes)) == gas
