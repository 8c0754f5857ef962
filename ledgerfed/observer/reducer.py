"""From events to rounds: a pure function that believes no event whose transcript it cannot recompute.

Rules:
- every event names the transcript after it; the reducer extends its own and compares, so a missing, doubled,
  changed or reordered event is found at once (threats C5, P4);
- an event changes only the round that is current, and in the phase that allows it;
- nothing here reads a clock, a chain or a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ledgerfed.errors import VerificationError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.protocol.signature import SIGNATURE_BYTES, recover_address
from ledgerfed.protocol.transcript import (
    Phase,
    after_abort,
    after_certify,
    after_force,
    after_scores,
    after_seal,
    genesis,
    registry_hash,
)
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store.records import (
    CertificateRecord,
    EventRecord,
    GenesisRecord,
    MemberRecord,
    RoundRecord,
)

_FORCE, _CERTIFY, _CHALLENGE = 1, 3, 4


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a federation stands: its registry, what it started from, and the current round."""

    federation: Federation
    members: tuple[MemberRecord, ...] = ()
    genesis: GenesisRecord | None = None
    head: RoundRecord | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The standing after an event, and the rows that it makes or replaces."""

    standing: Standing
    rounds: tuple[RoundRecord, ...] = ()
    genesis: GenesisRecord | None = None
    parts: tuple[MemberRecord | CertificateRecord, ...] = ()


def reduce_event(standing: Standing, block: int, event: EventRecord) -> Change:
    """Return what an event in block number `block` does to the standing.

    Raises:
        VerificationError: the event does not follow from the standing; one before it is missing or changed.
        InvalidValueError: an argument is malformed.
    """
    if event.kind == "MemberRegistered":
        return _register(standing, event.arguments)
    if event.kind == "Genesis":
        return _begin(standing, block, event.arguments)
    head, start = standing.head, standing.genesis
    if head is None or start is None:
        raise VerificationError(
            f"{event.kind} in block {block} comes before Genesis; index from its block on"
        )
    if event.round != head.number:
        raise VerificationError(
            f"{event.kind} of round {event.round} in block {block}, but round {head.number} is current"
        )
    if event.kind in ("Certified", "Aborted"):
        return _end(standing, head, start, block, event)
    return _advance(standing, head, start, block, event)


def _register(standing: Standing, arguments: Mapping[str, Any]) -> Change:
    address = from_hex("member", arguments["member"], 20)
    member = MemberRecord(arguments["index"], address, arguments["epoch"])
    if member.node != len(standing.members):
        raise VerificationError(f"member {member.node} registers, {len(standing.members)} is next")
    return Change(replace(standing, members=(*standing.members, member)), parts=(member,))


def _begin(standing: Standing, block: int, arguments: Mapping[str, Any]) -> Change:
    names = ("config_hash", "registry_hash", "model", "reputations", "transcript")
    config, registry, model, reputations, t = (from_hex(name, arguments[name]) for name in names)
    if registry != registry_hash([member.address for member in standing.members]):
        raise VerificationError(f"the registry hash 0x{registry.hex()} is not that of the registered members")
    _expect(genesis(standing.federation, config, registry, model, reputations), t, "Genesis", block)
    commit, force, score, certify, challenge = arguments["windows"]
    start = GenesisRecord(
        config,
        registry,
        model,
        reputations,
        t,
        arguments["committee"],
        arguments["depth"],
        (commit, force, score, certify, challenge),
        arguments["min_updates"],
        block,
    )
    first = _opened(1, t, model, block, block)
    return Change(replace(standing, genesis=start, head=first), (first,), start)


def _advance(
    standing: Standing, head: RoundRecord, start: GenesisRecord, block: int, event: EventRecord
) -> Change:
    arguments, t = event.arguments, head.transcript
    if event.kind == "Sealed":
        _require(head, Phase.OPEN, event.kind)
        root = from_hex("root", arguments["root"])
        after = replace(
            head,
            phase=Phase.SEALED,
            root=root,
            n=arguments["n"],
            sealed_block=block,
            window_end=block + start.windows[_FORCE],
            transcript=after_seal(t, head.number, root, arguments["n"]),
        )
    elif event.kind == "Forced":
        _require(head, Phase.SEALED, event.kind)
        leaf = from_hex("leaf", arguments["leaf"])
        transcript = after_force(t, head.number, arguments["index"], leaf)
        after = replace(head, forced=head.forced + 1, transcript=transcript)
    elif event.kind == "Scored":
        _require(head, Phase.SEALED, event.kind)
        root = from_hex("root", arguments["root"])
        after = replace(
            head,
            phase=Phase.SCORED,
            score_root=root,
            scored_block=block,
            window_end=block + start.windows[_CERTIFY],
            transcript=after_scores(t, head.number, root),
        )
    else:
        raise VerificationError(f"the contract has no event {event.kind!r}; is this its ledgerfed version?")
    _expect(after.transcript, from_hex("transcript", arguments["transcript"]), event.kind, block)
    return Change(replace(standing, head=after), (after,))


def _end(
    standing: Standing, head: RoundRecord, start: GenesisRecord, block: int, event: EventRecord
) -> Change:
    if event.kind == "Certified":
        _require(head, Phase.SCORED, event.kind)
        ended, opens_at = _certified(head, block, event.arguments), block + start.windows[_CHALLENGE]
        parts = _certificate(standing, start, ended, event.arguments)
    else:
        phase = Phase(event.arguments["phase"])
        _require(head, phase, event.kind)
        t = after_abort(head.transcript, head.number, phase)
        ended = replace(head, phase=Phase.ABORTED, aborted_in=phase, ended_block=block, transcript=t)
        opens_at, parts = block, ()
    t = ended.transcript
    _expect(t, from_hex("transcript", event.arguments["transcript"]), event.kind, block)
    following = _opened(head.number + 1, t, ended.model or head.base_model, block, opens_at)
    return Change(replace(standing, head=following), (ended, following), parts=parts)


def _certified(head: RoundRecord, block: int, arguments: Mapping[str, Any]) -> RoundRecord:
    names = ("manifest", "model", "reputations")
    manifest, model, reputations = (from_hex(name, arguments[name]) for name in names)
    return replace(
        head,
        phase=Phase.CERTIFIED,
        manifest=manifest,
        model=model,
        reputation_root=reputations,
        ended_block=block,
        transcript=after_certify(head.transcript, head.number, manifest, model, reputations),
    )


def _certificate(
    standing: Standing, start: GenesisRecord, ended: RoundRecord, arguments: Mapping[str, Any]
) -> tuple[CertificateRecord, ...]:
    """Return who signed. The contract counted them already; whoever is not of the committee is left out."""
    committee = {m.address: m.node for m in standing.members[: start.committee]}
    digest = certificate_digest(standing.federation, ended.number, ended.transcript)
    found = []
    for text in arguments["signatures"]:
        signature = from_hex("a signature", text, SIGNATURE_BYTES)
        signer = committee.get(recover_address(digest, signature))
        if signer is not None:
            found.append(CertificateRecord(ended.number, signer, signature))
    return tuple(found)


def _opened(number: int, t: bytes, model: bytes, block: int, window_end: int) -> RoundRecord:
    return RoundRecord(number, Phase.OPEN, t, model, block, window_end, t)


def _require(head: RoundRecord, phase: Phase, kind: str) -> None:
    if head.phase != phase:
        raise VerificationError(
            f"{kind} of round {head.number} in phase {Phase(head.phase).name}; an event before it is missing"
        )


def _expect(own: bytes, told: bytes, kind: str, block: int) -> None:
    if own != told:
        raise VerificationError(
            f"{kind} in block {block} leads to the transcript 0x{told.hex()}, the events before it to "
            f"0x{own.hex()}; an event is missing or was changed"
        )
