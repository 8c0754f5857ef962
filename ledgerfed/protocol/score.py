"""Score vectors and the commitments that hide them until all are anchored (threat V1).

A score is the relative improvement of the validator's hold-out loss, in Q16, clipped to [-ONE, ONE]. Two
sentinels stand outside that range: NOT_HELD (the opening never reached this validator) and GATED (held, but
refused by a deterministic gate, so not scored). A vector therefore also attests what its author holds.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash, require_range, word

ONE = 1 << 16
"""1.0 in Q16."""
NOT_HELD = -(1 << 31)
GATED = NOT_HELD + 1


@dataclass(frozen=True, slots=True)
class ScoreVector:
    """One validator's scores by registry position (length 2^depth), with the salt that hides them."""

    round: int
    index: int
    scores: tuple[int, ...]
    salt: bytes

    def __post_init__(self) -> None:
        require_range("the round of a score vector", self.round, 1, (1 << 32) - 1)
        require_range("the index of a score vector", self.index, 0, (1 << 20) - 1)
        require_hash("the salt of a score vector", self.salt)
        for position, score in enumerate(self.scores):
            sentinel = isinstance(score, int) and score in (NOT_HELD, GATED)
            if not sentinel:
                require_range(f"the score of position {position}", score, -ONE, ONE)

    def to_bytes(self) -> bytes:
        """Return the scores as little-endian int32."""
        return struct.pack(f"<{len(self.scores)}i", *self.scores)

    def commitment(self, federation: Federation) -> bytes:
        """Return the hash that is anchored before any score is revealed."""
        return keccak(
            b"\x02LF1S"
            + federation.words()
            + word(self.round)
            + word(self.index)
            + keccak(self.to_bytes())
            + self.salt
        )


def clip_score(value: int) -> int:
    """Return `value` clipped to [-ONE, ONE]."""
    return max(-ONE, min(ONE, value))


def lower_median(values: Sequence[int]) -> int:
    """Return the lower median: the element at position (m - 1) // 2 of the sorted values.

    With m >= 2f + 1 values of which at most f lie, it lies within the range of the honest ones.

    Raises:
        InvalidValueError: there are no values.
    """
    if not values:
        raise InvalidValueError("the median of no values does not exist")
    return sorted(values)[(len(values) - 1) // 2]
