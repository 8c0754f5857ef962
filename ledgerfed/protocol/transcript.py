"""The transcript: one running hash that every transition of the contract extends.

Equal transcripts mean equal histories. The contract computes the same bytes (docs/protocol.md, "Transcript").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash, word


class Transition(IntEnum):
    """Kinds of transition, as hashed."""

    SEAL = 1
    FORCE = 2
    SCORES = 3
    CERTIFY = 4
    DISPUTE = 5
    ABORT = 6


class Phase(IntEnum):
    """Phases of a round. A round ends CERTIFIED or ABORTED; DISPUTED is reserved for challenges."""

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
    return _extend(t, Transition.SEAL, round_number, require_hash("the root", root) + word(n))


def after_force(t: bytes, round_number: int, index: int, leaf: bytes) -> bytes:
    """Return the transcript after node `index` forced its leaf in."""
    return _extend(t, Transition.FORCE, round_number, word(index) + require_hash("the leaf", leaf))


def after_scores(t: bytes, round_number: int, score_root: bytes) -> bytes:
    """Return the transcript after the score commitments were anchored."""
    return _extend(t, Transition.SCORES, round_number, require_hash("the score root", score_root))


def after_certify(t: bytes, round_number: int, manifest: bytes, model: bytes, reputations: bytes) -> bytes:
    """Return the transcript that a certificate signs and that the chain holds afterwards."""
    parts = (manifest, model, reputations)
    return _extend(
        t, Transition.CERTIFY, round_number, b"".join(require_hash("an outcome hash", p) for p in parts)
    )


def after_abort(t: bytes, round_number: int, phase: Phase) -> bytes:
    """Return the transcript after a round that timed out in `phase` was given up."""
    return _extend(t, Transition.ABORT, round_number, word(phase))


def _extend(t: bytes, kind: Transition, round_number: int, fields: bytes) -> bytes:
    return keccak(require_hash("the transcript", t) + word(kind) + word(round_number) + fields)
