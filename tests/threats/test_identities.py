"""Many names, new names and a good name that is used up buy no weight (N13-N15)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chains import node_key, stranger
from deployed_ledger import OWNER
from played_rounds import as_tuple, leaf_of

from ledgerfed.consensus import reputation as rule
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.signature import address_of

NEWCOMER = Reputation(Evidence(0, 0), Evidence(0, 0))
LIE = (-0.5, 0.2, 0.1)
"""Another truth that a ring agrees on."""


def change(indices=(), addresses=()):
    """A change of the registry that leaves the rest as it is."""
    return Change(keccak(b"after"), 2, (0, 1, 2, 3), tuple(indices), tuple(addresses))


def refusal(play, announced, sender=OWNER):
    return play.ledger.refusal("propose", as_tuple(announced), sender=sender)


# --- N13: sybils


@pytest.mark.threat("N13")
def test_n13_one_key_cannot_be_registered_twice_at_genesis_nor_later(play, play_of):
    first, second = play.ledger.members[0], address_of(node_key(8))
    with pytest.raises(Exception, match="a member is registered twice"):
        play_of(nodes=3, committee=2, members=(first, second, first))
    for announced in (change((4,), (first,)), change((4, 5), (second, second)), change((3,), (first,))):
        assert refusal(play, announced) == "a member is registered twice"
    assert refusal(play, change((4,), (second,))) is None


@pytest.mark.threat("N13")
def test_n13_nobody_registers_itself(play):
    sybil = address_of(stranger(b"sybil"))
    for sender in (sybil, *play.ledger.members):
        assert refusal(play, change((4,), (sybil,)), sender)
    play.seal()
    assert play.ledger.refusal("force", 1, leaf_of(4), sender=sybil) == "the address is not a registered node"


@pytest.mark.threat("N13")
@pytest.mark.parametrize("sybils", [1, 9, 24])
def test_n13_any_number_of_new_names_moves_nothing(scene_of, trained, sybils):
    """Eight established nodes, and three times as many newcomers who agree on another truth."""
    crowd = scene_of(nodes=8 + sybils, committee=8, depth=5)
    crowd = replace(crowd, reputations=(*crowd.reputations[:8], *(NEWCOMER,) * sybils))
    for index in range(8, 8 + sybils):
        crowd = crowd.send(index, trained(100 + index, crowd.base, truth=LIE))
    outcome = crowd.outcome()
    alone = replace(crowd, payloads={i: crowd.payloads[i] for i in range(8)}).outcome()
    assert outcome.model == alone.model
    assert outcome.verdicts[:8] == alone.verdicts[:8]
    assert all(v.weight == 0 for v in outcome.verdicts[8:])


# --- N14: whitewashing


@pytest.mark.threat("N14")
def test_n14_a_new_name_has_no_weight_in_its_first_round_whatever_it_sends(scene):
    renamed = replace(scene, reputations=exchanged(scene.reputations, 3, NEWCOMER)).outcome()
    assert (renamed.verdicts[3].reason, renamed.verdicts[3].weight) == (Reason.ADMITTED, 0)
    absent = replace(scene, payloads={i: p for i, p in scene.payloads.items() if i != 3}).outcome()
    assert renamed.model == absent.model


@pytest.mark.threat("N14")
@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.ADMITTED])
def test_n14_a_new_name_that_misbehaves_or_stays_away_earns_nothing(reason):
    node = NEWCOMER
    for number in range(1, 13):
        node = rule.train_step(node, reason, 0, number)
        assert rule.influence(node) == 0


@pytest.mark.threat("N14")
def test_n14_who_leaves_comes_back_as_another_index_and_its_old_one_stays_empty(play):
    gone = play.ledger.members[3]
    play.propose(replace(change((3,), (VACANT,)), committee=(0, 1, 2)))
    play.seal().scores().certify()
    play.open_epoch(replace(change((3,), (VACANT,)), committee=(0, 1, 2)))
    back = replace(change((3,), (gone,)), committee=(0, 1, 2))
    assert refusal(play, back) == "the node at this index has left"
    play.propose(replace(back, indices=(4,)))
    play.seal().scores().certify(signers=(0, 1, 2))
    play.open_epoch(replace(back, indices=(4,)))
    assert play.ledger.node(gone)["index"] == 4
    assert play.ledger.view("member", 3) == "0x" + "00" * 20


# --- N15: a good name that is used up


def exchanged(rows, position, row):
    return (*rows[:position], row, *rows[position + 1 :])


def flipped(scene):
    """Node 3 sends its coefficients with the other sign."""
    own = scene.update(3)
    return scene.send(3, replace(own, z=tuple(-v for v in own.z)))


def unstable(scene, disguised):
    """Node 3 sends a model that explodes."""
    return scene.send(3, disguised(scene.update(3), (1.5, 0.0, 0.0)))


def play_rounds(scene, hostile, is_hostile, rounds, start=NEWCOMER):
    """Node 3's reputation (in thousandths) after every round, and its weight in it (in thousandths)."""
    scene = replace(scene, reputations=exchanged(scene.reputations, 3, start))
    values, weights = [], []
    for number in range(1, rounds + 1):
        now = replace(hostile if is_hostile(number) else scene, round=number, reputations=scene.reputations)
        outcome = now.outcome()
        scene = replace(scene, reputations=outcome.reputations)
        values.append(1000 * outcome.reputations[3].trainer.value // ONE)
        weights.append(1000 * outcome.verdicts[3].weight // ONE)
    return values, weights


# Reputation after every round, in thousandths (0.40 is full weight).
SLEEPER = (
    *(399, 494, 559, 607, 643, 671, 694, 712, 728, 741, 752, 762),
    *(645, 552, 479, 418, 368, 327, 291, 261, 235, 212, 193, 176),
)
ON_OFF = (
    *(399, 494, 360, 428, 481, 387, 432, 470, 395, 430, 460, 396),
    *(425, 450, 394, 419, 441, 391, 413, 433, 387, 406, 425, 382),
)
HARD_ON_OFF = (
    *(399, 494, 286, 350, 401, 288, 329, 365, 284, 315, 343, 279),
    *(304, 327, 273, 294, 314, 267, 286, 304, 261, 278, 294, 256),
)


@pytest.mark.threat("N15")
def test_n15_a_sleeper_loses_its_weight_as_golden_values_say(scene):
    """Honest for twelve rounds, a sign flip ever after: refused at once, and soon below 0.40."""
    values, weights = play_rounds(scene, flipped(scene), lambda n: n > 12, 24)
    assert tuple(values) == SLEEPER
    assert not any(weights[12:])


@pytest.mark.threat("N15")
def test_n15_an_on_off_attacker_never_rises_above_its_first_honest_rounds(scene):
    """A sign flip in every third round."""
    values, weights = play_rounds(scene, flipped(scene), lambda n: n % 3 == 0, 24)
    assert tuple(values) == ON_OFF
    assert max(values) == values[1]
    assert not any(weights[2::3])


@pytest.mark.threat("N15")
def test_n15_an_on_off_attacker_that_a_gate_refuses_loses_its_weight_in_honest_rounds_too(scene, disguised):
    """A model that explodes in every third round."""
    values, weights = play_rounds(scene, unstable(scene, disguised), lambda n: n % 3 == 0, 24)
    assert tuple(values) == HARD_ON_OFF
    assert max(weights[12:]) < 400


@pytest.mark.threat("N15")
def test_n15_bad_evidence_is_forgotten_half_as_fast_as_good():
    evidence = rule.step(Evidence(1 << 20, 1 << 20), 0, 0)
    assert (1 << 20) - evidence.a == 2 * ((1 << 20) - evidence.b)
