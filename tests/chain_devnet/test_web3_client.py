"""What web3.py's plain HTTPProvider sees: accounts, transactions of every type, contracts, receipts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError

from chain_devnet import DevnetServer
from chain_devnet.errors import TransactionRejectedError

ANVIL_FIRST = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
ANVIL_LAST = "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"
GWEI = 10**9
SOMEBODY = Web3.to_checksum_address("0x" + "aa" * 20)


def signed(web3: Web3, server: DevnetServer, index: int = 0, **fields: Any) -> bytes:
    key = server.accounts[index].key
    sender = web3.eth.account.from_key(key).address
    defaults = {
        "chainId": 31337,
        "nonce": web3.eth.get_transaction_count(sender, "pending"),
        "gas": 100_000,
        "to": SOMEBODY,
        "value": 0,
    }
    if not {"gasPrice", "maxFeePerGas"} & fields.keys():
        fields |= {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI}
    return bytes(web3.eth.account.sign_transaction(defaults | fields, key).raw_transaction)


def test_the_funded_accounts_are_those_of_anvil_and_hardhat(web3: Web3) -> None:
    accounts = web3.eth.accounts
    assert len(accounts) == 20
    assert (accounts[0], accounts[-1]) == (ANVIL_FIRST, ANVIL_LAST)
    assert {web3.eth.get_balance(account) for account in accounts} == {10_000 * 10**18}


def test_further_addresses_are_funded_when_the_chain_is_created() -> None:
    address = "0x" + "c0" * 20
    with DevnetServer(fund={address: 77}) as server:
        web3 = Web3(Web3.HTTPProvider(server.url))
        assert web3.eth.get_balance(Web3.to_checksum_address(address)) == 77


def test_identity_methods_answer(web3: Web3) -> None:
    assert web3.eth.chain_id == 31337
    assert web3.net.version == "31337"
    assert web3.net.listening
    assert web3.eth.syncing is False
    assert web3.client_version.startswith("chain_devnet/")
    assert web3.is_connected()
    digest = web3.provider.make_request("web3_sha3", ["0x68656c6c6f"])["result"]
    assert digest == web3.keccak(text="hello").to_0x_hex()


def test_a_transfer_moves_value_and_burns_the_base_fee(web3: Web3) -> None:
    sender, recipient = web3.eth.accounts[0], Web3.to_checksum_address("0x" + "bb" * 20)
    before = web3.eth.get_balance(sender)
    tx_hash = web3.eth.send_transaction({"from": sender, "to": recipient, "value": 10**18})
    receipt = web3.eth.get_transaction_receipt(tx_hash)
    block = web3.eth.get_block(receipt["blockNumber"])
    assert receipt["status"] == 1
    assert receipt["gasUsed"] == 21_000
    assert receipt["effectiveGasPrice"] == block["baseFeePerGas"] + GWEI
    assert web3.eth.get_balance(recipient) == 10**18
    assert web3.eth.get_balance(sender) == before - 10**18 - 21_000 * receipt["effectiveGasPrice"]
    assert web3.eth.get_balance(block["miner"]) == 21_000 * GWEI


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (0, {"gasPrice": 3 * GWEI}),
        (1, {"gasPrice": 3 * GWEI, "accessList": [{"address": SOMEBODY, "storageKeys": ["0x" + "01" * 32]}]}),
        (2, {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": 2 * GWEI}),
    ],
)
def test_raw_transactions_of_each_type_are_mined(
    web3: Web3, server: DevnetServer, kind: int, fields: dict[str, Any]
) -> None:
    raw = signed(web3, server, value=5, **fields)
    tx_hash = web3.eth.send_raw_transaction(raw)
    found = web3.eth.get_transaction(tx_hash)
    assert tx_hash == web3.keccak(raw)
    assert found["type"] == kind
    assert found["from"] == ANVIL_FIRST
    assert found["value"] == 5
    assert len(found.get("accessList", [])) == (1 if kind == 1 else 0)
    assert web3.eth.get_transaction_receipt(tx_hash)["type"] == kind
    assert bytes(web3.eth.get_raw_transaction(tx_hash)) == raw
    assert web3.eth.get_transaction_by_block(found["blockNumber"], 0)["hash"] == tx_hash


@pytest.mark.parametrize(
    "fields",
    [
        {"gasPrice": 5 * GWEI},
        {"gasPrice": 5 * GWEI, "accessList": [{"address": SOMEBODY, "storageKeys": ["0x" + "01" * 32]}]},
        {"accessList": [{"address": SOMEBODY, "storageKeys": ["0x" + "01" * 32]}]},
        {"maxFeePerGas": 5 * GWEI, "maxPriorityFeePerGas": 0, "gas": 50_000, "nonce": 0, "data": "0xc0de"},
    ],
)
def test_an_unlocked_account_sends_every_kind(web3: Web3, fields: dict[str, Any]) -> None:
    answer = web3.provider.make_request(
        "eth_sendTransaction", [{"from": ANVIL_FIRST, "to": SOMEBODY, **hexed(fields)}]
    )
    found = web3.eth.get_transaction(answer["result"])
    kind = (1 if "accessList" in fields else 0) if "gasPrice" in fields else 2
    assert (found["type"], len(found.get("accessList", []))) == (kind, len(fields.get("accessList", [])))
    assert web3.eth.get_transaction_receipt(answer["result"])["status"] == 1


def hexed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: hex(value) if isinstance(value, int) else value for name, value in fields.items()}


def test_a_set_code_transaction_delegates_an_account(web3: Web3, server: DevnetServer, contract: Any) -> None:
    delegating = web3.eth.account.from_key(server.accounts[5].key)
    permission = delegating.sign_authorization({"chainId": 31337, "address": contract.address, "nonce": 0})
    raw = signed(web3, server, gas=200_000, authorizationList=[permission])
    tx_hash = web3.eth.send_raw_transaction(raw)
    assert web3.eth.get_transaction_receipt(tx_hash)["status"] == 1
    assert bytes(web3.eth.get_code(delegating.address)) == b"\xef\x01\x00" + bytes.fromhex(
        contract.address[2:]
    )
    assert len(web3.eth.get_transaction(tx_hash)["authorizationList"]) == 1
    own = web3.eth.contract(address=delegating.address, abi=contract.abi)
    own.functions.put(3, "").transact({"from": delegating.address})
    assert own.functions.number().call() == 3


def test_a_contract_is_deployed_called_and_heard(web3: Web3, contract: Any) -> None:
    assert contract.address == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert contract.functions.number().call() == 5
    tx_hash = contract.functions.put(7, "hello").transact({"from": web3.eth.accounts[1]})
    receipt = web3.eth.wait_for_transaction_receipt(tx_hash)
    (event,) = contract.events.Stored().process_receipt(receipt)
    assert (event["args"]["who"], event["args"]["number"], event["args"]["note"]) == (
        web3.eth.accounts[1],
        7,
        "hello",
    )
    assert (event["logIndex"], event["blockHash"]) == (0, receipt["blockHash"])
    assert contract.functions.number().call() == 7
    assert contract.functions.number().call(block_identifier=1) == 5
    assert web3.eth.get_block_receipts(receipt["blockNumber"])[0] == receipt


def test_a_call_sees_its_block(web3: Web3, contract: Any) -> None:
    web3.provider.make_request("evm_mine", [])
    head = web3.eth.get_block("latest")
    assert contract.functions.here().call() == [head["number"], head["timestamp"]]
    assert contract.functions.here().call(block_identifier="pending")[0] == head["number"] + 1
    assert contract.functions.hash_of(head["number"] - 1).call() == bytes(head["parentHash"])


def test_a_revert_carries_its_reason_and_data(web3: Web3, contract: Any) -> None:
    with pytest.raises(ContractLogicError, match="unlucky number") as caught:
        contract.functions.put(13, "").call()
    assert str(caught.value.data).startswith("0x08c379a0")
    with pytest.raises(ContractLogicError, match="unlucky number"):
        contract.functions.put(13, "").estimate_gas()
    data = contract.encode_abi("put", [13, ""])
    answer = web3.provider.make_request("eth_call", [{"to": contract.address, "data": data}, "latest"])
    assert answer["error"]["code"] == 3


def test_a_transaction_that_reverts_is_mined_with_status_zero(web3: Web3, contract: Any) -> None:
    tx_hash = contract.functions.put(13, "").transact({"from": web3.eth.accounts[1], "gas": 100_000})
    receipt = web3.eth.get_transaction_receipt(tx_hash)
    assert receipt["status"] == 0
    assert receipt["logs"] == []
    assert contract.functions.number().call() == 5


def test_the_estimated_gas_is_enough_and_tight(web3: Web3, contract: Any, artifact: dict[str, Any]) -> None:
    sender = web3.eth.accounts[2]
    factory = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    for call in (contract.functions.put(9, "x"), contract.functions.put(0, "x"), factory.constructor(1)):
        gas = call.estimate_gas({"from": sender})
        exact = web3.eth.get_transaction_receipt(call.transact({"from": sender, "gas": gas}))
        assert exact["status"] == 1
        # Refunds come back after the gas was needed, and are at most a fifth of it (EIP-3529).
        assert exact["gasUsed"] <= gas <= exact["gasUsed"] * 5 // 4 + 1
    assert web3.eth.estimate_gas({"from": sender, "to": web3.eth.accounts[3], "value": 1}) == 21_000


def test_the_estimate_allows_for_the_gas_that_a_nested_call_may_not_take(web3: Web3, contract: Any) -> None:
    # A call gets at most 63/64 of the gas that is left (EIP-150), so more must be offered than is used.
    nested = contract.functions.put_many_by_call(400)
    gas = nested.estimate_gas({"from": web3.eth.accounts[0]})
    receipt = web3.eth.get_transaction_receipt(nested.transact({"from": web3.eth.accounts[0], "gas": gas}))
    assert receipt["status"] == 1
    assert receipt["gasUsed"] * 65 // 64 < gas < receipt["gasUsed"] * 110 // 100


def test_an_estimate_runs_in_the_block_that_the_transaction_would_be_in(web3: Web3, contract: Any) -> None:
    head = web3.eth.block_number
    assert contract.functions.after(head).estimate_gas() > 21_000
    with pytest.raises(ContractLogicError, match="too early"):
        contract.functions.after(head + 1).estimate_gas()
    with pytest.raises(ContractLogicError, match="too early"):
        contract.functions.after(head).call()


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas", "eth_createAccessList", "debug_traceCall"])
def test_code_that_never_ends_is_stopped(web3: Web3, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain_devnet.rpc.states.CALL_SECONDS", 0.2)
    monkeypatch.setattr("chain_devnet.rpc.tracing.TRACE_SECONDS", 0.0)
    web3.provider.make_request("anvil_setCode", [SOMEBODY, "0x5b5f56"])
    started = time.monotonic()
    options = ["latest", {"tracer": "callTracer"}] if method == "debug_traceCall" else []
    error = web3.provider.make_request(method, [{"to": SOMEBODY}, *options])["error"]
    assert (error["code"], "took too long" in error["message"]) == (-32005, True)
    assert time.monotonic() - started < 3


def test_answers_are_not_held_back(web3: Web3) -> None:
    web3.eth.get_block_number()
    started = time.perf_counter()
    for _ in range(20):
        web3.eth.get_block_number()
    assert time.perf_counter() - started < 0.5  # with Nagle's algorithm on, each answer takes 40 ms


def test_fees_follow_eip_1559(web3: Web3) -> None:
    for _ in range(3):
        web3.eth.send_transaction({"from": web3.eth.accounts[0], "to": web3.eth.accounts[1], "value": 1})
    history = web3.eth.fee_history(3, "latest", [0, 50, 100])
    assert history["oldestBlock"] == 1
    assert len(history["baseFeePerGas"]) == 4
    assert history["reward"] == [[GWEI] * 3] * 3
    assert history["baseFeePerGas"][:3] == [web3.eth.get_block(n)["baseFeePerGas"] for n in (1, 2, 3)]
    assert history["baseFeePerGas"][0] == 875_000_000
    assert web3.eth.gas_price == history["baseFeePerGas"][3] + web3.eth.max_priority_fee
    web3.provider.make_request("evm_mine", [])
    assert web3.eth.get_block("latest")["baseFeePerGas"] == history["baseFeePerGas"][3]


def test_unknown_things_are_null(web3: Web3) -> None:
    unknown = "0x" + "12" * 32
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction(unknown)
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction_receipt(unknown)
    for method, params in (
        ("eth_getBlockByNumber", ["0xffff", False]),
        ("eth_getBlockByHash", [unknown, False]),
        ("eth_getBlockReceipts", ["0xffff"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x0", "0x0"]),
        ("eth_getUncleByBlockNumberAndIndex", ["0x0", "0x0"]),
    ):
        assert web3.provider.make_request(method, params)["result"] is None
    answer = web3.provider.make_request("eth_getBalance", [ANVIL_FIRST, "0xffff"])
    assert answer["error"]["code"] == -32000


def test_blocks_are_found_by_every_name(web3: Web3) -> None:
    tx_hash = web3.eth.send_transaction(
        {"from": web3.eth.accounts[0], "to": web3.eth.accounts[1], "value": 1}
    )
    latest = web3.eth.get_block("latest")
    assert latest == web3.eth.get_block(1) == web3.eth.get_block(latest["hash"])
    assert latest == web3.eth.get_block("safe") == web3.eth.get_block("finalized")
    assert web3.eth.get_block("earliest")["number"] == 0
    assert latest["parentHash"] == web3.eth.get_block(0)["hash"]
    assert web3.eth.get_block(1, full_transactions=True)["transactions"][0]["hash"] == tx_hash
    pending = web3.eth.get_block("pending")
    assert (pending["number"], pending["parentHash"]) == (2, latest["hash"])


def test_without_automine_transactions_wait_and_show_as_pending(web3: Web3) -> None:
    web3.provider.make_request("evm_setAutomine", [False])
    sender, recipient = web3.eth.accounts[:2]
    hashes = [
        web3.eth.send_transaction({"from": sender, "to": recipient, "value": 1, "gas": 21_000})
        for _ in range(3)
    ]
    assert web3.eth.block_number == 0
    assert web3.eth.get_transaction_count(sender) == 0
    assert web3.eth.get_transaction_count(sender, "pending") == 3
    assert web3.eth.get_balance(recipient, "pending") == web3.eth.get_balance(recipient) + 3
    assert web3.eth.get_transaction(hashes[0])["blockNumber"] is None
    assert web3.eth.get_block("pending")["transactions"] == hashes
    web3.provider.make_request("evm_mine", [])
    assert web3.eth.get_block(1)["transactions"] == hashes
    assert [web3.eth.get_transaction_receipt(h)["cumulativeGasUsed"] for h in hashes] == [
        21_000,
        42_000,
        63_000,
    ]


def test_a_block_time_mines_what_waits_without_being_asked() -> None:
    with DevnetServer(block_time=0.05) as server:
        web3 = Web3(Web3.HTTPProvider(server.url))
        accounts = web3.eth.accounts
        tx_hash = web3.eth.send_transaction(
            {"from": accounts[0], "to": accounts[1], "value": 1, "gas": 21_000}
        )
        assert web3.eth.wait_for_transaction_receipt(tx_hash, timeout=10, poll_latency=0.02)["status"] == 1


BAD = [
    ({"nonce": 2**64 - 1}, "nonce has max value"),
    ({"value": 10**30}, "insufficient funds"),
    ({"chainId": 1}, "invalid chain id"),
    ({"gas": 20_000}, "intrinsic gas too low"),
    ({"gas": 40_000_000}, "exceeds block gas limit"),
    ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "transaction underpriced: .* less than block base fee"),
    ({"data": b"\xff" * 1000, "gas": 30_000}, "intrinsic gas too low"),
    ({"to": "", "data": b"\0" * 49_153, "gas": 20_000_000}, "init code"),
]


@pytest.mark.parametrize(("fields", "reason"), BAD)
def test_a_bad_transaction_is_refused_with_a_reason(
    web3: Web3, server: DevnetServer, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Web3RPCError, match=reason):
        web3.eth.send_raw_transaction(signed(web3, server, **fields))
    assert web3.eth.block_number == 0
    assert server.chain.waiting == ()


def test_a_used_nonce_and_a_repeated_transaction_are_refused(web3: Web3, server: DevnetServer) -> None:
    raw = signed(web3, server)
    web3.eth.send_raw_transaction(raw)
    with pytest.raises(Web3RPCError, match="already known"):
        web3.eth.send_raw_transaction(raw)
    with pytest.raises(Web3RPCError, match="nonce too low"):
        web3.eth.send_raw_transaction(signed(web3, server, nonce=0, value=1))


def test_a_waiting_transaction_that_is_sent_again_still_waits(web3: Web3, server: DevnetServer) -> None:
    web3.provider.make_request("evm_setAutomine", [False])
    raw = signed(web3, server)
    tx_hash = web3.eth.send_raw_transaction(raw)
    with pytest.raises(Web3RPCError, match="already known"):
        web3.eth.send_raw_transaction(raw)
    web3.provider.make_request("evm_mine", [])
    assert web3.eth.get_transaction_receipt(tx_hash)["status"] == 1


def test_waiting_transactions_cannot_spend_the_same_money_twice(web3: Web3, server: DevnetServer) -> None:
    web3.provider.make_request("evm_setAutomine", [False])
    web3.eth.send_raw_transaction(signed(web3, server, value=6_000 * 10**18))
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        web3.eth.send_raw_transaction(signed(web3, server, value=6_000 * 10**18))


def test_many_raw_transactions_share_a_block_and_bad_ones_do_no_harm(
    web3: Web3, server: DevnetServer
) -> None:
    raws = [signed(web3, server, nonce=nonce, gas=21_000) for nonce in range(50)]
    bad = signed(web3, server, index=1, gas=20_000)
    *hashes, refused = server.chain.submit_each([*raws, bad])
    assert isinstance(refused, TransactionRejectedError)
    assert [bytes(found) for found in web3.eth.get_block(1)["transactions"]] == hashes
    assert (server.chain.waiting, web3.eth.block_number) == ((), 1)


def test_what_does_not_fit_a_block_goes_into_the_next_in_order(web3: Web3, server: DevnetServer) -> None:
    big = [signed(web3, server, nonce=nonce, gas=29_990_000) for nonce in range(2)]
    after = signed(web3, server, nonce=2, gas=21_000)
    other = signed(web3, server, index=1, gas=21_000)
    first, second, third, fourth = server.chain.submit_each([*big, after, other])
    blocks = [[bytes(found) for found in web3.eth.get_block(number)["transactions"]] for number in (1, 2)]
    assert blocks == [[first, fourth], [second, third]]
    assert web3.eth.block_number == 2


def test_an_account_that_is_not_unlocked_cannot_send(web3: Web3) -> None:
    with pytest.raises(Web3RPCError, match="unknown account"):
        web3.eth.send_transaction(
            {"from": Web3.to_checksum_address("0x" + "dd" * 20), "to": ANVIL_FIRST, "gas": 21_000}
        )
