"""py-evm with a recorder looking on: opcodes and frames are wrapped, the logic is py-evm's own."""

from __future__ import annotations

from typing import Any

from eth.exceptions import (
    FullStack,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfGas,
    Revert,
    VMError,
    WriteProtection,
)
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.logic.invalid import InvalidOpcode

from chain_devnet.block import Log
from chain_devnet.pyevm_deadline import WATCHED, check_deadline
from chain_devnet.tracing import Frame, Recorder

CREATIONS = ("CREATE", "CREATE2")
RENAMED = {"SHA3": "KECCAK256"}
WORDS: dict[type[VMError], str] = {
    Revert: "execution reverted",
    OutOfGas: "out of gas",
    InvalidJumpDestination: "invalid jump destination",
    InvalidInstruction: "invalid opcode",
    InsufficientStack: "stack underflow",
    FullStack: "stack limit reached",
    WriteProtection: "write protection",
}

_Computation: Any = PragueComputation


class TracedComputation(_Computation):  # type: ignore[misc]  # py-evm's classes have no types here
    """A Prague computation that tells what it does; `traced_by` makes a class for each execution.

    A frame lives between `__enter__` and `__exit__`: py-evm opens every computation with `with`.
    """

    recorder: Recorder
    deadline: float
    open_frames: list[TracedComputation]
    told: list[tuple[Frame, TracedComputation]]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.op = ""
        self.asked = 0  # gas that the current opcode asked for, granted or not
        self.lent = 0  # gas of it that went to a creation
        self.settled_refund = 0
        self.outer_refund = self.msg.refund
        charge = self._gas_meter.consume_gas

        def consume_gas(amount: int, reason: str) -> None:
            self.asked += amount
            charge(amount, reason)

        self._gas_meter.consume_gas = consume_gas

    def __enter__(self) -> TracedComputation:
        super().__enter__()
        parent = self.open_frames[-1] if self.open_frames else None
        if parent is not None:
            self.outer_refund += parent.refund
            parent.lent = self.msg.gas if self.msg.is_create else 0
        frame = _frame(self.msg, None if parent is None else parent.op)
        self.recorder.enter(frame)
        self.told.append((frame, self))
        self.open_frames.append(self)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        suppressed = super().__exit__(kind, error, trace)
        self.open_frames.pop()
        self.recorder.leave()
        if self.open_frames and self.is_success:
            self.open_frames[-1].settled_refund += self._gas_meter.gas_refunded + self.settled_refund
        return suppressed

    @property
    def refund(self) -> int:
        """The transaction's refund counter so far."""
        return int(self.outer_refund + self.settled_refund + self._gas_meter.gas_refunded)

    def words(self) -> tuple[int, ...]:
        """The words on the stack (`Machine`)."""
        return tuple(_word(value) for value in self._stack.values)

    def memory_bytes(self) -> bytes:
        """The whole memory (`Machine`)."""
        return bytes(self._memory._bytes)

    def returned(self) -> bytes:
        """What the last call returned (`Machine`)."""
        return bytes(self.return_data)

    def place(self) -> tuple[int, int, int, int]:
        """Program counter, gas left, depth from 1, refund counter (`Machine`)."""
        pc = max(self.code.program_counter - 1, 0)
        return pc, self._gas_meter.gas_remaining, self.msg.depth + 1, self.refund

    def touched_slot(self, op: str) -> tuple[bytes, int, int] | None:
        """Contract, slot and word when `op` is SLOAD or SSTORE (`Machine`)."""
        values = self._stack.values
        contract = bytes(self.msg.storage_address)
        if op == "SLOAD" and values:
            slot = _word(values[-1])
            return contract, slot, int(self.state.get_storage(contract, slot))
        if op == "SSTORE" and len(values) > 1:
            return contract, _word(values[-1]), _word(values[-2])
        return None


class _TracedOpcode:
    """An opcode that tells the recorder what it is about to do, and what it cost."""

    def __init__(self, inner: Any, name: str, watched: bool = False) -> None:
        self._inner = inner
        self._name = name
        self._watched = watched

    def __call__(self, computation: TracedComputation) -> None:
        if self._watched:
            check_deadline(computation.deadline)
        computation.op = self._name
        computation.asked = computation.lent = 0
        step = computation.recorder.step(computation, self._name)
        try:
            self._inner(computation=computation)
        except VMError as error:
            if step is not None:
                step.error = error_words(error)
            raise
        finally:
            if step is not None:
                step.gas_cost = computation.asked - computation.lent


class _Opcodes(dict[int, _TracedOpcode]):
    """The traced opcodes; what is none is traced too."""

    def __missing__(self, code: int) -> _TracedOpcode:
        name = "INVALID" if code == 0xFE else f"opcode {code:#x} not defined"
        self[code] = _TracedOpcode(InvalidOpcode(code), name)
        return self[code]


def _mnemonic(opcode: Any) -> str:
    name = str(getattr(opcode, "mnemonic", None) or opcode.__wrapped__.mnemonic)
    return RENAMED.get(name, name)


_OPCODES = _Opcodes(
    {
        code: _TracedOpcode(opcode, _mnemonic(opcode), code in WATCHED)
        for code, opcode in _Computation.opcodes.items()
    }
)


def traced_by(recorder: Recorder, deadline: float) -> type[TracedComputation]:
    """A computation class for one execution that `recorder` looks on, until `deadline`."""
    members = {
        "recorder": recorder,
        "deadline": deadline,
        "open_frames": [],
        "told": [],
        "opcodes": _OPCODES,
    }
    return type("TracedComputation", (TracedComputation,), members)


def complete_frames(machine: type[TracedComputation]) -> None:
    """Write into the frames that were told how each of them ended."""
    for frame, computation in machine.told:
        frame.gas_used = computation.get_gas_used()
        frame.output = bytes(computation.output)
        frame.error = error_words(computation.error) if computation.is_error else None
        frame.logs = [
            Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
            for _, address, topics, data in (computation._log_entries if computation.is_success else ())
        ]


def error_words(error: VMError) -> str:
    """What geth would say of an error of the machine, or words made of its name."""
    name = type(error).__name__
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return WORDS.get(type(error), spaced)


def _frame(message: Any, op: str | None) -> Frame:
    create = message.is_create
    return Frame(
        kind=op if op is not None else "CREATE" if create else "CALL",
        sender=bytes(message.sender),
        to=bytes(message.storage_address if create else message.code_address),
        value=message.value,
        gas=message.gas,
        input=bytes(message.code if create else message.data),
    )


def _word(value: int | bytes) -> int:
    return value if isinstance(value, int) else int.from_bytes(value, "big")
