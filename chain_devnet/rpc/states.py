"""Methods that read or run on a state: balances, code, storage, proofs, calls, gas estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

from chain_devnet.backend import Call
from chain_devnet.calls import StateView, estimate_gas, overridden, run_call
from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.state import prove, read_account, read_code, read_slot
from ledgerfed.errors import InvalidValueError

MAX_PROOF_KEYS = 1024
CALL_SECONDS = 10.0

_NO_BLOBS = "this chain takes no blob transactions (EIP-4844)"
_UNSUPPORTED = {
    "authorizationList": "sign the type 4 transaction (EIP-7702) yourself and send it raw",
    "blobs": _NO_BLOBS,
    "blobVersionedHashes": _NO_BLOBS,
    "maxFeePerBlobGas": _NO_BLOBS,
}


def eth_get_balance(chain: Chain, params: Sequence[object]) -> str:
    """Wei that an address owns."""
    address, block = read.arguments(params, 1, 2)
    view = state_view(chain, block)
    return hex(read_account(view.nodes, view.state_root, read.address(address)).balance)


def eth_get_transaction_count(chain: Chain, params: Sequence[object]) -> str:
    """The nonce of an address; at `pending` it counts waiting transactions too."""
    address, block = read.arguments(params, 1, 2)
    if block == "pending":
        return hex(chain.pending_nonce(read.address(address)))
    view = state_view(chain, block)
    return hex(read_account(view.nodes, view.state_root, read.address(address)).nonce)


def eth_get_code(chain: Chain, params: Sequence[object]) -> str:
    """The code at an address."""
    address, block = read.arguments(params, 1, 2)
    view = state_view(chain, block)
    return views.hex_data(read_code(view.nodes, view.state_root, read.address(address)))


def eth_get_storage_at(chain: Chain, params: Sequence[object]) -> str:
    """The 32-byte word in a storage slot."""
    address, slot, block = read.arguments(params, 2, 3)
    view = state_view(chain, block)
    word = read_slot(view.nodes, view.state_root, read.address(address), read.slot(slot))
    return views.hex_data(word.to_bytes(32, "big"))


def eth_get_proof(chain: Chain, params: Sequence[object]) -> views.Json:
    """Merkle proofs of an account and of some of its slots (EIP-1186)."""
    address, keys, block = read.arguments(params, 2, 3)
    if not isinstance(keys, list) or len(keys) > MAX_PROOF_KEYS:
        raise InvalidValueError(f"storage keys must be a list of at most {MAX_PROOF_KEYS}")
    view = state_view(chain, block)
    account = read.address(address)
    proof = prove(view.nodes, view.state_root, account, tuple(read.slot(key) for key in keys))
    return views.proof_json(account, proof)


def eth_call(chain: Chain, params: Sequence[object]) -> str:
    """Run a call on the state after a block, as if it were the last one in it."""
    fields, block, accounts, changes = read.arguments(params, 1, 4)
    view = override(state_view(chain, block), accounts, changes)
    call = call_of(read.mapping(fields, "transaction"), chain.config.gas_limit)
    return views.hex_data(run_call(chain.backend, view, call, deadline()).output)


def eth_estimate_gas(chain: Chain, params: Sequence[object]) -> str:
    """The gas limit that a transaction needs. On the newest state it runs in the next block, as it would."""
    fields, block, accounts, changes = read.arguments(params, 1, 4)
    view = override(next_view(chain, block), accounts, changes)
    call = call_of(read.mapping(fields, "transaction"), chain.config.gas_limit)
    return hex(estimate_gas(chain.backend, view, affordable(view, call), deadline()))


def state_view(chain: Chain, block: object) -> StateView:
    """The state that a block parameter means."""
    header = read.state_header(chain, block)
    return chain.pending_view() if header is None else chain.view(header)


def deadline() -> float:
    """When what begins now must have ended, by the monotonic clock: nobody else is served meanwhile."""
    return monotonic() + CALL_SECONDS


def next_view(chain: Chain, block: object) -> StateView:
    """The state that a transaction would meet: for the newest block, that inside the next one."""
    header = read.state_header(chain, block)
    newest = header is None or header.number == chain.head.header.number
    return chain.pending_view() if newest else state_view(chain, block)


def override(view: StateView, accounts: object, changes: object) -> StateView:
    """`view` with the state overrides and block overrides that a client gave; None leaves it."""
    edited = overridden(view, read.state_overrides(accounts))
    return replace(edited, environment=read.block_overrides(edited.environment, changes))


def call_of(fields: dict[str, object], gas_limit: int) -> Call:
    """The call that a JSON transaction object describes; without a price it costs nothing."""
    _refuse_unsupported(fields)
    price = fields.get("gasPrice")
    cap = fields.get("maxFeePerGas", price)
    tip = fields.get("maxPriorityFeePerGas", price)
    max_fee = 0 if cap is None else read.quantity(cap, "fee per gas")
    sender, to, gas, value = (fields.get(name) for name in ("from", "to", "gas", "value"))
    return Call(
        sender=bytes(20) if sender is None else read.address(sender, "from"),
        to=None if to is None or to == "0x" else read.address(to, "to"),
        gas=gas_limit if gas is None else min(read.quantity(gas, "gas"), gas_limit),
        value=0 if value is None else read.quantity(value, "value"),
        data=input_of(fields),
        max_fee=max_fee,
        max_priority_fee=0 if tip is None else min(read.quantity(tip, "tip per gas"), max_fee),
        access_list=read.access_list(fields.get("accessList")),
    )


def _refuse_unsupported(fields: dict[str, object]) -> None:
    for name, remedy in _UNSUPPORTED.items():
        if fields.get(name):
            raise InvalidValueError(f"{name} is not supported here; {remedy}")


def input_of(fields: dict[str, object]) -> bytes:
    """Call data under its new name `input` or its old one `data`."""
    given = [fields[name] for name in ("input", "data") if fields.get(name) is not None]
    if len(given) == 2 and given[0] != given[1]:
        raise InvalidValueError("a transaction has either input or data, not two different ones")
    return read.data(given[0], "input") if given else b""


def affordable(view: StateView, call: Call) -> Call:
    """`call` with its gas lowered to what the sender can pay at the price that it names."""
    if call.max_fee == 0:
        return call
    balance = read_account(view.nodes, view.state_root, call.sender).balance
    return replace(call, gas=min(call.gas, max(balance - call.value, 0) // call.max_fee))


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_getBalance": eth_get_balance,
    "eth_getTransactionCount": eth_get_transaction_count,
    "eth_getCode": eth_get_code,
    "eth_getStorageAt": eth_get_storage_at,
    "eth_getProof": eth_get_proof,
    "eth_call": eth_call,
    "eth_estimateGas": eth_estimate_gas,
}
