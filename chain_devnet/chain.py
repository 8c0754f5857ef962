"""One chain: the head, the waiting transactions, and time. All that changes, changes here under one lock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock

from chain_devnet.accounts import FUNDS, DevAccount, dev_accounts
from chain_devnet.admission import BlockRules, SenderState, admit
from chain_devnet.assembly import assemble, genesis_block, next_environment, nothing_on
from chain_devnet.backend import Environment, Execution, ExecutionBackend, environment_of
from chain_devnet.block import Block, Header
from chain_devnet.calls import StateView
from chain_devnet.config import ChainConfig
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.fees import next_base_fee
from chain_devnet.filters import Filters
from chain_devnet.pool import Pool, PoolContent, PoolLimits, Waiting
from chain_devnet.settings import Settings
from chain_devnet.state import EMPTY_CODE_HASH, Layered, StateEdit, edit_state, read_account
from chain_devnet.store import ChainStore
from chain_devnet.timeline import Timeline
from chain_devnet.transaction import Transaction, decode_transaction
from chain_devnet.watches import Watches
from ledgerfed.errors import InvalidValueError, LedgerFedError

Clock = Callable[[], int]
Taken = tuple[Transaction, Waiting | None]  # what was accepted, and what it replaced

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point that `Chain.revert` can go back to; it lives as long as the process."""

    number: int
    timeline: Timeline
    waiting: tuple[Waiting, ...]
    edited_root: bytes | None
    settings: Settings


