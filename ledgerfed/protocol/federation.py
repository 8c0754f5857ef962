"""Which federation a hash or a signature belongs to: one contract on one chain."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import require_range, word


def require_address(name: str, value: bytes) -> bytes:
    """Return `value` if it is a 20-byte address other than zero, else raise InvalidValueError naming it."""
    if not isinstance(value, bytes) or len(value) != 20:
        raise InvalidValueError(f"{name} must be a 20-byte address, got {value!r}")
    if not any(value):
        raise InvalidValueError(f"{name} is the zero address, which ecrecover returns on failure")
    return value


@dataclass(frozen=True, slots=True)
class Federation:
    """A deployed contract: chain id and 20-byte address."""

    chain_id: int
    contract: bytes

    def __post_init__(self) -> None:
        require_range("the chain id", self.chain_id, 1, (1 << 53) - 1)
        require_address("the contract", self.contract)

    def words(self) -> bytes:
        """Return `word(chain_id) ‖ word(contract)`, the binding in every hash."""
        return word(self.chain_id) + bytes(12) + self.contract
