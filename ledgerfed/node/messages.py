"""What nodes say to each other.

Rules:
- all that may become evidence travels as a fragment of the round's evidence document (leaves, openings,
  commitments, reveals), so there is one format, and one merge; a relayer's proposal is the whole;
- payloads and documents travel by hash: `blob` requests, answered with the bytes or with nothing;
- a receipt and a certificate signature are statements of one node: the bytes below.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.protocol.canonical import canonical_json, fields, parse_canonical
from ledgerfed.protocol.hashing import from_hex, require_range, to_hex
from ledgerfed.protocol.signature import SIGNATURE_BYTES

EVIDENCE, PROPOSAL, RECEIPT, SIGNATURE = "evidence", "proposal", "receipt", "signature"
TOPICS = (EVIDENCE, PROPOSAL, RECEIPT, SIGNATURE)
BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Statement:
    """A signature by registry index `signer` about 32 bytes: a leaf (receipt) or a transcript (certificate).

    `index` is whose leaf a receipt acknowledges; for a certificate it equals the signer.
    """

    round: int
    signer: int
    index: int
    subject: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return canonical_json(
            {
                "round": self.round,
                "signer": self.signer,
                "index": self.index,
                "subject": to_hex(self.subject),
                "signature": to_hex(self.signature),
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> Statement:
        """Read a statement; raises InvalidValueError when it is not one."""
        record = fields(
            "a statement", parse_canonical(data), ("round", "signer", "index", "subject", "signature")
        )
        return Statement(
            require_range("the round of a statement", record["round"], 1, (1 << 32) - 1),
            require_range("the signer of a statement", record["signer"], 0, (1 << 20) - 1),
            require_range("the index of a statement", record["index"], 0, (1 << 20) - 1),
            from_hex("the subject of a statement", record["subject"]),
            from_hex("the signature of a statement", record["signature"], SIGNATURE_BYTES),
        )
