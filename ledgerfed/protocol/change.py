"""What an epoch changes, as the owner proposes it and the contract checks and applies it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import keccak, require_hash, require_range, word

MAX_ENTRIES = 64
VACANT = bytes(20)
"""The address at an index whose node has left."""


@dataclass(frozen=True, slots=True)
class Change:
    """`Change` of contracts/registry.vy.

    `committee` are registry indices, ascending. `indices` (ascending) and `addresses` (20 bytes) belong
    together: an address at the first free index joins, at an index in use it is the new key of that node,
    and VACANT there lets the node leave.
    """

    config_hash: bytes
    min_updates: int
    committee: tuple[int, ...]
    indices: tuple[int, ...] = ()
    addresses: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        require_hash("the configuration hash of a change", self.config_hash)
        require_range("min_updates of a change", self.min_updates, 1, (1 << 16) - 1)
        for name in ("committee", "indices"):
            for index in getattr(self, name):
                require_range(f"an index of {name}", index, 0, (1 << 20) - 1)
            if any(a >= b for a, b in pairwise(getattr(self, name))):
                raise InvalidValueError(f"{name} of a change must ascend, got {list(getattr(self, name))}")
        if len(self.indices) != len(self.addresses) or len(self.indices) > MAX_ENTRIES:
            raise InvalidValueError(
                f"a change has an address for each of at most {MAX_ENTRIES} indices, got "
                f"{len(self.indices)} indices and {len(self.addresses)} addresses"
            )
        for address in self.addresses:
            if not isinstance(address, bytes) or len(address) != 20:
                raise InvalidValueError(f"an address of a change must be 20 bytes, got {address!r}")

    def to_bytes(self) -> bytes:
        """Return the ABI encoding as one tuple argument, the bytes in `EpochProposed`."""
        arrays = [
            [word(index) for index in self.committee],
            [word(index) for index in self.indices],
            [bytes(12) + address for address in self.addresses],
        ]
        heads, tails, offset = [], [], 5 * 32
        for items in arrays:
            heads.append(word(offset))
            tails.append(word(len(items)) + b"".join(items))
            offset += len(tails[-1])
        return word(32) + self.config_hash + word(self.min_updates) + b"".join((*heads, *tails))

    def hash(self) -> bytes:
        """Return the change hash, which the transcript binds."""
        return keccak(self.to_bytes())

    @staticmethod
    def from_bytes(data: bytes) -> Change:
        """Read the ABI encoding.

        Raises:
            InvalidValueError: it is not the encoding of a change, byte for byte.
        """
        words = [data[k : k + 32] for k in range(0, len(data), 32)]
        if len(data) % 32 or len(words) < 6:
            raise InvalidValueError(f"{len(data)} bytes are no encoded change")
        arrays = [_array(words, 1 + int.from_bytes(words[k], "big") // 32) for k in (3, 4, 5)]
        change = Change(
            words[1],
            int.from_bytes(words[2], "big"),
            tuple(int.from_bytes(w, "big") for w in arrays[0]),
            tuple(int.from_bytes(w, "big") for w in arrays[1]),
            tuple(w[12:] for w in arrays[2]),
        )
        if change.to_bytes() != data:
            raise InvalidValueError("the bytes are not the canonical encoding of the change that they hold")
        return change

    def apply(self, members: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return the addresses by registry index after the change; VACANT where a node has left.

        Raises:
            InvalidValueError: an index is beyond the first free one.
        """
        after = list(members)
        for index, address in zip(self.indices, self.addresses, strict=True):
            if index > len(after):
                raise InvalidValueError(
                    f"the change gives out index {index}, the next free one is {len(after)}"
                )
            if index == len(after):
                after.append(address)
            else:
                after[index] = address
        return tuple(after)


def _array(words: Sequence[bytes], at: int) -> Sequence[bytes]:
    if at >= len(words):
        raise InvalidValueError("an array of the change lies beyond its bytes")
    length = int.from_bytes(words[at], "big")
    if at + 1 + length > len(words):
        raise InvalidValueError("an array of the change is longer than its bytes")
    return words[at + 1 : at + 1 + length]
