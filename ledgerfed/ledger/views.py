"""The contract's views as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from ledgerfed.errors import ChainUnreachableError, ConfigurationError
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import functions
from ledgerfed.ledger.rpc import JsonRpc, RpcError, data, reverted
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.transcript import Phase

NOBODY = bytes(20)
"""The zero address: the owner of a federation that never changes, and the member at a vacant index."""


class Notice(IntEnum):
    """What the contract says of the next epoch."""

    NONE = 0
    ANNOUNCED = 1
    DUE = 2


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The packed word of the contract; `end` is a block number and means what the phase says.

    OPEN: the commit window begins after `end`; until then the last round can be challenged if `signers` is
    not 0. SEALED: leaves are forced until `end`, scores come after it. SCORED: the outcome is certified until
    `end`. `n`, `forced` and `sealer` (a seat) are those of the last seal; `attempt` counts the disputes that
    gave the round a new certify window; `committee` is its size; `signers` and `removed` are masks of seats.
    """

    round: int
    phase: Phase
    end: int
    n: int
    forced: int
    epoch: int
    attempt: int
    committee: int
    min_updates: int
    notice: Notice
    sealer: int
    signers: int
    removed: int

    @property
    def quorum(self) -> int:
        """How many committee members must sign an outcome."""
        return 2 * self.committee // 3 + 1


@dataclass(frozen=True, slots=True)
class RegisteredNode:
    """What the registry says of a key.

    `joined` is the epoch of this key, `last_forced` the last round in which it forced its leaf in (0: never),
    `seat` its place on the committee, None when it has none; `removed`: a challenge took away its part.
    """

    index: int
    joined: int
    last_forced: int
    seat: int | None
    removed: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What no epoch can change about a federation."""

    depth: int
    windows: Windows
    leaves_on_chain: bool


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
    values = read_view(rpc, federation, "state", at=at)
    state = LedgerState(*values)
    return replace(state, phase=Phase(state.phase), notice=Notice(state.notice))


def read_node(rpc: JsonRpc, federation: Federation, address: bytes) -> RegisteredNode:
    """Return what the registry says of an address; raises TransactionRevertedError for a stranger's."""
    index, joined, last_forced, seat, removed = read_view(rpc, federation, "node", address)
    return RegisteredNode(index, joined, last_forced, seat - 1 if seat else None, removed)


def read_members(rpc: JsonRpc, federation: Federation) -> tuple[bytes, ...]:
    """Return the addresses of all nodes by registry index, NOBODY where a node has left."""
    member = functions()["member"]
    count = read_view(rpc, federation, "member_count")
    calls = [_call(federation, member.encode(index), "latest") for index in range(count)]
    return tuple(member.decode(data(answer)) for answer in rpc.batch(calls))


def read_terms(rpc: JsonRpc, federation: Federation) -> Terms:
    """Return what no epoch can change."""
    views = ("depth", "windows", "leaves_on_chain")
    calls = [_call(federation, functions()[view].encode(), "latest") for view in views]
    answers = zip(views, rpc.batch(calls), strict=True)
    depth, windows, on_chain = (functions()[view].decode(data(answer)) for view, answer in answers)
    return Terms(depth, Windows(*windows), on_chain)


def stands_at(rpc: JsonRpc, federation: Federation, transcript: bytes) -> bool:
    """Return whether this is the transcript now."""
    return bytes(read_view(rpc, federation, "transcript")) == transcript


def stood_since_seal(rpc: JsonRpc, federation: Federation, transcript: bytes) -> bool:
    """Return whether the sealed round has had this transcript, on the branch that the chain follows now."""
    state = read_state(rpc, federation, None)
    sealed = state.end - read_terms(rpc, federation).windows.force
    block_filter = {"address": to_hex(federation.contract), "fromBlock": hex(max(0, sealed))}
    logs = rpc.call("eth_getLogs", block_filter | {"toBlock": "latest"})
    return state.phase == Phase.SEALED and any(to_hex(transcript)[2:] in log["data"] for log in logs)


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
