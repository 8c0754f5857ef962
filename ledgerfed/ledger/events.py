"""The contract's events as values, each with its place on the chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from ledgerfed.errors import ConfigurationError
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import abi_type
from ledgerfed.ledger.rpc import data, quantity
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transcript import Phase


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
    """The federation was deployed; `windows` are commit, force, score, certify and challenge, in blocks."""

    name: ClassVar[str] = "Genesis"
    at: Place
    config_hash: bytes
    registry_hash: bytes
    model: bytes
    reputations: bytes
    transcript: bytes
    committee: int
    depth: int
    windows: tuple[int, int, int, int, int]
    min_updates: int


@dataclass(frozen=True, slots=True)
class MemberRegistered:
    """A node has this registry index from this epoch on."""

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
    """The round was given up in `phase`, after its deadline."""

    name: ClassVar[str] = "Aborted"
    at: Place
    round: int
    phase: Phase
    transcript: bytes


LedgerEvent = Genesis | MemberRegistered | Sealed | Forced | Scored | Certified | Aborted
_TYPES: tuple[type[LedgerEvent], ...] = (
    Genesis,
    MemberRegistered,
    Sealed,
    Forced,
    Scored,
    Certified,
    Aborted,
)


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
    if name == "phase":
        return Phase(value)
    return data(value) if kind == "address" else value


def _place(log: dict[str, Any], timestamp: int) -> Place:
    return Place(
        block_number=quantity(log["blockNumber"]),
        block_hash=data(log["blockHash"]),
        tx_hash=data(log["transactionHash"]),
        log_index=quantity(log["logIndex"]),
        timestamp=timestamp,
    )
