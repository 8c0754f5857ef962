"""One look at one federation: a snapshot of the database, and what is final in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from ledgerfed.errors import ConflictError, InvalidValueError, NotFoundError
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store import Store
from ledgerfed.store.chain_log import canonical_block, checkpoint, list_federations
from ledgerfed.store.reading import (
    read_epoch,
    read_final_round,
    read_genesis,
    read_head,
    read_round,
    read_round_by_transcript,
    unfinished_rounds,
)
from ledgerfed.store.records import Checkpoint, EpochRecord, FederationRecord, GenesisRecord, RoundRecord
from ledgerfed_api.cursors import CursorKey
from ledgerfed_api.schemas import Meta
from ledgerfed_api.settings import Settings


@dataclass(frozen=True, slots=True)
class View:
    """What a route reads from."""

    store: Store
    connection: Connection
    record: FederationRecord
    reached: Checkpoint | None
    start: GenesisRecord | None
    epoch: EpochRecord | None

    @property
    def id(self) -> int:
        """The key of the federation in the database."""
        return self.record.id

    def begun(self) -> GenesisRecord:
        """Return what the federation started from.

        Raises:
            NotFoundError: its Genesis event is not indexed yet.
        """
        if self.start is None:
            raise NotFoundError(
                "the federation is known, but its Genesis event is not indexed yet; try again"
            )
        return self.start

    def round(self, name: str) -> RoundRecord:
        """Return the round that `name` means: a number, head, finalized, genesis, or a 0x transcript.

        Raises:
            NotFoundError: there is no such round.
            InvalidValueError: it is none of these.
        """
        start = self.begun()
        if name == "genesis" or name == "0":
            return genesis_round(start)
        if name == "head":
            found, what = read_head(self.connection, self.id), "the current round"
        elif name == "finalized":
            window = start.challenge_window
            found = read_final_round(self.connection, self.id, self.finalized, window)
            what = "a final round"
        elif name.startswith("0x"):
            t = from_hex("the transcript", name.lower())
            if t == start.transcript:
                return genesis_round(start)
            found, what = (
                read_round_by_transcript(self.connection, self.id, t),
                f"a round that ended with {name}",
            )
        elif name.isdecimal() and len(name) <= 10:
            found, what = read_round(self.connection, self.id, int(name)), f"round {name}"
        else:
            raise InvalidValueError(
                f"a round is a number, head, finalized, genesis or a 0x transcript, got {name!r}"
            )
        if found is None:
            raise NotFoundError(f"{what} is not known here; ask for head to see how far the federation is")
        return found

    def is_final(self, found: RoundRecord) -> bool:
        """Whether nothing about a round can change any more.

        Its end is final, a certificate can no longer be challenged, and its documents are here.
        """
        last = self.changes_until(found)
        if last is None or last > self.finalized:
            return False
        return found.unfolded or found.phase == Phase.ABORTED

    def changes_until(self, found: RoundRecord) -> int | None:
        """Return the last block that can change the end of a round, None while it has none."""
        if found.ended_block is None or self.start is None:
            return None
        if found.phase != Phase.CERTIFIED or found.number == 0:
            return found.ended_block
        return found.ended_block + self.start.challenge_window

    @property
    def finalized(self) -> int:
        """The newest block that is final; -1 if none is."""
        return -1 if self.reached is None else self.reached.finalized

    def epoch_of(self, found: RoundRecord) -> EpochRecord:
        """Return the epoch that a round is of; raises NotFoundError before Genesis is indexed."""
        self.begun()
        epoch = read_epoch(self.connection, self.id, found.epoch)
        assert epoch is not None
        return epoch

    def meta(self, about: RoundRecord | None = None) -> Meta:
        """Return how firm an answer is; `about` is the one round that it speaks of, if it does."""
        if about is not None and about.ended_block is not None and self.is_final(about):
            block = canonical_block(self.connection, self.id, about.ended_block)
            known = None if block is None else "0x" + block.hash.hex()
            return Meta(finalized=True, block_number=about.ended_block, block_hash=known, syncing=False)
        reached = self.reached
        return Meta(
            finalized=False,
            block_number=-1 if reached is None else reached.number,
            block_hash=None if reached is None else "0x" + reached.hash.hex(),
            syncing=self.syncing(),
        )

    def syncing(self) -> bool:
        """Whether the chain has blocks, or rounds have documents, that are not indexed yet."""
        if self.reached is None or self.start is None or self.reached.number < self.reached.head:
            return True
        return not self.start.unfolded or bool(unfinished_rounds(self.connection, self.id))


def genesis_round(start: GenesisRecord) -> RoundRecord:
    """Return what a federation started from in the shape of a round with number 0."""
    return RoundRecord(
        number=0,
        phase=Phase.CERTIFIED,
        opened_at=start.transcript,
        base_model=start.model,
        opened_block=start.block,
        window_end=start.block,
        transcript=start.transcript,
        model=start.model,
        reputation_root=start.reputation_root,
        ended_block=start.block,
        unfolded=start.unfolded,
    )


class Desk:
    """What the routes share: the store and the key of the cursors."""

    def __init__(self, settings: Settings, store: Store, cursors: CursorKey) -> None:
        self.settings = settings
        self.store = store
        self.cursors = cursors

    def served(self, connection: Connection) -> list[FederationRecord]:
        """Return the federations that this server shows."""
        only = self.settings.federation
        found = list_federations(connection)
        return [r for r in found if only is None or only == f"{r.federation.chain_id}:{_contract(r)}"]

    @contextmanager
    def look(self, contract: str) -> Iterator[View]:
        """Yield a view of the federation at a contract's address, on one snapshot.

        Raises:
            NotFoundError: this server shows no such federation.
            ConflictError: it shows two, on two chains.
        """
        with self.store.database.read() as connection:
            matching = [r for r in self.served(connection) if _contract(r) == contract.lower()]
            if not matching:
                raise NotFoundError(f"the federation {contract} is not known here; see /v1/federations")
            if len(matching) > 1:
                raise ConflictError(
                    f"{contract} stands on chains {', '.join(str(r.federation.chain_id) for r in matching)}; "
                    "start the server with LEDGERFED_FEDERATION=<chain id>:<contract>"
                )
            yield self.view(connection, matching[0])

    def view(self, connection: Connection, record: FederationRecord) -> View:
        """Return a view of a federation inside the given snapshot."""
        reached = checkpoint(connection, record.id)
        start, epoch = read_genesis(connection, record.id), read_epoch(connection, record.id)
        return View(self.store, connection, record, reached, start, epoch)


def _contract(record: FederationRecord) -> str:
    return "0x" + record.federation.contract.hex()
