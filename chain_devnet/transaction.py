"""Signed transactions: from raw bytes to a checked value with its sender.

Source: EIP-155 (legacy, replay protection), EIP-2718 (envelope), EIP-2930 (access lists), EIP-1559
(dynamic fee), EIP-7702 (set code), EIP-2 (low s). Blob transactions (EIP-4844) are refused: there is no
blob pool here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rlp
from eth_hash.auto import keccak
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledgerfed.errors import InvalidValueError

LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE = range(5)
FIELD_COUNTS = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12, SET_CODE: 13}
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

AccessList = tuple[tuple[bytes, tuple[bytes, ...]], ...]


@dataclass(frozen=True, slots=True)
class Authorization:
    """One EIP-7702 authorization as signed; its validity is judged by the EVM."""

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int
    r: int
    s: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A signed transaction. `to` is None for a deployment; types 0 and 1 set both fees to their price."""

    raw: bytes
    hash: bytes
    kind: int
    chain_id: int | None
    nonce: int
    max_priority_fee: int
    max_fee: int
    gas: int
    to: bytes | None
    value: int
    data: bytes
    access_list: AccessList
    authorizations: tuple[Authorization, ...]
    v: int
    y_parity: int
    r: int
    s: int
    sender: bytes

    def effective_gas_price(self, base_fee: int) -> int:
        """Wei per gas that the sender pays in a block with `base_fee` (EIP-1559)."""
        return min(self.max_fee, base_fee + self.max_priority_fee)


