from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import (
    Information,
    dequantise,
    family_tag,
    information,
    model_to_precision,
    model_to_theta,
    quantise,
)
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import decode_update, encode_update

IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": family_tag("ar")}


def make(R: list[list[float]], z: list[float], s2: float = 1.0, residual: float = 10.0) -> Information:
    return Information(20, s2, np.array(R), np.array(z), residual)


@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 12),
    magnitude=st.integers(-12, 12),
    bits=st.integers(12, 16),
)
def test_each_row_keeps_its_bits_of_the_largest_value(seed: int, d: int, magnitude: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    R = np.triu(rng.normal(size=(d, d))) * 2.0**magnitude
    R[np.diag_indices(d)] = np.abs(R[np.diag_indices(d)]) + np.abs(R).max(axis=1)
    z = rng.normal(size=d) * 2.0**magnitude
    info = Information(100, 0.37, R, z, 88.0)
    back = dequantise(quantise(info, **IDS, bits=bits))
    # a mantissa has a sign and bits - 1 more; where z is beyond 2^(16 - bits) times the row, it decides
    largest = np.maximum(np.abs(R).max(axis=1), np.abs(z) * 2.0 ** (bits - 16))
    bound = largest * 2.0 ** (1 - bits)
    assert (np.abs(back.R - R) <= bound[:, None]).all()
    assert (np.abs(back.z - z) <= bound).all()
    assert back.s2 == pytest.approx(info.s2, rel=2.0**-24)
    assert (back.n, back.residual) == (100, 88.0)


@given(seed=st.integers(0, 2**32 - 1))
def test_what_was_quantised_once_is_exact_ever_after(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 8)), rng.normal(size=60)
    update = quantise(information(X, y, y, 1.0), **IDS)
    assert quantise(dequantise(update), **IDS) == update
    opening = Opening(1, 0, IDS["base_model"], bytes(32), 60, IDS["schema"], bytes(32))
    assert decode_update(encode_update(update), opening) == update


def test_ties_go_to_the_even_mantissa() -> None:
    # the 1024 pins the exponent of the row at 0
    update = quantise(make([[1024.0, 0.5, 1.5], [0, 1, 0], [0, 0, 1]], [2.5, 0, 0]), **IDS)
    assert update.exponents[0] == 0
    assert update.row(0) == (1024, 0, 2)
    assert update.z[0] == 2


def test_a_row_that_would_round_up_beyond_its_bits_gets_a_smaller_exponent() -> None:
    update = quantise(make([[32767.6]], [0.0]), **IDS, bits=16)
    assert (update.exponents, update.upper) == ((-1,), (16384,))
    update = quantise(make([[2047.6]], [0.0]), **IDS)
    assert (update.exponents, update.upper) == ((-1,), (1024,))


def test_a_large_z_takes_bits_from_its_row() -> None:
    update = quantise(make([[1.0]], [2.0**8]), **IDS)
    assert update.exponents == (6,)
    assert update.z == (2**14,)


def test_what_does_not_fit_is_refused_and_never_clipped() -> None:
    with pytest.raises(InvalidValueError, match="row 0 of the information reaches 1000000000000"):
        quantise(make([[1e12]], [0.0]), **IDS)
    with pytest.raises(InvalidValueError, match=r"R\[0,0\] = 1e-06 vanishes beside 1\.0 in its row"):
        quantise(make([[1e-6, 1.0], [0, 1]], [0.0, 0.0]), **IDS)
    with pytest.raises(InvalidValueError, match="s2 of an update"):
        quantise(make([[1.0]], [0.0], s2=1e-12), **IDS)


def test_a_value_that_is_not_a_number_is_refused_by_place() -> None:
    with pytest.raises(InvalidValueError, match=r"R\[0,1\] is nan"):
        make([[1.0, np.nan], [0, 1]], [0.0, 0.0])
    with pytest.raises(InvalidValueError, match=r"z\[1\] is nan"):
        make([[1.0, 0], [0, 1]], [0.0, np.nan])


def test_a_global_model_becomes_floats() -> None:
    model = GlobalModel(b"\x01" * 32, 3, FixedVector((3, -8), 2), FixedVector((5, -1, 7), 1))
    np.testing.assert_array_equal(model_to_theta(model), [0.75, -2.0])
    np.testing.assert_array_equal(model_to_precision(model), [[2.5, -0.5], [-0.5, 3.5]])
    assert model_to_theta(replace(model, theta=FixedVector((2**62, 1), 62)))[0] == 1.0


def test_the_drift_flag_travels_with_the_update() -> None:
    info = make([[1.0]], [0.5])
    assert not quantise(info, **IDS).drift
    assert quantise(info, **IDS, drift=True).drift


def test_families_have_different_tags_of_four_bytes() -> None:
    tags = {family_tag(name) for name in ("ar", "arx", "arma", "local_level")}
    assert {len(tag) for tag in tags} == {4}
    assert len(tags) == 4
