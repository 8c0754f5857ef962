"""The payload of an information update: its canonical bytes and nothing else (docs/protocol.md).

Rules:
- integers only; a decoder accepts exactly the bytes that the encoder writes (threats N7, N11);
- what the leaf binds already (schema, base model, sample count) is not repeated: a payload is read together
  with its opening (docs/adr/0013);
- row i of R and z_i share one power of two: value = mantissa * 2^-exponents[i];
- the diagonal of R is positive, so R is the Cholesky factor of a positive definite matrix.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.bitfields import (
    Fields,
    pack,
    pack_float,
    require_small_float,
    unpack_float,
)
from ledgerfed.protocol.hashing import keccak, require_hash, require_range
from ledgerfed.protocol.leaf import MAX_SAMPLES, Opening

INFORMATION = 1
MAX_WIDTH = 1024
EXPONENT_MIN, EXPONENT_MAX = -24, 40
BITS_MIN, BITS_MAX = 12, 16
Z_BITS = 16
S2_SCALE = 32
RESIDUAL_SCALE = 16
FAMILY_BYTES = 4
_HEADER = struct.Struct("<4sBBBH4sII")
MAGIC = b"LFU2"
DRIFT_FLAG = 1
_EXPONENT_BITS = 7


@dataclass(frozen=True, slots=True)
class InformationUpdate:
    """Square-root information of one node on the shared basis, in integers.

    `upper` holds the d(d+1)/2 mantissas of R by rows, each a signed integer of `bits` bits, `z` the d
    mantissas of 16 bits, `exponents` the d row exponents. `s2` is the noise variance at scale 2^-32,
    `residual` the residual sum of squares in units of s2 at scale 2^-16, both of at most 24 significant bits.
    `schema` is the basis id, `family` the tag of the native family (`family_tag`); `drift` says that the
    node's detector fired.
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
    bits: int = BITS_MIN
    drift: bool = False

    def __post_init__(self) -> None:
        require_labels(self.schema, self.base_model, self.family, self.n_samples, self.drift)
        require_small_float("s2 of an update", self.s2, 1)
        require_small_float("the residual of an update", self.residual, 0)
        self._check_matrix()

    def _check_matrix(self) -> None:
        d = require_range("the width of an update", len(self.exponents), 1, MAX_WIDTH)
        if len(self.z) != d or len(self.upper) != d * (d + 1) // 2:
            raise InvalidValueError(
                f"an update of width {d} needs {d} values of z and {d * (d + 1) // 2} of R, "
                f"got {len(self.z)} and {len(self.upper)}"
            )
        limit = 1 << require_range("the bits of a mantissa", self.bits, BITS_MIN, BITS_MAX) - 1
        for i, exponent in enumerate(self.exponents):
            require_range(f"exponent {i} of an update", exponent, EXPONENT_MIN, EXPONENT_MAX)
            require_range(f"z[{i}] of an update", self.z[i], -(1 << Z_BITS - 1), (1 << Z_BITS - 1) - 1)
        for position, mantissa in enumerate(self.upper):
            require_range(f"mantissa {position} of R", mantissa, -limit, limit - 1)
        for i in range(d):
            require_range(f"R[{i},{i}] of an update", self.upper[row_start(i, d)], 1, limit - 1)

    @property
    def width(self) -> int:
        """The width d of the basis."""
        return len(self.exponents)

    def row(self, i: int) -> tuple[int, ...]:
        """Return the mantissas R[i, i:], from the diagonal to the right."""
        start = row_start(i, self.width)
        return self.upper[start : start + self.width - i]


def require_labels(schema: bytes, base_model: bytes, family: bytes, n_samples: int, drift: bool) -> None:
    """Check what updates of every kind say about themselves; raises InvalidValueError."""
    require_hash("schema of an update", schema)
    require_hash("base_model of an update", base_model)
    if not isinstance(family, bytes) or len(family) != FAMILY_BYTES:
        raise InvalidValueError(f"the family tag has {FAMILY_BYTES} bytes, got {family!r}")
    if not isinstance(drift, bool):
        raise InvalidValueError(f"drift must be true or false, got {drift!r}")
    require_range("the sample count of an update", n_samples, 0, MAX_SAMPLES)


def row_start(i: int, d: int) -> int:
    """Return where row i starts in the upper triangle of a d by d matrix stored by rows."""
    return i * d - i * (i - 1) // 2


def family_tag(name: str) -> bytes:
    """Return the first four bytes of keccak-256 of a family's name."""
    return keccak(name.encode())[:FAMILY_BYTES]


def payload_size(d: int, bits: int) -> int:
    """Return how many bytes the payload of an update of width d has."""
    return _HEADER.size + (_body_bits(d, bits) + 7) // 8


def encode_update(update: InformationUpdate) -> bytes:
    """Return the payload: the canonical bytes of an update, without what its opening says."""
    header = _HEADER.pack(
        MAGIC,
        INFORMATION,
        DRIFT_FLAG * update.drift,
        update.bits,
        update.width,
        update.family,
        pack_float(update.s2),
        pack_float(update.residual),
    )
    body = [(e - EXPONENT_MIN, _EXPONENT_BITS) for e in update.exponents]
    body += [(m, update.bits) for m in update.upper]
    body += [(m, Z_BITS) for m in update.z]
    return header + pack(body)


def decode_update(payload: bytes, opening: Opening) -> InformationUpdate:
    """Read a payload back, as the update that its opening makes of it.

    Raises:
        InvalidValueError: another kind, a wrong length, padding that is not zero, or a value out of range.
    """
    if len(payload) < _HEADER.size:
        raise InvalidValueError(f"a payload has at least {_HEADER.size} bytes, got {len(payload)}")
    magic, kind, flags, bits, d, family, s2, residual = _HEADER.unpack_from(payload)
    if (magic, kind) != (MAGIC, INFORMATION) or flags & ~DRIFT_FLAG:
        raise InvalidValueError(f"not an information update: {payload[:6].hex()}")
    require_range("the width of an update", d, 1, MAX_WIDTH)
    require_range("the bits of a mantissa", bits, BITS_MIN, BITS_MAX)
    if len(payload) != payload_size(d, bits):
        raise InvalidValueError(
            f"an update of width {d} has {payload_size(d, bits)} bytes, got {len(payload)}"
        )
    fields = Fields(payload[_HEADER.size :])
    exponents = tuple(value + EXPONENT_MIN for value in fields.unsigned(d, _EXPONENT_BITS))
    upper = tuple(fields.signed(d * (d + 1) // 2, bits))
    z = tuple(fields.signed(d, Z_BITS))
    fields.end()
    return InformationUpdate(
        opening.schema,
        opening.base_model,
        family,
        opening.n_samples,
        unpack_float(s2),
        unpack_float(residual),
        exponents,
        upper,
        z,
        bits,
        flags == DRIFT_FLAG,
    )


def update_hash(payload: bytes) -> bytes:
    """Return the keccak-256 of a payload."""
    return keccak(payload)


def _body_bits(d: int, bits: int) -> int:
    return d * (_EXPONENT_BITS + Z_BITS) + d * (d + 1) // 2 * bits
