"""eth_createAccessList: which accounts and slots a transaction touches (EIP-2930).

Source: ethereum/execution-apis; geth leaves out the sender, the recipient and the precompiles, whose
addresses are warm anyway, unless slots of theirs are touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from eth_hash.auto import keccak
from rlp import encode

from chain_devnet.backend import Call
from chain_devnet.calls import StateView, priced, revert_message
from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.rpc.states import affordable, call_of, deadline, next_view, override
from chain_devnet.state import read_account
from chain_devnet.tracing import Frame, Machine, Step
from chain_devnet.transaction import AccessList

MAX_ROUNDS = 3  # a list may change what the code does, which changes the list
LAST_PRECOMPILE = 0x11  # EIP-2537, Prague
ADDRESS_PLACES = {
    "BALANCE": 1,
    "EXTCODESIZE": 1,
    "EXTCODECOPY": 1,
    "EXTCODEHASH": 1,
    "SELFDESTRUCT": 1,
    "CALL": 2,
    "CALLCODE": 2,
    "DELEGATECALL": 2,
    "STATICCALL": 2,
}


class AccessRecorder:
    """Records the accounts and slots that opcodes touch (`Recorder`)."""

    def __init__(self) -> None:
        self.touched: dict[bytes, set[int]] = {}

    def step(self, machine: Machine, op: str) -> Step | None:
        """Note what `op` is about to touch."""
        slot = machine.touched_slot(op)
        if slot is not None:
            self.touched.setdefault(slot[0], set()).add(slot[1])
        place = ADDRESS_PLACES.get(op)
        if place is not None and len(words := machine.words()) >= place:
            self.touched.setdefault(words[-place].to_bytes(32, "big")[12:], set())
        return None

    def enter(self, frame: Frame) -> None:
        """Frames are told by the opcodes that make them."""

    def leave(self) -> None:
        """Frames are told by the opcodes that make them."""


def eth_create_access_list(chain: Chain, params: Sequence[object]) -> views.Json:
    """The access list that a transaction could declare, and the gas that it uses with it."""
    fields, block, accounts = read.arguments(params, 1, 3)
    view = override(next_view(chain, block), accounts, None)
    call = affordable(view, call_of(read.mapping(fields, "transaction"), chain.config.gas_limit))
    view, end = priced(view, call), deadline()
    for _ in range(MAX_ROUNDS):
        recorder = AccessRecorder()
        place = (view.nodes, view.state_root, view.environment)
        outcome = chain.backend.trace(*place, (), call, recorder, end)
        found = _listed(recorder.touched, _left_out(view, call))
        if found == call.access_list:
            break
        call = replace(call, access_list=found)
    shown: views.Json = {"accessList": views.access_list_json(call.access_list)}
    if outcome.failed:
        shown["error"] = revert_message(outcome.output)
    return {**shown, "gasUsed": hex(outcome.gas_used)}


def _listed(touched: Mapping[bytes, set[int]], left_out: Collection[bytes]) -> AccessList:
    return tuple(
        (address, tuple(slot.to_bytes(32, "big") for slot in sorted(slots)))
        for address, slots in sorted(touched.items())
        if slots or address not in left_out
    )


def _left_out(view: StateView, call: Call) -> set[bytes]:
    precompiles = {number.to_bytes(20, "big") for number in range(1, LAST_PRECOMPILE + 1)}
    nonce = read_account(view.nodes, view.state_root, call.sender).nonce
    created = keccak(encode([call.sender, nonce]))[12:]
    return precompiles | {call.sender, created if call.to is None else call.to}


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_createAccessList": eth_create_access_list,
}
