"""The relayer in a committee member: it carries what others have said to the ledger, trusted for nothing.

Rules:
- a receipt is signed only after the leaf is in the journal, and a restart reads it there, so an acknowledged
  leaf is in the set that this member seals; once that set is written down, nothing more is acknowledged;
- the set that a root stands for is journalled before the transaction and published after it;
- a turn that a relayer sleeps through falls to the next committee member in the second half of the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledgerfed.consensus.authenticate import score_root
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.node import walk
from ledgerfed.node.desk import Desk
from ledgerfed.node.messages import RECEIPT, Statement
from ledgerfed.node.notebook import Notebook
from ledgerfed.node.validator import Validator
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf
from ledgerfed.protocol.signature import SIGNATURE_BYTES
from ledgerfed.protocol.typed_data import receipt_digest

SEAL, ANCHOR, SENT = "seal", "anchor", "sent certificate"


class Relayer:
    """Acknowledges leaves, seals, anchors scores, proposes the evidence and sends the certificate."""

    def __init__(self, desk: Desk, validator: Validator) -> None:
        self._desk = desk
        self._validator = validator
        self._reread: Notebook | None = None

    def acknowledge(self) -> None:
        """Sign receipts for the leaves that have come in, if it is this member's turn."""
        desk, opened_at = self._desk, self._desk.view.opened_at
        if desk.rank() != 0:
            return
        if self._reread is not desk.notebook:
            self._reread = desk.notebook
            self._read_acknowledged()
        if desk.recalled(SEAL, opened_at) is None:
            for leaf in desk.notebook.sealable():
                self._receipt(leaf)

    def while_open(self) -> None:
        """Seal when every member's leaf is here, or patience is over."""
        desk, view = self._desk, self._desk.view
        leaves = desk.notebook.sealable()
        if not desk.may_relay() or len(leaves) < desk.config.min_updates or self._would_break_a_receipt():
            return
        if desk.patient() and len(leaves) < sum(member != VACANT for member in view.members):
            return
        fragment = RoundEvidence.from_bytes(desk.remembered(SEAL, view.opened_at, self._all_leaves))
        desk.sent("seal", self._seal(fragment.leaves))

    def _seal(self, leaves: Sequence[SignedLeaf]) -> MinedTransaction:
        desk, view, signer = self._desk, self._desk.view, self._desk.ports.signer
        if view.leaves_on_chain:
            return desk.ports.ledger.seal_leaves(signer, view.round, {x.index: x.leaf for x in leaves})
        root = walk.make_seal(leaves, desk.config.depth).root
        return desk.ports.ledger.seal(signer, view.round, root, len(leaves))

    def while_sealed(self) -> None:
        """Show the sealed set; anchor the score commitments when all are here, or patience is over."""
        desk, view = self._desk, self._desk.view
        self._show(SEAL, view.opened_at, "sealed set")
        commitments = desk.notebook.commitments
        if not desk.may_relay() or len(commitments) < desk.config.quorum:
            return
        # longer than those who score wait for openings, so that the last of them is not left out
        if desk.patient(eighths=3) and len(commitments) < len(desk.view.sits):
            return
        fragment = RoundEvidence.from_bytes(
            desk.remembered(ANCHOR, view.sealed_transcript, self._all_commitments)
        )
        desk.sent(
            "scores",
            desk.ports.ledger.scores(desk.ports.signer, view.round, score_root(desk.config, fragment)),
        )

    def while_scored(self) -> None:
        """Show both sets, propose the evidence, and send the certificate once a quorum has signed."""
        desk = self._desk
        self._show(SEAL, desk.view.opened_at, "sealed set")
        self._show(ANCHOR, desk.view.sealed_transcript, "anchored set")
        if desk.may_speak():
            self._propose()
            self._send_certificate()

    def _read_acknowledged(self) -> None:
        """Take the leaves that were acknowledged before a restart into the notebook, before any other."""
        desk = self._desk
        for leaf in self._acknowledged():
            desk.notebook.merge(desk.notebook.fragment(leaves=(leaf,)), desk.index)

    def _receipt(self, leaf: SignedLeaf) -> None:
        desk, view = self._desk, self._desk.view
        if not desk.is_due(f"receipt {leaf.index}"):
            return
        fragment = desk.notebook.fragment(leaves=(leaf,)).to_bytes()
        kept = desk.remembered(f"leaf {leaf.index}", view.opened_at, lambda: fragment)
        leaf = RoundEvidence.from_bytes(kept).leaves[0]
        digest = receipt_digest(view.federation, view.round, leaf.index, leaf.leaf, view.opened_at)
        signature = desk.ports.signer.sign_digest(digest)
        receipt = Statement(view.round, desk.index, leaf.index, leaf.leaf, signature)
        desk.notebook.take_receipt(receipt)
        desk.say(RECEIPT, f"receipt {leaf.index}", receipt.to_bytes())

    def _all_leaves(self) -> bytes:
        """Every leaf acknowledged about this transcript, and every other one that is good for a seal."""
        leaves = {leaf.index: leaf for leaf in self._desk.notebook.sealable()}
        leaves.update({leaf.index: leaf for leaf in self._acknowledged()})
        return self._desk.notebook.fragment(leaves=tuple(leaves[i] for i in sorted(leaves))).to_bytes()

    def _acknowledged(self) -> Iterator[SignedLeaf]:
        desk = self._desk
        for index in range(len(desk.view.members)):
            data = desk.recalled(f"leaf {index}", desk.view.opened_at)
            if data is not None:
                yield RoundEvidence.from_bytes(data).leaves[0]

    def _would_break_a_receipt(self) -> bool:
        """Whether an acknowledged leaf is void by now, as a change of branch can make it."""
        return any(leaf.deadline <= self._desk.head for leaf in self._acknowledged())

    def _all_commitments(self) -> bytes:
        notebook = self._desk.notebook
        return notebook.fragment(commitments=notebook.known_commitments()).to_bytes()

    def _show(self, step: str, about: bytes, key: str) -> None:
        data = self._desk.recalled(step, about)
        if data is not None and self._desk.is_due(key):
            self._desk.say_evidence(key, RoundEvidence.from_bytes(data))

    def _propose(self) -> None:
        """Propose what this member has certified itself, else all that it knows."""
        proposal = self._validator.certified_evidence() or self._known_evidence()
        if proposal is not None and self._desk.propose(proposal):
            self._desk.report("propose")

    def _known_evidence(self) -> RoundEvidence | None:
        desk, notebook = self._desk, self._desk.notebook
        if notebook.scored is None or notebook.sealed is None:
            return None
        revealed = len(notebook.reveals)
        if revealed <= 2 * desk.config.faults or (revealed < len(notebook.scored) and desk.patient()):
            return None
        return notebook.evidence()

    def _send_certificate(self) -> None:
        desk, view = self._desk, self._desk.view
        outcome = self._validator.outcome
        if outcome is None:
            return
        signatures = desk.notebook.signatures(walk.certified_transcript(outcome, view.transcript))
        if len(signatures) < desk.config.quorum:
            return
        chosen = b"".join(list(signatures.values())[: desk.config.quorum])
        sent = desk.remembered(SENT, view.transcript, lambda: chosen)
        manifest = outcome.manifest()
        desk.sent(
            "certify",
            desk.ports.ledger.certify(
                desk.ports.signer,
                outcome.round,
                manifest.hash(),
                manifest.model,
                manifest.reputation_root,
                [sent[at : at + SIGNATURE_BYTES] for at in range(0, len(sent), SIGNATURE_BYTES)],
            ),
        )
