"""Challenges: what a fault leads to, and why a near-miss is refused (threats N5, V4, V5, R1; ADR 7)."""

import pytest
from chains import stranger
from deployed_ledger import deploy
from faults import (
    OUTCOMES,
    SUBJECTS,
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
from played_rounds import ANYBODY, OUTCOME, SCORE_ROOT, Play, leaf_of

from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.score import lower_median
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Abort, Certify, Fault, Seal, tail_of
from ledgerfed.protocol.typed_data import receipt_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
STATEMENTS = (Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS)
OTHER_LEAF = keccak(b"another leaf")


@pytest.fixture
def play(ledger):
    return Play(ledger)


@pytest.fixture
def play_alone(local_evm):
    """Play on the EVM alone: many cases at little cost, and any block number."""
    return lambda **terms: Play(deploy(local_evm(), **terms))


def disputed(proof, play, contested):
    """The values of the event of a proof that was just brought."""
    return {
        "round": proof.dispute.round,
        "fault": proof.dispute.fault,
        "culprits": proof.dispute.culprits,
        "proof": proof.dispute.proof,
        "contested": contested,
        "transcript": proof.dispute.after(play.transcripts[-2]),
    }


# what a fault leads to, on three chains


@pytest.mark.threat("N5")
@pytest.mark.parametrize("fault", STATEMENTS)
def test_two_statements_for_one_place_remove_their_signer(play, fault):
    play.seal()
    before, proof = play.ledger.state(), two_statements(play, fault, 1)
    (log,) = play.challenge(proof).logs
    assert log.name == "Disputed"
    assert log.values == disputed(proof, play, contested=False)
    assert play.ledger.state() == before | {"removed": 0b0010}
    removed = [play.ledger.node(member)["removed"] for member in play.ledger.members]
    assert removed == [False, True, False, False]


@pytest.mark.threat("V4")
def test_two_certificates_for_one_scored_transcript_remove_their_signer(play):
    play.seal().scores()
    before, proof = play.ledger.state(), two_certificates(play, 3)
    receipt = play.challenge(proof)
    assert receipt.logs[0].values == disputed(proof, play, contested=False)
    after = {"end": receipt.block + 10, "attempt": 1, "removed": 0b1000}
    assert play.ledger.state() == before | after


@pytest.mark.threat("R1")
@pytest.mark.parametrize("index", [1, 3])
def test_a_receipt_against_the_root_removes_the_sealer(play, index):
    play.seal()
    sealed = leaf_of(1) if index == 1 else EMPTY
    before, proof = play.ledger.state(), broken_receipt(play, index, OTHER_LEAF)
    assert proof.arguments["sealed"] == sealed
    receipt = play.challenge(proof)
    assert receipt.logs[0].values == disputed(proof, play, contested=False)
    assert play.ledger.state() == before | {"removed": 1 << play.sealer}


@pytest.mark.threat("N5")
def test_a_forced_leaf_against_a_signed_one_removes_the_node(play):
    play.seal().force(0, leaf_of(0)).force(3, leaf_of(3))
    before, proof = play.ledger.state(), doubled_index(play, 3, OTHER_LEAF, leaf_of(3))
    receipt = play.challenge(proof)
    assert receipt.logs[0].values == disputed(proof, play, contested=False)
    assert play.ledger.state() == before | {"removed": 0b1000}


@pytest.mark.threat("V5")
def test_a_wrong_median_removes_all_signers_and_aborts_the_round(play):
    scored = scored_outcome(2, 7, (-5, 7, 8, 6), depth=3)
    play.seal().scores().certify(scored.outcome, signers=(0, 2, 3))
    before, proof = play.ledger.state(), wrong_median(play, scored, 0b1101)
    receipt = play.challenge(proof, Abort(1, Phase.DISPUTED))
    first, second = receipt.logs
    assert first.values == disputed(proof, play, contested=True) | {
        "transcript": proof.dispute.after(play.transcripts[-3])
    }
    assert second.name == "Aborted"
    assert second.values == {"round": 1, "phase": Phase.DISPUTED, "transcript": play.t}
    after = {"end": receipt.block, "signers": 0, "removed": 0b1101}
    assert play.ledger.state() == before | after
    assert before["round"] == 2  # round 1 has ended a second time, and 2 is open as before


def test_a_certificate_that_falls_is_replaced_by_those_who_remain(play, reverts):
    play.certified()
    before = play.ledger.state()
    proof = two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=play.before(Seal))
    receipt = play.challenge(proof)
    assert receipt.logs[0].values == disputed(proof, play, contested=True)
    state = {"round": 1, "phase": Phase.SCORED, "end": receipt.block + 10, "attempt": 1}
    assert play.ledger.state() == before | state | {"signers": 0, "removed": 0b0010}
    with reverts("a signer was removed"):
        play.ledger.transact("certify", 1, *OUTCOME, play.certificate(), sender=ANYBODY)
    play.certify(OUTCOMES[0], signers=(0, 2, 3))
    after = play.ledger.state()
    assert after == before | {"end": play.ledger.evm.block - 1 + 4, "signers": 0b1101, "removed": 0b0010}