def integer_bytes(value: int) -> bytes:
    """Big-endian bytes without leading zeros; empty for zero (the RLP integer)."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_transaction(raw: bytes, sender: bytes | None = None) -> Transaction:
    """The transaction in `raw`. A known `sender` spares the signature recovery.

    Raises:
        InvalidValueError: not a canonical transaction of type 0, 1, 2 or 4, or a bad signature.
    """
    kind = raw[0] if raw and raw[0] < 0x80 else LEGACY
    if kind == BLOB:
        raise InvalidValueError("blob transactions (type 3) are not supported; send type 0, 1, 2 or 4")
    if kind not in FIELD_COUNTS:
        raise InvalidValueError(f"unknown transaction type {kind}; send type 0, 1, 2 or 4")
    fields = _rlp_list(raw[1:] if kind else raw, FIELD_COUNTS[kind])
    try:
        return _legacy(raw, fields, sender) if kind == LEGACY else _typed(raw, kind, fields, sender)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"transaction of type {kind} is malformed: {error}") from error


def _rlp_list(payload: bytes, count: int) -> list[object]:
    try:
        fields = rlp.decode(payload)
    except (rlp.exceptions.RLPException, RecursionError) as error:
        raise InvalidValueError(f"transaction is no valid RLP: {type(error).__name__}") from error
    if not isinstance(fields, list) or len(fields) != count:
        found = f"{len(fields)} fields" if isinstance(fields, list) else "a byte string"
        raise InvalidValueError(f"transaction has {found}; its type needs {count} fields")
    return fields


def _legacy(raw: bytes, fields: list[object], sender: bytes | None) -> Transaction:
    v = _integer(fields[6], "v")
    if v in (27, 28):
        chain_id, y_parity, signed = None, v - 27, fields[:6]
    elif v >= 35:
        chain_id, y_parity = (v - 35) // 2, (v - 35) % 2
        signed = [*fields[:6], integer_bytes(chain_id), b"", b""]
    else:
        raise InvalidValueError(f"legacy transaction has v = {v}; expected 27, 28 or at least 35")
    price = _integer(fields[1], "gasPrice")
    return _assemble(
        raw, LEGACY, chain_id, fields[0], price, price, fields[2:6], (), (), v, y_parity, fields[7:9],
        lambda: rlp.encode(signed), sender,
    )  # fmt: skip


def _typed(raw: bytes, kind: int, fields: list[object], sender: bytes | None) -> Transaction:
    chain_id = _integer(fields[0], "chainId")
    fees = 1 if kind == ACCESS_LIST else 2
    tip, cap = _integer(fields[2], "fee"), _integer(fields[1 + fees], "fee")
    body = fields[2 + fees : 6 + fees]
    access_list = _access_list(fields[6 + fees])
    authorizations = _authorizations(fields[9]) if kind == SET_CODE else ()
    if kind == SET_CODE and (body[1] == b"" or not authorizations):
        raise InvalidValueError("a type 4 transaction needs a recipient and at least one authorization")
    y_parity = _integer(fields[-3], "yParity")
    return _assemble(
        raw, kind, chain_id, fields[1], tip, cap, body, access_list, authorizations, y_parity, y_parity,
        fields[-2:], lambda: raw[:1] + rlp.encode(fields[:-3]), sender,
    )  # fmt: skip


def _assemble(
    raw: bytes,
    kind: int,
    chain_id: int | None,
    nonce: object,
    tip: int,
    cap: int,
    body: Sequence[object],
    access_list: AccessList,
    authorizations: tuple[Authorization, ...],
    v: int,
    y_parity: int,
    signature: Sequence[object],
    signed: Callable[[], bytes],
    sender: bytes | None,
) -> Transaction:
    gas, to, value, data = body
    r, s = _integer(signature[0], "r"), _integer(signature[1], "s")
    return Transaction(
        raw=raw,
        hash=keccak(raw),
        kind=kind,
        chain_id=chain_id,
        nonce=_integer(nonce, "nonce", bits=64),
        max_priority_fee=tip,
        max_fee=cap,
        gas=_integer(gas, "gas", bits=64),
        to=_bytes(to, "to", 20) if to != b"" else None,
        value=_integer(value, "value"),
        data=_bytes(data, "data"),
        access_list=access_list,
        authorizations=authorizations,
        v=v,
        y_parity=y_parity,
        r=r,
        s=s,
        sender=sender if sender is not None else recover_sender(keccak(signed()), y_parity, r, s),
    )


def recover_sender(digest: bytes, y_parity: int, r: int, s: int) -> bytes:
    """20-byte address whose key signed `digest` (EIP-2: s in the lower half).

    Raises:
        InvalidValueError: no key can have made this signature.
    """
    if y_parity not in (0, 1) or not 0 < r < SECP256K1_N or not 0 < s <= SECP256K1_N // 2:
        raise InvalidValueError("invalid signature values; sign again with a low s (EIP-2)")
    try:
        signature = Signature(vrs=(y_parity, r, s))
        return signature.recover_public_key_from_msg_hash(digest).to_canonical_address()
    except (BadSignature, ValidationError) as error:
        raise InvalidValueError("no public key matches the signature; sign again") from error


def intrinsic_gas(tx: Transaction) -> int:
    """Gas that a transaction needs before any code runs.

    Source: EIP-2028 and EIP-7623 (calldata and its floor), EIP-2930 (access list), EIP-3860 (init code),
    EIP-7702 (authorizations).
    """
    zeros = tx.data.count(0)
    tokens = zeros + 4 * (len(tx.data) - zeros)
    floor = 21_000 + 10 * tokens
    creation = 32_000 + 2 * ((len(tx.data) + 31) // 32) if tx.to is None else 0
    listed = 2_400 * len(tx.access_list) + 1_900 * sum(len(slots) for _, slots in tx.access_list)
    return max(floor, 21_000 + 4 * tokens + creation + listed + 25_000 * len(tx.authorizations))


def _integer(field: object, name: str, bits: int = 256) -> int:
    data = _bytes(field, name)
    if data[:1] == b"\0":
        raise InvalidValueError(f"{name} has leading zeros; integers are canonical in RLP")
    if len(data) * 8 > bits:
        raise InvalidValueError(f"{name} does not fit {bits} bits")
    return int.from_bytes(data, "big")


def _bytes(field: object, name: str, length: int | None = None) -> bytes:
    if not isinstance(field, bytes):
        raise InvalidValueError(f"{name} is a list; expected bytes")
    if length is not None and len(field) != length:
        raise InvalidValueError(f"{name} has {len(field)} bytes; expected {length}")
    return field


def _list(field: object, name: str, length: int | None = None) -> list[object]:
    if not isinstance(field, list) or (length is not None and len(field) != length):
        raise InvalidValueError(f"{name} is not the list that the transaction type asks for")
    return field


def _access_list(field: object) -> AccessList:
    entries = [_list(entry, "access list entry", 2) for entry in _list(field, "access list")]
    return tuple(
        (_bytes(address, "address", 20), tuple(_bytes(slot, "slot", 32) for slot in _list(slots, "slots")))
        for address, slots in entries
    )


def _authorizations(field: object) -> tuple[Authorization, ...]:
    entries = [_list(entry, "authorization", 6) for entry in _list(field, "authorization list")]
    return tuple(
        Authorization(
            _integer(chain_id, "chainId"),
            _bytes(address, "address", 20),
            _integer(nonce, "nonce", bits=64),
            _integer(y_parity, "yParity", bits=8),
            _integer(r, "r"),
            _integer(s, "s"),
        )
        for chain_id, address, nonce, y_parity, r, s in entries
    )
