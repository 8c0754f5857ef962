"""What the observer asks of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledgerfed.store.records import BlockRecord, EventRecord


class EventSource(Protocol):
    """A chain and one contract on it. Reads only; every method may raise ChainUnreachableError."""

    def head(self) -> BlockRecord:
        """Return the newest block."""

    def block(self, number: int) -> BlockRecord | None:
        """Return the block of a height as the chain has it now, None above the head."""

    def tagged(self, tag: str) -> int:
        """Return the number of the block that the chain calls `safe` or `finalized`.

        Raises:
            ConfigurationError: the chain has no such block.
        """
        ...

    def events(self, block_hash: bytes) -> Sequence[EventRecord]:
        """Return the contract's events of one block in log order, asked for by hash.

        Kinds and argument names are those of `contracts/RoundLedger.vy`, bytes in 0x hex. A Certified event
        carries `signatures` besides, the 65-byte signatures of its transaction in 0x hex.

        Raises:
            NotFoundError: the block left the chain.
        """
