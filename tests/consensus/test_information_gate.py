"""Gate V5 on what an update claims: information that its own n, s2 and lags do not allow is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.aggregation.information import expand
from ledgerfed.consensus.claims import Claims, are_consistent, claims_of
from ledgerfed.exchange import Information, dequantise, quantise
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.score import ONE

LIAR = 3


@pytest.fixture(scope="module")
def strict(scene):
    """The scene with limits as tight as the demonstration's; no other gate stands in the way."""
    gates = replace(
        scene.config.gates,
        moment_band=8 * ONE,
        lag_spread=ONE // 2,
        norm_bound=1 << 40,
        root_bound=1 << 40,
        outlier_factor=1 << 40,
    )
    return replace(scene, config=replace(scene.config, gates=gates))


def carrying(update: InformationUpdate, info: Information) -> InformationUpdate:
    return quantise(info, schema=update.schema, base_model=update.base_model, family=update.family, bits=16)


def shaped(update: InformationUpdate, precision: np.ndarray) -> InformationUpdate:
    """The update with another R'R, about its own coefficients."""
    info = dequantise(update)
    R = np.linalg.cholesky(precision).T
    return carrying(update, replace(info, R=R, z=R @ info.theta()))


def judged(scene, update: InformationUpdate) -> Reason:
    outcome = scene.send(LIAR, update).outcome()
    assert all(v.admitted for v in outcome.verdicts if v.index != LIAR)
    return outcome.verdicts[LIAR].reason


def test_honest_claims_are_consistent_and_the_verdict_shows_them(strict):
    for verdict in strict.outcome().verdicts:
        measures = dict(verdict.measures)
        assert verdict.admitted
        assert measures["lag_spread"] < ONE // 4
        assert abs(measures["moment_lowest"] - ONE) < ONE // 32  # the intercept


def test_the_claims_are_those_of_floating_point(strict):
    update = strict.update(LIAR)
    info = dequantise(update)
    found = claims_of(update, expand(update), strict.config.lags)
    precision, moment = info.precision(), info.eta()
    assert np.array(found.moments) / ONE == pytest.approx(np.diag(precision) * info.s2 / info.n, abs=2 / ONE)
    energy = float(info.z @ info.z) + info.residual
    variances = [precision[0, 0], precision[1, 1], energy]
    gaps = [
        (max(variances) - min(variances)) / 2,
        abs(moment[0] - precision[0, 1]),
    ]
    assert found.spread / ONE == pytest.approx(max(gaps) / min(variances), abs=2 / ONE)


@pytest.mark.threat("N16")
@pytest.mark.parametrize("times", [1.2, 2, 10, 10**6])
def test_v5_n16_more_samples_than_the_information_holds_are_refused(strict, times):
    update = strict.update(LIAR)
    samples = round(times * update.n_samples)
    boast = replace(update, n_samples=samples, residual=samples << 16)
    assert judged(strict, boast) is Reason.INCONSISTENT_INFORMATION


@pytest.mark.threat("N16")
@pytest.mark.parametrize("doublings", [-12, -4, -1, 1, 4])
def test_v5_n16_information_that_its_samples_cannot_hold_is_refused(strict, doublings):
    """R and z scaled alone: a claim of 4^doublings times the precision, or of next to none."""
    update = strict.update(LIAR)
    exponents = tuple(e - doublings for e in update.exponents)
    assert judged(strict, replace(update, exponents=exponents)) is Reason.INCONSISTENT_INFORMATION


@pytest.mark.parametrize("halvings", [2, 3, 5])
def test_v5_noise_beyond_the_targets_own_variance_is_refused(strict, halvings):
    """A claim of next to nothing that fits n and s2: the target would vary more than its own lags."""
    update = strict.update(LIAR)
    timid = replace(
        update,
        s2=update.s2 << 2 * halvings,
        exponents=tuple(e + halvings for e in update.exponents),
    )
    assert judged(strict, timid) is Reason.INCONSISTENT_INFORMATION


