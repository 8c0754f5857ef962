"""Making, sending and following one signed transaction; the outbox says when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledgerfed.errors import ConfigurationError, ConflictError, LedgerFedError
from ledgerfed.ledger.calls import TransactionKind
from ledgerfed.ledger.fees import Fees
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.rpc import JsonRpc, RpcError, data, quantity, reverted
from ledgerfed.protocol.hashing import keccak, to_hex


@dataclass(frozen=True, slots=True)
class MinedTransaction:
    """A transaction that succeeded, in the block that it stands in now.

    `round` is the epoch for propose and open_epoch, 0 for a deployment and what concerns the owner.
    """

    kind: TransactionKind
    round: int
    hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    sender: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the chain says about a mined transaction; `contract` is the address that a deployment made."""

    succeeded: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    contract: bytes | None


def estimate_gas(
    rpc: JsonRpc, what: str, sender: bytes, to: bytes | None, payload: bytes, block: str = "pending"
) -> int:
    """Return the gas limit for a call: the estimate and a quarter.

    Asked for the pending block, because windows are block numbers: a call may be right in the next block and
    wrong in this one. What waits already is asked about in the latest block, for pending includes it.

    Raises:
        TransactionRevertedError: the contract would refuse it, with its reason.
    """
    request = call_request(sender, to, payload)
    try:
        gas = quantity(rpc.call("eth_estimateGas", request, block))
    except RpcError as error:
        raise _refusal(error, what, sender) from error
    return gas + gas // 4


def sign(
    signer: Signer, chain_id: int, nonce: int, gas: int, to: bytes | None, payload: bytes, fees: Fees
) -> bytes:
    """Return the raw bytes of a signed call: EIP-1559 where blocks have a base fee, else EIP-155."""
    fields: dict[str, Any] = {"chainId": chain_id, "nonce": nonce, "gas": gas, "value": 0, "data": payload}
    if to is not None:
        fields["to"] = to
    return signer.sign_transaction(fields | fees.fields())


def transmit(rpc: JsonRpc, what: str, sender: bytes, raw: bytes) -> None:
    """Send raw bytes; sending them again is fine.

    Raises:
        ConfigurationError: the sender cannot pay.
        ConflictError: the chain does not take it; another transaction has the nonce.
    """
    try:
        rpc.call("eth_sendRawTransaction", to_hex(raw))
    except RpcError as error:
        # Some nodes answer a repetition, or a transaction that failed in its block, with an error.
        if "already known" in error.message.lower() or is_known(rpc, keccak(raw)):
            return
        raise _refusal(error, what, sender) from error


def is_known(rpc: JsonRpc, tx_hash: bytes) -> bool:
    """Whether the chain has the transaction, waiting or mined."""
    return rpc.call("eth_getTransactionByHash", to_hex(tx_hash)) is not None


def receipt_of(rpc: JsonRpc, tx_hash: bytes) -> Receipt | None:
    """Return the receipt of a mined transaction, or None."""
    answer = rpc.call("eth_getTransactionReceipt", to_hex(tx_hash))
    if answer is None:
        return None
    created = answer.get("contractAddress")
    return Receipt(
        succeeded=quantity(answer["status"]) == 1,
        block_number=quantity(answer["blockNumber"]),
        block_hash=data(answer["blockHash"]),
        gas_used=quantity(answer["gasUsed"]),
        contract=data(created) if created else None,
    )


def next_nonce(rpc: JsonRpc, sender: bytes, block: str) -> int:
    """Return the next nonce of `sender`: "latest" as mined, "pending" after those that wait."""
    return quantity(rpc.call("eth_getTransactionCount", to_hex(sender), block))


def why_reverted(rpc: JsonRpc, sender: bytes, to: bytes | None, payload: bytes, block_number: int) -> str:
    """Return the contract's reason for refusing a mined call, by asking again at its block."""
    try:
        rpc.call("eth_call", call_request(sender, to, payload), hex(block_number))
    except RpcError as error:
        return str(reverted(error, "the call"))
    return "it would pass now; another transaction of the same block came first, or it ran out of gas"


def call_request(sender: bytes, to: bytes | None, payload: bytes) -> dict[str, str]:
    """Return the call object of eth_call and eth_estimateGas."""
    request = {"from": to_hex(sender), "data": to_hex(payload)}
    return request if to is None else request | {"to": to_hex(to)}


def _refusal(error: RpcError, what: str, sender: bytes) -> LedgerFedError:
    message = error.message.lower()
    if "insufficient funds" in message:
        return ConfigurationError(
            f"0x{sender.hex()} cannot pay for {what}: {error.message}; fund the account"
        )
    if "nonce" in message or "underpriced" in message:
        return ConflictError(
            f"{what} by 0x{sender.hex()}: {error.message}; does another program use the key?"
        )
    return reverted(error, what)
