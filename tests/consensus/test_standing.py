"""The federation's rule in the decision: who has a say in it, and what it leaves of every weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.aggregation.information import expand, gram_about, on_common_grid, pool, solve
from ledgerfed.consensus import decide
from ledgerfed.errors import InvalidValueError, RoundAbortedError
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.rule import DECLARATIONS, Aggregation, Rule
from ledgerfed.protocol.score import ONE

WEIGHING = [rule for rule in Rule if DECLARATIONS[rule].weighs]
COORDINATES = [rule for rule in Rule if not DECLARATIONS[rule].weighs]
STANDING = [rule for rule in WEIGHING if rule is not Rule.MEAN]
AWAY = (-0.3, 0.1, 0.9)


def under(scene, rule, hostile=2, *, mixing=False, min_updates=None):
    least = max(DECLARATIONS[rule].least(hostile), 3)
    aggregation = Aggregation(rule, hostile, mixing)
    return replace(
        scene,
        config=replace(scene.config, aggregation=aggregation, min_updates=min_updates or least),
    )


def weights(outcome):
    return [verdict.weight for verdict in outcome.verdicts]


def theta(outcome):
    model = outcome.model.theta
    return np.array(model.values) / 2.0**model.scale


def wide(scene):
    """The scene without a limit on distances, so that only the rule stands between a liar and the model."""
    return replace(
        scene, config=replace(scene.config, gates=replace(scene.config.gates, outlier_factor=1 << 40))
    )


@pytest.mark.parametrize("rule", WEIGHING)
def test_every_rule_that_weighs_decides_a_round_of_honest_nodes(scene, rule):
    outcome = under(scene, rule, 0 if rule is Rule.MEAN else 2).outcome()
    assert all(verdict.admitted for verdict in outcome.verdicts)
    assert max(weights(outcome)) > 0
    assert np.abs(theta(outcome) - (0.5, 0.2, 0.1)).max() < 0.35
    assert outcome.manifest().document()["aggregation"]["rule"] == rule.value


@pytest.mark.threat("N10")
@pytest.mark.parametrize("rule", STANDING)
@pytest.mark.parametrize("mixing", [False, True])
def test_n10_two_that_agree_on_another_truth_move_no_robust_rule_far(scene, disguised, rule, mixing):
    if mixing and rule is Rule.REDESCENDING:
        return
    honest = wide(under(scene, rule, 2, mixing=mixing))
    attacked = honest
    for index in (6, 7):
        attacked = attacked.send(index, disguised(honest.update(index), AWAY, noise=0.5, seed=index))
    kept = theta(attacked.outcome())
    assert np.abs(kept - theta(honest.outcome())).max() < 0.2, kept
    assert max(weights(attacked.outcome())[6:]) <= max(weights(attacked.outcome())[:6])


@pytest.mark.threat("N10")
def test_n10_the_mean_follows_them(scene, disguised):
    """So that the test above says something."""
    honest = wide(under(scene, Rule.MEAN, 0))
    attacked = honest
    for index in (6, 7):
        attacked = attacked.send(index, disguised(honest.update(index), AWAY, noise=0.5, seed=index))
    assert np.abs(theta(attacked.outcome()) - theta(honest.outcome())).max() > 0.15


@pytest.mark.parametrize("rule", COORDINATES)
def test_a_rule_for_coordinates_cannot_weigh_information(scene, rule):
    with pytest.raises(InvalidValueError, match="weighs whole updates"):
        under(scene, rule)


@pytest.mark.parametrize("rule", STANDING)
def test_a_rule_outside_its_bound_is_an_error_before_the_round(scene, rule):
    with pytest.raises(InvalidValueError, match="needs at least"):
        under(scene, rule, 2, min_updates=DECLARATIONS[rule].least(2) - 1)


def test_a_mean_that_is_to_stand_a_hostile_update_is_an_error(scene):
    with pytest.raises(InvalidValueError, match="stands no hostile update"):
        under(scene, Rule.MEAN, 1)


def test_too_few_for_the_rule_abort_the_round_and_are_never_averaged_instead(scene):
    few = under(scene, Rule.KRUM, 2)
    assert few.config.min_updates == 7
    with pytest.raises(RoundAbortedError, match="6 verified updates with weight, 7 are needed"):
        replace(few, shut=frozenset({0, 1})).outcome()


def test_krum_gives_all_weight_to_one_and_multi_krum_to_n_minus_f(scene):
    assert sorted(map(bool, weights(under(scene, Rule.KRUM).outcome()))) == [False] * 7 + [True]
    assert sum(map(bool, weights(under(scene, Rule.MULTI_KRUM).outcome()))) == 6


@pytest.mark.threat("N13")
@pytest.mark.parametrize("rule", STANDING)
def test_n13_newcomers_have_no_say_in_the_centre_nor_in_the_rule(scene, disguised, rule):
    """Five of eight have earned nothing yet and agree on another truth; counted, they would be a majority."""
    newcomer = replace(scene.reputations[0], trainer=replace(scene.reputations[0].trainer, a=0, b=0))
    reputations = tuple(r if i < 3 else newcomer for i, r in enumerate(scene.reputations))
    hostile = 0 if rule in (Rule.KRUM, Rule.MULTI_KRUM) else 1
    swamped = under(replace(scene, reputations=reputations), rule, hostile)
    for index in range(3, 8):
        swamped = swamped.send(index, disguised(scene.update(index), AWAY, noise=0.5, seed=index))
    outcome = swamped.outcome()
    assert [v.reason for v in outcome.verdicts[:3]] == [Reason.ADMITTED] * 3
    assert not any(weights(outcome)[3:])
    assert np.abs(theta(outcome) - (0.5, 0.2, 0.1)).max() < 0.3


@pytest.mark.threat("N16")
def test_n16_what_newcomers_claim_does_not_set_the_caps(scene):
    """Five newcomers claim a tenth of everybody's rows, so that the honest three would be cut down to it."""
    newcomer = replace(scene.reputations[0], trainer=replace(scene.reputations[0].trainer, a=0, b=0))
    reputations = tuple(r if i < 3 else newcomer for i, r in enumerate(scene.reputations))
    among = replace(scene, reputations=reputations)
    alone = replace(among, shut=frozenset(range(3, 8)))
    lowered = among
    for index in range(3, 8):
        lowered = lowered.send(index, replace(scene.update(index), n_samples=12))
    assert weights(lowered.outcome())[:3] == weights(alone.outcome())[:3]