# which round a fault belongs to, and what the phase does


def test_an_open_round_stays_as_it_is(play_alone):
    play = play_alone()
    before = play.ledger.state()
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 2))
    assert play.ledger.state() == before | {"removed": 0b0100}


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_scored_round_gets_a_new_certify_window_whatever_round_the_fault_is_of(play_alone, round_number):
    play = play_alone(committee=7, nodes=7)
    play.certified().seal().scores()
    before = play.ledger.state()
    play.ledger.evm.block = (
        before["end"] + 100
    )  # not even a window that has passed is over before somebody aborts
    for attempt, culprit in enumerate((4, 5), 1):
        receipt = play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit, round_number))
        assert receipt.logs[0].values["contested"] is False
        assert play.ledger.state()["end"] == receipt.block + 10
        assert play.ledger.state()["attempt"] == attempt
    play.certify(signers=(0, 1, 2, 3, 6))
    assert play.ledger.state()["attempt"] == 0


def test_a_fault_of_an_earlier_round_leaves_a_certificate_alone(play_alone):
    play = play_alone()
    play.certified()
    t = play.before(Seal)
    play.certified()
    before = play.ledger.state()
    receipt = play.challenge(two_statements(play, Fault.TWO_RECEIPTS, 1, round_number=1, t=t))
    assert receipt.logs[0].values["contested"] is False
    assert play.ledger.state() == before | {"removed": 0b0010}


def test_a_fault_of_the_open_round_leaves_the_certificate_before_it_alone(play_alone):
    play = play_alone()
    play.certified()
    before = play.ledger.state()
    receipt = play.challenge(two_statements(play, Fault.TWO_LEAVES, 1))
    assert receipt.logs[0].values["contested"] is False
    assert play.ledger.state() == before | {"removed": 0b0010}


@pytest.mark.parametrize(("late", "contested"), [(0, True), (1, False)])
def test_a_certificate_can_fall_up_to_the_last_block_of_the_challenge_window(play_alone, late, contested):
    play = play_alone()
    play.certified()
    proof = two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=play.before(Seal))
    receipted = broken_receipt(play, 0, OTHER_LEAF)
    play.ledger.evm.block = play.ledger.state()["end"] + late
    if late:
        assert play.refusal(receipted) == "no certified round is inside its challenge window"
    receipt = play.challenge(proof)
    assert receipt.logs[0].values["contested"] is contested
    assert play.ledger.state()["round"] == (1 if contested else 2)


def test_without_a_challenge_window_a_certificate_can_fall_in_its_own_block_only(play_alone):
    play = play_alone(windows=(10, 5, 10, 10, 0))
    play.certified()
    proof = two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=play.before(Seal))
    play.ledger.evm.block = play.ledger.state()["end"]
    assert play.challenge(proof).logs[0].values["contested"] is True
    play.certify(signers=(0, 2, 3))
    play.ledger.evm.block = play.ledger.state()["end"] + 1
    again = two_statements(play, Fault.TWO_LEAVES, 2, round_number=1, t=play.before(Seal))
    assert play.challenge(again).logs[0].values["contested"] is False


