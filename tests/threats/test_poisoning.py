"""Poison, explosive models, inflated claims and bytes of any kind do not bend the model (N10-N12, N16)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from consensus.conftest import as_update, fitted, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.consensus.stability import is_stable
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.coefficients import Gaussian, InnerProduct, LittleIsEnough, Scaling
from ledgerfed.evaluation.attacks.information import as_honest
from ledgerfed.exchange import Information, dequantise, model_to_theta, quantise
from ledgerfed.protocol.fixedpoint import round_significant
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.payload import decode_update, encode_update
from ledgerfed.protocol.predictions import PredictionsUpdate, decode_predictions, encode_predictions
from ledgerfed.protocol.score import ONE

NODES = 10
HOSTILE = ((3,), (2, 5, 8), (1, 3, 5, 8))
"""One of ten up to four of ten."""


@pytest.fixture(scope="module")
def crowd(scene_of):
    """Ten honest nodes, of which seven validate (f = 2)."""
    return scene_of(nodes=NODES, committee=7, depth=4)


def solutions(scene):
    """What every node says by itself: float64 [nodes, 3]."""
    return np.array([dequantise(scene.update(i)).theta() for i in range(NODES)])


def told(scene, lie, hostile):
    """The scene in which the hostile nodes, who see what the honest say, tell this lie of coefficients."""
    honest = np.delete(solutions(scene), hostile, axis=0)
    for index in hostile:
        own = scene.update(index)
        info = dequantise(own)
        said = lie(info.theta(), honest, np.random.default_rng([1, index]))
        scene = scene.send(index, as_honest(own, replace(info, z=info.R @ said)))
    return scene


def trained_on(scene, spoil, hostile):
    """The scene in which the hostile nodes train by the rules, on a target that is wrong."""
    for index in hostile:
        X, y = rows(index)
        scene = scene.send(index, as_update(fitted(X, spoil(y)), scene.base))
    return scene


def without(scene, hostile):
    return replace(scene, payloads={i: p for i, p in scene.payloads.items() if i not in hostile})


def moved(scene, honest, outcome, hostile):
    """How far the model is from that of the honest alone, in standard deviations of honest solutions."""
    apart = model_to_theta(outcome.model) - model_to_theta(without(honest, hostile).outcome().model)
    return float(np.max(np.abs(apart) / solutions(honest).std(axis=0)))


def plain_mean(scene):
    """What the sum of all information comes to, without any defence: float64 [3]."""
    infos = [dequantise(scene.update(i)) for i in range(NODES)]
    return np.linalg.solve(sum(i.R.T @ i.R for i in infos), sum(i.R.T @ i.z for i in infos))


# --- N10: poison

LOUD = {
    "sign flip": lambda scene, who: told(scene, Scaling(-1.0), who),
    "sign flip x 2.5": lambda scene, who: told(scene, Scaling(-2.5), who),
    "scaling x 10": lambda scene, who: told(scene, Scaling(10.0), who),
    "noise": lambda scene, who: told(scene, Gaussian(20.0), who),
    "inner product 0.1": lambda scene, who: told(scene, InnerProduct(0.1), who),
    "inner product 1.5": lambda scene, who: told(scene, InnerProduct(1.5), who),
    "ALIE z = 20": lambda scene, who: told(scene, LittleIsEnough(20.0), who),
    "label flip": lambda scene, who: trained_on(scene, lambda y: -y, who),
    "target shift": lambda scene, who: trained_on(scene, lambda y: y + 3, who),
}


@pytest.mark.threat("N10")
@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("attack", LOUD)
def test_n10_a_loud_poisoner_is_refused_the_honest_are_not_and_the_model_is_theirs(crowd, attack, hostile):
    bent = LOUD[attack](crowd, hostile)
    outcome = bent.outcome()
    assert [v.index for v in outcome.verdicts if not v.admitted] == list(hostile)
    assert outcome.model == without(crowd, hostile).outcome().model


@pytest.mark.threat("N10")
@pytest.mark.parametrize("hostile", HOSTILE)
def test_n10_alie_of_any_strength_moves_the_model_less_than_two_honest_nodes_differ(crowd, hostile):
    """It says what an honest node could say, so it may be admitted; what it gains is bounded.

    The difference of two independent solutions has sqrt(2) times the standard deviation of one.
    """
    strengths = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, -1.5, -5.0)
    bent = [told(crowd, LittleIsEnough(z), hostile) for z in strengths]
    assert max(moved(scene, crowd, scene.outcome(), hostile) for scene in bent) < np.sqrt(2)
    honest = model_to_theta(without(crowd, hostile).outcome().model)
    undefended = max(np.abs(plain_mean(scene) - honest).max() for scene in bent)
    defended = max(np.abs(model_to_theta(scene.outcome().model) - honest).max() for scene in bent)
    assert defended < undefended / 2


# --- N11: bytes of any kind


def edited(data, payload):
    """A payload after a few edits of any kind: bytes set, cut, put in, doubled."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(payload) - 1)))
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "double"]))
        extra = data.draw(st.binary(min_size=1, max_size=6))
        payload = {
            "set": payload[:at] + extra + payload[at + len(extra) :],
            "cut": payload[:at] + payload[at + len(extra) :],
            "insert": payload[:at] + extra + payload[at:],
            "double": payload[:at] + payload[at:] * 2,
        }[kind]
    return payload


