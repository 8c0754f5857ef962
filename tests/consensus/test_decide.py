"""What a round decides, and that nobody alone decides it (threats N10, N14, N16, V2, V3, V6, R6)."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.consensus import PastUpdate, decide
from ledgerfed.consensus.decide import available
from ledgerfed.consensus.standing import LEAST
from ledgerfed.errors import InvalidValueError, RoundAbortedError
from ledgerfed.exchange import dequantise, model_to_precision, model_to_theta
from ledgerfed.protocol.fixedpoint import round_significant
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Manifest, Reason
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, lower_median

NEWCOMER = Reputation(Evidence(0, 0), Evidence(0, 0))
HALF_TRUSTED = Reputation(Evidence(ONE // 2, 0), Evidence(0, 0))
STANDINGS = (NEWCOMER, HALF_TRUSTED, Reputation(Evidence(8 * ONE, 0), Evidence(0, 0), 5))


def update_of(scene, index):
    return scene.update(index)


def with_config(scene, **change):
    return replace(scene, config=replace(scene.config, **change))


def with_gates(scene, **change):
    return with_config(scene, gates=replace(scene.config.gates, **change))


def flipped(update, factor=3):
    clip = (1 << 15) - 1
    return replace(update, z=tuple(max(-clip, min(clip, -factor * v)) for v in update.z))


def reasons(outcome):
    return {v.index: v.reason for v in outcome.verdicts}


# --- the outcome ----------------------------------------------------------------------------------------


def test_the_model_is_the_weighted_sum_of_the_admitted_information(scene):
    outcome = scene.outcome()
    gram, moment = np.eye(3) * scene.config.prior / 2**scene.config.precision_scale, np.zeros(3)
    for v in outcome.verdicts:
        info = dequantise(update_of(scene, v.index))
        gram += v.weight / ONE * info.R.T @ info.R
        moment += v.weight / ONE * info.R.T @ info.z
    assert model_to_theta(outcome.model) == pytest.approx(np.linalg.solve(gram, moment), rel=1e-9)
    assert model_to_precision(outcome.model) == pytest.approx(gram, abs=2**-20)
    assert outcome.model.contributors == 8
    assert model_to_theta(outcome.model) == pytest.approx((0.5, 0.2, 0.1), abs=0.1)


def test_the_manifest_carries_what_was_decided(scene):
    outcome = scene.outcome()
    manifest = outcome.manifest()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert manifest.evidence == scene.evidence().hash()
    assert manifest.base_model == scene.base.hash()
    assert manifest.model == outcome.model.hash()
    assert manifest.reputation_root == outcome.reputation_root


@pytest.mark.threat("R6")
@pytest.mark.parametrize("bit", [0, 7, 39])
def test_r6_one_bit_of_the_model_makes_another_manifest(scene, bit):
    outcome = scene.outcome()
    theta = outcome.model.theta
    bent = replace(theta, values=(theta.values[0] ^ 1 << bit, *theta.values[1:]))
    other = replace(outcome, model=replace(outcome.model, theta=bent))
    assert other.manifest().hash() != outcome.manifest().hash()


# --- V6: every honest validator gets one hash -------------------------------------------------------------


def hash_of(given):
    return decide(given).manifest().hash()


@pytest.mark.threat("V6")
@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_v6_the_order_of_payloads_and_history_never_matters(scene, shuffler):
    past = [PastUpdate(r, i, update_of(scene, i)) for r in (3, 4) for i in range(8)]
    honest = replace(scene, history=tuple(past)).send(5, flipped(update_of(scene, 5)))
    given = honest.given()
    expected = hash_of(given)
    rows = list(given.payloads.items())
    shuffler.shuffle(rows)
    shuffler.shuffle(past)
    assert hash_of(replace(given, payloads=dict(rows), history=tuple(past))) == expected


@pytest.mark.threat("V6", "N6")
def test_v6_a_withheld_payload_makes_no_difference_to_those_who_have_it(scene):
    """Node 3 shows its payload to validators 0 and 1 only; the others decide without it."""
    few = replace(scene, scores={(j, 3): NOT_HELD for j in range(2, 8)})
    having = few.given()
    lacking = replace(having, payloads={h: p for h, p in having.payloads.items() if p != few.payloads[3]})
    more = replace(having, payloads={**having.payloads, keccak(b"noise"): b"noise"})
    assert decide(having).verdicts[3].reason is Reason.WITHHELD
    assert hash_of(having) == hash_of(lacking) == hash_of(more)


@pytest.mark.threat("V6")
def test_v6_a_payload_that_validators_hold_must_be_pulled(scene):
    given = scene.given()
    lacking = replace(given, payloads={h: p for h, p in given.payloads.items() if p != scene.payloads[3]})
    with pytest.raises(InvalidValueError, match=f"0x{keccak(scene.payloads[3]).hex()}.*pull it"):
        decide(lacking)
    assert available(given) == frozenset(range(8))


@pytest.mark.threat("V6")
def test_v6_the_place_of_a_node_in_the_registry_decides_nothing(scene):
    """The same updates and scores under other indices give the same model."""
    moved = replace(scene, payloads={(i + 3) % 8: p for i, p in scene.payloads.items()})
    assert moved.outcome().model == scene.outcome().model


# --- quorums of scores ------------------------------------------------------------------------------------


@pytest.mark.threat("V3")
def test_v3_f_silent_validators_do_not_stop_a_round(small, scene):
    for honest, f in ((small, 1), (scene, 2)):
        for silent in combinations(honest.config.committee, f):
            outcome = replace(honest, silent=frozenset(silent)).outcome()
            assert all(v.admitted for v in outcome.verdicts)
            for j in silent:
                before, after = honest.reputations[j].validator, outcome.reputations[j].validator
                assert after.b == before.b - (before.b >> 5) + 4 * ONE


@pytest.mark.threat("V3")
def test_v3_f_plus_1_silent_validators_abort_it_cleanly(small, scene):
    with pytest.raises(RoundAbortedError, match="2 score reveals, 3 are needed"):
        replace(small, silent=frozenset({0, 1})).outcome()
    with pytest.raises(RoundAbortedError, match="4 score reveals, 5 are needed"):
        replace(scene, silent=frozenset({0, 1, 2, 3})).outcome()


@pytest.mark.threat("V3")
@pytest.mark.parametrize("sentinel", [NOT_HELD, GATED])
def test_v3_f_validators_that_score_nothing_keep_nobody_out_and_earn_nothing(small, sentinel):
    dumb = replace(small, scores={(2, i): sentinel for i in range(4)})
    outcome = dumb.outcome()
    assert all(v.admitted for v in outcome.verdicts)
    assert outcome.reputations[2].validator == Evidence(0, 0)
    assert outcome.reputations[1].validator.a == ONE


def test_a_validator_earns_in_proportion_to_what_it_scores(scene):
    lazy = replace(scene, scores={(2, i): GATED for i in (3, 4, 5, 6, 7)})
    earned = [r.validator.a for r in lazy.outcome().reputations]
    assert earned[2] == 2 * ONE // 7
    assert earned[1] == ONE


def test_sentinels_for_everything_from_everybody_abort(scene):
    for sentinel in (NOT_HELD, GATED):
        nothing = replace(scene, scores={(j, i): sentinel for j in range(8) for i in range(8)})
        evidence = nothing.evidence()
        if sentinel == NOT_HELD:
            evidence = nothing.with_scores(evidence)
        with pytest.raises(RoundAbortedError, match="0 verified updates"):
            decide(replace(nothing.given(), evidence=evidence))


@pytest.mark.threat("V2")
@pytest.mark.parametrize("lie", [-ONE, ONE])
@pytest.mark.parametrize("committee", [4, 7, 8])
def test_v2_f_liars_cannot_move_a_score_out_of_the_honest_range(scene_of, committee, lie):
    scene = scene_of(nodes=8, committee=committee)
    f = scene.config.faults
    honest_scores = {(j, i): 1000 + 10 * j for j in range(committee) for i in range(8)}
    for liars in combinations(range(committee), f):
        scores = honest_scores | {(j, i): lie for j in liars for i in range(8)}
        for v in replace(scene, scores=scores).outcome().verdicts:
            honest = [1000 + 10 * j for j in range(committee) if j not in liars and j != v.index]
            assert min(honest) <= v.score <= max(honest)


@pytest.mark.threat("V2", "V3")
def test_v2_some_of_f_lie_and_the_others_are_silent(small, scene_of):
    scene = scene_of(nodes=7, committee=7)
    honest_scores = {(j, i): 1000 + 10 * j for j in range(7) for i in range(7)}
    for silent, liar in ((0, 1), (3, 6), (6, 5)):
        for lie in (-ONE, ONE):
            scores = honest_scores | {(liar, i): lie for i in range(7)}
            outcome = replace(scene, scores=scores, silent=frozenset({silent})).outcome()
            for v in outcome.verdicts:
                honest = [1000 + 10 * j for j in range(7) if j not in (silent, liar, v.index)]
                assert min(honest) <= v.score <= max(honest)


@pytest.mark.threat("V2")
def test_v2_a_validators_score_of_itself_is_not_heard(small):
    """With its own praise heard, the lower median of 20, 10, 10 and ONE would be 10 and not below."""
    scores = {(j, 0): value for j, value in enumerate((ONE, 10, -ONE, -ONE))}
    praised = replace(small, scores=scores)
    assert praised.outcome().verdicts[0].score == -ONE
    assert replace(small, scores=scores | {(0, 0): -ONE}).outcome().verdicts[0].score == -ONE
    blamed = replace(small, scores={(0, 0): -ONE, (1, 0): 7, (2, 0): 8, (3, 0): 9})
    assert blamed.outcome().verdicts[0].score == 8


@pytest.mark.threat("N10")
def test_v8_an_update_that_most_validators_find_harmful_is_rejected(scene):
    floor = scene.config.gates.score_floor
    for score, expected in ((floor - 1, Reason.LOW_SCORE), (floor, Reason.ADMITTED)):
        bad = replace(scene, scores={(j, 3): score for j in range(8)})
        assert reasons(bad.outcome())[3] is expected


def test_v8_too_few_scores_are_no_scores(scene):
    unscored = replace(scene, scores={(j, 3): GATED for j in (0, 1, 2, 4)})
    found = unscored.outcome().verdicts[3]
    assert (found.reason, found.score, found.weight) == (Reason.UNSCORED, None, 0)
    assert replace(scene, scores={(j, 3): GATED for j in (0, 1, 2)}).outcome().verdicts[3].admitted


# --- weights ----------------------------------------------------------------------------------------------


@pytest.mark.threat("N14")
def test_n14_a_newcomer_is_scored_but_weighs_nothing(scene):
    rows = (*scene.reputations[:3], NEWCOMER, *scene.reputations[4:])
    outcome = replace(scene, reputations=rows).outcome()
    found = outcome.verdicts[3]
    assert (found.reason, found.weight) == (Reason.ADMITTED, 0)
    assert found.score is not None
    assert outcome.model.contributors == 7
    assert outcome.reputations[3].trainer.a == ONE
    moved = replace(scene, reputations=rows).send(3, update_of(scene, 3)).outcome()
    assert moved.model == outcome.model


def test_influence_scales_the_weight(scene):
    rows = (*scene.reputations[:3], HALF_TRUSTED, *scene.reputations[4:])
    full, part = scene.outcome().verdicts[3], replace(scene, reputations=rows).outcome().verdicts[3]
    assert 0 < part.weight < full.weight


def boasting(update: InformationUpdate, doublings: int) -> InformationUpdate:
    """The update of a node that counts every row 4^doublings times; it contradicts itself nowhere."""
    often = 4**doublings
    return replace(
        update,
        n_samples=update.n_samples * often,
        residual=update.residual * often,
        exponents=tuple(e - doublings for e in update.exponents),
    )


@pytest.mark.threat("N16")
@pytest.mark.parametrize("doublings", [1, 2])
def test_n16_claimed_samples_count_up_to_a_cap(scene, doublings):
    wide = with_gates(scene, trace_cap=1 << 40, outlier_factor=1 << 40)
    boast = boasting(update_of(scene, 3), doublings)
    plain, found = (s.outcome().verdicts[3] for s in (wide, wide.send(3, boast)))
    assert found.admitted
    expected = 2 * 120 / boast.n_samples * plain.weight / ONE
    assert found.weight / ONE == pytest.approx(expected, rel=0.01, abs=2 / ONE)


@pytest.mark.threat("N16")
def test_n16_claimed_information_counts_up_to_a_cap(scene):
    """Rows counted 16 times claim 16 times the information; four times the median is all that counts."""
    loud = boasting(update_of(scene, 1), 2)
    wide = with_gates(scene, sample_cap=1 << 40, outlier_factor=1 << 40).send(1, loud)
    outcome = wide.outcome()
    traces = [float(np.sum(dequantise(update_of(wide, i)).R ** 2)) for i in range(8)]
    found = outcome.verdicts[1]
    assert found.admitted
    assert found.weight / ONE * traces[1] <= 4.01 * lower_median(sorted(traces))


# --- the robust gate --------------------------------------------------------------------------------------


@pytest.mark.threat("N10")
@pytest.mark.parametrize("factor", [1, 3, 10])
@pytest.mark.parametrize("hostile", [(5,), (0, 7), (1, 4, 6)])
def test_n10_sign_flipped_updates_are_outliers_and_nobody_else(scene, factor, hostile):
    bent = scene
    for index in hostile:
        bent = bent.send(index, flipped(update_of(scene, index), factor))
    found = reasons(bent.outcome())
    assert all((found[i] is Reason.ADMITTED) == (i not in hostile) for i in range(8))
    assert all(found[i] in (Reason.OUTLIER, Reason.OUT_OF_RANGE, Reason.UNSTABLE) for i in hostile)


@pytest.mark.threat("N10")
@pytest.mark.parametrize("target", [(0.0, 0.0, 0.0), (0.5, 0.2, 1.5), (-0.5, 0.2, 0.1), (0.0, 0.2, 0.1)])
@pytest.mark.parametrize("hostile", [(3,), (0, 1, 2)])
def test_n10_colluders_that_agree_on_another_truth_do_not_move_the_model(scene, trained, target, hostile):
    bent = scene
    for index in hostile:
        bent = bent.send(index, trained(100 + index, scene.base, n=200, truth=target))
    outcome = bent.outcome()
    assert all(outcome.verdicts[i].admitted for i in range(8) if i not in hostile)
    honest = replace(scene, payloads={i: p for i, p in scene.payloads.items() if i not in hostile})
    moved = model_to_theta(outcome.model) - model_to_theta(honest.outcome().model)
    assert np.abs(moved).max() < 0.12


def test_v7_an_honest_scene_is_not_thinned_out(scene_of):
    """No honest node of 30 is an outlier; a limit of twelve times the median leaves room for chance."""
    many = scene_of(nodes=30, committee=8, depth=5)
    assert all(v.admitted for v in many.outcome().verdicts)


def test_too_few_updates_abort_and_are_never_averaged(scene):
    two = replace(scene, payloads={i: scene.payloads[i] for i in (0, 1)})
    with pytest.raises(RoundAbortedError, match="2 verified updates with weight, 3 are needed"):
        two.outcome()
    nobody = replace(scene, payloads={})
    with pytest.raises(RoundAbortedError, match="0 verified updates"):
        nobody.outcome()


def test_where_nobody_has_a_say_all_have_the_same_small_one(scene):
    strangers = replace(scene, reputations=(NEWCOMER,) * 8).outcome()
    assert {v.weight for v in strangers.verdicts} == {LEAST}


def test_a_sum_that_does_not_fit_the_grid_aborts(scene):
    """Precisions of several hundred do not fit 63 bits at scale 2^-60: a clean abort, not an overflow."""
    fine = with_config(scene, precision_scale=60)
    with pytest.raises(RoundAbortedError, match=r"no common solution.*int"):
        fine.outcome()


# --- fuzz: nothing that passes authentication raises anything else ----------------------------------------


@st.composite
def wild_updates(draw, scene):
    update = update_of(scene, draw(st.integers(0, 7)))
    d = update.width
    small, large = st.integers(-3, 3), st.integers(-(1 << 15), (1 << 15) - 1)
    upper = list(draw(st.lists(small | large, min_size=6, max_size=6)))
    for i in (0, 3, 5):
        upper[i] = draw(st.integers(1, 3) | st.integers(1, (1 << 15) - 1))
    z = draw(st.lists(small | st.integers(-(1 << 15), (1 << 15) - 1), min_size=d, max_size=d))
    n = draw(st.sampled_from([0, 8, 9, 60, 120, (1 << 40) - 1]))
    noise = draw(st.sampled_from([0, ONE, ONE // 4, 1 << 40]))
    change = {
        "exponents": tuple(draw(st.lists(st.integers(-24, 40), min_size=d, max_size=d))),
        "upper": tuple(upper),
        "z": tuple(z),
        "n_samples": n,
        "s2": draw(st.sampled_from([1, 1 << 32, ((1 << 24) - 1) << 39])),
        "residual": round_significant(min(noise * n, 1 << 62), 24),
    }
    kept = draw(st.sets(st.sampled_from(sorted(change))))
    return replace(update, bits=16, **{k: v for k, v in change.items() if k not in kept})


@pytest.mark.threat("N11")
@given(st.data())
@settings(max_examples=60)
def test_no_payloads_and_scores_raise_anything_but_an_abort(scene, data):
    wild = scene
    for index in data.draw(st.sets(st.integers(0, 7), max_size=8)):
        wild = wild.send(index, data.draw(wild_updates(scene) | st.binary(max_size=40)))
    score = st.sampled_from([NOT_HELD, GATED, -ONE, ONE, 0, 5])
    places = st.tuples(st.integers(0, 7), st.integers(0, 7))
    wild = replace(
        wild,
        scores=data.draw(st.dictionaries(places, score, max_size=30)),
        shut=frozenset(data.draw(st.sets(st.integers(0, 7), max_size=2))),
        silent=frozenset(data.draw(st.sets(st.integers(0, 7), max_size=3))),
        forced=tuple(data.draw(st.sets(st.integers(0, 7), max_size=2))),
        reputations=tuple(data.draw(st.lists(st.sampled_from(STANDINGS), min_size=8, max_size=8))),
        history=tuple(PastUpdate(4, i, update_of(scene, i)) for i in data.draw(st.sets(st.integers(0, 7)))),
    )
    given = wild.given()
    shut = {i: p for i, p in wild.payloads.items() if i in wild.shut}
    given = replace(given, payloads={**given.payloads, **{keccak(p): p for p in shut.values()}})
    try:
        outcome = decide(given)
    except RoundAbortedError:
        return
    manifest = outcome.manifest()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    rows = list(given.payloads.items())
    random.Random(5).shuffle(rows)
    assert hash_of(replace(given, payloads=dict(rows), history=given.history[::-1])) == manifest.hash()
