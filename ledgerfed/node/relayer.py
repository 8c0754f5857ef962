"""The relayer in a committee member: it carries what others have said to the ledger, trusted for nothing.

Rules:
- a receipt is signed only after the leaf is in the journal, so an acknowledged leaf is never lost;
- the set that a root stands for is journalled before the transaction and published after it;
- a turn that a relayer sleeps through falls to the next committee member in the second half of the window.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.consensus.authenticate import score_root
from ledgerfed.errors import VerificationError
from ledgerfed.node import walk
from ledgerfed.node.desk import Desk
from ledgerfed.node.messages import PROPOSAL, RECEIPT, SIGNATURE, Statement
from ledgerfed.node.validator import Validator
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.signature import require_signer
from ledgerfed.protocol.typed_data import certificate_digest, receipt_digest


class Relayer:
    """Acknowledges leaves, seals, anchors scores, proposes the evidence and sends the certificate."""

    def __init__(self, desk: Desk, validator: Validator) -> None:
        self._desk = desk
        self._validator = validator

    def acknowledge(self, fragments: Sequence[RoundEvidence]) -> None:
        """Sign receipts for the leaves that have come in, if it is this member's turn."""
        desk = self._desk
        if desk.rank() != 0:
            return
        for leaf in (leaf for fragment in fragments for leaf in fragment.leaves):
            if desk.notebook.leaves.get(leaf.index) == leaf:
                self._receipt(leaf)

    def while_open(self) -> None:
        """Seal when every member's leaf is here, or patience is over."""
        desk, view = self._desk, self._desk.view
        leaves = desk.notebook.leaves
        if not desk.may_relay() or len(leaves) < desk.config.min_updates:
            return
        if desk.patient() and len(leaves) < len(view.members):
            return
        fragment = RoundEvidence.from_bytes(desk.remembered("seal", self._all_leaves))
        tree = walk.make_seal(fragment.leaves, desk.config.depth)
        desk.sent(
            "seal", desk.ports.ledger.seal(desk.ports.signer, view.round, tree.root, len(fragment.leaves))
        )

    def while_sealed(self) -> None:
        """Show the sealed set; anchor the score commitments when all are here, or patience is over."""
        desk, view = self._desk, self._desk.view
        self._show("seal", "sealed set")
        commitments = desk.notebook.commitments
        if not desk.may_relay() or len(commitments) < desk.config.quorum:
            return
        if desk.patient() and len(commitments) < desk.config.committee:
            return
        fragment = RoundEvidence.from_bytes(desk.remembered("anchor", self._all_commitments))
        desk.sent(
            "scores",
            desk.ports.ledger.scores(desk.ports.signer, view.round, score_root(desk.config, fragment)),
        )

    def while_scored(self) -> None:
        """Show the anchored set, propose the evidence, and send the certificate once a quorum has signed."""
        desk = self._desk
        self._show("anchor", "anchored set")
        if desk.may_speak():
            self._propose()
            self._send_certificate()

    def _receipt(self, leaf: SignedLeaf) -> None:
        desk, view = self._desk, self._desk.view
        desk.remembered(f"leaf {leaf.index}", lambda: desk.notebook.fragment(leaves=(leaf,)).to_bytes())
        digest = receipt_digest(view.federation, view.round, leaf.index, leaf.leaf, view.opened_at)
        signature = desk.ports.signer.sign_digest(digest)
        receipt = Statement(view.round, desk.index, leaf.index, leaf.leaf, signature)
        desk.say(RECEIPT, f"receipt {leaf.index}", receipt.to_bytes())

    def _all_leaves(self) -> bytes:
        notebook = self._desk.notebook
        return notebook.fragment(leaves=notebook.known_leaves()).to_bytes()

    def _all_commitments(self) -> bytes:
        notebook = self._desk.notebook
        return notebook.fragment(commitments=notebook.known_commitments()).to_bytes()

    def _show(self, step: str, key: str) -> None:
        data = self._desk.recalled(step)
        if data is not None:
            self._desk.say_evidence(key, RoundEvidence.from_bytes(data))

    def _propose(self) -> None:
        desk = self._desk
        notebook = desk.notebook
        scored = notebook.scored
        if scored is None or notebook.sealed is None or len(notebook.reveals) <= 2 * desk.config.faults:
            return
        if len(notebook.reveals) < len(scored) and desk.patient():
            return
        proposal = notebook.evidence()
        if desk.say(PROPOSAL, f"proposal {proposal.hash().hex()}", proposal.to_bytes()):
            desk.proposals.append(proposal)
            desk.report("propose")

    def _send_certificate(self) -> None:
        desk = self._desk
        outcome = self._validator.outcome
        if outcome is None or outcome.round != desk.view.round:
            return
        signatures = self._signatures(outcome)
        if len(signatures) < desk.config.quorum:
            return
        chosen = sorted(signatures)[: desk.config.quorum]
        manifest = outcome.manifest()
        desk.sent(
            "certify",
            desk.ports.ledger.certify(
                desk.ports.signer,
                outcome.round,
                manifest.hash(),
                manifest.model,
                manifest.reputation_root,
                [signatures[index] for index in chosen],
            ),
        )

    def _signatures(self, outcome: Outcome) -> dict[int, bytes]:
        """Return the valid signatures over this outcome by committee index."""
        desk, view = self._desk, self._desk.view
        after = walk.certified_transcript(outcome, view.transcript)
        digest = certificate_digest(view.federation, view.round, after)
        found: dict[int, bytes] = {}
        for topic, statement in desk.statements:
            if topic != SIGNATURE or statement.subject != after or statement.signer >= desk.config.committee:
                continue
            try:
                require_signer(digest, statement.signature, view.members[statement.signer], "a certificate")
            except VerificationError:
                continue
            found[statement.signer] = statement.signature
        return found