@pytest.mark.parametrize("later", [0, 1])
def test_an_aborted_round_is_not_taken_up_again(play_alone, later):
    """Not even in the block of the abort, which has the place of a challenge window of no blocks."""
    play = play_alone()
    play.seal().scores().abort()
    play.ledger.evm.block = play.ledger.state()["end"] + later
    receipted = broken_receipt(play, 0, OTHER_LEAF)
    assert play.refusal(receipted) == "no certified round is inside its challenge window"
    before = play.ledger.state()
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=play.before(Seal)))
    assert play.ledger.state() == before | {"removed": 0b0010}


@pytest.mark.parametrize("fault", ["receipt", "doubled", "certificates"])
@pytest.mark.parametrize("phase", ["sealed", "scored", "certified"])
def test_history_is_answered_for_until_the_challenge_window_is_over(play_alone, fault, phase):
    play = play_alone()
    play.seal().force(3, leaf_of(3))
    if phase != "sealed":
        play.scores()
    if phase == "certified":
        play.certify()
    t = play.before(Certify) if phase == "certified" else play.t
    proof = {
        "receipt": lambda: broken_receipt(play, 3, OTHER_LEAF),
        "doubled": lambda: doubled_index(play, 3, OTHER_LEAF, leaf_of(3)),
        "certificates": lambda: two_certificates(play, 3, round_number=1, t=t),
    }[fault]()
    before = play.ledger.state()
    receipt = play.challenge(proof)
    contested = phase == "certified"
    assert receipt.logs[0].values == disputed(proof, play, contested)
    after = {"removed": 1 << proof.dispute.culprits}
    if phase != "sealed":
        after |= {"phase": Phase.SCORED, "round": 1, "attempt": 1, "signers": 0, "end": receipt.block + 10}
    assert play.ledger.state() == before | after


def test_a_round_can_fall_as_often_as_there_are_culprits(play_alone):
    play = play_alone(nodes=9, committee=7, depth=4)
    t = play.t
    play.certified()
    for culprit in (6, 7, 8, 5):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit, round_number=1, t=t))
        assert play.ledger.state()["attempt"] == 1  # since the last certificate
        assert play.ledger.state()["round"] == 1
        play.certify(signers=range(5))
    assert play.ledger.state()["removed"] == 0b1100000  # 7 and 8 have no seat


def test_attempts_are_counted_up_to_255(play_alone):
    play = play_alone(nodes=264, depth=9)
    play.seal().scores()
    for culprit in range(4, 264):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit))
    state = play.ledger.state()
    assert (state["attempt"], state["committee"], state["epoch"]) == (255, 4, 0)


# fewer than the quorum


@pytest.mark.parametrize("phase", ["sealed", "scored", "certified"])
def test_a_round_that_is_left_with_fewer_than_the_quorum_aborts_at_once(play_alone, phase):
    play = play_alone()
    play.seal()
    at = play.before(Seal)
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 0, round_number=1, t=at))
    if phase != "sealed":
        play.scores()
    if phase == "certified":
        play.certify(signers=(1, 2, 3))
    before = play.ledger.state()
    proof = two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=at)
    receipt = play.challenge(proof, Abort(1, Phase.DISPUTED))
    assert [log.name for log in receipt.logs] == ["Disputed", "Aborted"]
    assert receipt.logs[0].values["contested"] is (phase == "certified")
    after = {"round": 2, "phase": Phase.OPEN, "end": receipt.block, "signers": 0, "removed": 0b0011}
    assert play.ledger.state() == before | after | {"attempt": 0}


def test_an_open_round_with_fewer_than_the_quorum_goes_on_without_an_end(play_alone, reverts):
    play = play_alone()
    for culprit in (0, 1):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit))
    assert play.ledger.state()["round"] == 1
    play.seal().scores()
    for signers, reason in (((2, 3), "fewer signatures"), ((1, 2, 3), "a signer was removed")):
        with reverts(reason):
            play.ledger.transact("certify", 1, *OUTCOME, play.certificate(signers=signers), sender=ANYBODY)
    play.abort()


@pytest.mark.parametrize(("committee", "tolerated"), [(1, 0), (2, 0), (3, 0), (4, 1), (7, 2), (31, 10)])
def test_a_committee_bears_a_third_of_culprits(play_alone, committee, tolerated):
    play = play_alone(nodes=committee, committee=committee, depth=5, min_updates=1)
    play.seal({0: leaf_of(0)})
    for culprit in range(tolerated):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit))
    assert play.ledger.state()["round"] == 1
    last = two_statements(play, Fault.TWO_LEAVES, tolerated)
    play.challenge(last, Abort(1, Phase.DISPUTED))


