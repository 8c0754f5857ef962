"""What the ledger emitted, as values: one class per event of the contract, each with its place on the chain.

Field names are those of `contracts/RoundLedger.vy`. A document spells an event as one flat object: `name`,
the fields, and the place; hashes and addresses are lower-case hex (docs/protocol.md, "Documents").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import fields, rows
from ledgerfed.protocol.federation import require_address
from ledgerfed.protocol.hashing import from_hex, require_hash, require_range, to_hex

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
    """A node got its registry index."""

    index: int
    member: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Genesis(LedgerEvent):
    """The federation began; `windows` are commit, force, score, certify and challenge, in blocks."""

    config_hash: bytes
    registry_hash: bytes
    model: bytes
    reputations: bytes
    transcript: bytes
    committee: int
    depth: int
    windows: tuple[int, ...]
    min_updates: int


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


RoundEvent = Sealed | Forced | Scored | Certified | Aborted

EVENTS: Mapping[str, type[LedgerEvent]] = {
    kind.__name__: kind for kind in (MemberRegistered, Genesis, Sealed, Forced, Scored, Certified, Aborted)
}
_PLACE = tuple(f.name for f in dataclass_fields(Place))
_ADDRESSES = ("member", "relayer")
_NUMBERS = ("index", "epoch", "committee", "depth", "min_updates", "round", "n", "phase")
_WINDOWS = 5


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
    elif name == "windows":
        if not isinstance(value, tuple) or len(value) != _WINDOWS:
            raise InvalidValueError(f"windows are {_WINDOWS} lengths in blocks, got {value!r}")
        for window in value:
            require_range("a window", window, 0, MAX_NUMBER)
    else:
        (require_address if name in _ADDRESSES else require_hash)(name, value)


def _spell(value: Any) -> Any:
    if isinstance(value, bytes):
        return to_hex(value)
    return list(value) if isinstance(value, tuple) else int(value)


def _read(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return value
    if name == "windows":
        return tuple(rows(name, value))
    return from_hex(name, value, 20 if name in _ADDRESSES else 32)
