"""One certified round, checked: each function proves one thing or raises a VerificationError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledgerfed.audit.disputes import convicted
from ledgerfed.audit.documents import RoundDocuments, blob
from ledgerfed.audit.epochs import Epoch
from ledgerfed.audit.events import Certified, Disputed, Scored, Sealed
from ledgerfed.audit.history import Certificate
from ledgerfed.audit.state import RoundTrace
from ledgerfed.consensus.authenticate import authenticate, effective_leaves, score_root, seal_root
from ledgerfed.consensus.decide import decide
from ledgerfed.consensus.gates import PastUpdate, RoundInput
from ledgerfed.consensus.history import held_indices, held_openings
from ledgerfed.errors import RoundAbortedError, VerificationError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.manifest import Manifest, Outcome
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.signature import recover_address
from ledgerfed.protocol.transition import Dispute, Fault, Force, Scores, Transition
from ledgerfed.protocol.typed_data import certificate_digest


def check_roots(federation: Federation, trace: RoundTrace, documents: RoundDocuments) -> None:
    """Check that the events of the round are about exactly these documents."""
    evidence, manifest, event = documents.evidence, documents.manifest, documents.event
    sealed, scored = _anchors(trace)
    config = trace.epoch.config
    same("the round of the manifest", manifest.round, trace.number)
    same("the round of the evidence", evidence.round, trace.number)
    same("the federation of the manifest", manifest.federation, federation)
    same("the federation of the evidence", evidence.federation, federation)
    same("the model of the manifest", manifest.model, event.model)
    same("the reputation root of the manifest", manifest.reputation_root, event.reputations)
    same("the transcript that the evidence opens at", evidence.opened_at, trace.opened_at)
    same("the number of sealed leaves", len(evidence.leaves), sealed.n)
    same("the root of the sealed leaves", seal_root(config, evidence), sealed.root)
    for kind, what in ((Force, "forced leaves"), (Dispute, "disputes"), (Scores, "scores")):
        same(f"the {what} of the evidence", _of(kind, evidence.history), _of(kind, trace.history))
    same("the history of the evidence", evidence.history, trace.history)
    same("the root of the score commitments", score_root(config, evidence), scored.root)


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


def check_signatures(trace: RoundTrace, documents: RoundDocuments) -> int:
    """Check every signature of leaves and score commitments; return how many there are."""
    evidence, (sealed, _) = documents.evidence, _anchors(trace)
    epoch, block = trace.epoch, sealed.at.block_number
    found = authenticate(epoch.config, epoch.members, evidence, block, trace.removed)
    same("the transcript that the evidence leads to", found, trace.scored_at)
    return len(evidence.leaves) + len(evidence.commitments)


def check_certificates(federation: Federation, trace: RoundTrace, certificates: Sequence[Certificate]) -> int:
    """Check who signed the certificates of a round, those that fell too; return how many signatures."""
    removed, wanted = trace.removed, list(certificates)
    signers: tuple[int, ...] = ()
    ended = (trace.ended,) if isinstance(trace.ended, Certified) else ()
    for step in (*trace.steps, *ended):
        if isinstance(step, Certified):
            digest = certificate_digest(federation, trace.number, step.transcript)
            signers = check_certificate(trace.epoch, removed, digest, wanted.pop(0))
        elif isinstance(step, Disputed):
            culprits = convicted(step, trace.epoch)
            if step.fault == Fault.WRONG_MEDIAN:
                same("the culprits of the wrong median", sorted(culprits), sorted(signers))
            removed |= culprits
    return sum(len(certificate.split()) for certificate in certificates)


def check_certificate(
    epoch: Epoch, removed: frozenset[int], digest: bytes, certificate: Certificate
) -> tuple[int, ...]:
    """Check that q distinct committee members signed `digest`, in ascending index, as the contract does.

    Returns:
        their registry indices; nobody `removed` is among them.
    """
    indices = []
    for signature in certificate.split():
        signer = recover_address(digest, signature)
        index = epoch.index_of(signer)
        if index is None:
            raise VerificationError(f"certificate signed by {to_hex(signer)}, who is not on the committee")
        if index in removed:
            raise VerificationError(f"certificate signed by {index}, who was removed")
        indices.append(index)
    if indices != sorted(set(indices)):
        raise VerificationError(f"certificate signed by {indices}, not once each in ascending index")
    if len(indices) < epoch.config.quorum:
        raise VerificationError(f"certificate signed by {len(indices)}, {epoch.config.quorum} are needed")
    return tuple(indices)


def replay_decision(
    trace: RoundTrace,
    base: GlobalModel,
    earlier: Sequence[bytes],
    reputations: Sequence[Reputation],
    documents: RoundDocuments,
    history: tuple[PastUpdate, ...],
    blobs: Mapping[bytes, bytes],
) -> Outcome:
    """Decide the round again and check that its manifest comes out byte by byte.

    `earlier` are the hashes of the models in force before the base, newest first. The manifest carries the
    hash of the model and the root of the reputations, so these come out too.
    """
    evidence, event = documents.evidence, documents.event
    wanted = {opening.update_hash for opening in evidence.openings}
    payloads = {digest: blobs[digest] for digest in wanted if digest in blobs}
    config, faulted = trace.epoch.config, trace.faulted
    given = RoundInput(config, base, tuple(reputations), evidence, payloads, history, faulted, tuple(earlier))
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


def _of(kind: type[Transition], history: Sequence[Transition]) -> list[Transition]:
    return [step for step in history if isinstance(step, kind)]


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
