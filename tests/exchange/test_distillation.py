"""A probe is pinned by its hash, and a student learns from predictions what their model knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import Basis, Design, model_to_precision
from ledgerfed.exchange.distillation import (
    Probe,
    as_information,
    coefficients,
    make_probe,
    predictions_of,
    quantise_predictions,
    read_schema,
    student,
)
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.predictions import PREDICTIONS

BASIS = Basis("load", "MW", 3600, (1, 2))
IDS = {"n": 60, "schema": bytes(32), "base_model": bytes(32), "family": b"made"}
THETA = np.array([0.5, -0.3, 0.2])


def public(n: int = 50) -> Design:
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.standard_normal((n, 2)), np.ones(n)])
    times = np.datetime64("2020-01-06T00:00:00", "s") + 3600 * np.arange(n)
    return Design(BASIS, times, X, X @ THETA + 0.1 * rng.standard_normal(n), np.ones(n, dtype=bool))


@pytest.fixture(scope="module")
def probe() -> Probe:
    return make_probe(public(), burn=10)


def test_a_probe_is_the_series_on_its_grid_and_comes_back_from_its_document(probe) -> None:
    design = probe.design()
    assert np.abs(design.X - public().X).max() <= 2.0**-13
    assert np.abs(design.y - public().y).max() <= 2.0**-13
    assert (design.times == public().times).all()
    assert design.rows.tolist() == [False] * 10 + [True] * 40
    assert probe.width == 40
    assert Probe.from_document(probe.document()) == probe
    assert read_schema(probe.to_bytes()) == (BASIS, probe)
    assert read_schema(canonical_json(BASIS.document())) == (BASIS, None)


def test_every_number_of_a_probe_is_under_its_hash(probe) -> None:
    others = [
        replace(probe, burn=11),
        replace(probe, start=probe.start + 1),
        replace(probe, target=(probe.target[0] + 1, *probe.target[1:])),
        replace(probe, rows=((probe.rows[0][0] + 1, *probe.rows[0][1:]), *probe.rows[1:])),
        replace(probe, basis=replace(BASIS, unit="kW")),
    ]
    assert len({probe.schema, *(other.schema for other in others)}) == 6


def test_rows_with_a_gap_make_no_probe() -> None:
    holed = public()
    rows = holed.rows.copy()
    rows[20] = False
    with pytest.raises(InvalidValueError, match="without a gap"):
        make_probe(replace(holed, rows=rows), burn=5)


@pytest.mark.parametrize(
    "change", [{"burn": 49}, {"burn": -1}, {"scale": 31}, {"target": (1,)}, {"rows": ((1, 2),) * 50}]
)
def test_a_probe_that_cannot_be_is_refused(probe, change) -> None:
    with pytest.raises(InvalidValueError):
        replace(probe, **change)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.integers(12, 16))
def test_predictions_keep_their_bits_of_the_largest(values, bits) -> None:
    given_ = np.array(values)
    update = quantise_predictions(given_, 2.5, **IDS, bits=bits)
    step = max(np.abs(given_).max() * 2.0 ** (2 - bits), 2.0**-40)
    assert np.abs(predictions_of(update) - given_).max() <= step / 2
    assert update.precision == 5 << 15


def test_a_prediction_that_would_round_up_beyond_its_bits_gets_a_smaller_exponent() -> None:
    update = quantise_predictions(np.array([2047.6, 0.0]), 1.0, **IDS, bits=12)
    assert (update.exponent, update.values) == (-1, (1024, 0))


@pytest.mark.parametrize(
    ("values", "precision"), [([np.nan], 1.0), ([np.inf], 1.0), ([1.0], 0.0), ([1.0], np.inf), ([1e12], 1.0)]
)
def test_what_no_payload_can_hold_is_refused(values, precision) -> None:
    with pytest.raises(InvalidValueError):
        quantise_predictions(np.array(values), precision, **IDS)


def test_a_student_of_a_linear_teacher_is_its_teacher(probe) -> None:
    X, _ = probe.design().sample()
    assert student(X, X @ THETA) == pytest.approx(THETA, abs=1e-3)
    info = as_information(quantise_predictions(X @ THETA, 3.0, **IDS), probe)
    assert info.theta() == pytest.approx(THETA, abs=1e-3)
    assert info.precision() == pytest.approx(3.0 * X.T @ X, rel=1e-3, abs=0.01)


def test_a_model_of_predictions_has_the_coefficients_of_its_student(probe) -> None:
    X, _ = probe.design().sample()
    values = FixedVector(tuple(round(float(v) * 2**30) for v in X @ THETA), 30)
    model = GlobalModel(probe.schema, 3, values, FixedVector((5 << 16,), 16), PREDICTIONS)
    theta, precision = coefficients(model, probe)
    assert theta == pytest.approx(THETA, abs=1e-3)
    assert precision == pytest.approx(5.0 * X.T @ X, rel=1e-3, abs=0.01)
    with pytest.raises(InvalidValueError, match="without their probe"):
        coefficients(model, None)
    with pytest.raises(InvalidValueError, match="no precision matrix"):
        model_to_precision(model)
