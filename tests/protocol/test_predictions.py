"""A predictions payload is canonical bytes, and never taken for information."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import FixedVector, round_significant
from ledgerfed.protocol.leaf import MAX_SAMPLES, Opening
from ledgerfed.protocol.model import GlobalModel, decode_model, encode_model, genesis_model
from ledgerfed.protocol.payload import update_hash
from ledgerfed.protocol.predictions import PREDICTIONS, PredictionsUpdate
from ledgerfed.protocol.update import Exchange, payload_of, read_payload

hashes = st.binary(min_size=32, max_size=32)


@st.composite
def updates(draw):
    bits = draw(st.integers(12, 16))
    half = 1 << bits - 1
    return PredictionsUpdate(
        draw(hashes),
        draw(hashes),
        draw(st.binary(min_size=4, max_size=4)),
        draw(st.integers(0, MAX_SAMPLES)),
        round_significant(draw(st.integers(1, 1 << 62)), 24),
        draw(st.integers(-24, 40)),
        tuple(draw(st.lists(st.integers(-half, half - 1), min_size=1, max_size=9))),
        bits,
        draw(st.booleans()),
    )


def opening(update):
    digest = update_hash(payload_of(update))
    return Opening(1, 0, update.base_model, digest, update.n_samples, update.schema, bytes(32))


def read(payload, update):
    return read_payload(payload, opening(update), Exchange.PREDICTIONS)


@given(updates())
def test_an_update_comes_back_from_its_payload(update):
    payload = payload_of(update)
    assert read(payload, update) == update
    assert len(payload) == 18 + -(-update.width * update.bits // 8)


@pytest.mark.threat("N11")
@given(updates(), st.data())
def test_any_bytes_near_a_payload_are_refused_or_are_another_update(update, data):
    payload = payload_of(update)
    position = data.draw(st.integers(0, len(payload) - 1))
    changed = payload[:position] + bytes([data.draw(st.integers(0, 255))]) + payload[position + 1 :]
    try:
        found = read(changed, update)
    except InvalidValueError:
        return
    assert payload_of(found) == changed
    assert (found == update) == (changed == payload)


@pytest.mark.threat("N11")
@given(updates(), st.binary(min_size=1, max_size=5))
def test_a_payload_cut_or_extended_is_refused(update, extra):
    payload = payload_of(update)
    for torn in (payload[: -len(extra)], payload + extra):
        with pytest.raises(InvalidValueError):
            read(torn, update)


def test_a_federation_takes_no_payload_of_the_other_kind(golden):
    information = golden.update()
    predictions = PredictionsUpdate(bytes(32), bytes(32), b"made", 60, 1 << 16, 12, (1, -2, 3))
    with pytest.raises(InvalidValueError, match="not a predictions update"):
        read(payload_of(information), predictions)
    padded = payload_of(predictions) + bytes(9)
    with pytest.raises(InvalidValueError, match="not an information update"):
        read_payload(padded, opening(predictions), Exchange.INFORMATION)


@pytest.mark.parametrize(
    "change",
    [
        {"precision": 0},
        {"precision": (1 << 24) + 1},
        {"exponent": 41},
        {"exponent": -25},
        {"values": ()},
        {"values": (1 << 15,)},
        {"values": (float("nan"),)},
        {"bits": 17},
        {"family": b"ar"},
        {"drift": None},
        {"schema": b""},
        {"n_samples": -1},
    ],
)
def test_an_update_out_of_range_cannot_be_made(change):
    update = PredictionsUpdate(bytes(32), bytes(32), b"made", 60, 1 << 16, 12, (1, -2, 3))
    with pytest.raises(InvalidValueError):
        replace(update, **change)


def test_a_model_of_predictions_has_one_precision_and_its_own_bytes():
    model = genesis_model(bytes(32), 5, 7, 30, 16, PREDICTIONS)
    assert (model.theta.values, model.precision.values) == ((0,) * 5, (7,))
    data = encode_model(model)
    assert decode_model(data) == model
    assert data[4] == PREDICTIONS
    assert len(data) == 48 + 5 * 8 + 8
    with pytest.raises(InvalidValueError, match="needs 1 values of precision"):
        GlobalModel(bytes(32), 1, model.theta, FixedVector((1,) * 15, 16), PREDICTIONS)
    with pytest.raises(InvalidValueError, match="bytes"):
        decode_model(data[:4] + b"\x01" + data[5:])
