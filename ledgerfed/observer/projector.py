"""Applies events and documents to the projections, inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ledgerfed.errors import InvalidValueError, NotFoundError, VerificationError
from ledgerfed.observer.reducer import Standing, reduce_event
from ledgerfed.observer.unfold import Blobs, unfold_genesis, unfold_round
from ledgerfed.store.chain_log import canonical_events
from ledgerfed.store.projections import add_parts, clear_projections, put_genesis, put_round
from ledgerfed.store.reading import read_genesis, read_head, read_members, unfinished_rounds
from ledgerfed.store.records import EventRecord, FederationRecord, RoundRecord


@dataclass(frozen=True, slots=True)
class Waiting:
    """A round (0: genesis) whose documents are not here, or are not what the chain committed to, and why."""

    round: int
    reason: str


def standing_of(connection: Connection, record: FederationRecord) -> Standing:
    """Return where a federation stands by its projections."""
    members = tuple(read_members(connection, record.id))
    return Standing(
        record.federation, members, read_genesis(connection, record.id), read_head(connection, record.id)
    )


def apply_event(
    connection: Connection, record: FederationRecord, standing: Standing, block: int, event: EventRecord
) -> Standing:
    """Write what an event changes and return the standing after it; raises as `reduce_event`."""
    change = reduce_event(standing, block, event)
    if change.genesis is not None:
        put_genesis(connection, record.id, change.genesis)
    for row in change.rounds:
        put_round(connection, record.id, row)
    add_parts(connection, record.id, change.parts)
    return change.standing


def anything_folded(connection: Connection, record: FederationRecord) -> bool:
    """Whether the documents of genesis or of a round are not in the tables yet."""
    start = read_genesis(connection, record.id)
    if start is None:
        return False
    return not start.unfolded or bool(unfinished_rounds(connection, record.id))


def unfold_all(connection: Connection, record: FederationRecord, blobs: Blobs) -> list[Waiting]:
    """Write the rows of everything whose documents are here; return what still waits."""
    start = read_genesis(connection, record.id)
    if start is None:
        return []
    waiting = []
    try:
        if not start.unfolded:
            members = len(read_members(connection, record.id))
            add_parts(connection, record.id, unfold_genesis(start, members, blobs))
            put_genesis(connection, record.id, replace(start, unfolded=True))
    except (NotFoundError, VerificationError, InvalidValueError) as error:
        waiting.append(Waiting(0, str(error)))
    for certified in unfinished_rounds(connection, record.id):
        try:
            evidence, rows = unfold_round(record.federation, start, certified, blobs)
        except (NotFoundError, VerificationError, InvalidValueError) as error:
            waiting.append(Waiting(certified.number, str(error)))
            continue
        add_parts(connection, record.id, rows)
        put_round(connection, record.id, _unfolded(certified, evidence))
    return waiting


def rebuild(connection: Connection, record: FederationRecord, blobs: Blobs) -> list[Waiting]:
    """Make all projections again from the canonical events; return what waits for documents."""
    clear_projections(connection, record.id)
    standing = Standing(record.federation)
    for block, event in list(canonical_events(connection, record.id)):
        standing = apply_event(connection, record, standing, block, event)
    return unfold_all(connection, record, blobs)


def _unfolded(certified: RoundRecord, evidence: bytes) -> RoundRecord:
    return replace(certified, evidence=evidence, unfolded=True)
