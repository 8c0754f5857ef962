"""debug_*: the struct log and the call tree of mined transactions and of calls, and raw bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak
from vyper import compile_code
from web3 import Web3

NESTED = """
#pragma version ~=0.4.3

interface Other:
    def add(amount: uint256) -> uint256: nonpayable

event Added:
    amount: uint256

total: public(uint256)

@deploy
@payable
def __init__():
    pass

@external
def add(amount: uint256) -> uint256:
    assert amount != 13, "unlucky"
    self.total += amount
    log Added(amount=amount)
    return self.total

@external
def relay(amount: uint256):
    extcall Other(self).add(amount)

@external
def try_relay(amount: uint256) -> bool:
    return raw_call(self, abi_encode(amount, method_id=method_id("add(uint256)")), revert_on_failure=False)

@external
@view
def peek() -> uint256:
    return staticcall Peeked(self).total()

interface Peeked:
    def total() -> uint256: view

@external
def clone() -> address:
    return create_minimal_proxy_to(self)

@external
def forever():
    for i: uint256 in range(1000000):
        self.total += 1
"""


@pytest.fixture(scope="module")
def nested() -> dict[str, Any]:
    return compile_code(NESTED, output_formats=["abi", "bytecode"])


@pytest.fixture
def adder(web3: Web3, nested: dict[str, Any], deploy: Any) -> Any:
    factory = web3.eth.contract(abi=nested["abi"], bytecode=nested["bytecode"])
    tx_hash = factory.constructor().transact({"from": web3.eth.accounts[0]})
    address = web3.eth.get_transaction_receipt(tx_hash)["contractAddress"]
    return web3.eth.contract(address=address, abi=nested["abi"])


def call(web3: Web3, method: str, *params: Any) -> Any:
    answer = web3.provider.make_request(method, list(params))
    assert "error" not in answer, answer
    return answer["result"]


def trace(web3: Web3, function: Any, options: dict[str, Any] | None = None, **fields: Any) -> Any:
    tx_hash = function.transact({"from": web3.eth.accounts[0], "gas": 500_000, **fields})
    receipt = web3.eth.get_transaction_receipt(tx_hash)
    traced = call(web3, "debug_traceTransaction", tx_hash.to_0x_hex(), options or {})
    return receipt, traced


def test_the_steps_account_for_all_gas_of_the_transaction(web3: Web3, adder: Any) -> None:
    receipt, traced = trace(web3, adder.functions.add(5))
    steps = traced["structLogs"]
    assert traced["gas"] == receipt["gasUsed"]
    assert traced["failed"] is False
    assert int(traced["returnValue"], 16) == 5
    assert {step["depth"] for step in steps} == {1}
    for before, after in pairwise(steps):
        assert after["gas"] == before["gas"] - before["gasCost"]
    assert (steps[0]["pc"], steps[0]["stack"], steps[-1]["op"]) == (0, [], "RETURN")
    intrinsic = 500_000 - steps[0]["gas"]
    assert receipt["gasUsed"] == intrinsic + steps[0]["gas"] - steps[-1]["gas"] + steps[-1]["gasCost"]


def test_storage_shows_what_was_read_and_written_where(web3: Web3, adder: Any) -> None:
    trace(web3, adder.functions.add(5))
    _, traced = trace(web3, adder.functions.add(7))
    touched = [(step["op"], step["storage"]) for step in traced["structLogs"] if "storage" in step]
    slot = "0x" + "00" * 32
    assert touched[0] == ("SLOAD", {slot: f"{5:#066x}"})
    assert ("SSTORE", {slot: f"{12:#066x}"}) in touched
    assert {op for op, _ in touched} == {"SLOAD", "SSTORE"}


def test_a_nested_call_costs_what_it_passes_on_and_gives_back_what_is_left(web3: Web3, adder: Any) -> None:
    _, traced = trace(web3, adder.functions.relay(5))
    steps = traced["structLogs"]
    (index,) = [at for at, step in enumerate(steps) if step["op"] == "CALL"]
    inside = [step for step in steps if step["depth"] == 2]
    assert steps[index + 1] == inside[0]
    passed = inside[0]["gas"]
    assert passed < steps[index]["gasCost"] <= passed + 2_600
    after = steps[index + 1 + len(inside)]
    used = passed - inside[-1]["gas"] + inside[-1]["gasCost"]
    assert after["depth"] == 1
    assert after["gas"] == steps[index]["gas"] - (steps[index]["gasCost"] - passed) - used


def test_a_creation_does_not_cost_what_it_passes_on(web3: Web3, adder: Any) -> None:
    _, traced = trace(web3, adder.functions.clone())
    (step,) = [step for step in traced["structLogs"] if step["op"] == "CREATE"]
    assert 32_000 <= step["gasCost"] < 33_000


def test_a_failing_step_names_its_error(web3: Web3, adder: Any) -> None:
    receipt, traced = trace(web3, adder.functions.add(13))
    assert (receipt["status"], traced["failed"]) == (0, True)
    assert (traced["structLogs"][-1]["op"], traced["structLogs"][-1]["error"]) == (
        "REVERT",
        "execution reverted",
    )
    _, poor = trace(web3, adder.functions.add(5), gas=30_000)
    last = poor["structLogs"][-1]
    assert last["error"] == "out of gas"
    assert last["gasCost"] > last["gas"]


def test_refunds_are_counted_while_the_code_runs(web3: Web3) -> None:
    # SSTORE(0, 1), then SSTORE(0, 0): the second one earns a refund.
    code = "0x60015f555f5f5500"
    fields = {"from": web3.eth.accounts[0], "data": code}
    traced = call(web3, "debug_traceCall", fields, "latest", {})
    assert [step["refund"] for step in traced["structLogs"]][-1] == 19_900


def test_refunds_of_callers_and_of_what_they_called_add_up(web3: Web3) -> None:
    # Each call sets its own slot and clears it again, which earns 19,900; the first also calls the second.
    earning, inner = "60015f555f5f55", Web3.to_checksum_address("0x" + "cd" * 20)
    calling = "5f5f5f5f5f73" + inner[2:] + "5af150"
    code = {inner: {"code": "0x" + earning + "5b00"}}
    fields = {"from": web3.eth.accounts[0], "data": "0x" + earning + calling + "5b00"}
    steps = call(web3, "debug_traceCall", fields, "latest", {"stateOverrides": code})["structLogs"]
    refunds = [(step["depth"], step["refund"]) for step in steps if step["op"] == "JUMPDEST"]
    assert refunds == [(2, 39_800), (1, 39_800)]
    assert next(step["refund"] for step in steps if step["depth"] == 2) == 19_900


def test_the_log_holds_what_was_asked_for(web3: Web3, adder: Any) -> None:
    _, plain = trace(web3, adder.functions.relay(5))
    assert {"stack", "memory", "returnData"} & plain["structLogs"][9].keys() == {"stack"}
    options = {"disableStack": True, "disableStorage": True, "enableMemory": True, "enableReturnData": True}
    _, other = trace(web3, adder.functions.relay(5), options)
    names = set().union(*(step.keys() for step in other["structLogs"]))
    assert {"memory", "returnData"} <= names
    assert not {"stack", "storage"} & names
    assert all(len(word) == 66 for step in other["structLogs"] for word in step["memory"])
    assert any(step["returnData"] != "0x" for step in other["structLogs"])
    receipt, short = trace(web3, adder.functions.relay(5), {"limit": 10})
    assert len(short["structLogs"]) == 10
    assert short["gas"] == receipt["gasUsed"]


def test_a_transaction_is_traced_after_those_before_it_in_its_block(web3: Web3, adder: Any) -> None:
    call(web3, "evm_setAutomine", False)
    hashes = [
        adder.functions.add(amount).transact({"from": web3.eth.accounts[0], "gas": 200_000}).to_0x_hex()
        for amount in (1, 10, 100)
    ]
    call(web3, "evm_mine")
    call(web3, "anvil_mine", "0x3")
    assert int(call(web3, "debug_traceTransaction", hashes[1])["returnValue"], 16) == 11
    block = web3.eth.get_transaction(hashes[0])
    by_number = call(web3, "debug_traceBlockByNumber", hex(block["blockNumber"]), {"tracer": "callTracer"})
    by_hash = call(web3, "debug_traceBlockByHash", block["blockHash"].to_0x_hex(), {"tracer": "callTracer"})
    assert by_number == by_hash
    assert [entry["txHash"] for entry in by_number] == hashes
    assert [int(entry["result"]["output"], 16) for entry in by_number] == [1, 11, 111]


def test_the_call_tracer_tells_the_tree_of_calls(web3: Web3, adder: Any) -> None:
    receipt, tree = trace(
        web3, adder.functions.try_relay(13), {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
    )
    assert (tree["type"], tree["from"], tree["to"]) == (
        "CALL",
        web3.eth.accounts[0].lower(),
        adder.address.lower(),
    )
    assert int(tree["gas"], 16) == 500_000
    assert int(tree["gasUsed"], 16) == receipt["gasUsed"]
    (inner,) = tree["calls"]
    assert (inner["error"], inner["revertReason"]) == ("execution reverted", "unlucky")
    assert "error" not in tree
    _, good = trace(
        web3, adder.functions.relay(5), {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
    )
    (log,) = good["calls"][0]["logs"]
    assert (log["address"], int(log["data"], 16)) == (adder.address.lower(), 5)
    _, top = trace(
        web3, adder.functions.relay(5), {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
    )
    assert "calls" not in top


def test_the_call_tracer_names_creations_and_static_calls(web3: Web3, adder: Any) -> None:
    options = {"tracer": "callTracer"}
    _, tree = trace(web3, adder.functions.clone(), options)
    (made,) = tree["calls"]
    address = "0x" + tree["output"][-40:]
    assert (made["type"], made["to"]) == ("CREATE", address)
    assert made["output"] == web3.eth.get_code(Web3.to_checksum_address(address)).to_0x_hex()
    fields = {"to": adder.address, "data": adder.functions.peek()._encode_transaction_data()}
    (peeked,) = call(web3, "debug_traceCall", fields, "latest", options)["calls"]
    assert peeked["type"] == "STATICCALL"
    assert "value" not in peeked
    deployment = call(web3, "eth_getBlockByNumber", "0x1", True)["transactions"][0]["hash"]
    top = call(web3, "debug_traceTransaction", deployment, options)
    assert (top["type"], top["to"]) == ("CREATE", adder.address.lower())
    assert top["output"] == web3.eth.get_code(adder.address).to_0x_hex()


def test_a_call_is_traced_on_a_changed_state(web3: Web3, adder: Any) -> None:
    fields = {"to": adder.address, "data": adder.functions.peek()._encode_transaction_data()}
    slot = "0x" + "00" * 32
    options = {"stateOverrides": {adder.address: {"stateDiff": {slot: f"{77:#066x}"}}}}
    assert int(call(web3, "debug_traceCall", fields, "latest", options)["returnValue"], 16) == 77
    stamped = {"data": "0x425f5260205ff3"}  # returns the timestamp
    changed = call(web3, "debug_traceCall", stamped, "latest", {"blockOverrides": {"time": "0x7b"}})
    assert int(changed["returnValue"], 16) == 123


def test_a_trace_that_is_too_long_is_refused(web3: Web3, adder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain_devnet.tracing.MAX_TRACE_BYTES", 500_000)
    monkeypatch.setattr("chain_devnet.tracing.MAX_FRAMES", 1)
    fields = {
        "to": adder.address,
        "data": adder.functions.forever()._encode_transaction_data(),
        "gas": "0x100000",
    }
    error = web3.provider.make_request("debug_traceCall", [fields, "latest"])["error"]
    assert (error["code"], "set limit" in error["message"]) == (-32005, True)
    assert len(call(web3, "debug_traceCall", fields, "latest", {"limit": 5})["structLogs"]) == 5
    nested = {"to": adder.address, "data": adder.functions.relay(5)._encode_transaction_data()}
    error = web3.provider.make_request("debug_traceCall", [nested, "latest", {"tracer": "callTracer"}])[
        "error"
    ]
    assert (error["code"], "onlyTopCall" in error["message"]) == (-32005, True)


def test_the_traces_of_a_block_share_the_limit(
    web3: Web3, adder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(web3, "evm_setAutomine", False)
    for amount in (1, 2, 3):
        adder.functions.add(amount).transact({"from": web3.eth.accounts[0], "gas": 200_000})
    call(web3, "evm_mine")
    whole = call(web3, "debug_traceBlockByNumber", "latest")
    one = sum(
        90 + 40 * (len(s["stack"]) + 2 * len(s.get("storage", ()))) for s in whole[0]["result"]["structLogs"]
    )
    monkeypatch.setattr("chain_devnet.tracing.MAX_TRACE_BYTES", 2 * one)
    assert call(web3, "debug_traceTransaction", whole[0]["txHash"])
    error = web3.provider.make_request("debug_traceBlockByNumber", ["latest"])["error"]
    assert error["code"] == -32005


def test_an_access_list_names_what_is_touched_and_not_warm_anyway(web3: Web3, adder: Any) -> None:
    def listed(**fields: Any) -> Any:
        found = call(web3, "eth_createAccessList", {"from": web3.eth.accounts[0], **fields}, "latest")
        return found, {entry["address"]: len(entry["storageKeys"]) for entry in found["accessList"]}

    data = adder.functions.add(5)._encode_transaction_data()
    found, touched = listed(to=adder.address, data=data)
    assert touched == {adder.address.lower(): 1}
    assert int(found["accessList"][0]["storageKeys"][0], 16) == 0
    sent = {"from": web3.eth.accounts[0], "to": adder.address, "data": data, "gas": 200_000}
    tx_hash = web3.eth.send_transaction({**sent, "accessList": found["accessList"]})
    assert web3.eth.get_transaction_receipt(tx_hash)["gasUsed"] == int(found["gasUsed"], 16)
    # BALANCE of a stranger, of the sender, of the new contract and of a precompile
    code = (
        "".join(f"73{address}31" for address in ("ab" * 20, web3.eth.accounts[0][2:], "00" * 19 + "05"))
        + "303100"
    )
    assert listed(data="0x" + code)[1] == {"0x" + "ab" * 20: 0}
    failing = adder.functions.add(13)._encode_transaction_data()
    assert listed(to=adder.address, data=failing)[0]["error"] == "execution reverted: unlucky"


def test_what_cannot_be_traced_is_refused(web3: Web3) -> None:
    unknown = "0x" + "12" * 32
    for method, params, code in (
        ("debug_traceTransaction", [unknown], -32000),
        ("debug_traceBlockByHash", [unknown], -32000),
        ("debug_traceBlockByNumber", ["0x0"], -32000),
        ("debug_traceBlockByNumber", ["0xff"], -32000),
        ("debug_traceBlockByNumber", ["3"], -32602),
        ("debug_traceTransaction", [unknown, {"tracer": "{step: function() {}}"}], -32602),
        ("debug_traceTransaction", [unknown, {"disableStack": 1}], -32602),
        ("debug_traceTransaction", [unknown, {"tracer": "callTracer", "tracerConfig": 5}], -32602),
        ("debug_traceCall", [{}, "latest", {"blockOverrides": {"colour": "0x1"}}], -32602),
        ("debug_traceCall", [{}, "latest", {"stateOverrides": {"0x12": {}}}], -32602),
        ("debug_getRawHeader", ["2"], -32602),
    ):
        assert web3.provider.make_request(method, params)["error"]["code"] == code, (method, params)


def test_raw_bytes_hash_to_what_the_chain_says(web3: Web3, adder: Any) -> None:
    block = web3.eth.get_block("latest")
    header = bytes.fromhex(call(web3, "debug_getRawHeader", "latest")[2:])
    assert keccak(header) == bytes(block["hash"])
    whole = rlp.decode(bytes.fromhex(call(web3, "debug_getRawBlock", "latest")[2:]))
    assert rlp.encode(whole[0]) == header
    assert len(call(web3, "debug_getRawReceipts", "latest")) == len(whole[1]) == 1
    assert bytes.fromhex(call(web3, "debug_getRawTransaction", block["transactions"][0].to_0x_hex())[2:]) in (
        whole[1][0],
        rlp.encode(whole[1][0]),
    )
