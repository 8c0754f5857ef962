"""The rows of the index as values. Blocks are numbers, times are UTC seconds of a block, hashes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import require_hash, require_range

_INT64 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class FederationRecord:
    """A federation that this store indexes; `first_block` is the one that its contract was deployed in."""

    id: int
    federation: Federation
    first_block: int


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """The header of a block, as far as the index needs it."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int

    def __post_init__(self) -> None:
        require_range("a block number", self.number, 0, _INT64)
        require_range("a block time", self.timestamp, 0, _INT64)
        require_hash("a block hash", self.hash)
        require_hash("a parent hash", self.parent_hash)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event of the contract; `arguments` holds integers, booleans, 0x hex and lists of them.

    What belongs to no round (genesis, members, proposals, ownership) has round 0.
    """

    log_index: int
    tx_hash: bytes
    kind: str
    round: int
    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        require_range("a log index", self.log_index, 0, _INT64)
        require_range("the round of an event", self.round, 0, (1 << 32) - 1)
        require_hash("a transaction hash", self.tx_hash)
        if not 0 < len(self.kind) <= 32:
            raise InvalidValueError(f"the kind of an event has 1 to 32 characters, got {self.kind!r}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to which block a federation is indexed, and up to which it is final (-1: nothing is).

    `head` is the newest block of the chain when the index last looked; `trouble` says why it stands still.
    """

    number: int
    hash: bytes
    finalized: int
    head: int
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class TrailRecord:
    """One event of the audit trail with where and when it happened; not `canonical`: a fork took it back."""

    block_number: int
    log_index: int
    block_hash: bytes
    tx_hash: bytes
    kind: str
    round: int
    arguments: Mapping[str, Any]
    timestamp: int
    canonical: bool


@dataclass(frozen=True, slots=True)
class GenesisRecord:
    """What a federation started from. `unfolded`: its configuration was found, so reputations are known."""

    config_hash: bytes
    registry_hash: bytes
    model: bytes
    reputation_root: bytes
    transcript: bytes
    committee: tuple[int, ...]
    depth: int
    windows: tuple[int, int, int, int, int]
    min_updates: int
    block: int
    leaves_on_chain: bool = False
    unfolded: bool = False

    @property
    def challenge_window(self) -> int:
        """For how many blocks a certificate can be voided."""
        return self.windows[4]


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """A registry index and who holds it.

    `address` is the present key, or the last one; `joined` and `left` are epochs. `removed`: a challenge took
    this key's part away while it had no seat; that lasts until it has another key.
    """

    node: int
    address: bytes
    joined: int
    left: int | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A node has this key from an epoch on."""

    node: int
    epoch: int
    address: bytes


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """An epoch, in force from `first_round` on. `change` is None for epoch 0, else its ABI encoding.

    `committee` are registry indices by seat, `removed` is the mask of seats that challenges emptied.
    """

    number: int
    first_round: int
    block: int
    config_hash: bytes
    committee: tuple[int, ...]
    min_updates: int
    transcript: bytes
    change_hash: bytes | None = None
    change: bytes | None = None
    removed: int = 0

    @property
    def quorum(self) -> int:
        """How many of the committee must sign an outcome."""
        return 2 * len(self.committee) // 3 + 1

    @property
    def left(self) -> int:
        """How many of the committee no challenge has removed."""
        return len(self.committee) - self.removed.bit_count()

    def has_removed(self, member: MemberRecord) -> bool:
        """Whether a node has no part in this epoch because of a challenge."""
        if member.node not in self.committee:
            return member.removed
        return bool(self.removed >> self.committee.index(member.node) & 1)


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """What was announced for the next epoch; `due`: the round in which it was announced has ended."""

    epoch: int
    block: int
    change_hash: bytes
    change: bytes
    due: bool = False


@dataclass(frozen=True, slots=True)
class OwnershipRecord:
    """Who may propose epochs, and who may take over; the zero address is nobody."""

    owner: bytes
    successor: bytes
    block: int


@dataclass(frozen=True, slots=True)
class DisputeRecord:
    """A fault that was proven, numbered from 1. `fault` is a `protocol.transition.Fault`.

    `culprits` is as in the event, `nodes` the registry indices that it stands for. `contested`: the
    certificate of `round` fell; `aborted`: too few members were left, and the round ended.
    """

    number: int
    block: int
    epoch: int
    round: int
    fault: int
    culprits: int
    nodes: tuple[int, ...]
    proof: bytes
    contested: bool
    aborted: bool
    transcript: bytes


@dataclass(frozen=True, slots=True)
class FallenRecord:
    """A certificate that a dispute voided: attempt `attempt` of its round.

    `evidence` is known when the manifest is here.
    """

    round: int
    attempt: int
    manifest: bytes
    model: bytes
    reputation_root: bytes
    transcript: bytes
    certified_block: int
    dispute: int
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round as the chain tells it; `phase` is a `protocol.transcript.Phase`.

    `window_end` is `end` of the packed state (docs/protocol.md), which every deadline counts from;
    `opened_at` and `transcript` are the transcript as the seal finds it and after the round's last event.
    `attempt` counts the disputes that gave it a new certify window. `evidence` is known once the manifest was
    found, `unfolded` when updates, scores and reputations are in their tables.
    """

    number: int
    phase: int
    opened_at: bytes
    base_model: bytes
    opened_block: int
    window_end: int
    transcript: bytes
    root: bytes | None = None
    n: int | None = None
    sealed_block: int | None = None
    forced: int = 0
    score_root: bytes | None = None
    scored_block: int | None = None
    manifest: bytes | None = None
    evidence: bytes | None = None
    model: bytes | None = None
    reputation_root: bytes | None = None
    ended_block: int | None = None
    aborted_in: int | None = None
    epoch: int = 0
    attempt: int = 0
    unfolded: bool = False


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """One validator's signature over the transcript that an attempt of a round ended with."""

    round: int
    attempt: int
    validator: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """One node in one round: its leaf, its opening if it came, and the verdict with the scores it heard."""

    round: int
    node: int
    leaf: bytes | None
    forced: bool
    deadline: int | None
    signature: bytes | None
    base_model: bytes | None
    update_hash: bytes | None
    n_samples: int | None
    schema: bytes | None
    salt: bytes | None
    reason: str
    score: int | None
    weight: int
    measures: Mapping[str, int]
    heard: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """One validator's score commitment and, when it was revealed, its vector by registry position."""

    round: int
    validator: int
    commitment: bytes
    signature: bytes
    salt: bytes | None
    scores: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class ReputationRecord:
    """The reputation of a node after a round; round 0 is genesis."""

    round: int
    node: int
    a: int
    b: int
    va: int
    vb: int
    quarantined_until: int
