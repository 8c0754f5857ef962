"""The seam to the EVM: what the chain asks of an execution engine, in values that are its own.

A backend holds nothing. State lives in a node source (32-byte hash to trie node or code); an execution
returns the nodes that it would write, and whoever owns the store decides whether to keep them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain_devnet.block import Header, Log, Receipt
from chain_devnet.tracing import Recorder, TraceOutcome
from chain_devnet.transaction import AccessList, Transaction


class NodeSource(Protocol):
    """Where trie nodes and contract code are read from, by keccak-256 hash."""

    def get(self, key: bytes) -> bytes | None:
        """The bytes under `key`, or None when they are unknown."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The block that code sees while it runs. `ancestors` yields parent hashes, newest first."""

    chain_id: int
    number: int
    timestamp: int
    coinbase: bytes
    mix_hash: bytes
    gas_limit: int
    base_fee: int
    ancestors: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """An unsigned execution that leaves nothing behind: eth_call and eth_estimateGas."""

    sender: bytes
    to: bytes | None
    gas: int
    value: int = 0
    data: bytes = b""
    max_fee: int = 0
    max_priority_fee: int = 0
    access_list: AccessList = ()


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended. `gas_peak` is the gas that must be provided, before refunds come back.

    `error` is None on success, "reverted" after REVERT, otherwise what halted the machine.
    """

    output: bytes
    gas_used: int
    gas_peak: int
    error: str | None
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Execution:
    """The effect of a list of transactions on a state: nothing is written until a store takes `nodes`."""

    state_root: bytes
    nodes: Mapping[bytes, bytes]
    included: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]
    rejected: tuple[tuple[Transaction, str], ...]
    left_over: tuple[Transaction, ...]

    @property
    def gas_used(self) -> int:
        """Gas of all included transactions."""
        return self.receipts[-1].cumulative_gas if self.receipts else 0


class ExecutionBackend(Protocol):
    """An EVM under Prague rules."""

    def genesis(self, balances: Mapping[bytes, int]) -> Execution:
        """The state in which each address owns its balance in wei and nothing else exists."""

    def execute(
        self,
        nodes: NodeSource,
        state_root: bytes,
        environment: Environment,
        transactions: Sequence[Transaction],
    ) -> Execution:
        """Apply `transactions` in order; invalid ones are set aside with a reason, never raised.

        What does not fit under the block gas limit any more is left over for the next block.
        """

    def call(
        self,
        nodes: NodeSource,
        state_root: bytes,
        environment: Environment,
        call: Call,
        deadline: float = math.inf,
    ) -> CallOutcome:
        """Run `call` on the state; failures of the code are in the outcome, never raised.

        Raises:
            LimitExceededError: it runs beyond `deadline`, a time of the monotonic clock.
        """

    def trace(
        self,
        nodes: NodeSource,
        state_root: bytes,
        environment: Environment,
        before: Sequence[Transaction],
        traced: Transaction | Call,
        recorder: Recorder,
        deadline: float = math.inf,
    ) -> TraceOutcome:
        """Run `traced` on a throw-away state in which `before` ran first, while `recorder` looks on.

        Raises:
            LimitExceededError: the recorder cannot hold what it sees, or `traced` runs beyond `deadline`.
        """


def environment_of(header: Header, chain_id: int, ancestors: Callable[[], Iterator[bytes]]) -> Environment:
    """The environment in which the block under `header` ran."""
    return Environment(
        chain_id=chain_id,
        number=header.number,
        timestamp=header.timestamp,
        coinbase=header.coinbase,
        mix_hash=header.mix_hash,
        gas_limit=header.gas_limit,
        base_fee=header.base_fee,
        ancestors=ancestors,
    )
