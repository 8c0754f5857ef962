"""A real contract and a real server, shared by the tests of the devnet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from vyper import compile_code
from web3 import HTTPProvider, Web3

from chain_devnet import DevnetServer

SOURCE = """
#pragma version ~=0.4.3

interface Self:
    def put_many(first: uint256, count: uint256): nonpayable

event Stored:
    who: indexed(address)
    number: indexed(uint256)
    note: String[32]

number: public(uint256)
by: public(HashMap[address, uint256])

@deploy
def __init__(first: uint256):
    self.number = first

@external
def put(number: uint256, note: String[32]):
    assert number != 13, "unlucky number"
    self.number = number
    self.by[msg.sender] = number
    log Stored(who=msg.sender, number=number, note=note)

@external
def put_many(first: uint256, count: uint256):
    for offset: uint256 in range(count, bound=500):
        log Stored(who=msg.sender, number=first + offset, note="many")

@external
def put_many_by_call(count: uint256):
    extcall Self(self).put_many(0, count)

@external
def after(block_number: uint256):
    assert block.number > block_number, "too early"

@external
@view
def here() -> (uint256, uint256):
    return block.number, block.timestamp

@external
@view
def hash_of(block_number: uint256) -> bytes32:
    return blockhash(block_number)
"""


@pytest.fixture(scope="session")
def artifact() -> dict[str, Any]:
    return compile_code(SOURCE, output_formats=["abi", "bytecode"])


@pytest.fixture
def server() -> Iterator[DevnetServer]:
    with DevnetServer() as running:
        yield running


@pytest.fixture
def web3(server: DevnetServer) -> Web3:
    return Web3(HTTPProvider(server.url))


@pytest.fixture
def contract(web3: Web3, artifact: dict[str, Any]) -> Any:
    return deploy(web3, artifact)


def deploy(web3: Web3, artifact: dict[str, Any]) -> Any:
    factory = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    tx_hash = factory.constructor(5).transact({"from": web3.eth.accounts[0]})
    receipt = web3.eth.wait_for_transaction_receipt(tx_hash)
    return web3.eth.contract(address=receipt["contractAddress"], abi=artifact["abi"])


@pytest.fixture(name="deploy")
def deploy_fixture() -> Any:
    return deploy
