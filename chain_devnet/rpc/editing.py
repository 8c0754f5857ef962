"""Verbs that change a devnet behind its users' backs, under the names that anvil, hardhat and ganache gave.

They are kept on disk and undone by evm_revert. The header of the newest block keeps the state root that it
was mined with; the next block is built on the changed state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from chain_devnet.chain import Chain
from chain_devnet.config import MAX_UINT64
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.state import StateEdit

Method = Callable[[Chain, Sequence[object]], object]


def set_balance(chain: Chain, params: Sequence[object]) -> bool:
    """Give an address exactly so many wei."""
    address, balance = read.arguments(params, 2, 2)
    chain.edit(read.address(address), StateEdit(balance=read.quantity(balance, "balance")))
    return True


def set_code(chain: Chain, params: Sequence[object]) -> bool:
    """Put code at an address."""
    address, code = read.arguments(params, 2, 2)
    chain.edit(read.address(address), StateEdit(code=read.data(code, "code")))
    return True


def set_nonce(chain: Chain, params: Sequence[object]) -> bool:
    """Set the nonce of an address."""
    address, nonce = read.arguments(params, 2, 2)
    chain.edit(read.address(address), StateEdit(nonce=read.bounded(nonce, "nonce", MAX_UINT64 - 1)))
    return True


def set_storage_at(chain: Chain, params: Sequence[object]) -> bool:
    """Put a 256-bit word into a storage slot."""
    address, slot, word = read.arguments(params, 3, 3)
    slots = {read.slot(slot): read.quantity(word, "storage word")}
    chain.edit(read.address(address), StateEdit(slots=slots))
    return True


def impersonate_account(chain: Chain, params: Sequence[object]) -> bool:
    """Let eth_sendTransaction send for an address whose key nobody has."""
    (address,) = read.arguments(params, 1, 1)
    chain.change_settings(chain.settings.impersonating(read.address(address), True))
    return True


def stop_impersonating_account(chain: Chain, params: Sequence[object]) -> bool:
    """Impersonate an address no longer; false if nobody did."""
    (address,) = read.arguments(params, 1, 1)
    wanted = read.address(address)
    found = wanted in chain.settings.impersonated
    chain.change_settings(chain.settings.impersonating(wanted, False))
    return found


def auto_impersonate_account(chain: Chain, params: Sequence[object]) -> bool:
    """Let eth_sendTransaction send for every address, or only for named ones again."""
    (wanted,) = read.arguments(params, 1, 1)
    chain.change_settings(replace(chain.settings, anyone=read.flag(wanted, "impersonate")))
    return True


def set_coinbase(chain: Chain, params: Sequence[object]) -> bool:
    """Let an address earn the tips of blocks to come."""
    (address,) = read.arguments(params, 1, 1)
    chain.change_settings(replace(chain.settings, coinbase=read.address(address)))
    return True


def drop_transaction(chain: Chain, params: Sequence[object]) -> str | None:
    """Forget a waiting transaction; returns its hash, or null if it does not wait."""
    (tx_hash,) = read.arguments(params, 1, 1)
    wanted = read.block_hash(tx_hash, "transaction hash")
    return views.hex_data(wanted) if chain.drop(wanted) else None


def drop_all_transactions(chain: Chain, params: Sequence[object]) -> bool:
    """Forget all waiting transactions."""
    read.arguments(params, 0, 0)
    for tx in chain.waiting:
        chain.drop(tx.hash)
    return True


def _named(verb: str, method: Method) -> dict[str, Method]:
    return {f"{prefix}_{verb}": method for prefix in ("anvil", "hardhat")}


METHODS: dict[str, Method] = {
    **_named("setBalance", set_balance),
    **_named("setCode", set_code),
    **_named("setNonce", set_nonce),
    **_named("setStorageAt", set_storage_at),
    **_named("impersonateAccount", impersonate_account),
    **_named("stopImpersonatingAccount", stop_impersonating_account),
    "anvil_autoImpersonateAccount": auto_impersonate_account,
    **_named("setCoinbase", set_coinbase),
    **_named("dropTransaction", drop_transaction),
    "anvil_dropAllTransactions": drop_all_transactions,
    "evm_setAccountBalance": set_balance,
    "evm_setAccountCode": set_code,
    "evm_setAccountNonce": set_nonce,
    "evm_setAccountStorageAt": set_storage_at,
}
