"""From rows to answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.manifest import Manifest, Reason
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.predictions import PREDICTIONS
from ledgerfed.protocol.reputation import Evidence
from ledgerfed.protocol.score import GATED, NOT_HELD
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store.reading import read_fallen, read_head, read_members, read_ownership, read_proposal
from ledgerfed.store.records import (
    EpochRecord,
    FallenRecord,
    GenesisRecord,
    MemberRecord,
    ReputationRecord,
    RoundRecord,
    ScoreRecord,
    TrailRecord,
    UpdateRecord,
)
from ledgerfed_api import present_epochs as epochs
from ledgerfed_api import schemas
from ledgerfed_api.view import View


def federation(view: View) -> schemas.Federation:
    """Return a federation with what is known of it."""
    start, contract = view.start, to_hex(view.record.federation.contract)
    head, pending = read_head(view.connection, view.id), read_proposal(view.connection, view.id)
    members = read_members(view.connection, view.id)
    return schemas.Federation(
        id=contract,
        chain_id=view.record.federation.chain_id,
        contract=contract,
        first_block=view.record.first_block,
        name=_name(view, start),
        genesis=None if start is None else _genesis(start),
        epoch=None if view.epoch is None else _epoch(view, view.epoch, members),
        proposal=None if pending is None else epochs.proposal(pending, members),
        owner=epochs.owner(read_ownership(view.connection, view.id)).owner,
        nodes=len(members),
        round=None if head is None else head.number,
        transcript=None if head is None else to_hex(head.transcript),
    )


def round_summary(view: View, found: RoundRecord) -> schemas.RoundSummary:
    """Return a round as the chain tells it."""
    return schemas.RoundSummary(**_round_fields(view, found))


def round_detail(view: View, found: RoundRecord, verdicts: list[UpdateRecord]) -> schemas.Round:
    """Return a round with its verdicts, in registry order."""
    admitted = [v.node for v in verdicts if v.reason == Reason.ADMITTED]
    rejected = [
        schemas.Rejection(node=v.node, reason=v.reason) for v in verdicts if v.reason != Reason.ADMITTED
    ]
    known = found.unfolded and found.number > 0
    manifest = _manifest(view, found) if known else None
    return schemas.Round(
        **_round_fields(view, found),
        admitted=admitted if known else None,
        rejected=rejected if known else None,
        drift=None if manifest is None else schemas.Drift(**manifest.drift.document()),
        stabilised=None if manifest is None else manifest.stabilised,
        aggregation=None if manifest is None else schemas.Aggregation(**manifest.aggregation.document()),
        scorers=None if manifest is None else [schemas.Scorer(**s.document()) for s in manifest.scorers],
        fallen=[fallen(record) for record in read_fallen(view.connection, view.id, found.number)],
    )


def fallen(record: FallenRecord) -> schemas.Fallen:
    """Return a certificate that a dispute voided."""
    return schemas.Fallen(
        attempt=record.attempt,
        dispute=record.dispute,
        certified_block=record.certified_block,
        manifest=to_hex(record.manifest),
        evidence=_hex(record.evidence),
        model=to_hex(record.model),
        reputation_root=to_hex(record.reputation_root),
        transcript=to_hex(record.transcript),
    )


def challenge_window(view: View, found: RoundRecord) -> schemas.ChallengeWindow | None:
    """Return until when the certificate of a round can fall, None when it has none."""
    last = view.changes_until(found)
    if last is None or found.phase != Phase.CERTIFIED or found.number == 0:
        return None
    return schemas.ChallengeWindow(until=last, open=view.reached is not None and view.reached.number < last)


def update(record: UpdateRecord) -> schemas.Update:
    """Return one node's update and verdict."""
    return schemas.Update(
        node=record.node,
        leaf=_hex(record.leaf),
        forced=record.forced,
        deadline=record.deadline,
        signature=_hex(record.signature),
        opening=_opening(record),
        admitted=record.reason == Reason.ADMITTED,
        reason=record.reason,
        score=record.score,
        heard=list(record.heard),
        weight=record.weight,
        measures=dict(record.measures),
    )


def score_vector(record: ScoreRecord) -> schemas.ScoreVector:
    """Return one validator's scores, sentinels by name."""
    names: dict[int, schemas.Sentinel] = {NOT_HELD: "NOT_HELD", GATED: "GATED"}
    revealed = None if record.scores is None else [names.get(s, s) for s in record.scores]
    return schemas.ScoreVector(
        validator=record.validator,
        commitment=to_hex(record.commitment),
        signature=to_hex(record.signature),
        salt=_hex(record.salt),
        scores=revealed,
    )


def reputation(record: ReputationRecord) -> schemas.Reputation:
    """Return a reputation with the values that its integers stand for."""
    return schemas.Reputation(
        round=record.round,
        a=record.a,
        b=record.b,
        va=record.va,
        vb=record.vb,
        quarantined_until=record.quarantined_until,
        trainer=Evidence(record.a, record.b).value,
        validator=Evidence(record.va, record.vb).value,
    )


def model(found: GlobalModel) -> schemas.Model:
    """Return a global model."""
    return schemas.Model(
        hash=to_hex(found.hash()),
        schema_hash=to_hex(found.schema),
        exchange="predictions" if found.kind == PREDICTIONS else "information",
        contributors=found.contributors,
        width=found.width,
        theta=[str(v) for v in found.theta.values],
        theta_scale=found.theta.scale,
        precision=[str(v) for v in found.precision.values],
        precision_scale=found.precision.scale,
    )


