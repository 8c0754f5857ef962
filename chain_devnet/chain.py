"""One chain: the head, the waiting transactions, and time. All that changes, changes here under one lock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from threading import RLock

from eth_hash.auto import keccak

from chain_devnet.accounts import FUNDS, DevAccount, dev_accounts
from chain_devnet.admission import BlockRules, SenderState, admit, maximum_cost
from chain_devnet.backend import Environment, Execution, ExecutionBackend, NodeSource, environment_of
from chain_devnet.block import EMPTY_TRIE_ROOT, ZERO_HASH, Block, Header, ordered_root, seal
from chain_devnet.calls import StateView
from chain_devnet.config import MAX_UINT64, ChainConfig
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.fees import INITIAL_BASE_FEE, next_base_fee
from chain_devnet.state import read_account, read_code
from chain_devnet.store import ChainStore
from chain_devnet.transaction import Transaction, decode_transaction
from ledgerfed.errors import ConfigurationError, InvalidValueError

COINBASE = bytes(20)
Clock = Callable[[], int]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point that `Chain.revert` can go back to; it lives as long as the process."""

    number: int
    time_offset: int
    next_time: int | None
    waiting: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Layered:
    """Nodes that are not stored yet, above those that are."""

    upper: Mapping[bytes, bytes]
    lower: NodeSource

    def get(self, key: bytes) -> bytes | None:
        """The node with hash `key` (`NodeSource`)."""
        return self.upper.get(key) or self.lower.get(key)


