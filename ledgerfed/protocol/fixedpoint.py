"""Fixed-point integers: int64 on a binary grid, rounded half to even, never wrapped.

Rules:
- a value is `integer * 2^-scale`; the integer fits int64 or the value does not exist;
- every division names its rounding, and it is half to even (IEEE 754-2019, 4.3.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import require_range

INT64_MAX = (1 << 63) - 1
INT64_MIN = -(1 << 63)


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, ties to even.

    Raises:
        InvalidValueError: the denominator is zero.
    """
    if denominator == 0:
        raise InvalidValueError("a number divided by zero")
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def shift_half_even(value: int, bits: int) -> int:
    """Return value * 2^-bits rounded half to even; a negative `bits` multiplies exactly."""
    return value << -bits if bits <= 0 else divide_half_even(value, 1 << bits)


def round_significant(value: int, bits: int) -> int:
    """Return a value that is not negative with at most `bits` significant bits, rounded half to even."""
    shift = max(0, value.bit_length() - bits)
    return shift_half_even(value, shift) << shift


def require_int64(name: str, value: int) -> int:
    """Return `value` if it fits int64, else raise InvalidValueError; it never wraps."""
    return require_range(name, value, INT64_MIN, INT64_MAX)


@dataclass(frozen=True, slots=True)
class FixedVector:
    """Integers on one binary grid: component i is `values[i] * 2^-scale`."""

    values: tuple[int, ...]
    scale: int

    def __post_init__(self) -> None:
        require_range("the scale of a fixed-point vector", self.scale, 0, 62)
        for position, value in enumerate(self.values):
            require_int64(f"component {position} of a fixed-point vector", value)

    def rescale(self, scale: int) -> FixedVector:
        """Return the vector on another grid, rounded half to even; InvalidValueError when it overflows."""
        return FixedVector(tuple(shift_half_even(v, self.scale - scale) for v in self.values), scale)

    def to_bytes(self) -> bytes:
        """Return the components as little-endian int64, 8 bytes each."""
        return struct.pack(f"<{len(self.values)}q", *self.values)

    @staticmethod
    def from_bytes(data: bytes, scale: int) -> FixedVector:
        """Read little-endian int64 components; raises InvalidValueError on a torn length."""
        if len(data) % 8:
            raise InvalidValueError(f"{len(data)} bytes are not a whole number of int64 values")
        return FixedVector(struct.unpack(f"<{len(data) // 8}q", data), scale)
