"""The contract tests' calls on a real chain, over JSON-RPC."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from chains import CHAIN_ID, KEY_OF, Chain
from contract_values import Receipt, RevertedError, decode_log, revert_reason
from eth_account import Account

GAS = 1 << 24  # the most that a transaction may take (EIP-7825)
GAS_PRICE = 10**11
RECEIPT_SECONDS = 20.0


class ChainEvm:
    """A chain on which `block` is the number of the block that the next transaction will stand in.

    Setting it further on mines empty blocks, but only when something is called there; setting it back takes
    them away again, which works as far as the last transaction.
    """

    chain_id = CHAIN_ID

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._head = chain.block_number()
        self._before_mining: tuple[str, int] | None = None
        self.block = self._head + 1

    def transact(self, sender: bytes, to: bytes, data: bytes) -> Receipt:
        """Send a transaction in block `block`; raise RevertedError, and send nothing, if it would fail."""
        self._advance()
        request = _request(sender, to, data)
        checked, nonce = self._chain.exchange(
            ("eth_call", (request, "pending")), ("eth_getTransactionCount", (_hex(sender), "latest"))
        )
        _output(checked)
        tx_hash = self._chain.rpc(
            "eth_sendRawTransaction", _signed(sender, to, data, int(nonce["result"], 16))
        )
        return self._sent([tx_hash])[0]

    def together(self, calls: Sequence[tuple[bytes, bytes, bytes]]) -> list[Receipt]:
        """Send several transactions (sender, to, data) of different senders, which share one block."""
        self._advance()
        with self._chain.manual_mining():
            hashes = []
            for sender, to, data in calls:
                nonce = int(self._chain.rpc("eth_getTransactionCount", _hex(sender), "latest"), 16)
                hashes.append(self._chain.rpc("eth_sendRawTransaction", _signed(sender, to, data, nonce)))
        return self._sent(hashes)

    def call(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        """What a view returns after the newest block."""
        (answer,) = self._chain.exchange(("eth_call", (_request(sender, to, data), "latest")))
        return _output(answer)

    def code(self, address: bytes) -> bytes:
        """The code of a contract."""
        return bytes.fromhex(self._chain.rpc("eth_getCode", _hex(address), "latest")[2:])

    def _advance(self) -> None:
        if self.block <= self._head:
            assert self._before_mining is not None, f"a transaction stands in block {self._head} already"
            snapshot, self._head = self._before_mining
            self._before_mining = None
            self._chain.revert(snapshot)
            return self._advance()
        missing = self.block - 1 - self._head
        if missing > 0:
            if self._before_mining is None:
                self._before_mining = (self._chain.snapshot(), self._head)
            self._chain.mine(missing)
            self._head += missing
        return None

    def _sent(self, hashes: list[str]) -> list[Receipt]:
        receipts = [self._receipt(tx_hash) for tx_hash in hashes]
        assert {receipt.block for receipt in receipts} == {self.block}
        self._head, self._before_mining = self.block, None
        self.block += 1
        return receipts

    def _receipt(self, tx_hash: str) -> Receipt:
        deadline = time.monotonic() + RECEIPT_SECONDS
        while (found := self._chain.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            assert time.monotonic() < deadline, f"{tx_hash} is not mined"
            time.sleep(0.001)
        assert found["status"] == "0x1", f"{tx_hash} failed, and did not when it was called"
        logs = tuple(
            decode_log([bytes.fromhex(topic[2:]) for topic in log["topics"]], bytes.fromhex(log["data"][2:]))
            for log in found["logs"]
        )
        made = bytes.fromhex((found["contractAddress"] or "0x")[2:])
        return Receipt(int(found["gasUsed"], 16), logs, made, int(found["blockNumber"], 16))


def _request(sender: bytes, to: bytes, data: bytes) -> dict[str, str]:
    request = {"from": _hex(sender), "data": _hex(data), "gas": hex(GAS)}
    return request | {"to": _hex(to)} if to else request


def _signed(sender: bytes, to: bytes, data: bytes, nonce: int) -> str:
    assert sender in KEY_OF, f"nobody has funded {_hex(sender)}: name its key in tests/chains.py"
    fields = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "data": data,
        "value": 0,
        "gas": GAS,
        "gasPrice": GAS_PRICE,
    }
    signed = Account.sign_transaction(fields | ({"to": to} if to else {}), KEY_OF[sender])
    return _hex(bytes(signed.raw_transaction))


def _output(answer: dict[str, Any]) -> bytes:
    if "error" in answer:
        data = answer["error"].get("data")
        assert isinstance(data, str), answer["error"]
        raise RevertedError(revert_reason(bytes.fromhex(data[2:])))
    return bytes.fromhex(answer["result"][2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
