"""Fields of a few bits each, joined the highest bit first, and small floats: what payloads are packed from.

Every value has one spelling: padding is zero, a small float is in its shortest form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import round_significant
from ledgerfed.protocol.hashing import require_range

SIGNIFICANT_BITS = 24
"""How many binary digits a small float has."""


def pack(fields: Iterable[tuple[int, int]]) -> bytes:
    """Return fields of (value, bits), negative values in two's complement, filled up with zeros to a byte."""
    text = "".join(format(value & ((1 << width) - 1), f"0{width}b") for value, width in fields)
    size = (len(text) + 7) // 8
    return int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big") if size else b""


class Fields:
    """What `pack` joined, read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._bits = format(int.from_bytes(data, "big"), f"0{8 * len(data)}b")
        self._place = 0

    def unsigned(self, count: int, width: int) -> Iterator[int]:
        """Yield the next `count` fields of `width` bits as they are."""
        for _ in range(count):
            start, self._place = self._place, self._place + width
            yield int(self._bits[start : self._place], 2)

    def signed(self, count: int, width: int) -> Iterator[int]:
        """Yield the next `count` fields of `width` bits, in two's complement."""
        half = 1 << width - 1
        for value in self.unsigned(count, width):
            yield (value ^ half) - half

    def end(self) -> None:
        """Check that nothing but zeros follows; raises InvalidValueError."""
        rest = self._bits[self._place :]
        if "1" in rest:
            raise InvalidValueError(f"the padding of the payload is not zero: {rest}")


def require_small_float(name: str, value: int, lowest: int) -> None:
    """Check that `value` is an integer from `lowest` below 2^63 with at most 24 significant bits."""
    require_range(name, value, lowest, (1 << 63) - 1)
    if round_significant(value, SIGNIFICANT_BITS) != value:
        raise InvalidValueError(f"{name} has at most {SIGNIFICANT_BITS} significant bits, got {value}")


def pack_float(value: int) -> int:
    """Return the u32 of a small float: e * 2^24 + m for the value m * 2^e."""
    shift = max(0, value.bit_length() - SIGNIFICANT_BITS)
    return shift << SIGNIFICANT_BITS | value >> shift


def unpack_float(packed: int) -> int:
    """Return the value of a u32; raises InvalidValueError when it could be written shorter."""
    shift, mantissa = packed >> SIGNIFICANT_BITS, packed & ((1 << SIGNIFICANT_BITS) - 1)
    if shift and not mantissa >> SIGNIFICANT_BITS - 1:
        raise InvalidValueError(f"the small float 0x{packed:08x} is not in its shortest form")
    return mantissa << shift
