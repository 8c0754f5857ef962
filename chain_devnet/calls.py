"""Executions that leave nothing behind: eth_call and eth_estimateGas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eth_abi.abi import decode as decode_abi
from eth_abi.exceptions import DecodingError

from chain_devnet.backend import Call, CallOutcome, Environment, ExecutionBackend, NodeSource
from chain_devnet.errors import ExecutionFailedError
from chain_devnet.state import Layered, StateEdit, edit_state, read_account

ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)
TOLERANCE = 64  # the search ends within 1/64 of the answer


@dataclass(frozen=True, slots=True)
class StateView:
    """A state together with the block in which code on it would run."""

    nodes: NodeSource
    state_root: bytes
    environment: Environment


def overridden(view: StateView, edits: Mapping[bytes, StateEdit]) -> StateView:
    """`view` with some accounts changed, by address; nothing is written."""
    if not edits:
        return view
    nodes, root = edit_state(view.nodes, view.state_root, edits)
    return replace(view, nodes=Layered(nodes, view.nodes), state_root=root)


def run_call(
    backend: ExecutionBackend, view: StateView, call: Call, deadline: float = math.inf
) -> CallOutcome:
    """The outcome of a successful `call` on `view`.

    Raises:
        ExecutionFailedError: it reverted (with the revert data), halted, or the sender lacks the funds.
        LimitExceededError: it ran beyond `deadline`, a time of the monotonic clock.
    """
    view = priced(view, call)
    outcome = backend.call(view.nodes, view.state_root, view.environment, call, deadline)
    if outcome.error == "reverted":
        raise ExecutionFailedError(revert_message(outcome.output), outcome.output, reverted=True)
    if outcome.error is not None:
        raise ExecutionFailedError(f"execution failed: {outcome.error}", b"", reverted=False)
    return outcome


def priced(view: StateView, call: Call) -> StateView:
    """`view` as `call` sees it at the price that it names.

    Raises:
        ExecutionFailedError: the price is too low for the block, or the sender cannot pay it.
    """
    base_fee = view.environment.base_fee
    if call.max_fee == 0:
        # Without a price a call is free, and sees no base fee either (as in geth).
        view = replace(view, environment=replace(view.environment, base_fee=0))
    elif call.max_fee < base_fee:
        message = f"max fee per gas less than block base fee: {call.max_fee} < {base_fee}"
        raise ExecutionFailedError(message, b"", reverted=False)
    balance = read_account(view.nodes, view.state_root, call.sender).balance
    cost = call.value + call.gas * call.max_fee
    if balance < cost:
        raise ExecutionFailedError(
            f"insufficient funds for gas * price + value: 0x{call.sender.hex()} has {balance}, needs {cost}",
            b"",
            reverted=False,
        )
    return view


def estimate_gas(backend: ExecutionBackend, view: StateView, call: Call, deadline: float = math.inf) -> int:
    """The gas limit with which `call` succeeds on `view`; `call.gas` is the most that may be offered.

    One execution at the cap says what was needed before refunds. That is the answer if a second one with
    exactly so much succeeds; code that looks at its remaining gas is searched by bisection.

    Raises:
        ExecutionFailedError: it fails even with all the gas offered.
        LimitExceededError: the search ran beyond `deadline`, a time of the monotonic clock.
    """
    high = call.gas
    low = run_call(backend, view, call, deadline).gas_peak
    if low >= high or _succeeds(backend, view, replace(call, gas=low), deadline):
        return low
    while high - low > max(1, low // TOLERANCE):
        middle = (low + high) // 2
        if _succeeds(backend, view, replace(call, gas=middle), deadline):
            high = middle
        else:
            low = middle
    return high


def revert_message(output: bytes) -> str:
    """One line for revert data: the reason of Error(string), the code of Panic(uint256), or just that."""
    try:
        if output[:4] == ERROR_SELECTOR:
            return f"execution reverted: {decode_abi(['string'], output[4:])[0]}"
        if output[:4] == PANIC_SELECTOR:
            return f"execution reverted: panic code {decode_abi(['uint256'], output[4:])[0]:#x}"
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return "execution reverted"
    return "execution reverted"


def _succeeds(backend: ExecutionBackend, view: StateView, call: Call, deadline: float) -> bool:
    try:
        run_call(backend, view, call, deadline)
    except ExecutionFailedError:
        return False
    return True
