"""What a node has gathered of one round: verified pieces of its evidence.

Rules:
- nothing enters that does not prove itself: leaves by signature, openings by the leaf on the ledger,
  commitments by signature over the sealed transcript, reveals by their commitment;
- a piece that cannot be judged yet waits, and is judged again when the ledger has moved;
- the first leaf of a node counts here; a second one proves nothing about the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ledgerfed.consensus.authenticate import score_root, seal_root
from ledgerfed.errors import LedgerFedError
from ledgerfed.node.chain_view import ChainView
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.score import ScoreVector
from ledgerfed.protocol.signature import require_signer
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.typed_data import leaf_digest, score_commitment_digest

MAX_WAITING = 4096
_Item = TypeVar("_Item")


@dataclass(slots=True)
class Notebook:
    """The pieces of round `view.round`, as one node has verified them."""

    config: FederationConfig
    view: ChainView
    leaves: dict[int, SignedLeaf] = field(default_factory=dict)
    sealed: tuple[SignedLeaf, ...] | None = None
    openings: dict[int, Opening] = field(default_factory=dict)
    commitments: dict[int, SignedScoreCommitment] = field(default_factory=dict)
    scored: tuple[SignedScoreCommitment, ...] | None = None
    reveals: dict[int, ScoreVector] = field(default_factory=dict)
    secret: bytes = b""
    """Update hash that this node has committed to; what it stands for is not shown before the seal."""
    _waiting: list[RoundEvidence] = field(default_factory=list)

    def follow(self, view: ChainView) -> None:
        """Take note that the ledger has moved within this round, and judge again what waits."""
        self.view = view
        waiting, self._waiting = self._waiting, []
        if view.seal is not None and self.sealed is None:
            self.merge(self.fragment(leaves=_ascending(self.leaves)))
        for fragment in waiting:
            self.merge(fragment)

    def merge(self, fragment: RoundEvidence) -> None:
        """Take in what proves itself; keep what may do so later; drop what belongs to another history."""
        if (fragment.federation, fragment.round, fragment.opened_at) != (
            self.view.federation,
            self.view.round,
            self.view.opened_at,
        ):
            return
        self._merge_leaves(fragment)
        self._merge_openings(fragment)
        self._merge_commitments(fragment)
        self._merge_reveals(fragment)
        if not self._settled(fragment) and len(self._waiting) < MAX_WAITING:
            self._waiting.append(fragment)

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
            self.view.forced,
            _ascending(self.openings),
            commitments,
            _ascending(self.reveals),
        )

    def known_leaves(self) -> tuple[SignedLeaf, ...]:
        """Return every leaf that proved itself, by index."""
        return _ascending(self.leaves)

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

    def _merge_leaves(self, fragment: RoundEvidence) -> None:
        for item in fragment.leaves:
            if item.index in self.leaves or item.index >= len(self.view.members):
                continue
            digest = leaf_digest(
                self.view.federation,
                self.view.round,
                item.index,
                item.leaf,
                self.view.opened_at,
                item.deadline,
            )
            if _holds(digest, item.signature, self.view.members[item.index], "a leaf"):
                self.leaves[item.index] = item
        seal = self.view.seal
        if seal is not None and self.sealed is None and seal_root(self.config, fragment) == seal.root:
            self.sealed = fragment.leaves

    def _merge_openings(self, fragment: RoundEvidence) -> None:
        leaves = self.effective_leaves()
        for opening in fragment.openings:
            if leaves.get(opening.index) == opening.leaf(self.view.federation):
                self.openings.setdefault(opening.index, opening)

    def _merge_commitments(self, fragment: RoundEvidence) -> None:
        if self.view.phase is Phase.OPEN:
            return
        for item in fragment.commitments:
            if item.index in self.commitments or item.index >= self.config.committee:
                continue
            digest = score_commitment_digest(
                self.view.federation,
                self.view.round,
                item.index,
                item.commitment,
                self.view.sealed_transcript,
            )
            if _holds(digest, item.signature, self.view.members[item.index], "a score commitment"):
                self.commitments[item.index] = item
        anchored = self.view.phase is Phase.SCORED and self.scored is None
        if anchored and score_root(self.config, fragment) == self.view.score_root:
            self.scored = fragment.commitments

    def _merge_reveals(self, fragment: RoundEvidence) -> None:
        commitments = {item.index: item.commitment for item in self.scored or ()}
        for reveal in fragment.reveals:
            if len(reveal.scores) != self.config.capacity:
                continue
            if commitments.get(reveal.index) == reveal.commitment(self.view.federation):
                self.reveals.setdefault(reveal.index, reveal)

    def _settled(self, fragment: RoundEvidence) -> bool:
        """Whether nothing of the fragment could still become provable in this round."""
        if (fragment.leaves or fragment.openings) and self.sealed is None:
            return False
        if (fragment.commitments or fragment.reveals) and self.scored is None:
            return False
        missing = any(opening.index not in self.openings for opening in fragment.openings)
        return not missing or self.view.phase is Phase.SCORED


def _ascending(items: Mapping[int, _Item]) -> tuple[_Item, ...]:
    return tuple(items[index] for index in sorted(items))


def _holds(digest: bytes, signature: bytes, address: bytes, what: str) -> bool:
    """Whether the signature holds; what others send may be anything, so a bad one is simply not taken."""
    try:
        require_signer(digest, signature, address, what)
    except LedgerFedError:
        return False
    return True
