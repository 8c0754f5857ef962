"""The door: where information becomes the integers of a payload, and a global model becomes floats again.

Row i of R and z_i share one power of two, as large as the bits of a mantissa and the 16 bits of z_i allow;
rounding is half to even. The exponent gives way to z_i where z_i is the larger one, so no z is lost. A value
that does not fit is an error, never clipped.
"""

from __future__ import annotations

import math

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.protocol.bitfields import SIGNIFICANT_BITS
from ledgerfed.protocol.fixedpoint import round_significant
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import (
    BITS_MIN,
    EXPONENT_MAX,
    EXPONENT_MIN,
    INFORMATION,
    RESIDUAL_SCALE,
    S2_SCALE,
    Z_BITS,
    InformationUpdate,
    row_start,
)
from ledgerfed.series.arrays import Floats


def quantise(
    info: Information,
    *,
    schema: bytes,
    base_model: bytes,
    family: bytes,
    bits: int = BITS_MIN,
    drift: bool = False,
) -> InformationUpdate:
    """Return the update that carries `info`, relative to `base_model`, on the basis `schema`.

    Args:
        family: the tag of the native family (`family_tag`).
        bits: of a mantissa of R, from 12 to 16.
        drift: whether the node's detector fired.

    Raises:
        InvalidValueError: a row of R or a value of z is too large or too small for its integers.
    """
    r_max, z_max = (1 << bits - 1) - 1, (1 << Z_BITS - 1) - 1
    rows = [(info.R[i, i:], float(info.z[i])) for i in range(info.width)]
    exponents = tuple(_exponent(i, row, z, r_max, z_max) for i, (row, z) in enumerate(rows))
    upper: list[int] = []
    for (row, _), exponent in zip(rows, exponents, strict=True):
        upper += _integers(np.ldexp(row, exponent))
    z = _integers(np.ldexp(info.z, np.array(exponents)))
    return InformationUpdate(
        schema=schema,
        base_model=base_model,
        family=family,
        n_samples=info.n,
        s2=_small_float(info.s2, S2_SCALE),
        residual=_small_float(info.residual, RESIDUAL_SCALE),
        exponents=exponents,
        upper=tuple(upper),
        z=tuple(z),
        bits=bits,
        drift=drift,
    )


def dequantise(update: InformationUpdate) -> Information:
    """Return the information that an update carries, exactly."""
    d = update.width
    R = np.zeros((d, d))
    for i, exponent in enumerate(update.exponents):
        R[i, i:] = np.ldexp(np.array(update.row(i), dtype=np.float64), -exponent)
    z = np.ldexp(np.array(update.z, dtype=np.float64), -np.array(update.exponents))
    return Information(
        update.n_samples,
        math.ldexp(update.s2, -S2_SCALE),
        R,
        z,
        math.ldexp(update.residual, -RESIDUAL_SCALE),
    )


def model_to_theta(model: GlobalModel) -> Floats:
    """Return the coefficients of a global model, float64 [d], nearest to its integers."""
    return np.array([math.ldexp(value, -model.theta.scale) for value in model.theta.values])


def model_to_precision(model: GlobalModel) -> Floats:
    """Return the precision Λ of a global model, float64 [d, d], symmetric, nearest to its integers.

    Raises:
        InvalidValueError: the model says predictions; their student has a precision, they have one number.
    """
    if model.kind != INFORMATION:
        raise InvalidValueError("a model of predictions has no precision matrix; see exchange.distillation")
    d = model.width
    values = [math.ldexp(value, -model.precision.scale) for value in model.precision.values]
    upper = np.zeros((d, d))
    for i in range(d):
        start = row_start(i, d)
        upper[i, i:] = values[start : start + d - i]
    return upper + np.triu(upper, 1).T


def _exponent(i: int, row: Floats, z: float, r_max: int, z_max: int) -> int:
    largest = float(np.abs(row).max())
    exponent = min(_fitting(largest, r_max), _fitting(abs(z), z_max), EXPONENT_MAX)
    if exponent < EXPONENT_MIN:
        raise InvalidValueError(
            f"row {i} of the information reaches {max(largest, abs(z))}; rescale the panel"
        )
    if round(math.ldexp(float(row[0]), exponent)) < 1:
        raise InvalidValueError(
            f"R[{i},{i}] = {row[0]} vanishes beside {largest} in its row; raise the ridge"
        )
    return exponent


def _fitting(value: float, limit: int) -> int:
    if value == 0:
        return EXPONENT_MAX
    exponent = limit.bit_length() - math.frexp(value)[1]
    return exponent - 1 if round(math.ldexp(value, exponent)) > limit else exponent


def _integers(values: Floats) -> list[int]:
    return [int(value) for value in np.rint(values)]


def _small_float(value: float, scale: int) -> int:
    return round_significant(round(math.ldexp(value, scale)), SIGNIFICANT_BITS)
