"""Follows one contract on one chain and keeps the index in step, forks included.

Rules:
- one database transaction per block: header, events, projections and checkpoint go in together or not at all;
- a block is entered only on top of its parent; when the chain went another way, the index steps back to the
  common ancestor and keeps what was taken back, marked as not canonical (threat C1);
- a fork deeper than MAX_REORG, or below what was final (`finality`), is never followed: the observer stops
  and says so;
- whatever it is stopped at, starting again leads to the same rows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ledgerfed.errors import ChainUnreachableError, ConflictError, LedgerFedError, NotFoundError, StoreError
from ledgerfed.observer.finality import MAX_REORG, Finality
from ledgerfed.observer.projector import (
    Waiting,
    anything_folded,
    apply_event,
    rebuild,
    standing_of,
    unfold_all,
)
from ledgerfed.observer.source import EventSource
from ledgerfed.protocol.federation import Federation
from ledgerfed.store import Store
from ledgerfed.store.chain_log import (
    add_block,
    canonical_block,
    checkpoint,
    hold_federation,
    orphan_blocks,
    register_federation,
    set_checkpoint,
)
from ledgerfed.store.projections import projected_rows, projection_digest
from ledgerfed.store.records import BlockRecord, Checkpoint, EventRecord, FederationRecord

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one advance did: blocks entered, blocks taken back, where the index stands, what it waits for."""

    entered: int
    taken_back: int
    checkpoint: Checkpoint | None
    waiting: tuple[Waiting, ...]


class _MovedError(Exception):
    """Another observer moved the checkpoint meanwhile; look again."""


class Observer:
    """The indexer of one federation. Two observers of the same store do no harm, only double work."""

    def __init__(
        self, store: Store, source: EventSource, record: FederationRecord, finality: Finality
    ) -> None:
        self._store = store
        self._source = source
        self._record = record
        self._finality = finality

    def advance(self) -> Progress:
        """Bring the index to the present head and unfold every document that is here.

        Raises:
            ConflictError: the chain took back more than may be taken back.
            VerificationError: the events do not follow from one another.
            ChainUnreachableError: the chain does not answer.
        """
        try:
            entered, taken_back = self._catch_up()
        except ChainUnreachableError:
            raise
        except LedgerFedError as error:
            self._note(str(error))
            raise
        with self._store.database.read() as connection:
            reached = checkpoint(connection, self._record.id)
            if not anything_folded(connection, self._record):
                return Progress(entered, taken_back, reached, ())
        with self._store.database.write() as connection:
            hold_federation(connection, self._record.id)
            waiting = unfold_all(connection, self._record, self._store.blobs)
            reached = checkpoint(connection, self._record.id)
        return Progress(entered, taken_back, reached, tuple(waiting))

    def _catch_up(self) -> tuple[int, int]:
        entered = taken_back = 0
        while True:
            head = self._source.head()
            final = self._finality.newest_final(self._source, head.number)
            with self._store.database.read() as connection:
                reached = checkpoint(connection, self._record.id)
            try:
                if reached is not None:
                    ancestor = self._common_ancestor(reached)
                    if ancestor.number < reached.number:
                        taken_back += self._step_back(reached, ancestor, head.number)
                        continue
                    if reached.number >= head.number:
                        self._finalize(reached, head.number, final)
                        return entered, taken_back
                entered += self._enter_up_to(head.number, final, reached)
            except _MovedError:
                continue

    def _common_ancestor(self, reached: Checkpoint) -> BlockRecord:
        """Return the newest indexed block that the chain still has."""
        number = reached.number
        while True:
            with self._store.database.read() as connection:
                own = canonical_block(connection, self._record.id, number)
            if own is None or number < reached.finalized or reached.number - number > MAX_REORG:
                raise ConflictError(
                    f"the chain took back block {number + 1}, which is final or more than {MAX_REORG} "
                    "blocks deep; index it anew in another database, and keep this one as evidence"
                )
            seen = self._source.block(number)
            if seen is not None and seen.hash == own.hash:
                return own
            number -= 1

    def _step_back(self, reached: Checkpoint, ancestor: BlockRecord, head: int) -> int:
        with self._store.database.write() as connection:
            self._require_unmoved(connection, reached)
            count = orphan_blocks(connection, self._record.id, ancestor.number)
            rebuild(connection, self._record, self._store.blobs)
            moved = replace(reached, number=ancestor.number, hash=ancestor.hash, head=head, trouble=None)
            set_checkpoint(connection, self._record.id, moved)
        return count

    def _enter_up_to(self, head: int, final: int, reached: Checkpoint | None) -> int:
        """Enter the blocks after the checkpoint; stop early when the chain moves meanwhile."""
        if reached is None and head < self._record.first_block:
            raise ConflictError(
                f"the chain ends at block {head}, before the contract's block {self._record.first_block}; "
                "is it the right chain?"
            )
        first = self._record.first_block if reached is None else reached.number + 1
        for number in range(first, head + 1):
            block = self._source.block(number)
            if block is None or (reached is not None and block.parent_hash != reached.hash):
                return number - first
            try:
                events = self._source.events(block.hash)
            except NotFoundError:
                if self._source.block(number) == block:
                    raise
                return number - first
            reached = self._enter(block, events, reached, head, final)
        return head + 1 - first

    def _enter(
        self,
        block: BlockRecord,
        events: Sequence[EventRecord],
        reached: Checkpoint | None,
        head: int,
        final: int,
    ) -> Checkpoint:
        finalized = max(final, -1 if reached is None else reached.finalized)
        moved = Checkpoint(block.number, block.hash, min(block.number, finalized), head)
        with self._store.database.write() as connection:
            self._require_unmoved(connection, reached)
            add_block(connection, self._record.id, block, events)
            standing = standing_of(connection, self._record)
            for event in events:
                standing = apply_event(connection, self._record, standing, block.number, event)
            set_checkpoint(connection, self._record.id, moved)
        return moved

    def _finalize(self, reached: Checkpoint, head: int, final: int) -> None:
        finalized = max(reached.finalized, min(reached.number, final))
        moved = replace(reached, finalized=finalized, head=head, trouble=None)
        if moved != reached:
            with self._store.database.write() as connection:
                self._require_unmoved(connection, reached)
                set_checkpoint(connection, self._record.id, moved)

    def _require_unmoved(self, connection: Connection, expected: Checkpoint | None) -> None:
        hold_federation(connection, self._record.id)
        found = checkpoint(connection, self._record.id)
        if (found and (found.number, found.hash)) != (expected and (expected.number, expected.hash)):
            raise _MovedError

    def _note(self, trouble: str) -> None:
        with self._store.database.write() as connection:
            hold_federation(connection, self._record.id)
            reached = checkpoint(connection, self._record.id)
            if reached is not None:
                set_checkpoint(connection, self._record.id, replace(reached, trouble=trouble))


