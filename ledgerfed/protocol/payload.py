"""The payload of an information update: its canonical bytes and nothing else (docs/protocol.md).

Rules:
- integers only; a decoder accepts exactly the bytes that the encoder writes (threats N7, N11);
- row i of R and z_i share one power of two: value = mantissa * 2^-exponents[i];
- the diagonal of R is positive, so R is the Cholesky factor of a positive definite matrix.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import keccak, require_hash, require_range
from ledgerfed.protocol.leaf import MAX_SAMPLES

INFORMATION = 1
MAX_WIDTH = 1024
EXPONENT_MIN, EXPONENT_MAX = -24, 40
S2_SCALE = 32
RESIDUAL_SCALE = 16
_HEADER = struct.Struct("<4sBBH32s32s32sQQQ")
_MAGIC = b"LFU1"


@dataclass(frozen=True, slots=True)
class InformationUpdate:
    """Square-root information of one node on the shared basis, in integers.

    `upper` holds the d(d+1)/2 int16 mantissas of R by rows, `z` the d int32 mantissas, `exponents` the d row
    exponents. `s2` is the noise variance at scale 2^-32, `residual` the residual sum of squares in units of
    s2 at scale 2^-16. `schema` is the basis id, `family` the hash of the native family and parameters.
    """

    schema: bytes
    base_model: bytes
    family: bytes
    n_samples: int
    s2: int
    residual: int
    exponents: tuple[int, ...]
    upper: tuple[int, ...]
    z: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("schema", "base_model", "family"):
            require_hash(f"{name} of an update", getattr(self, name))
        d = require_range("the width of an update", len(self.exponents), 1, MAX_WIDTH)
        if len(self.z) != d or len(self.upper) != d * (d + 1) // 2:
            raise InvalidValueError(
                f"an update of width {d} needs {d} values of z and {d * (d + 1) // 2} of R, "
                f"got {len(self.z)} and {len(self.upper)}"
            )
        require_range("the sample count of an update", self.n_samples, 0, MAX_SAMPLES)
        require_range("s2 of an update", self.s2, 1, (1 << 63) - 1)
        require_range("the residual of an update", self.residual, 0, (1 << 63) - 1)
        for i, exponent in enumerate(self.exponents):
            require_range(f"exponent {i} of an update", exponent, EXPONENT_MIN, EXPONENT_MAX)
            require_range(f"z[{i}] of an update", self.z[i], -(1 << 31), (1 << 31) - 1)
        for position, mantissa in enumerate(self.upper):
            require_range(f"mantissa {position} of R", mantissa, -(1 << 15), (1 << 15) - 1)
        for i in range(d):
            require_range(f"R[{i},{i}] of an update", self.upper[row_start(i, d)], 1, (1 << 15) - 1)

    @property
    def width(self) -> int:
        """The width d of the basis."""
        return len(self.exponents)

    def row(self, i: int) -> tuple[int, ...]:
        """Return the mantissas R[i, i:], from the diagonal to the right."""
        start = row_start(i, self.width)
        return self.upper[start : start + self.width - i]


def row_start(i: int, d: int) -> int:
    """Return where row i starts in the upper triangle of a d by d matrix stored by rows."""
    return i * d - i * (i - 1) // 2


def encode_update(update: InformationUpdate) -> bytes:
    """Return the payload: the canonical bytes of an update."""
    d = update.width
    header = _HEADER.pack(
        _MAGIC,
        INFORMATION,
        0,
        d,
        update.schema,
        update.base_model,
        update.family,
        update.n_samples,
        update.s2,
        update.residual,
    )
    return header + _body(d).pack(*update.exponents, *update.upper, *update.z)


def decode_update(payload: bytes) -> InformationUpdate:
    """Read a payload back.

    Raises:
        InvalidValueError: another kind, a wrong length, or a value out of range.
    """
    if len(payload) < _HEADER.size:
        raise InvalidValueError(f"a payload has at least {_HEADER.size} bytes, got {len(payload)}")
    magic, kind, reserved, d, schema, base, family, n, s2, residual = _HEADER.unpack_from(payload)
    if (magic, kind, reserved) != (_MAGIC, INFORMATION, 0):
        raise InvalidValueError(f"not an information update: {payload[:6].hex()}")
    require_range("the width of an update", d, 1, MAX_WIDTH)
    body = _body(d)
    if len(payload) != _HEADER.size + body.size:
        raise InvalidValueError(
            f"an update of width {d} has {_HEADER.size + body.size} bytes, got {len(payload)}"
        )
    numbers = body.unpack_from(payload, _HEADER.size)
    split = d + d * (d + 1) // 2
    return InformationUpdate(
        schema, base, family, n, s2, residual, numbers[:d], numbers[d:split], numbers[split:]
    )


def update_hash(payload: bytes) -> bytes:
    """Return the keccak-256 of a payload."""
    return keccak(payload)


def _body(d: int) -> struct.Struct:
    return struct.Struct(f"<{d}b{d * (d + 1) // 2}h{d}i")
