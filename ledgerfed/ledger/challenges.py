"""Proofs that a node broke its word, as values that the contract judges (docs/protocol.md, "Challenges").

Each knows its calldata and, by the signatures that it carries, who is to be convicted; what proves nothing
anywhere is refused before a transaction is made of it. What only the contract knows (who sealed, how the
transcript came about) is checked there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ledgerfed.errors import InvalidValueError
from ledgerfed.ledger.calls import TransactionKind, functions
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.reputation import Reputation, heard_row
from ledgerfed.protocol.signature import recover_address
from ledgerfed.protocol.transcript import after_certify
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    receipt_digest,
    score_commitment_digest,
)

Outcome: TypeAlias = tuple[bytes, bytes, bytes]
"""Manifest, model and reputation root, 32 bytes each."""
_TWO_STATEMENTS = (Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS)


@dataclass(frozen=True, slots=True)
class TwoStatements:
    """Two signatures of one node over different subjects for the same round, index and transcript.

    `fault` is TWO_LEAVES, TWO_RECEIPTS or TWO_COMMITMENTS; `subjects` are the leaves or commitments;
    `deadlines` belong to leaves only.
    """

    fault: Fault
    round: int
    index: int
    transcript: bytes
    subjects: tuple[bytes, bytes]
    signatures: tuple[bytes, bytes]
    deadlines: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.fault not in _TWO_STATEMENTS:
            raise InvalidValueError(f"two statements prove fault 1, 2 or 3, not {int(self.fault)}")
        if self.subjects[0] == self.subjects[1]:
            raise InvalidValueError("the two statements are the same; they prove nothing")

    def culprit(self, federation: Federation) -> bytes:
        """Return the address that signed both; raises as `_common_signer`."""
        first, second = self.signatures
        return _common_signer((self._digest(federation, 0), first), (self._digest(federation, 1), second))

    def calldata(self) -> bytes:
        """Return the call of the contract."""
        place = (int(self.fault), self.round, self.index, self.transcript)
        return _call("statements", *place, self.subjects, self.deadlines, *self.signatures)

    def _digest(self, federation: Federation, k: int) -> bytes:
        place, subject = (federation, self.round, self.index), self.subjects[k]
        if self.fault == Fault.TWO_LEAVES:
            return leaf_digest(*place, subject, self.transcript, self.deadlines[k])
        if self.fault == Fault.TWO_RECEIPTS:
            return receipt_digest(*place, subject, self.transcript)
        return score_commitment_digest(*place, subject, self.transcript)


@dataclass(frozen=True, slots=True)
class TwoCertificates:
    """Two signatures of one validator over different outcomes of one scored `transcript`."""

    round: int
    transcript: bytes
    outcomes: tuple[Outcome, Outcome]
    signatures: tuple[bytes, bytes]
    fault: Fault = Fault.TWO_CERTIFICATES

    def __post_init__(self) -> None:
        if self.outcomes[0] == self.outcomes[1]:
            raise InvalidValueError("the two certificates have the same outcome; they prove nothing")

    def culprit(self, federation: Federation) -> bytes:
        """Return the address that signed both; raises as `_common_signer`."""
        first, second = (
            certificate_digest(federation, self.round, after_certify(self.transcript, self.round, *outcome))
            for outcome in self.outcomes
        )
        return _common_signer((first, self.signatures[0]), (second, self.signatures[1]))

    def calldata(self) -> bytes:
        """Return the call of the contract."""
        return _call("certificates", self.round, self.transcript, self.outcomes, *self.signatures)


@dataclass(frozen=True, slots=True)
class BrokenReceipt:
    """A receipt that the sealer of a round signed, and what it sealed at that index instead.

    `opened_at` is the transcript as the seal found it, `sealed` another leaf or EMPTY, `path` its siblings,
    `tail` the steps of every transition since the seal.
    """

    round: int
    opened_at: bytes
    root: bytes
    n: int
    index: int
    receipted: bytes
    signature: bytes
    sealed: bytes
    path: tuple[bytes, ...]
    tail: bytes
    fault: Fault = Fault.BROKEN_RECEIPT

    def culprit(self, federation: Federation) -> bytes:
        """Return the address that signed the receipt; raises VerificationError when nobody did."""
        digest = receipt_digest(federation, self.round, self.index, self.receipted, self.opened_at)
        return recover_address(digest, self.signature)

    def calldata(self) -> bytes:
        """Return the call of the contract."""
        sealed = (self.opened_at, self.root, self.n, self.index, self.receipted, self.signature, self.sealed)
        return _call("receipt", *sealed, self.path, self.tail)


@dataclass(frozen=True, slots=True)
class DoubledIndex:
    """A leaf that node `index` signed, though it forced another one in the same round.

    `opened_at` is the transcript as the seal found it; the forced leaf stands in `tail`, the steps of every
    transition since the seal.
    """

    round: int
    opened_at: bytes
    root: bytes
    n: int
    index: int
    leaf: bytes
    deadline: int
    signature: bytes
    tail: bytes
    fault: Fault = Fault.DOUBLED_INDEX

    def culprit(self, federation: Federation) -> bytes:
        """Return the address that signed the leaf; raises VerificationError when nobody did."""
        place = (self.round, self.index, self.leaf, self.opened_at, self.deadline)
        return recover_address(leaf_digest(federation, *place), self.signature)

    def calldata(self) -> bytes:
        """Return the call of the contract."""
        sealed = (self.opened_at, self.root, self.n, self.index, self.leaf, self.deadline, self.signature)
        return _call("doubled", *sealed, self.tail)


@dataclass(frozen=True, slots=True)
class WrongMedian:
    """A certified score of node `index` that is not the lower median of the scores certified with it.

    `scored_at` is the transcript that the certificate extends, `reputation` the certified one, `path` the
    siblings of its leaf, `tail` the steps of every transition since the certificate. It convicts all signers.
    """

    round: int
    scored_at: bytes
    outcome: Outcome
    index: int
    reputation: Reputation
    score: int
    heard: tuple[int, ...]
    path: tuple[bytes, ...]
    tail: bytes = b""
    fault: Fault = Fault.WRONG_MEDIAN

    def calldata(self) -> bytes:
        """Return the call of the contract."""
        result = (self.reputation.row(), self.score, heard_row(self.heard))
        return _call("median", self.scored_at, self.outcome, self.index, *result, self.path, self.tail)


Challenge: TypeAlias = TwoStatements | TwoCertificates | BrokenReceipt | DoubledIndex | WrongMedian


def kind_of(challenge: Challenge) -> TransactionKind:
    """Return which function of the contract judges a challenge."""
    return TransactionKind("challenge_" + _NAMES[type(challenge)])


_NAMES: dict[type[Challenge], str] = {
    TwoStatements: "statements",
    TwoCertificates: "certificates",
    BrokenReceipt: "receipt",
    DoubledIndex: "doubled",
    WrongMedian: "median",
}


def _call(name: str, *arguments: object) -> bytes:
    return functions()[f"challenge_{name}"].encode(*arguments)


def _common_signer(first: tuple[bytes, bytes], second: tuple[bytes, bytes]) -> bytes:
    """Return who signed both (digest, signature).

    Raises:
        VerificationError: a signature is malformed; InvalidValueError: two nodes signed.
    """
    signers = {recover_address(*first), recover_address(*second)}
    if len(signers) > 1:
        raise InvalidValueError("the two statements have different signers; they prove nothing")
    return signers.pop()
