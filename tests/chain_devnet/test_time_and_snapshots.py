"""Time only goes forward, blocks can be mined by number, and a snapshot brings everything back."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from chain_devnet import GENESIS_TIME, DevnetServer


def call(web3: Web3, method: str, *params: Any) -> Any:
    answer = web3.provider.make_request(method, list(params))
    assert "error" not in answer, answer
    return answer["result"]


def timestamps(web3: Web3) -> list[int]:
    return [web3.eth.get_block(number)["timestamp"] for number in range(web3.eth.block_number + 1)]


def test_without_a_clock_every_block_is_a_second(web3: Web3) -> None:
    call(web3, "anvil_mine", "0x3")
    assert timestamps(web3) == [GENESIS_TIME + number for number in range(4)]


def test_time_can_be_moved_ahead_and_set(web3: Web3) -> None:
    assert call(web3, "evm_increaseTime", 100) == 100
    call(web3, "evm_mine")
    call(web3, "evm_setNextBlockTimestamp", GENESIS_TIME + 500)
    assert web3.eth.get_block("pending")["timestamp"] == GENESIS_TIME + 500
    call(web3, "evm_mine")
    call(web3, "evm_mine")
    call(web3, "evm_mine", {"timestamp": GENESIS_TIME + 900})
    assert [value - GENESIS_TIME for value in timestamps(web3)] == [0, 101, 500, 501, 900]


@pytest.mark.parametrize("method", ["anvil_mine", "hardhat_mine"])
def test_blocks_are_mined_by_number_and_interval(web3: Web3, method: str) -> None:
    assert call(web3, method, "0x3", "0xa") is True
    call(web3, "evm_mine")
    assert web3.eth.block_number == 4
    assert [value - GENESIS_TIME for value in timestamps(web3)] == [0, 1, 11, 21, 22]


def test_twenty_empty_blocks_take_tens_of_milliseconds(web3: Web3) -> None:
    call(web3, "anvil_mine", "0x1")
    started = time.perf_counter()
    call(web3, "anvil_mine", "0x14")
    assert time.perf_counter() - started < 0.1
    assert web3.eth.block_number == 21


def test_a_clock_that_stands_still_or_goes_back_never_repeats_a_timestamp() -> None:
    now = [GENESIS_TIME + 1_000]
    with DevnetServer(clock=lambda: now[0]) as server:
        web3 = Web3(HTTPProvider(server.url))
        call(web3, "evm_mine")
        call(web3, "evm_mine")
        now[0] -= 500
        call(web3, "evm_mine")
        now[0] += 5_000
        call(web3, "evm_increaseTime", 7)
        call(web3, "evm_mine")
        assert [value - GENESIS_TIME for value in timestamps(web3)] == [0, 1_000, 1_001, 1_002, 5_507]


def test_the_lead_over_the_clock_survives_a_restart(tmp_path: Path) -> None:
    for expected in (101, 102):
        with DevnetServer(tmp_path) as server:
            web3 = Web3(HTTPProvider(server.url))
            if expected == 101:
                call(web3, "evm_increaseTime", 100)
            call(web3, "evm_mine")
            assert timestamps(web3)[-1] == GENESIS_TIME + expected


def test_a_snapshot_brings_back_state_blocks_logs_and_time(web3: Web3, contract: Any) -> None:
    sender = web3.eth.accounts[0]
    before = web3.eth.get_block("latest")
    balance = web3.eth.get_balance(sender)
    number = call(web3, "evm_snapshot")
    call(web3, "evm_increaseTime", 1_000)
    tx_hash = contract.functions.put(77, "gone").transact({"from": sender})
    call(web3, "evm_mine")
    assert call(web3, "evm_revert", number) is True
    assert web3.eth.get_block("latest") == before
    assert web3.eth.get_balance(sender) == balance
    assert contract.functions.number().call() == 5
    assert web3.eth.get_logs({"fromBlock": 0}) == []
    assert call(web3, "eth_getTransactionReceipt", tx_hash.to_0x_hex()) is None
    contract.functions.put(8, "again").transact({"from": sender})
    assert web3.eth.get_block("latest")["timestamp"] == before["timestamp"] + 1
    assert contract.functions.number().call() == 8


def test_nothing_of_the_state_that_a_revert_undid_is_remembered(
    server: DevnetServer, web3: Web3, contract: Any
) -> None:
    number = call(web3, "evm_snapshot")
    contract.functions.put(77, "gone").transact({"from": web3.eth.accounts[0]})
    undone = server.chain.head.header.state_root
    assert server.chain.store.get(undone) is not None
    call(web3, "evm_revert", number)
    assert server.chain.store.get(undone) is None


def test_a_snapshot_is_used_up_with_all_later_ones(web3: Web3) -> None:
    first = call(web3, "evm_snapshot")
    second = call(web3, "evm_snapshot")
    assert call(web3, "evm_revert", first) is True
    assert call(web3, "evm_revert", first) is False
    assert call(web3, "evm_revert", second) is False
    assert call(web3, "evm_revert", "0x99") is False


def test_a_revert_leaves_the_database_as_it_was(
    tmp_path: Path, artifact: dict[str, Any], deploy: Any
) -> None:
    def rows() -> dict[str, int]:
        with closing(sqlite3.connect(tmp_path / "chain.sqlite")) as database:
            tables = ("node", "block", "tx", "log")
            return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}

    with DevnetServer(tmp_path) as server:
        deploy(Web3(HTTPProvider(server.url)), artifact)
    before = rows()
    with DevnetServer(tmp_path) as server:
        web3 = Web3(HTTPProvider(server.url))
        number = call(web3, "evm_snapshot")
        deploy(web3, artifact).functions.put(1, "x").transact({"from": web3.eth.accounts[0]})
        call(web3, "evm_revert", number)
    assert rows() == before


def test_the_same_transactions_after_a_revert_give_the_same_hashes(web3: Web3, contract: Any) -> None:
    hashes = []
    for _ in range(2):
        number = call(web3, "evm_snapshot")
        contract.functions.put(9, "twice").transact({"from": web3.eth.accounts[0]})
        hashes.append(web3.eth.get_block("latest")["hash"])
        call(web3, "evm_revert", number)
    assert hashes[0] == hashes[1]
