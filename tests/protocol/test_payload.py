"""Payloads and models are canonical bytes: what decodes encodes to itself (threats N7, N11)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import INT64_MAX, INT64_MIN, FixedVector
from ledgerfed.protocol.leaf import MAX_SAMPLES
from ledgerfed.protocol.model import GlobalModel, decode_model, encode_model, genesis_model
from ledgerfed.protocol.payload import (
    InformationUpdate,
    decode_update,
    encode_update,
    row_start,
    update_hash,
)

hashes = st.binary(min_size=32, max_size=32)
widths = st.integers(1, 6)


def lists(values, size):
    return st.lists(values, min_size=size, max_size=size).map(tuple)


@st.composite
def updates(draw):
    d = draw(widths)
    upper = list(draw(lists(st.integers(-(1 << 15), (1 << 15) - 1), d * (d + 1) // 2)))
    for i in range(d):
        upper[row_start(i, d)] = draw(st.integers(1, (1 << 15) - 1))
    return InformationUpdate(
        schema=draw(hashes),
        base_model=draw(hashes),
        family=draw(hashes),
        n_samples=draw(st.integers(0, MAX_SAMPLES)),
        s2=draw(st.integers(1, INT64_MAX)),
        residual=draw(st.integers(0, INT64_MAX)),
        exponents=draw(lists(st.integers(-24, 40), d)),
        upper=tuple(upper),
        z=draw(lists(st.integers(-(1 << 31), (1 << 31) - 1), d)),
    )


@st.composite
def models(draw):
    d = draw(widths)
    numbers = st.integers(INT64_MIN, INT64_MAX)
    theta = FixedVector(draw(lists(numbers, d)), draw(st.integers(0, 62)))
    precision = FixedVector(draw(lists(numbers, d * (d + 1) // 2)), draw(st.integers(0, 62)))
    return GlobalModel(draw(hashes), draw(st.integers(0, (1 << 32) - 1)), theta, precision)


def require_canonical(decode, encode, data):
    try:
        value = decode(data)
    except InvalidValueError:
        return None
    assert encode(value) == data
    return value


@given(updates())
def test_an_update_comes_back_from_its_payload(update):
    assert decode_update(encode_update(update)) == update


@given(models())
def test_a_model_comes_back_from_its_bytes(model):
    assert decode_model(encode_model(model)) == model


@given(updates(), st.data())
def test_any_bytes_near_a_payload_are_refused_or_are_another_update(update, data):
    payload = encode_update(update)
    position = data.draw(st.integers(0, len(payload) - 1))
    other = data.draw(st.integers(0, 255))
    changed = payload[:position] + bytes([other]) + payload[position + 1 :]
    found = require_canonical(decode_update, encode_update, changed)
    assert (found == update) == (changed == payload)


@given(models(), st.data())
def test_any_bytes_near_a_model_are_refused_or_are_another_model(model, data):
    raw = encode_model(model)
    position = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :]
    found = require_canonical(decode_model, encode_model, changed)
    assert (found == model) == (changed == raw)


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"LFU1\x01\x00", b"LFU1\x01\x00\x01\x00", b"LFM1\x01\x00"])
)
def test_any_bytes_at_all_are_refused_or_canonical(data, start):
    require_canonical(decode_update, encode_update, start + data)
    require_canonical(decode_model, encode_model, start + data)


@given(updates(), st.binary(min_size=1, max_size=9))
def test_a_payload_cut_or_extended_is_refused(update, extra):
    payload = encode_update(update)
    with pytest.raises(InvalidValueError):
        decode_update(payload[: -len(extra)])
    with pytest.raises(InvalidValueError):
        decode_update(payload + extra)


def test_flipping_any_byte_of_a_payload_changes_its_hash(golden):
    payload = encode_update(golden.update())
    hashes_found = {
        update_hash(payload[:k] + bytes([payload[k] ^ 1]) + payload[k + 1 :]) for k in range(len(payload))
    }
    assert len(hashes_found) == len(payload)
    assert update_hash(payload) not in hashes_found


@pytest.mark.parametrize(
    "change",
    [
        {"schema": b"short"},
        {"base_model": "0x"},
        {"n_samples": -1},
        {"n_samples": MAX_SAMPLES + 1},
        {"s2": 0},
        {"s2": 1 << 63},
        {"residual": -1},
        {"residual": 1 << 63},
        {"exponents": (41, 0, 0)},
        {"exponents": (-25, 0, 0)},
        {"exponents": (0, 0)},
        {"exponents": ()},
        {"z": (0, 0)},
        {"z": (0, 0, 1 << 31)},
        {"z": (0, 0, float("nan"))},
        {"upper": (1, 0, 0, 1, 0)},
        {"upper": (0, 0, 0, 1, 0, 1)},
        {"upper": (1, 0, 0, -1, 0, 1)},
        {"upper": (1, 1 << 15, 0, 1, 0, 1)},
        {"upper": (1, float("inf"), 0, 1, 0, 1)},
        {"upper": (1, True, 0, 1, 0, 1)},
    ],
)
def test_an_update_out_of_range_cannot_be_made(golden, change):
    with pytest.raises(InvalidValueError):
        replace(golden.update(), **change)


def test_the_genesis_model_knows_nothing():
    model = genesis_model(bytes(32), 3, 7, 40, 30)
    assert model.theta.values == (0, 0, 0)
    assert model.precision.values == (7, 0, 0, 7, 0, 7)
    assert model.contributors == 0
