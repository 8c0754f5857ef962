"""From rows to answers: epochs, what is announced, who owns, and who was convicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ledgerfed.protocol import change as protocol
from ledgerfed.protocol.hashing import keccak, to_hex
from ledgerfed.protocol.transition import Fault
from ledgerfed.store.records import (
    DisputeRecord,
    EpochRecord,
    MemberRecord,
    OwnershipRecord,
    ProposalRecord,
)
from ledgerfed_api import schemas
from ledgerfed_api.view import View


def epoch(view: View, record: EpochRecord, joined: frozenset[int] = frozenset()) -> schemas.Epoch:
    """Return an epoch; `joined` are the registry indices that it gave out."""
    removed = [node for seat, node in enumerate(record.committee) if record.removed >> seat & 1]
    return schemas.Epoch(
        number=record.number,
        first_round=record.first_round,
        block=record.block,
        config_hash=to_hex(record.config_hash),
        committee=list(record.committee),
        quorum=record.quorum,
        min_updates=record.min_updates,
        removed=removed,
        transcript=to_hex(record.transcript),
        change=None if record.change is None else _change(record.change, joined),
        finalized=record.block <= view.finalized,
    )


def joined_in(members: Sequence[MemberRecord], number: int) -> frozenset[int]:
    """Return the registry indices that an epoch gave out."""
    return frozenset(member.node for member in members if member.joined == number)


def proposal(record: ProposalRecord, members: Sequence[MemberRecord]) -> schemas.Proposal:
    """Return what is announced for the next epoch; `members` is the registry before it."""
    indices = protocol.Change.from_bytes(record.change).indices
    joining = frozenset(index for index in indices if index >= len(members))
    return schemas.Proposal(
        epoch=record.epoch, block=record.block, due=record.due, change=_change(record.change, joining)
    )


def owner(record: OwnershipRecord | None) -> schemas.Owner:
    """Return who owns a federation."""
    if record is None:
        return schemas.Owner(owner=None, successor=None, block=None)
    return schemas.Owner(owner=_person(record.owner), successor=_person(record.successor), block=record.block)


def dispute(view: View, record: DisputeRecord) -> schemas.Dispute:
    """Return a proven fault."""
    return schemas.Dispute.model_validate(
        {
            "number": record.number,
            "block": record.block,
            "epoch": record.epoch,
            "round": record.round,
            "fault": Fault(record.fault).name,
            "nodes": list(record.nodes),
            "proof": to_hex(record.proof),
            "contested": record.contested,
            "aborted": record.aborted,
            "transcript": to_hex(record.transcript),
            "finalized": record.block <= view.finalized,
        }
    )


def _change(encoded: bytes, joining: frozenset[int]) -> schemas.Change:
    found = protocol.Change.from_bytes(encoded)
    return schemas.Change(
        change_hash=to_hex(keccak(encoded)),
        encoded=to_hex(encoded),
        config_hash=to_hex(found.config_hash),
        committee=list(found.committee),
        min_updates=found.min_updates,
        entries=[
            schemas.Entry(node=node, address=_person(address), effect=_effect(node, address, joining))
            for node, address in zip(found.indices, found.addresses, strict=True)
        ],
    )


def _effect(node: int, address: bytes, joining: frozenset[int]) -> Literal["joins", "leaves", "new key"]:
    if address == protocol.VACANT:
        return "leaves"
    return "joins" if node in joining else "new key"


def _person(address: bytes) -> str | None:
    return to_hex(address) if any(address) else None
