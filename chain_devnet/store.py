"""The chain on disk: one SQLite file, one SQL transaction per append.

Everything but `meta` is append-only and carries its block number, so that going back to an earlier block is
a deletion of what came after it: that is the whole undo journal. A trie node belongs to the block that first
wrote it, hence no earlier block refers to it.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain_devnet.block import Block, Header, Log, Receipt
from chain_devnet.pool import PoolDelta, Waiting
from chain_devnet.transaction import Transaction, decode_transaction
from ledgerfed.errors import StoreError

STORE_VERSION = 4
FILE_NAME = "chain.sqlite"
NODES_REMEMBERED = 16_384
NO_CHANGE = PoolDelta((), ())

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE node (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, value BLOB NOT NULL);
CREATE TABLE block (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL,
  last_node INTEGER NOT NULL, timestamp INTEGER NOT NULL);
CREATE TABLE tx (block INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE,
  raw BLOB NOT NULL, sender BLOB NOT NULL, status INTEGER NOT NULL, gas_used INTEGER NOT NULL,
  cumulative_gas INTEGER NOT NULL, gas_price TEXT NOT NULL, created BLOB,
  first_log INTEGER NOT NULL, log_count INTEGER NOT NULL,
  PRIMARY KEY (block, position)) WITHOUT ROWID;
CREATE TABLE log (block INTEGER NOT NULL, position INTEGER NOT NULL, tx_position INTEGER NOT NULL,
  address BLOB NOT NULL, topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
  PRIMARY KEY (block, position)) WITHOUT ROWID;
CREATE TABLE edit (block INTEGER PRIMARY KEY, state_root BLOB NOT NULL);
CREATE TABLE waiting (hash BLOB PRIMARY KEY, arrival INTEGER NOT NULL, sender BLOB NOT NULL,
  raw BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX log_by_address ON log (address, block);
CREATE INDEX log_by_topic ON log (topic0, block);
"""


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A mined transaction with its place, its receipt and the log index at which its logs begin."""

    transaction: Transaction
    receipt: Receipt
    block_number: int
    block_hash: bytes
    position: int
    timestamp: int
    first_log: int


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log with its place in the chain."""

    log: Log
    block_number: int
    block_hash: bytes
    timestamp: int
    tx_hash: bytes
    tx_position: int
    position: int


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs are asked for: blocks from `first` to `last`, and alternatives per field (empty: any)."""

    first: int
    last: int
    addresses: tuple[bytes, ...] = ()
    topics: tuple[tuple[bytes, ...], ...] = ()


class ChainStore:
    """An open chain database; `directory` None keeps it in memory. It is used by one thread at a time."""

    def __init__(self, directory: Path | None) -> None:
        """Open or create the database.

        Raises:
            StoreError: in use by another process, of another version, or not a chain database.
        """
        self._where = "memory" if directory is None else str(directory)
        # The upper nodes of the state trie are read for every block.
        self._nodes: OrderedDict[bytes, bytes] = OrderedDict()
        try:
            if directory is not None:
                directory.mkdir(parents=True, exist_ok=True)
            self._sql = sqlite3.connect(
                ":memory:" if directory is None else directory / FILE_NAME,
                isolation_level=None,
                check_same_thread=False,
                timeout=0.2,
                cached_statements=256,
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open {self._where}: {error}; choose another directory") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._sql.close()
            raise StoreError(self._explain(error)) from error
        except StoreError:
            self._sql.close()
            raise

    def _prepare(self) -> None:
        # Exclusive: a second process on the same directory must fail at once, not interleave blocks.
        self._sql.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._sql.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL keeps every acknowledged transaction when the process is killed.
        self._sql.execute("PRAGMA synchronous = NORMAL")
        self._sql.execute("BEGIN IMMEDIATE")
        version = self._sql.execute("PRAGMA user_version").fetchone()[0]
        tables = self._sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables == 0:
            for statement in _SCHEMA.split(";"):
                self._sql.execute(statement)
            self._sql.execute(f"PRAGMA user_version = {STORE_VERSION}")
        elif version != STORE_VERSION:
            raise StoreError(
                f"the chain in {self._where} has store version {version}, not {STORE_VERSION}; "
                "choose another directory"
            )
        self._sql.execute("COMMIT")

    def _explain(self, error: sqlite3.Error) -> str:
        if "locked" in str(error):
            return f"the chain in {self._where} is in use by another process; stop it or use another"
        return f"the chain in {self._where} cannot be read: {error}; choose another directory"

    def close(self) -> None:
        """Release the file. Nothing is lost: every append was already committed."""
        self._sql.close()

    # Meta

    def meta(self, key: str) -> str | None:
        """A value kept beside the chain."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Keep `values` beside the chain, all or none."""
        with self._transaction():
            self._write_meta(values)

    # Nodes

    def get(self, key: bytes) -> bytes | None:
        """The trie node or code with hash `key` (`NodeSource`)."""
        value = self._nodes.get(key)
        if value is not None:
            self._nodes.move_to_end(key)
            return value
        row = self._sql.execute("SELECT value FROM node WHERE hash = ?", (key,)).fetchone()
        if row is None:
            return None
        self._remember(((key, row[0]),))
        found: bytes = row[0]
        return found

    def _remember(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        self._nodes.update(nodes)
        while len(self._nodes) > NODES_REMEMBERED:
            self._nodes.popitem(last=False)

    # Blocks

    def append(
        self,
        blocks: Sequence[Block],
        nodes: Mapping[bytes, bytes],
        meta: Mapping[str, str],
        waiting: PoolDelta = NO_CHANGE,
    ) -> None:
        """Add `blocks` to the head, the trie nodes of the first one, `meta` and what waits, all or none."""
        with self._transaction():
            self._insert_blocks(blocks, nodes)
            self._write_meta(meta)
            self._write_waiting(waiting)
        self._remember(nodes.items())

    def replace_after(
        self,
        number: int,
        branch: Sequence[tuple[Block, Mapping[bytes, bytes]]],
        meta: Mapping[str, str],
        waiting: PoolDelta,
    ) -> None:
        """Forget every block after `number`; add `branch`, each block with its trie nodes; all or none."""
        extends = number == self.newest_number()
        with self._transaction():
            self._delete_after(number)
            for block, nodes in branch:
                self._insert_blocks([block], nodes)
            self._write_meta(meta)
            self._write_waiting(waiting)
        if not extends:
            self._nodes.clear()
        for _, nodes in branch:
            self._remember(nodes.items())

    def truncate(
        self,
        number: int,
        meta: Mapping[str, str],
        edited_root: bytes | None = None,
        waiting: Sequence[Waiting] = (),
    ) -> None:
        """Forget every block after `number` and all that they wrote; set `meta`; let just `waiting` wait.

        `edited_root` is the state after block `number` if it differs from what the header says.
        """
        with self._transaction():
            self._delete_after(number)
            if edited_root is None:
                self._sql.execute("DELETE FROM edit WHERE block = ?", (number,))
            else:
                self._sql.execute("INSERT OR REPLACE INTO edit VALUES (?, ?)", (number, edited_root))
            self._write_meta(meta)
            self._sql.execute("DELETE FROM waiting")
            self._write_waiting(PoolDelta(tuple(waiting), ()))
        self._nodes.clear()

    def _insert_blocks(self, blocks: Sequence[Block], nodes: Mapping[bytes, bytes]) -> None:
        self._sql.executemany("INSERT OR IGNORE INTO node (hash, value) VALUES (?, ?)", nodes.items())
        last_node = self._sql.execute("SELECT coalesce(max(id), 0) FROM node").fetchone()[0]
        headers = ((block.header, block.hash) for block in blocks)
        self._sql.executemany(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?)",
            (
                (header.number, block_hash, header.encode(), last_node, header.timestamp)
                for header, block_hash in headers
            ),
        )
        for block in blocks:
            self._sql.executemany(
                "INSERT INTO tx VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _tx_rows(block)
            )
            self._sql.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _log_rows(block))

    def _delete_after(self, number: int) -> None:
        self._sql.execute(
            "DELETE FROM node WHERE id > (SELECT last_node FROM block WHERE number = ?)", (number,)
        )
        for table, column in (("block", "number"), ("tx", "block"), ("log", "block"), ("edit", "block")):
            self._sql.execute(f"DELETE FROM {table} WHERE {column} > ?", (number,))

    def write_waiting(self, delta: PoolDelta) -> None:
        """Keep what waits for a block, all or none."""
        with self._transaction():
            self._write_waiting(delta)

    def waiting(self) -> tuple[Waiting, ...]:
        """What waits for a block, in order of arrival."""
        rows = self._sql.execute("SELECT raw, sender, arrival FROM waiting ORDER BY arrival").fetchall()
        return tuple(Waiting(decode_transaction(raw, sender), arrival) for raw, sender, arrival in rows)

    def write_state(
        self, number: int, state_root: bytes, nodes: Mapping[bytes, bytes], meta: Mapping[str, str]
    ) -> None:
        """Put another state behind block `number`, the head, with its trie nodes and `meta`, all or none."""
        with self._transaction():
            self._sql.executemany("INSERT OR IGNORE INTO node (hash, value) VALUES (?, ?)", nodes.items())
            # The nodes belong to the head now, so that going back to it keeps them.
            self._sql.execute(
                "UPDATE block SET last_node = (SELECT coalesce(max(id), 0) FROM node) WHERE number = ?",
                (number,),
            )
            self._sql.execute("INSERT OR REPLACE INTO edit VALUES (?, ?)", (number, state_root))
            self._write_meta(meta)

    def edited_root(self, number: int) -> bytes | None:
        """The state root after block `number` if it was edited, else None: the header's holds."""
        row = self._sql.execute("SELECT state_root FROM edit WHERE block = ?", (number,)).fetchone()
        return None if row is None else row[0]

    def newest_number(self) -> int:
        """Number of the newest block; -1 before genesis."""
        row = self._sql.execute("SELECT coalesce(max(number), -1) FROM block").fetchone()
        return int(row[0])

    def head(self) -> Block | None:
        """The newest block, without its transactions; None before genesis."""
        row = self._sql.execute("SELECT header, hash FROM block ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else Block(Header.decode(row[0]), row[1])

    def block(self, number: int) -> Block | None:
        """The block `number` without its transactions, or None."""
        row = self._sql.execute("SELECT header, hash FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else Block(Header.decode(row[0]), row[1])

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """The block with `block_hash` without its transactions, or None."""
        row = self._sql.execute("SELECT header, hash FROM block WHERE hash = ?", (block_hash,)).fetchone()
        return None if row is None else Block(Header.decode(row[0]), row[1])

    def ancestors(self, number: int) -> Iterator[bytes]:
        """Hashes of the 256 blocks from `number` downwards, newest first."""
        for row in self._sql.execute(
            "SELECT hash FROM block WHERE number <= ? ORDER BY number DESC LIMIT 256", (number,)
        ).fetchall():
            yield row[0]

    # Transactions and logs

    def transactions(self, number: int) -> tuple[StoredTransaction, ...]:
        """The transactions of block `number` in order."""
        rows = self._sql.execute(f"{_SELECT_TX} WHERE tx.block = ? ORDER BY tx.position", (number,))
        return tuple(self._stored(row) for row in rows.fetchall())

    def transaction(self, tx_hash: bytes) -> StoredTransaction | None:
        """The mined transaction with `tx_hash`, or None."""
        row = self._sql.execute(f"{_SELECT_TX} WHERE tx.hash = ?", (tx_hash,)).fetchone()
        return None if row is None else self._stored(row)

    def has_transaction(self, tx_hash: bytes) -> bool:
        """Whether the transaction with `tx_hash` was mined."""
        return self._sql.execute("SELECT 1 FROM tx WHERE hash = ?", (tx_hash,)).fetchone() is not None

    def transaction_at(self, number: int, position: int) -> StoredTransaction | None:
        """The transaction at `position` in block `number`, or None."""
        row = self._sql.execute(f"{_SELECT_TX} WHERE tx.block = ? AND tx.position = ?", (number, position))
        found = row.fetchone()
        return None if found is None else self._stored(found)

    def transaction_hashes(self, number: int) -> tuple[bytes, ...]:
        """Hashes of the transactions of block `number` in order."""
        rows = self._sql.execute("SELECT hash FROM tx WHERE block = ? ORDER BY position", (number,))
        return tuple(row[0] for row in rows.fetchall())

    def logs(self, wanted: LogFilter, limit: int | None = None) -> tuple[StoredLog, ...]:
        """The logs that `wanted` describes, in chain order, answered from the indexes; at most `limit`."""
        clauses = ["log.block BETWEEN ? AND ?"]
        values: list[object] = [wanted.first, wanted.last]
        columns = [("log.address", wanted.addresses)]
        columns += [(f"log.topic{index}", options) for index, options in enumerate(wanted.topics[:4])]
        for column, options in columns:
            if options:
                clauses.append(f"{column} IN ({', '.join('?' * len(options))})")
                values += options
        # A filter with n topics only matches logs that have at least n of them.
        if wanted.topics:
            clauses.append(f"log.topic{min(len(wanted.topics), 4) - 1} IS NOT NULL")
        rows = self._sql.execute(
            "SELECT log.address, topic0, topic1, topic2, topic3, data, log.block, block.hash,"
            " block.timestamp, tx.hash, tx_position, log.position"
            " FROM log JOIN block ON block.number = log.block"
            " JOIN tx ON tx.block = log.block AND tx.position = log.tx_position"
            f" WHERE {' AND '.join(clauses)} ORDER BY log.block, log.position LIMIT ?",
            [*values, -1 if limit is None else limit],
        )
        return tuple(StoredLog(_log(row[:6]), *row[6:]) for row in rows.fetchall())

    def _stored(self, row: Sequence[Any]) -> StoredTransaction:
        number, position, raw, sender, status, gas_used, cumulative, price, created, *rest = row
        first_log, log_count, block_hash, time = rest
        # By their places in the block: a search for the transaction's logs would read all of the block's.
        logs = self._sql.execute(
            "SELECT address, topic0, topic1, topic2, topic3, data FROM log"
            " WHERE block = ? AND position >= ? AND position < ? ORDER BY position",
            (number, first_log, first_log + log_count),
        ).fetchall()
        transaction = decode_transaction(raw, sender)
        receipt = Receipt(
            kind=transaction.kind,
            status=status,
            gas_used=gas_used,
            cumulative_gas=cumulative,
            effective_gas_price=int(price),
            created=created,
            logs=tuple(_log(log) for log in logs),
        )
        return StoredTransaction(transaction, receipt, number, block_hash, position, time, first_log)

    def _write_meta(self, values: Mapping[str, str]) -> None:
        self._sql.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def _write_waiting(self, delta: PoolDelta) -> None:
        if delta.removed:
            self._sql.executemany("DELETE FROM waiting WHERE hash = ?", ((found,) for found in delta.removed))
        self._sql.executemany(
            "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?)",
            (
                (entry.transaction.hash, entry.arrival, entry.transaction.sender, entry.transaction.raw)
                for entry in delta.added
            ),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            except BaseException:
                # A commit that failed may have left the transaction open, or have ended it.
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"the chain in {self._where} could not be written: {error}") from error


_SELECT_TX = (
    "SELECT tx.block, tx.position, tx.raw, tx.sender, tx.status, tx.gas_used, tx.cumulative_gas,"
    " tx.gas_price, tx.created, tx.first_log, tx.log_count, block.hash, block.timestamp"
    " FROM tx JOIN block ON block.number = tx.block"
)


def _log(row: Sequence[Any]) -> Log:
    address, *topics, data = row
    return Log(address, tuple(topic for topic in topics if topic is not None), data)


def _tx_rows(block: Block) -> Iterator[tuple[object, ...]]:
    first_log = 0
    for position, (tx, receipt) in enumerate(zip(block.transactions, block.receipts, strict=True)):
        yield (
            block.header.number,
            position,
            tx.hash,
            tx.raw,
            tx.sender,
            receipt.status,
            receipt.gas_used,
            receipt.cumulative_gas,
            str(receipt.effective_gas_price),
            receipt.created,
            first_log,
            len(receipt.logs),
        )
        first_log += len(receipt.logs)


def _log_rows(block: Block) -> Iterator[tuple[object, ...]]:
    logs = ((index, log) for index, receipt in enumerate(block.receipts) for log in receipt.logs)
    for position, (tx_position, log) in enumerate(logs):
        topics = (*log.topics, None, None, None, None)[:4]
        yield (block.header.number, position, tx_position, log.address, *topics, log.data)
