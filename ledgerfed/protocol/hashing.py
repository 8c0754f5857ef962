"""Keccak-256 and the words it is fed with (docs/protocol.md, "Hashes").

Keccak-256 is the pre-standard padding of Ethereum (Yellow Paper, appendix B), not SHA3-256.
"""

from __future__ import annotations

from eth_hash.auto import keccak as _keccak

from ledgerfed.errors import InvalidValueError

EMPTY = bytes(32)
"""The hash at a position that holds nothing; nobody knows a preimage of it."""


def keccak(data: bytes) -> bytes:
    """Return the 32-byte keccak-256 digest of `data`."""
    return bytes(_keccak(data))


def word(value: int) -> bytes:
    """Return `value` as a 32-byte big-endian unsigned integer, as the EVM sees it.

    Raises:
        InvalidValueError: the value is negative or needs more than 256 bits.
    """
    if not 0 <= value < 1 << 256:
        raise InvalidValueError(f"{_shown(value)} does not fit an unsigned 256-bit word")
    return value.to_bytes(32, "big")


def require_hash(name: str, value: bytes) -> bytes:
    """Return `value` if it is 32 bytes long, else raise InvalidValueError naming it."""
    if not isinstance(value, bytes) or len(value) != 32:
        raise InvalidValueError(f"{name} must be 32 bytes, got {value!r}")
    return value


def require_range(name: str, value: int, low: int, high: int) -> int:
    """Return `value` if it is an integer in [low, high], else raise InvalidValueError naming it."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidValueError(f"{name} must be an integer from {low} to {high}, got {_shown(value)}")
    return value


def to_hex(value: bytes) -> str:
    """Return lower-case `0x` hex, the only spelling in documents."""
    return "0x" + value.hex()


def from_hex(name: str, text: object, length: int = 32) -> bytes:
    """Read `length` bytes of lower-case `0x` hex; any other spelling is refused.

    Raises:
        InvalidValueError: not a string, another length, upper case or not hex.
    """
    if not isinstance(text, str) or len(text) != 2 + 2 * length or not text.startswith("0x"):
        raise InvalidValueError(f"{name} must be 0x and {2 * length} hex digits, got {text!r}")
    digits = text[2:]
    if any(c not in "0123456789abcdef" for c in digits):
        raise InvalidValueError(f"{name} must be lower-case hex, got {text!r}")
    return bytes.fromhex(digits)


def _shown(value: object) -> str:
    """Return `value` for a message; Python refuses to spell integers beyond 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)
