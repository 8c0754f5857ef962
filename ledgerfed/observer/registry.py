"""What changes who takes part and who owns: registrations, epochs, the hand-over (ADR 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ledgerfed.errors import VerificationError
from ledgerfed.observer.standing import Begun, Effect, Standing, begun, require_transcript
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.hashing import from_hex, keccak
from ledgerfed.protocol.transcript import Phase, after_epoch
from ledgerfed.store.records import (
    EpochRecord,
    EventRecord,
    KeyRecord,
    MemberRecord,
    OwnershipRecord,
    ProposalRecord,
)


def note_member(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Enter a member of the genesis registry; later, hold what is told against what was announced.

    An epoch changes the registry by its change, whose hash the transcript binds, not by these events.
    """
    address = from_hex("member", event.arguments["member"], 20)
    node, epoch = event.arguments["index"], event.arguments["epoch"]
    if standing.genesis is None and event.kind == "MemberRegistered":
        return _enter(standing, node, address, epoch)
    now = begun(standing, event.kind, block)
    entries = _announced(standing)
    leaves = event.kind == "MemberLeft" and node in entries and node < len(standing.members)
    expected = standing.members[node].address if leaves else entries.get(node)
    if epoch != now.epoch.number + 1 or address != expected:
        raise VerificationError(
            f"{event.kind} of 0x{address.hex()} as node {node} in block {block} was not announced"
        )
    return Effect(standing)


def _announced(standing: Standing) -> dict[int, bytes]:
    if standing.proposal is None:
        return {}
    change = Change.from_bytes(standing.proposal.change)
    return dict(zip(change.indices, change.addresses, strict=True))


def _enter(standing: Standing, node: int, address: bytes, epoch: int) -> Effect:
    if node != len(standing.members) or epoch != 0:
        raise VerificationError(
            f"member {node} of epoch {epoch} registers, {len(standing.members)} of epoch 0 is next"
        )
    member = MemberRecord(node, address, epoch)
    after = replace(standing, members=(*standing.members, member))
    return Effect(after, (member, KeyRecord(node, epoch, address)))


def announce_epoch(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Return what is announced for the next epoch, in place of what was."""
    now = begun(standing, event.kind, block)
    number, text = event.arguments["epoch"], event.arguments["change"]
    if number != now.epoch.number + 1 or (standing.proposal is not None and standing.proposal.due):
        raise VerificationError(
            f"epoch {number} is announced in block {block} of epoch {now.epoch.number}; "
            "an event before it is missing"
        )
    encoded = from_hex("change", text, len(text) // 2 - 1)
    Change.from_bytes(encoded)
    proposal = ProposalRecord(number, block, keccak(encoded), encoded)
    return Effect(replace(standing, proposal=proposal), (proposal,))


def open_epoch(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Put what was announced in force."""
    now, proposal = begun(standing, event.kind, block), standing.proposal
    told = _told(event.arguments)
    if proposal is None or not proposal.due or now.head.phase != Phase.OPEN:
        raise VerificationError(f"epoch {told[0]} opens in block {block}, but none is due")
    change = Change.from_bytes(proposal.change)
    expected = (proposal.epoch, now.head.number, change.config_hash, proposal.change_hash)
    if told != expected:
        raise VerificationError(f"epoch {told[0]} in block {block} is not the one that was announced")
    t = after_epoch(now.head.transcript, now.head.number, proposal.epoch, proposal.change_hash)
    require_transcript(t, event.arguments, event.kind, block)
    head = replace(now.head, opened_at=t, transcript=t, window_end=block, epoch=proposal.epoch)
    epoch = _epoch(now, proposal, change, block, t)
    members, keys = _enrolled(standing.members, change, proposal.epoch)
    after = replace(standing, members=members, epoch=epoch, head=head, contestable=None, proposal=None)
    changed = set(members) - set(standing.members)
    return Effect(after, (epoch, head, *changed, *keys), opens_epoch=True)


def _told(arguments: Mapping[str, Any]) -> tuple[int, int, bytes, bytes]:
    hashes = (from_hex(name, arguments[name]) for name in ("config_hash", "change_hash"))
    config, change = hashes
    return arguments["epoch"], arguments["round"], config, change


def _epoch(now: Begun, proposal: ProposalRecord, change: Change, block: int, t: bytes) -> EpochRecord:
    return EpochRecord(
        proposal.epoch,
        now.head.number,
        block,
        change.config_hash,
        change.committee,
        change.min_updates,
        t,
        proposal.change_hash,
        proposal.change,
    )


def _enrolled(
    members: tuple[MemberRecord, ...], change: Change, epoch: int
) -> tuple[tuple[MemberRecord, ...], tuple[KeyRecord, ...]]:
    """Return the registry after a change, and the keys that are new."""
    after, keys = list(members), []
    for node, address in zip(change.indices, change.addresses, strict=True):
        if node == len(after):
            after.append(MemberRecord(node, address, epoch))
        elif node > len(after):
            raise VerificationError(f"epoch {epoch} gives out index {node}, {len(after)} is next")
        elif address == VACANT:
            after[node] = replace(after[node], left=epoch)
            continue
        else:
            after[node] = replace(after[node], address=address, removed=False)
        keys.append(KeyRecord(node, epoch, address))
    return tuple(after), tuple(keys)


def note_ownership(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Return who owns the federation and who may take over."""
    begun(standing, event.kind, block)
    owner = from_hex("owner", event.arguments["owner"], 20)
    successor = VACANT
    if event.kind == "OwnershipProposed":
        successor = from_hex("successor", event.arguments["successor"], 20)
    record = OwnershipRecord(owner, successor, block)
    return Effect(replace(standing, ownership=record), (record,))
