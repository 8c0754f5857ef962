"""The execution backend on py-evm's Prague machine.

Only the machine is py-evm's: headers, receipts, roots and storage are this package's own, because
py-evm's chain database keeps gap records that a rewind corrupts and builds a block in quadratic time when
transactions come one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth.db.backends.base import BaseAtomicDB
from eth.exceptions import PyEVMError, Revert
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.state import PragueState
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_utils.exceptions import ValidationError

from chain_devnet.backend import Call, CallOutcome, Environment, Execution, NodeSource
from chain_devnet.block import EMPTY_TRIE_ROOT, Log, Receipt
from chain_devnet.journal import JournaledAccounts
from chain_devnet.pyevm_deadline import stopped_at
from chain_devnet.pyevm_tracing import complete_frames, error_words, traced_by
from chain_devnet.tracing import Recorder, TraceOutcome
from chain_devnet.transaction import Transaction


class NodeOverlay(BaseAtomicDB):
    """Reads through to a node source and keeps every write to itself, in `written`."""

    def __init__(self, source: NodeSource) -> None:
        self._source = source
        self.written: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.written.get(key)
        if value is None:
            value = self._source.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: bytes, default: Any = None) -> Any:
        """The bytes under `key` (`NodeSource`)."""
        value = self.written.get(key)
        if value is None:
            value = self._source.get(key)
        return default if value is None else value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.written[key] = value

    def __delitem__(self, key: bytes) -> None:
        # Older blocks may still refer to the node, so a delete only takes back what was written here.
        self.written.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        return key in self.written or self._source.get(key) is not None

    @contextmanager
    def atomic_batch(self) -> Iterator[Any]:
        """py-evm's write batch; atomicity comes from the store that takes the whole overlay."""
        yield self


@dataclass(frozen=True, slots=True)
class _UnsignedCall:
    """The attributes that py-evm's executor reads from a transaction, without a signature."""

    sender: bytes
    to: bytes
    nonce: int
    gas: int
    value: int
    data: bytes
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...]
    intrinsic_gas: int
    type_id: int = 2


class PyEvmBackend:
    """Prague rules by py-evm (`ExecutionBackend`)."""

    def genesis(self, balances: Mapping[bytes, int]) -> Execution:
        """The state in which each address owns its balance in wei and nothing else exists."""
        overlay = NodeOverlay({})
        state = _state(overlay, _GENESIS_ENVIRONMENT, EMPTY_TRIE_ROOT)
        for address, balance in balances.items():
            state.set_balance(address, balance)
        state.persist()
        return Execution(state.state_root, overlay.written, (), (), (), ())

    def execute(
        self,
        nodes: NodeSource,
        state_root: bytes,
        environment: Environment,
        transactions: Sequence[Transaction],
    ) -> Execution:
        """Apply `transactions` in one pass over one state (see `ExecutionBackend`)."""
        overlay = NodeOverlay(nodes)
        state = _state(overlay, environment, state_root)
        included: list[Transaction] = []
        receipts: list[Receipt] = []
        rejected: list[tuple[Transaction, str]] = []
        left_over: list[Transaction] = []
        waiting: set[bytes] = set()
        cumulative = 0
        for tx in transactions:
            if tx.sender in waiting or cumulative + tx.gas > environment.gas_limit:
                # A sender's later nonces cannot go in before the one that does not.
                waiting.add(tx.sender)
                left_over.append(tx)
                continue
            try:
                receipt = _apply(state, tx, cumulative, environment.base_fee)
            except (ValidationError, PyEVMError) as error:
                rejected.append((tx, str(error)))
                waiting.add(tx.sender)
                continue
            included.append(tx)
            receipts.append(receipt)
            cumulative = receipt.cumulative_gas
        state.persist()
        return Execution(
            state.state_root,
            overlay.written,
            tuple(included),
            tuple(receipts),
            tuple(rejected),
            tuple(left_over),
        )

    def call(
        self,
        nodes: NodeSource,
        state_root: bytes,
        environment: Environment,
        call: Call,
        deadline: float = math.inf,
    ) -> CallOutcome:
        """Run `call` on a throw-away state (see `ExecutionBackend`)."""
        state = _state(NodeOverlay(nodes), environment, state_root)
        if deadline < math.inf:
            state.computation_class = stopped_at(deadline)
        unsigned = _unsigned(state, call)
        if unsigned.gas < unsigned.intrinsic_gas:
            return CallOutcome(b"", 0, unsigned.intrinsic_gas, "intrinsic gas too low", ())
        computation = _computed(state, unsigned)
        used = _gas_used(unsigned, computation)
        peak = max(unsigned.gas - computation.get_gas_remaining(), used)
        return CallOutcome(
            bytes(computation.output), used, peak, _error_of(computation), _logs_of(computation)
        )

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
        """Run `traced` after `before` while `recorder` looks on (see `ExecutionBackend`)."""
        state = _state(NodeOverlay(nodes), environment, state_root)
        for tx in before:
            _applied(state, tx)
        machine = state.computation_class = traced_by(recorder, deadline)
        if isinstance(traced, Transaction):
            whole, computation = _applied(state, traced)
        else:
            whole = _unsigned(state, traced)
            if whole.gas < whole.intrinsic_gas:
                return TraceOutcome(0, failed=True, output=b"")
            computation = _computed(state, whole)
        complete_frames(machine)
        return TraceOutcome(_gas_used(whole, computation), computation.is_error, bytes(computation.output))


