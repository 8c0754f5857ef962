"""The payload of a predictions update: what a native model says about a public probe (docs/protocol.md).

Rules:
- the predictions share one power of two: value = mantissa * 2^-exponent, in standardised units;
- one precision stands for all of them: the inverse variance that the node claims for its predictions;
- as with information, what the leaf binds is not repeated and every value has one spelling.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.bitfields import Fields, pack, pack_float, require_small_float, unpack_float
from ledgerfed.protocol.hashing import require_range
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.payload import (
    BITS_MAX,
    BITS_MIN,
    DRIFT_FLAG,
    EXPONENT_MAX,
    EXPONENT_MIN,
    MAGIC,
    MAX_WIDTH,
    require_labels,
)

PREDICTIONS = 2
PRECISION_SCALE = 16
_HEADER = struct.Struct("<4sBBBH4sIb")


@dataclass(frozen=True, slots=True)
class PredictionsUpdate:
    """Predictions of one node on the probe, in integers.

    `values` holds the m mantissas, each a signed integer of `bits` bits. `precision` is at scale 2^-16, of at
    most 24 significant bits. `schema` is the hash of the probe document; the rest as in an information
    update.
    """

    schema: bytes
    base_model: bytes
    family: bytes
    n_samples: int
    precision: int
    exponent: int
    values: tuple[int, ...]
    bits: int = BITS_MAX
    drift: bool = False

    def __post_init__(self) -> None:
        require_labels(self.schema, self.base_model, self.family, self.n_samples, self.drift)
        require_small_float("the precision of an update", self.precision, 1)
        require_range("the number of predictions", len(self.values), 1, MAX_WIDTH)
        require_range("the exponent of an update", self.exponent, EXPONENT_MIN, EXPONENT_MAX)
        half = 1 << require_range("the bits of a mantissa", self.bits, BITS_MIN, BITS_MAX) - 1
        for position, value in enumerate(self.values):
            require_range(f"prediction {position} of an update", value, -half, half - 1)

    @property
    def width(self) -> int:
        """The number of predictions m."""
        return len(self.values)


def encode_predictions(update: PredictionsUpdate) -> bytes:
    """Return the payload: the canonical bytes of an update, without what its opening says."""
    header = _HEADER.pack(
        MAGIC,
        PREDICTIONS,
        DRIFT_FLAG * update.drift,
        update.bits,
        update.width,
        update.family,
        pack_float(update.precision),
        update.exponent,
    )
    return header + pack((value, update.bits) for value in update.values)


def decode_predictions(payload: bytes, opening: Opening) -> PredictionsUpdate:
    """Read a payload back, as the update that its opening makes of it.

    Raises:
        InvalidValueError: another kind, a wrong length, padding that is not zero, or a value out of range.
    """
    if len(payload) < _HEADER.size:
        raise InvalidValueError(f"a payload has at least {_HEADER.size} bytes, got {len(payload)}")
    magic, kind, flags, bits, m, family, precision, exponent = _HEADER.unpack_from(payload)
    if (magic, kind) != (MAGIC, PREDICTIONS) or flags & ~DRIFT_FLAG:
        raise InvalidValueError(f"not a predictions update: {payload[:6].hex()}")
    require_range("the bits of a mantissa", bits, BITS_MIN, BITS_MAX)
    size = _HEADER.size + (m * bits + 7) // 8
    if len(payload) != size:
        raise InvalidValueError(f"an update of {m} predictions has {size} bytes, got {len(payload)}")
    fields = Fields(payload[_HEADER.size :])
    values = tuple(fields.signed(m, bits))
    fields.end()
    return PredictionsUpdate(
        opening.schema,
        opening.base_model,
        family,
        opening.n_samples,
        unpack_float(precision),
        exponent,
        values,
        bits,
        flags == DRIFT_FLAG,
    )
