"""Nobody copies, joins late, doubles, hides, bends, delays or replays a commitment (N1, N2, N5-N9)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from chains import node_key
from contract_values import RevertedError
from faults import broken_receipt
from played_rounds import ANYBODY, OUTCOME, SCORE_ROOT, Play, leaf_of

from ledgerfed.consensus import authenticate, decide
from ledgerfed.consensus.authenticate import sealed_transcript
from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.evidence import SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.merkle import build_tree, verify_inclusion
from ledgerfed.protocol.score import NOT_HELD, ONE
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transition import Certify
from ledgerfed.protocol.typed_data import certificate_digest, leaf_digest, score_commitment_digest

SEALED_IN = 100
OTHER = keccak(b"other")


def scene_key(index: int) -> bytes:
    """The private key of a node of the scene."""
    return keccak(b"node" + word(index))


def without(scene, index):
    return replace(scene, payloads={i: p for i, p in scene.payloads.items() if i != index})


def exchanged(rows, position, row):
    return (*rows[:position], row, *rows[position + 1 :])


# --- N1: the leaf of another


@pytest.mark.threat("N1")
def test_n1_who_commits_the_leaf_of_another_cannot_open_it_and_is_punished_hard(scene):
    """Node 5 signs the leaf of node 4 as its own; all that node 4 opens later is of no use to it."""
    shut = replace(scene, shut=frozenset({5}))
    draft = shut.evidence()
    stolen = shut.signed_leaf(5, draft.leaves[4].leaf)
    evidence = shut.with_scores(replace(draft, history=(), leaves=exchanged(draft.leaves, 5, stolen)))
    for opening in (
        replace(scene.opening(4), index=5),
        replace(scene.opening(5), salt=scene.opening(4).salt),
    ):
        claimed = tuple(sorted((*evidence.openings, opening), key=lambda o: o.index))
        with pytest.raises(VerificationError, match=r"opening 5 hashes to .* not the leaf of that node"):
            authenticate(scene.config, scene.members, replace(evidence, openings=claimed), SEALED_IN)
    assert authenticate(scene.config, scene.members, evidence, SEALED_IN)
    outcome = decide(replace(shut.given(), evidence=evidence))
    assert [v.reason for v in outcome.verdicts] == [
        Reason.WITHHELD if i == 5 else Reason.ADMITTED for i in range(8)
    ]
    before, after = scene.reputations[5].trainer, outcome.reputations[5].trainer
    assert after.b == before.b - (before.b >> 5) + 4 * ONE


@pytest.mark.threat("N1")
@pytest.mark.parametrize("field", ["round", "index", "salt"])
def test_n1_one_update_has_another_leaf_for_every_round_node_and_salt(scene, field):
    opening = scene.opening(4)
    other = replace(opening, **{field: OTHER if field == "salt" else getattr(opening, field) + 1})
    federation = scene.evidence().federation
    assert other.update_hash == opening.update_hash
    assert other.leaf(federation) != opening.leaf(federation)


# --- N2: the payload of another, once it is shown


@pytest.mark.threat("N2")
def test_n2_once_payloads_are_shown_no_call_puts_a_leaf_in(play):
    """Node 3 has no leaf; nodes open from the end of the force window on, and by then it is too late."""
    leaf = leaf_of(3, b"a copy of what was shown")
    tree = build_tree({i: leaf_of(i) for i in range(3)} | {3: leaf}, 3)
    play.seal()
    play.ledger.evm.block = play.ledger.state()["end"] + 1
    for go_on in (lambda: None, play.scores, play.certify):
        go_on()
        before, state = play.ledger.view("transcript"), play.ledger.state()
        for call in (("force", 1, leaf), ("seal", 1, tree.root, 4), ("seal_leaves", 1, [leaf])):
            for sender in play.ledger.members:
                assert play.ledger.refusal(*call, sender=sender), f"{call[0]} in phase {state['phase']}"
        assert (play.ledger.view("transcript"), play.ledger.state()) == (before, state)


@pytest.mark.threat("N2")
def test_n2_in_the_last_block_before_payloads_are_shown_a_leaf_still_gets_in(play):
    play.seal()
    play.ledger.evm.block = play.ledger.state()["end"]
    play.force(3, leaf_of(3))
    assert play.ledger.state()["forced"] == 1


# --- N5: two leaves


@pytest.mark.threat("N5")
def test_n5_two_leaves_count_for_nothing_and_leave_everybody_else_as_if_there_were_none(scene):
    two = replace(scene, forced=(3,), second_leaf=frozenset({3})).outcome()
    none = without(scene, 3).outcome()
    assert (two.verdicts[3].reason, two.verdicts[3].weight) == (Reason.EQUIVOCATION, 0)
    assert two.model == none.model
    assert two.verdicts[:3] + two.verdicts[4:] == none.verdicts[:3] + none.verdicts[4:]
    before, after = scene.reputations[3], two.reputations[3]
    assert after.trainer.b == before.trainer.b - (before.trainer.b >> 5) + 16 * ONE
    assert after.quarantined_until == scene.round + 20


# --- N6: commit, and open to nobody or to a few


@pytest.mark.threat("N6")
def test_n6_an_update_shown_to_any_f_validators_only_counts_for_nothing(scene):
    none = without(scene, 3).outcome().model
    for few in combinations(range(8), scene.config.faults):
        hidden = replace(scene, scores={(j, 3): NOT_HELD for j in range(8) if j not in few})
        outcome = decide(hidden.given())
        assert (outcome.verdicts[3].reason, outcome.verdicts[3].weight) == (Reason.WITHHELD, 0)
        assert outcome.model == none


@pytest.mark.threat("N6")
def test_n6_a_node_that_opens_to_nobody_is_punished_hard_and_the_round_goes_on(scene):
    outcome = replace(scene, shut=frozenset({3})).outcome()
    assert outcome.model == without(scene, 3).outcome().model
    before, after = scene.reputations[3].trainer, outcome.reputations[3].trainer
    assert after.b == before.b - (before.b >> 5) + 4 * ONE


# --- N7: other data than was committed


@pytest.mark.threat("N7")
def test_n7_no_byte_of_a_payload_can_be_flipped_after_the_commitment(scene):
    given, payload = scene.given(), scene.payloads[4]
    digest, opening = keccak(payload), scene.opening(4)
    for k in range(len(payload)):
        bent = payload[:k] + bytes([payload[k] ^ 1]) + payload[k + 1 :]
        with pytest.raises(InvalidValueError, match=f"0x{digest.hex()} does not hash to its name"):
            replace(given, payloads={**given.payloads, digest: bent})
        told = exchanged(given.evidence.openings, 4, replace(opening, update_hash=keccak(bent)))
        with pytest.raises(VerificationError, match="opening 4 hashes to"):
            authenticate(scene.config, scene.members, replace(given.evidence, openings=told), SEALED_IN)


# --- N8: late


def seal(play):
    tree = build_tree({i: leaf_of(i) for i in range(3)}, 3)
    return play.ledger.refusal("seal", 1, tree.root, 3, sender=play.ledger.relayer())


def force(play):
    return play.ledger.refusal("force", 1, leaf_of(3), sender=play.ledger.members[3])


def anchor(play):
    return play.ledger.refusal("scores", 1, SCORE_ROOT, sender=play.ledger.relayer())


def certify(play):
    return play.ledger.refusal("certify", 1, *OUTCOME, play.certificate(), sender=ANYBODY)


@pytest.mark.threat("N8")
@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize(
    ("call", "before", "window", "reason"),
    [
        (seal, (), 10, "the window has ended"),
        (force, (Play.seal,), 0, "the force window has ended"),
        (anchor, (Play.seal,), 10, "the window has ended"),
        (certify, (Play.seal, Play.scores), 0, "the certify window has ended"),
    ],
)
def test_n8_the_last_block_of_a_window_is_in_time_and_the_next_is_not(
    play, call, before, window, reason, late
):
    """`window` blocks of the relayer's turn follow what the contract calls the end."""
    for step in before:
        step(play)
    play.ledger.evm.block = play.ledger.state()["end"] + window + late
    assert call(play) == (reason if late else None)