@pytest.mark.threat("N11")
@given(st.data())
@settings(max_examples=60)
def test_n11_no_bytes_of_a_payload_stop_a_round_or_cost_another_node_anything(scene, data):
    payload = data.draw(st.binary(max_size=200)) if data.draw(st.booleans()) else scene.payloads[3]
    outcome = scene.send(3, edited(data, payload)).outcome()
    assert all(v.admitted for v in outcome.verdicts if v.index != 3)


@pytest.mark.threat("N11")
@given(st.data())
@settings(max_examples=200)
def test_n11_what_decodes_has_one_spelling_and_all_else_is_refused(scene, data):
    made = PredictionsUpdate(bytes(32), bytes(32), b"made", 60, 1 << 20, 20, (5, -7, 0, 9))
    kind, encode, decode, opening = data.draw(
        st.sampled_from(
            [
                (scene.payloads[3], encode_update, decode_update, scene.opening(3)),
                (encode_predictions(made), encode_predictions, decode_predictions, scene.opening(3)),
            ]
        )
    )
    bent = edited(data, kind)
    try:
        update = decode(bent, opening)
    except InvalidValueError:
        return
    assert encode(update) == bent


@pytest.mark.threat("N11")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 5e-324, 1.0])
def test_n11_no_float_can_be_put_into_an_update(scene, value):
    """Not a number, infinite, minus zero, denormal: there is no place for one."""
    update = scene.update(3)
    for change in ({"z": (value, 0, 0)}, {"upper": (value, *update.upper[1:])}, {"s2": value}):
        with pytest.raises(InvalidValueError):
            encode_update(replace(update, **change))


def said_with(info, value):
    """The bytes of an update that says `value` somewhere."""
    z = np.array([value, 0.0, 0.0])
    bad = Information(info.n, info.s2, info.R, z, info.residual)
    return encode_update(quantise(bad, schema=bytes(32), base_model=bytes(32), family=b"made"))


@pytest.mark.threat("N11")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_n11_what_no_grid_holds_is_an_error_before_it_is_sent(scene, value):
    info = dequantise(scene.update(3))
    assert said_with(info, 1.0)
    with pytest.raises(InvalidValueError):
        said_with(info, value)


@pytest.mark.threat("N11")
def test_n11_a_payload_above_the_size_cap_is_refused_even_if_it_decodes(scene):
    """The same numbers in mantissas of 16 bits instead of 12."""
    size = len(scene.payloads[3])
    wide = scene.send(3, replace(scene.update(3), bits=16))
    assert wide.outcome().verdicts[3].admitted
    gates = replace(scene.config.gates, max_payload_bytes=size)
    outcome = replace(wide, config=replace(scene.config, gates=gates)).outcome()
    assert outcome.verdicts[3].reason is Reason.UNDECODABLE
    assert dict(outcome.verdicts[3].measures)["bytes"] == len(wide.payloads[3]) > size


# --- N12: models that explode

GRID = 40
EPSILONS = (1, 1 << 10, 1 << 30)
"""In units of 2^-40: from the last bit to a thousandth."""


@pytest.mark.threat("N12")
@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("lag", [1, 2, 24])
@pytest.mark.parametrize("sign", [1, -1])
def test_n12_a_root_below_one_is_stable_and_one_at_or_beyond_it_is_not(epsilon, lag, sign):
    """y_t = a y_{t-lag}: all its roots have the size |a|^(1/lag), so they lie at 1 with |a|."""
    one = 1 << GRID
    assert is_stable([sign * (one - epsilon)], GRID, (lag,), ONE)
    assert not is_stable([sign * one], GRID, (lag,), ONE)
    assert not is_stable([sign * (one + epsilon)], GRID, (lag,), ONE)


