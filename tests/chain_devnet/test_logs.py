"""eth_getLogs: ranges, addresses, topics with alternatives, block hashes; and fast."""

from __future__ import annotations

import time
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import Web3RPCError


@pytest.fixture
def topics(web3: Web3) -> dict[str, Any]:
    return {
        "stored": web3.keccak(text="Stored(address,uint256,string)").to_0x_hex(),
        "who": ["0x" + account[2:].rjust(64, "0") for account in web3.eth.accounts],
        "number": [f"0x{number:064x}" for number in range(10)],
    }


@pytest.fixture
def filled(web3: Web3, contract: Any) -> Any:
    """Numbers 0 to 5 stored in blocks 2 to 7 by the accounts 0, 1, 2, 0, 1, 2."""
    for number in range(6):
        contract.functions.put(number, "x").transact({"from": web3.eth.accounts[number % 3], "gas": 200_000})
    return contract


def numbers(web3: Web3, contract: Any, **wanted: Any) -> list[int]:
    logs = web3.eth.get_logs({"fromBlock": 0, "toBlock": "latest", **wanted})
    return [int(log["topics"][2].hex(), 16) for log in logs]


def test_ranges_are_inclusive(web3: Web3, filled: Any) -> None:
    assert numbers(web3, filled, fromBlock=3, toBlock=5) == [1, 2, 3]
    assert numbers(web3, filled, fromBlock="earliest") == list(range(6))
    assert numbers(web3, filled, fromBlock=7, toBlock=999) == [5]
    assert numbers(web3, filled, fromBlock=8) == []
    assert numbers(web3, filled, fromBlock="latest") == [5]


def test_topics_are_alternatives_in_their_place(web3: Web3, filled: Any, topics: dict[str, Any]) -> None:
    who, number = topics["who"], topics["number"]
    assert numbers(web3, filled, topics=[topics["stored"]]) == list(range(6))
    assert numbers(web3, filled, topics=[None, who[1]]) == [1, 4]
    assert numbers(web3, filled, topics=[None, [who[1], who[2]], [number[1], number[5], number[9]]]) == [1, 5]
    assert numbers(web3, filled, topics=[topics["stored"], None, number[3]]) == [3]
    assert numbers(web3, filled, topics=[None, [who[1], None]]) == list(range(6))
    assert numbers(web3, filled, topics=[who[1]]) == []
    assert numbers(web3, filled, topics=[None, None, None, None]) == []


def test_addresses_are_alternatives(web3: Web3, filled: Any) -> None:
    other = Web3.to_checksum_address("0x" + "ee" * 20)
    assert numbers(web3, filled, address=filled.address) == list(range(6))
    assert numbers(web3, filled, address=[other, filled.address]) == list(range(6))
    assert numbers(web3, filled, address=other) == []


def test_a_block_hash_names_one_block(web3: Web3, filled: Any) -> None:
    block = web3.eth.get_block(4)
    (log,) = web3.eth.get_logs({"blockHash": block["hash"]})
    assert log["blockHash"] == block["hash"]
    assert log["transactionHash"] == block["transactions"][0]
    with pytest.raises(Web3RPCError, match="not in this chain"):
        web3.eth.get_logs({"blockHash": "0x" + "11" * 32})
    with pytest.raises(Web3RPCError, match="not both"):
        web3.eth.get_logs({"blockHash": block["hash"], "fromBlock": 0})


def test_a_range_the_wrong_way_round_is_refused(web3: Web3, filled: Any) -> None:
    with pytest.raises(Web3RPCError, match="after toBlock"):
        web3.eth.get_logs({"fromBlock": 5, "toBlock": 3})


def test_log_indices_run_through_the_block(web3: Web3, contract: Any) -> None:
    web3.provider.make_request("evm_setAutomine", [False])
    for first in (0, 3):
        contract.functions.put_many(first, 3).transact({"from": web3.eth.accounts[1], "gas": 200_000})
    web3.provider.make_request("evm_mine", [])
    logs = web3.eth.get_logs({"fromBlock": "latest"})
    assert [log["logIndex"] for log in logs] == list(range(6))
    assert [log["transactionIndex"] for log in logs] == [0, 0, 0, 1, 1, 1]
    receipts = web3.eth.get_block_receipts("latest")
    assert [log["logIndex"] for receipt in receipts for log in receipt["logs"]] == list(range(6))


def test_two_hundred_logs_come_at_once(web3: Web3, contract: Any) -> None:
    contract.functions.put_many(0, 200).transact({"from": web3.eth.accounts[0]})
    web3.provider.make_request("anvil_mine", ["0x200"])
    started = time.perf_counter()
    answer = web3.provider.make_request("eth_getLogs", [{"fromBlock": "0x0", "address": contract.address}])
    assert len(answer["result"]) == 200
    assert time.perf_counter() - started < 0.1


def test_too_much_at_once_is_refused_with_what_to_ask_for(
    web3: Web3, filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(wanted: dict[str, Any]) -> tuple[int, str]:
        error = web3.provider.make_request("eth_getLogs", [wanted])["error"]
        return error["code"], error["message"]

    monkeypatch.setattr("chain_devnet.rpc.ledger.MAX_LOGS", 4)
    code, message = refusal({"fromBlock": "0x0"})
    assert (code, message.endswith("ask for blocks up to 5 first")) == (-32005, True)
    assert numbers(web3, filled, toBlock=5) == [0, 1, 2, 3]
    monkeypatch.setattr("chain_devnet.rpc.params.MAX_LOG_RANGE", 6)
    code, message = refusal({"fromBlock": "0x0", "toBlock": "0x6"})
    assert (code, "more than 6" in message) == (-32005, True)
    assert numbers(web3, filled, fromBlock=4, toBlock=10**9) == [2, 3, 4, 5]
    code, message = refusal({"topics": [["0x" + "11" * 32] * 1_001]})
    assert (code, "1000 alternatives" in message) == (-32005, True)
