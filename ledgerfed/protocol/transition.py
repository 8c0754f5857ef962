"""What moves a federation on the ledger, as values: kind, round and fields, which the transcript hashes.

A tail is the concatenated steps of successive transitions; a challenge brings one to the contract, the
evidence of a round holds one (docs/protocol.md, "Transcript" and "Challenges").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar, TypeAlias

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import keccak, require_hash, require_range, word

ROUND_MAX = (1 << 32) - 1


class Fault(IntEnum):
    """What a culprit is proven to have done."""

    TWO_LEAVES = 1
    TWO_RECEIPTS = 2
    TWO_COMMITMENTS = 3
    TWO_CERTIFICATES = 4
    BROKEN_RECEIPT = 5
    DOUBLED_INDEX = 6
    WRONG_MEDIAN = 7


@dataclass(frozen=True, slots=True)
class _Step:
    kind: ClassVar[int]
    first_round: ClassVar[int] = 1
    round: int

    def __post_init__(self) -> None:
        require_range("the round of a transition", self.round, self.first_round, ROUND_MAX)
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if isinstance(value, bytes):
                require_hash(f"{field.name} of a transition", value)
            else:
                require_range(f"{field.name} of a transition", value, 0, (1 << 256) - 1)

    def step(self) -> bytes:
        """Return `word(kind) ‖ word(round) ‖ fields`."""
        values = (getattr(self, field.name) for field in fields(self))
        return word(self.kind) + b"".join(v if isinstance(v, bytes) else word(v) for v in values)

    def after(self, t: bytes) -> bytes:
        """Return the transcript after this transition."""
        return keccak(require_hash("the transcript", t) + self.step())


@dataclass(frozen=True, slots=True)
class Seal(_Step):
    """The relayer anchored the root of n leaves."""

    kind: ClassVar[int] = 1
    root: bytes
    n: int


@dataclass(frozen=True, slots=True)
class Force(_Step):
    """Node `index` put its own leaf in."""

    kind: ClassVar[int] = 2
    index: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Scores(_Step):
    """The root of the score commitments was anchored."""

    kind: ClassVar[int] = 3
    root: bytes


@dataclass(frozen=True, slots=True)
class Certify(_Step):
    """A quorum certified an outcome."""

    kind: ClassVar[int] = 4
    manifest: bytes
    model: bytes
    reputations: bytes


@dataclass(frozen=True, slots=True)
class Dispute(_Step):
    """A fault was proven. `culprits` is a registry index, or the mask of seats that signed a wrong median.

    The round is the one that the convicting statements name, which may be one that never was: 0.
    """

    kind: ClassVar[int] = 5
    first_round: ClassVar[int] = 0
    fault: int
    culprits: int
    proof: bytes

    def indices(self, committee: tuple[int, ...]) -> frozenset[int]:
        """Return the registry indices of the culprits, for the committee (indices by seat) of that epoch."""
        if self.fault != Fault.WRONG_MEDIAN:
            return frozenset({self.culprits})
        return frozenset(index for seat, index in enumerate(committee) if self.culprits >> seat & 1)


@dataclass(frozen=True, slots=True)
class Abort(_Step):
    """The round was given up in `phase`."""

    kind: ClassVar[int] = 6
    phase: int


@dataclass(frozen=True, slots=True)
class EpochOpening(_Step):
    """A new epoch began with the change of this hash."""

    kind: ClassVar[int] = 7
    epoch: int
    change: bytes


Transition: TypeAlias = Seal | Force | Scores | Certify | Dispute | Abort | EpochOpening
KINDS: Mapping[int, type[Transition]] = {
    kind.kind: kind for kind in (Seal, Force, Scores, Certify, Dispute, Abort, EpochOpening)
}


def tail_of(transitions: Iterable[Transition]) -> bytes:
    """Return the tail of successive transitions."""
    return b"".join(item.step() for item in transitions)


def parse_tail(tail: bytes) -> tuple[Transition, ...]:
    """Read a tail.

    Raises:
        InvalidValueError: an unknown kind, a value out of range, or bytes that are left over.
    """
    found: list[Transition] = []
    at = 0
    while at < len(tail):
        number = int.from_bytes(tail[at : at + 32], "big")
        kind = KINDS.get(number)
        if kind is None:
            raise InvalidValueError(f"byte {at} of the tail begins no transition")
        names = [(field.name, field.type) for field in fields(kind)]
        end = at + 32 * (1 + len(names))
        if end > len(tail):
            raise InvalidValueError(f"the tail ends within the transition at byte {at}")
        words = [tail[k : k + 32] for k in range(at + 32, end, 32)]
        values: dict[str, Any] = {
            name: value if of == "bytes" else int.from_bytes(value, "big")
            for (name, of), value in zip(names, words, strict=True)
        }
        found.append(kind(**values))
        at = end
    return tuple(found)
