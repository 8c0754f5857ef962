"""From events to rows: a pure function that believes no event whose transcript it cannot recompute.

Rules:
- every transition names the transcript after it; the reducer extends its own and compares, so a missing,
  doubled, changed or reordered event is found at once (threats C5, P4);
- an event changes only the round that is current, and in the phase that allows it; a dispute may take the
  certificate of the round before back, inside its challenge window;
- what the transcript does not bind (who registers, whether a dispute was contested) is held against what it
  does bind;
- nothing here reads a clock, a chain or a database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ledgerfed.errors import VerificationError
from ledgerfed.observer.disputes import settle_dispute
from ledgerfed.observer.registry import announce_epoch, note_member, note_ownership, open_epoch
from ledgerfed.observer.rounds import move_round
from ledgerfed.observer.standing import Effect, Standing, opened_round, require_transcript
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.protocol.transcript import genesis, registry_hash
from ledgerfed.store.records import EpochRecord, EventRecord, GenesisRecord


def reduce_event(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Return what an event in block number `block` does to the standing.

    Raises:
        VerificationError: the event does not follow from the standing; one before it is missing or changed.
        InvalidValueError: an argument is malformed.
    """
    reduce = _REDUCERS.get(event.kind)
    if reduce is None:
        raise VerificationError(f"the contract has no event {event.kind!r}; is this its ledgerfed version?")
    return reduce(standing, block, event)


def _begin(standing: Standing, block: int, event: EventRecord) -> Effect:
    arguments = event.arguments
    names = ("config_hash", "registry_hash", "model", "reputations", "transcript")
    config, registry, model, reputations, t = (from_hex(name, arguments[name]) for name in names)
    if registry != registry_hash([member.address for member in standing.members]):
        raise VerificationError(f"the registry hash 0x{registry.hex()} is not that of the registered members")
    own = genesis(standing.federation, config, registry, model, reputations)
    require_transcript(own, arguments, event.kind, block)
    commit, force, score, certify, challenge = arguments["windows"]
    listed = arguments["committee"]
    start = GenesisRecord(
        config,
        registry,
        model,
        reputations,
        t,
        # the first contract told how many of the first members validate
        tuple(range(listed)) if isinstance(listed, int) else tuple(listed),
        arguments["depth"],
        (commit, force, score, certify, challenge),
        arguments["min_updates"],
        block,
        bool(arguments.get("leaves_on_chain", False)),
    )
    epoch = EpochRecord(0, 1, block, config, start.committee, start.min_updates, t)
    first = opened_round(1, t, model, block, block, 0)
    return Effect(replace(standing, genesis=start, epoch=epoch, head=first), (start, epoch, first))


_REDUCERS: Mapping[str, Callable[[Standing, int, EventRecord], Effect]] = {
    "MemberRegistered": note_member,
    "MemberLeft": note_member,
    "Genesis": _begin,
    "Sealed": move_round,
    "Forced": move_round,
    "Scored": move_round,
    "Certified": move_round,
    "Aborted": move_round,
    "Disputed": settle_dispute,
    "EpochProposed": announce_epoch,
    "EpochOpened": open_epoch,
    "OwnershipProposed": note_ownership,
    "OwnershipTransferred": note_ownership,
}