_GENESIS_ENVIRONMENT = Environment(1, 0, 0, bytes(20), bytes(32), 30_000_000, 0, lambda: iter(()))


class _State(PragueState):
    """Prague's state over accounts that are journaled in memory."""

    account_db_class = JournaledAccounts


def _state(nodes: NodeOverlay, environment: Environment, state_root: bytes) -> Any:
    # py-evm names its bytes Address and Hash32; `machine` keeps those names out of this package.
    machine: Any = _State
    context: Any = ExecutionContext
    return machine(
        nodes,
        context(
            coinbase=environment.coinbase,
            timestamp=environment.timestamp,
            block_number=environment.number,
            difficulty=0,
            mix_hash=environment.mix_hash,
            gas_limit=environment.gas_limit,
            prev_hashes=environment.ancestors(),
            chain_id=environment.chain_id,
            base_fee_per_gas=environment.base_fee,
            excess_blob_gas=0,
        ),
        state_root,
    )


def _gas_used(tx: Any, computation: Any) -> int:
    return int(PragueVM.finalize_gas_used(tx, computation))


def _applied(state: Any, tx: Transaction) -> tuple[Any, Any]:
    """py-evm's transaction and its computation, after `tx` ran on `state`."""
    signed: Any = PragueTransactionBuilder.decode(tx.raw)
    # The sender was recovered when the transaction came in; recovery costs more than a transfer.
    # An impersonated sender has no signature, so it must not be looked at either.
    signed.__dict__["sender"] = tx.sender
    signed.__dict__["check_signature_validity"] = _accepted_already
    state.lock_changes()
    return signed, state.apply_transaction(signed)


def _accepted_already() -> None:
    """The signature was checked when the transaction was accepted."""


def _computed(state: Any, unsigned: _UnsignedCall) -> Any:
    executor = state.get_transaction_executor()
    message = executor.build_evm_message(unsigned)
    return executor.finalize_computation(unsigned, executor.build_computation(message, unsigned))


def _apply(state: Any, tx: Transaction, cumulative: int, base_fee: int) -> Receipt:
    signed, computation = _applied(state, tx)
    gas_used = _gas_used(signed, computation)
    return Receipt(
        kind=tx.kind,
        status=0 if computation.is_error else 1,
        gas_used=gas_used,
        cumulative_gas=cumulative + gas_used,
        effective_gas_price=tx.effective_gas_price(base_fee),
        created=bytes(computation.msg.storage_address) if tx.to is None else None,
        logs=_logs_of(computation),
    )


def _unsigned(state: Any, call: Call) -> _UnsignedCall:
    builder: Any = PragueTransactionBuilder
    access_list = tuple(
        (address, tuple(int.from_bytes(slot, "big") for slot in slots)) for address, slots in call.access_list
    )
    shape = builder.new_unsigned_access_list_transaction(
        1, 0, 0, 0, call.to or b"", 0, call.data, access_list
    )
    return _UnsignedCall(
        sender=call.sender,
        to=call.to or b"",
        nonce=state.get_nonce(call.sender),
        gas=call.gas,
        value=call.value,
        data=call.data,
        max_fee_per_gas=call.max_fee,
        max_priority_fee_per_gas=call.max_priority_fee,
        access_list=access_list,
        intrinsic_gas=shape.intrinsic_gas,
    )


def _error_of(computation: Any) -> str | None:
    if not computation.is_error:
        return None
    if isinstance(computation.error, Revert):
        return "reverted"
    return error_words(computation.error)


def _logs_of(computation: Any) -> tuple[Log, ...]:
    return tuple(
        Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
        for address, topics, data in computation.get_log_entries()
    )