@pytest.mark.threat("N12")
@pytest.mark.parametrize("angle", [0.3, 1.2, 2.5])
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_n12_a_complex_pair_is_judged_by_its_size(epsilon, angle):
    """1 - 2 r cos(w) z + r^2 z^2: the product of the pair is r^2, whatever the angle."""
    middle = round(2 * np.cos(angle) * 2**GRID)
    assert is_stable([middle, -((1 << GRID) - epsilon)], GRID, (1, 2), ONE)
    assert not is_stable([middle, -(1 << GRID)], GRID, (1, 2), ONE)
    assert not is_stable([middle, -((1 << GRID) + epsilon)], GRID, (1, 2), ONE)


@pytest.mark.threat("N12")
@pytest.mark.parametrize(("root", "stable"), [(0.99, True), (1.01, False), (-1.01, False), (1.5, False)])
def test_n12_an_update_whose_model_explodes_is_refused_and_punished_hard(scene, disguised, root, stable):
    strict = replace(scene, config=replace(scene.config, gates=replace(scene.config.gates, root_bound=ONE)))
    outcome = strict.send(3, disguised(scene.update(3), (root, 0.0, 0.0))).outcome()
    assert (outcome.verdicts[3].reason is Reason.UNSTABLE) == (not stable)
    before, after = scene.reputations[3].trainer, outcome.reputations[3].trainer
    if not stable:
        assert after.b == before.b - (before.b >> 5) + 4 * ONE
        assert outcome.model == without(strict, (3,)).outcome().model


@pytest.mark.threat("N12")
@given(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=6, max_size=6))
def test_n12_no_update_spells_an_information_that_is_not_positive_definite(scene, upper):
    """R is triangular, so its diagonal decides; one that is not positive does not exist."""
    changed = {"upper": tuple(upper), "bits": 16}
    if min(upper[0], upper[3], upper[5]) <= 0:
        with pytest.raises(InvalidValueError):
            replace(scene.update(3), **changed)
    else:
        R = dequantise(replace(scene.update(3), **changed)).R
        assert np.linalg.matrix_rank(R) == 3


# --- N16: inflated claims


def boast(update, claim):
    """The update as if it rested on so many rows, with a variance and a residual that fit the claim."""
    return replace(
        update,
        n_samples=claim,
        s2=round_significant(update.s2 * claim // update.n_samples, 24),
        residual=round_significant(claim * 20_000, 24),
    )


@pytest.mark.threat("N16")
@pytest.mark.parametrize("claim", [241, 480, 900])
def test_n16_claimed_samples_beyond_twice_the_median_weigh_no_more(crowd, claim):
    found = crowd.send(3, boast(crowd.update(3), claim)).outcome().verdicts[3]
    assert found.admitted
    assert found.weight * claim <= 2 * 120 * ONE


@pytest.mark.threat("N16")
@pytest.mark.parametrize("claim", [10**4, 10**9])
def test_n16_a_thousand_million_samples_weigh_nothing(crowd, claim):
    outcome = crowd.send(3, boast(crowd.update(3), claim)).outcome()
    assert outcome.verdicts[3].weight * claim <= 2 * 120 * ONE
    assert moved(crowd, crowd, outcome, (3,)) < 0.01


@pytest.mark.threat("N16")
@pytest.mark.parametrize("claim", [10**3, 10**6, 10**9])
def test_n16_a_liar_about_its_precision_moves_the_model_no_more_than_four_honest_nodes_could(crowd, claim):
    """R and z times the root of the claim: 1e9 samples' worth of information about another truth nearby."""
    own = crowd.update(3)
    info = dequantise(own)
    shifted = info.theta() + 0.5 * solutions(crowd).std(axis=0)
    said = replace(info, n=claim * info.n, R=np.sqrt(claim) * info.R, s2=info.s2 / claim)
    louder = as_honest(own, replace(said, z=said.R @ shifted, residual=float(said.n)))
    outcome = crowd.send(3, louder).outcome()
    assert [v.index for v in outcome.verdicts if not v.admitted] in ([], [3])
    assert moved(crowd, crowd, outcome, (3,)) < 0.5
