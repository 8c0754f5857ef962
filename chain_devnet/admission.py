"""Whether a transaction may wait for the next block: the checks of a node's transaction pool.

Source: yellow paper section 6.2, EIP-155 (chain id), EIP-1559 (fees), EIP-2681 (nonces), EIP-3607
(senders without code), EIP-3860 (init code), EIP-7702 (delegated senders are allowed).
"""

from __future__ import annotations

from dataclasses import dataclass

from chain_devnet.errors import TransactionRejectedError
from chain_devnet.transaction import Transaction, intrinsic_gas

MAX_INIT_CODE = 49_152
MAX_NONCE = 2**64 - 1
DELEGATION_PREFIX = b"\xef\x01\x00"


@dataclass(frozen=True, slots=True)
class SenderState:
    """What the chain says of a sender: its account's nonce, its wei, its code."""

    nonce: int
    balance: int
    code: bytes


@dataclass(frozen=True, slots=True)
class BlockRules:
    """What the next block asks of a transaction; amounts in gas and wei per gas."""

    chain_id: int
    gas_limit: int
    base_fee: int


def admit(tx: Transaction, sender: SenderState, rules: BlockRules) -> None:
    """Return if `tx` can be executed some day; what else waits is the pool's to judge.

    Raises:
        TransactionRejectedError: with the first rule that it breaks, the value, and what would pass.
    """
    _check_form(tx, rules)
    if tx.nonce < sender.nonce:
        raise TransactionRejectedError(f"nonce too low: next nonce is {sender.nonce}, got {tx.nonce}")
    if sender.code and not sender.code.startswith(DELEGATION_PREFIX):
        raise TransactionRejectedError(f"sender 0x{tx.sender.hex()} is a contract and cannot send")


def maximum_cost(tx: Transaction) -> int:
    """Wei that the sender may lose: value and all gas at the highest price."""
    return tx.value + tx.gas * tx.max_fee


def _check_form(tx: Transaction, rules: BlockRules) -> None:
    if tx.nonce >= MAX_NONCE:
        raise TransactionRejectedError(f"nonce has max value: {tx.nonce} (EIP-2681)")
    if tx.chain_id is not None and tx.chain_id != rules.chain_id:
        raise TransactionRejectedError(f"invalid chain id: got {tx.chain_id}, this is {rules.chain_id}")
    if tx.gas > rules.gas_limit:
        raise TransactionRejectedError(f"exceeds block gas limit: {tx.gas} > {rules.gas_limit}")
    if tx.to is None and len(tx.data) > MAX_INIT_CODE:
        raise TransactionRejectedError(
            f"init code too long: {len(tx.data)} > {MAX_INIT_CODE} bytes (EIP-3860)"
        )
    needed = intrinsic_gas(tx)
    if tx.gas < needed:
        raise TransactionRejectedError(f"intrinsic gas too low: transaction has {tx.gas}, needs {needed}")
    if tx.max_priority_fee > tx.max_fee:
        raise TransactionRejectedError(
            f"max priority fee per gas higher than max fee per gas: {tx.max_priority_fee} > {tx.max_fee}"
        )
    if tx.max_fee < rules.base_fee:
        raise TransactionRejectedError(
            "transaction underpriced: max fee per gas less than block base fee: "
            f"{tx.max_fee} < {rules.base_fee}"
        )
