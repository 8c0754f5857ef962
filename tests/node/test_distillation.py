"""A real federation that exchanges predictions: different families, one of them hostile, audited as any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ledgerfed.audit import TrustInputs, verify_bundle, write_bundle
from ledgerfed.cli.history import read_history
from ledgerfed.evaluation.attacks import SignFlip
from ledgerfed.exchange.distillation import coefficients
from ledgerfed.protocol.predictions import PREDICTIONS
from ledgerfed.protocol.update import Exchange

HOSTILE = 1


def test_predictions_go_through_the_whole_ledgered_round_and_a_hostile_node_is_refused(
    new_world, probe, tmp_path
) -> None:
    config = {"basis": probe.to_bytes(), "width": probe.width, "exchange": Exchange.PREDICTIONS}
    families = ("arma", "local_level", "ar", "arx", "ar")
    world = new_world(config=config, families=families, updates={HOSTILE: SignFlip()})
    world.benches = tuple(replace(bench, probe=probe) for bench in world.benches)
    world.start()
    world.run(2)
    world.assert_one_history()
    for number in (1, 2):
        assert world.reasons(number) == ["admitted", "V7:outlier", "admitted", "admitted"]
    model = world.agents[0].base_model()
    assert (model.kind, model.width, model.schema) == (PREDICTIONS, probe.width, probe.schema)

    theta, _ = coefficients(model, probe)
    bench = world.benches[0]
    X, y = bench.holdout.sample()
    assert np.mean((y - X @ theta) ** 2) < 0.9 * np.mean(y**2), "the student knows the process"
    personal = world.agents[0].personal_model()
    assert np.mean((y - X @ personal) ** 2) < 0.9 * np.mean(y**2)

    ledger = world.gateway()
    history = read_history(ledger, world.rpc, world.deployed_in, world.store(0).blobs.get)
    write_bundle(history, tmp_path / "bundle.zip")
    trust = TrustInputs(config_hash=world.config.hash(), final_transcript=ledger.transcript())
    report = verify_bundle(tmp_path / "bundle.zip", trust)
    assert report.passed, report.verdict
    assert report.rounds[1].drift.of == 3
