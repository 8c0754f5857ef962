"""JSON-RPC 2.0 as such: error codes, batches, limits, and nothing a client sends breaks the server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import rlp
from eth_account import Account as Wallet
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_devnet import Chain, ChainConfig, DevnetServer, open_chain
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.rpc.dispatch import INTERNAL_ERROR, answer
from chain_devnet.web import MAX_BODY_BYTES

CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    opened = open_chain(None, ChainConfig(), PyEvmBackend())
    yield opened
    opened.close()


def ask(chain: Chain, request: Any) -> Any:
    reply = answer(chain, request if isinstance(request, bytes) else json.dumps(request).encode())
    return None if reply is None else json.loads(reply)


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc": "2.0", "id": NaN}', -32700),
        (b"[" * 100_000, -32700),
        (b'["' + b'\\"' * 99 + b'",' + b"[" * 99, -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (b'"eth_chainId"', -32600),
        ({"id": 1, "method": "eth_chainId"}, -32600),
        ({**CALL, "method": 5}, -32600),
        ({**CALL, "id": {"a": 1}}, -32600),
        ([CALL] * 1001, -32600),
        ({**CALL, "method": "eth_nothing"}, -32601),
        ({**CALL, "params": {"a": 1}}, -32602),
        ({**CALL, "params": [1]}, -32602),
        ({**CALL, "method": "eth_getBalance", "params": []}, -32602),
        ({**CALL, "method": "eth_getBalance", "params": ["0x12"]}, -32602),
        ({**CALL, "method": "eth_getBalance", "params": ["0x" + "11" * 20, "newest"]}, -32602),
        ({**CALL, "method": "eth_getBlockByNumber", "params": ["0x" + "f" * 65, True]}, -32602),
        ({**CALL, "method": "eth_getBlockByNumber", "params": ["0x0", "yes"]}, -32602),
        ({**CALL, "method": "eth_sendRawTransaction", "params": ["0x"]}, -32602),
        ({**CALL, "method": "eth_sendRawTransaction", "params": ["0xc0ffee"]}, -32602),
        ({**CALL, "method": "eth_sendRawTransaction", "params": ["0x02" + "c0" * 9]}, -32602),
        ({**CALL, "method": "eth_sendRawTransaction", "params": ["0x03c0"]}, -32602),
        ({**CALL, "method": "eth_getLogs", "params": [{"topics": [None] * 5}]}, -32602),
        ({**CALL, "method": "anvil_mine", "params": ["0xffffffff"]}, -32602),
        ({**CALL, "method": "evm_setNextBlockTimestamp", "params": [1]}, -32602),
        ({**CALL, "method": "eth_call", "params": [{}, "latest", {"0x00": {}}]}, -32602),
        ({**CALL, "method": "eth_call", "params": [{"value": "0x1"}]}, -32000),
    ],
)
def test_every_mistake_has_its_code(chain: Chain, request_body: Any, code: int) -> None:
    reply = ask(chain, request_body)
    assert reply["error"]["code"] == code
    assert "\n" not in reply["error"]["message"]


def test_a_batch_is_answered_in_order_and_notifications_are_not(chain: Chain) -> None:
    notification = {"jsonrpc": "2.0", "method": "eth_chainId"}
    batch = [CALL, notification, {**CALL, "id": "two", "method": "nope"}, 5, {**CALL, "id": None}]
    replies = ask(chain, batch)
    assert [reply["id"] for reply in replies] == [1, "two", None, None]
    assert replies[0]["result"] == "0x7a69"
    assert [reply["error"]["code"] for reply in replies[1:3]] == [-32601, -32600]
    assert ask(chain, notification) is None
    assert ask(chain, [notification]) is None


def test_http_takes_posts_answers_browsers_and_limits_the_body(server: DevnetServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        answered = client.post("/", json=CALL, headers={"origin": "https://wallet.example"})
        assert answered.json()["result"] == "0x7a69"
        assert answered.headers["access-control-allow-origin"] == "*"
        preflight = client.options(
            "/", headers={"origin": "https://wallet.example", "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 200
        assert client.get("/").status_code == 405
        assert client.post("/", json={"jsonrpc": "2.0", "method": "eth_chainId"}).status_code == 204
        assert client.post("/", content=b"{").json()["error"]["code"] == -32700
        chunks = (b" " * 1_000_000 for _ in range(MAX_BODY_BYTES // 1_000_000 + 1))
        too_large = client.post("/", content=chunks)
        assert too_large.status_code == 413
        assert too_large.json()["error"]["code"] == -32600
        assert client.post("/", json=CALL).status_code == 200


def test_web3_batches_work(web3: Any) -> None:
    address = web3.eth.accounts[0]
    with web3.batch_requests() as batch:
        batch.add(web3.eth.get_block(0))
        batch.add(web3.eth.get_balance(address))
        block, balance = batch.execute()
    assert (block["number"], balance) == (0, 10_000 * 10**18)


def test_lists_nested_without_end_in_a_transaction_are_refused(chain: Chain) -> None:
    nested = b"\xc0"
    for _ in range(20_000):
        nested = rlp_list(nested)
    reply = ask(chain, {**CALL, "method": "eth_sendRawTransaction", "params": [f"0x{nested.hex()}"]})
    assert reply["error"]["code"] == -32602


def rlp_list(payload: bytes) -> bytes:
    if len(payload) < 56:
        return bytes([0xC0 + len(payload)]) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(length)]) + length + payload


def test_a_contract_that_calls_itself_without_end_is_stopped(server: DevnetServer) -> None:
    # CALL(gas, address, 0, 0, 0, 0, 0) to itself: 1024 frames deep or until the gas is gone.
    loop = bytes.fromhex("5f5f5f5f5f305af100")
    deployment = bytes.fromhex("69") + loop + b"\0" + bytes.fromhex("5f52600a6016f3")
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def request(method: str, param: object) -> Any:
            answered = client.post("/", json={**CALL, "method": method, "params": [param]})
            return answered.json()["result"]

        tx_hash = request("eth_sendTransaction", {"from": HOME, "data": f"0x{deployment.hex()}"})
        looping = request("eth_getTransactionReceipt", tx_hash)["contractAddress"]
        assert request("eth_call", {"to": looping, "gas": "0x1c9c380"}) == "0x"


hexes = st.one_of(
    st.binary(max_size=40).map(lambda data: f"0x{data.hex()}"),
    st.sampled_from(
        ["0x", "0x0", "0xz", "latest", "pending", "earliest", "0x" + "11" * 20, "0x" + "22" * 32]
    ),
    st.integers(0, 2**70).map(hex),
)
NAMES = """
from to data input value gas gasPrice nonce maxFeePerGas maxPriorityFeePerGas accessList address topics
fromBlock toBlock blockHash blockNumber timestamp chainId storageKeys
"""
names = st.sampled_from(NAMES.split())
HOME = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


@settings(max_examples=150, deadline=None)
@given(fields=st.dictionaries(names, st.one_of(hexes, st.none()), max_size=6), code=st.binary(max_size=60))
def test_no_call_or_bytecode_makes_the_machine_fail_inside(
    chain: Chain, fields: dict[str, object], code: bytes
) -> None:
    for method in ("eth_call", "eth_estimateGas", "eth_sendTransaction"):
        deployment = {"from": HOME, "gas": "0xfffff", **fields, "data": f"0x{code.hex()}"}
        reply = ask(chain, {**CALL, "method": method, "params": [deployment]})
        assert "result" in reply or reply["error"]["code"] != INTERNAL_ERROR


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from([b"", b"\x01", b"\x02", b"\x04"]), fields=st.recursive(
    st.binary(max_size=34), lambda inner: st.lists(inner, max_size=13), max_leaves=20
))  # fmt: skip
def test_no_bytes_make_the_transaction_decoder_fail_inside(chain: Chain, kind: bytes, fields: Any) -> None:
    raw = kind + rlp.encode(fields)
    reply = ask(chain, {**CALL, "method": "eth_sendRawTransaction", "params": [f"0x{raw.hex()}"]})
    assert reply["error"]["code"] in (-32602, -32000)


def test_a_batch_of_raw_transactions_shares_blocks_and_answers_each(server: DevnetServer) -> None:
    def raw(nonce: int, **fields: Any) -> str:
        whole = {
            "chainId": 31337, "nonce": nonce, "gas": 21_000, "to": b"\xaa" * 20, "value": 1,
            "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, **fields,
        }  # fmt: skip
        return "0x" + bytes(Wallet.sign_transaction(whole, server.accounts[0].key).raw_transaction).hex()

    sends = [
        raw(0), raw(1), "0xc0", raw(2, chainId=1), raw(2), 5, raw(2), raw(3),
    ]  # fmt: skip
    batch: list[Any] = [
        {**CALL, "id": index, "method": "eth_sendRawTransaction", "params": [sent]}
        for index, sent in enumerate(sends)
    ]
    batch[1:1] = [{**CALL, "id": "block", "method": "eth_blockNumber"}]
    del batch[-1]["id"]
    replies = ask(server.chain, batch)
    assert [reply["id"] for reply in replies] == [0, "block", 1, 2, 3, 4, 5, 6]
    codes = [reply.get("error", {}).get("code") for reply in replies]
    assert codes == [None, None, None, -32602, -32000, None, -32602, -32000]
    assert (replies[1]["result"], "already known" in replies[-1]["error"]["message"]) == ("0x1", True)
    assert [len(server.chain.store.transactions(number)) for number in (1, 2)] == [1, 3]
    assert server.chain.head.header.number == 2


def test_a_batch_takes_time_in_proportion_to_its_length(chain: Chain) -> None:
    def seconds(count: int) -> float:
        body = json.dumps(
            [{**CALL, "method": "eth_getBlockByNumber", "params": ["0x0", True]}] * count
        ).encode()
        started = time.perf_counter()
        answer(chain, body)
        return time.perf_counter() - started

    seconds(1_000)
    short, long = (min(seconds(count) for _ in range(5)) for count in (100, 1_000))
    assert long < 40 * short


def test_a_batch_whose_answer_is_too_long_is_cut(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain_devnet.rpc.dispatch.MAX_REPLY_BYTES", 10_000)
    blocks = {**CALL, "method": "eth_getBlockByNumber", "params": ["0x0", True]}
    replies = ask(chain, [{**blocks, "id": index} for index in range(20)])
    assert [reply["id"] for reply in replies] == list(range(20))
    codes = [reply.get("error", {}).get("code") for reply in replies]
    assert (codes[0], codes[-1]) == (None, -32005)
    assert len(json.dumps(replies)) < 20_000


def test_logs_in_a_block_of_many_transactions_keep_their_places(web3: Any, contract: Any) -> None:
    web3.provider.make_request("evm_setAutomine", [False])
    for count in (3, 0, 2):
        contract.functions.put_many(0, count).transact({"from": web3.eth.accounts[0], "gas": 900_000})
    web3.provider.make_request("evm_mine", [])
    receipts = web3.eth.get_block_receipts("latest")
    assert [[log["logIndex"] for log in receipt["logs"]] for receipt in receipts] == [[0, 1, 2], [], [3, 4]]
    assert [log for receipt in receipts for log in receipt["logs"]] == web3.eth.get_logs(
        {"fromBlock": "latest"}
    )
    assert [web3.eth.get_transaction_receipt(r["transactionHash"]) for r in receipts] == receipts
