"""The chain as the ledger gateway reads it, in the shape that the observer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ledgerfed.errors import NotFoundError
from ledgerfed.ledger.chain import tagged_block
from ledgerfed.ledger.events import Certified, LedgerEvent
from ledgerfed.ledger.gateway import LedgerGateway
from ledgerfed.ledger.inspection import observe_transaction
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.store.records import BlockRecord, EventRecord


class LedgerSource:
    """An `EventSource` on a connected gateway; `rpc` reads the transactions that carry certificates."""

    def __init__(self, gateway: LedgerGateway, rpc: JsonRpc) -> None:
        self._gateway = gateway
        self._rpc = rpc

    def head(self) -> BlockRecord:
        """Return the newest block."""
        while (block := self.block(self._gateway.block_number())) is None:
            continue  # a reorganisation made the chain shorter between the two questions
        return block

    def block(self, number: int) -> BlockRecord | None:
        """Return the block of a height, None above the head."""
        try:
            header = self._gateway.header(number)
        except NotFoundError:
            return None
        return BlockRecord(header.number, header.hash, header.parent_hash, header.timestamp)

    def tagged(self, tag: str) -> int:
        """Return the number of the block that the chain calls `safe` or `finalized`."""
        return tagged_block(self._rpc, tag)

    def events(self, block_hash: bytes) -> Sequence[EventRecord]:
        """Return the events of a block, certificates included."""
        return [self._record(event) for event in self._gateway.read_events_of(block_hash)]

    def _record(self, event: LedgerEvent) -> EventRecord:
        arguments = {f.name: _spell(getattr(event, f.name)) for f in fields(event) if f.name != "at"}
        if isinstance(event, Certified):
            observed = observe_transaction(self._rpc, event.at.tx_hash)
            arguments["signatures"] = [to_hex(signature) for signature in observed.signatures]
        number = getattr(event, "round", 0)
        return EventRecord(event.at.log_index, event.at.tx_hash, event.name, number, arguments)


def _spell(value: Any) -> Any:
    match value:
        case bytes():
            return to_hex(value)
        case Change():
            return to_hex(value.to_bytes())
        case tuple():
            return list(value)
        case bool():
            return value
        case _:
            return int(value)
