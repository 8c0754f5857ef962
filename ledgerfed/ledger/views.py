"""The contract's views as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledgerfed.errors import ChainUnreachableError, ConfigurationError
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import functions
from ledgerfed.ledger.rpc import JsonRpc, RpcError, data, reverted
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.transcript import Phase


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The packed word of the contract; `end` is a block number and means what the phase says.

    OPEN: the commit window begins after `end`. SEALED: leaves are forced until `end`, scores come after it.
    SCORED: the outcome is certified until `end`.
    """

    round: int
    phase: Phase
    end: int
    n: int
    forced: int
    epoch: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a federation was deployed with; it never changes."""

    config_hash: bytes
    committee: int
    quorum: int
    depth: int
    windows: Windows
    min_updates: int


def read_view(
    rpc: JsonRpc, federation: Federation, name: str, *arguments: object, at: int | None = None
) -> Any:
    """Return the value of a view, now or after block `at`.

    Raises:
        TransactionRevertedError: the contract refuses to answer, with its reason.
    """
    function = functions()[name]
    block = "latest" if at is None else hex(at)
    method, params = _call(federation, function.encode(*arguments), block)
    try:
        return function.decode(data(rpc.call(method, *params)))
    except RpcError as error:
        raise reverted(error, f"the view {name}") from error


def read_state(rpc: JsonRpc, federation: Federation, at: int | None) -> LedgerState:
    """Return the unpacked state, now or after block `at`."""
    number, phase, *rest = read_view(rpc, federation, "state", at=at)
    return LedgerState(number, Phase(phase), *rest)


def read_members(rpc: JsonRpc, federation: Federation) -> tuple[bytes, ...]:
    """Return the addresses of all nodes by registry index."""
    member = functions()["member"]
    count = read_view(rpc, federation, "member_count")
    calls = [_call(federation, member.encode(index), "latest") for index in range(count)]
    return tuple(member.decode(data(answer)) for answer in rpc.batch(calls))


def read_terms(rpc: JsonRpc, federation: Federation) -> Terms:
    """Return what the federation was deployed with."""
    views = ("config_hash", "committee_size", "quorum", "depth", "windows", "min_updates")
    calls = [_call(federation, functions()[view].encode(), "latest") for view in views]
    answers = zip(views, rpc.batch(calls), strict=True)
    config, committee, quorum, depth, windows, fewest = (
        functions()[view].decode(data(answer)) for view, answer in answers
    )
    return Terms(config, committee, quorum, depth, Windows(*windows), fewest)


def read_code(rpc: JsonRpc, federation: Federation) -> bytes:
    """Return the contract's code as the chain has it, immutables included."""
    return data(rpc.call("eth_getCode", to_hex(federation.contract), "latest"))


def require_round_ledger(rpc: JsonRpc, federation: Federation) -> None:
    """Check that the federation's address holds this version's contract.

    Raises:
        ChainUnreachableError: nothing is deployed there.
        ConfigurationError: another contract is.
    """
    address, code = to_hex(federation.contract), read_code(rpc, federation)
    if not code:
        raise ChainUnreachableError(
            f"nothing is deployed at {address} on chain {federation.chain_id} at {rpc.url}; check both"
        )
    if not round_ledger().matches(code):
        raise ConfigurationError(
            f"the contract at {address} on chain {federation.chain_id} is not this version's RoundLedger; "
            "check the address, or install the version of ledgerfed that deployed it"
        )


def _call(federation: Federation, calldata: bytes, block: str) -> tuple[str, tuple[object, ...]]:
    return "eth_call", ({"to": to_hex(federation.contract), "data": to_hex(calldata)}, block)
