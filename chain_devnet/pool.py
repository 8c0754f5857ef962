"""The transactions that were accepted and wait for a block, in the order in which they came."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from chain_devnet.admission import SenderState, maximum_cost
from chain_devnet.state import AccountState
from chain_devnet.transaction import Transaction


class Pool:
    """Waiting transactions. Those of one sender always have consecutive nonces, because `admit` saw to it."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Transaction] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._waiting.values())

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._waiting

    def add(self, tx: Transaction) -> None:
        """Let `tx` wait behind all others."""
        self._waiting[tx.hash] = tx

    def keep(self, transactions: Iterable[Transaction]) -> None:
        """Let exactly `transactions` wait."""
        self._waiting = {tx.hash: tx for tx in transactions}

    def drop(self, hashes: Collection[bytes]) -> None:
        """Let the transactions with these `hashes` wait no more."""
        for tx_hash in hashes:
            self._waiting.pop(tx_hash, None)

    def sender_state(self, sender: bytes, account: AccountState, code: bytes) -> SenderState:
        """What `account` and `code` leave `sender` once its waiting transactions are in a block."""
        own = [tx for tx in self if tx.sender == sender]
        spent = sum(maximum_cost(tx) for tx in own)
        return SenderState(account.nonce + len(own), account.balance - spent, code)
