"""What the machine tells while it runs: steps of the struct log and frames of the call tree, in values.

Source: ethereum/execution-apis (debug_traceTransaction, opcode tracer) and geth's callTracer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chain_devnet.block import Log
from chain_devnet.errors import LimitExceededError

MAX_TRACE_BYTES = 64 * 1024 * 1024
MAX_FRAMES = 100_000


@dataclass(slots=True)
class Step:
    """One executed opcode: what it met, and what it cost once it ran. Gas as geth counts it.

    The cost of a call includes the gas that it passes on; the cost of a creation does not.
    """

    pc: int
    op: str
    gas: int
    depth: int
    refund: int
    stack: tuple[int, ...] | None
    memory: bytes | None
    return_data: bytes | None
    storage: Mapping[int, int] | None
    gas_cost: int = 0
    error: str | None = None

    @property
    def size(self) -> int:
        """About how many bytes of JSON it makes."""
        words = len(self.stack or ()) + 2 * len(self.storage or ())
        return 90 + 40 * words + 3 * len(self.memory or b"") + 2 * len(self.return_data or b"")


@dataclass(slots=True)
class Frame:
    """One message call or creation with what came of it; `kind` is the opcode, addresses are 20 bytes."""

    kind: str
    sender: bytes
    to: bytes
    value: int
    gas: int
    input: bytes
    gas_used: int = 0
    output: bytes = b""
    error: str | None = None
    logs: Sequence[Log] = ()
    calls: list[Frame] = field(default_factory=list)


class Machine(Protocol):
    """The running frame, as a recorder may look at it before an opcode runs."""

    def words(self) -> tuple[int, ...]:
        """The words on the stack, top last."""

    def memory_bytes(self) -> bytes:
        """The whole memory."""

    def returned(self) -> bytes:
        """What the last call returned."""

    def touched_slot(self, op: str) -> tuple[bytes, int, int] | None:
        """Contract, slot and word when `op` is SLOAD or SSTORE, else None."""

    def place(self) -> tuple[int, int, int, int]:
        """Program counter, gas left, depth from 1, refund counter."""


class Recorder(Protocol):
    """What is told while code runs."""

    def step(self, machine: Machine, op: str) -> Step | None:
        """An opcode is about to run; the step to be completed, or None when it is not recorded."""

    def enter(self, frame: Frame) -> None:
        """A frame begins; how it ended is known, and in it, when the whole execution has ended."""

    def leave(self) -> None:
        """The frame that began last ends."""


@dataclass(frozen=True, slots=True)
class StructOptions:
    """What the struct log holds; `limit` 0 records every step."""

    stack: bool = True
    storage: bool = True
    memory: bool = False
    return_data: bool = False
    limit: int = 0


class StructRecorder:
    """Records steps, as many as `MAX_TRACE_BYTES` hold beside the `size` of what is told with them."""

    def __init__(self, options: StructOptions, size: int = 0) -> None:
        self.steps: list[Step] = []
        self.size = size
        self._options = options
        self._storage: dict[bytes, dict[int, int]] = {}

    def step(self, machine: Machine, op: str) -> Step | None:
        """Record `op` (`Recorder`).

        Raises:
            LimitExceededError: the trace is too long to be told.
        """
        wanted = self._options
        storage = self._touched(machine, op) if wanted.storage else None
        if 0 < wanted.limit <= len(self.steps):
            return None
        pc, gas, depth, refund = machine.place()
        step = Step(
            pc,
            op,
            gas,
            depth,
            refund,
            machine.words() if wanted.stack else None,
            machine.memory_bytes() if wanted.memory else None,
            machine.returned() if wanted.return_data else None,
            storage,
        )
        self.size += step.size
        if self.size > MAX_TRACE_BYTES:
            raise LimitExceededError(
                f"the trace is longer than {MAX_TRACE_BYTES} bytes after {len(self.steps)} steps; set limit, "
                "or disable stack, memory and storage"
            )
        self.steps.append(step)
        return step

    def enter(self, frame: Frame) -> None:
        """Frames are not recorded (`Recorder`)."""

    def leave(self) -> None:
        """Frames are not recorded (`Recorder`)."""

    def _touched(self, machine: Machine, op: str) -> Mapping[int, int] | None:
        touched = machine.touched_slot(op)
        if touched is None:
            return None
        contract, slot, word = touched
        known = self._storage.setdefault(contract, {})
        known[slot] = word
        return dict(known)


class CallRecorder:
    """Records the tree of frames under `root`, at most `MAX_FRAMES` of them."""

    def __init__(self) -> None:
        self.root: Frame | None = None
        self._open: list[Frame] = []
        self._count = 0

    def step(self, _machine: Machine, _op: str) -> Step | None:
        """Steps are not recorded (`Recorder`)."""
        return None

    def enter(self, frame: Frame) -> None:
        """Record `frame` (`Recorder`).

        Raises:
            LimitExceededError: there are too many to be told.
        """
        self._count += 1
        if self._count > MAX_FRAMES:
            raise LimitExceededError(f"there are more than {MAX_FRAMES} calls; set onlyTopCall")
        if self._open:
            self._open[-1].calls.append(frame)
        else:
            self.root = frame
        self._open.append(frame)

    def leave(self) -> None:
        """The frame that began last ends (`Recorder`)."""
        self._open.pop()


@dataclass(frozen=True, slots=True)
class TraceOutcome:
    """How the traced transaction or call ended."""

    gas_used: int
    failed: bool
    output: bytes
