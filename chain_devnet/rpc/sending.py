"""Methods that send transactions, signed by the client or by an unlocked dev account."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eth_account import Account as Wallet
from eth_hash.auto import keccak

from chain_devnet.calls import estimate_gas
from chain_devnet.chain import Chain
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.fees import SUGGESTED_TIP, next_base_fee
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.rpc.states import affordable, call_of, deadline, input_of


def eth_accounts(chain: Chain, params: Sequence[object]) -> list[str]:
    """The accounts that this chain signs for."""
    read.arguments(params, 0, 0)
    return [account.checksum_address for account in chain.accounts.values()]


def eth_send_raw_transaction(chain: Chain, params: Sequence[object]) -> str:
    """Accept a signed transaction; returns its hash."""
    return views.hex_data(chain.submit(raw_transaction(params)))


def raw_transaction(params: Sequence[object]) -> bytes:
    """The signed bytes that eth_sendRawTransaction was given."""
    (raw,) = read.arguments(params, 1, 1)
    return read.data(raw, "signed transaction")


def eth_send_transaction(chain: Chain, params: Sequence[object]) -> str:
    """Sign a transaction with an unlocked account and accept it; returns its hash.

    What an impersonated account sends carries the signature of a key made up for it, so that its hash is its
    own; nobody looks at that signature.
    """
    (given,) = read.arguments(params, 1, 1)
    fields = read.mapping(given, "transaction")
    sender = read.address(fields.get("from"), "from")
    pretended = sender not in chain.accounts and chain.settings.impersonates(sender)
    key = keccak(b"impersonated" + sender) if pretended else unlocked_key(chain, sender)
    raw = bytes(Wallet.sign_transaction(filled(chain, fields, sender), key).raw_transaction)
    return views.hex_data(chain.submit_as(sender, raw) if pretended else chain.submit(raw))


def unlocked_key(chain: Chain, address: bytes) -> bytes:
    """The private key of an unlocked account.

    Raises:
        TransactionRejectedError: it is not unlocked.
    """
    account = chain.accounts.get(address)
    if account is None:
        raise TransactionRejectedError(f"unknown account 0x{address.hex()}: sign it yourself and send it raw")
    return account.key


def eth_fill_transaction(chain: Chain, params: Sequence[object]) -> views.Json:
    """A transaction with everything filled in that was left out, to be signed elsewhere."""
    (given,) = read.arguments(params, 1, 1)
    fields = read.mapping(given, "transaction")
    sender = read.address(fields.get("from"), "from")
    return {"tx": views.unsigned_transaction_json(filled(chain, fields, sender))}


def filled(chain: Chain, fields: dict[str, object], sender: bytes) -> dict[str, object]:
    """What a wallet signs: the transaction in `fields` with nonce, gas and fees where they were left out."""
    call = call_of(fields, chain.config.gas_limit)
    nonce, gas = fields.get("nonce"), fields.get("gas")
    wanted_chain = fields.get("chainId")
    unsigned: dict[str, object] = {
        "chainId": chain.config.chain_id if wanted_chain is None else read.quantity(wanted_chain, "chainId"),
        "nonce": chain.pending_nonce(sender) if nonce is None else read.quantity(nonce, "nonce"),
        "value": call.value,
        "data": input_of(fields),
    }
    if call.to is not None:
        unsigned["to"] = call.to
    if gas is None:
        view = chain.pending_view()
        unsigned["gas"] = estimate_gas(chain.backend, view, affordable(view, call), deadline())
    else:
        unsigned["gas"] = read.quantity(gas, "gas")
    return unsigned | _fees(chain, fields) | _access_list(fields)


def _fees(chain: Chain, fields: dict[str, object]) -> dict[str, object]:
    price = fields.get("gasPrice")
    if price is not None:
        return {"gasPrice": read.quantity(price, "gasPrice")}
    cap, tip = fields.get("maxFeePerGas"), fields.get("maxPriorityFeePerGas")
    offered = SUGGESTED_TIP if tip is None else read.quantity(tip, "maxPriorityFeePerGas")
    highest = (
        2 * next_base_fee(chain.head.header) + offered if cap is None else read.quantity(cap, "maxFeePerGas")
    )
    return {
        "type": 2,
        "maxFeePerGas": highest,
        "maxPriorityFeePerGas": min(offered, highest) if tip is None else offered,
    }


def _access_list(fields: dict[str, object]) -> dict[str, object]:
    entries = read.access_list(fields.get("accessList"))
    listed = views.access_list_json(entries)
    return {"accessList": listed} if listed else {}


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_accounts": eth_accounts,
    "eth_sendRawTransaction": eth_send_raw_transaction,
    "eth_sendTransaction": eth_send_transaction,
    "eth_fillTransaction": eth_fill_transaction,
}
