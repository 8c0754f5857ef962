"""EIP-712 digests of the four statements that nodes sign: leaf, receipt, score commitment, certificate.

The domain binds chain and contract, the fields bind round and transcript, so a signature cannot be replayed
on another chain, contract, fork or round (threat N9).
"""

from __future__ import annotations

from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash, word

DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
LEAF_TYPE = b"Leaf(uint32 round,uint32 index,bytes32 leaf,bytes32 transcript,uint64 deadline)"
RECEIPT_TYPE = b"Receipt(uint32 round,uint32 index,bytes32 leaf,bytes32 transcript)"
SCORE_COMMITMENT_TYPE = b"ScoreCommitment(uint32 round,uint32 index,bytes32 commitment,bytes32 transcript)"
CERTIFICATE_TYPE = b"Certificate(uint32 round,bytes32 transcript)"


def domain_separator(federation: Federation) -> bytes:
    """Return the EIP-712 domain separator of a federation (name "ledgerfed", version "1")."""
    return keccak(keccak(DOMAIN_TYPE) + keccak(b"ledgerfed") + keccak(b"1") + federation.words())


def leaf_digest(
    federation: Federation, round_number: int, index: int, leaf: bytes, transcript: bytes, deadline: int
) -> bytes:
    """Return what a node signs to hand its leaf to the relayer; `deadline` is a block number."""
    fields = word(round_number) + word(index) + leaf + transcript + word(deadline)
    return _digest(federation, LEAF_TYPE, fields)


def receipt_digest(
    federation: Federation, round_number: int, index: int, leaf: bytes, transcript: bytes
) -> bytes:
    """Return what a relayer signs to acknowledge a leaf."""
    return _digest(federation, RECEIPT_TYPE, word(round_number) + word(index) + leaf + transcript)


def score_commitment_digest(
    federation: Federation, round_number: int, index: int, commitment: bytes, transcript: bytes
) -> bytes:
    """Return what a validator signs to commit to its scores."""
    fields = word(round_number) + word(index) + commitment + transcript
    return _digest(federation, SCORE_COMMITMENT_TYPE, fields)


def certificate_digest(federation: Federation, round_number: int, transcript: bytes) -> bytes:
    """Return what a validator signs to certify the transcript t' that includes the outcome."""
    return _digest(federation, CERTIFICATE_TYPE, word(round_number) + require_hash("transcript", transcript))


def _digest(federation: Federation, type_string: bytes, fields: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain_separator(federation) + keccak(keccak(type_string) + fields))
