"""What a call is to see changed: accounts and fields of the block (geth's state and block overrides)."""

from __future__ import annotations

from dataclasses import replace

from chain_devnet.backend import Environment
from chain_devnet.config import MAX_UINT64
from chain_devnet.errors import LimitExceededError
from chain_devnet.rpc import params as read
from chain_devnet.state import StateEdit
from ledgerfed.errors import InvalidValueError

MAX_OVERRIDDEN_SLOTS = 10_000

_BLOCK_FIELDS = {
    "number": "number",
    "time": "timestamp",
    "gasLimit": "gas_limit",
    "coinbase": "coinbase",
    "feeRecipient": "coinbase",
    "random": "mix_hash",
    "prevRandao": "mix_hash",
    "baseFee": "base_fee",
    "baseFeePerGas": "base_fee",
}


def state_overrides(value: object) -> dict[bytes, StateEdit]:
    """The accounts that a call is to see changed (geth's state overrides); absent means none."""
    if value is None:
        return {}
    return {
        read.address(name, "overridden address"): _account_override(read.mapping(entry, "account override"))
        for name, entry in read.mapping(value, "state overrides").items()
    }


def block_overrides(environment: Environment, value: object) -> Environment:
    """`environment` with the fields that a call is to see changed (geth's block overrides)."""
    if value is None:
        return environment
    changes: dict[str, object] = {}
    for name, given in read.mapping(value, "block overrides").items():
        if name not in _BLOCK_FIELDS:
            raise InvalidValueError(
                f"unknown block override {read.shown(name)}; use {', '.join(_BLOCK_FIELDS)}"
            )
        field = _BLOCK_FIELDS[name]
        if field == "coinbase":
            changes[field] = read.address(given, name)
        elif field == "mix_hash":
            changes[field] = read.quantity(given, name).to_bytes(32, "big")
        else:
            changes[field] = read.bounded(given, name, MAX_UINT64)
    return replace(environment, **changes)  # type: ignore[arg-type]  # each field has the type of its kind


def _account_override(entry: dict[str, object]) -> StateEdit:
    unknown = entry.keys() - {"balance", "nonce", "code", "state", "stateDiff"}
    if unknown:
        raise InvalidValueError(f"unknown account override {read.shown(min(unknown))}")
    balance, nonce, code, state, diff = (
        entry.get(name) for name in ("balance", "nonce", "code", "state", "stateDiff")
    )
    if state is not None and diff is not None:
        raise InvalidValueError("an account override has either state or stateDiff, not both")
    words = read.mapping(diff if state is None else state, "storage") if state or diff else {}
    if len(words) > MAX_OVERRIDDEN_SLOTS:
        raise LimitExceededError(f"an account override has at most {MAX_OVERRIDDEN_SLOTS} slots")
    return StateEdit(
        balance=None if balance is None else read.quantity(balance, "balance"),
        nonce=None if nonce is None else read.bounded(nonce, "nonce", MAX_UINT64),
        code=None if code is None else read.data(code, "code"),
        slots={read.slot(key): read.quantity(word, "storage word") for key, word in words.items()},
        wipe=state is not None,
    )
