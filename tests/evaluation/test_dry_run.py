"""Rounds without a chain decide as rounds with one do; a node may lag behind in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.datasets import load_transit
from ledgerfed.evaluation.attacks import FreeRider, SignFlip
from ledgerfed.evaluation.demo import demo_config
from ledgerfed.evaluation.demo_scenarios import TRANSIT
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.evaluation.metrics import rmse_ratio, seasonal_naive
from ledgerfed.exchange.distillation import coefficients, make_probe
from ledgerfed.models import load_family
from ledgerfed.node.walk import LocalModel, Workbench, fit_local, prepare
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.update import Exchange
from ledgerfed.series import split

NODES = 5
LATE = 2


@pytest.fixture(scope="module")
def trained() -> tuple[list[Workbench], list[LocalModel]]:
    benches = [prepare(panel, TRANSIT.windows(panel), TRANSIT.basis) for panel in load_transit()[:NODES]]
    return benches, [fit_local(bench, load_family("ar")) for bench in benches]


def config(stale_rounds: int):
    base = demo_config(NODES)
    return replace(base, gates=replace(base.gates, stale_rounds=stale_rounds, stale_discount=ONE // 2))


def test_a_node_that_trains_on_the_model_of_two_rounds_ago_counts_a_quarter(trained) -> None:
    punctual = dry_rounds(config(2), *trained, {}, 4)
    lagging = dry_rounds(config(2), *trained, {}, 4, behind={LATE: 2})
    for number, (ours, theirs) in enumerate(zip(punctual, lagging, strict=True), start=1):
        age = min(2, number - 1)  # the first round has the genesis model alone
        verdict = theirs.verdicts[LATE]
        assert verdict.admitted
        assert dict(verdict.measures)["staleness"] == age
        assert all(dict(v.measures)["staleness"] == 0 for v in theirs.verdicts if v.index != LATE)
        if number <= 2:
            assert verdict.weight == pytest.approx(ours.verdicts[LATE].weight / 2**age, rel=0.05, abs=2)


def test_a_node_that_lags_further_than_allowed_is_refused_and_its_federation_goes_on(trained) -> None:
    outcomes = dry_rounds(config(1), *trained, {}, 3, behind={LATE: 2})
    assert [o.verdicts[LATE].reason for o in outcomes] == [
        Reason.ADMITTED,
        Reason.ADMITTED,
        Reason.WRONG_BASE,
    ]
    assert all(v.admitted for v in outcomes[-1].verdicts if v.index != LATE)


def test_a_federation_of_predictions_refuses_both_attackers_and_its_student_beats_naive(trained) -> None:
    panels = load_transit()
    public = prepare(panels[10], split(panels[10], train=120), TRANSIT.basis)
    probe = make_probe(public.train, burn=20)
    families = ("ar", "arma", "local_level", "arx", "ar")
    benches = [replace(bench, probe=probe) for bench in trained[0]]
    locals_ = [fit_local(bench, load_family(f)) for bench, f in zip(benches, families, strict=True)]
    rules = replace(
        config(2), basis=probe.to_bytes(), width=probe.width, exchange=Exchange.PREDICTIONS, min_updates=3
    )
    outcomes = dry_rounds(rules, benches, locals_, {1: SignFlip(), 4: FreeRider(1)}, 2)
    for outcome, copied in zip(outcomes, (Reason.BASE_COPY, Reason.COPY), strict=True):
        expected = [Reason.ADMITTED, Reason.OUTLIER, Reason.ADMITTED, Reason.ADMITTED, copied]
        assert [verdict.reason for verdict in outcome.verdicts] == expected
    theta, _ = coefficients(outcomes[-1].model, probe)
    for bench in (benches[0], benches[2], benches[3]):
        X, y = bench.holdout.sample()
        naive = seasonal_naive(bench.holdout.y)[bench.holdout.rows]
        assert rmse_ratio(y, X @ theta, naive) < 0.9
