"""One chain: the head, the waiting transactions, and time. All that changes, changes here under one lock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock

from chain_devnet.accounts import FUNDS, DevAccount, dev_accounts
from chain_devnet.admission import BlockRules, admit
from chain_devnet.assembly import assemble, genesis_block, next_environment, nothing_on
from chain_devnet.backend import Environment, Execution, ExecutionBackend, NodeSource, environment_of
from chain_devnet.block import Block, Header
from chain_devnet.calls import StateView
from chain_devnet.config import ChainConfig
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.fees import next_base_fee
from chain_devnet.pool import Pool
from chain_devnet.settings import Settings
from chain_devnet.state import StateEdit, edit_state, read_account, read_code
from chain_devnet.store import ChainStore
from chain_devnet.timeline import Timeline
from chain_devnet.transaction import Transaction, decode_transaction
from chain_devnet.watches import Watches
from ledgerfed.errors import ConfigurationError, InvalidValueError

Clock = Callable[[], int]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point that `Chain.revert` can go back to; it lives as long as the process."""

    number: int
    timeline: Timeline
    waiting: tuple[Transaction, ...]
    edited_root: bytes | None
    settings: Settings


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
        self._pool = Pool()
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_count = 0
        self._head = store.head() or self._create()
        self._timeline = Timeline.from_meta({key: store.meta(key) for key in Timeline().to_meta()})
        self._settings = Settings.from_meta({key: store.meta(key) for key in Settings().to_meta()})
        self._head_root = self.state_root(self._head.header)
        self.watches = Watches(store)

    def _create(self) -> Block:
        balances = {account.address: FUNDS for account in dev_accounts()} | dict(self.config.fund)
        state = self.backend.genesis(balances)
        genesis = genesis_block(self.config, state.state_root)
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
            return tuple(self._pool)

    @property
    def settings(self) -> Settings:
        """What devnet verbs have set."""
        with self.lock:
            return self._settings

    def state_root(self, header: Header) -> bytes:
        """Root of the state after the block under `header`; it differs from the header's once edited."""
        return self.store.edited_root(header.number) or header.state_root

    def view(self, header: Header) -> StateView:
        """The state after the block under `header`, seen from inside that block."""
        return StateView(
            self.store,
            self.state_root(header),
            environment_of(header, self.config.chain_id, self._ancestors(header.number)),
        )

    def pending_view(self) -> StateView:
        """The state after all waiting transactions, seen from inside the next block."""
        with self.lock:
            environment = self._environment_after(self._head)
            if not self._pool:
                return StateView(self.store, self._head_root, environment)
            execution = self._execute(environment)
            return StateView(Layered(execution.nodes, self.store), execution.state_root, environment)

    def pending_block(self) -> Block:
        """The block that would be mined now."""
        with self.lock:
            environment = self._environment_after(self._head)
            return assemble(self._head, environment, self._execute(environment))

    def pending_nonce(self, address: bytes) -> int:
        """The nonce that the next transaction of `address` must have."""
        with self.lock:
            account = read_account(self.store, self._head_root, address)
            return self._pool.sender_state(address, account, b"").nonce

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
        return self._accept([decode_transaction(raw) for raw in raws])

    def submit_as(self, sender: bytes, raw: bytes) -> bytes:
        """Accept `raw` as if the impersonated `sender` had signed it; its signature is not looked at.

        Raises:
            TransactionRejectedError: nobody impersonates `sender`, or the chain will not take it.
        """
        with self.lock:
            if not self._settings.impersonates(sender):
                raise TransactionRejectedError(f"0x{sender.hex()} is not impersonated; do that first")
            return self._accept([decode_transaction(raw, sender)])[0]

    def change_settings(self, settings: Settings) -> None:
        """Set what devnet verbs may set; it outlives a restart and is undone by `revert`."""
        with self.lock:
            self.store.set_meta(settings.to_meta())
            self._settings = settings

    def edit(self, address: bytes, edit: StateEdit) -> None:
        """Change an account behind the newest block, without a transaction; `revert` undoes it."""
        with self.lock:
            nodes, root = edit_state(self.store, self._head_root, {address: edit})
            self.store.write_state(self._head.header.number, root, nodes, {})
            self._head_root = root

    def drop(self, tx_hash: bytes) -> bool:
        """Forget a waiting transaction; False if it does not wait."""
        with self.lock:
            found = tx_hash in self._pool
            self._pool.drop({tx_hash})
            return found

    def _accept(self, decoded: Sequence[Transaction]) -> list[bytes]:
        with self.lock:
            added: set[bytes] = set()
            try:
                for tx in decoded:
                    self._admit(tx)
                    self._pool.add(tx)
                    added.add(tx.hash)
                while self.automine and self._pool:
                    self._mine_waiting()
            except BaseException:
                # Whatever went wrong was not acknowledged, so it must not be mined later.
                self._pool.drop(added)
                raise
            hashes = [tx.hash for tx in decoded]
            self.watches.accepted(hashes)
            return hashes

    def mine(self, count: int = 1, interval: int | None = None) -> None:
        """Mine `count` blocks; waiting transactions go into the first ones.

        Args:
            count: number of blocks.
            interval: seconds between them; None lets the clock decide.
        """
        with self.lock:
            while count > 0 and self._pool:
                self._mine_waiting()
                count -= 1
            if count > 0:
                self._mine_empty(count, interval)

    def increase_time(self, seconds: int) -> int:
        """Let the chain's time run `seconds` ahead of where it is; returns the whole lead over the clock."""
        with self.lock:
            self._set_timeline(self._timeline.moved(seconds))
            return self._timeline.lead

    def set_next_timestamp(self, timestamp: int) -> None:
        """Give the next block exactly `timestamp`; later blocks go on from there.

        Raises:
            InvalidValueError: not after the newest block.
        """
        with self.lock:
            self._set_timeline(self._timeline.set_to(timestamp, self._head.header.timestamp))

    def snapshot(self) -> int:
        """Remember the present state; returns the number under which `revert` finds it."""
        with self.lock:
            self._snapshot_count += 1
            number = self._head.header.number
            edited = self.store.edited_root(number)
            here = Snapshot(number, self._timeline, tuple(self._pool), edited, self._settings)
            self._snapshots[self._snapshot_count] = here
            return self._snapshot_count

    def revert(self, snapshot_id: int) -> bool:
        """Go back to a snapshot, which is used up with all later ones; False if it is not known."""
        with self.lock:
            snapshot = self._snapshots.get(snapshot_id)
            if snapshot is None:
                return False
            self.watches.reverting(snapshot.number)
            meta = snapshot.timeline.to_meta() | snapshot.settings.to_meta()
            self.store.truncate(snapshot.number, meta, snapshot.edited_root)
            self._head = self._stored_block(snapshot.number)
            self._head_root = self.state_root(self._head.header)
            self._settings = snapshot.settings
            self._timeline = snapshot.timeline
            self._pool.keep(snapshot.waiting)
            self._snapshots = {key: value for key, value in self._snapshots.items() if key < snapshot_id}
            return True

    def close(self) -> None:
        """Release the store."""
        with self.lock:
            self.store.close()

    # Inside

    def _admit(self, tx: Transaction) -> None:
        if tx.hash in self._pool or self.store.transaction(tx.hash) is not None:
            raise TransactionRejectedError(f"already known: 0x{tx.hash.hex()}")
        header = self._head.header
        account = read_account(self.store, self._head_root, tx.sender)
        code = read_code(self.store, self._head_root, tx.sender)
        if self._settings.impersonates(tx.sender):
            code = b""  # a contract may be impersonated, against EIP-3607
        rules = BlockRules(self.config.chain_id, self.config.gas_limit, next_base_fee(header))
        admit(tx, self._pool.sender_state(tx.sender, account, code), rules)

    def _mine_waiting(self) -> None:
        environment = self._environment_after(self._head)
        execution = self._execute(environment)
        for tx, reason in execution.rejected:
            _log.warning("dropped transaction 0x%s: %s", tx.hash.hex(), reason)
        self._pool.drop({tx.hash for tx, _ in execution.rejected})
        if execution.rejected and self.automine:
            raise TransactionRejectedError(execution.rejected[0][1])
        self._commit([assemble(self._head, environment, execution)], execution.nodes)
        self._pool.drop({tx.hash for tx in execution.included})

    def _mine_empty(self, count: int, interval: int | None) -> None:
        blocks: list[Block] = []
        parent = self._head
        for _ in range(count):
            spaced = interval is not None and blocks
            timestamp = parent.header.timestamp + (interval or 0) if spaced else None
            environment = self._environment_after(parent, timestamp)
            parent = assemble(parent, environment, nothing_on(self._head_root))
            blocks.append(parent)
        self._commit(blocks, {}, anchored=interval is not None)

    def _commit(
        self, blocks: Sequence[Block], nodes: Mapping[bytes, bytes], *, anchored: bool = False
    ) -> None:
        last = blocks[-1].header
        # A logical clock counts blocks, so an interval between them must move it ahead as well.
        anchored = anchored or self._clock is None
        timeline = self._timeline.after(last.timestamp, self._now(last.number), anchored=anchored)
        self.store.append(blocks, nodes, timeline.to_meta())
        self._timeline = timeline
        self._head = Block(last, blocks[-1].hash)
        self._head_root = last.state_root
        self.watches.extended()

    def _execute(self, environment: Environment) -> Execution:
        return self.backend.execute(self.store, self._head_root, environment, tuple(self._pool))

    def _environment_after(self, parent: Block, timestamp: int | None = None) -> Environment:
        chosen = self._next_timestamp(parent.header) if timestamp is None else timestamp
        environment = next_environment(parent, self.config, chosen, self._ancestors(parent.header.number + 1))
        coinbase = self._settings.coinbase
        return environment if coinbase is None else replace(environment, coinbase=coinbase)

    def _ancestors(self, number: int) -> Callable[[], Iterator[bytes]]:
        return lambda: self.store.ancestors(number - 1)

    def _now(self, number: int) -> int:
        return self._clock() if self._clock is not None else self.config.genesis_time + number

    def _next_timestamp(self, parent: Header) -> int:
        return self._timeline.timestamp(parent.timestamp, self._now(parent.number + 1))

    def _set_timeline(self, timeline: Timeline) -> None:
        self.store.set_meta(timeline.to_meta())
        self._timeline = timeline

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
