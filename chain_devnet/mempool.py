"""A chain's pool: what waits, what the newest state says of its senders, and the copy of it on disk."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from chain_devnet.admission import BlockRules, SenderState, admit
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.pool import Pool, PoolContent, PoolDelta, PoolLimits, Waiting
from chain_devnet.state import EMPTY_CODE_HASH, read_account
from chain_devnet.store import ChainStore
from chain_devnet.transaction import Transaction

Taken = tuple[Transaction, Waiting | None]  # what was accepted, and what it replaced

_log = logging.getLogger(__name__)


class Mempool:
    """What waits for a block of the chain in `store`; it is used under the chain's lock."""

    def __init__(self, store: ChainStore, state_root: bytes, limits: PoolLimits | None) -> None:
        """Let that wait which the store holds, as far as it can still run on the state with `state_root`."""
        self._store = store
        self._pool = Pool(limits)
        self._pool.keep(store.waiting())
        self.follow(state_root)

    @property
    def waiting(self) -> tuple[Transaction, ...]:
        """All that waits, in order of arrival."""
        return tuple(self._pool)

    def find(self, tx_hash: bytes) -> Transaction | None:
        """The waiting transaction with `tx_hash`, or None."""
        return self._pool.find(tx_hash)

    def content(self) -> PoolContent:
        """What is pending and what is queued."""
        return self._pool.content(self._nonces())

    def next_nonce(self, address: bytes) -> int:
        """The nonce that the next transaction of `address` must have."""
        return self._pool.next_nonce(address, self._sender(address).nonce)

    def executable(self, base_fee: int) -> list[Transaction]:
        """What a block with `base_fee` may take, in order."""
        return self._pool.executable(self._nonces(), base_fee) if self._pool else []

    # Changing what waits

    def take(self, tx: Transaction, rules: BlockRules, *, may_be_contract: bool) -> Taken:
        """Let `tx` wait; `may_be_contract` lets an impersonated contract send, against EIP-3607.

        Raises:
            TransactionRejectedError: it breaks a rule, is known already, or there is no room.
        """
        if self._store.has_transaction(tx.hash):
            raise TransactionRejectedError(f"already known: 0x{tx.hash.hex()}")
        account = self._sender(tx.sender)
        admit(tx, replace(account, code=b"") if may_be_contract else account, rules)
        return tx, self._pool.add(tx, account)

    def take_back(self, taken: Sequence[Taken]) -> None:
        """Undo what `take` did, as far as it still waits."""
        for tx, replaced in reversed(taken):
            if tx.hash in self._pool:
                self._pool.drop([tx.hash])
                if replaced is not None:
                    self._pool.restore(replaced)

    def drop(self, hashes: Collection[bytes]) -> None:
        """Let the transactions with these `hashes` wait no more."""
        self._pool.drop(hashes)

    def reinstate(self, given_up: Sequence[Transaction]) -> None:
        """Let transactions of abandoned blocks wait again, where no other one has taken their nonce."""
        for tx in given_up:
            self._pool.reinstate(tx)

    def snapshot(self) -> tuple[Waiting, ...]:
        """All that waits, for `keep`."""
        return self._pool.snapshot()

    def keep(self, waiting: Sequence[Waiting]) -> None:
        """Let exactly `waiting` wait, which is what the store holds."""
        self._pool.keep(waiting)

    def follow(self, state_root: bytes) -> None:
        """The chain's newest state has this root now: what can never run on it is dropped."""
        self._root = state_root
        self._senders: dict[bytes, SenderState] = {}
        hopeless = self._pool.hopeless({sender: self._sender(sender) for sender in self._pool.senders})
        for tx in hopeless:
            _log.warning("dropped transaction 0x%s: its nonce or its funds are used up", tx.hash.hex())
        self._pool.drop([tx.hash for tx in hopeless])

    # The copy on disk

    def delta(self, without: Collection[bytes] = ()) -> PoolDelta:
        """What the store lacks of what waits, once the transactions in `without` are dropped."""
        return self._pool.delta(without)

    def mark_saved(self) -> None:
        """Note that the store holds what waits now."""
        self._pool.mark_saved()

    def save(self) -> None:
        """Bring the store up to date.

        Raises:
            StoreError: it cannot be written.
        """
        delta = self._pool.delta()
        if delta.added or delta.removed:
            self._store.write_waiting(delta)
        self._pool.mark_saved()

    def _sender(self, address: bytes) -> SenderState:
        known = self._senders.get(address)
        if known is None:
            account = read_account(self._store, self._root, address)
            code = b"" if account.code_hash == EMPTY_CODE_HASH else self._store.get(account.code_hash) or b""
            known = self._senders[address] = SenderState(account.nonce, account.balance, code)
        return known

    def _nonces(self) -> dict[bytes, int]:
        return {sender: self._sender(sender).nonce for sender in self._pool.senders}
