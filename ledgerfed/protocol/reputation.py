"""The reputation of a node as the ledger certifies it: bounded integers under one root.

The rule that moves them is `ledgerfed.consensus.reputation`; this is the value, its leaf and its tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import EMPTY, keccak, require_range, word
from ledgerfed.protocol.merkle import PositionalTree, build_tree
from ledgerfed.protocol.score import ONE

A_MAX = (ONE + 1) * 16 - 1
B_MAX = (16 * ONE + 1) * 32 - 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """Decayed sums of good (`a`, 21 bits) and bad (`b`, 26 bits) evidence, in Q16 rounds."""

    a: int
    b: int

    def __post_init__(self) -> None:
        require_range("the good evidence a", self.a, 0, A_MAX)
        require_range("the bad evidence b", self.b, 0, B_MAX)

    @property
    def value(self) -> int:
        """The reputation in Q16, 0 < R < ONE: (a + 1) / (a + b + 4), a prior of one good and three bad."""
        return ((self.a + ONE) << 16) // (self.a + self.b + 4 * ONE)


@dataclass(frozen=True, slots=True)
class Reputation:
    """What a node has earned as a trainer and as a validator, and until which round it is quarantined."""

    trainer: Evidence
    validator: Evidence
    quarantined_until: int = 0

    def __post_init__(self) -> None:
        require_range("the end of a quarantine", self.quarantined_until, 0, (1 << 32) - 1)

    def leaf(self, index: int, result: bytes = EMPTY) -> bytes:
        """Return the leaf of node `index` in the reputation tree, which binds its `result` in the round."""
        numbers = (
            index,
            self.trainer.a,
            self.trainer.b,
            self.validator.a,
            self.validator.b,
            self.quarantined_until,
        )
        return keccak(b"\x00LF1R" + b"".join(word(number) for number in numbers) + result)

    def row(self) -> list[int]:
        """Return [a, b, va, vb, quarantined_until], the spelling in documents."""
        return [
            self.trainer.a,
            self.trainer.b,
            self.validator.a,
            self.validator.b,
            self.quarantined_until,
        ]

    @staticmethod
    def from_row(row: Sequence[int]) -> Reputation:
        """Read the spelling of documents; raises InvalidValueError when a number is out of range."""
        if len(row) != 5:
            raise InvalidValueError(f"a reputation is five integers, got {list(row)}")
        a, b, va, vb, until = row
        return Reputation(Evidence(a, b), Evidence(va, vb), until)


NEWCOMER = Reputation(Evidence(0, 0), Evidence(0, 0))
"""What a node that joins after genesis starts with."""


def result_hash(score: int | None, heard: Sequence[int]) -> bytes:
    """Return what binds a score to the scores that it is the lower median of; EMPTY when there is none.

    Anybody can show the contract a result whose score is another element (challenge 7).
    """
    if score is None:
        return EMPTY
    return keccak(b"\x02LF1M" + int256(score) + heard_row(heard))


def heard_row(heard: Sequence[int]) -> bytes:
    """Return scores as the contract reads them: int32 big-endian."""
    return b"".join(value.to_bytes(4, "big", signed=True) for value in heard)


def int256(value: int) -> bytes:
    """Return a signed 32-byte word."""
    return value.to_bytes(32, "big", signed=True)


def reputation_tree(
    reputations: Sequence[Reputation], depth: int, results: Sequence[bytes] | None = None
) -> PositionalTree:
    """Return the positional tree of all reputations in registry order.

    `results` are the result hashes of the round that certifies them; None at genesis, where all are EMPTY.
    """
    bound = (EMPTY,) * len(reputations) if results is None else results
    return build_tree(
        {i: r.leaf(i, x) for i, (r, x) in enumerate(zip(reputations, bound, strict=True))}, depth
    )
