"""The blocks obey Prague: py-evm's own chain imports them, and equal inputs give equal hashes."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth.chains.base import Chain as PyEvmChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlock, PragueBlockHeader
from web3 import Web3

from chain_devnet import ChainConfig, DevnetServer, dev_accounts, open_chain
from chain_devnet.accounts import FUNDS
from chain_devnet.block import Header
from chain_devnet.fees import next_base_fee
from chain_devnet.pyevm import PyEvmBackend

GENESIS = "b21239f7d6e900a8e1e4811a1212a4384224e89a1baf0a384bc337ac9bfa041d"


class Verifier(PyEvmChain):
    """An independent chain that re-executes and validates what it imports."""

    chain_id = 31337
    vm_configuration = ((0, PragueVM),)


def import_all(server: DevnetServer, web3: Web3) -> Verifier:
    genesis = rlp.decode(server.chain.store.block(0).header.encode(), sedes=PragueBlockHeader)
    state = {
        account.address: {"balance": FUNDS, "nonce": 0, "code": b"", "storage": {}}
        for account in dev_accounts()
    }
    same = ("gas_limit", "timestamp", "difficulty", "nonce", "parent_beacon_block_root", "state_root")
    verifier = Verifier.from_genesis(AtomicDB(), {name: getattr(genesis, name) for name in same}, state)
    assert verifier.get_canonical_head().hash == genesis.hash
    for number in range(1, web3.eth.block_number + 1):
        header = server.chain.store.block(number).header
        mined = server.chain.store.transactions(number)
        body = [
            rlp.decode(tx.transaction.raw) if tx.transaction.kind == 0 else tx.transaction.raw for tx in mined
        ]
        raw = rlp.encode([rlp.decode(header.encode()), body, [], []])
        block = rlp.decode(raw, sedes=PragueBlock)
        assert block.hash == server.chain.store.block(number).hash
        assert int(web3.eth.get_block(number)["size"]) == len(raw)
        verifier.import_block(block)
    return verifier


def test_py_evms_own_chain_accepts_every_block(web3: Web3, server: DevnetServer, contract: Any) -> None:
    contract.functions.put(3, "x").transact({"from": web3.eth.accounts[1]})
    contract.functions.put(13, "x").transact({"from": web3.eth.accounts[1], "gas": 90_000})
    web3.provider.make_request("anvil_mine", ["0x3", "0x10"])
    web3.provider.make_request("evm_setAutomine", [False])
    for index in range(5):
        contract.functions.put_many(index, 40).transact({"from": web3.eth.accounts[index], "gas": 5_900_000})
        web3.eth.send_transaction(
            {
                "from": web3.eth.accounts[index],
                "to": web3.eth.accounts[9],
                "value": 1,
                "gas": 21_000,
                "gasPrice": 10**10,
            }
        )
    web3.provider.make_request("evm_mine", [{"blocks": 2}])
    verifier = import_all(server, web3)
    assert verifier.get_canonical_head().hash == bytes(web3.eth.get_block("latest")["hash"])
    assert web3.eth.block_number == 8


def test_equal_inputs_give_equal_hashes(artifact: dict[str, Any], deploy: Any) -> None:
    heads = []
    for _ in range(2):
        with DevnetServer(genesis_time=1_000) as server:
            web3 = Web3(Web3.HTTPProvider(server.url))
            contract = deploy(web3, artifact)
            contract.functions.put(1, "same").transact({"from": web3.eth.accounts[0]})
            web3.provider.make_request("evm_increaseTime", [60])
            web3.provider.make_request("evm_mine", [])
            heads.append(web3.eth.get_block("latest"))
    assert heads[0] == heads[1]
    assert heads[0]["timestamp"] == 1_000 + 3 + 60


def test_genesis_is_golden_and_every_parameter_changes_it() -> None:
    def genesis(config: ChainConfig) -> str:
        chain = open_chain(None, config, PyEvmBackend())
        try:
            return chain.head.hash.hex()
        finally:
            chain.close()

    assert genesis(ChainConfig()) == GENESIS
    others = {
        genesis(ChainConfig(genesis_time=1)),
        genesis(ChainConfig(gas_limit=20_000_000)),
        genesis(ChainConfig(fund={b"\x01" * 20: 1})),
    }
    assert len(others | {GENESIS}) == 4


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "expected"),
    [
        (1_000_000_000, 15_000_000, 1_000_000_000),
        (1_000_000_000, 30_000_000, 1_125_000_000),
        (1_000_000_000, 0, 875_000_000),
        (1, 30_000_000, 2),
        (7, 0, 7),
        (0, 30_000_000, 1),
    ],
)
def test_the_base_fee_moves_by_at_most_an_eighth(base_fee: int, gas_used: int, expected: int) -> None:
    parent = Header(
        parent_hash=bytes(32), coinbase=bytes(20), state_root=bytes(32), transactions_root=bytes(32),
        receipts_root=bytes(32), bloom=0, number=1, gas_limit=30_000_000, gas_used=gas_used, timestamp=1,
        extra_data=b"", mix_hash=bytes(32), base_fee=base_fee,
    )  # fmt: skip
    assert next_base_fee(parent) == expected
