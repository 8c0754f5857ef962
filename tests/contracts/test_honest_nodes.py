"""No proof can be made of what honest nodes say, whoever collects it and however the ledger moves."""

from dataclasses import dataclass
from functools import partial
from itertools import product

import pytest
from deployed_ledger import deploy
from faults import (
    broken_receipt,
    doubled_index,
    scored_outcome,
    statement_digest,
    two_certificates,
    two_statements,
    wrong_median,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from played_rounds import Play, leaf_of

from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transition import Certify, Fault, Seal
from ledgerfed.protocol.typed_data import certificate_digest

HONEST = range(4)  # all of them on the committee
NOTHING_PROVEN = {
    "the two statements are the same",
    "the two statements have different signers",
    "the receipt was honoured",
    "the sealer has not signed this receipt",
    "the node forced no leaf",
    "the leaf is not signed by its node",
    "the certified score is the lower median",
}


@dataclass(frozen=True)
class Said:
    """A statement about a place in a history, and its signature."""

    fault: Fault
    signer: int
    round: int
    index: int
    t: bytes
    subject: bytes | tuple[bytes, bytes, bytes]
    deadline: int
    signature: bytes


class HonestRounds:
    """Honest nodes at play; all that they sign is collected."""

    def __init__(self, play):
        self.play = play
        self.said = []
        self.culprits = [5, 4]  # faulty ones without a seat, whose faults move the transcript

    def say(self, fault, signer, index, subject, deadline=0):
        play, t = self.play, self.play.t
        if fault == Fault.TWO_CERTIFICATES:
            after = Certify(play.round, *subject).after(t)
            digest = certificate_digest(play.ledger.federation, play.round, after)
        else:
            digest = statement_digest(play, fault, play.round, index, subject, t, deadline)
        signature = sign_digest(play.keys[signer], digest)
        self.said.append(Said(fault, signer, play.round, index, t, subject, deadline, signature))

    def leaf(self, index):
        return leaf_of(index, b"round %d" % self.play.round)

    def commit(self, deadline):
        """Everybody signs its leaf; the relayer of the turn has received all but the last."""
        relayer = self.play.ledger.members.index(self.play.ledger.relayer())
        for index in HONEST:
            self.say(Fault.TWO_LEAVES, index, index, self.leaf(index), deadline)
            if index != HONEST[-1]:
                self.say(Fault.TWO_RECEIPTS, relayer, index, self.leaf(index))

    def score(self):
        for index in HONEST:
            self.say(Fault.TWO_COMMITMENTS, index, index, keccak(self.play.t + bytes([index])))

    def certify(self, outcome):
        for index in HONEST[:3]:
            self.say(Fault.TWO_CERTIFICATES, index, index, outcome)
        self.play.certify(outcome)

    def disturb(self, round_number=None, t=None):
        """Whether somebody faulty was left, and has moved the transcript."""
        if not self.culprits:
            return False
        proof = two_statements(self.play, Fault.TWO_LEAVES, self.culprits.pop(), round_number, t=t)
        self.play.challenge(proof)
        return True

    def attempts(self):
        """All that can be tried with what was said."""
        pairs = ((a, b) for a, b in product(self.said, self.said) if a.signer == b.signer and a is not b)
        certificates = Fault.TWO_CERTIFICATES
        for one, other in pairs:
            if (one.fault == certificates) == (other.fault == certificates):
                yield partial(self._against, one, other)
        for one in self.said:
            if one.fault in (Fault.TWO_RECEIPTS, Fault.TWO_LEAVES):
                yield partial(self._against_history, one)

    def _against(self, one, other):
        both = {"signature": one.signature, "other": other.signature}
        subjects = (one.subject, other.subject)
        if one.fault == Fault.TWO_CERTIFICATES:
            proof = two_certificates(self.play, one.signer, one.round, one.t)
            return proof.but(outcomes=subjects, **both)
        proof = two_statements(self.play, one.fault, one.signer, one.round, one.index, one.t)
        return proof.but(subjects=subjects, deadlines=(one.deadline, other.deadline), **both)

    def _against_history(self, one):
        if one.fault == Fault.TWO_RECEIPTS:
            proof = broken_receipt(self.play, one.index, one.subject)
        else:
            proof = doubled_index(self.play, one.index, one.subject, EMPTY, one.deadline)
        return proof.but(signature=one.signature)


@pytest.mark.threat("N5", "V4")
def test_no_proof_can_be_made_of_what_honest_nodes_say(local_evm):
    moments = st.sampled_from(["commit", "score", "certified", "never"])

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(st.lists(moments, min_size=2, max_size=2), st.randoms(use_true_random=False))
    def check(disturbances, random):
        nodes = HonestRounds(Play(deploy(local_evm(), nodes=6)))
        play = nodes.play
        for moment in disturbances:
            nodes.commit(deadline=40)
            if moment == "commit" and nodes.disturb():
                nodes.commit(deadline=41)
            play.seal({index: nodes.leaf(index) for index in HONEST[:3]})
            play.force(HONEST[-1], nodes.leaf(HONEST[-1]))
            nodes.score()
            if moment == "score" and nodes.disturb():
                nodes.score()
            scored = scored_outcome(1, 2, (1, 2, 3, 4), depth=3)
            play.scores()
            nodes.certify(scored.outcome)
            if moment == "certified" and nodes.disturb(play.round - 1, play.before(Seal)):
                scored = scored_outcome(1, 1, (1, 2), depth=3)
                nodes.certify(scored.outcome)
            attempts = list(nodes.attempts())
            for attempt in random.sample(attempts, min(len(attempts), 80)):
                assert play.refusal(attempt()) in NOTHING_PROVEN
            assert play.refusal(wrong_median(play, scored, 0b0111)) in NOTHING_PROVEN
        assert play.ledger.state()["removed"] == 0

    check()


def test_the_nodes_of_this_test_would_be_caught(local_evm):
    """What the property above tries does convict, once one of the statements is another."""
    nodes = HonestRounds(Play(deploy(local_evm(), nodes=6)))
    nodes.commit(deadline=40)
    nodes.say(Fault.TWO_LEAVES, 0, 0, keccak(b"second thoughts"), 40)
    nodes.play.seal({index: nodes.leaf(index) for index in HONEST[:3]})
    assert None in {nodes.play.refusal(attempt()) for attempt in nodes.attempts()}
