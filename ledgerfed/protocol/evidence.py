"""The evidence of a round: all that its outcome is a function of, besides what earlier rounds left.

Sealed leaves with their signatures, the transitions of the ledger since the seal, openings, score
commitments with their signatures and score reveals, each list but the transitions in ascending index.
Payloads are referenced by hash. The evidence hash stands in the manifest, so a certificate covers every byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json, document_hash, fields, parse_canonical, rows
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, from_hex, require_hash, require_range, to_hex
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.score import ScoreVector
from ledgerfed.protocol.signature import SIGNATURE_BYTES
from ledgerfed.protocol.transition import Dispute, Force, Transition, parse_tail, tail_of


@dataclass(frozen=True, slots=True)
class SignedLeaf:
    """A leaf as its node handed it to the relayer; void in a seal after block `deadline`."""

    index: int
    leaf: bytes
    deadline: int
    signature: bytes

    def __post_init__(self) -> None:
        _require_index(self.index)
        _require_statement("a leaf", self.leaf)
        require_range("the deadline of a leaf", self.deadline, 0, (1 << 53) - 1)
        _require_signature(self.signature)


@dataclass(frozen=True, slots=True)
class ForcedLeaf:
    """A leaf that its node put in with a transaction of its own."""

    index: int
    leaf: bytes

    def __post_init__(self) -> None:
        _require_index(self.index)
        _require_statement("a forced leaf", self.leaf)


@dataclass(frozen=True, slots=True)
class SignedScoreCommitment:
    """A validator's commitment to its scores."""

    index: int
    commitment: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _require_index(self.index)
        _require_statement("a score commitment", self.commitment)
        _require_signature(self.signature)