# whom it removes, and from what


@pytest.mark.threat("N5")
def test_a_node_without_a_seat_is_removed_in_the_registry(play_alone):
    play = play_alone(nodes=6)
    before = play.ledger.state()
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 5))
    assert play.ledger.state() == before
    assert play.ledger.node(play.ledger.members[5])["removed"] is True
    again = two_statements(play, Fault.TWO_LEAVES, 5)
    assert play.refusal(again) == "the culprit was removed already"


def test_a_removed_member_neither_relays_nor_signs_but_forces(play_alone, reverts):
    play = play_alone(nodes=7, committee=7)
    gone = 6
    play.challenge(two_statements(play, Fault.TWO_LEAVES, gone))
    play.wait(6)
    with reverts("the sender was removed"):
        play.ledger.transact("seal", 1, keccak(b"root"), 3, sender=play.ledger.members[gone])
    play.seal().force(gone, OTHER_LEAF).wait(6)
    with reverts("the sender was removed"):
        play.ledger.transact("scores", 1, SCORE_ROOT, sender=play.ledger.members[gone])
    play.scores()
    for signers in ((0, 1, 2, 3, gone), (0, 1, 2, 3, 4, gone)):
        with reverts("a signer was removed"):
            play.ledger.transact("certify", 1, *OUTCOME, play.certificate(signers=signers), sender=ANYBODY)
    play.certify(signers=range(5))


def test_the_turn_of_a_removed_relayer_passes_unused(play_alone, reverts):
    play = play_alone()
    while True:  # until the dispute itself gives the turn to the culprit
        culprit = play.ledger.members.index(play.ledger.relayer())
        proof = two_statements(play, Fault.TWO_LEAVES, culprit)
        if int.from_bytes(proof.dispute.after(play.t), "big") % 4 == culprit:
            break
        play.abort()
    play.challenge(proof)
    assert play.ledger.relayer() == play.ledger.members[culprit]
    play.wait()
    root = keccak(b"root")
    number, other = play.round, play.ledger.members[culprit - 1]
    with reverts("the sender was removed"):
        play.ledger.transact("seal", number, root, 3, sender=play.ledger.members[culprit])
    with reverts("another relayer's turn"):
        play.ledger.transact("seal", number, root, 3, sender=other)
    play.wait(6)
    play.ledger.transact("seal", number, root, 3, sender=other)


def test_nobody_is_removed_twice_in_an_epoch(play_alone):
    play = play_alone(nodes=7, committee=7)
    play.seal().force(6, leaf_of(6)).scores()
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 6))
    for proof in (
        two_statements(play, Fault.TWO_LEAVES, 6),
        two_statements(play, Fault.TWO_RECEIPTS, 6),
        two_certificates(play, 6),
        doubled_index(play, 6, OTHER_LEAF, leaf_of(6)),
    ):
        assert play.refusal(proof) == "the culprit was removed already"
    play.challenge(broken_receipt(play, 0, OTHER_LEAF))
    assert play.refusal(broken_receipt(play, 1, OTHER_LEAF)) == "the culprit was removed already"


# near-misses


def test_two_statements_must_contradict_each_other_in_one_place(play_alone):
    play = play_alone()
    play.seal()
    for fault in STATEMENTS:
        proof = two_statements(play, fault, 1)
        others = two_statements(play, fault, 2)
        cases = {
            "the two statements are the same": [
                two_statements(play, fault, 1, subjects=(SUBJECTS[0],) * 2, deadlines=(1, 2)),
            ],
            "the two statements have different signers": [
                proof.but(other=others.arguments["other"]),
                proof.but(subjects=SUBJECTS[::-1]),
                proof.but(index=2),
                proof.but(index=1 + 2**32),
                proof.but(round=0),
                proof.but(round=1 + 2**32),
                proof.but(transcript=play.before(Seal)),
                *(proof.but(fault=int(kind)) for kind in STATEMENTS if kind != fault),
            ],
            "two statements can be leaves, receipts or commitments": [
                proof.but(fault=wrong) for wrong in (0, 4, 5, 6, 7, 2**256 - 1)
            ],
            "the round has not begun": [two_statements(play, fault, 1, round_number=2)],
        }
        if fault == Fault.TWO_LEAVES:
            cases["the two statements have different signers"].append(proof.but(deadlines=(18, 17)))
        for reason, wrong in cases.items():
            assert {play.refusal(case) for case in wrong} == {reason}, (fault, reason)
    assert play.ledger.state()["removed"] == 0


