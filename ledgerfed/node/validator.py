"""The validator in a node: it scores before it sees other scores, decides by itself, and signs only that.

Rules:
- scores are committed before any is revealed (threat V1);
- one certificate per scored transcript, journalled before it leaves (threat V4);
- a proposal that misses an opening or a reveal this validator holds is not signed: nobody is left out;
- the outcome is computed here, never taken from the relayer (threat R6).
"""

from __future__ import annotations

from ledgerfed.consensus import authenticate
from ledgerfed.errors import (
    ConflictError,
    InvalidValueError,
    NotFoundError,
    RoundAbortedError,
    VerificationError,
)
from ledgerfed.node import walk
from ledgerfed.node.desk import Desk
from ledgerfed.node.messages import SIGNATURE, Statement
from ledgerfed.node.walk import Workbench
from ledgerfed.protocol.evidence import RoundEvidence, SignedScoreCommitment
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import encode_model
from ledgerfed.protocol.score import ScoreVector
from ledgerfed.protocol.typed_data import score_commitment_digest


class Validator:
    """Scores openings, reveals, decides and certifies. `outcome` is its own result for the current round."""

    def __init__(self, desk: Desk, bench: Workbench) -> None:
        self._desk = desk
        self._bench = bench
        self._judged: set[bytes] = set()
        self.outcome: Outcome | None = None

    def while_sealed(self) -> None:
        """Commit to scores once every leaf is opened, or patience is over."""
        desk = self._desk
        leaves = desk.notebook.effective_leaves()
        if desk.head < desk.view.end or desk.notebook.sealed is None:
            return
        if desk.patient() and len(desk.notebook.openings) < len(leaves):
            return
        fragment = RoundEvidence.from_bytes(desk.remembered("scores", self._score))
        public = desk.notebook.fragment(commitments=fragment.commitments)
        if desk.say_evidence("score commitment", public):
            desk.report("score", to_hex(fragment.commitments[0].commitment))

    def while_scored(self) -> None:
        """Reveal the scores that were anchored; judge proposals and sign the outcome."""
        desk = self._desk
        self._reveal()
        for proposal in desk.proposals:
            if self.outcome is None or self.outcome.round != desk.view.round:
                self._judge(proposal)

    def _score(self) -> bytes:
        desk, view = self._desk, self._desk.view
        evidence = desk.notebook.evidence()
        held = {o.update_hash for o in evidence.openings if self._reachable(o.update_hash)}
        indices = frozenset(o.index for o in evidence.openings if o.update_hash in held)
        scores = walk.give_verdicts(self._bench, desk.index, desk.round_input(evidence, held), indices)
        vector = ScoreVector(view.round, desk.index, scores, desk.secret_salt("scores"))
        commitment = vector.commitment(view.federation)
        digest = score_commitment_digest(
            view.federation, view.round, desk.index, commitment, view.sealed_transcript
        )
        signed = SignedScoreCommitment(desk.index, commitment, desk.ports.signer.sign_digest(digest))
        return desk.notebook.fragment(commitments=(signed,), reveals=(vector,)).to_bytes()

    def _reveal(self) -> None:
        desk = self._desk
        data = desk.recalled("scores")
        if data is None or desk.notebook.scored is None:
            return
        mine = RoundEvidence.from_bytes(data)
        if all(item.index != desk.index for item in desk.notebook.scored):
            return
        if desk.say_evidence("reveal", desk.notebook.fragment(reveals=mine.reveals)):
            desk.report("reveal")

    def _judge(self, proposal: RoundEvidence) -> None:
        desk = self._desk
        digest = proposal.hash()
        if digest in self._judged or not self._complete(proposal):
            return
        self._judged.add(digest)
        try:
            self._certify(proposal)
        except (InvalidValueError, VerificationError, RoundAbortedError, ConflictError) as error:
            desk.report("refuse", str(error))
        except NotFoundError as error:
            # a payload that f + 1 validators hold has not come through yet: judge again at the next look
            self._judged.discard(digest)
            desk.report("wait", str(error))

    def _complete(self, proposal: RoundEvidence) -> bool:
        """Whether the proposal leaves out nothing that this validator holds."""
        notebook = self._desk.notebook
        opened = {o.index for o in proposal.openings}
        revealed = {r.index for r in proposal.reveals}
        return opened >= notebook.openings.keys() and revealed >= notebook.reveals.keys()

    def _certify(self, proposal: RoundEvidence) -> None:
        desk, view = self._desk, self._desk.view
        sealed_in = view.seal.block if view.seal else 0
        if authenticate(desk.config, view.members, proposal, sealed_in) != view.transcript:
            raise VerificationError(
                f"round {view.round}: the proposal leads to another transcript than the ledger's"
            )
        held = {o.update_hash for o in proposal.openings if self._reachable(o.update_hash)}
        outcome = walk.decide_outcome(desk.round_input(proposal, held))
        after = walk.certified_transcript(outcome, view.transcript)
        if desk.remembered(f"certificate {view.transcript.hex()[:16]}", lambda: after) != after:
            raise ConflictError(
                f"round {view.round}: this node has certified another outcome; it signs no second"
            )
        blobs = desk.ports.blobs
        for document in (proposal.to_bytes(), outcome.manifest().to_bytes(), encode_model(outcome.model)):
            blobs.put(document)
        self.outcome = outcome
        signature = desk.ports.signer.sign_digest(walk.make_certificate(outcome, view.transcript))
        statement = Statement(view.round, desk.index, desk.index, after, signature)
        desk.statements.append((SIGNATURE, statement))
        if desk.say(SIGNATURE, "signature", statement.to_bytes()):
            desk.report("certify", to_hex(outcome.manifest().hash()))

    def _reachable(self, digest: bytes) -> bool:
        try:
            self._desk.fetch(digest)
        except NotFoundError:
            return False
        return True
