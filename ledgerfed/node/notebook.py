"""What a node has gathered of one round: verified pieces of its evidence.

Rules:
- nothing enters that does not prove itself: leaves by signature, openings by the leaf on the ledger,
  commitments by signature over the sealed transcript, reveals by their commitment;
- a piece that cannot be judged yet waits, and is judged again when the ledger has moved or a set has become
  known; so is every piece that spoke about a ledger which has moved since (a forced leaf changes what an
  opening must hash to);
- what waits is bounded per sender, so nobody can crowd out what others say, or fill the memory;
- the first leaf, receipt and commitment of a node count here; a second one of its own is a conflict, and
  proves that it broke its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ledgerfed.consensus.authenticate import score_root, seal_root
from ledgerfed.errors import VerificationError
from ledgerfed.ledger.challenges import TwoStatements
from ledgerfed.node.chain_view import ChainView
from ledgerfed.node.messages import Statement
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.score import ScoreVector
from ledgerfed.protocol.signature import require_signer
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    receipt_digest,
    score_commitment_digest,
)

MAX_WAITING = 8
"""Fragments of one sender that wait: leaf, opening, commitment, reveal, two sets, and a proposal or two."""
MAX_SUBJECTS = 4
"""Transcripts that one validator's signatures are kept for; an honest one signs one."""
_Item = TypeVar("_Item")


