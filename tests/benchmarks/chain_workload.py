"""The same work for every chain: commitments sent to one contract, and their receipts read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_hash.auto import keccak
from hexbytes import HexBytes
from vyper import compile_code
from web3 import Web3
from web3.types import RPCEndpoint

SOURCE = """
#pragma version ~=0.4.3

event Committed:
    who: indexed(address)
    number: indexed(uint256)
    leaf: bytes32

leaves: public(HashMap[address, HashMap[uint256, bytes32]])

@external
def commit(number: uint256, leaf: bytes32):
    assert self.leaves[msg.sender][number] == empty(bytes32), "committed before"
    self.leaves[msg.sender][number] = leaf
    log Committed(who=msg.sender, number=number, leaf=leaf)
"""
SELECTOR = keccak(b"commit(uint256,bytes32)")[:4]
SEND = RPCEndpoint("eth_sendRawTransaction")
GAS, DEPLOYMENT_GAS = 100_000, 1_000_000
MAX_FEE, TIP = 10**12, 10**9
POLL_SECONDS = 0.001  # anvil answers a send before it mines
DEPOSIT = 1_000 * 10**18


def bytecode() -> bytes:
    """The contract's deployment code."""
    return bytes.fromhex(compile_code(SOURCE, output_formats=["bytecode"])["bytecode"].removeprefix("0x"))


@dataclass
class Sender:
    """A key that signs commitments to one contract, each with the next nonce and a number of its own."""

    key: bytes
    chain_id: int
    contract: bytes
    nonce: int = 0

    def commitments(self, count: int) -> list[bytes]:
        """`count` signed transactions, ready to send: signing is not what is measured."""
        return [self._commitment() for _ in range(count)]

    def _commitment(self) -> bytes:
        number = self.nonce.to_bytes(32, "big")
        data = SELECTOR + number + keccak(number)
        raw = sign(self.key, self.chain_id, self.nonce, self.contract, data, GAS)
        self.nonce += 1
        return raw


def sign(key: bytes, chain_id: int, nonce: int, to: bytes | None, data: bytes, gas: int) -> bytes:
    """A signed type 2 transaction."""
    fields: dict[str, Any] = {
        "chainId": chain_id,
        "nonce": nonce,
        "gas": gas,
        "value": 0,
        "data": data,
        "maxFeePerGas": MAX_FEE,
        "maxPriorityFeePerGas": TIP,
    }
    if to is not None:
        fields["to"] = to
    return bytes(Account.sign_transaction(fields, key).raw_transaction)


def prepare(web3: Web3, code: bytes) -> Sender:
    """A funded sender and a deployed contract on the chain behind `web3`."""
    chain_id, wallet = web3.eth.chain_id, Account.create()
    funding = {"from": web3.eth.accounts[0], "to": wallet.address, "value": DEPOSIT, "gas": 21_000}
    web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction(funding))
    deployment = sign(bytes(wallet.key), chain_id, 0, None, code, DEPLOYMENT_GAS)
    receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(deployment))
    return Sender(bytes(wallet.key), chain_id, bytes.fromhex(receipt["contractAddress"][2:]), nonce=1)


def one_by_one(web3: Web3, raws: Sequence[bytes]) -> None:
    """Send each transaction and read its receipt before the next one."""
    for raw in raws:
        _expect_success(_await_receipt(web3, web3.eth.send_raw_transaction(raw)))


def in_batches(web3: Web3, raws: Sequence[bytes], size: int) -> None:
    """Send `size` transactions in a JSON-RPC batch, then read their receipts in another."""
    for start in range(0, len(raws), size):
        # web3.py batches reads only; sends go through the batch request of its provider.
        calls = [(SEND, [f"0x{raw.hex()}"]) for raw in raws[start : start + size]]
        answers: Any = web3.provider.make_batch_request(calls)
        for receipt in _receipts(web3, [answer["result"] for answer in answers]):
            _expect_success(receipt)


def _receipts(web3: Web3, hashes: Sequence[str]) -> list[Any]:
    # One sender's nonces are mined in order, so when the last receipt is there, all are.
    _await_receipt(web3, hashes[-1])
    with web3.batch_requests() as batch:
        for tx_hash in hashes:
            batch.add(web3.eth.get_transaction_receipt(HexBytes(tx_hash)))
        return list(batch.execute())


def _await_receipt(web3: Web3, tx_hash: Any) -> Any:
    return web3.eth.wait_for_transaction_receipt(tx_hash, poll_latency=POLL_SECONDS)


def _expect_success(receipt: Any) -> None:
    if receipt["status"] != 1 or len(receipt["logs"]) != 1:
        raise RuntimeError(f"commitment {receipt['transactionHash'].hex()} failed; the figures mean nothing")
