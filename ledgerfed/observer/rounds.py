"""What seals, forced leaves, scores, certificates and aborts do to the current round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ledgerfed.errors import VerificationError
from ledgerfed.observer.standing import (
    Begun,
    Effect,
    Standing,
    begun,
    opened_round,
    require_transcript,
    with_round_ended,
)
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.protocol.signature import SIGNATURE_BYTES, recover_address
from ledgerfed.protocol.transcript import (
    Phase,
    after_abort,
    after_certify,
    after_force,
    after_scores,
    after_seal,
)
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store.records import CertificateRecord, EventRecord, RoundRecord

_FORCE, _CERTIFY = 1, 3


def move_round(standing: Standing, block: int, event: EventRecord) -> Effect:
    """Return what an event of the current round does."""
    now = begun(standing, event.kind, block)
    if event.round != now.head.number:
        raise VerificationError(
            f"{event.kind} of round {event.round} in block {block}, but round {now.head.number} is current"
        )
    if event.kind == "Certified":
        return _certify(standing, now, block, event)
    if event.kind == "Aborted":
        return _abort(standing, now, block, event)
    after = {"Sealed": _seal, "Forced": _force, "Scored": _score}[event.kind](now, block, event.arguments)
    require_transcript(after.transcript, event.arguments, event.kind, block)
    return Effect(replace(standing, head=after, contestable=None), (after,))


def _seal(now: Begun, block: int, arguments: Mapping[str, Any]) -> RoundRecord:
    head = _in_phase(now, Phase.OPEN, "Sealed")
    root = from_hex("root", arguments["root"])
    return replace(
        head,
        phase=Phase.SEALED,
        root=root,
        n=arguments["n"],
        sealed_block=block,
        window_end=block + now.genesis.windows[_FORCE],
        transcript=after_seal(head.transcript, head.number, root, arguments["n"]),
    )


def _force(now: Begun, _block: int, arguments: Mapping[str, Any]) -> RoundRecord:
    head = _in_phase(now, Phase.SEALED, "Forced")
    leaf = from_hex("leaf", arguments["leaf"])
    transcript = after_force(head.transcript, head.number, arguments["index"], leaf)
    return replace(head, forced=head.forced + 1, transcript=transcript)


def _score(now: Begun, block: int, arguments: Mapping[str, Any]) -> RoundRecord:
    head = _in_phase(now, Phase.SEALED, "Scored")
    root = from_hex("root", arguments["root"])
    return replace(
        head,
        phase=Phase.SCORED,
        score_root=root,
        scored_block=block,
        window_end=block + now.genesis.windows[_CERTIFY],
        transcript=after_scores(head.transcript, head.number, root),
    )


def _certify(standing: Standing, now: Begun, block: int, event: EventRecord) -> Effect:
    head = _in_phase(now, Phase.SCORED, event.kind)
    names = ("manifest", "model", "reputations")
    manifest, model, reputations = (from_hex(name, event.arguments[name]) for name in names)
    ended = replace(
        head,
        phase=Phase.CERTIFIED,
        manifest=manifest,
        model=model,
        reputation_root=reputations,
        ended_block=block,
        transcript=after_certify(head.transcript, head.number, manifest, model, reputations),
    )
    require_transcript(ended.transcript, event.arguments, event.kind, block)
    opens_at = block + now.genesis.challenge_window
    following = opened_round(head.number + 1, ended.transcript, model, block, opens_at, now.epoch.number)
    after, changed = with_round_ended(replace(standing, contestable=ended), following)
    return Effect(after, (ended, following, *changed, *_certificate(standing, now, ended, event.arguments)))


def _abort(standing: Standing, now: Begun, block: int, event: EventRecord) -> Effect:
    phase = Phase(event.arguments["phase"])
    if phase == Phase.DISPUTED:
        _require_too_few(now)
    else:
        _in_phase(now, phase, event.kind)
    head = now.head
    t = after_abort(head.transcript, head.number, phase)
    require_transcript(t, event.arguments, event.kind, block)
    ended = replace(head, phase=Phase.ABORTED, aborted_in=phase, ended_block=block, transcript=t)
    following = opened_round(head.number + 1, t, head.base_model, block, block, now.epoch.number)
    after, changed = with_round_ended(replace(standing, contestable=None), following)
    return Effect(after, (ended, following, *changed))


def _certificate(
    standing: Standing, now: Begun, ended: RoundRecord, arguments: Mapping[str, Any]
) -> tuple[CertificateRecord, ...]:
    """Return who signed. The contract counted them already; whoever is not of the committee is left out."""
    committee = {standing.members[index].address: index for index in now.epoch.committee}
    digest = certificate_digest(standing.federation, ended.number, ended.transcript)
    found = []
    for text in arguments["signatures"]:
        signature = from_hex("a signature", text, SIGNATURE_BYTES)
        signer = committee.get(recover_address(digest, signature))
        if signer is not None:
            found.append(CertificateRecord(ended.number, ended.attempt, signer, signature))
    return tuple(found)


def _in_phase(now: Begun, phase: Phase, kind: str) -> RoundRecord:
    if now.head.phase != phase:
        raise VerificationError(
            f"{kind} of round {now.head.number} in phase {Phase(now.head.phase).name}; "
            "an event before it is missing"
        )
    return now.head


def _require_too_few(now: Begun) -> None:
    if now.head.phase == Phase.OPEN or now.epoch.left >= now.epoch.quorum:
        raise VerificationError(
            f"round {now.head.number} is given up for want of members, but {now.epoch.left} of "
            f"{len(now.epoch.committee)} are left; a dispute before it is missing"
        )
