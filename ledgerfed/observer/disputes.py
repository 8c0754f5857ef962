"""What a proven fault does: its culprits lose their part, and a certificate may fall (ADR 7)."""

from __future__ import annotations

from dataclasses import replace

from ledgerfed.errors import VerificationError
from ledgerfed.observer.standing import Begun, Effect, Standing, begun, require_transcript
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Dispute
from ledgerfed.store.projections import Projected
from ledgerfed.store.records import (
    DisputeRecord,
    EpochRecord,
    EventRecord,
    FallenRecord,
    MemberRecord,
    RoundRecord,
)

_CERTIFY = 3


def settle_dispute(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Return what a dispute in block number `block` does.

    Raises:
        VerificationError: it does not follow from the standing; an event before it is missing or changed.
    """
    now, arguments = begun(standing, event.kind, block), event.arguments
    proof = from_hex("proof", arguments["proof"])
    step = Dispute(event.round, arguments["fault"], arguments["culprits"], proof)
    t = step.after(now.head.transcript)
    require_transcript(t, arguments, event.kind, block)
    fell = _contested(standing, now, block, event.round)
    if bool(arguments["contested"]) != (fell is not None):
        raise VerificationError(
            f"Disputed in block {block} says contested={bool(arguments['contested'])} of round "
            f"{event.round}, which the events before it contradict"
        )
    nodes = tuple(sorted(step.indices(now.epoch.committee)))
    epoch, members = _without(now.epoch, standing.members, nodes)
    aborted = (fell is not None or now.head.phase != Phase.OPEN) and epoch.left < epoch.quorum
    record = DisputeRecord(
        standing.disputes + 1,
        block,
        epoch.number,
        event.round,
        step.fault,
        step.culprits,
        nodes,
        proof,
        fell is not None,
        aborted,
        t,
    )
    window_end = block + now.genesis.windows[_CERTIFY]
    head = _moved(now.head, t, window_end) if fell is None else _reopened(fell, t, window_end)
    after = replace(
        standing,
        members=members,
        epoch=epoch,
        head=head,
        contestable=standing.contestable if head.phase == Phase.OPEN else None,
        disputes=record.number,
    )
    rows: tuple[Projected, ...] = (record, head, epoch, *(set(members) - set(standing.members)))
    if fell is None:
        return Effect(after, rows)
    return Effect(after, (*rows, _fallen(fell, record.number)), reopened=fell.number)


def _contested(standing: Standing, now: Begun, block: int, round_number: int) -> RoundRecord | None:
    """Return the certified round that the dispute takes back, if it does."""
    candidate = standing.contestable
    if candidate is None or candidate.number != round_number or block > now.head.window_end:
        return None
    return candidate


def _without(
    epoch: EpochRecord, members: tuple[MemberRecord, ...], nodes: tuple[int, ...]
) -> tuple[EpochRecord, tuple[MemberRecord, ...]]:
    """Return the epoch and the registry after nodes lost their part: by seat if they have one."""
    seats = sum(1 << seat for seat, index in enumerate(epoch.committee) if index in nodes)
    unseated = [index for index in nodes if index not in epoch.committee]
    after = tuple(replace(m, removed=True) if m.node in unseated else m for m in members)
    return replace(epoch, removed=epoch.removed | seats), after


def _moved(head: RoundRecord, t: bytes, window_end: int) -> RoundRecord:
    """Return the current round after a dispute that took nothing back."""
    if head.phase == Phase.OPEN:
        return replace(head, opened_at=t, transcript=t)
    if head.phase == Phase.SCORED:
        return replace(head, transcript=t, window_end=window_end, attempt=head.attempt + 1)
    return replace(head, transcript=t)


def _reopened(fell: RoundRecord, t: bytes, window_end: int) -> RoundRecord:
    """Return a certified round whose certificate fell: scored, and nothing decided."""
    return replace(
        fell,
        phase=Phase.SCORED,
        manifest=None,
        evidence=None,
        model=None,
        reputation_root=None,
        ended_block=None,
        unfolded=False,
        window_end=window_end,
        transcript=t,
        attempt=fell.attempt + 1,
    )


def _fallen(fell: RoundRecord, dispute: int) -> FallenRecord:
    assert fell.manifest is not None
    assert fell.model is not None
    assert fell.reputation_root is not None
    assert fell.ended_block is not None
    return FallenRecord(
        fell.number,
        fell.attempt,
        fell.manifest,
        fell.model,
        fell.reputation_root,
        fell.transcript,
        fell.ended_block,
        dispute,
    )
