"""Whoever the seed makes hostile is refused, whoever it leaves honest is not: in every scenario."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import pytest

from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.attacks import FreeRider, SignFlip
from ledgerfed.evaluation.calibration import calibrate, report
from ledgerfed.evaluation.demo import demo_config, demo_members
from ledgerfed.evaluation.demo_scenarios import (
    NODES,
    SCENARIOS,
    TRANSIT,
    DemoScenario,
    find_scenario,
    without,
)
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.models import load_family
from ledgerfed.node.walk import LocalModel, Workbench, fit_local, prepare
from ledgerfed.protocol.manifest import Reason
from ledgerfed.series import align

PAIRS = list(permutations(range(NODES), 2))
WILD = {Reason.OUTLIER, Reason.UNSTABLE, Reason.INCONSISTENT_INFORMATION}
"""A flipped model contradicts the node's own lags and lies far from the others; a steep one explodes too."""
COPIED = {Reason.COPY, Reason.UNSTABLE, Reason.INCONSISTENT_INFORMATION}
"""Who copies a flipped model has what is wrong with it too."""
DISGUISED = {Reason.BASE_COPY, Reason.INCONSISTENT_INFORMATION}
"""The first base model knows nothing, which contradicts the lags of whoever repeats it."""
in_every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
Trained = tuple[list[Workbench], list[LocalModel]]


@lru_cache
def trained(name: str) -> Trained:
    scenario = find_scenario(name)
    members = demo_members(0, scenario)
    benches = [prepare(m.panel, scenario.windows(m.panel), scenario.basis) for m in members]
    return benches, [fit_local(b, load_family(m.family)) for b, m in zip(benches, members, strict=True)]


def judge(scenario: DemoScenario, pair: tuple[int, int], rounds: int) -> None:
    flipper, rider = pair
    attacks = {flipper: SignFlip(), rider: FreeRider(seed=flipper)}
    config = demo_config(NODES, scenario)
    for outcome in dry_rounds(config, *trained(scenario.name), attacks, rounds):
        expected = [{Reason.ADMITTED}] * NODES
        expected[flipper], expected[rider] = WILD, COPIED if outcome.round > 1 else DISGUISED
        for index, verdict in enumerate(outcome.verdicts):
            where = f"attackers {pair}, round {outcome.round}, node {index}"
            assert verdict.reason in expected[index], where


@pytest.mark.parametrize("pair", PAIRS[::11], ids=str)
def test_both_attackers_are_refused_and_no_honest_node_is(pair: tuple[int, int]) -> None:
    judge(TRANSIT, pair, rounds=3)


@in_every_scenario
def test_both_attackers_are_refused_in_every_scenario(scenario: DemoScenario) -> None:
    judge(scenario, (0, 3), rounds=2)


@pytest.mark.slow
@in_every_scenario
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_every_pair_of_attackers_is_refused_for_six_rounds(
    scenario: DemoScenario, pair: tuple[int, int]
) -> None:
    judge(scenario, pair, rounds=6)


@in_every_scenario
def test_without_attackers_everybody_is_admitted_lacking_a_modality_or_not(scenario: DemoScenario) -> None:
    assert scenario.lacking
    for outcome in dry_rounds(demo_config(NODES, scenario), *trained(scenario.name), {}, 2):
        assert all(verdict.admitted for verdict in outcome.verdicts)
        assert all(outcome.verdicts[index].weight > 0 for index in scenario.lacking)


@in_every_scenario
def test_whoever_lacks_a_modality_has_columns_that_never_stand(scenario: DemoScenario) -> None:
    benches, _ = trained(scenario.name)
    whole = scenario.load()
    for index, bench in enumerate(benches):
        lost = scenario.lacking.get(index, ())
        assert {m.name for m in whole[index].modalities} >= set(lost)
        present = dict(zip(scenario.basis.names, bench.train.present, strict=True))
        for term in scenario.basis.channels:
            if term.modality in lost:
                assert not present[term.name]
        assert not lost or not all(present.values())


@in_every_scenario
def test_the_nodes_fit_several_families(scenario: DemoScenario) -> None:
    members = demo_members(0, scenario)
    assert len(members) == NODES
    assert len({member.family for member in members}) >= 4


@in_every_scenario
def test_nobody_is_scored_or_fitted_on_the_test_window(scenario: DemoScenario) -> None:
    for panel in scenario.panels():
        windows = scenario.windows(panel)
        assert windows.holdout.stop <= windows.train.start
        assert windows.train.stop <= windows.test.start
        assert windows.test.stop <= len(panel)


def test_another_patient_in_the_ward_is_no_drift() -> None:
    health = find_scenario("health")
    for outcome in dry_rounds(demo_config(NODES, health), *trained("health"), {}, 2):
        assert outcome.drift.flagged == 0


def test_without_a_modality_a_panel_is_otherwise_the_same() -> None:
    (panel, *_) = TRANSIT.load()
    poorer = without(panel, ("weather",))
    assert {m.name for m in align(poorer).modalities} == {m.name for m in panel.modalities} - {"weather"}
    assert poorer.target is panel.target


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="no scenario 'moon'; one of transit, health, industry"):
        find_scenario("moon")


@in_every_scenario
def test_equal_inputs_give_equal_models(scenario: DemoScenario) -> None:
    config = demo_config(NODES, scenario)
    first, second = (
        dry_rounds(config, *trained(scenario.name), {}, 1)[-1].manifest().hash() for _ in range(2)
    )
    assert first == second


def test_the_seed_decides_who_is_hostile_and_which_keys_they_hold() -> None:
    hostile = {tuple(i for i, m in enumerate(demo_members(seed)) if m.attack) for seed in range(8)}
    assert len(hostile) > 1
    assert demo_members(1)[0].signer.address != demo_members(2)[0].signer.address


def test_calibration_touches_no_row_of_the_demonstration_and_finds_honest_nodes_within_the_limits() -> None:
    findings = calibrate(TRANSIT, trials=2)
    honest = {reason for who, reason in findings.verdicts if who == "honest"}
    assert honest == {"admitted"}
    assert "V8 score, lowest" in report(findings)