def observe(
    store: Store, source: EventSource, federation: Federation, first_block: int, finality: Finality
) -> Observer:
    """Return the observer of a federation whose contract was deployed in block `first_block`.

    Raises:
        ConflictError: the store indexes this federation from another block.
    """
    with store.database.write() as connection:
        record = register_federation(connection, federation, first_block)
    return Observer(store, source, record, finality)


def reindex(store: Store, record: FederationRecord) -> tuple[bytes, bytes]:
    """Make the projections again from the log; return their digest before and after.

    Equal digests mean that nobody edited a projected row (threat P2); else the rows are repaired now.
    """
    with store.database.write() as connection:
        hold_federation(connection, record.id)
        before = projection_digest(connection, record.id)
        rebuild(connection, record, store.blobs)
        return before, projection_digest(connection, record.id)


def check_index(store: Store, record: FederationRecord) -> tuple[str, ...]:
    """Return the names of the projected rows that are not what the log says; nothing is changed.

    A row that was edited, added or deleted is named by table and key (threat P2). The log itself is held to
    the transcripts while it is read.

    Raises:
        VerificationError: the log does not follow from itself; an event was removed or changed.
    """
    with store.database.write() as connection:
        hold_federation(connection, record.id)
        found = dict(projected_rows(connection, record.id))
        with connection.begin_nested() as trial:
            rebuild(connection, record, store.blobs)
            expected = dict(projected_rows(connection, record.id))
            trial.rollback()
    return tuple(sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)))


def follow(observer: Observer, stop: threading.Event, seconds: float) -> None:
    """Advance every `seconds` until `stop` is set; made to be the target of a thread.

    A chain or a database that does not answer is asked again. Whatever else goes wrong ends it: the
    checkpoint then carries the trouble, which the health of the API shows.
    """
    while not stop.is_set():
        try:
            observer.advance()
        except (ChainUnreachableError, StoreError) as error:
            _log.warning("the index waits: %s", error)
        except LedgerFedError as error:
            _log.error("the index stands still: %s", error)
            return
        stop.wait(seconds)
