"""What the outbox keeps and asks of whoever keeps it.

The store is another adapter (`ledgerfed.store`), which must not import this package; so the contract between
the two is structural: a row is any object with these attributes, all of them plain numbers, bytes and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Protocol


class OutboxState(StrEnum):
    """Where a transaction stands on its way to the chain.

    QUEUED -> SIGNED -> SENT -> MINED | REVERTED | SUPERSEDED. The raw bytes are stored with SIGNED, before
    anything is sent. SUPERSEDED: never signed and replaced by another call, or another transaction took the
    nonce. MINED -> SENT when a reorganisation dropped the block.
    """

    QUEUED = "queued"
    SIGNED = "signed"
    SENT = "sent"
    MINED = "mined"
    REVERTED = "reverted"
    SUPERSEDED = "superseded"


class OutboxRow(Protocol):
    """One transaction of the outbox. (chain_id, contract, round_number, kind, sender, attempt) is unique."""

    @property
    def chain_id(self) -> int: ...
    @property
    def contract(self) -> bytes:
        """20-byte address of the federation."""

    @property
    def round_number(self) -> int:
        """The round; the epoch for propose and open_epoch, 0 for what concerns the owner."""

    @property
    def kind(self) -> str:
        """A `TransactionKind`; what a challenge is about follows behind a colon."""

    @property
    def sender(self) -> bytes:
        """20-byte address."""

    @property
    def attempt(self) -> int:
        """0, then one more after each REVERTED or SUPERSEDED."""

    @property
    def data(self) -> bytes:
        """Calldata: a few kB, or 32 kB of leaves."""

    @property
    def state(self) -> str:
        """A value of OutboxState."""

    @property
    def nonce(self) -> int | None:
        """Set from SIGNED on, as are raw and tx_hash."""

    @property
    def raw(self) -> bytes | None:
        """The signed transaction, exactly as sent."""

    @property
    def tx_hash(self) -> bytes | None: ...
    @property
    def block_number(self) -> int | None:
        """Set when MINED or REVERTED on chain, as are block_hash and gas_used."""

    @property
    def block_hash(self) -> bytes | None: ...
    @property
    def gas_used(self) -> int | None: ...
    @property
    def reason(self) -> str | None:
        """Why a REVERTED or SUPERSEDED transaction ended so."""

    @property
    def earlier(self) -> bytes | None:
        """The hashes of the other versions that were sent under the same nonce, 32 bytes each."""

    @property
    def transcript(self) -> bytes | None:
        """The federation's transcript on which it was decided to send this; set from SIGNED on."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """The row as the outbox makes it; see OutboxRow for the fields."""

    chain_id: int
    contract: bytes
    round_number: int
    kind: str
    sender: bytes
    attempt: int
    data: bytes
    state: str = OutboxState.QUEUED
    nonce: int | None = None
    raw: bytes | None = None
    tx_hash: bytes | None = None
    block_number: int | None = None
    block_hash: bytes | None = None
    gas_used: int | None = None
    reason: str | None = None
    earlier: bytes | None = None
    transcript: bytes | None = None


class OutboxStore(Protocol):
    """Durable rows. Every write is on disk before the method returns."""

    def latest(
        self, chain_id: int, contract: bytes, round_number: int, kind: str, sender: bytes
    ) -> OutboxRow | None:
        """Return the row of the highest attempt under this business key, or None."""

    def add(self, row: OutboxRow) -> None:
        """Insert a row.

        Raises:
            ConflictError: a row with the same key and attempt exists.
        """

    def update(self, row: OutboxRow, expected_state: str) -> None:
        """Replace the row of the same key and attempt if its state is `expected_state` (compare and set).

        Raises:
            ConflictError: there is no such row, or its state is another.
        """

    def in_flight(self, chain_id: int, sender: bytes) -> Sequence[OutboxRow]:
        """Return the rows in state SIGNED or SENT of one sender, of all federations, by ascending nonce."""

    def exclusive(self, chain_id: int, sender: bytes) -> AbstractContextManager[None]:
        """Hold off every other writer of this sender: nonce choice, signing and sending happen inside.

        The other methods are called inside by the holder, and a network call too, so this must be no database
        transaction: a lock within the process will do, and a lock file where several processes share a key.
        """


def entry_of(row: OutboxRow) -> OutboxEntry:
    """Return the entry with the values of a row that a store read."""
    return OutboxEntry(**{field.name: getattr(row, field.name) for field in fields(OutboxEntry)})
