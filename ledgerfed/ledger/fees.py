"""What a transaction offers for its gas, and what a replacement has to offer.

A chain with a base fee takes EIP-1559 fees, any other a gas price (EIP-155 transactions); a chain whose gas
is free takes zero. Nodes replace a waiting transaction when every fee of the new one is at least a tenth
higher (the default of geth and Besu), so an eighth is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import StoreError
from ledgerfed.ledger.rpc import JsonRpc, RpcError, quantity
from ledgerfed.protocol.hashing import to_hex

DEFAULT_TIP = 10**9
_DYNAMIC_FEE = 2


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: `most` is what is paid at most, `tip` what the block's producer gets of it.

    `tip` is None where the chain knows no base fee: then `most` is the gas price.
    """

    most: int
    tip: int | None = None

    def fields(self) -> dict[str, int]:
        """Return the fields of a transaction."""
        if self.tip is None:
            return {"gasPrice": self.most}
        return {"type": _DYNAMIC_FEE, "maxFeePerGas": self.most, "maxPriorityFeePerGas": self.tip}


@dataclass(frozen=True, slots=True)
class SignedCall:
    """What a signed transaction says: its fees, its gas limit and its calldata."""

    fees: Fees
    gas: int
    data: bytes


def present_fees(rpc: JsonRpc, sender: bytes) -> Fees:
    """Return what the chain asks for now: twice the base fee and a tip, or its gas price.

    A sender without money offers nothing where the base fee is zero: nodes suggest a tip there all the same.
    """
    base_fee = rpc.call("eth_getBlockByNumber", "latest", False).get("baseFeePerGas")
    if base_fee is None:
        return Fees(quantity(rpc.call("eth_gasPrice")))
    if quantity(base_fee) == 0 and quantity(rpc.call("eth_getBalance", to_hex(sender), "latest")) == 0:
        return Fees(0, 0)
    tip = _suggested_tip(rpc)
    return Fees(2 * quantity(base_fee) + tip, tip)


def raised(old: Fees, present: Fees) -> Fees:
    """Return fees that replace a transaction with `old` ones, and are no less than the present ones.

    What was free stays free: on a chain where gas costs nothing, nothing waits for a higher fee.
    """
    most = max(_eighth_more(old.most), present.most if old.most else 0)
    if old.tip is None:
        return Fees(most)
    return Fees(most, min(max(_eighth_more(old.tip), present.tip or 0), most))


def read_signed(raw: bytes) -> SignedCall:
    """Return what the bytes of a signed transaction offer and call.

    Raises:
        StoreError: the bytes are no transaction that this program signs.
    """
    import rlp

    dynamic = raw[:1] == bytes([_DYNAMIC_FEE])
    try:
        fields = rlp.decode(raw[1:] if dynamic else raw)
        most, gas, data = fields[3], fields[4], fields[7]
        tip: int | None = int.from_bytes(fields[2], "big")
        if not dynamic:
            most, gas, data, tip = fields[1], fields[2], fields[5], None
        return SignedCall(Fees(int.from_bytes(most, "big"), tip), int.from_bytes(gas, "big"), bytes(data))
    except (rlp.DecodingError, IndexError, TypeError) as error:
        raise StoreError(
            f"a transaction in the outbox cannot be read ({error}); was the database edited?"
        ) from error


def _suggested_tip(rpc: JsonRpc) -> int:
    try:
        return quantity(rpc.call("eth_maxPriorityFeePerGas"))
    except RpcError:
        pass  # the method is no part of the standard
    try:
        return min(DEFAULT_TIP, quantity(rpc.call("eth_gasPrice")))
    except RpcError:
        return DEFAULT_TIP


def _eighth_more(fee: int) -> int:
    return fee + -(-fee // 8)
