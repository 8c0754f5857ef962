"""Methods that sign with an unlocked dev account: messages (EIP-191), typed data (EIP-712), transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eth_account import Account as Wallet
from eth_account.messages import SignableMessage, encode_defunct, encode_typed_data

from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.rpc.reading import parse
from chain_devnet.rpc.sending import filled, unlocked_key
from chain_devnet.transaction import decode_transaction
from ledgerfed.errors import InvalidValueError


def eth_sign(chain: Chain, params: Sequence[object]) -> str:
    """EIP-191 signature of an unlocked account over some data."""
    address, message = read.arguments(params, 2, 2)
    return _signature(chain, address, encode_defunct(read.data(message, "message")))


def personal_sign(chain: Chain, params: Sequence[object]) -> str:
    """`eth_sign` with its parameters the other way round, as wallets ask."""
    message, address, _password = read.arguments(params, 2, 3)
    return eth_sign(chain, [address, message])


def eth_sign_typed_data(chain: Chain, params: Sequence[object]) -> str:
    """EIP-712 signature of an unlocked account over typed data, given as an object or as its JSON text."""
    address, given = read.arguments(params, 2, 2)
    return _signature(chain, address, _typed(given))


def eth_sign_transaction(chain: Chain, params: Sequence[object]) -> views.Json:
    """Sign a transaction with an unlocked account without sending it."""
    (given,) = read.arguments(params, 1, 1)
    fields = read.mapping(given, "transaction")
    sender = read.address(fields.get("from"), "from")
    key = unlocked_key(chain, sender)
    raw = bytes(Wallet.sign_transaction(filled(chain, fields, sender), key).raw_transaction)
    return {"raw": views.hex_data(raw), "tx": views.transaction_json(decode_transaction(raw, sender))}


def _signature(chain: Chain, address: object, message: SignableMessage) -> str:
    key = unlocked_key(chain, read.address(address))
    return views.hex_data(bytes(Wallet.sign_message(message, key).signature))


def _typed(given: object) -> SignableMessage:
    try:
        document = parse(given.encode()) if isinstance(given, str) else given
        return encode_typed_data(full_message=read.mapping(document, "typed data"))
    except InvalidValueError:
        raise
    except Exception as error:  # the encoder raises whatever a wrong document makes it run into
        reason = " ".join(str(error).split())[:200]
        raise InvalidValueError(f"this is no EIP-712 document: {type(error).__name__}: {reason}") from error


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_sign": eth_sign,
    "personal_sign": personal_sign,
    "eth_signTypedData_v4": eth_sign_typed_data,
    "eth_signTransaction": eth_sign_transaction,
}
