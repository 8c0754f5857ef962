"""Blocks and events as they were seen, forks included, and how far the index has come.

Events are append-only: what a fork takes back stays as evidence, its block marked as not canonical. Every
function works inside the caller's transaction, so that a block goes in whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from ledgerfed.errors import ConflictError
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.federation import Federation
from ledgerfed.store.database import insert_new
from ledgerfed.store.records import BlockRecord, Checkpoint, EventRecord, FederationRecord
from ledgerfed.store.tables import blocks, chain_events, checkpoints, federations


def register_federation(connection: Connection, federation: Federation, first_block: int) -> FederationRecord:
    """Enter a federation, or return it when it is known.

    Raises:
        ConflictError: it is known with another first block.
    """
    key = {"chain_id": federation.chain_id, "contract": federation.contract}
    insert_new(connection, federations, key | {"first_block": first_block})
    held = find_federation(connection, federation)
    assert held is not None
    if held.first_block != first_block:
        raise ConflictError(
            f"federation 0x{federation.contract.hex()} is indexed from block {held.first_block}, "
            f"not {first_block}; use another database to index it anew"
        )
    return held


def find_federation(connection: Connection, federation: Federation) -> FederationRecord | None:
    """Return a federation that this store indexes, or None."""
    c = federations.c
    query = select(federations).where(c.chain_id == federation.chain_id, c.contract == federation.contract)
    row = connection.execute(query).one_or_none()
    return None if row is None else _federation(row)


def list_federations(connection: Connection) -> list[FederationRecord]:
    """Return all federations in the order in which they were entered."""
    return [_federation(row) for row in connection.execute(select(federations).order_by(federations.c.id))]


def hold_federation(connection: Connection, federation: int) -> None:
    """Hold off every other indexer of a federation until the transaction ends."""
    connection.execute(select(federations.c.id).where(federations.c.id == federation).with_for_update())


def checkpoint(connection: Connection, federation: int) -> Checkpoint | None:
    """Return how far the index has come, None when it has not begun."""
    row = connection.execute(select(checkpoints).where(checkpoints.c.federation == federation)).one_or_none()
    if row is None:
        return None
    return Checkpoint(row.number, row.hash, row.finalized, row.head, row.trouble)


def set_checkpoint(connection: Connection, federation: int, reached: Checkpoint) -> None:
    """Move the checkpoint."""
    values = asdict(reached)
    change = update(checkpoints).where(checkpoints.c.federation == federation).values(values)
    if connection.execute(change).rowcount == 0:
        connection.execute(insert(checkpoints).values(federation=federation, **values))


def add_block(
    connection: Connection, federation: int, block: BlockRecord, events: Sequence[EventRecord]
) -> None:
    """Enter a canonical block with its events; a block that a fork took back and returned is marked again."""
    known = (blocks.c.federation == federation) & (blocks.c.hash == block.hash)
    if connection.execute(update(blocks).where(known).values(canonical=True)).rowcount:
        return
    values = {
        "federation": federation,
        "hash": block.hash,
        "number": block.number,
        "parent_hash": block.parent_hash,
        "timestamp": block.timestamp,
        "canonical": True,
    }
    connection.execute(insert(blocks).values(values))
    if events:
        connection.execute(insert(chain_events), [_event_values(federation, block, e) for e in events])


def canonical_block(connection: Connection, federation: int, number: int) -> BlockRecord | None:
    """Return the canonical block of a height, or None."""
    c = blocks.c
    query = select(blocks).where(c.federation == federation, c.number == number, c.canonical)
    row = connection.execute(query).one_or_none()
    return None if row is None else BlockRecord(row.number, row.hash, row.parent_hash, row.timestamp)


def orphan_blocks(connection: Connection, federation: int, above: int) -> int:
    """Mark the canonical blocks above a height as taken back; return how many there were."""
    c = blocks.c
    which = (c.federation == federation) & (c.number > above) & c.canonical
    return connection.execute(update(blocks).where(which).values(canonical=False)).rowcount


def canonical_events(connection: Connection, federation: int) -> Iterable[tuple[int, EventRecord]]:
    """Yield (block number, event) of every canonical event in chain order."""
    b, e = blocks.c, chain_events.c
    joined = chain_events.join(blocks, (b.federation == e.federation) & (b.hash == e.block_hash))
    query = (
        select(b.number, e.log_index, e.tx_hash, e.kind, e.round, e.arguments)
        .select_from(joined)
        .where(e.federation == federation, b.canonical)
        .order_by(b.number, e.log_index)
    )
    for row in connection.execute(query):
        yield (
            row.number,
            EventRecord(row.log_index, row.tx_hash, row.kind, row.round, json.loads(row.arguments)),
        )


def _event_values(federation: int, block: BlockRecord, event: EventRecord) -> dict[str, object]:
    return {
        "federation": federation,
        "block_hash": block.hash,
        "log_index": event.log_index,
        "tx_hash": event.tx_hash,
        "kind": event.kind,
        "round": event.round,
        "arguments": canonical_json(event.arguments).decode(),
    }


def _federation(row: Row[Any]) -> FederationRecord:
    return FederationRecord(row.id, Federation(row.chain_id, row.contract), row.first_block)
