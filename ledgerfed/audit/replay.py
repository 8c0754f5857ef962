"""One certified round, checked: each function proves one thing or raises a VerificationError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledgerfed.audit.documents import RoundDocuments, blob
from ledgerfed.audit.events import Scored, Sealed
from ledgerfed.audit.history import Certificate
from ledgerfed.audit.rules import RoundTrace, Rules
from ledgerfed.consensus.authenticate import authenticate, effective_leaves, score_root, seal_root
from ledgerfed.consensus.decide import decide
from ledgerfed.consensus.gates import PastUpdate, RoundInput
from ledgerfed.consensus.history import held_indices, held_openings
from ledgerfed.errors import RoundAbortedError, VerificationError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.manifest import Manifest, Outcome
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.signature import recover_address
from ledgerfed.protocol.typed_data import certificate_digest


def check_roots(rules: Rules, trace: RoundTrace, documents: RoundDocuments) -> None:
    """Check that the events of the round are about exactly these documents."""
    evidence, manifest, event = documents.evidence, documents.manifest, documents.event
    sealed, scored = _anchors(trace)
    same("the round of the manifest", manifest.round, trace.number)
    same("the round of the evidence", evidence.round, trace.number)
    same("the federation of the manifest", manifest.federation, rules.federation)
    same("the federation of the evidence", evidence.federation, rules.federation)
    same("the model of the manifest", manifest.model, event.model)
    same("the reputation root of the manifest", manifest.reputation_root, event.reputations)
    same("the transcript that the evidence opens at", evidence.opened_at, trace.opened_at)
    same("the number of sealed leaves", len(evidence.leaves), sealed.n)
    same("the root of the sealed leaves", seal_root(rules.config, evidence), sealed.root)
    forced = [(item.index, item.leaf) for item in evidence.forced]
    same("the forced leaves", forced, [(item.index, item.leaf) for item in trace.forced])
    same("the root of the score commitments", score_root(rules.config, evidence), scored.root)


def check_reveals(config: FederationConfig, documents: RoundDocuments) -> int:
    """Check that every score reveal opens its commitment and enough did; return how many."""
    evidence = documents.evidence
    commitments = {item.index: item.commitment for item in evidence.commitments}
    for reveal in evidence.reveals:
        what = f"of validator {reveal.index}"
        same(f"the number of scores {what}", len(reveal.scores), config.capacity)
        found = reveal.commitment(evidence.federation)
        same(f"the score commitment {what}", found, commitments.get(reveal.index))
    if len(evidence.reveals) < 2 * config.faults + 1:
        raise VerificationError(f"{len(evidence.reveals)} score reveals, {2 * config.faults + 1} are needed")
    return len(evidence.reveals)


def check_openings(config: FederationConfig, documents: RoundDocuments, blobs: Mapping[bytes, bytes]) -> int:
    """Check that every opening is the preimage of its leaf, with its payload if f + 1 held it."""
    evidence = documents.evidence
    leaves = effective_leaves(evidence)
    for opening in evidence.openings:
        found = opening.leaf(evidence.federation)
        same(f"the leaf of node {opening.index}", found, leaves.get(opening.index))
    missing = (held_indices(config, evidence) & leaves.keys()) - {o.index for o in evidence.openings}
    if missing:
        raise VerificationError(f"opening {min(missing)} is left out, though more than f validators hold it")
    for opening in held_openings(config, evidence):
        blob(f"the payload of node {opening.index}", opening.update_hash, blobs)
    return len(evidence.openings)


def check_signatures(
    rules: Rules, trace: RoundTrace, documents: RoundDocuments, certificate: Certificate
) -> int:
    """Check every signature of leaves, score commitments and certificate; return how many there are."""
    evidence, (sealed, scored) = documents.evidence, _anchors(trace)
    found = authenticate(rules.config, rules.members, evidence, sealed.at.block_number)
    same("the transcript that the evidence leads to", found, scored.transcript)
    digest = certificate_digest(evidence.federation, trace.number, documents.event.transcript)
    check_certificate(rules, digest, certificate)
    return len(evidence.leaves) + len(evidence.commitments) + len(certificate.split())


def check_certificate(rules: Rules, digest: bytes, certificate: Certificate) -> None:
    """Check that q distinct committee members signed `digest`, in ascending index, as the contract does."""
    committee = rules.members[: rules.config.committee]
    signers = [recover_address(digest, signature) for signature in certificate.split()]
    for signer in signers:
        if signer not in committee:
            raise VerificationError(f"certificate signed by {to_hex(signer)}, who is not on the committee")
    indices = [committee.index(signer) for signer in signers]
    if indices != sorted(set(indices)):
        raise VerificationError(f"certificate signed by {indices}, not once each in ascending index")
    if len(indices) < rules.config.quorum:
        raise VerificationError(f"certificate signed by {len(indices)}, {rules.config.quorum} are needed")


def replay_decision(
    config: FederationConfig,
    base: GlobalModel,
    reputations: Sequence[Reputation],
    documents: RoundDocuments,
    history: tuple[PastUpdate, ...],
    blobs: Mapping[bytes, bytes],
) -> Outcome:
    """Decide the round again and check that its manifest comes out byte by byte.

    The manifest carries the hash of the model and the root of the reputations, so these come out too.
    """
    evidence, event = documents.evidence, documents.event
    wanted = {opening.update_hash for opening in evidence.openings}
    payloads = {digest: blobs[digest] for digest in wanted if digest in blobs}
    given = RoundInput(config, base, tuple(reputations), evidence, payloads, history)
    try:
        outcome = decide(given)
    except RoundAbortedError as error:
        raise VerificationError(f"certified, but the replay aborts: {error}") from error
    manifest = outcome.manifest()
    if manifest.hash() != event.manifest:
        raise VerificationError(_difference(manifest, documents.manifest))
    return outcome


def _anchors(trace: RoundTrace) -> tuple[Sealed, Scored]:
    if trace.sealed is None or trace.scored is None:
        raise VerificationError("certified without a seal or without scores")
    return trace.sealed, trace.scored


def _difference(replayed: Manifest, certified: Manifest) -> str:
    """Return the first value in which two manifests differ."""
    for ours, theirs in zip(replayed.verdicts, certified.verdicts, strict=False):
        if ours != theirs:
            return f"the verdict on node {ours.index} replays as {ours}, the manifest says {theirs}"
    here, there = replayed.document(), certified.document()
    key = next(key for key in sorted(here) if here[key] != there[key])
    return f"{key} replays as {here[key]}, the manifest says {there[key]}"


def same(what: str, found: object, expected: object) -> None:
    """Check that two values are equal, or raise VerificationError with both."""
    if found != expected:
        raise VerificationError(f"{what} is {_spell(found)}, expected {_spell(expected)}")


def _spell(value: object) -> str:
    if isinstance(value, bytes):
        return to_hex(value) if len(value) <= 32 else f"{to_hex(value[:32])}... ({len(value)} bytes)"
    return str(value)