@dataclass(slots=True)
class Notebook:
    """The pieces of round `view.round`, as one node has verified them.

    `certificates` maps committee index and transcript to a signature over it, `receipts` relayer and index
    to a receipt, `conflicts` fault and signer to two statements that cannot both stand. `rooted` are the
    leaves under the seal's root, whoever signed them.
    """

    config: FederationConfig
    view: ChainView
    leaves: dict[int, SignedLeaf] = field(default_factory=dict)
    sealed: tuple[SignedLeaf, ...] | None = None
    rooted: tuple[SignedLeaf, ...] | None = None
    openings: dict[int, Opening] = field(default_factory=dict)
    commitments: dict[int, SignedScoreCommitment] = field(default_factory=dict)
    scored: tuple[SignedScoreCommitment, ...] | None = None
    reveals: dict[int, ScoreVector] = field(default_factory=dict)
    certificates: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    receipts: dict[tuple[int, int], Statement] = field(default_factory=dict)
    conflicts: dict[tuple[Fault, int], TwoStatements] = field(default_factory=dict)
    _waiting: dict[int, dict[RoundEvidence, None]] = field(default_factory=dict)

    def follow(self, view: ChainView) -> None:
        """Take note that the ledger has moved within this round or changed branch; judge everything again."""
        pieces = tuple(self._pieces())
        self.view = view
        self.sealed = self.rooted = self.scored = None
        self.openings, self.commitments, self.reveals = {}, {}, {}
        for piece in pieces:
            self._take_in(piece)
        self._judge_waiting()

    def merge(self, fragment: RoundEvidence, sender: int) -> None:
        """Take in what proves itself; keep what may do so later; drop what belongs to another history."""
        if not self._belongs(fragment):
            return
        known = (self.sealed, self.scored)
        self._take_in(fragment)
        if not self._settled(fragment):
            self._keep(fragment, sender)
        if known != (self.sealed, self.scored):
            self._judge_waiting()

    def take_certificate(self, statement: Statement) -> None:
        """Take in a validator's signature over a transcript, if it is one; for which outcome shows later."""
        signer, subject = statement.signer, statement.subject
        if statement.round != self.view.round or signer not in self.view.sits:
            return
        known = self.certificates.setdefault(signer, {})
        digest = certificate_digest(self.view.federation, statement.round, subject)
        if subject not in known and self._signed(digest, statement.signature, signer, "a certificate"):
            known[subject] = statement.signature
            if len(known) > MAX_SUBJECTS:  # the oldest: disputes make honest validators sign again
                del known[next(iter(known))]

    def take_receipt(self, statement: Statement) -> None:
        """Take in a committee member's receipt for a leaf that this node knows, if it is one."""
        signer, index = statement.signer, statement.index
        view, known = self.view, self.receipts.get((signer, index))
        if signer not in self.config.committee or known == statement or index >= len(view.members):
            return
        digest = receipt_digest(view.federation, view.round, index, statement.subject, view.opened_at)
        if not self._signed(digest, statement.signature, signer, "a receipt"):
            return
        if known is None:
            self.receipts[signer, index] = statement
        elif known.subject != statement.subject:
            subjects, signatures = _pairs(known, statement, "subject")
            self._accuse(Fault.TWO_RECEIPTS, signer, index, view.opened_at, subjects, signatures)

    def signatures(self, subject: bytes) -> dict[int, bytes]:
        """Return the signatures over a transcript by committee index, ascending."""
        signers = sorted(self.certificates.keys() & set(self.view.sits))
        return {s: self.certificates[s][subject] for s in signers if subject in self.certificates[s]}

    def sealable(self) -> tuple[SignedLeaf, ...]:
        """Return the leaves that are good for a seal in the last block of the window, by index."""
        return tuple(item for item in _ascending(self.leaves) if item.deadline >= self.view.deadline)

    def is_signed(self, item: SignedLeaf) -> bool:
        """Return whether the node at the leaf's index has signed it for this round."""
        view = self.view
        digest = leaf_digest(
            view.federation, view.round, item.index, item.leaf, view.opened_at, item.deadline
        )
        return self._signed(digest, item.signature, item.index, "a leaf")

    def _is_committed(self, item: SignedScoreCommitment) -> bool:
        """Whether the validator at the commitment's index has signed it over the sealed transcript."""
        view = self.view
        digest = score_commitment_digest(
            view.federation, view.round, item.index, item.commitment, view.sealed_transcript
        )
        return self._signed(digest, item.signature, item.index, "a score commitment")

    def effective_leaves(self) -> dict[int, bytes]:
        """Return the leaf that counts per index, as far as the sealed set is known."""
        leaves = {item.index: item.leaf for item in self.sealed or ()}
        leaves.update({item.index: item.leaf for item in self.view.forced})
        return leaves

    def evidence(self) -> RoundEvidence:
        """Return all that is known as one evidence document, in canonical order."""
        commitments = self.scored if self.scored is not None else _ascending(self.commitments)
        return RoundEvidence(
            self.view.federation,
            self.view.round,
            self.view.opened_at,
            self.sealed or (),
            self.view.history if self.view.phase is not Phase.OPEN else (),
            _ascending(self.openings),
            commitments,
            _ascending(self.reveals),
        )

    def known_commitments(self) -> tuple[SignedScoreCommitment, ...]:
        """Return every score commitment that proved itself, by index."""
        return _ascending(self.commitments)

    def fragment(
        self,
        leaves: tuple[SignedLeaf, ...] = (),
        openings: tuple[Opening, ...] = (),
        commitments: tuple[SignedScoreCommitment, ...] = (),
        reveals: tuple[ScoreVector, ...] = (),
    ) -> RoundEvidence:
        """Return a message of this round with these pieces."""
        view = self.view
        return RoundEvidence(
            view.federation, view.round, view.opened_at, leaves, (), openings, commitments, reveals
        )

    def _pieces(self) -> Iterator[RoundEvidence]:
        yield self.fragment(leaves=_ascending(self.leaves))
        yield self.evidence()
        yield self.fragment(commitments=_ascending(self.commitments))

    def _belongs(self, fragment: RoundEvidence) -> bool:
        """Whether the fragment is of this round, on this branch, by members of this federation."""
        view = self.view
        here = (view.federation, view.round, view.opened_at)
        return (
            (fragment.federation, fragment.round, fragment.opened_at) == here
            and all(item.index < len(view.members) for item in fragment.leaves)
            and all(item.index in self.config.committee for item in fragment.commitments)
        )

    def _take_in(self, fragment: RoundEvidence) -> None:
        self._take_leaves(fragment)
        self._take_openings(fragment)
        self._take_commitments(fragment)
        self._take_reveals(fragment)

    def _take_leaves(self, fragment: RoundEvidence) -> None:
        view = self.view
        for item in fragment.leaves:
            known = self.leaves.get(item.index)
            if known is None or (known.leaf == item.leaf and known.deadline < item.deadline):
                if self.is_signed(item):
                    self.leaves[item.index] = item
            elif known.leaf != item.leaf and self.is_signed(item):
                subjects, signatures = _pairs(known, item, "leaf")
                deadlines = (known.deadline, item.deadline)
                self._accuse(
                    Fault.TWO_LEAVES, item.index, item.index, view.opened_at, subjects, signatures, deadlines
                )
        for leaves in (fragment.leaves, _ascending(self.leaves)):  # a relayer that died has shown no set
            if view.seal is None or self.sealed is not None or len(leaves) != view.seal.n:
                continue
            if seal_root(self.config, self.fragment(leaves=leaves)) != view.seal.root:
                continue
            self.rooted = leaves
            if all(self.is_signed(item) for item in leaves):
                self.sealed = leaves

    def _take_openings(self, fragment: RoundEvidence) -> None:
        leaves = self.effective_leaves()
        for opening in fragment.openings:
            if leaves.get(opening.index) == opening.leaf(self.view.federation):
                self.openings[opening.index] = opening

    def _take_commitments(self, fragment: RoundEvidence) -> None:
        view = self.view
        if view.phase is Phase.OPEN:
            return
        for item in fragment.commitments:
            known = self.commitments.get(item.index)
            if known == item:
                continue
            if not self._is_committed(item):
                continue
            if known is None:
                self.commitments[item.index] = item
            elif known.commitment != item.commitment:
                subjects, signatures = _pairs(known, item, "commitment")
                about = view.sealed_transcript
                self._accuse(Fault.TWO_COMMITMENTS, item.index, item.index, about, subjects, signatures)
        for commitments in (fragment.commitments, _ascending(self.commitments)):
            if view.phase is not Phase.SCORED or self.scored is not None or not commitments:
                continue
            rooted = score_root(self.config, self.fragment(commitments=commitments)) == view.score_root
            if rooted and all(self._is_committed(item) for item in commitments):
                self.scored = commitments

    def _take_reveals(self, fragment: RoundEvidence) -> None:
        commitments = {item.index: item.commitment for item in self.scored or ()}
        for reveal in fragment.reveals:
            if len(reveal.scores) != self.config.capacity or reveal.index in self.view.removed:
                continue
            if commitments.get(reveal.index) == reveal.commitment(self.view.federation):
                self.reveals[reveal.index] = reveal

    def _settled(self, fragment: RoundEvidence) -> bool:
        """Whether nothing of the fragment could still become provable in this round."""
        if (fragment.leaves or fragment.openings) and self.sealed is None:
            return False
        if (fragment.commitments or fragment.reveals) and self.scored is None:
            return False
        missing = any(opening.index not in self.openings for opening in fragment.openings)
        return not missing or self.view.phase is Phase.SCORED

    def _judge_waiting(self) -> None:
        """Judge again what waits; what came with it may be what the next one waited for."""
        waiting, self._waiting = self._waiting, {}
        for sender, fragments in waiting.items():
            for fragment in fragments:
                self.merge(fragment, sender)

    def _keep(self, fragment: RoundEvidence, sender: int) -> None:
        """Let a fragment wait; of one sender only the newest few do."""
        if sender >= len(self.view.members):
            return
        waiting = self._waiting.setdefault(sender, {})
        waiting.pop(fragment, None)
        waiting[fragment] = None
        if len(waiting) > MAX_WAITING:
            del waiting[next(iter(waiting))]

    def _accuse(
        self,
        fault: Fault,
        signer: int,
        index: int,
        about: bytes,
        subjects: tuple[bytes, bytes],
        signatures: tuple[bytes, bytes],
        deadlines: tuple[int, int] = (0, 0),
    ) -> None:
        proof = TwoStatements(fault, self.view.round, index, about, subjects, signatures, deadlines)
        self.conflicts.setdefault((fault, signer), proof)

    def _signed(self, digest: bytes, signature: bytes, index: int, what: str) -> bool:
        """Whether a member signed; what others send may be anything, so a bad signature is just not taken."""
        try:
            require_signer(digest, signature, self.view.members[index], what)
        except VerificationError:
            return False
        return True


def _pairs(first: Any, second: Any, subject: str) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    subjects = (getattr(first, subject), getattr(second, subject))
    return subjects, (first.signature, second.signature)


def _ascending(items: Mapping[int, _Item]) -> tuple[_Item, ...]:
    return tuple(items[index] for index in sorted(items))
