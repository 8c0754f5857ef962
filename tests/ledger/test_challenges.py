"""Challenges through the gateway: every proof convicts on chain, once, whatever is sent again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.errors import InvalidValueError, NotFoundError, TransactionRevertedError, VerificationError
from ledgerfed.ledger import (
    BrokenReceipt,
    DoubledIndex,
    LedgerGateway,
    TransactionKind,
    TwoCertificates,
    TwoStatements,
    WrongMedian,
    demo_key,
)
from ledgerfed.ledger.events import Aborted, Disputed
from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.reputation import Evidence, Reputation, reputation_tree, result_hash
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Dispute, Fault, Force, tail_of
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    receipt_digest,
    score_commitment_digest,
)

A, B = keccak(b"a"), keccak(b"b")
ROOT, SCORES = keccak(b"root"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
OTHER = (keccak(b"manifest"), keccak(b"another model"), keccak(b"new reputations"))


def two_statements(gateway: LedgerGateway, fault: Fault, culprit, index: int) -> TwoStatements:
    t, federation = gateway.transcript(), gateway.federation
    place, deadlines = (federation, 1, index), (50, 51)
    signatures = []
    for subject, deadline in zip((A, B), deadlines, strict=True):
        digests = {
            Fault.TWO_LEAVES: leaf_digest(*place, subject, t, deadline),
            Fault.TWO_RECEIPTS: receipt_digest(*place, subject, t),
            Fault.TWO_COMMITMENTS: score_commitment_digest(*place, subject, t),
        }
        signatures.append(culprit.sign_digest(digests[fault]))
    return TwoStatements(fault, 1, index, t, (A, B), tuple(signatures), deadlines)


def disputes(scene, gateway) -> list[Disputed]:
    found = gateway.read_events(scene.deployment.transaction.block_number, gateway.block_number())
    return [event for event in found if isinstance(event, Disputed)]


@pytest.mark.parametrize("fault", [Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS])
def test_two_statements_convict_who_signed_them(scene, fault):
    gateway = scene.gateway()
    t = gateway.transcript()
    mined = gateway.challenge(scene.nodes[1], two_statements(gateway, fault, scene.nodes[2], 2))
    assert (mined.kind, mined.round) == (TransactionKind.CHALLENGE_STATEMENTS, 1)
    (event,) = gateway.read_events_of(mined.block_hash)
    assert isinstance(event, Disputed)
    assert (event.round, event.fault, event.culprits, event.contested) == (1, fault, 2, False)
    assert event.transcript == reference.after_dispute(t, 1, fault, 2, event.proof) == gateway.transcript()
    assert gateway.node(scene.nodes[2].address).removed
    assert gateway.state().removed == 0b0100
    assert not gateway.node(scene.nodes[1].address).removed


def certify(scene, gateway, outcome=OUTCOME) -> None:
    number = gateway.state().round
    t = reference.after_certify(gateway.transcript(), number, *outcome)
    digest = certificate_digest(gateway.federation, number, t)
    members = [node for node in scene.nodes if not gateway.node(node.address).removed]
    signatures = [node.sign_digest(digest) for node in members[:3]]
    gateway.certify(scene.nodes[0], number, *outcome, signatures)


def two_certificates(gateway: LedgerGateway, scored_at: bytes, culprit) -> TwoCertificates:
    outcomes = (OUTCOME, OTHER)
    digests = (
        certificate_digest(gateway.federation, 1, reference.after_certify(scored_at, 1, *outcome))
        for outcome in outcomes
    )
    first, second = (culprit.sign_digest(digest) for digest in digests)
    return TwoCertificates(1, scored_at, outcomes, (first, second))


def test_a_certificate_that_falls_can_be_replaced_by_the_same_sender(scene):
    gateway = scene.gateway()
    scene.seal(gateway)
    scene.score(gateway)
    scored_at = gateway.transcript()
    certify(scene, gateway)
    mined = gateway.challenge(scene.nodes[0], two_certificates(gateway, scored_at, scene.nodes[2]))
    (event,) = gateway.read_events_of(mined.block_hash)
    assert (event.fault, event.contested) == (Fault.TWO_CERTIFICATES, True)
    state = gateway.state()
    assert (state.round, state.phase, state.attempt) == (1, Phase.SCORED, 1)
    certify(scene, gateway)
    certify_row = scene.row(scene.nodes[0], "certify")
    assert (certify_row.attempt, certify_row.state) == (1, "mined")
    assert (gateway.state().round, gateway.state().phase) == (2, Phase.OPEN)


def test_a_certificate_that_stands_is_not_sent_again(scene):
    gateway = scene.gateway()
    scene.seal(gateway)
    scene.score(gateway)
    signatures = scene.certificate(gateway)
    first = gateway.certify(scene.nodes[0], 1, *OUTCOME, signatures)
    assert scene.gateway().certify(scene.nodes[0], 1, *OUTCOME, signatures) == first
    assert scene.row(scene.nodes[0], "certify").attempt == 0


def test_a_broken_receipt_convicts_the_sealer(scene):
    gateway = scene.gateway()
    gateway.wait_for_block(gateway.state().end)
    relayer, opened_at = scene.relayer(gateway), gateway.transcript()
    tree = build_tree({1: A, 3: B}, 3)
    gateway.seal(relayer, 1, tree.root, 2)
    forced = gateway.force(scene.nodes[3], 1, A)
    digest = receipt_digest(gateway.federation, 1, 2, A, opened_at)
    tail = tail_of([Force(1, 3, A)])
    path = tree.proof(2)
    proof = BrokenReceipt(1, opened_at, tree.root, 2, 2, A, relayer.sign_digest(digest), EMPTY, path, tail)
    with pytest.raises(TransactionRevertedError, match="not how the transcript came about"):
        gateway.challenge(scene.nodes[0], replace(proof, tail=b""))
    mined = gateway.challenge(scene.nodes[0], proof)
    assert mined.block_number > forced.block_number
    (event,) = disputes(scene, gateway)
    assert (event.fault, event.culprits) == (Fault.BROKEN_RECEIPT, gateway.node(relayer.address).index)
    assert event.proof == keccak(digest + EMPTY)


def test_a_doubled_index_convicts_its_node(scene):
    gateway = scene.gateway()
    opened_at = gateway.transcript()
    scene.seal(gateway)
    gateway.force(scene.nodes[2], 1, B)
    digest = leaf_digest(gateway.federation, 1, 2, A, opened_at, 77)
    signature, tail = scene.nodes[2].sign_digest(digest), tail_of([Force(1, 2, B)])
    gateway.challenge(scene.nodes[0], DoubledIndex(1, opened_at, ROOT, 3, 2, A, 77, signature, tail))
    (event,) = disputes(scene, gateway)
    assert (event.fault, event.culprits) == (Fault.DOUBLED_INDEX, 2)
    assert event.proof == keccak(digest + B)


def test_a_wrong_median_convicts_all_who_signed_and_ends_the_round(scene):
    gateway = scene.gateway()
    scene.seal(gateway)
    scene.score(gateway)
    scored_at = gateway.transcript()
    rows = [Reputation(Evidence(k, 2), Evidence(3, 4)) for k in range(4)]
    heard = (-5, 7, 9)
    results = [EMPTY, result_hash(9, heard), EMPTY, EMPTY]
    tree = reputation_tree(rows, 3, results)
    outcome = (A, B, tree.root)
    certify(scene, gateway, outcome)
    proof = WrongMedian(1, scored_at, outcome, 1, rows[1], 9, heard, tree.proof(1))
    mined = gateway.challenge(scene.nodes[3], proof)
    disputed, aborted = gateway.read_events_of(mined.block_hash)
    assert (disputed.fault, disputed.culprits, disputed.contested) == (Fault.WRONG_MEDIAN, 0b0111, True)
    assert disputed.proof == rows[1].leaf(1, results[1])
    assert isinstance(aborted, Aborted)
    assert (aborted.round, aborted.phase) == (1, Phase.DISPUTED)
    assert gateway.transcript() == reference.after_abort(disputed.transcript, 1, Phase.DISPUTED)
    step = Dispute(1, Fault.WRONG_MEDIAN, 0b0111, disputed.proof)
    assert step.indices(gateway.committee()) == {0, 1, 2}
    assert scene.gateway().challenge(scene.nodes[3], proof) == mined


def test_a_challenge_is_sent_once_and_others_beside_it(scene):
    gateway, sender = scene.gateway(), scene.nodes[0]
    leaves = two_statements(gateway, Fault.TWO_LEAVES, scene.nodes[1], 1)
    receipts = two_statements(gateway, Fault.TWO_RECEIPTS, scene.nodes[2], 2)
    nonce = scene.nonce(sender)
    mined = gateway.challenge(sender, leaves)
    restarted = scene.gateway()
    restarted.reconcile(sender.address)
    assert restarted.challenge(sender, leaves) == mined
    assert restarted.challenge(sender, receipts) != mined
    assert scene.nonce(sender) == nonce + 2
    assert [event.culprits for event in disputes(scene, gateway)] == [1, 2]
    assert scene.row(sender, "challenge_statements:1:1").tx_hash == mined.hash


def test_a_second_proof_against_the_same_node_is_refused_with_the_reason(scene):
    gateway = scene.gateway()
    leaves = two_statements(gateway, Fault.TWO_LEAVES, scene.nodes[1], 1)
    receipts = two_statements(gateway, Fault.TWO_RECEIPTS, scene.nodes[1], 1)
    gateway.challenge(scene.nodes[0], leaves)
    with pytest.raises(
        TransactionRevertedError, match=r"challenge_statements:2:1 of round 1 .*removed already"
    ):
        gateway.challenge(scene.nodes[0], receipts)
    with pytest.raises(TransactionRevertedError, match="removed already"):
        gateway.challenge(scene.nodes[3], leaves)
    assert len(disputes(scene, gateway)) == 1


def test_what_proves_nothing_is_refused_before_anything_is_sent(scene):
    gateway = scene.gateway()
    proof = two_statements(gateway, Fault.TWO_LEAVES, scene.nodes[1], 1)
    other = two_statements(gateway, Fault.TWO_LEAVES, scene.nodes[2], 1)
    stranger = two_statements(gateway, Fault.TWO_LEAVES, demo_key(7, 55), 1)
    with pytest.raises(InvalidValueError, match="different signers"):
        gateway.challenge(
            scene.nodes[0], replace(proof, signatures=(proof.signatures[0], other.signatures[1]))
        )
    with pytest.raises(InvalidValueError, match="are the same"):
        replace(proof, subjects=(A, A))
    with pytest.raises(InvalidValueError, match="fault 1, 2 or 3, not 7"):
        replace(proof, fault=Fault.WRONG_MEDIAN)
    with pytest.raises(InvalidValueError, match="same outcome"):
        TwoCertificates(1, A, (OUTCOME, OUTCOME), proof.signatures)
    with pytest.raises(VerificationError, match="65 bytes"):
        gateway.challenge(scene.nodes[0], replace(proof, signatures=(b"", b"")))
    with pytest.raises(NotFoundError, match="is not a member"):
        gateway.challenge(scene.nodes[0], stranger)
    assert disputes(scene, gateway) == []
    assert scene.row(scene.nodes[0], "challenge_statements:1:1") is None
