"""The door: where information becomes the integers of a payload, and a global model becomes floats again.

Row i of R and z_i share one power of two, as large as 16 bits of the row and 32 bits of z_i allow; rounding
is half to even. A value that does not fit is an error, never clipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.protocol.canonical import document_hash
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    RESIDUAL_SCALE,
    S2_SCALE,
    InformationUpdate,
    row_start,
)
from ledgerfed.series.arrays import Floats

_R_MAX = (1 << 15) - 1
_Z_MAX = (1 << 31) - 1
_PARAMETER_SCALE = 32


def quantise(info: Information, *, schema: bytes, base_model: bytes, family: bytes) -> InformationUpdate:
    """Return the update that carries `info`, relative to `base_model`, on the basis `schema`.

    Raises:
        InvalidValueError: a row of R or a value of z is too large or too small for its integers.
    """
    exponents = tuple(_exponent(i, info.R[i, i:], float(info.z[i])) for i in range(info.width))
    upper: list[int] = []
    for i, exponent in enumerate(exponents):
        upper += _integers(np.ldexp(info.R[i, i:], exponent))
    z = _integers(np.ldexp(info.z, np.array(exponents)))
    return InformationUpdate(
        schema=schema,
        base_model=base_model,
        family=family,
        n_samples=info.n,
        s2=_fixed(info.s2, S2_SCALE),
        residual=_fixed(info.residual, RESIDUAL_SCALE),
        exponents=exponents,
        upper=tuple(upper),
        z=tuple(z),
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
    """Return the precision Λ of a global model, float64 [d, d], symmetric, nearest to its integers."""
    d = model.width
    values = [math.ldexp(value, -model.precision.scale) for value in model.precision.values]
    upper = np.zeros((d, d))
    for i in range(d):
        start = row_start(i, d)
        upper[i, i:] = values[start : start + d - i]
    return upper + np.triu(upper, 1).T


def family_hash(name: str, parameters: Sequence[float]) -> bytes:
    """Return the hash that an update gives for its native model: the parameters themselves stay at home.

    It covers the family's name and its parameters at scale 2^-32, as decimal strings.

    Raises:
        InvalidValueError: a parameter is not finite.
    """
    for position, value in enumerate(parameters):
        if not math.isfinite(value):
            raise InvalidValueError(f"parameter {position} of {name!r} is {value}; the fit is not usable")
    scaled = [str(round(math.ldexp(float(value), _PARAMETER_SCALE))) for value in parameters]
    return document_hash({"family": name, "parameters": scaled, "scale": _PARAMETER_SCALE})


def _exponent(i: int, row: Floats, z: float) -> int:
    largest = float(np.abs(row).max())
    exponent = min(_fitting(largest, _R_MAX), _fitting(abs(z), _Z_MAX), EXPONENT_MAX)
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


def _fixed(value: float, scale: int) -> int:
    return round(math.ldexp(value, scale))