def test_two_statements_are_of_this_federation_and_of_a_node(play_alone):
    play = play_alone()
    here = play.ledger.address
    for federation in (Federation(1, here), Federation(31337, keccak(b"another contract")[-20:])):
        digests = [receipt_digest(federation, 1, 1, subject, play.t) for subject in SUBJECTS]
        first, second = (sign_digest(play.keys[1], digest) for digest in digests)
        proof = two_statements(play, Fault.TWO_RECEIPTS, 1).but(signature=first, other=second)
        assert play.refusal(proof) == "the two statements have different signers"
    foreign = two_statements(play, Fault.TWO_LEAVES, 1, signers=(stranger(b"outsider"),) * 2)
    assert play.refusal(foreign) == "the address is not a registered node"


@pytest.mark.threat("N9")
def test_a_proof_does_not_hold_on_a_fork_with_another_chain_id(play_alone):
    play = play_alone()
    play.seal().force(3, leaf_of(3)).scores()
    proofs = {
        "the two statements have different signers": [
            two_statements(play, Fault.TWO_LEAVES, 1),
            two_certificates(play, 1),
        ],
        "the sealer has not signed this receipt": [broken_receipt(play, 1, OTHER_LEAF)],
        "the leaf is not signed by its node": [doubled_index(play, 3, OTHER_LEAF, leaf_of(3))],
    }
    play.ledger.evm.chain_id = 10_001
    for reason, cases in proofs.items():
        assert {play.refusal(case) for case in cases} == {reason}


