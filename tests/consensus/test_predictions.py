"""A federation that exchanges predictions decides by the same rules; what does not apply is not asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.consensus import PastUpdate
from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.distillation import quantise_predictions
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Manifest, Reason
from ledgerfed.protocol.predictions import PREDICTIONS
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.update import Exchange

M = 12
PROBE = canonical_json({"burn": 2, "rows": [[k, 1] for k in range(M + 2)]})
TRUTH = np.sin(np.arange(M))


@pytest.fixture(scope="module")
def predicting(scene_of):
    """Eight nodes that predict the truth with errors of the size that they claim."""
    scene = scene_of()
    config = replace(
        scene.config, basis=PROBE, width=M, exchange=Exchange.PREDICTIONS, prior=1 << 10, theta_scale=30
    )
    scene = replace(scene, config=config, base=config.genesis_model(), payloads={}, bound={})
    for index in range(8):
        noise = 0.2 * np.random.default_rng([2, index]).standard_normal(M)
        scene = scene.send(index, said(scene, TRUTH + noise))
    return scene


def said(scene, values, precision=25.0, n=120):
    family, base = b"made", scene.base.hash()
    return quantise_predictions(
        np.asarray(values), precision, n=n, schema=scene.config.schema, base_model=base, family=family
    )


def reason(scene, index=3):
    """The verdict on `index`, after a check that every other node is admitted."""
    verdicts = scene.outcome().verdicts
    assert all(v.admitted for v in verdicts if v.index != index), verdicts
    return verdicts[index].reason


def test_the_model_is_the_weighted_mean_and_close_to_the_truth(predicting):
    outcome = predicting.outcome()
    assert all(v.admitted and v.weight > 0 for v in outcome.verdicts)
    weights = np.array([v.weight / ONE for v in outcome.verdicts]) * 25
    sent = np.array([np.ldexp(predicting.update(i).values, -predicting.update(i).exponent) for i in range(8)])
    prior = predicting.config.prior / 2**predicting.config.precision_scale
    expected = weights @ sent / (weights.sum() + prior)
    found = np.ldexp(np.array(outcome.model.theta.values, dtype=float), -30)
    assert found == pytest.approx(expected, abs=2e-9)
    assert np.abs(found - TRUTH).max() < 0.25
    assert outcome.model.kind == PREDICTIONS
    assert len(outcome.model.precision.values) == 1
    manifest = outcome.manifest()
    assert manifest.stabilised is None
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_predictions_claim_no_residual_and_are_no_autoregression(predicting):
    """Values that grow from one to the next would be an explosive model; here they are what they are."""
    measures = dict(predicting.outcome().verdicts[0].measures)
    assert "noise" not in measures
    assert {"base_distance", "distance", "largest_coefficient", "staleness"} <= set(measures)


@pytest.mark.threat("N10")
def test_v7_predictions_of_another_truth_are_an_outlier(predicting):
    assert reason(predicting.send(3, said(predicting, -2.5 * TRUTH))) is Reason.OUTLIER
    loud = said(predicting, -2.5 * TRUTH, precision=25_000.0)
    assert reason(predicting.send(3, loud)) is Reason.OUTLIER


@pytest.mark.threat("N16")
def test_v7_a_thousandfold_claim_moves_the_model_little(predicting):
    """The cap on claimed information is the same rule as for coefficients."""
    lie = said(predicting, TRUTH + 0.4, precision=25_000.0)
    before, after = predicting.outcome().model, predicting.send(3, lie).outcome().model
    shift = np.abs(np.array(before.theta.values) - np.array(after.theta.values)).max() / 2**30
    assert shift < 0.15


def test_v5_predictions_beyond_the_norm_bound_are_out_of_range(predicting):
    assert reason(predicting.send(3, said(predicting, TRUTH + 9))) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize(("n", "expected"), [(5, Reason.TOO_FEW_SAMPLES), (6, Reason.ADMITTED)])
def test_v5_samples_are_counted_by_the_columns_of_the_basis(predicting, n, expected):
    """The probe's rows have two columns, whatever the number of predictions."""
    assert reason(predicting.send(3, replace(predicting.update(3), n_samples=n))) is expected


@pytest.mark.threat("N4")
def test_v6_the_base_in_disguise_is_refused(predicting):
    base = predicting.outcome().model
    later = replace(predicting, base=base)
    for index in range(8):
        later = later.send(index, replace(predicting.update(index), base_model=base.hash()))
    theta = np.ldexp(np.array(base.theta.values, dtype=float), -30)
    assert reason(later.send(3, said(later, theta + 0.01))) is Reason.BASE_COPY


@pytest.mark.threat("N3")
def test_v6_a_copy_scaled_away_from_the_base_is_refused(predicting):
    update = predicting.update(4)
    past = PastUpdate(4, 4, update)
    for copied in (update, replace(update, exponent=update.exponent + 1), replace(update, family=b"copy")):
        assert reason(replace(predicting.send(3, copied), history=(past,))) is Reason.COPY


def test_v6_with_no_least_distance_who_says_what_the_base_says_is_still_decided_on(predicting):
    """No direction leaves the base here; the round must be decided all the same."""
    gates = replace(predicting.config.gates, base_distance=0)
    scene = replace(predicting, config=replace(predicting.config, gates=gates))
    silent = said(scene, np.zeros(M))
    assert scene.send(3, silent).outcome().verdicts[3].reason in (Reason.ADMITTED, Reason.OUTLIER)


def test_v4_another_length_and_another_kind_are_refused(predicting, scene):
    assert reason(predicting.send(3, said(predicting, TRUTH[:-1]))) is Reason.WRONG_SCHEMA
    assert reason(predicting.send(3, scene.payloads[3])) is Reason.UNDECODABLE
    assert reason(scene.send(3, predicting.payloads[3])) is Reason.UNDECODABLE


def test_the_model_of_one_kind_is_no_base_for_the_other(predicting, scene):
    given = predicting.given()
    with pytest.raises(InvalidValueError, match="another basis"):
        replace(given, base=replace(scene.base, schema=predicting.config.schema))


def test_drift_and_staleness_count_here_too(predicting):
    old = keccak(b"old")
    late = replace(predicting.update(3), base_model=old, drift=True)
    scene = replace(predicting.send(3, late), earlier=(old,))
    verdict = scene.outcome().verdicts[3]
    assert dict(verdict.measures)["staleness"] == 1
    assert verdict.weight * 2 == pytest.approx(predicting.outcome().verdicts[3].weight, abs=2)
    assert scene.outcome().drift.flagged == 1


def test_the_configuration_says_what_is_exchanged_and_reads_the_probe(predicting):
    config = predicting.config
    assert FederationConfig.from_bytes(config.to_bytes()) == config
    assert (config.lags, config.columns) == ((), 2)
    for probe in (
        {"burn": 2, "rows": [[1, 1]] * (M + 1)},
        {"burn": 2, "rows": [[1, 1]] * (M + 1) + [[1]]},
        {"burn": 2},
        {"rows": [[1, 1]] * (M + 2)},
    ):
        with pytest.raises(InvalidValueError, match=r"probe|rows"):
            replace(config, basis=canonical_json(probe))
    with pytest.raises(InvalidValueError, match="exchange"):
        replace(config, exchange="parameters")
