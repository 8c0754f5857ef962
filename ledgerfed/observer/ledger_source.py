"""The chain as the ledger gateway reads it, in the shape that the observer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ledgerfed.errors import NotFoundError
from ledgerfed.ledger.calls import TransactionKind, functions
from ledgerfed.ledger.events import Certified, LedgerEvent
from ledgerfed.ledger.gateway import LedgerGateway
from ledgerfed.ledger.rpc import JsonRpc, data
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.signature import SIGNATURE_BYTES
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

    def events(self, block_hash: bytes) -> Sequence[EventRecord]:
        """Return the events of a block, certificates included."""
        return [self._record(event) for event in self._gateway.read_events_of(block_hash)]

    def _record(self, event: LedgerEvent) -> EventRecord:
        arguments = {f.name: _spell(getattr(event, f.name)) for f in fields(event) if f.name != "at"}
        if isinstance(event, Certified):
            arguments["signatures"] = [to_hex(s) for s in self._signatures(event.at.tx_hash)]
        number = getattr(event, "round", 0)
        return EventRecord(event.at.log_index, event.at.tx_hash, event.name, number, arguments)

    def _signatures(self, tx_hash: bytes) -> list[bytes]:
        """Return the signatures in a certify transaction; none when another contract made the call."""
        from eth_abi.abi import decode

        certify = functions()[TransactionKind.CERTIFY]
        transaction = self._rpc.call("eth_getTransactionByHash", to_hex(tx_hash))
        if transaction is None:
            raise NotFoundError(f"the transaction {to_hex(tx_hash)} left the chain")
        calldata = data(transaction["input"])
        if not calldata.startswith(certify.selector):
            return []
        signatures = decode(certify.inputs, calldata[len(certify.selector) :])[-1]
        step = SIGNATURE_BYTES
        return [signatures[k : k + step] for k in range(0, len(signatures), step)]


def _spell(value: Any) -> Any:
    if isinstance(value, bytes):
        return to_hex(value)
    return list(value) if isinstance(value, tuple) else int(value)
