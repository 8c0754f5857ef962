"""The contract's events as values, each with its place on the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeAlias, get_args

from ledgerfed.errors import ConfigurationError
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import abi_type
from ledgerfed.ledger.rpc import data, quantity
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands: its block (with the Unix time of its header), transaction and log index."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Genesis:
    """The federation was deployed.

    `windows` are commit, force, score, certify and challenge, in blocks; `committee` are registry indices.
    """

    name: ClassVar[str] = "Genesis"
    at: Place
    config_hash: bytes
    registry_hash: bytes
    model: bytes
    reputations: bytes
    transcript: bytes
    committee: tuple[int, ...]
    depth: int
    windows: tuple[int, int, int, int, int]
    min_updates: int
    leaves_on_chain: bool


@dataclass(frozen=True, slots=True)
class MemberRegistered:
    """A node has this registry index with this key from this epoch on."""

    name: ClassVar[str] = "MemberRegistered"
    at: Place
    index: int
    member: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """The root of n leaves was anchored."""

    name: ClassVar[str] = "Sealed"
    at: Place
    round: int
    root: bytes
    n: int
    relayer: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Forced:
    """Node `index` put its own leaf in."""

    name: ClassVar[str] = "Forced"
    at: Place
    round: int
    index: int
    leaf: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Scored:
    """The root of the score commitments was anchored."""

    name: ClassVar[str] = "Scored"
    at: Place
    round: int
    root: bytes
    relayer: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Certified:
    """A quorum signed the outcome of the round."""

    name: ClassVar[str] = "Certified"
    at: Place
    round: int
    manifest: bytes
    model: bytes
    reputations: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Aborted:
    """The round was given up in `phase`: after its deadline, or DISPUTED, when too few members were left."""

    name: ClassVar[str] = "Aborted"
    at: Place
    round: int
    phase: Phase
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Disputed:
    """A fault that belongs to `round` was proven; `contested`: the certificate of that round fell with it.

    `culprits` is a registry index, or the mask of seats that signed a wrong median.
    """

    name: ClassVar[str] = "Disputed"
    at: Place
    round: int
    fault: Fault
    culprits: int
    proof: bytes
    contested: bool
    transcript: bytes


@dataclass(frozen=True, slots=True)
class EpochProposed:
    """The owner announced what the next epoch changes, in place of an earlier announcement."""

    name: ClassVar[str] = "EpochProposed"
    at: Place
    epoch: int
    change: Change


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """What was announced is in force, from `round` on."""

    name: ClassVar[str] = "EpochOpened"
    at: Place
    epoch: int
    round: int
    config_hash: bytes
    change_hash: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """A key has no part any more from this epoch on: its node left, or has another key now."""

    name: ClassVar[str] = "MemberLeft"
    at: Place
    index: int
    member: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class OwnershipProposed:
    """The owner named who may take over; the zero address takes it back."""

    name: ClassVar[str] = "OwnershipProposed"
    at: Place
    owner: bytes
    successor: bytes


@dataclass(frozen=True, slots=True)
class OwnershipTransferred:
    """Who may propose epochs from now on; the zero address for nobody."""

    name: ClassVar[str] = "OwnershipTransferred"
    at: Place
    previous: bytes
    owner: bytes


LedgerEvent: TypeAlias = (
    Genesis
    | MemberRegistered
    | Sealed
    | Forced
    | Scored
    | Certified
    | Aborted
    | Disputed
    | EpochProposed
    | EpochOpened
    | MemberLeft
    | OwnershipProposed
    | OwnershipTransferred
)
_TYPES: tuple[type[LedgerEvent], ...] = get_args(LedgerEvent)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the values of one event lie in a log: indexed ones in topics, the others in the data."""

    event: type[LedgerEvent]
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]


def decode_events(logs: Iterable[dict[str, Any]], timestamps: dict[bytes, int]) -> tuple[LedgerEvent, ...]:
    """Return the events of the contract's logs in chain order; `timestamps` are by block hash.

    Raises:
        ConfigurationError: a log that the contract cannot have written.
    """
    events = [_decode(log, timestamps[data(log["blockHash"])]) for log in logs]
    return tuple(sorted(events, key=lambda event: (event.at.block_number, event.at.log_index)))


@cache
def _layouts() -> dict[bytes, _Layout]:
    types = {event.name: event for event in _TYPES}
    layouts = {}
    for entry in round_ledger().abi:
        if entry["type"] == "event":
            signature = f"{entry['name']}({','.join(abi_type(i) for i in entry['inputs'])})"
            indexed, plain = (
                tuple((i["name"], abi_type(i)) for i in entry["inputs"] if i["indexed"] is side)
                for side in (True, False)
            )
            layouts[keccak(signature.encode())] = _Layout(types[entry["name"]], indexed, plain)
    return layouts


def _decode(log: dict[str, Any], timestamp: int) -> LedgerEvent:
    from eth_abi.abi import decode

    topics = [data(topic) for topic in log["topics"]]
    layout = _layouts().get(topics[0]) if topics else None
    if layout is None:
        raise ConfigurationError(
            f"log {log['logIndex']} of block {log['blockNumber']} is no event of RoundLedger; wrong address?"
        )
    values = decode([kind for _, kind in layout.indexed], b"".join(topics[1:]))
    values += decode([kind for _, kind in layout.plain], data(log["data"]))
    named = zip(layout.indexed + layout.plain, values, strict=True)
    fields: dict[str, Any] = {name: _value(name, kind, value) for (name, kind), value in named}
    return layout.event(at=_place(log, timestamp), **fields)


def _value(name: str, kind: str, value: Any) -> Any:
    if name in _READ:
        return _READ[name](value)
    return data(value) if kind == "address" else value


_READ: dict[str, Callable[[Any], Any]] = {"phase": Phase, "fault": Fault, "change": Change.from_bytes}


def _place(log: dict[str, Any], timestamp: int) -> Place:
    return Place(
        block_number=quantity(log["blockNumber"]),
        block_hash=data(log["blockHash"]),
        tx_hash=data(log["transactionHash"]),
        log_index=quantity(log["logIndex"]),
        timestamp=timestamp,
    )
