"""What the ledger emitted, as values: one class per event of the contract, each with its place on the chain.

Field names are those of `contracts/RoundLedger.vy`. A document spells an event as one flat object: `name`,
the fields, and the place; hashes, addresses and changes are lower-case hex (docs/protocol.md, "Documents").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import fields, rows
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.federation import require_address
from ledgerfed.protocol.hashing import from_hex, require_hash, require_range, to_hex
from ledgerfed.protocol.transition import (
    Abort,
    Certify,
    Dispute,
    EpochOpening,
    Force,
    Scores,
    Seal,
    Transition,
)

MAX_NUMBER = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the chain an event stands. `timestamp` is the Unix time of the block's header."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int
    timestamp: int

    def __post_init__(self) -> None:
        for name in ("block_number", "log_index", "timestamp"):
            require_range(name, getattr(self, name), 0, MAX_NUMBER)
        require_hash("block_hash", self.block_hash)
        require_hash("tx_hash", self.tx_hash)


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """What all events share: their place. Only the subclasses below are events."""

    at: Place

    def __post_init__(self) -> None:
        for name in _own_fields(type(self)):
            _check(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class MemberRegistered(LedgerEvent):
    """A node got its registry index, or another key for it."""

    index: int
    member: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class MemberLeft(LedgerEvent):
    """A key has no part any more: its node left, or has another key now."""

    index: int
    member: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Genesis(LedgerEvent):
    """The federation began.

    `windows` are commit, force, score, certify and challenge, in blocks; `committee` are registry indices.
    """

    config_hash: bytes
    registry_hash: bytes
    model: bytes
    reputations: bytes
    transcript: bytes
    committee: tuple[int, ...]
    depth: int
    windows: tuple[int, ...]
    min_updates: int
    leaves_on_chain: bool


@dataclass(frozen=True, slots=True)
class Sealed(LedgerEvent):
    """The root of `n` leaves was anchored."""

    round: int
    root: bytes
    n: int
    relayer: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Forced(LedgerEvent):
    """A node put its own leaf in."""

    round: int
    index: int
    leaf: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Scored(LedgerEvent):
    """The root of the score commitments was anchored."""

    round: int
    root: bytes
    relayer: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Certified(LedgerEvent):
    """A round ended with an outcome."""

    round: int
    manifest: bytes
    model: bytes
    reputations: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Aborted(LedgerEvent):
    """A round was given up in `phase`."""

    round: int
    phase: int
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Disputed(LedgerEvent):
    """A fault that belongs to `round` was proven; `contested`: the certificate of that round fell with it.

    `culprits` is a registry index, or the mask of seats that signed a wrong median.
    """

    round: int
    fault: int
    culprits: int
    proof: bytes
    contested: bool
    transcript: bytes


@dataclass(frozen=True, slots=True)
class EpochProposed(LedgerEvent):
    """The owner announced what the next epoch changes, in place of an earlier announcement."""

    epoch: int
    change: Change


@dataclass(frozen=True, slots=True)
class EpochOpened(LedgerEvent):
    """What was announced is in force, from `round` on."""

    epoch: int
    round: int
    config_hash: bytes
    change_hash: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class OwnershipProposed(LedgerEvent):
    """The owner named who may take over; the zero address takes it back."""

    owner: bytes
    successor: bytes


@dataclass(frozen=True, slots=True)
class OwnershipTransferred(LedgerEvent):
    """Who may propose epochs from now on; the zero address for nobody."""

    previous: bytes
    owner: bytes


RoundEvent = Sealed | Forced | Scored | Certified | Aborted | Disputed | EpochOpened
"""The events that extend the transcript."""

EVENTS: Mapping[str, type[LedgerEvent]] = {
    kind.__name__: kind
    for kind in (
        MemberRegistered,
        MemberLeft,
        Genesis,
        Sealed,
        Forced,
        Scored,
        Certified,
        Aborted,
        Disputed,
        EpochProposed,
        EpochOpened,
        OwnershipProposed,
        OwnershipTransferred,
    )
}
_PLACE = tuple(f.name for f in dataclass_fields(Place))
_ADDRESSES = ("member", "relayer")
_NUMBERS = ("index", "epoch", "depth", "min_updates", "round", "n", "phase", "fault", "culprits")
_OWNERS = ("owner", "previous", "successor")
"""Addresses that may be zero, for nobody."""
_FLAGS = ("leaves_on_chain", "contested")
_LISTS = ("committee", "windows")
_WINDOWS = 5


def transition_of(event: RoundEvent) -> Transition:
    """Return how the event extends the transcript; InvalidValueError for what no transition can be."""
    match event:
        case Sealed():
            return Seal(event.round, event.root, event.n)
        case Forced():
            return Force(event.round, event.index, event.leaf)
        case Scored():
            return Scores(event.round, event.root)
        case Certified():
            return Certify(event.round, event.manifest, event.model, event.reputations)
        case Aborted():
            return Abort(event.round, event.phase)
        case Disputed():
            return Dispute(event.round, event.fault, event.culprits, event.proof)
        case EpochOpened():
            return EpochOpening(event.round, event.epoch, event.change_hash)


def event_document(event: LedgerEvent) -> dict[str, Any]:
    """Return the flat document of an event."""
    own = {name: _spell(getattr(event, name)) for name in _own_fields(type(event))}
    place = {name: _spell(getattr(event.at, name)) for name in _PLACE}
    return {"name": type(event).__name__, **own, **place}


def read_event(document: object) -> LedgerEvent:
    """Read the flat document of an event.

    Raises:
        InvalidValueError: an unknown event, unknown or missing keys, or a value out of range.
    """
    name = document.get("name") if isinstance(document, dict) else None
    kind = EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidValueError(f"an event is one of {', '.join(EVENTS)}, got {name!r}")
    record = fields(f"the event {name}", document, ("name", *_own_fields(kind), *_PLACE))
    at = Place(
        record["block_number"],
        from_hex("block_hash", record["block_hash"]),
        from_hex("tx_hash", record["tx_hash"]),
        record["log_index"],
        record["timestamp"],
    )
    return kind(at, **{name: _read(name, record[name]) for name in _own_fields(kind)})


def _own_fields(kind: type[LedgerEvent]) -> tuple[str, ...]:
    return tuple(f.name for f in dataclass_fields(kind) if f.name != "at")


def _check(name: str, value: Any) -> None:
    if name in _NUMBERS:
        require_range(name, value, 0, MAX_NUMBER)
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise InvalidValueError(f"{name} must be true or false, got {value!r}")
    elif name in _LISTS:
        _check_list(name, value)
    elif name == "change":
        if not isinstance(value, Change):
            raise InvalidValueError(f"a change must be a Change, got {value!r}")
    elif name in _OWNERS:
        if not isinstance(value, bytes) or len(value) != 20:
            raise InvalidValueError(f"{name} must be a 20-byte address or zero, got {value!r}")
    else:
        (require_address if name in _ADDRESSES else require_hash)(name, value)


def _check_list(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or (name == "windows" and len(value) != _WINDOWS):
        raise InvalidValueError(f"{name} must be a list, of {_WINDOWS} lengths for windows, got {value!r}")
    for item in value:
        require_range(f"an item of {name}", item, 0, MAX_NUMBER)


def _spell(value: Any) -> Any:
    if isinstance(value, Change):
        return to_hex(value.to_bytes())
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, bool):
        return value
    return list(value) if isinstance(value, tuple) else int(value)


def _read(name: str, value: Any) -> Any:
    if name in _NUMBERS or name in _FLAGS:
        return value
    if name in _LISTS:
        return tuple(rows(name, value))
    if name == "change":
        size = len(value) // 2 - 1 if isinstance(value, str) else 0
        return Change.from_bytes(from_hex(name, value, size))
    return from_hex(name, value, 20 if name in _ADDRESSES + _OWNERS else 32)