@pytest.mark.threat("N16")
@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, 1), (1, -1, 0), (1, 1, -1)])
@pytest.mark.parametrize("times", [10, 1000])
def test_v5_n16_information_inflated_in_one_direction_is_refused(strict, direction, times):
    update = strict.update(LIAR)
    v = np.array(direction) / np.linalg.norm(direction)
    precision = dequantise(update).precision()
    bent = precision + (times - 1) * float(v @ precision @ v) * np.outer(v, v)
    assert judged(strict, shaped(update, bent)) is Reason.INCONSISTENT_INFORMATION


def test_v5_a_square_root_of_lags_that_know_nothing_of_each_other_is_refused(strict):
    """Every column claims what it may; together they claim more than collinear lags can say."""
    update = strict.update(LIAR)
    alone = np.diag(np.diag(dequantise(update).precision()))
    assert judged(strict, shaped(update, alone)) is Reason.INCONSISTENT_INFORMATION


@pytest.mark.threat("N10")
@pytest.mark.parametrize("factor", [-2.5, -1.0, 2.5, 10.0])
def test_v5_n10_coefficients_that_its_own_lags_contradict_are_refused(strict, factor):
    update = strict.update(LIAR)
    info = dequantise(update)
    bent = carrying(update, replace(info, z=factor * info.z))
    assert judged(strict, bent) is Reason.INCONSISTENT_INFORMATION


@pytest.mark.threat("N16")
def test_v5_whoever_counts_every_row_twice_is_consistent_and_meets_the_caps(strict):
    update = strict.update(LIAR)
    info = dequantise(update)
    root = float(np.sqrt(2))
    twice = replace(info, n=2 * info.n, R=root * info.R, z=root * info.z, residual=2 * info.residual)
    assert judged(strict, carrying(update, twice)) is Reason.ADMITTED


@pytest.fixture(scope="module")
def wide(scene):
    """A configuration of two lags, a channel, a weekday and the intercept."""
    basis = canonical_json(
        {
            "target": {"name": "y", "lags": [1, 2]},
            "channels": [{"lag": 1}],
            "calendar": ["weekday:5"],
            "intercept": True,
        }
    )
    gates = replace(scene.config.gates, moment_band=4 * ONE, lag_spread=ONE // 2)
    return replace(scene.config, basis=basis, width=5, gates=gates)


@pytest.mark.parametrize(
    ("column", "moment", "expected"),
    [
        (0, 4.0, True),
        (0, 4.01, False),
        (1, 0.25, True),
        (1, 0.24, False),
        (2, 0.0, True),  # a missing modality
        (2, 4.0, True),
        (2, 4.01, False),
        (3, 0.0, True),
        (3, 1.0, True),
        (3, 1.1, False),
        (4, 0.95, True),
        (4, 0.9, False),
        (4, 1.05, True),
        (4, 1.1, False),
    ],
)
def test_v5_each_column_claims_what_it_can_hold(wide, column, moment, expected):
    moments = [ONE, ONE, ONE, ONE // 7, ONE]
    moments[column] = round(moment * ONE)
    assert are_consistent(Claims(tuple(moments), 0), wide) == expected


def test_v5_a_basis_without_intercept_or_calendar_asks_for_neither(wide):
    bare = replace(wide, basis=canonical_json({"target": {"name": "y", "lags": [1]}, "intercept": False}))
    assert are_consistent(Claims((ONE, 0, 0, 3 * ONE, 3 * ONE), 0), bare)


def test_v5_the_spread_of_the_autocovariances_has_its_limit(wide):
    ones = (ONE, ONE, ONE, 0, ONE)
    assert are_consistent(Claims(ones, ONE // 2), wide)
    assert not are_consistent(Claims(ones, ONE // 2 + 1), wide)


def test_a_basis_without_lags_states_no_autocovariance(strict):
    update = strict.update(LIAR)
    assert claims_of(update, expand(update), ()).spread == 0
