"""From rows to answers: certificates, the one that stands and those that fell."""

from __future__ import annotations

from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store.reading import read_certificate, read_keys
from ledgerfed.store.records import FallenRecord, RoundRecord
from ledgerfed_api.present import challenge_window
from ledgerfed_api.schemas import Certificate, Signed
from ledgerfed_api.view import View


def standing_certificate(view: View, found: RoundRecord) -> Certificate:
    """Return the certificate of a round; it must have one."""
    manifest, model, root = found.manifest, found.model, found.reputation_root
    assert manifest is not None
    assert model is not None
    assert root is not None
    outcome = (manifest, model, root)
    return _certificate(view, found, found.attempt, outcome, found.transcript, None)


def void_certificate(view: View, found: RoundRecord, record: FallenRecord) -> Certificate:
    """Return a certificate that a dispute took back."""
    outcome = (record.manifest, record.model, record.reputation_root)
    return _certificate(view, found, record.attempt, outcome, record.transcript, record.dispute)


def _certificate(
    view: View,
    found: RoundRecord,
    attempt: int,
    outcome: tuple[bytes, bytes, bytes],
    transcript: bytes,
    dispute: int | None,
) -> Certificate:
    manifest, model, root = outcome
    return Certificate(
        round=found.number,
        attempt=attempt,
        void=dispute is not None,
        dispute=dispute,
        challenge=challenge_window(view, found) if dispute is None else None,
        finalized=view.is_final(found),
        transcript=to_hex(transcript),
        manifest=to_hex(manifest),
        model=to_hex(model),
        reputation_root=to_hex(root),
        digest=to_hex(certificate_digest(view.record.federation, found.number, transcript)),
        quorum=view.epoch_of(found).quorum,
        signatures=_signatures(view, found, attempt),
    )


def _signatures(view: View, found: RoundRecord, attempt: int) -> list[Signed]:
    """Return who signed, each with the key that it had in the epoch of the round."""
    keys = {key.node: key.address for key in read_keys(view.connection, view.id) if key.epoch <= found.epoch}
    return [
        Signed(validator=s.validator, address=to_hex(keys[s.validator]), signature=to_hex(s.signature))
        for s in read_certificate(view.connection, view.id, found.number, attempt)
    ]
