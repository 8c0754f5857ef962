"""Applies events and documents to the projections, inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ledgerfed.errors import InvalidValueError, NotFoundError, VerificationError
from ledgerfed.observer.reducer import reduce_event
from ledgerfed.observer.standing import Standing
from ledgerfed.observer.unfold import Blobs, evidence_of, unfold_genesis, unfold_round
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store.chain_log import canonical_events
from ledgerfed.store.projections import (
    add_rows,
    clear_projections,
    drop_outcome,
    drop_proposal,
    put_rows,
)
from ledgerfed.store.reading import (
    count_disputes,
    fallen_without_evidence,
    read_epoch,
    read_genesis,
    read_head,
    read_members,
    read_ownership,
    read_proposal,
    read_round,
    unfinished_rounds,
)
from ledgerfed.store.records import EventRecord, FederationRecord, RoundRecord


@dataclass(frozen=True, slots=True)
class Waiting:
    """A round (0: genesis) whose documents are not here, or are not what the chain committed to, and why."""

    round: int
    reason: str


def standing_of(connection: Connection, record: FederationRecord) -> Standing:
    """Return where a federation stands by its projections."""
    head = read_head(connection, record.id)
    return Standing(
        record.federation,
        tuple(read_members(connection, record.id)),
        read_genesis(connection, record.id),
        read_epoch(connection, record.id),
        head,
        _contestable(connection, record, head),
        read_proposal(connection, record.id),
        read_ownership(connection, record.id),
        count_disputes(connection, record.id),
    )


def _contestable(
    connection: Connection, record: FederationRecord, head: RoundRecord | None
) -> RoundRecord | None:
    """Return the round before, if it was certified and not sealed over since.

    An epoch ends that too: it moves the window that a dispute in a later block is held against.
    """
    if head is None or head.phase != Phase.OPEN:
        return None
    before = read_round(connection, record.id, head.number - 1)
    return before if before is not None and before.phase == Phase.CERTIFIED else None


def apply_event(
    connection: Connection, record: FederationRecord, standing: Standing, block: int, event: EventRecord
) -> Standing:
    """Write what an event changes and return the standing after it; raises as `reduce_event`."""
    effect = reduce_event(standing, block, event)
    if effect.reopened is not None:
        drop_outcome(connection, record.id, effect.reopened)
    if effect.opens_epoch:
        drop_proposal(connection, record.id)
    put_rows(connection, record.id, effect.rows)
    return effect.standing


def anything_folded(connection: Connection, record: FederationRecord) -> bool:
    """Whether the documents of genesis or of a round are not in the tables yet."""
    start = read_genesis(connection, record.id)
    if start is None:
        return False
    unfinished = unfinished_rounds(connection, record.id) or fallen_without_evidence(connection, record.id)
    return not start.unfolded or bool(unfinished)


def unfold_all(connection: Connection, record: FederationRecord, blobs: Blobs) -> list[Waiting]:
    """Write the rows of everything whose documents are here; return what still waits."""
    start = read_genesis(connection, record.id)
    if start is None:
        return []
    waiting = []
    try:
        if not start.unfolded:
            members = sum(member.joined == 0 for member in read_members(connection, record.id))
            add_rows(connection, record.id, unfold_genesis(start, members, blobs))
            put_rows(connection, record.id, [replace(start, unfolded=True)])
    except (NotFoundError, VerificationError, InvalidValueError) as error:
        waiting.append(Waiting(0, str(error)))
    for certified in unfinished_rounds(connection, record.id):
        try:
            evidence, rows = unfold_round(record.federation, start, certified, blobs)
        except (NotFoundError, VerificationError, InvalidValueError) as error:
            waiting.append(Waiting(certified.number, str(error)))
            continue
        add_rows(connection, record.id, rows)
        put_rows(connection, record.id, [replace(certified, evidence=evidence, unfolded=True)])
    for voided in fallen_without_evidence(connection, record.id):
        evidence_hash = evidence_of(voided.manifest, blobs)
        if evidence_hash is not None:
            put_rows(connection, record.id, [replace(voided, evidence=evidence_hash)])
    return waiting


def rebuild(connection: Connection, record: FederationRecord, blobs: Blobs) -> list[Waiting]:
    """Make all projections again from the canonical events; return what waits for documents."""
    clear_projections(connection, record.id)
    standing = Standing(record.federation)
    for block, event in list(canonical_events(connection, record.id)):
        standing = apply_event(connection, record, standing, block, event)
    return unfold_all(connection, record, blobs)
