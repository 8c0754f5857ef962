"""Evidence is what the ledger committed to; a changed statement is named (threats N1, N7-N9, R2, R5, V1)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ledgerfed.consensus import authenticate, decide
from ledgerfed.consensus.authenticate import sealed_transcript
from ledgerfed.errors import InvalidValueError, RoundAbortedError, VerificationError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.evidence import ForcedLeaf, RoundEvidence, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, keccak, word
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transition import Force
from ledgerfed.protocol.typed_data import score_commitment_digest

OTHER = keccak(b"other")
SEALED_IN = 100


def changed(evidence: RoundEvidence, name: str, position: int, **change: object) -> RoundEvidence:
    rows = getattr(evidence, name)
    row = replace(rows[position], **change)
    return replace(evidence, **{name: (*rows[:position], row, *rows[position + 1 :])})


def without(evidence: RoundEvidence, name: str, position: int) -> RoundEvidence:
    rows = getattr(evidence, name)
    return replace(evidence, **{name: (*rows[:position], *rows[position + 1 :])})


def refused(scene, evidence: RoundEvidence, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        authenticate(scene.config, scene.members, evidence, SEALED_IN)


def test_honest_evidence_leads_to_the_transcript_of_the_ledger(scene):
    evidence = scene.evidence()
    leaves = {i: scene.opening(i).leaf(evidence.federation) for i in range(8)}
    t = transcript.after_seal(scene.opened_at, 5, build_tree(leaves, 3).root, 8)
    score_tree = build_tree({c.index: c.commitment for c in evidence.commitments}, 3)
    assert scene.authenticate() == transcript.after_scores(t, 5, score_tree.root)


def test_forced_leaves_extend_the_transcript_in_the_order_of_the_chain(scene):
    forced = replace(scene, forced=(6, 2))
    other = replace(scene, forced=(2, 6))
    assert forced.authenticate() != other.authenticate()
    leaves = {i: scene.opening(i).leaf(scene.evidence().federation) for i in range(8)}
    sealed = {i: leaf for i, leaf in leaves.items() if i not in (2, 6)}
    t = transcript.after_seal(scene.opened_at, 5, build_tree(sealed, 3).root, 6)
    for index in (6, 2):
        t = transcript.after_force(t, 5, index, leaves[index])
    commitments = {c.index: c.commitment for c in forced.evidence().commitments}
    assert forced.authenticate() == transcript.after_scores(t, 5, build_tree(commitments, 3).root)


@pytest.mark.threat("R2")
def test_r2_a_leaf_that_its_node_did_not_sign_is_refused(scene):
    refused(scene, changed(scene.evidence(), "leaves", 3, leaf=OTHER), "round 5: leaf 3: signed by")


@pytest.mark.threat("R2")
def test_r2_a_leaf_signed_by_another_member_is_refused(scene):
    evidence = scene.evidence()
    forged = changed(evidence, "leaves", 3, signature=evidence.leaves[4].signature)
    refused(scene, forged, "round 5: leaf 3: signed by")


@pytest.mark.threat("R5")
def test_r5_swapped_leaves_are_refused(scene):
    evidence = scene.evidence()
    a, b = evidence.leaves[2], evidence.leaves[3]
    rows = (*evidence.leaves[:2], replace(b, index=2), replace(a, index=3), *evidence.leaves[4:])
    refused(scene, replace(evidence, leaves=rows), "round 5: leaf 2: signed by")


@pytest.mark.threat("N8")
def test_n8_a_leaf_whose_deadline_has_passed_is_refused(scene):
    late = replace(scene, deadline=SEALED_IN - 1)
    refused(late, late.evidence(), "round 5: leaf 0 was void after block 99, sealed in 100")
    assert replace(scene, deadline=SEALED_IN).authenticate()


@pytest.mark.threat("N8")
def test_a_deadline_other_than_the_signed_one_is_refused(scene):
    refused(scene, changed(scene.evidence(), "leaves", 1, deadline=999), "round 5: leaf 1: signed by")


@pytest.mark.threat("N9")
@pytest.mark.parametrize("name", ["leaves", "commitments"])
@pytest.mark.parametrize("position", [0, 5])
def test_n9_signatures_of_another_round_chain_contract_or_fork_are_refused(scene, name, position):
    evidence = scene.evidence()
    elsewhere = (
        replace(evidence, round=6, reveals=()),
        replace(evidence, federation=Federation(1, evidence.federation.contract)),
        replace(evidence, federation=Federation(31337, OTHER[:20])),
        replace(evidence, opened_at=OTHER),
    )
    for other in elsewhere:
        refused(scene, other, f"round {other.round}: leaf 0: signed by")
    signature = getattr(evidence, name)[position].signature
    twisted = signature[:64] + bytes([55 - signature[64]])
    what = {"leaves": "leaf", "commitments": "score commitment"}[name]
    with pytest.raises(VerificationError):
        authenticate(
            scene.config, scene.members, changed(evidence, name, position, signature=twisted), SEALED_IN
        )
    swapped = changed(evidence, name, position, signature=getattr(evidence, name)[position - 1].signature)
    refused(scene, swapped, f"round 5: {what} {position}: signed by")


@pytest.mark.parametrize("name", ["leaves", "commitments"])
def test_leaving_a_statement_out_leads_to_another_transcript_or_is_refused(scene, name):
    """A leaf left out changes the seal, which every score commitment is signed over."""
    for position in range(8):
        with pytest.raises(VerificationError, match="round 5: "):
            authenticate(scene.config, scene.members, without(scene.evidence(), name, position), SEALED_IN)


def test_a_score_commitment_left_out_leads_to_another_transcript(scene):
    fewer = replace(scene, absent=frozenset({7}))
    assert fewer.authenticate() != scene.authenticate()
    evidence = scene.evidence()
    lie = without(without(evidence, "commitments", 7), "reveals", 7)
    refused(scene, lie, "round 5: the history anchors other scores than the commitments")


def test_a_forced_leaf_left_out_added_changed_or_reordered_voids_the_score_commitments(scene):
    forced = replace(scene, forced=(6, 2))
    evidence = forced.evidence()
    a, b, scores = evidence.history
    lies = [(a,), (b, a), (a, b, Force(5, 4, OTHER)), (replace(a, leaf=OTHER), b), ()]
    for lie in lies:
        refused(
            forced,
            replace(evidence, history=(*lie, scores)),
            r"round 5: (score commitment 0|opening)",
        )


def test_fewer_commitments_than_the_quorum_are_refused(scene):
    short = replace(scene, absent=frozenset({0, 1, 2}))
    refused(short, short.evidence(), "round 5: 5 score commitments, 6 are needed")
    assert replace(scene, absent=frozenset({0, 1})).authenticate()


def test_a_score_commitment_from_outside_the_committee_is_refused(scene_of):
    scene = scene_of(nodes=8, committee=7)
    evidence = replace(scene, config=replace(scene.config, committee=tuple(range(8)))).evidence()
    refused(scene, evidence, "round 5: score commitment 7 is not by a committee member")


def test_a_leaf_of_nobody_is_refused(scene):
    evidence = scene.evidence()
    seven = replace(
        scene, reputations=scene.reputations[:7], config=replace(scene.config, committee=tuple(range(7)))
    )
    with pytest.raises(VerificationError, match="round 5: leaf 7 belongs to no member"):
        authenticate(seven.config, seven.members, evidence, SEALED_IN)
    forced = replace(evidence, history=(Force(5, 8, OTHER), *evidence.history))
    refused(scene, forced, "round 5: leaf 8 belongs to no member")


@pytest.mark.parametrize("count", [0, 7, 9])
def test_a_registry_that_fits_neither_committee_nor_trees_is_refused(scene, count):
    members = (scene.members * 2)[:count]
    with pytest.raises(VerificationError, match=f"round 5: {count} members"):
        authenticate(scene.config, members, scene.evidence(), SEALED_IN)


@pytest.mark.threat("N7")
@pytest.mark.parametrize("field", ["base_model", "update_hash", "schema", "salt", "n_samples"])
def test_n7_an_opening_that_is_not_the_preimage_of_its_leaf_is_refused(scene, field):
    other = 61 if field == "n_samples" else OTHER
    refused(scene, changed(scene.evidence(), "openings", 4, **{field: other}), "round 5: opening 4 hashes to")


@pytest.mark.threat("N1")
def test_n1_the_opening_of_a_copied_leaf_is_refused(scene):
    """Node 5 commits to the very leaf of node 4: it can never open it."""
    draft = scene.evidence()
    copied = (*draft.leaves[:5], scene.signed_leaf(5, draft.leaves[4].leaf), *draft.leaves[6:])
    evidence = scene.with_scores(replace(draft, leaves=copied))
    refused(scene, evidence, "round 5: opening 5 hashes to")
    stolen = replace(evidence.openings[4], index=5)
    refused(
        scene,
        replace(evidence, openings=(*evidence.openings[:5], stolen, *evidence.openings[6:])),
        "round 5: opening 5 hashes to",
    )


def test_an_opening_of_another_round_or_of_no_leaf_is_refused(scene):
    evidence = scene.evidence()
    refused(scene, changed(evidence, "openings", 2, round=4), "round 5: opening 2 is for round 4")
    missing = replace(scene, payloads={i: p for i, p in scene.payloads.items() if i != 7})
    extra = replace(missing.evidence(), openings=evidence.openings)
    refused(missing, extra, "round 5: opening 7 hashes to")


@pytest.mark.threat("R6")
def test_an_opening_that_is_left_out_though_validators_hold_it_is_refused(scene):
    """Whoever proposes the evidence could otherwise have an honest node punished as withholding."""
    for position in range(8):
        message = f"round 5: opening {position} is left out, though 8 validators hold it"
        refused(scene, without(scene.evidence(), "openings", position), message)


@pytest.mark.threat("N6")
def test_f_liars_cannot_demand_an_opening_that_nobody_has(scene):
    shut = replace(scene, shut=frozenset({3}), scores={(0, 3): ONE, (1, 3): GATED})
    assert shut.authenticate()
    three = replace(shut, scores={(0, 3): ONE, (1, 3): GATED, (2, 3): 0})
    refused(three, three.evidence(), "opening 3 is left out, though 3 validators hold it")


@pytest.mark.threat("V1")
@pytest.mark.parametrize("score", [0, -ONE, NOT_HELD, GATED])
def test_v1_scores_changed_after_the_commitment_are_refused(scene, score):
    evidence = scene.evidence()
    scores = list(evidence.reveals[6].scores)
    scores[3] = score
    lie = changed(evidence, "reveals", 6, scores=tuple(scores))
    refused(scene, lie, "round 5: scores of validator 6 do not open the commitment")


@pytest.mark.threat("V1")
def test_v1_scores_copied_from_another_validator_are_refused(scene):
    evidence = scene.evidence()
    copied = changed(evidence, "reveals", 6, scores=evidence.reveals[5].scores, salt=evidence.reveals[5].salt)
    refused(scene, copied, "round 5: scores of validator 6 do not open")


@pytest.mark.parametrize("length", [0, 7, 9])
def test_a_score_vector_of_another_length_is_refused(scene, length):
    evidence = scene.evidence()
    scores = (evidence.reveals[6].scores * 2)[:length]
    refused(
        scene,
        changed(evidence, "reveals", 6, scores=scores),
        f"round 5: scores of validator 6: {length} scores, the tree has 8",
    )


@pytest.mark.threat("V1")
def test_scores_without_a_commitment_are_refused(scene):
    evidence = scene.evidence()
    away = replace(scene, absent=frozenset({7})).evidence()
    refused(scene, replace(away, reveals=evidence.reveals), "round 5: scores of validator 7 do not open")
    stranger = replace(evidence.reveals[7], index=1000)
    refused(
        scene,
        replace(evidence, reveals=(*evidence.reveals[:7], stranger)),
        "round 5: scores of validator 1000 do not open",
    )
    other_round = changed(evidence, "reveals", 2, round=4)
    refused(scene, other_round, "round 5: scores of validator 2 do not open")


@pytest.mark.threat("V1", "N9")
def test_scores_that_were_committed_for_another_round_are_refused(scene):
    """The commitment is signed and opened, but what it commits to is a vector of round 4."""
    evidence = scene.evidence()
    old = replace(evidence.reveals[7], round=4)
    commitment = old.commitment(evidence.federation)
    sealed_at = sealed_transcript(scene.config, evidence)
    digest = score_commitment_digest(evidence.federation, 5, 7, commitment, sealed_at)
    signed = SignedScoreCommitment(7, commitment, sign_digest(keccak(b"node" + word(7)), digest))
    lie = replace(
        evidence,
        commitments=(*evidence.commitments[:7], signed),
        reveals=(*evidence.reveals[:7], old),
    )
    refused(scene, lie, "round 5: scores of validator 7 do not open")


def test_an_empty_statement_is_no_statement(scene):
    evidence = scene.evidence()
    for name, field in (("leaves", "leaf"), ("commitments", "commitment")):
        with pytest.raises(InvalidValueError, match="EMPTY"):
            changed(evidence, name, 0, **{field: EMPTY})
    with pytest.raises(InvalidValueError, match="EMPTY"):
        ForcedLeaf(0, EMPTY)


def test_evidence_survives_its_own_document(scene):
    for variant in (scene, replace(scene, forced=(6, 2), silent=frozenset({1}), shut=frozenset({4}))):
        again = RoundEvidence.from_bytes(variant.evidence().to_bytes())
        assert again == variant.evidence()
        assert authenticate(variant.config, variant.members, again, SEALED_IN) == variant.authenticate()


def test_every_message_is_one_line(scene):
    for name in ("leaves", "openings", "commitments", "reveals"):
        for position in range(8):
            try:
                evidence = without(scene.evidence(), name, position)
                authenticate(scene.config, scene.members, evidence, SEALED_IN)
                decide(replace(scene.given(), evidence=evidence))
            except (VerificationError, RoundAbortedError) as error:
                message = str(error)
                assert re.fullmatch(r"[^\n]{10,300}", message)
