"""Payloads and models are canonical bytes: what decodes encodes to itself (threats N7, N11)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import INT64_MAX, INT64_MIN, FixedVector, round_significant
from ledgerfed.protocol.leaf import MAX_SAMPLES, Opening
from ledgerfed.protocol.model import GlobalModel, decode_model, encode_model, genesis_model
from ledgerfed.protocol.payload import (
    InformationUpdate,
    decode_update,
    encode_update,
    payload_size,
    row_start,
    update_hash,
)

hashes = st.binary(min_size=32, max_size=32)
widths = st.integers(1, 6)
small_floats = st.integers(0, INT64_MAX - (1 << 40)).map(lambda value: round_significant(value, 24))


def lists(values, size):
    return st.lists(values, min_size=size, max_size=size).map(tuple)


@st.composite
def updates(draw):
    d, bits = draw(widths), draw(st.integers(12, 16))
    half = 1 << bits - 1
    upper = list(draw(lists(st.integers(-half, half - 1), d * (d + 1) // 2)))
    for i in range(d):
        upper[row_start(i, d)] = draw(st.integers(1, half - 1))
    return InformationUpdate(
        schema=draw(hashes),
        base_model=draw(hashes),
        family=draw(st.binary(min_size=4, max_size=4)),
        n_samples=draw(st.integers(0, MAX_SAMPLES)),
        s2=max(1, draw(small_floats)),
        residual=draw(small_floats),
        exponents=draw(lists(st.integers(-24, 40), d)),
        upper=tuple(upper),
        z=draw(lists(st.integers(-(1 << 15), (1 << 15) - 1), d)),
        bits=bits,
        drift=draw(st.booleans()),
    )


def opening(update):
    """The opening that binds what the payload leaves out."""
    digest = update_hash(encode_update(update))
    return Opening(1, 0, update.base_model, digest, update.n_samples, update.schema, bytes(32))


ANY_OPENING = Opening(1, 0, bytes(32), bytes(32), 60, bytes(32), bytes(32))


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
    payload = encode_update(update)
    assert decode_update(payload, opening(update)) == update
    assert len(payload) == payload_size(update.width, update.bits)


@given(models())
def test_a_model_comes_back_from_its_bytes(model):
    assert decode_model(encode_model(model)) == model


@pytest.mark.threat("N11")
@given(updates(), st.data())
def test_any_bytes_near_a_payload_are_refused_or_are_another_update(update, data):
    payload = encode_update(update)
    position = data.draw(st.integers(0, len(payload) - 1))
    other = data.draw(st.integers(0, 255))
    changed = payload[:position] + bytes([other]) + payload[position + 1 :]
    found = require_canonical(lambda b: decode_update(b, opening(update)), encode_update, changed)
    assert (found == update) == (changed == payload)


@given(models(), st.data())
def test_any_bytes_near_a_model_are_refused_or_are_another_model(model, data):
    raw = encode_model(model)
    position = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :]
    found = require_canonical(decode_model, encode_model, changed)
    assert (found == model) == (changed == raw)


@pytest.mark.threat("N11")
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"LFU2\x01\x00", b"LFU2\x01\x00\x0c\x01\x00", b"LFM1\x01\x00"]),
)
def test_any_bytes_at_all_are_refused_or_canonical(data, start):
    require_canonical(lambda b: decode_update(b, ANY_OPENING), encode_update, start + data)
    require_canonical(decode_model, encode_model, start + data)


@pytest.mark.threat("N11")
@given(updates(), st.binary(min_size=1, max_size=9))
def test_a_payload_cut_or_extended_is_refused(update, extra):
    payload = encode_update(update)
    with pytest.raises(InvalidValueError):
        decode_update(payload[: -len(extra)], opening(update))
    with pytest.raises(InvalidValueError):
        decode_update(payload + extra, opening(update))


@pytest.mark.threat("N11")
@pytest.mark.parametrize("d", [1, 2, 3, 17])
def test_no_bit_of_the_padding_may_be_set(d):
    """Widths whose fields do not end with a byte."""
    upper = [0] * (d * (d + 1) // 2)
    for i in range(d):
        upper[row_start(i, d)] = 1
    update = InformationUpdate(
        bytes(32), bytes(32), b"made", 9, 1, 1, (0,) * d, tuple(upper), (0,) * d, bits=12
    )
    payload = encode_update(update)
    padding = -(d * 23 + d * (d + 1) // 2 * 12) % 8
    assert padding
    for bit in range(padding):
        bent = payload[:-1] + bytes([payload[-1] | 1 << bit])
        with pytest.raises(InvalidValueError, match="padding"):
            decode_update(bent, opening(update))


@pytest.mark.threat("N11")
def test_a_small_float_has_one_spelling(golden):
    """s2 stands behind magic, kind, flags, bits, width and family; 2^23 could be written as 2^22 * 2^1."""
    update = replace(golden.update(), s2=1 << 23)
    payload = encode_update(update)
    assert payload[13:17] == (1 << 23).to_bytes(4, "little")
    bent = payload[:13] + (1 << 24 | 1 << 22).to_bytes(4, "little") + payload[17:]
    with pytest.raises(InvalidValueError, match="shortest"):
        decode_update(bent, opening(update))


def test_seventeen_columns_fit_300_bytes():
    """The target of issue 4; at 16 bits a mantissa they do not."""
    assert payload_size(17, 12) == 300
    assert payload_size(17, 16) == 376


def test_what_the_leaf_binds_is_not_in_the_payload(golden):
    update = golden.update()
    payload = encode_update(update)
    elsewhere = replace(update, schema=bytes(32), base_model=bytes(32), n_samples=1)
    assert encode_update(elsewhere) == payload
    assert decode_update(payload, opening(elsewhere)) == elsewhere
    assert update.schema not in payload
    assert update.base_model not in payload


def test_the_drift_flag_is_the_lowest_bit_of_the_flags_and_no_other_bit_is_taken(golden):
    calm = encode_update(replace(golden.update(), drift=False))
    fired = encode_update(replace(golden.update(), drift=True))
    assert (calm[5], fired[5]) == (0, 1)
    assert calm[:5] + calm[6:] == fired[:5] + fired[6:]
    for bit in range(1, 8):
        with pytest.raises(InvalidValueError, match="not an information update"):
            decode_update(calm[:5] + bytes([1 << bit]) + calm[6:], opening(golden.update()))


@pytest.mark.threat("N7")
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
        {"residual": (1 << 24) + 1},
        {"s2": (1 << 62) + 1},
        {"family": bytes(3)},
        {"family": "made"},
        {"drift": 1},
        {"bits": 11},
        {"bits": 17},
        {"exponents": (41, 0, 0)},
        {"exponents": (-25, 0, 0)},
        {"exponents": (0, 0)},
        {"exponents": ()},
        {"z": (0, 0)},
        {"z": (0, 0, 1 << 15)},
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
