"""What a mined transaction was and cost: for gas tables and for the signatures that no event repeats."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import NotFoundError
from ledgerfed.ledger.calls import TransactionKind, functions
from ledgerfed.ledger.rpc import JsonRpc, data
from ledgerfed.ledger.transactions import receipt_of
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, to_hex
from ledgerfed.protocol.signature import SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class ObservedTransaction:
    """What a transaction called, the gas it used, who sent it, and the signatures of a certify call.

    `kind` is None when another contract stood between; then the signatures are empty, as for other kinds.
    """

    kind: TransactionKind | None
    gas_used: int
    sender: bytes
    signatures: tuple[bytes, ...]


def observe_transaction(rpc: JsonRpc, tx_hash: bytes) -> ObservedTransaction:
    """Return what the transaction with this hash did.

    Raises:
        NotFoundError: the chain does not know it (any more).
    """
    found = rpc.call("eth_getTransactionByHash", to_hex(tx_hash))
    receipt = receipt_of(rpc, tx_hash)
    if found is None or receipt is None:
        raise NotFoundError(f"the chain has no transaction {to_hex(tx_hash)}")
    calldata = data(found["input"])
    kind = _kind(found["to"], calldata)
    signatures = _signatures(calldata) if kind is TransactionKind.CERTIFY else ()
    return ObservedTransaction(kind, receipt.gas_used, data(found["from"]), signatures)


def sealed_leaves(rpc: JsonRpc, federation: Federation, tx_hash: bytes) -> dict[int, bytes]:
    """Return the leaves by registry index that a transaction seals with seal_leaves.

    Raises:
        NotFoundError: the chain does not know the transaction, or it does not call seal_leaves of this
            contract itself, so that its calldata is another contract's.
    """
    from eth_abi.abi import decode

    found = rpc.call("eth_getTransactionByHash", to_hex(tx_hash))
    if found is None:
        raise NotFoundError(f"the chain has no transaction {to_hex(tx_hash)}")
    call, calldata = functions()[TransactionKind.SEAL_LEAVES], data(found["input"])
    direct = found["to"] is not None and data(found["to"]) == federation.contract
    if not direct or calldata[:4] != call.selector:
        raise NotFoundError(
            f"transaction {to_hex(tx_hash)} is no call of seal_leaves to {to_hex(federation.contract)}; "
            "trace it, or ask a node for the leaves"
        )
    _, leaves = decode(call.inputs, calldata[4:])
    return {index: leaf for index, leaf in enumerate(leaves) if leaf != EMPTY}


def _kind(to: str | None, calldata: bytes) -> TransactionKind | None:
    if to is None:
        return TransactionKind.DEPLOY
    calls = (kind for kind in TransactionKind if kind is not TransactionKind.DEPLOY)
    return next((kind for kind in calls if functions()[kind].selector == calldata[:4]), None)


def _signatures(calldata: bytes) -> tuple[bytes, ...]:
    from eth_abi.abi import decode

    joined = decode(functions()[TransactionKind.CERTIFY].inputs, calldata[4:])[-1]
    return tuple(joined[k : k + SIGNATURE_BYTES] for k in range(0, len(joined), SIGNATURE_BYTES))