def broken_signatures(signature):
    """Reasons, and what they are given for."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    malleated = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    return {
        "a signature is not 65 bytes long": [signature[:64], b""],
        "a signature has a high s": [malleated],
        "a signature recovers to nobody": [bytes(65), signature[:64] + b"\x00", signature[:64] + b"\x1d"],
    }


def test_signatures_of_every_challenge_must_hold(play_alone):
    play = play_alone()
    play.seal().force(3, leaf_of(3)).scores()
    for proof in (
        two_statements(play, Fault.TWO_LEAVES, 1),
        two_certificates(play, 1),
        broken_receipt(play, 1, OTHER_LEAF),
        doubled_index(play, 3, OTHER_LEAF, leaf_of(3)),
    ):
        for name in {"signature", "other"} & proof.arguments.keys():
            for reason, signatures in broken_signatures(proof.arguments[name]).items():
                for signature in signatures:
                    assert play.refusal(proof.but(**{name: signature})) == reason, (proof.call, name)


def test_two_certificates_must_have_different_outcomes_of_one_transcript(play_alone):
    play = play_alone(nodes=13, committee=13, depth=4)
    play.seal().scores()
    proof = two_certificates(play, 1)
    assert play.refusal(two_certificates(play, 1, outcomes=(OUTCOMES[0],) * 2)) == (
        "the two statements are the same"
    )
    elsewhere = two_certificates(play, 1, t=play.before(Seal))
    for wrong in (
        proof.but(other=two_certificates(play, 2).arguments["other"]),
        proof.but(other=elsewhere.arguments["other"]),
        proof.but(outcomes=OUTCOMES[::-1]),
        proof.but(transcript=play.before(Seal)),
        proof.but(round=0),
    ):
        assert play.refusal(wrong) == "the two statements have different signers"
    for changed in range(3):  # one differing hash is enough
        outcome = tuple(b if i == changed else a for i, (a, b) in enumerate(zip(*OUTCOMES, strict=True)))
        play.challenge(two_certificates(play, changed, outcomes=(OUTCOMES[0], outcome)))
    assert play.refusal(two_certificates(play, 3, round_number=2)) == "the round has not begun"


def test_a_certificate_after_a_dispute_does_not_contradict_the_one_before(play_alone):
    """An honest validator signs again when the transcript has moved."""
    play = play_alone()
    play.certified()
    fallen_at = play.before(Certify)
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 3, round_number=1, t=play.before(Seal)))
    play.certify(OUTCOMES[0], signers=(0, 1, 2))
    first = two_certificates(play, 0, round_number=1, t=fallen_at, outcomes=(OUTCOME, OUTCOMES[0]))
    second = two_certificates(
        play, 0, round_number=1, t=play.before(Certify), outcomes=(OUTCOME, OUTCOMES[0])
    )
    said = first.but(other=second.arguments["other"])  # what it has signed in truth
    for t in (fallen_at, play.before(Certify)):
        assert play.refusal(said.but(transcript=t)) == "the two statements have different signers"


def test_a_receipt_must_be_of_the_sealer_and_broken(play_alone):
    play = play_alone(depth=4)
    play.seal().scores()
    proof, stranger_to_it = broken_receipt(play, 1, OTHER_LEAF), (play.sealer + 1) % 4
    cases = {
        "the receipt was honoured": [broken_receipt(play, 1, leaf_of(1)), broken_receipt(play, 3, EMPTY)],
        "the sealer has not signed this receipt": [
            broken_receipt(play, 1, OTHER_LEAF, signer=stranger_to_it),
            proof.but(receipted=keccak(b"a leaf without a receipt")),
        ],
        "the path does not lead to the root": [
            proof.but(sealed=EMPTY),
            proof.but(sealed=play.tree.levels[0][0]),
            proof.but(index=0),
            proof.but(path=play.tree.proof(2)),
        ],
        "the index is outside the tree": [proof.but(index=1 + 16)],
        "the path has another length than the depth of the tree": [
            proof.but(path=proof.arguments["path"][:-1]),
            proof.but(sealed=play.tree.levels[1][0], path=proof.arguments["path"][1:]),
            proof.but(path=(*proof.arguments["path"], EMPTY)),
        ],
        "this is not how the transcript came about": [
            proof.but(n=4),
            proof.but(root=keccak(b"another root")),
            proof.but(opened_at=play.t),
            proof.but(tail=b""),
        ],
    }
    for reason, wrong in cases.items():
        assert {play.refusal(case) for case in wrong} == {reason}, reason
    play.challenge(proof)


def test_a_receipt_of_another_member_does_not_count_against_the_sealer(play_alone):
    """The relayer of the turn has signed receipts, and another member has sealed in the second half."""
    play = play_alone()
    turn = play.ledger.members.index(play.ledger.relayer())
    other = (turn + 1) % 4
    play.seal()
    assert play.sealer == turn
    assert play.refusal(broken_receipt(play, 3, OTHER_LEAF, signer=other)) == (
        "the sealer has not signed this receipt"
    )


def test_a_receipt_of_the_round_before_proves_nothing_in_this_one(play_alone):
    play = play_alone()
    play.certified()
    old = broken_receipt(play, 1, OTHER_LEAF)
    play.seal()
    assert play.refusal(old) == "this is not how the transcript came about"
    moved = old.but(tail=tail_of(play.steps[1:]))
    assert play.refusal(moved) == "this is not how the transcript came about"
    pretended = broken_receipt(play, 1, OTHER_LEAF).but(signature=old.arguments["signature"])
    assert play.refusal(pretended) == "the sealer has not signed this receipt"


def test_a_doubled_index_needs_a_forced_leaf_and_another_of_the_same_node(play_alone):
    play = play_alone(nodes=6)
    play.seal().force(5, leaf_of(5)).force(4, leaf_of(4)).scores()
    proof = doubled_index(play, 5, OTHER_LEAF, leaf_of(5))
    anothers = sign_digest(
        play.keys[4], statement_digest(play, Fault.TWO_LEAVES, 1, 5, OTHER_LEAF, play.before(Seal), 30)
    )
    cases = {
        "the node forced no leaf": [
            doubled_index(play, 3, OTHER_LEAF, EMPTY),
            proof.but(index=5 + 2**32),
            proof.but(index=2**256 - 1),
        ],
        "the two statements are the same": [doubled_index(play, 5, leaf_of(5), leaf_of(5))],
        "the leaf is not signed by its node": [
            proof.but(signature=anothers),
            proof.but(deadline=31),
            proof.but(leaf=keccak(b"never signed")),
            proof.but(index=4),
        ],
        "this is not how the transcript came about": [
            proof.but(tail=tail_of(play.steps[2:])),
            proof.but(opened_at=play.t),
            proof.but(n=2),
        ],
    }
    for reason, wrong in cases.items():
        assert {play.refusal(case) for case in wrong} == {reason}, reason
    play.challenge(proof)
    assert play.ledger.node(play.ledger.members[5])["removed"] is True


def test_a_tail_is_whole_aligned_and_true(play_alone):
    play = play_alone(nodes=9, committee=7, depth=4)
    play.seal().force(5, leaf_of(5)).force(6, leaf_of(6))
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 8))
    play.scores().certify()
    proof = broken_receipt(play, 0, OTHER_LEAF)
    tail = proof.arguments["tail"]
    steps = [step.step() for step in play.steps[1:]]
    assert [len(step) for step in steps] == [128, 128, 160, 96, 160]
    swapped = b"".join((steps[1], steps[0], *steps[2:]))
    wrong = [
        *(tail[:cut] for cut in (0, 1, 31, 32, 64, 95, 96, 127, 128, 159, len(tail) - 1, len(tail) - 32)),
        *(tail + extra for extra in (b"\0", bytes(32), bytes(96), bytes(128), steps[-1])),
        *(tail[start:] for start in (1, 32, 128)),
        swapped,
        bytes([1]) + tail[1:],
        tail[:-1] + bytes([tail[-1] ^ 1]),
        *(bytes(31) + bytes([kind]) + tail[32:] for kind in (0, 1, 3, 4, 5, 6, 7, 8, 255)),
        (tail * 20)[:10_240],
        (steps[3] * 107)[:10_240],
    ]
    reasons = {play.refusal(proof.but(tail=case)) for case in wrong}
    assert reasons == {"this is not how the transcript came about"}
    assert play.refusal(proof.but(tail=(tail * 20)[:10_241])).startswith("no reason")  # the ABI's bound
    play.challenge(proof)


def test_a_receipt_is_answered_for_behind_79_forced_leaves(play_alone):
    play = play_alone(nodes=90, depth=7, windows=(10, 200, 10, 10, 4))
    play.seal()
    for index in range(5, 84):
        play.force(index, leaf_of(index))
    play.challenge(broken_receipt(play, 0, OTHER_LEAF))


# medians


@pytest.mark.threat("V5")
@pytest.mark.parametrize(
    ("heard", "median"),
    [
        ((5,), 5),
        ((5, 9), 5),
        ((9, 5), 5),
        ((1, 2, 3), 2),
        ((3, 1, 2), 2),
        ((4, 4, 4, 4), 4),
        ((4, 1, 3, 2), 2),
        ((-3, -1, -2), -2),
        ((-(2**31), 2**31 - 1), -(2**31)),
        ((2**31 - 1, 2**31 - 1, 0), 2**31 - 1),
        ((0, -1), -1),
        (tuple(range(-15, 16)), 0),
        (tuple(range(-31, 31)), -1),
        ((7,) * 31 + (9,) * 31, 7),
        ((-(2**31),) * 61, -(2**31)),
        ((2**31 - 1,) * 62, 2**31 - 1),
    ],
)
def test_the_lower_median_stands_and_its_neighbours_fall(play_alone, heard, median):
    for claimed in (median, median - 1, median + 1):
        play = play_alone()
        scored = scored_outcome(1, claimed, heard, depth=3)
        play.seal().scores().certify(scored.outcome)
        proof = wrong_median(play, scored, 0b0111)
        if claimed == median:
            assert play.refusal(proof) == "the certified score is the lower median"
        else:
            play.challenge(proof, Abort(1, Phase.DISPUTED))


@pytest.mark.parametrize(
    ("median", "row"),
    [
        (0, b""),
        (5, b"\x00\x00\x00\x05\x00"),
        (5, b"\x00\x00\x05"),
        (2**31, b"\x80\x00\x00\x00"),
        (2**32 + 5, b"\x00\x00\x00\x05"),
        (2**255 - 1, b"\x7f\xff\xff\xff"),
        (-(2**255), b"\x80\x00\x00\x00"),
        (-(2**31) - 1, b"\x80\x00\x00\x00"),
        (2**32 - 1, b"\xff\xff\xff\xff"),
    ],
)
def test_a_score_without_a_row_or_out_of_range_falls(play_alone, median, row):
    play = play_alone()
    scored = scored_outcome(1, median, row, depth=3)
    play.seal().scores().certify(scored.outcome)
    play.challenge(wrong_median(play, scored, 0b0111), Abort(1, Phase.DISPUTED))


@pytest.mark.threat("V5")
def test_the_contract_has_the_lower_median_of_the_nodes(play_alone):
    scores = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 2)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(scores, min_size=1, max_size=62), st.data())
    def check(heard, data):
        claimed = data.draw(st.sampled_from(heard) | scores)
        play = play_alone()
        scored = scored_outcome(0, claimed, heard, depth=3)
        play.seal().scores().certify(scored.outcome)
        refusal = play.refusal(wrong_median(play, scored, 0b0111))
        honest = claimed == lower_median(heard)
        assert refusal == ("the certified score is the lower median" if honest else None)

    check()


def test_a_median_is_shown_from_the_certified_root(play_alone):
    play = play_alone()
    scored = scored_outcome(1, 9, (1, 2, 3), depth=3)
    play.seal().scores().certify(scored.outcome)
    proof = wrong_median(play, scored, 0b0111)
    a, b, va, vb, until = proof.arguments["reputation"]
    outcome = proof.arguments["outcome"]
    cases = {
        "the path does not lead to the root": [
            proof.but(median=8),
            proof.but(row=proof.arguments["row"][:8]),
            proof.but(row=proof.arguments["row"][::-1]),
            proof.but(index=0),
            proof.but(reputation=(b, a, va, vb, until)),
            proof.but(reputation=(a, b, va, vb, until + 1)),
            proof.but(path=proof.arguments["path"][::-1]),
        ],
        "the path has another length than the depth of the tree": [proof.but(path=())],
        "the index is outside the tree": [proof.but(index=9)],
        "this is not how the transcript came about": [
            proof.but(outcome=(*outcome[:2], keccak(b"another root"))),
            proof.but(outcome=(outcome[1], outcome[0], outcome[2])),
            proof.but(scored_at=play.before(Seal)),
            proof.but(tail=bytes(96)),
        ],
    }
    for reason, wrong in cases.items():
        assert {play.refusal(case) for case in wrong} == {reason}, reason
    play.ledger.evm.block = play.ledger.state()["end"] + 1
    assert play.refusal(proof) == "no certified round is inside its challenge window"
    play.seal()
    assert play.refusal(proof) == "the round is in another phase"
    play.scores()
    assert play.refusal(proof) == "the round is in another phase"


def test_a_median_is_challenged_behind_disputes_that_left_the_certificate_alone(play_alone):
    play = play_alone(nodes=7, committee=7)
    play.certified()
    t = play.before(Seal)
    scored = scored_outcome(1, 9, (1, 2, 3), depth=3)
    play.seal().scores().certify(scored.outcome)
    for culprit in (0, 6):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit, round_number=1, t=t))
    proof = wrong_median(play, scored, 0b0011111)
    assert len(proof.arguments["tail"]) == 320
    play.challenge(proof, Abort(2, Phase.DISPUTED))
    assert play.ledger.state()["removed"] == 0b1011111


def test_a_certificate_that_fell_is_not_held_against_those_who_signed_the_next(play_alone):
    """Its signers escape; but who signed the outcome that stands must not fall for the one that does not."""
    play = play_alone()
    wrong = scored_outcome(1, 9, (1, 2, 3), depth=3)
    play.seal().scores().certify(wrong.outcome, signers=(0, 1, 2))
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 0, round_number=1, t=play.before(Seal)))
    fallen = play.before(Certify), play.tail(Certify)
    right = scored_outcome(1, 2, (1, 2, 3), depth=3)
    play.certify(right.outcome, signers=(1, 2, 3))
    scored_at, tail = fallen
    proof = wrong_median(play, wrong, 0b1110).but(
        scored_at=scored_at, tail=tail + Certify(1, *right.outcome).step()
    )
    assert play.refusal(proof) == "the certificate has fallen"
    assert play.refusal(wrong_median(play, right, 0b1110)) == "the certified score is the lower median"