class Chain:
    """A single-producer Prague chain on a store.

    Every public method takes `lock`; a caller that needs several of them to agree holds it around them.
    Without a clock, time is logical: one second a block, so equal inputs give equal hashes. With one,
    a block's time is the clock's, but never at or before its parent's.
    """

    def __init__(
        self,
        config: ChainConfig,
        store: ChainStore,
        backend: ExecutionBackend,
        clock: Clock | None = None,
        limits: PoolLimits | None = None,
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
        self._pool = Pool(limits)
        self._senders: dict[bytes, SenderState] = {}
        self._senders_root = b""
        self._executed: tuple[object, Execution] | None = None
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_count = 0
        self._head = store.head() or self._create()
        self._timeline = Timeline.from_meta({key: store.meta(key) for key in Timeline().to_meta()})
        self._settings = Settings.from_meta({key: store.meta(key) for key in Settings().to_meta()})
        self._head_root = self.state_root(self._head.header)
        self.watches = Watches(store)
        self.filters = Filters()
        self._pool.keep(store.waiting())
        self._drop_hopeless()

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
        """Accepted transactions that are in no block yet, in order of arrival."""
        with self.lock:
            return tuple(self._pool)

    def waiting_transaction(self, tx_hash: bytes) -> Transaction | None:
        """The accepted transaction with `tx_hash` if it is in no block yet."""
        with self.lock:
            return self._pool.find(tx_hash)

    def pool_content(self) -> PoolContent:
        """What waits, by sender: what can go into blocks, and what is behind a gap of nonces."""
        with self.lock:
            return self._pool.content(self._nonces())

    @property
    def finalized_number(self) -> int:
        """The newest block that cannot be replaced; one producer never does, except by `revert`."""
        return self.head.header.number

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
        """The state after the transactions that the next block would take, seen from inside it."""
        with self.lock:
            environment = self._environment_after(self._head)
            executable = self._executable(environment.base_fee)
            if not executable:
                return StateView(self.store, self._head_root, environment)
            execution = self._execute(environment, executable)
            return StateView(Layered(execution.nodes, self.store), execution.state_root, environment)

    def pending_block(self) -> Block:
        """The block that would be mined now."""
        with self.lock:
            environment = self._environment_after(self._head)
            execution = self._execute(environment, self._executable(environment.base_fee))
            return assemble(self._head, environment, execution)

    def pending_nonce(self, address: bytes) -> int:
        """The nonce that the next transaction of `address` must have."""
        with self.lock:
            return self._pool.next_nonce(address, self._sender(address).nonce)

    # Writing

    def submit(self, raw: bytes) -> bytes:
        """Accept the signed transaction `raw` and return its hash; with automine it is in a block on return.

        Raises:
            InvalidValueError: the bytes are no transaction.
            TransactionRejectedError: the chain will not take it.
        """
        return _accepted(self.submit_each([raw]))

    def submit_each(self, raws: Sequence[bytes]) -> list[bytes | LedgerFedError]:
        """Accept each of several signed transactions that the chain will take; the others get their error.

        With automine they share as few blocks as fit. A transaction whose nonce leaves a gap is accepted and
        waits until the gap is filled. What was accepted survives the end of the process, in a block or not.

        Raises:
            StoreError: nothing can be written; none was accepted but those already in a block.
        """
        return self._accept([_decoded(raw) for raw in raws])

    def submit_as(self, sender: bytes, raw: bytes) -> bytes:
        """Accept `raw` as if the impersonated `sender` had signed it; its signature is not looked at.

        Raises:
            TransactionRejectedError: nobody impersonates `sender`, or the chain will not take it.
        """
        with self.lock:
            if not self._settings.impersonates(sender):
                raise TransactionRejectedError(f"0x{sender.hex()} is not impersonated; do that first")
            return _accepted(self._accept([decode_transaction(raw, sender)]))

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
            self._drop_hopeless()

    def drop(self, tx_hash: bytes) -> bool:
        """Forget a waiting transaction; False if it does not wait."""
        with self.lock:
            found = tx_hash in self._pool
            self._pool.drop({tx_hash})
            self._save_waiting()
            return found

    def mine(self, count: int = 1, interval: int | None = None) -> None:
        """Mine `count` blocks; waiting transactions go into the first ones.

        Args:
            count: number of blocks.
            interval: seconds between them; None lets the clock decide.
        """
        with self.lock:
            while count > 0 and (executable := self._executable(next_base_fee(self._head.header))):
                self._mine_waiting(executable)
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
            here = Snapshot(number, self._timeline, self._pool.snapshot(), edited, self._settings)
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
            self.store.truncate(snapshot.number, meta, snapshot.edited_root, snapshot.waiting)
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

    def _accept(self, decoded: Sequence[Transaction | LedgerFedError]) -> list[bytes | LedgerFedError]:
        with self.lock:
            taken: list[Taken] = []
            outcomes = [self._take(tx, taken) for tx in decoded]
            refused = self._settle(taken)
            return [refused.get(found, found) if isinstance(found, bytes) else found for found in outcomes]

    def _settle(self, taken: Sequence[Taken]) -> dict[bytes, LedgerFedError]:
        """Mine and save what was taken; returns what the machine refused."""
        try:
            refused = self._mine_executable() if self.automine else {}
            self._save_waiting()
        except BaseException:
            # Whatever went wrong was not acknowledged, so it must not be mined later.
            self._take_back(taken)
            raise
        self.watches.accepted([tx.hash for tx, _ in taken if tx.hash not in refused])
        return refused

    def _take(self, tx: Transaction | LedgerFedError, taken: list[Taken]) -> bytes | LedgerFedError:
        if isinstance(tx, LedgerFedError):
            return tx
        try:
            replaced = self._admit(tx)
        except TransactionRejectedError as error:
            return error
        taken.append((tx, replaced))
        return tx.hash

    def _admit(self, tx: Transaction) -> Waiting | None:
        if self.store.has_transaction(tx.hash):
            raise TransactionRejectedError(f"already known: 0x{tx.hash.hex()}")
        account = self._sender(tx.sender)
        if self._settings.impersonates(tx.sender):
            account = replace(account, code=b"")  # a contract may be impersonated, against EIP-3607
        admit(
            tx,
            account,
            BlockRules(self.config.chain_id, self.config.gas_limit, next_base_fee(self._head.header)),
        )
        return self._pool.add(tx, account)

    def _take_back(self, taken: Sequence[Taken]) -> None:
        for tx, replaced in reversed(taken):
            if tx.hash in self._pool:
                self._pool.drop([tx.hash])
                if replaced is not None:
                    self._pool.restore(replaced)

    def _sender(self, address: bytes) -> SenderState:
        if self._senders_root != self._head_root:
            self._senders, self._senders_root = {}, self._head_root
        known = self._senders.get(address)
        if known is None:
            account = read_account(self.store, self._head_root, address)
            code = b"" if account.code_hash == EMPTY_CODE_HASH else self.store.get(account.code_hash) or b""
            known = self._senders[address] = SenderState(account.nonce, account.balance, code)
        return known

    def _nonces(self) -> dict[bytes, int]:
        return {sender: self._sender(sender).nonce for sender in self._pool.senders}

    def _executable(self, base_fee: int) -> list[Transaction]:
        return self._pool.executable(self._nonces(), base_fee) if self._pool else []

    def _drop_hopeless(self) -> None:
        hopeless = self._pool.hopeless({sender: self._sender(sender) for sender in self._pool.senders})
        for tx in hopeless:
            _log.warning(
                "dropped transaction 0x%s: its sender has used its nonce or its funds", tx.hash.hex()
            )
        self._pool.drop([tx.hash for tx in hopeless])

    def _save_waiting(self) -> None:
        delta = self._pool.delta()
        if delta.added or delta.removed:
            self.store.write_waiting(delta)
        self._pool.mark_saved()

    def _mine_executable(self) -> dict[bytes, LedgerFedError]:
        refused: dict[bytes, LedgerFedError] = {}
        while executable := self._executable(next_base_fee(self._head.header)):
            refused |= self._mine_waiting(executable)
        return refused

    def _mine_waiting(self, executable: Sequence[Transaction]) -> dict[bytes, LedgerFedError]:
        """Mine a block of what fits; returns what the machine refused and hence waits no more."""
        environment = self._environment_after(self._head)
        execution = self._execute(environment, executable)
        for tx, reason in execution.rejected:
            _log.warning("dropped transaction 0x%s: %s", tx.hash.hex(), reason)
        if execution.included or not self.automine:
            done = [tx.hash for tx in (*execution.included, *(tx for tx, _ in execution.rejected))]
            block = self._finished(assemble(self._head, environment, execution))
            self._commit([block], execution.nodes, done)
        else:
            self._pool.drop([tx.hash for tx, _ in execution.rejected])
        return {tx.hash: TransactionRejectedError(reason) for tx, reason in execution.rejected}

    def _finished(self, block: Block) -> Block:
        """The block to commit; a chain with signers seals it."""
        return block

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
        self,
        blocks: Sequence[Block],
        nodes: Mapping[bytes, bytes],
        done: Sequence[bytes] = (),
        *,
        anchored: bool = False,
    ) -> None:
        last = blocks[-1].header
        # A logical clock counts blocks, so an interval between them must move it ahead as well.
        anchored = anchored or self._clock is None
        timeline = self._timeline.after(last.timestamp, self._now(last.number), anchored=anchored)
        self.store.append(blocks, nodes, timeline.to_meta(), self._pool.delta(done))
        self._pool.drop(done)
        self._pool.mark_saved()
        self._timeline = timeline
        self._head = Block(last, blocks[-1].hash)
        self._head_root = last.state_root
        self._executed = None
        self._drop_hopeless()
        self.watches.extended()

    def _execute(self, environment: Environment, transactions: Sequence[Transaction]) -> Execution:
        # What waits is asked about over and over, and mined at last: it runs once.
        key = (
            self._head.hash,
            self._head_root,
            replace(environment, ancestors=_no_ancestors),
            tuple(tx.hash for tx in transactions),
        )
        if self._executed is None or self._executed[0] != key:
            execution = self.backend.execute(self.store, self._head_root, environment, transactions)
            self._executed = (key, execution)
        return self._executed[1]

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


def _no_ancestors() -> Iterator[bytes]:
    return iter(())


def _decoded(raw: bytes) -> Transaction | LedgerFedError:
    try:
        return decode_transaction(raw)
    except InvalidValueError as error:
        return error


def _accepted(outcomes: Sequence[bytes | LedgerFedError]) -> bytes:
    (outcome,) = outcomes
    if isinstance(outcome, LedgerFedError):
        raise outcome
    return outcome
