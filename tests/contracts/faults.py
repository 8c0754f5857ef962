"""Faults of nodes and the proofs of them, made from signatures and history alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transition import Certify, Dispute, Fault, Seal
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    receipt_digest,
    score_commitment_digest,
)

if TYPE_CHECKING:
    from played_rounds import Play

STATEMENTS = (Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS)
SUBJECTS = (keccak(b"said"), keccak(b"said as well"))
OUTCOMES = tuple(tuple(keccak(name + kind) for kind in (b"m", b"t", b"r")) for name in (b"one", b"two"))
REPUTATION = (9 << 16, 3 << 16, 70_000, 5, 12)


@dataclass(frozen=True)
class Proof:
    """A challenge: the function, its arguments in their order, and the transition that it leads to."""

    call: str
    arguments: dict[str, object]
    dispute: Dispute

    def but(self, **arguments: object) -> Proof:
        """The same with other arguments."""
        assert arguments.keys() <= self.arguments.keys()
        return replace(self, arguments=self.arguments | arguments)


def statement_digest(
    play: Play, fault: Fault, round_number: int, index: int, subject: bytes, t: bytes, deadline: int
) -> bytes:
    """What a node signs to say `subject`."""
    place = (play.ledger.federation, round_number, index, subject, t)
    if fault == Fault.TWO_LEAVES:
        return leaf_digest(*place, deadline)
    return receipt_digest(*place) if fault == Fault.TWO_RECEIPTS else score_commitment_digest(*place)


def two_statements(
    play: Play,
    fault: Fault,
    culprit: int,
    round_number: int | None = None,
    index: int | None = None,
    t: bytes | None = None,
    subjects: Sequence[bytes] = SUBJECTS,
    deadlines: Sequence[int] = (17, 18),
    signers: Sequence[bytes] | None = None,
) -> Proof:
    """Two statements that `culprit` has signed, for its own index, the current round and transcript."""
    number = play.round if round_number is None else round_number
    place, at = culprit if index is None else index, play.t if t is None else t
    digests = [
        statement_digest(play, fault, number, place, subject, at, deadline)
        for subject, deadline in zip(subjects, deadlines, strict=True)
    ]
    keys = signers or (play.keys[culprit],) * 2
    first, second = (sign_digest(key, digest) for key, digest in zip(keys, digests, strict=True))
    arguments = {
        "fault": int(fault),
        "round": number,
        "index": place,
        "transcript": at,
        "subjects": tuple(subjects),
        "deadlines": tuple(deadlines),
        "signature": first,
        "other": second,
    }
    dispute = Dispute(number, fault, culprit, keccak(b"".join(digests)))
    return Proof("challenge_statements", arguments, dispute)


def two_certificates(
    play: Play,
    culprit: int,
    round_number: int | None = None,
    t: bytes | None = None,
    outcomes: Sequence[tuple[bytes, ...]] = OUTCOMES,
) -> Proof:
    """Two outcomes of one scored transcript that `culprit` has signed."""
    number, at = play.round if round_number is None else round_number, play.t if t is None else t
    digests = [
        certificate_digest(play.ledger.federation, number, Certify(number, *outcome).after(at))
        for outcome in outcomes
    ]
    first, second = (sign_digest(play.keys[culprit], digest) for digest in digests)
    arguments = {
        "round": number,
        "transcript": at,
        "outcomes": tuple(outcomes),
        "signature": first,
        "other": second,
    }
    dispute = Dispute(number, Fault.TWO_CERTIFICATES, culprit, keccak(b"".join(digests)))
    return Proof("challenge_certificates", arguments, dispute)


def broken_receipt(play: Play, index: int, receipted: bytes, signer: int | None = None) -> Proof:
    """A receipt of the sealer (or another node) for a leaf at `index`, against what it has sealed there."""
    seal = next(step for step in reversed(play.steps) if isinstance(step, Seal))
    at, author = play.before(Seal), play.sealer if signer is None else signer
    digest = receipt_digest(play.ledger.federation, seal.round, index, receipted, at)
    sealed = play.tree.levels[0][index]
    arguments = {
        "opened_at": at,
        "root": seal.root,
        "n": seal.n,
        "index": index,
        "receipted": receipted,
        "signature": sign_digest(play.keys[author], digest),
        "sealed": sealed,
        "path": play.tree.proof(index),
        "tail": play.tail(Seal),
    }
    dispute = Dispute(seal.round, Fault.BROKEN_RECEIPT, author, keccak(digest + sealed))
    return Proof("challenge_receipt", arguments, dispute)


def doubled_index(play: Play, index: int, leaf: bytes, forced: bytes, deadline: int = 30) -> Proof:
    """A leaf that node `index` has signed, and another one that it has forced."""
    seal = next(step for step in reversed(play.steps) if isinstance(step, Seal))
    at = play.before(Seal)
    digest = leaf_digest(play.ledger.federation, seal.round, index, leaf, at, deadline)
    arguments = {
        "opened_at": at,
        "root": seal.root,
        "n": seal.n,
        "index": index,
        "leaf": leaf,
        "deadline": deadline,
        "signature": sign_digest(play.keys[index], digest),
        "tail": play.tail(Seal),
    }
    dispute = Dispute(seal.round, Fault.DOUBLED_INDEX, index, keccak(digest + forced))
    return Proof("challenge_doubled", arguments, dispute)


@dataclass(frozen=True)
class Scored:
    """An outcome whose reputations bind a score to the scores heard."""

    index: int
    median: int
    row: bytes
    leaf: bytes
    path: tuple[bytes, ...]
    outcome: tuple[bytes, bytes, bytes]


def scored_outcome(index: int, median: int, heard: Sequence[int] | bytes, depth: int) -> Scored:
    """An outcome with one scored node in its reputations, spelled out byte by byte."""
    row = heard if isinstance(heard, bytes) else b"".join(s.to_bytes(4, "big", signed=True) for s in heard)
    result = keccak(b"\x02LF1M" + median.to_bytes(32, "big", signed=True) + row)
    leaf = keccak(b"\x00LF1R" + b"".join(word(number) for number in (index, *REPUTATION)) + result)
    others = {i: keccak(b"reputation" + bytes([i])) for i in range(min(1 << depth, 4)) if i != index}
    tree = build_tree({index: leaf} | others, depth)
    outcome = (keccak(b"manifest"), keccak(b"new model"), tree.root)
    return Scored(index, median, row, leaf, tree.proof(index), outcome)


def wrong_median(play: Play, scored: Scored, signers: int) -> Proof:
    """The certified score of a node, against the scores heard; `signers` is the mask of their seats."""
    certified = next(step for step in reversed(play.steps) if isinstance(step, Certify))
    arguments = {
        "scored_at": play.before(Certify),
        "outcome": scored.outcome,
        "index": scored.index,
        "reputation": REPUTATION,
        "median": scored.median,
        "row": scored.row,
        "path": scored.path,
        "tail": play.tail(Certify),
    }
    dispute = Dispute(certified.round, Fault.WRONG_MEDIAN, signers, scored.leaf)
    return Proof("challenge_median", arguments, dispute)
