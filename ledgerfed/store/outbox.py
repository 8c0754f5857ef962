"""Transactions on their way to the chain, durable before they are sent.

Satisfies `OutboxStore` of the ledger adapter, by structure: neither adapter imports the other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import ColumnElement, Row, Select, and_, select, text, update

from ledgerfed.errors import ConflictError
from ledgerfed.store.database import Database, insert_new
from ledgerfed.store.tables import outbox

_KEY = ("chain_id", "contract", "round_number", "kind", "sender", "attempt")
_IN_FLIGHT = ("signed", "sent")


class OutboxRow(Protocol):
    """What a row must show; the ledger's `OutboxRow` says what each field means."""

    @property
    def chain_id(self) -> int: ...
    @property
    def contract(self) -> bytes: ...
    @property
    def round_number(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def sender(self) -> bytes: ...
    @property
    def attempt(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def state(self) -> str: ...
    @property
    def nonce(self) -> int | None: ...
    @property
    def raw(self) -> bytes | None: ...
    @property
    def tx_hash(self) -> bytes | None: ...
    @property
    def block_number(self) -> int | None: ...
    @property
    def block_hash(self) -> bytes | None: ...
    @property
    def gas_used(self) -> int | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def earlier(self) -> bytes | None: ...
    @property
    def transcript(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """A row as it was read."""

    chain_id: int
    contract: bytes
    round_number: int
    kind: str
    sender: bytes
    attempt: int
    data: bytes
    state: str
    nonce: int | None
    raw: bytes | None
    tx_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    reason: str | None
    earlier: bytes | None
    transcript: bytes | None


class Outbox:
    """The outbox table. Every write is on disk, power failure included, before a method returns."""

    def __init__(self, database: Database, lock_directory: Path) -> None:
        self._database = database
        self._locks = lock_directory

    def latest(
        self, chain_id: int, contract: bytes, round_number: int, kind: str, sender: bytes
    ) -> OutboxRecord | None:
        """Return the row of the highest attempt under this business key, or None."""
        key = zip(_KEY, (chain_id, contract, round_number, kind, sender), strict=False)
        query = select(outbox).where(*(outbox.c[name] == value for name, value in key))
        found = self._read(query.order_by(outbox.c.attempt.desc()).limit(1))
        return found[0] if found else None

    def add(self, row: OutboxRow) -> None:
        """Insert a row.

        Raises:
            ConflictError: a row with the same key and attempt exists.
        """
        with self._database.write(durable=True) as connection:
            if not insert_new(connection, outbox, _values(row)):
                raise ConflictError(f"{_named(row)} is in the outbox already")

    def update(self, row: OutboxRow, expected_state: str) -> None:
        """Replace the row of the same key and attempt if its state is `expected_state`.

        Raises:
            ConflictError: there is no such row, or its state is another.
        """
        change = update(outbox).where(_same(row), outbox.c.state == expected_state).values(_values(row))
        with self._database.write(durable=True) as connection:
            if connection.execute(change).rowcount != 1:
                state = connection.execute(select(outbox.c.state).where(_same(row))).scalar()
                raise ConflictError(
                    f"{_named(row)} is {state or 'not in the outbox'}, expected {expected_state}; "
                    "does another process use the same key?"
                )

    def in_flight(self, chain_id: int, sender: bytes) -> Sequence[OutboxRecord]:
        """Return the rows in state signed or sent of one sender, of all federations, by ascending nonce."""
        mine = and_(outbox.c.chain_id == chain_id, outbox.c.sender == sender)
        return self._read(select(outbox).where(mine, outbox.c.state.in_(_IN_FLIGHT)).order_by(outbox.c.nonce))

    def exclusive(self, chain_id: int, sender: bytes) -> AbstractContextManager[None]:
        """Hold off every other writer of this sender, in any thread or process, without a transaction.

        SQLite: a lock file beside the database. PostgreSQL: a session's advisory lock, so that machines that
        share the database share the lock.
        """
        if self._database.is_sqlite:
            return _file_lock(self._locks / f"{chain_id}-{sender.hex()}.lock")
        return _advisory_lock(self._database, chain_id, sender)

    def _read(self, query: Select[tuple[object, ...]]) -> list[OutboxRecord]:
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # per open file, so it holds off threads as well as processes
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _advisory_lock(database: Database, chain_id: int, sender: bytes) -> Iterator[None]:
    digest = hashlib.sha256(b"outbox" + chain_id.to_bytes(8, "big") + sender).digest()
    key = {"key": int.from_bytes(digest[:8], "big", signed=True)}
    with database.session() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _same(row: OutboxRow) -> ColumnElement[bool]:
    return and_(*(outbox.c[name] == getattr(row, name) for name in _KEY))


def _values(row: OutboxRow) -> dict[str, object]:
    values = {name: getattr(row, name) for name in OutboxRecord.__slots__}
    return values | {"state": str(row.state), "kind": str(row.kind)}


def _record(row: Row[tuple[object, ...]]) -> OutboxRecord:
    return OutboxRecord(**row._mapping)


def _named(row: OutboxRow) -> str:
    return f"{row.kind} of round {row.round_number} by 0x{row.sender.hex()}, attempt {row.attempt}"