@dataclass(frozen=True, slots=True)
class RoundEvidence:
    """See the module docstring.

    `opened_at` is the transcript as the seal found it. `history` are the transitions after the seal, up to
    the transcript that the outcome extends: forced leaves, the scores, disputes, and certificates that fell.
    """

    federation: Federation
    round: int
    opened_at: bytes
    leaves: tuple[SignedLeaf, ...]
    history: tuple[Transition, ...]
    openings: tuple[Opening, ...]
    commitments: tuple[SignedScoreCommitment, ...]
    reveals: tuple[ScoreVector, ...]

    def __post_init__(self) -> None:
        require_range("the round of an evidence", self.round, 1, (1 << 32) - 1)
        require_hash("opened_at", self.opened_at)
        for name in ("leaves", "openings", "commitments", "reveals"):
            _require_ascending(name, [item.index for item in getattr(self, name)])
        if len({item.index for item in self.forced}) != len(self.forced):
            raise InvalidValueError(f"a node forced twice in round {self.round}")

    @property
    def forced(self) -> tuple[ForcedLeaf, ...]:
        """The forced leaves, in the order of the chain."""
        return tuple(ForcedLeaf(x.index, x.leaf) for x in self.history if isinstance(x, Force))

    @property
    def disputes(self) -> tuple[Dispute, ...]:
        """The disputes since the seal, in the order of the chain."""
        return tuple(x for x in self.history if isinstance(x, Dispute))

    def document(self) -> dict[str, Any]:
        """Return the evidence document."""
        return {
            "chain_id": self.federation.chain_id,
            "contract": to_hex(self.federation.contract),
            "round": self.round,
            "opened_at": to_hex(self.opened_at),
            "leaves": [
                {
                    "index": item.index,
                    "leaf": to_hex(item.leaf),
                    "deadline": item.deadline,
                    "signature": to_hex(item.signature),
                }
                for item in self.leaves
            ],
            "history": to_hex(tail_of(self.history)),
            "openings": [_opening_document(item) for item in self.openings],
            "commitments": [
                {
                    "index": item.index,
                    "commitment": to_hex(item.commitment),
                    "signature": to_hex(item.signature),
                }
                for item in self.commitments
            ],
            "reveals": [
                {"index": item.index, "scores": list(item.scores), "salt": to_hex(item.salt)}
                for item in self.reveals
            ],
        }

    def hash(self) -> bytes:
        """Return the evidence hash."""
        return document_hash(self.document())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the document."""
        return canonical_json(self.document())

    @staticmethod
    def from_bytes(data: bytes) -> RoundEvidence:
        """Read an evidence document.

        Raises:
            InvalidValueError: not canonical, unknown or missing keys, a value out of range, a wrong order.
        """
        return _read(parse_canonical(data))


_KEYS = (
    "chain_id",
    "contract",
    "round",
    "opened_at",
    "leaves",
    "history",
    "openings",
    "commitments",
    "reveals",
)
_OPENING_KEYS = ("index", "base_model", "update_hash", "n_samples", "schema", "salt")


def _read(document: dict[str, Any]) -> RoundEvidence:
    record = fields("the evidence", document, _KEYS)
    number = record["round"]
    leaves = [
        fields("a leaf", x, ("index", "leaf", "deadline", "signature"))
        for x in rows("leaves", record["leaves"])
    ]
    openings = [fields("an opening", x, _OPENING_KEYS) for x in rows("openings", record["openings"])]
    commitments = [
        fields("a score commitment", x, ("index", "commitment", "signature"))
        for x in rows("commitments", record["commitments"])
    ]
    reveals = [
        fields("a score reveal", x, ("index", "scores", "salt")) for x in rows("reveals", record["reveals"])
    ]
    return RoundEvidence(
        federation=Federation(record["chain_id"], from_hex("contract", record["contract"], 20)),
        round=number,
        opened_at=from_hex("opened_at", record["opened_at"]),
        leaves=tuple(
            SignedLeaf(
                x["index"],
                from_hex("leaf", x["leaf"]),
                x["deadline"],
                from_hex("signature", x["signature"], SIGNATURE_BYTES),
            )
            for x in leaves
        ),
        history=_read_history(record["history"]),
        openings=tuple(_read_opening(number, x) for x in openings),
        commitments=tuple(
            SignedScoreCommitment(
                x["index"],
                from_hex("commitment", x["commitment"]),
                from_hex("signature", x["signature"], SIGNATURE_BYTES),
            )
            for x in commitments
        ),
        reveals=tuple(
            ScoreVector(number, x["index"], tuple(rows("scores", x["scores"])), from_hex("salt", x["salt"]))
            for x in reveals
        ),
    )


def _read_history(text: object) -> tuple[Transition, ...]:
    if not isinstance(text, str) or len(text) % 2:
        raise InvalidValueError(f"the history must be hex, got {text!r}")
    return parse_tail(from_hex("the history", text, len(text) // 2 - 1))


def _opening_document(opening: Opening) -> dict[str, Any]:
    return {
        "index": opening.index,
        "base_model": to_hex(opening.base_model),
        "update_hash": to_hex(opening.update_hash),
        "n_samples": opening.n_samples,
        "schema": to_hex(opening.schema),
        "salt": to_hex(opening.salt),
    }


def _read_opening(round_number: int, record: dict[str, Any]) -> Opening:
    return Opening(
        round_number,
        record["index"],
        from_hex("base_model", record["base_model"]),
        from_hex("update_hash", record["update_hash"]),
        record["n_samples"],
        from_hex("schema", record["schema"]),
        from_hex("salt", record["salt"]),
    )


def _require_index(index: int) -> None:
    require_range("a registry index", index, 0, (1 << 20) - 1)


def _require_statement(name: str, value: bytes) -> None:
    if require_hash(name, value) == EMPTY:
        raise InvalidValueError(f"{name} is EMPTY, which stands for absence; leave the index out instead")


def _require_signature(signature: bytes) -> None:
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidValueError(f"a signature has {SIGNATURE_BYTES} bytes, got {len(signature)}")


def _require_ascending(name: str, indices: Sequence[int]) -> None:
    if any(a >= b for a, b in pairwise(indices)):
        raise InvalidValueError(f"{name} must stand in ascending index, once each, got {list(indices)}")
