"""Proofs of faults, as the contract wants them (docs/protocol.md, "Challenges").

Each value is made from statements that somebody signed; `call` names the function of the contract and
`arguments()` are what it takes, in order. `dispute(...)` is the transition that a successful one leads to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash
from ledgerfed.protocol.reputation import Reputation, heard_row, result_hash
from ledgerfed.protocol.score import lower_median
from ledgerfed.protocol.transition import Certify, Dispute, Fault, Transition, tail_of
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    receipt_digest,
    score_commitment_digest,
)

Outcome: TypeAlias = tuple[bytes, bytes, bytes]
"""Manifest hash, model hash and reputation root."""


@dataclass(frozen=True, slots=True)
class TwoStatements:
    """Two leaves, receipts or score commitments that `culprit` signed for one place."""

    call: ClassVar[str] = "challenge_statements"
    fault: Fault
    culprit: int
    round: int
    index: int
    transcript: bytes
    subjects: tuple[bytes, bytes]
    deadlines: tuple[int, int]
    signatures: tuple[bytes, bytes]

    def __post_init__(self) -> None:
        if self.fault not in (Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS):
            raise InvalidValueError(f"two statements cannot prove {self.fault!r}")
        if self.subjects[0] == self.subjects[1]:
            raise InvalidValueError("the two statements are the same")

    def arguments(self) -> tuple[Any, ...]:
        """Return what the contract takes."""
        place = (int(self.fault), self.round, self.index, self.transcript)
        return (*place, self.subjects, self.deadlines, *self.signatures)

    def dispute(self, federation: Federation) -> Dispute:
        """Return the transition that it leads to."""
        digests = b"".join(self._digest(federation, k) for k in range(2))
        return Dispute(self.round, self.fault, self.culprit, keccak(digests))

    def _digest(self, federation: Federation, k: int) -> bytes:
        place = (federation, self.round, self.index, self.subjects[k], self.transcript)
        if self.fault == Fault.TWO_LEAVES:
            return leaf_digest(*place, self.deadlines[k])
        if self.fault == Fault.TWO_RECEIPTS:
            return receipt_digest(*place)
        return score_commitment_digest(*place)


@dataclass(frozen=True, slots=True)
class TwoCertificates:
    """Two outcomes of one scored transcript that `culprit` signed."""

    call: ClassVar[str] = "challenge_certificates"
    fault: ClassVar[Fault] = Fault.TWO_CERTIFICATES
    culprit: int
    round: int
    transcript: bytes
    outcomes: tuple[Outcome, Outcome]
    signatures: tuple[bytes, bytes]

    def arguments(self) -> tuple[Any, ...]:
        """Return what the contract takes."""
        return (self.round, self.transcript, self.outcomes, *self.signatures)

    def dispute(self, federation: Federation) -> Dispute:
        """Return the transition that it leads to."""
        ends = (Certify(self.round, *outcome).after(self.transcript) for outcome in self.outcomes)
        digests = b"".join(certificate_digest(federation, self.round, end) for end in ends)
        return Dispute(self.round, self.fault, self.culprit, keccak(digests))


@dataclass(frozen=True, slots=True)
class Sealing:
    """How the transcript came about since a round was opened: the seal, and all that followed."""

    opened_at: bytes
    root: bytes
    n: int
    tail: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class BrokenReceipt:
    """The sealer's receipt for a leaf, and what it sealed at that index instead, with its Merkle path."""

    call: ClassVar[str] = "challenge_receipt"
    fault: ClassVar[Fault] = Fault.BROKEN_RECEIPT
    culprit: int
    round: int
    sealing: Sealing
    index: int
    receipted: bytes
    signature: bytes
    sealed: bytes
    path: tuple[bytes, ...]

    def arguments(self) -> tuple[Any, ...]:
        """Return what the contract takes."""
        s = self.sealing
        shown = (self.index, self.receipted, self.signature, self.sealed, self.path)
        return (s.opened_at, s.root, s.n, *shown, tail_of(s.tail))

    def dispute(self, federation: Federation) -> Dispute:
        """Return the transition that it leads to."""
        at = self.sealing.opened_at
        digest = receipt_digest(federation, self.round, self.index, self.receipted, at)
        return Dispute(self.round, self.fault, self.culprit, keccak(digest + self.sealed))


@dataclass(frozen=True, slots=True)
class DoubledIndex:
    """A leaf that node `culprit` signed, while it forced `forced` in the same round."""

    call: ClassVar[str] = "challenge_doubled"
    fault: ClassVar[Fault] = Fault.DOUBLED_INDEX
    culprit: int
    round: int
    sealing: Sealing
    leaf: bytes
    deadline: int
    signature: bytes
    forced: bytes

    def arguments(self) -> tuple[Any, ...]:
        """Return what the contract takes."""
        s = self.sealing
        shown = (self.culprit, self.leaf, self.deadline, self.signature)
        return (s.opened_at, s.root, s.n, *shown, tail_of(s.tail))

    def dispute(self, federation: Federation) -> Dispute:
        """Return the transition that it leads to."""
        at = self.sealing.opened_at
        digest = leaf_digest(federation, self.round, self.culprit, self.leaf, at, self.deadline)
        return Dispute(self.round, self.fault, self.culprit, keccak(digest + self.forced))


@dataclass(frozen=True, slots=True)
class WrongMedian:
    """A certified score that is not the lower median of `heard`; `signers` is the mask of their seats."""

    call: ClassVar[str] = "challenge_median"
    fault: ClassVar[Fault] = Fault.WRONG_MEDIAN
    signers: int
    round: int
    scored_at: bytes
    outcome: Outcome
    index: int
    reputation: Reputation
    score: int
    heard: tuple[int, ...]
    path: tuple[bytes, ...]
    tail: tuple[Transition, ...]

    def __post_init__(self) -> None:
        require_hash("scored_at", self.scored_at)
        if self.heard and lower_median(self.heard) == self.score:
            raise InvalidValueError("the certified score is the lower median")

    def arguments(self) -> tuple[Any, ...]:
        """Return what the contract takes."""
        row = heard_row(self.heard)
        shown = (self.index, tuple(self.reputation.row()), self.score, row, self.path)
        return (self.scored_at, self.outcome, *shown, tail_of(self.tail))

    def dispute(self, _federation: Federation) -> Dispute:
        """Return the transition that it leads to."""
        leaf = self.reputation.leaf(self.index, result_hash(self.score, self.heard))
        return Dispute(self.round, self.fault, self.signers, leaf)


Challenge: TypeAlias = TwoStatements | TwoCertificates | BrokenReceipt | DoubledIndex | WrongMedian