@pytest.mark.threat("N8")
def test_n8_a_leaf_is_void_in_the_block_after_its_deadline(scene):
    assert replace(scene, deadline=SEALED_IN).authenticate()
    with pytest.raises(VerificationError, match="leaf 0 was void after block 99, sealed in 100"):
        replace(scene, deadline=SEALED_IN - 1).authenticate()


# --- N9: a signature from elsewhere

ELSEWHERE = ("round", "chain", "contract", "fork")


def place(case, federation, number, t):
    """Where else a statement may have been signed: federation, round and transcript."""
    return {
        "round": (federation, number + 1, t),
        "chain": (Federation(federation.chain_id + 1, federation.contract), number, t),
        "contract": (Federation(federation.chain_id, OTHER[:20]), number, t),
        "fork": (federation, number, OTHER),
    }[case]


@pytest.mark.threat("N9")
@pytest.mark.parametrize("case", ELSEWHERE)
def test_n9_a_leaf_signed_for_another_round_chain_contract_or_fork_is_refused(scene, case):
    evidence = scene.evidence()
    federation, number, t = place(case, evidence.federation, scene.round, scene.opened_at)
    old = evidence.leaves[4]
    digest = leaf_digest(federation, number, 4, old.leaf, t, old.deadline)
    replayed = SignedLeaf(4, old.leaf, old.deadline, sign_digest(scene_key(4), digest))
    lie = replace(evidence, leaves=exchanged(evidence.leaves, 4, replayed))
    with pytest.raises(VerificationError, match="leaf 4: signed by"):
        authenticate(scene.config, scene.members, lie, SEALED_IN)


