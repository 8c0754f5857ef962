"""What the hashes of a certified round unfold to: manifest, evidence, model (docs/protocol.md, last line)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledgerfed.audit.events import Certified, Disputed, LedgerEvent
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.model import GlobalModel, decode_model


@dataclass(frozen=True, slots=True)
class RoundDocuments:
    """The decoded documents behind one certified event."""

    event: Certified
    manifest: Manifest
    evidence: RoundEvidence
    model: GlobalModel


def unfold(event: Certified, blobs: Mapping[bytes, bytes]) -> RoundDocuments:
    """Return the documents of a certified round.

    Raises:
        VerificationError: a document is not among the blobs.
        InvalidValueError: a document is not canonical, or a value in it is out of range.
    """
    manifest = Manifest.from_bytes(blob("the manifest", event.manifest, blobs))
    evidence = RoundEvidence.from_bytes(blob("the evidence", manifest.evidence, blobs))
    return RoundDocuments(event, manifest, evidence, decode_model(blob("the model", event.model, blobs)))


def blob(what: str, digest: bytes, blobs: Mapping[bytes, bytes]) -> bytes:
    """Return the blob with this hash, or raise VerificationError naming `what` is missing."""
    if digest not in blobs:
        raise VerificationError(f"{what} {to_hex(digest)} is not in the bundle")
    return blobs[digest]


def standing(events: Sequence[LedgerEvent]) -> tuple[Certified, ...]:
    """Return the certificates that no dispute voided, in order: what is certified of each round."""
    found: list[Certified] = []
    for event in events:
        if isinstance(event, Certified):
            found.append(event)
        elif isinstance(event, Disputed) and event.contested:
            found = [certified for certified in found if certified.round != event.round]
    return tuple(found)


def stray_blobs(
    known: Iterable[bytes], rounds: Iterable[RoundDocuments], blobs: Mapping[bytes, bytes]
) -> tuple[bytes, ...]:
    """Return the hashes of blobs that neither a certified round refers to nor is `known` otherwise."""
    known = set(known)
    for item in rounds:
        known |= {item.event.manifest, item.manifest.evidence, item.event.model}
        known |= {opening.update_hash for opening in item.evidence.openings}
    return tuple(sorted(set(blobs) - known))
