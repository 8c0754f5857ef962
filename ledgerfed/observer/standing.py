"""Where a federation stands, and what an event does to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ledgerfed.errors import VerificationError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store.projections import Projected
from ledgerfed.store.records import (
    EpochRecord,
    GenesisRecord,
    MemberRecord,
    OwnershipRecord,
    ProposalRecord,
    RoundRecord,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Registry, what the federation started from, epoch, current round, and what is announced.

    `contestable` is the round before, while its certificate could still fall by a dispute; whether it can in
    a given block is a question of its challenge window. `disputes` counts them.
    """

    federation: Federation
    members: tuple[MemberRecord, ...] = ()
    genesis: GenesisRecord | None = None
    epoch: EpochRecord | None = None
    head: RoundRecord | None = None
    contestable: RoundRecord | None = None
    proposal: ProposalRecord | None = None
    ownership: OwnershipRecord | None = None
    disputes: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """What every event after Genesis finds."""

    genesis: GenesisRecord
    epoch: EpochRecord
    head: RoundRecord


@dataclass(frozen=True, slots=True)
class Effect:
    """The standing after an event, the rows that it makes or replaces, and what it takes back.

    `reopened` is the round whose certificate fell: what followed from it goes. `opens_epoch`: what was
    announced is in force, and no longer announced.
    """

    standing: Standing
    rows: tuple[Projected, ...] = ()
    reopened: int | None = None
    opens_epoch: bool = False


def begun(standing: Standing, kind: str, block: int) -> Begun:
    """Return what there is since Genesis; raises VerificationError when there was none."""
    if standing.genesis is None or standing.epoch is None or standing.head is None:
        raise VerificationError(f"{kind} in block {block} comes before Genesis; index from its block on")
    return Begun(standing.genesis, standing.epoch, standing.head)


def opened_round(number: int, t: bytes, model: bytes, block: int, window_end: int, epoch: int) -> RoundRecord:
    """Return a round as it opens."""
    return RoundRecord(number, Phase.OPEN, t, model, block, window_end, t, epoch=epoch)


def with_round_ended(standing: Standing, following: RoundRecord) -> tuple[Standing, tuple[Projected, ...]]:
    """Return the standing in the next round: what was announced is due now."""
    proposal = standing.proposal and replace(standing.proposal, due=True)
    changed = () if proposal is None or proposal == standing.proposal else (proposal,)
    return replace(standing, head=following, proposal=proposal), changed


def require_transcript(own: bytes, arguments: Mapping[str, Any], kind: str, block: int) -> None:
    """Check the transcript that an event names; raises VerificationError when it is another."""
    told = from_hex("transcript", arguments["transcript"])
    if own != told:
        raise VerificationError(
            f"{kind} in block {block} leads to the transcript 0x{told.hex()}, the events before it to "
            f"0x{own.hex()}; an event is missing or was changed"
        )
