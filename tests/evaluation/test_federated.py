"""What is evaluated is what the protocol does: the same integers, the same caps, the same centre."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_case import case_of, panel, trained

from ledgerfed.evaluation.demo import demo_config
from ledgerfed.evaluation.demo_scenarios import SCENARIOS, DemoScenario
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.evaluation.guarantees import CLAIMS, Exactness, Harm, exactness, harm
from ledgerfed.evaluation.methods.federated import combine, fuse_exactly
from ledgerfed.evaluation.scenarios import find_case
from ledgerfed.evaluation.targets import exchange_targets
from ledgerfed.evaluation.wire import wire_bytes
from ledgerfed.exchange import model_to_precision, model_to_theta
from ledgerfed.models import load_family
from ledgerfed.node.walk import fit_local, inform, make_update, notices_drift, prepare
from ledgerfed.protocol.score import ONE


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_honest_updates_make_the_model_that_the_protocol_decides_on(scenario: DemoScenario) -> None:
    benches = [prepare(p, scenario.windows(p), scenario.basis) for p in scenario.panels()]
    families = [load_family(scenario.families[i % len(scenario.families)]) for i in range(len(benches))]
    locals_ = [fit_local(bench, family) for bench, family in zip(benches, families, strict=True)]
    config = demo_config(len(benches), scenario)
    unscored = replace(config.gates, regret_scale=1 << 32)  # scores, too, are left out of the comparison
    config = replace(config, gates=unscored)
    base, declared = config.genesis_model(), False
    for outcome in dry_rounds(config, benches, locals_, {}, 2):
        forgets = [declared or notices_drift(bench, base) for bench in benches]
        nodes = list(zip(benches, locals_, forgets, strict=True))
        admitted = [n for n, verdict in zip(nodes, outcome.verdicts, strict=True) if verdict.admitted]
        theta, weights = combine([make_update(b, local, base, forgets=f) for b, local, f in admitted])
        decided = [verdict.weight for verdict in outcome.verdicts if verdict.admitted]
        np.testing.assert_allclose(weights, decided, rtol=0, atol=2)  # the share by regret is rounded down
        np.testing.assert_allclose(theta, model_to_theta(outcome.model), rtol=0, atol=1e-5)
        fused = fuse_exactly([inform(b, local, base, forgets=f) for b, local, f in admitted])
        np.testing.assert_allclose(fused.theta, theta, rtol=0, atol=1e-9)
        expected = model_to_precision(outcome.model) / outcome.model.contributors
        np.testing.assert_allclose(fused.precision_mean, expected, rtol=0, atol=1e-4 * expected.max())
        base, declared = outcome.model, outcome.drift.declared


def test_a_node_with_much_data_and_one_with_odd_data_lose_weight() -> None:
    nodes = trained(case_of(tuple(panel(seed) for seed in range(6))))
    messages = [node.information for node in nodes]
    assert max(fuse_exactly(messages).weights) == ONE
    R = messages[0].R
    odd = type(messages[0])(messages[0].n, messages[0].s2, R, messages[0].z - 60.0, messages[0].residual)
    assert fuse_exactly([odd, *messages[1:]]).weights[0] < ONE // 10
    loud = type(odd)(odd.n, odd.s2 / 100, 10 * R, 10 * messages[0].z, odd.residual)
    assert fuse_exactly([loud, *messages[1:]]).weights[0] < ONE // 4


@pytest.mark.parametrize("name", ["transit-60", "dryer-power"])
def test_one_round_is_the_centralized_fit_and_integers_cost_next_to_nothing(name: str) -> None:
    found = exactness(find_case(name))
    assert found.difference <= 1e-9
    assert found.rmse_cost <= 1e-3
    assert found.width == find_case(name).basis.width


def test_one_liar_moves_the_honest_little_and_a_plain_sum_a_lot() -> None:
    found = harm(find_case("transit-60"))
    assert [h.claim for h in found] == list(CLAIMS)
    assert all(h.robust <= 1.02 for h in found)
    assert found[0].plain > 1.001
    assert found[-1].plain > 2
    assert found[0].plain < found[1].plain < found[2].plain


def test_the_lines_about_the_exchange_hold_what_was_measured_against_the_limits() -> None:
    exact = (Exactness("a", 17, 1e-10, 2e-3, 301), Exactness("b", 6, 1e-8, 1e-4, 999))
    liars = tuple(Harm("a", 20, claim, 9.0, robust) for claim, robust in ((1, 5.0), (1_000, 1.021)))
    lines = {target.name: target.met for target in exchange_targets(exact, liars)}
    assert lines == {
        "a: global - centralized weighted fit": True,
        "a: RMSE that the integers cost": False,
        "a: payload bytes, 17 columns": False,
        "b: global - centralized weighted fit": False,
        "b: RMSE that the integers cost": True,
        "a: one of 20 claims 1000 x, honest RMSE": False,
    }


def test_the_wire_carries_the_payload_and_a_fixed_envelope() -> None:
    assert wire_bytes(300) - wire_bytes(0) == 300
    assert 300 < wire_bytes(0) < 3_000
