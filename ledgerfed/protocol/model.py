"""The global model: coefficients on the shared basis and the precision behind them, in integers."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.hashing import keccak, require_hash, require_range
from ledgerfed.protocol.payload import INFORMATION, MAX_WIDTH, row_start
from ledgerfed.protocol.predictions import PREDICTIONS

_HEADER = struct.Struct("<4sBBH32sIBBH")
_MAGIC = b"LFM1"


@dataclass(frozen=True, slots=True)
class GlobalModel:
    """What a certified round leaves behind.

    `theta` has d components, `precision` the d(d+1)/2 of the upper triangle of Λ by rows; both are int64 on
    their own binary grid. `contributors` is the number of updates with weight (0 for the genesis model). A
    model of kind PREDICTIONS says m predictions on a probe instead, with one precision for all of them.
    """

    schema: bytes
    contributors: int
    theta: FixedVector
    precision: FixedVector
    kind: int = INFORMATION

    def __post_init__(self) -> None:
        require_hash("the schema of a model", self.schema)
        require_range("the kind of a model", self.kind, INFORMATION, PREDICTIONS)
        d = require_range("the width of a model", len(self.theta.values), 1, MAX_WIDTH)
        require_range("the contributors of a model", self.contributors, 0, (1 << 32) - 1)
        needed = _precision_values(self.kind, d)
        if len(self.precision.values) != needed:
            raise InvalidValueError(
                f"a model of width {d} needs {needed} values of precision, got {len(self.precision.values)}"
            )

    @property
    def width(self) -> int:
        """The width d of the basis, or the length m of the probe."""
        return len(self.theta.values)

    def hash(self) -> bytes:
        """Return the model hash, keccak-256 of the canonical bytes."""
        return keccak(encode_model(self))


def genesis_model(
    schema: bytes, width: int, prior: int, theta_scale: int, precision_scale: int, kind: int = INFORMATION
) -> GlobalModel:
    """Return the model that knows nothing: θ = 0 with precision prior * I (prior at the precision scale)."""
    values = [0] * _precision_values(kind, width)
    for i in range(width if kind == INFORMATION else 1):
        values[row_start(i, width)] = prior
    zero = FixedVector((0,) * width, theta_scale)
    return GlobalModel(schema, 0, zero, FixedVector(tuple(values), precision_scale), kind)


def _precision_values(kind: int, d: int) -> int:
    return d * (d + 1) // 2 if kind == INFORMATION else 1


def encode_model(model: GlobalModel) -> bytes:
    """Return the canonical bytes of a model."""
    header = _HEADER.pack(
        _MAGIC,
        model.kind,
        0,
        model.width,
        model.schema,
        model.contributors,
        model.theta.scale,
        model.precision.scale,
        0,
    )
    return header + model.theta.to_bytes() + model.precision.to_bytes()


def decode_model(data: bytes) -> GlobalModel:
    """Read a model back.

    Raises:
        InvalidValueError: another kind, a wrong length, or a value out of range.
    """
    if len(data) < _HEADER.size:
        raise InvalidValueError(f"a model has at least {_HEADER.size} bytes, got {len(data)}")
    magic, kind, zero, d, schema, contributors, t_scale, p_scale, zeros = _HEADER.unpack_from(data)
    if (magic, zero, zeros) != (_MAGIC, 0, 0) or kind not in (INFORMATION, PREDICTIONS):
        raise InvalidValueError(f"not a model: {data[:8].hex()}")
    split = _HEADER.size + 8 * d
    size = split + 8 * _precision_values(kind, d)
    if len(data) != size:
        raise InvalidValueError(f"a model of width {d} has {size} bytes, got {len(data)}")
    theta = FixedVector.from_bytes(data[_HEADER.size : split], t_scale)
    return GlobalModel(schema, contributors, theta, FixedVector.from_bytes(data[split:], p_scale), kind)
