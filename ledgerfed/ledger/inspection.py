"""What a mined transaction was and cost: for gas tables and for the signatures that no event repeats."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import NotFoundError
from ledgerfed.ledger.calls import TransactionKind, functions
from ledgerfed.ledger.rpc import JsonRpc, data
from ledgerfed.ledger.transactions import receipt_of
from ledgerfed.protocol.hashing import to_hex


@dataclass(frozen=True, slots=True)
class ObservedTransaction:
    """What a transaction called, the gas it used, who sent it, and the signatures of a certify call."""

    kind: TransactionKind
    gas_used: int
    sender: bytes
    signatures: bytes


def observe_transaction(rpc: JsonRpc, tx_hash: bytes) -> ObservedTransaction:
    """Return what the transaction with this hash did.

    Raises:
        NotFoundError: the chain does not know it, or it calls none of the contract's functions.
    """
    found = rpc.call("eth_getTransactionByHash", to_hex(tx_hash))
    receipt = receipt_of(rpc, tx_hash)
    if found is None or receipt is None:
        raise NotFoundError(f"the chain has no transaction {to_hex(tx_hash)}")
    calldata = data(found["input"])
    kind = _kind(found["to"], calldata)
    return ObservedTransaction(
        kind,
        receipt.gas_used,
        data(found["from"]),
        _signatures(calldata) if kind is TransactionKind.CERTIFY else b"",
    )


def _kind(to: str | None, calldata: bytes) -> TransactionKind:
    if to is None:
        return TransactionKind.DEPLOY
    for kind in TransactionKind:
        if kind is not TransactionKind.DEPLOY and functions()[kind].selector == calldata[:4]:
            return kind
    raise NotFoundError(f"no function of the contract has the selector 0x{calldata[:4].hex()}")


def _signatures(calldata: bytes) -> bytes:
    from eth_abi.abi import decode

    return bytes(decode(functions()[TransactionKind.CERTIFY].inputs, calldata[4:])[-1])
