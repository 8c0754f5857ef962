"""py-evm that looks at the clock where code may go on for long: at jumps and calls.

Only what leaves nothing behind is watched. A transaction in a block runs to its end on every machine.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from eth.vm import opcode_values
from eth.vm.forks.prague.computation import PragueComputation

from chain_devnet.errors import LimitExceededError

WATCHED = (
    opcode_values.JUMP,
    opcode_values.JUMPI,
    opcode_values.CALL,
    opcode_values.CALLCODE,
    opcode_values.DELEGATECALL,
    opcode_values.STATICCALL,
)

_Computation: Any = PragueComputation


class _Watched:
    """An opcode that runs only before its computation's deadline."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __call__(self, computation: Any) -> None:
        check_deadline(computation.deadline)
        self._inner(computation=computation)


_OPCODES = _Computation.opcodes | {code: _Watched(_Computation.opcodes[code]) for code in WATCHED}


def check_deadline(deadline: float) -> None:
    """Return if it is before `deadline`, a time of the monotonic clock.

    Raises:
        LimitExceededError: it is not.
    """
    if monotonic() > deadline:
        raise LimitExceededError("execution was stopped because it took too long; give it less gas or work")


def stopped_at(deadline: float) -> Any:
    """A computation class that raises `LimitExceededError` when it runs beyond `deadline`."""
    return type("WatchedComputation", (_Computation,), {"deadline": deadline, "opcodes": _OPCODES})