class Chain:
    """A single-producer Prague chain on a store.

    Every public method takes `lock`; a caller that needs several of them to agree holds it around them.
    Without a clock, time is logical: one second a block, so equal inputs give equal hashes. With one,
    a block's time is the clock's, but never at or before its parent's.
    """

    def __init__(
        self, config: ChainConfig, store: ChainStore, backend: ExecutionBackend, clock: Clock | None = None
    ) -> None:
        """Continue the chain in `store`, or create it.

        Raises:
            ConfigurationError: the store holds a chain with other parameters.
        """
        self.lock = RLock()
        stored_config = store.meta("config")
        self.config = (
            config if stored_config is None else config.continued(ChainConfig.from_json(stored_config))
        )
        self.store = store
        self.backend = backend
        self.accounts: Mapping[bytes, DevAccount] = {account.address: account for account in dev_accounts()}
        self.automine = True
        self._clock = clock
        self._waiting: list[Transaction] = []
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_count = 0
        self._head = store.head() or self._create()
        self._time_offset = int(store.meta("time_offset") or 0)
        next_time = store.meta("next_time")
        self._next_time = int(next_time) if next_time else None

    def _create(self) -> Block:
        balances = {account.address: FUNDS for account in dev_accounts()} | dict(self.config.fund)
        state = self.backend.genesis(balances)
        header = Header(
            parent_hash=ZERO_HASH,
            coinbase=COINBASE,
            state_root=state.state_root,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            bloom=0,
            number=0,
            gas_limit=self.config.gas_limit,
            gas_used=0,
            timestamp=self.config.genesis_time,
            extra_data=b"",
            mix_hash=ZERO_HASH,
            base_fee=INITIAL_BASE_FEE,
        )
        genesis = seal(header)
        self.store.append([genesis], state.nodes, {"config": self.config.to_json()})
        return genesis

    # Reading

    @property
    def head(self) -> Block:
        """The newest block, without its transactions."""
        with self.lock:
            return self._head

    @property
    def waiting(self) -> tuple[Transaction, ...]:
        """Accepted transactions that are in no block yet, in order."""
        with self.lock:
            return tuple(self._waiting)

    def view(self, header: Header) -> StateView:
        """The state after the block under `header`, seen from inside that block."""
        return StateView(
            self.store,
            header.state_root,
            environment_of(header, self.config.chain_id, self._ancestors(header.number)),
        )

    def pending_view(self) -> StateView:
        """The state after all waiting transactions, seen from inside the next block."""
        with self.lock:
            environment = self._next_environment(self._head.header)
            if not self._waiting:
                return StateView(self.store, self._head.header.state_root, environment)
            execution = self._execute(self._head.header, environment)
            return StateView(Layered(execution.nodes, self.store), execution.state_root, environment)

    def pending_block(self) -> Block:
        """The block that would be mined now."""
        with self.lock:
            environment = self._next_environment(self._head.header)
            return self._assemble(environment, self._execute(self._head.header, environment))

    def pending_nonce(self, address: bytes) -> int:
        """The nonce that the next transaction of `address` must have."""
        with self.lock:
            account = read_account(self.store, self._head.header.state_root, address)
            return account.nonce + sum(tx.sender == address for tx in self._waiting)

    # Writing

    def submit(self, raw: bytes) -> bytes:
        """Accept the signed transaction `raw` and return its hash; with automine it is in a block on return.

        Raises:
            InvalidValueError: the bytes are no transaction.
            TransactionRejectedError: the chain will not take it.
        """
        return self.submit_all([raw])[0]

    def submit_all(self, raws: Sequence[bytes]) -> list[bytes]:
        """Accept several signed transactions, all or none; with automine they share as few blocks as fit.

        All or none holds for acceptance; should the machine fail later, blocks already mined stay.

        Raises:
            InvalidValueError: one of them is no transaction.
            TransactionRejectedError: the chain will not take one of them.
        """
        decoded = [decode_transaction(raw) for raw in raws]
        with self.lock:
            before = list(self._waiting)
            try:
                for tx in decoded:
                    self._admit(tx)
                    self._waiting.append(tx)
                while self.automine and self._waiting:
                    self._mine_waiting()
            except BaseException:
                # Whatever went wrong was not acknowledged, so it must not be mined later.
                self._waiting = [tx for tx in before if tx in self._waiting]
                raise
            return [tx.hash for tx in decoded]

    def mine(self, count: int = 1, interval: int | None = None) -> None:
        """Mine `count` blocks; waiting transactions go into the first ones.

        Args:
            count: number of blocks.
            interval: seconds between them; None lets the clock decide.
        """
        with self.lock:
            while count > 0 and self._waiting:
                self._mine_waiting()
                count -= 1
            if count > 0:
                self._mine_empty(count, interval)

    def increase_time(self, seconds: int) -> int:
        """Let the chain's time run `seconds` ahead of where it is; returns the whole lead over the clock."""
        with self.lock:
            if not 0 <= self._time_offset + seconds < MAX_UINT64 // 4:
                raise InvalidValueError(f"cannot move time by {seconds} s; the lead would be out of range")
            self._set_time(self._time_offset + seconds, self._next_time)
            return self._time_offset

    def set_next_timestamp(self, timestamp: int) -> None:
        """Give the next block exactly `timestamp`; later blocks go on from there.

        Raises:
            InvalidValueError: not after the newest block.
        """
        with self.lock:
            newest = self._head.header.timestamp
            if not newest < timestamp < MAX_UINT64 // 4:
                raise InvalidValueError(f"timestamp {timestamp} is not after the newest block's {newest}")
            self._set_time(self._time_offset, timestamp)

    def snapshot(self) -> int:
        """Remember the present state; returns the number under which `revert` finds it."""
        with self.lock:
            self._snapshot_count += 1
            self._snapshots[self._snapshot_count] = Snapshot(
                self._head.header.number, self._time_offset, self._next_time, tuple(self._waiting)
            )
            return self._snapshot_count

    def revert(self, snapshot_id: int) -> bool:
        """Go back to a snapshot, which is used up with all later ones; False if it is not known."""
        with self.lock:
            snapshot = self._snapshots.get(snapshot_id)
            if snapshot is None:
                return False
            self.store.truncate(snapshot.number, _time_meta(snapshot.time_offset, snapshot.next_time))
            self._head = self._stored_block(snapshot.number)
            self._time_offset, self._next_time = snapshot.time_offset, snapshot.next_time
            self._waiting = list(snapshot.waiting)
            self._snapshots = {key: value for key, value in self._snapshots.items() if key < snapshot_id}
            return True

    def close(self) -> None:
        """Release the store."""
        with self.lock:
            self.store.close()

    # Inside

    def _admit(self, tx: Transaction) -> None:
        if any(tx.hash == other.hash for other in self._waiting) or self.store.transaction(tx.hash):
            raise TransactionRejectedError(f"already known: 0x{tx.hash.hex()}")
        header = self._head.header
        account = read_account(self.store, header.state_root, tx.sender)
        ahead = [other for other in self._waiting if other.sender == tx.sender]
        sender = SenderState(
            nonce=account.nonce + len(ahead),
            balance=account.balance - sum(maximum_cost(other) for other in ahead),
            code=read_code(self.store, header.state_root, tx.sender),
        )
        admit(tx, sender, BlockRules(self.config.chain_id, self.config.gas_limit, next_base_fee(header)))

    def _mine_waiting(self) -> None:
        environment = self._next_environment(self._head.header)
        execution = self._execute(self._head.header, environment)
        refused = {tx.hash for tx, _ in execution.rejected}
        self._waiting = [tx for tx in self._waiting if tx.hash not in refused]
        for tx, reason in execution.rejected:
            _log.warning("dropped transaction 0x%s: %s", tx.hash.hex(), reason)
        if refused and self.automine:
            raise TransactionRejectedError(execution.rejected[0][1])
        self._commit([self._assemble(environment, execution)], execution.nodes)
        done = {tx.hash for tx in execution.included}
        self._waiting = [tx for tx in self._waiting if tx.hash not in done]

    def _mine_empty(self, count: int, interval: int | None) -> None:
        blocks: list[Block] = []
        parent = self._head
        for _ in range(count):
            header = parent.header
            spaced = interval is not None and blocks
            timestamp = header.timestamp + (interval or 0) if spaced else self._next_timestamp(header)
            nothing = Execution(header.state_root, {}, (), (), (), ())
            parent = self._assemble(self._environment_after(parent, timestamp), nothing, parent)
            blocks.append(parent)
        self._commit(blocks, {}, anchored=interval is not None)

    def _commit(
        self, blocks: Sequence[Block], nodes: Mapping[bytes, bytes], *, anchored: bool = False
    ) -> None:
        last = blocks[-1].header
        offset = self._time_offset
        # Time goes on from what was asked for: an explicit timestamp, an interval, or the logical second.
        if anchored or self._next_time is not None or self._clock is None:
            offset = last.timestamp - self._now(last.number)
        self.store.append(blocks, nodes, _time_meta(offset, None))
        self._time_offset, self._next_time = offset, None
        self._head = Block(last, blocks[-1].hash)

    def _execute(self, parent: Header, environment: Environment) -> Execution:
        return self.backend.execute(self.store, parent.state_root, environment, self._waiting)

    def _assemble(self, environment: Environment, execution: Execution, parent: Block | None = None) -> Block:
        header = Header(
            parent_hash=(parent or self._head).hash,
            coinbase=environment.coinbase,
            state_root=execution.state_root,
            transactions_root=ordered_root([tx.raw for tx in execution.included]),
            receipts_root=ordered_root([receipt.encode() for receipt in execution.receipts]),
            bloom=reduce(or_, (receipt.bloom for receipt in execution.receipts), 0),
            number=environment.number,
            gas_limit=environment.gas_limit,
            gas_used=execution.gas_used,
            timestamp=environment.timestamp,
            extra_data=b"",
            mix_hash=environment.mix_hash,
            base_fee=environment.base_fee,
        )
        return seal(header, execution.included, execution.receipts)

    def _next_environment(self, parent: Header) -> Environment:
        return self._environment_after(self._head, self._next_timestamp(parent))

    def _environment_after(self, parent: Block, timestamp: int) -> Environment:
        return Environment(
            chain_id=self.config.chain_id,
            number=parent.header.number + 1,
            timestamp=timestamp,
            coinbase=COINBASE,
            mix_hash=keccak(parent.hash),
            gas_limit=self.config.gas_limit,
            base_fee=next_base_fee(parent.header),
            ancestors=self._ancestors(parent.header.number + 1),
        )

    def _ancestors(self, number: int) -> Callable[[], Iterator[bytes]]:
        return lambda: self.store.ancestors(number - 1)

    def _now(self, number: int) -> int:
        return self._clock() if self._clock is not None else self.config.genesis_time + number

    def _next_timestamp(self, parent: Header) -> int:
        if self._next_time is not None and self._next_time > parent.timestamp:
            return self._next_time
        return max(parent.timestamp + 1, self._now(parent.number + 1) + self._time_offset)

    def _set_time(self, offset: int, next_time: int | None) -> None:
        self.store.set_meta(_time_meta(offset, next_time))
        self._time_offset, self._next_time = offset, next_time

    def _stored_block(self, number: int) -> Block:
        block = self.store.block(number)
        if block is None:
            raise InvalidValueError(f"the store has no block {number}")
        return block


def open_chain(
    directory: Path | None, config: ChainConfig, backend: ExecutionBackend, clock: Clock | None = None
) -> Chain:
    """The chain in `directory` (None: in memory), created with `config` when there is none.

    Raises:
        StoreError: the directory is in use, unreadable or of another version.
        ConfigurationError: the directory holds a chain with other parameters.
    """
    store = ChainStore(directory)
    try:
        return Chain(config, store, backend, clock)
    except ConfigurationError:
        store.close()
        raise


def _time_meta(offset: int, next_time: int | None) -> dict[str, str]:
    return {"time_offset": str(offset), "next_time": "" if next_time is None else str(next_time)}
