"""The transcript: one running hash that every transition of the contract extends.

Equal transcripts mean equal histories. The contract computes the same bytes (docs/protocol.md, "Transcript").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash, word
from ledgerfed.protocol.transition import Abort, Certify, Dispute, EpochOpening, Force, Scores, Seal


class Phase(IntEnum):
    """Phases of a round. A round ends CERTIFIED or ABORTED.

    DISPUTED is the phase in which a round aborts that a challenge left with fewer members than the quorum.
    """

    OPEN = 0
    SEALED = 1
    SCORED = 2
    CERTIFIED = 3
    ABORTED = 4
    DISPUTED = 5


def registry_hash(addresses: Sequence[bytes]) -> bytes:
    """Return the hash of the member addresses (20 bytes each) in registry order."""
    return keccak(b"LF1N" + word(len(addresses)) + b"".join(bytes(12) + a for a in addresses))


def genesis(
    federation: Federation, config_hash: bytes, registry: bytes, model: bytes, reputations: bytes
) -> bytes:
    """Return t_0, bound to the chain, the contract and all that the federation starts from."""
    parts = (config_hash, registry, model, reputations)
    for part in parts:
        require_hash("a genesis field", part)
    return keccak(b"LF1G" + federation.words() + b"".join(parts))


def after_seal(t: bytes, round_number: int, root: bytes, n: int) -> bytes:
    """Return the transcript after the relayer anchored the root of n leaves."""
    return Seal(round_number, root, n).after(t)


def after_force(t: bytes, round_number: int, index: int, leaf: bytes) -> bytes:
    """Return the transcript after node `index` forced its leaf in."""
    return Force(round_number, index, leaf).after(t)


def after_scores(t: bytes, round_number: int, score_root: bytes) -> bytes:
    """Return the transcript after the score commitments were anchored."""
    return Scores(round_number, score_root).after(t)


def after_certify(t: bytes, round_number: int, manifest: bytes, model: bytes, reputations: bytes) -> bytes:
    """Return the transcript that a certificate signs and that the chain holds afterwards."""
    return Certify(round_number, manifest, model, reputations).after(t)


def after_abort(t: bytes, round_number: int, phase: Phase) -> bytes:
    """Return the transcript after a round that timed out in `phase` was given up."""
    return Abort(round_number, phase).after(t)


def after_dispute(t: bytes, round_number: int, fault: int, culprits: int, proof: bytes) -> bytes:
    """Return the transcript after a fault that belongs to a round was proven."""
    return Dispute(round_number, fault, culprits, proof).after(t)


def after_epoch(t: bytes, round_number: int, epoch: int, change: bytes) -> bytes:
    """Return the transcript after an epoch was opened, with the hash of what it changes."""
    return EpochOpening(round_number, epoch, change).after(t)