@pytest.mark.threat("N9")
@pytest.mark.parametrize("case", ELSEWHERE)
def test_n9_scores_committed_for_another_round_chain_contract_or_fork_are_refused(scene, case):
    evidence = scene.evidence()
    sealed_at = sealed_transcript(scene.config, evidence)
    federation, number, t = place(case, evidence.federation, scene.round, sealed_at)
    item = evidence.commitments[4]
    digest = score_commitment_digest(federation, number, 4, item.commitment, t)
    replayed = SignedScoreCommitment(4, item.commitment, sign_digest(scene_key(4), digest))
    lie = replace(evidence, commitments=exchanged(evidence.commitments, 4, replayed))
    with pytest.raises(VerificationError, match="score commitment 4: signed by"):
        authenticate(scene.config, scene.members, lie, SEALED_IN)


@pytest.mark.threat("N9")
@pytest.mark.parametrize("case", ELSEWHERE)
def test_n9_a_certificate_signed_for_another_round_chain_contract_or_fork_is_refused(play, case):
    play.seal().scores()
    federation, number, t = place(case, play.ledger.federation, 1, play.t)
    digest = certificate_digest(federation, number, Certify(number, *OUTCOME).after(t))
    signatures = b"".join(sign_digest(node_key(seat), digest) for seat in range(3))
    assert play.ledger.refusal("certify", 1, *OUTCOME, signatures, sender=ANYBODY)
    play.certify()


@pytest.mark.threat("N9")
def test_n9_the_contract_on_a_fork_with_another_chain_id_takes_no_signature_of_this_one(play):
    play.seal().scores()
    signatures = play.certificate()
    play.ledger.evm.chain_id += 1
    assert play.ledger.refusal("certify", 1, *OUTCOME, signatures, sender=ANYBODY)
    play.ledger.evm.chain_id -= 1
    play.certify()


# --- N17: leaves, inner nodes and aliases


@pytest.mark.threat("N17")
def test_n17_an_inner_node_is_nobodys_leaf_and_64_bytes_are_no_preimage_of_it(scene, play):
    """Every parent has a path to the root, one short: the fixed depth refuses it, here and on chain."""
    tree = build_tree({item.index: item.leaf for item in scene.evidence().leaves}, 3)
    for position, parent in enumerate(tree.levels[1]):
        left, right = tree.levels[0][2 * position : 2 * position + 2]
        assert parent not in (keccak(left + right), keccak(b"\x00" + left + right))
        with pytest.raises(VerificationError, match="2 siblings, the tree has depth 3"):
            verify_inclusion(tree.root, parent, position, tree.proof(2 * position)[1:], 3)
    play.seal()
    proof = broken_receipt(play, 0, OTHER)
    parent = play.tree.levels[1][0]
    forged = proof.but(sealed=parent, path=proof.arguments["path"][1:])
    assert play.refusal(forged) == "the path has another length than the depth of the tree"


@pytest.mark.threat("N17")
@pytest.mark.parametrize("alias", [8, 16, 1 << 20])
def test_n17_an_index_with_bits_beyond_the_depth_proves_nothing_on_chain(play, alias):
    """The path of index 1 holds at index 1 and nowhere else, and so does that of the empty index 3."""
    play.seal()
    root, view = play.tree.root, play.ledger.view
    assert view("verify_inclusion", root, leaf_of(1), 1, play.tree.proof(1))
    assert view("verify_exclusion", root, 3, play.tree.proof(3))
    with pytest.raises(RevertedError, match="the index is outside the tree"):
        view("verify_inclusion", root, leaf_of(1), 1 + alias, play.tree.proof(1))
    with pytest.raises(RevertedError, match="the index is outside the tree"):
        view("verify_exclusion", root, 3 + alias, play.tree.proof(3))
