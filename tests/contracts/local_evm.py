"""The EVM alone, with no chain around it: py-evm under Prague rules, exact gas, and a record of what ran."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contract_values import Receipt, RevertedError, decode_log, revert_reason
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth.vm.spoof import SpoofTransaction
from trie.constants import BLANK_NODE_HASH

CHAIN_ID = 31337
GAS = 60_000_000  # a thousand nodes are registered in one transaction, as no chain allows
JUMPI = 0x57


@dataclass
class Record:
    """What ran: (is it creation code, place of the JUMPI, did it jump), and the reasons of all refusals."""

    branches: set[tuple[bool, int, bool]] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)

    def write(self, path: Path) -> None:
        """Keep the record in a file."""
        content = {"branches": sorted(self.branches), "reasons": sorted(self.reasons)}
        path.write_text(json.dumps(content), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record that `write` kept."""
        content = json.loads(path.read_text("utf-8"))
        return cls(
            {(made, place, jumped) for made, place, jumped in content["branches"]}, set(content["reasons"])
        )


class LocalEvm:
    """A chain reduced to its state: `block` is the number that the next call sees; a transaction fills it.

    Unlike a chain it goes back to any block number, keeps its state while it does, and changes its chain id.
    """

    def __init__(self, chain_id: int = CHAIN_ID, block: int = 1, record: Record | None = None) -> None:
        self.block = block
        self.chain_id = chain_id
        self.record = record or Record()
        self._state = _state_class(self.record)(AtomicDB(), self._context(), BLANK_NODE_HASH)

    def transact(self, sender: bytes, to: bytes, data: bytes) -> Receipt:
        """Run one whole transaction, gas as a block would charge it; raise RevertedError if it fails."""
        receipt = self._apply(sender, to, data)
        self.block += 1
        return receipt

    def together(self, calls: Sequence[tuple[bytes, bytes, bytes]]) -> list[Receipt]:
        """Run several transactions (sender, to, data) in one block."""
        receipts = [self._apply(*call) for call in calls]
        self.block += 1
        return receipts

    def call(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        """What a view returns."""
        return self._apply(sender, to, data).output

    def code(self, address: bytes) -> bytes:
        """The code of a contract."""
        return bytes(self._state.get_code(address))

    def load(self, address: bytes, slot: int) -> int:
        """A word of a contract's storage."""
        return int(self._state.get_storage(address, slot))

    def store(self, address: bytes, slot: int, value: int) -> None:
        """Set a word of a contract's storage: for what no number of transactions comes to."""
        self._state.set_storage(address, slot, value)
        self._state.lock_changes()

    def _apply(self, sender: bytes, to: bytes, data: bytes) -> Receipt:
        state = self._state
        state.execution_context = self._context()
        unsigned = PragueTransactionBuilder.create_unsigned_transaction(
            nonce=state.get_nonce(sender), gas_price=0, gas=GAS, to=to, value=0, data=data
        )
        computation = state.apply_transaction(SpoofTransaction(unsigned, from_=sender))
        state.lock_changes()
        if computation.is_error:
            reason = revert_reason(bytes(computation.output))
            self.record.reasons.add(reason)
            raise RevertedError(reason)
        gas = GAS - computation.get_gas_remaining()
        refund = min(computation.get_gas_refund(), gas // 5)
        floor = 21_000 + 10 * (4 * len(data) - 3 * data.count(0)) if to else 0
        entries = computation.get_log_entries()
        logs = tuple(decode_log([t.to_bytes(32, "big") for t in topics], data) for _, topics, data in entries)
        output = computation.output if to else computation.msg.storage_address
        return Receipt(max(gas - refund, floor), logs, bytes(output), self.block)

    def _context(self) -> ExecutionContext:
        return ExecutionContext(
            coinbase=bytes(20),
            timestamp=1_700_000_000 + self.block,
            block_number=self.block,
            difficulty=0,
            mix_hash=bytes(32),
            gas_limit=60_000_000,
            prev_hashes=(),
            chain_id=self.chain_id,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )


def _state_class(record: Record) -> type[PragueState]:
    jumpi = PragueComputation.opcodes[JUMPI]

    def recorded(computation: PragueComputation) -> None:
        after = computation.code.program_counter
        jumpi(computation=computation)
        jumped = computation.code.program_counter != after
        record.branches.add((computation.msg.is_create, after - 1, jumped))

    opcodes = {**PragueComputation.opcodes, JUMPI: recorded}
    computation = type("RecordedComputation", (PragueComputation,), {"opcodes": opcodes})
    return type("RecordedState", (PragueState,), {"computation_class": computation})
