"""From hashes to rows: what a certificate stands for, once the documents that it hashes are here.

Rules:
- a document counts only if it is what the chain committed to: its hash is checked by the blob store, what it
  says of itself (federation, round, roots) is checked here;
- a missing document is no error: the round waits;
- only a certificate that stands is unfolded; of one that fell, the hashes are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledgerfed.errors import InvalidValueError, NotFoundError, VerificationError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.manifest import Manifest, Verdict
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.reputation import Reputation, reputation_tree
from ledgerfed.protocol.transcript import after_certify, after_seal
from ledgerfed.store.records import (
    GenesisRecord,
    ReputationRecord,
    RoundRecord,
    ScoreRecord,
    UpdateRecord,
)


class Blobs(Protocol):
    """Documents by hash."""

    def get(self, digest: bytes) -> bytes:
        """Return the bytes whose keccak-256 is `digest`; raises NotFoundError when they are not here."""


Rows = list[UpdateRecord | ScoreRecord | ReputationRecord]


def unfold_genesis(start: GenesisRecord, members: int, blobs: Blobs) -> list[ReputationRecord]:
    """Return the reputations that the members of the genesis registry start with.

    Raises:
        NotFoundError: the configuration is not here yet.
        VerificationError: the configuration does not lead to the reputation root of the Genesis event.
    """
    config = FederationConfig.from_bytes(blobs.get(start.config_hash))
    return _reputations(0, (config.genesis_reputation,) * members, start.depth, start.reputation_root)


def unfold_round(
    federation: Federation, start: GenesisRecord, certified: RoundRecord, blobs: Blobs
) -> tuple[bytes, Rows]:
    """Return the evidence hash and the rows of a certified round.

    Raises:
        NotFoundError: the manifest or the evidence is not here yet.
        VerificationError: a document contradicts the chain; InvalidValueError: it is malformed.
    """
    assert certified.manifest is not None
    manifest = Manifest.from_bytes(blobs.get(certified.manifest))
    evidence = RoundEvidence.from_bytes(blobs.get(manifest.evidence))
    _check_manifest(federation, certified, manifest)
    _check_evidence(federation, certified, evidence, start.depth)
    rows: Rows = [_update(evidence, verdict) for verdict in manifest.verdicts]
    rows += _scores(evidence)
    results = [verdict.result for verdict in manifest.verdicts]
    root = manifest.reputation_root
    rows += _reputations(certified.number, manifest.reputations, start.depth, root, results)
    return manifest.evidence, rows


def evidence_of(manifest: bytes, blobs: Blobs) -> bytes | None:
    """Return the evidence hash in a manifest, None when it is not here or is no manifest."""
    try:
        return Manifest.from_bytes(blobs.get(manifest)).evidence
    except (NotFoundError, InvalidValueError):
        return None


def _check_manifest(federation: Federation, certified: RoundRecord, manifest: Manifest) -> None:
    told = (
        manifest.federation,
        manifest.round,
        manifest.base_model,
        manifest.model,
        manifest.reputation_root,
    )
    chain = (
        federation,
        certified.number,
        certified.base_model,
        certified.model,
        certified.reputation_root,
    )
    if told != chain:
        raise VerificationError(f"the manifest of round {certified.number} contradicts the chain")


def _check_evidence(
    federation: Federation, certified: RoundRecord, evidence: RoundEvidence, depth: int
) -> None:
    told = (
        evidence.federation,
        evidence.round,
        evidence.opened_at,
        build_tree({item.index: item.leaf for item in evidence.leaves}, depth).root,
        len(evidence.leaves),
        build_tree({item.index: item.commitment for item in evidence.commitments}, depth).root,
        _certified_at(certified, evidence),
    )
    chain = (
        federation,
        certified.number,
        certified.opened_at,
        certified.root,
        certified.n,
        certified.score_root,
        certified.transcript,
    )
    names = ("federation", "round", "opened_at", "root", "n", "score_root", "history")
    wrong = [name for name, a, b in zip(names, told, chain, strict=True) if a != b]
    if wrong:
        raise VerificationError(
            f"the evidence of round {certified.number} contradicts the chain in {', '.join(wrong)}"
        )


def _certified_at(certified: RoundRecord, evidence: RoundEvidence) -> bytes:
    """Return the transcript that the history in the evidence leads to with the certified outcome."""
    root, n, model, reputations = certified.root, certified.n, certified.model, certified.reputation_root
    assert root is not None
    assert n is not None
    assert certified.manifest is not None
    assert model is not None
    assert reputations is not None
    t = after_seal(evidence.opened_at, certified.number, root, n)
    for transition in evidence.history:
        t = transition.after(t)
    return after_certify(t, certified.number, certified.manifest, model, reputations)


def _update(evidence: RoundEvidence, verdict: Verdict) -> UpdateRecord:
    sealed = next((x for x in evidence.leaves if x.index == verdict.index), None)
    forced = next((x for x in evidence.forced if x.index == verdict.index), None)
    opening = next((x for x in evidence.openings if x.index == verdict.index), None)
    leaf = forced or sealed
    return UpdateRecord(
        round=evidence.round,
        node=verdict.index,
        leaf=leaf.leaf if leaf else None,
        forced=forced is not None,
        deadline=sealed.deadline if sealed else None,
        signature=sealed.signature if sealed else None,
        base_model=opening.base_model if opening else None,
        update_hash=opening.update_hash if opening else None,
        n_samples=opening.n_samples if opening else None,
        schema=opening.schema if opening else None,
        salt=opening.salt if opening else None,
        reason=verdict.reason.value,
        score=verdict.score,
        weight=verdict.weight,
        measures=dict(verdict.measures),
        heard=verdict.heard,
    )


def _scores(evidence: RoundEvidence) -> list[ScoreRecord]:
    revealed = {vector.index: vector for vector in evidence.reveals}
    rows = []
    for commitment in evidence.commitments:
        vector = revealed.get(commitment.index)
        rows.append(
            ScoreRecord(
                evidence.round,
                commitment.index,
                commitment.commitment,
                commitment.signature,
                vector.salt if vector else None,
                vector.scores if vector else None,
            )
        )
    return rows


def _reputations(
    round_number: int,
    values: tuple[Reputation, ...],
    depth: int,
    root: bytes,
    results: Sequence[bytes] | None = None,
) -> list[ReputationRecord]:
    if reputation_tree(values, depth, results).root != root:
        raise VerificationError(f"the reputations after round {round_number} do not have the certified root")
    return [ReputationRecord(round_number, node, *value.row()) for node, value in enumerate(values)]