def trail_entry(view: View, record: TrailRecord) -> schemas.TrailEntry:
    """Return one event of the audit trail."""
    final = -1 if view.reached is None else view.reached.finalized
    time = datetime.fromtimestamp(record.timestamp, UTC)
    return schemas.TrailEntry(
        block_number=record.block_number,
        block_hash=to_hex(record.block_hash),
        timestamp=record.timestamp,
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        transaction=to_hex(record.tx_hash),
        log_index=record.log_index,
        kind=record.kind,
        round=record.round,
        arguments=dict(record.arguments),
        canonical=record.canonical,
        finalized=record.canonical and record.block_number <= final,
    )


def deadlines(start: GenesisRecord, found: RoundRecord, *, due: bool) -> schemas.Deadlines:
    """Return what may happen next in a round (docs/protocol.md, "State machine on chain").

    `due`: an epoch is; nobody can seal before it is opened.
    """
    end, (commit, _, score, _, _) = found.window_end, start.windows
    blocks: dict[str, int] = {}
    if found.number > 0 and found.phase == Phase.OPEN and due:
        blocks = {"open_epoch_from": end + 1, "abort_from": end + commit + 1}
    elif found.number > 0 and found.phase == Phase.OPEN:
        blocks = {
            "seal_from": end + 1,
            "seal_by_anyone_from": end + commit // 2 + 1,
            "seal_until": end + commit,
        }
    elif found.phase == Phase.SEALED:
        blocks = {"force_until": end, "scores_from": end + 1, "scores_by_anyone_from": end + score // 2 + 1}
        blocks["scores_until"] = end + score
    elif found.phase == Phase.SCORED:
        blocks = {"certify_until": end}
    if blocks:
        blocks.setdefault("abort_from", max(blocks.values()) + 1)
    return schemas.Deadlines(**dict.fromkeys(schemas.Deadlines.model_fields, None) | blocks)


def _epoch_is_due(view: View, found: RoundRecord) -> bool:
    """Whether nobody can seal the round before an epoch is opened."""
    pending = read_proposal(view.connection, view.id) if found.phase == Phase.OPEN else None
    return pending is not None and pending.due


def _round_fields(view: View, found: RoundRecord) -> dict[str, Any]:
    return {
        "number": found.number,
        "phase": Phase(found.phase).name if found.number else "GENESIS",
        "epoch": found.epoch,
        "attempt": found.attempt,
        "base_model": to_hex(found.base_model),
        "model": _hex(found.model),
        "leaf_root": _hex(found.root),
        "leaves": found.n,
        "forced": found.forced,
        "score_root": _hex(found.score_root),
        "manifest": _hex(found.manifest),
        "evidence": _hex(found.evidence),
        "reputation_root": _hex(found.reputation_root),
        "opened_at": to_hex(found.opened_at),
        "transcript": to_hex(found.transcript),
        "aborted_in": None if found.aborted_in is None else Phase(found.aborted_in).name,
        "blocks": schemas.Blocks(
            opened=found.opened_block,
            sealed=found.sealed_block,
            scored=found.scored_block,
            ended=found.ended_block,
        ),
        "deadlines": deadlines(view.begun(), found, due=_epoch_is_due(view, found)),
        "challenge": challenge_window(view, found),
        "documents": found.unfolded,
        "finalized": view.is_final(found),
    }


def _manifest(view: View, found: RoundRecord) -> Manifest | None:
    """Return what a round decided; None when it decided nothing, or the document is gone from the store."""
    if found.manifest is None or not view.store.blobs.has(found.manifest):
        return None
    return Manifest.from_bytes(view.store.blobs.get(found.manifest))


def _opening(record: UpdateRecord) -> schemas.Opening | None:
    if record.base_model is None or record.update_hash is None or record.n_samples is None:
        return None
    if record.schema is None or record.salt is None:
        return None
    return schemas.Opening(
        base_model=to_hex(record.base_model),
        update_hash=to_hex(record.update_hash),
        n_samples=record.n_samples,
        schema_hash=to_hex(record.schema),
        salt=to_hex(record.salt),
    )


def _epoch(view: View, record: EpochRecord, members: list[MemberRecord]) -> schemas.Epoch:
    return epochs.epoch(view, record, epochs.joined_in(members, record.number))


def _name(view: View, start: GenesisRecord | None) -> str | None:
    if start is None or not start.unfolded:
        return None
    return FederationConfig.from_bytes(view.store.blobs.get(start.config_hash)).name


def _genesis(start: GenesisRecord) -> schemas.Genesis:
    return schemas.Genesis(
        config_hash=to_hex(start.config_hash),
        registry_hash=to_hex(start.registry_hash),
        model=to_hex(start.model),
        reputation_root=to_hex(start.reputation_root),
        transcript=to_hex(start.transcript),
        committee=list(start.committee),
        quorum=2 * len(start.committee) // 3 + 1,
        depth=start.depth,
        min_updates=start.min_updates,
        windows=_windows(start.windows),
        leaves_on_chain=start.leaves_on_chain,
        block=start.block,
    )


def _windows(windows: tuple[int, int, int, int, int]) -> schemas.Windows:
    commit, force, score, certify, challenge = windows
    return schemas.Windows(commit=commit, force=force, score=score, certify=certify, challenge=challenge)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else to_hex(value)
