"""The validator in a node: it scores before it sees other scores, decides by itself, and signs only that.

Rules:
- scores are committed before any is revealed (threat V1);
- one certificate per scored transcript; the evidence behind it is journalled before the signature leaves, so
  a restart signs the same again and never another one (threat V4);
- the outcome is computed here, never taken from the relayer (threat R6);
- a proposal that leaves out a reveal which this validator holds is not signed, unless f + 1 validators have
  signed it: then an honest one has found it complete, and holding out would only let a validator that
  reveals to a few stall the round (threat V3). What openings it must hold, `authenticate` says (rule 6);
- a proposal is judged once its proposer's turn has come, so that nobody can divide the committee out of turn.
"""

from __future__ import annotations

from ledgerfed.consensus import authenticate
from ledgerfed.consensus.history import held_openings
from ledgerfed.errors import InvalidValueError, NotFoundError, RoundAbortedError, VerificationError
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

SCORES, CERTIFICATE = "scores", "certificate"


class Validator:
    """Scores openings, reveals, decides and certifies."""

    def __init__(self, desk: Desk, bench: Workbench) -> None:
        self._desk = desk
        self._bench = bench
        self._scored_at = b""
        self._decided: dict[bytes, Outcome | None] = {}
        self._certified: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """What this validator has certified after the scored transcript that stands now, if anything."""
        return self._certified if self._scored_at == self._desk.view.transcript else None

    def certified_evidence(self) -> RoundEvidence | None:
        """Return the evidence that this validator certifies, now and after any restart; None if none."""
        data = self._desk.recalled(CERTIFICATE, self._desk.view.transcript)
        return RoundEvidence.from_bytes(data) if data is not None else None

    def decided(self) -> dict[bytes, Outcome]:
        """Return the outcomes of this scored transcript's proposals, by the transcript that each leads to."""
        t = self._desk.view.transcript
        known = self._decided.values() if self._scored_at == t else ()
        return {walk.certified_transcript(outcome, t): outcome for outcome in known if outcome is not None}

    def while_sealed(self) -> None:
        """Commit to scores once every update is here, or patience is over."""
        desk, view = self._desk, self._desk.view
        if desk.head < view.end or desk.notebook.sealed is None:
            return
        if desk.patient() and not self._holds_everything():
            return
        try:
            fragment = RoundEvidence.from_bytes(desk.remembered(SCORES, view.sealed_transcript, self._score))
        except NotFoundError as error:  # the model or what it scores by; its own update opens all the same
            desk.note("wait", str(error))
            return
        public = desk.notebook.fragment(commitments=fragment.commitments)
        if desk.say_evidence("score commitment", public):
            desk.report("score", to_hex(fragment.commitments[0].commitment))

    def while_scored(self) -> None:
        """Reveal the scores that were anchored; judge proposals and sign the outcome."""
        desk = self._desk
        if self._scored_at != desk.view.transcript:
            self._scored_at, self._decided, self._certified = desk.view.transcript, {}, None
        self._reveal()
        if self._certified is None:
            self._judge_proposals()
        if self._certified is not None:
            self._say_signature(self._certified)

    def _holds_everything(self) -> bool:
        openings = self._desk.notebook.openings
        held = [self._desk.has(opening.update_hash) for opening in openings.values()]
        return all(held) and len(openings) == len(self._desk.notebook.effective_leaves())

    def _score(self) -> bytes:
        desk, view = self._desk, self._desk.view
        evidence = desk.notebook.evidence()
        held = {o.update_hash for o in evidence.openings if desk.has(o.update_hash)}
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
        data = desk.recalled(SCORES, desk.view.sealed_transcript)
        if data is None or all(item.index != desk.index for item in desk.notebook.scored or ()):
            return
        mine = RoundEvidence.from_bytes(data)
        if desk.say_evidence("reveal", desk.notebook.fragment(reveals=mine.reveals)):
            desk.report("reveal")

    def _judge_proposals(self) -> None:
        desk = self._desk
        own = self.certified_evidence()
        if own is not None:
            self._judge(own.hash(), own)
            return
        in_turn = sorted((i for i in desk.proposals if desk.may_speak(i)), key=desk.rank)
        for proposer in in_turn:
            if self._certified is None:
                self._judge(*desk.proposals[proposer])

    def _judge(self, digest: bytes, proposal: RoundEvidence) -> None:
        try:
            outcome = self._decide(digest, proposal)
        except NotFoundError as error:
            self._desk.note(
                "wait", str(error)
            )  # a payload that f + 1 validators hold has not come through yet
            return
        if outcome is not None and (self._is_complete(proposal) or self._is_vouched_for(outcome)):
            self._certify(proposal, outcome)

    def _is_complete(self, proposal: RoundEvidence) -> bool:
        return {r.index for r in proposal.reveals} >= self._desk.notebook.reveals.keys()

    def _is_vouched_for(self, outcome: Outcome) -> bool:
        after = walk.certified_transcript(outcome, self._desk.view.transcript)
        return len(self._desk.notebook.signatures(after)) > self._desk.config.faults

    def _decide(self, digest: bytes, proposal: RoundEvidence) -> Outcome | None:
        """Return the outcome of a proposal, None if it is refused; each is decided once."""
        if digest not in self._decided:
            self._decided[digest] = None
            try:
                self._decided[digest] = self._replay(proposal)
            except NotFoundError:
                del self._decided[digest]
                raise
            except (InvalidValueError, VerificationError, RoundAbortedError) as error:
                self._desk.report("refuse", str(error))
        return self._decided[digest]

    def _replay(self, proposal: RoundEvidence) -> Outcome:
        desk, view = self._desk, self._desk.view
        sealed_in = view.seal.block if view.seal else 0
        if authenticate(desk.config, view.members, proposal, sealed_in, view.removed) != view.transcript:
            raise VerificationError(
                f"round {view.round}: the proposal leads to another transcript than the ledger's"
            )
        held = {opening.update_hash for opening in held_openings(desk.config, proposal)}
        return walk.decide_outcome(desk.round_input(proposal, held))

    def _certify(self, proposal: RoundEvidence, outcome: Outcome) -> None:
        desk = self._desk
        document = proposal.to_bytes()
        for data in (document, outcome.manifest().to_bytes(), encode_model(outcome.model)):
            desk.ports.blobs.put(data)
        if desk.remembered(CERTIFICATE, desk.view.transcript, lambda: document) == document:
            self._certified = outcome
            desk.report("certify", to_hex(outcome.manifest().hash()))

    def _say_signature(self, outcome: Outcome) -> None:
        desk, view = self._desk, self._desk.view
        key = f"signature after {to_hex(view.transcript)}"
        if not desk.is_due(key):
            return
        after = walk.certified_transcript(outcome, view.transcript)
        signature = desk.ports.signer.sign_digest(walk.make_certificate(outcome, view.transcript))
        statement = Statement(view.round, desk.index, desk.index, after, signature)
        desk.notebook.take_certificate(statement)
        desk.say(SIGNATURE, key, statement.to_bytes())