@pytest.mark.threat("V6")
@pytest.mark.parametrize("rule", WEIGHING)
def test_v6_the_order_of_the_evidence_changes_no_bit(scene, rule):
    given = under(scene, rule, 0 if rule is Rule.MEAN else 2).given()
    shuffled = replace(given, payloads=dict(reversed(given.payloads.items())))
    assert decide(shuffled).manifest().hash() == decide(given).manifest().hash()


@pytest.mark.parametrize("rule", [Rule.GEOMETRIC_MEDIAN, Rule.COVARIANCE_FILTER])
def test_distances_between_updates_are_those_of_their_common_information(scene, rule):
    """theta_i' M theta_j about the base, in floats beside the integers of the Gram matrix."""
    contributions = [expand(scene.update(i)) for i in range(8)]
    prior = scene.given().prior
    exact = gram_about(contributions, [ONE] * 8, prior, scene.base.theta)
    found = np.array(exact, dtype=float)
    solved = np.array([solve(pool([(c, ONE)], prior, 3), 40).values for c in contributions]) / 2.0**40
    metric = sum(np.array(c.gram, dtype=float) / 2.0**80 for c in contributions)
    beyond = solved - np.array(scene.base.theta.values) / 2.0**scene.base.theta.scale
    expected = beyond @ metric @ beyond.T
    assert np.allclose(found / found[0, 0], expected / expected[0, 0], rtol=1e-9)
    assert under(scene, rule).outcome().manifest().aggregation.rule is rule


def test_entries_of_a_gram_matrix_fit_whatever_stands_in_it():
    grid = on_common_grid([[1 << 90, -(1 << 60)], [-(1 << 60), 3]])
    assert grid == [[1 << 50, -(1 << 20)], [-(1 << 20), 0]]
    assert on_common_grid([[5, -7], [-7, 9]]) == [[5, -7], [-7, 9]]


def test_what_a_federation_aggregates_by_is_named_exactly():
    with pytest.raises(InvalidValueError, match="one of"):
        Aggregation.from_document({"rule": "best", "hostile": 1, "mixing": False})
    with pytest.raises(InvalidValueError, match="mixing must be"):
        Aggregation(Rule.KRUM, 1, mixing=1)
    with pytest.raises(InvalidValueError, match="another rule to mix"):
        Aggregation(Rule.REDESCENDING, 1, mixing=True)
    with pytest.raises(InvalidValueError, match="missing keys"):
        Aggregation.from_document({"rule": "krum", "hostile": 1})


def test_a_federation_that_lost_its_voters_finds_them_again(scene):
    """An aborted round changes no reputation, so without this whoever fell below a quarter stayed there."""
    lost = replace(scene.reputations[0], trainer=replace(scene.reputations[0].trainer, a=0, b=5 * ONE))
    reputations = tuple(r if i < 4 else lost for i, r in enumerate(scene.reputations))
    few = under(replace(scene, reputations=reputations), Rule.REDESCENDING, 2)
    outcome = few.outcome()
    found = weights(outcome)
    assert max(found[4:]) <= min(found[:4]) // 2
    assert all(outcome.reputations[i].trainer.value > lost.trainer.value for i in range(4, 8))


def test_members_who_could_never_have_a_say_are_refused_with_the_configuration(scene):
    newcomer = replace(scene.reputations[0], trainer=replace(scene.reputations[0].trainer, a=0, b=0))
    with pytest.raises(InvalidValueError, match="has no say"):
        replace(scene.config, genesis_reputation=newcomer)
