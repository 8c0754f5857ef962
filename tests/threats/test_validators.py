"""Faulty validators copy, bend, stall, contradict themselves, certify a lie, and split votes (V1-V6)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from faults import scored_outcome, two_certificates, wrong_median
from played_rounds import ANYBODY, OUTCOME

from ledgerfed.consensus import authenticate
from ledgerfed.errors import RoundAbortedError, VerificationError
from ledgerfed.network import Message
from ledgerfed.node.messages import EVIDENCE
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.model import genesis_model
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Scores

SEALED_IN = 100
TESTS = Path(__file__).parents[1]


def exchanged(rows, position, row):
    return (*rows[:position], row, *rows[position + 1 :])


# --- V1: copied scores


@pytest.mark.threat("V1")
def test_v1_no_honest_validator_shows_a_score_before_the_root_is_anchored(new_world):
    shown: list[Phase] = []

    def listen(message: Message, _receiver: int) -> tuple[int, ...]:
        if message.topic == EVIDENCE and RoundEvidence.from_bytes(message.data).reveals:
            shown.append(world.phase())
        return (0,)

    world = new_world(listen)
    world.start()
    world.run(1)
    assert world.reasons(1) == ["admitted"] * 4
    assert shown
    assert set(shown) == {Phase.SCORED}


@pytest.mark.threat("V1")
def test_v1_scores_that_are_shown_before_the_root_is_anchored_decide_nothing(scene):
    evidence = scene.evidence()
    early = replace(evidence, history=tuple(s for s in evidence.history if not isinstance(s, Scores)))
    with pytest.raises(VerificationError, match="the history holds the scores 0 times"):
        authenticate(scene.config, scene.members, early, SEALED_IN)


@pytest.mark.threat("V1")
@pytest.mark.parametrize("salted", [False, True])
def test_v1_the_scores_of_another_do_not_open_a_commitment_of_ones_own(scene, salted):
    """Validator 6 committed before it saw the scores of validator 5, with their salt or without."""
    evidence = scene.evidence()
    seen, own = evidence.reveals[5], evidence.reveals[6]
    copied = replace(seen, index=6, salt=seen.salt if salted else own.salt)
    bent = replace(copied, scores=exchanged(copied.scores, 0, copied.scores[0] + 1))
    for claim in (bent, replace(bent, salt=keccak(b"a salt that would fit"))):
        lie = replace(evidence, reveals=exchanged(evidence.reveals, 6, claim))
        with pytest.raises(VerificationError, match="scores of validator 6 do not open the commitment"):
            authenticate(scene.config, scene.members, lie, SEALED_IN)


@pytest.mark.threat("V1")
def test_v1_the_commitment_of_another_is_not_opened_by_who_repeats_it(scene):
    """Validator 6 commits to the very hash of validator 5, and later repeats what that one reveals."""
    evidence = scene.evidence()
    theirs = evidence.reveals[5]
    federation = evidence.federation
    assert replace(theirs, index=6).commitment(federation) != theirs.commitment(federation)
    guesses = {replace(theirs, salt=keccak(bytes([k]))).commitment(federation) for k in range(50)}
    assert theirs.commitment(federation) not in guesses, "without its salt a commitment does not tell scores"


# --- V2: bent scores


@pytest.mark.threat("V2")
@pytest.mark.parametrize("lie", [-ONE, ONE])
@pytest.mark.parametrize(("committee", "liars"), [(3, 1), (5, 2), (4, 1), (7, 2), (10, 3)])
def test_v2_liars_do_not_move_a_score_out_of_the_range_of_the_honest(scene_of, committee, liars, lie):
    """1 of 3 and 2 of 5 for updates of nodes without a seat, f of 3f + 1 for everybody's."""
    nodes = committee + 2
    scene = scene_of(nodes=nodes, committee=committee, depth=4)
    judged = range(nodes) if liars <= scene.config.faults else range(committee, nodes)
    said = {(j, i): 1000 + 10 * j for j in range(committee) for i in range(nodes)}
    for ring in [*combinations(range(committee), liars)][:: 1 + committee // 4]:
        outcome = replace(scene, scores=said | {(j, i): lie for j in ring for i in range(nodes)}).outcome()
        for v in (outcome.verdicts[i] for i in judged):
            honest = [1000 + 10 * j for j in range(committee) if j not in ring and j != v.index]
            assert v.score is not None
            assert min(honest) <= v.score <= max(honest)


@pytest.mark.threat("V2")
def test_v2_what_a_validator_says_of_itself_changes_nothing(scene):
    said = {(j, 0): 100 * j for j in range(8)}
    scores = {
        replace(scene, scores=said | {(0, 0): own}).outcome().verdicts[0].score for own in (-ONE, 0, ONE)
    }
    assert len(scores) == 1


# --- V3: silence


@pytest.mark.threat("V3")
@pytest.mark.parametrize("committee", [4, 7])
def test_v3_f_silent_validators_stop_nothing_and_one_more_aborts_cleanly(scene_of, committee):
    scene = scene_of(nodes=8, committee=committee)
    f, plain = scene.config.faults, scene.outcome()
    for silent in combinations(range(committee), f):
        outcome = replace(scene, silent=frozenset(silent)).outcome()
        assert outcome.model == plain.model
        for j in silent:
            before, after = scene.reputations[j].validator, outcome.reputations[j].validator
            assert after.b == before.b - (before.b >> 5) + 4 * ONE
    with pytest.raises(RoundAbortedError, match=f"{2 * f} score reveals, {2 * f + 1} are needed"):
        replace(scene, silent=frozenset(range(committee - 2 * f))).outcome()


@pytest.mark.threat("V3")
@pytest.mark.parametrize("sentinel", [NOT_HELD, GATED])
def test_v3_f_validators_that_reveal_nothing_but_blanks_keep_nobody_out(scene, sentinel):
    blanks = {(j, i): sentinel for j in (2, 5) for i in range(8)}
    assert all(v.admitted for v in replace(scene, scores=blanks).outcome().verdicts)


# --- V4: two certificates


@pytest.mark.threat("V4")
@pytest.mark.parametrize("committee", range(1, 32))
def test_v4_two_quorums_share_an_honest_validator(scene, committee):
    """Any two certificates of one round have at least f + 1 signers in common."""
    config = replace(scene.config, depth=5, committee=tuple(range(committee)))
    assert 2 * config.quorum - committee >= config.faults + 1
    assert config.quorum <= committee - config.faults, "f silent validators do not stop a certificate"


@pytest.mark.threat("V4")
def test_v4_fewer_signatures_than_the_quorum_certify_nothing(play_of):
    play = play_of(nodes=7, committee=7)
    play.seal().scores()
    for signers in ((0, 1, 2, 3), (), (0, 0, 1, 2, 3)):
        signatures = play.certificate(signers=signers)
        assert play.ledger.refusal("certify", 1, *OUTCOME, signatures, sender=ANYBODY)
    play.certify(signers=(0, 1, 2, 3, 6))


@pytest.mark.threat("V4")
def test_v4_who_signs_two_outcomes_of_one_transcript_is_removed_by_anybody_with_both(play):
    play.seal().scores()
    play.challenge(two_certificates(play, 2))
    assert play.ledger.state()["removed"] == 0b0100
    refused = play.ledger.refusal("certify", 1, *OUTCOME, play.certificate(signers=(0, 1, 2)), sender=ANYBODY)
    assert refused == "a signer was removed"
    play.certify(signers=(0, 1, 3))


# --- V5: a certified lie


@pytest.mark.threat("V5")
@pytest.mark.parametrize("heard", [(7,), (-5, 7, 8, 6), (3, 3, 9, 9, 9), (-ONE, ONE), (0, 1, 2, 3, 4, 5)])
def test_v5_a_certified_median_that_is_off_by_one_falls_and_the_true_one_stands(play_of, heard):
    median = sorted(heard)[(len(heard) - 1) // 2]
    for claim in (median - 1, median, median + 1):
        play = play_of()
        scored = scored_outcome(2, claim, heard, depth=3)
        play.seal().scores().certify(scored.outcome, signers=(0, 2, 3))
        proof = wrong_median(play, scored, 0b1101)
        if claim == median:
            assert play.refusal(proof) == "the certified score is the lower median"
        else:
            assert play.ledger.refusal(proof.call, *proof.arguments.values(), sender=ANYBODY) is None
            assert play.ledger.state()["removed"] == 0b1101
            assert play.ledger.state()["signers"] == 0, "nobody's certificate stands"


# --- V6: votes split by arithmetic


@pytest.mark.threat("V6")
def test_v6_threads_order_and_hash_seeds_do_not_change_one_bit_of_an_outcome():
    """By every rule that weighs updates, and the Gram matrix that they rest on."""
    path = os.pathsep.join([str(TESTS), *sys.path])

    def started(threads: int, order: str, seed: int) -> subprocess.Popen[str]:
        limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
        return subprocess.Popen(
            [sys.executable, str(TESTS / "threats" / "outcome_hashes.py"), order],
            env={**os.environ, **limits, "PYTHONHASHSEED": str(seed), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )

    runs = [started(1, "forward", 0), started(2, "reverse", 1), started(2, "shuffled", 2)]
    first, *others = (json.loads(run.communicate(timeout=120)[0]) for run in runs)
    assert {"gram", "krum", "redescending"} <= first.keys()
    assert all(other == first for other in others)


@pytest.mark.threat("V6")
def test_v6_a_sum_is_the_same_to_the_last_bit_whatever_the_place_of_each_node(scene):
    """On a grid so fine, and with weights so odd, that one rounding of a partial sum would show."""
    half = Reputation(Evidence(ONE // 2, 0), Evidence(0, 0))
    config = replace(scene.config, theta_scale=60)
    base = genesis_model(config.schema, config.width, config.prior, 60, config.precision_scale)
    fine = replace(scene, config=config, base=base, reputations=(half,) * 8)
    for index in range(8):
        fine = fine.send(index, replace(scene.update(index), base_model=base.hash()))
    models = set()
    for shift in range(8):
        moved = fine
        for index in range(8):
            moved = moved.send((3 * index + shift) % 8, fine.update(index))
        models.add(moved.outcome().model)
    assert len(models) == 1


@pytest.mark.threat("V6")
def test_v6_a_tie_is_broken_by_the_round_and_never_by_the_place(scene):
    twins = scene.send(3, scene.update(4))
    kept = set()
    for number in range(12):
        verdicts = replace(twins, opened_at=keccak(bytes([number]))).outcome().verdicts
        assert verdicts[3].admitted != verdicts[4].admitted
        kept.add(3 if verdicts[3].admitted else 4)
    assert kept == {3, 4}
