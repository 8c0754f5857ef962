"""Whatever is sent, over HTTP or a websocket, is answered with a result or a standard error; nothing dies."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import rpc_schema as schema
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chain_devnet import Chain, ChainConfig, DevnetServer, dev_accounts, open_chain
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.rpc.dispatch import INTERNAL_ERROR, MAX_BATCH, METHODS, answer
from chain_devnet.rpc.subscriptions import KINDS, Subscriptions
from chain_devnet.web import MAX_BODY_BYTES

HOME = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
AWAY = "0x" + "aa" * 20
HASH = "0x" + "12" * 32
CODED = "0x" + "cc" * 20
# Writes slot 1, calls itself with a little gas and reverts, so that traces have something to tell.
CODE = "0x60015460015560003560f01c5f5f5f5f5f30613000f15f5ffd"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
STANDARD = {-32700, -32600, -32601, -32602, -32000, -32005, 3}

transaction = {
    "from": HOME,
    "to": CODED,
    "gas": "0x30000",
    "gasPrice": "0x77359400",
    "value": "0x0",
    "input": "0x1234",
    "nonce": "0x0",
    "chainId": "0x7a69",
    "accessList": [{"address": AWAY, "storageKeys": [HASH]}],
}
typed_data = {
    "types": {"EIP712Domain": [], "Mail": [{"name": "body", "type": "Mail[]"}]},
    "primaryType": "Mail",
    "domain": {},
    "message": {"body": []},
}
overrides = {CODED: {"balance": "0x1", "nonce": "0x2", "code": CODE, "stateDiff": {HASH: HASH}}}
block_overrides = {"number": "0x5", "time": "0x9", "feeRecipient": AWAY, "baseFeePerGas": "0x0"}
log_filter = {
    "fromBlock": "0x0",
    "toBlock": "latest",
    "address": [AWAY, CODED],
    "topics": [None, HASH, [HASH, HASH], []],
}
trace_options = {
    "tracer": "callTracer",
    "tracerConfig": {"onlyTopCall": False, "withLog": True},
    "enableMemory": True,
    "limit": 50,
    "stateOverrides": overrides,
    "blockOverrides": block_overrides,
}
# Mining many blocks is allowed and slow; the mutations below keep the numbers small.
VALID: dict[str, list[Any]] = {
    "anvil_mine": ["0x2", "0x1"],
    "hardhat_mine": ["0x2", "0x1"],
    "evm_mine": [{"blocks": 2}],
    "evm_increaseTime": [5],
    "anvil_increaseTime": [5],
    "evm_setNextBlockTimestamp": ["0x7fffffff"],
    "anvil_setNextBlockTimestamp": ["0x7fffffff"],
    "evm_setAutomine": [True],
    "anvil_setAutomine": [True],
    "evm_revert": ["0x1"],
    "anvil_revert": ["0x1"],
    "anvil_autoImpersonateAccount": [True],
    "debug_getRawBlock": ["latest"],
    "debug_getRawHeader": ["latest"],
    "debug_getRawReceipts": ["latest"],
    "debug_getRawTransaction": [HASH],
    "debug_traceBlockByHash": [HASH, trace_options],
    "debug_traceBlockByNumber": ["0x1", trace_options],
    "debug_traceCall": [transaction, "latest", {**trace_options, "tracer": ""}],
    "debug_traceTransaction": [HASH, trace_options],
    "eth_call": [transaction, "latest", overrides, block_overrides],
    "eth_createAccessList": [transaction, "latest", overrides],
    "eth_estimateGas": [transaction, "latest", overrides, block_overrides],
    "eth_feeHistory": ["0x5", "latest", [1, 50, 99.5]],
    "eth_fillTransaction": [transaction],
    "eth_getBalance": [HOME, "latest"],
    "eth_getBlockByHash": [HASH, True],
    "eth_getBlockByNumber": ["0x1", True],
    "eth_getBlockReceipts": ["0x1"],
    "eth_getBlockTransactionCountByHash": [HASH],
    "eth_getBlockTransactionCountByNumber": ["0x1"],
    "eth_getCode": [CODED, {"blockHash": HASH}],
    "eth_getFilterChanges": ["0x1"],
    "eth_getFilterLogs": ["0x1"],
    "eth_getHeaderByHash": [HASH],
    "eth_getHeaderByNumber": ["pending"],
    "eth_getLogs": [log_filter],
    "eth_getProof": [CODED, ["0x0", HASH], "latest"],
    "eth_getRawTransactionByHash": [HASH],
    "eth_getStorageAt": [CODED, "0x0", {"blockNumber": "0x0"}],
    "eth_getTransactionByBlockHashAndIndex": [HASH, "0x0"],
    "eth_getTransactionByBlockNumberAndIndex": ["0x1", "0x0"],
    "eth_getTransactionByHash": [HASH],
    "eth_getTransactionCount": [HOME, "pending"],
    "eth_getTransactionReceipt": [HASH],
    "eth_getUncleByBlockHashAndIndex": [HASH, "0x0"],
    "eth_getUncleByBlockNumberAndIndex": ["0x1", "0x0"],
    "eth_getUncleCountByBlockHash": [HASH],
    "eth_getUncleCountByBlockNumber": ["0x1"],
    "eth_newFilter": [log_filter],
    "eth_sendTransaction": [transaction],
    "eth_sign": [HOME, "0x12"],
    "eth_signTransaction": [transaction],
    "eth_signTypedData_v4": [HOME, typed_data],
    "eth_uninstallFilter": ["0x1"],
    "personal_sign": ["0x12", HOME, "secret"],
    "txpool_contentFrom": [HOME],
    "web3_sha3": ["0x12"],
    **{f"{prefix}_setBalance": [AWAY, "0x5"] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_setNonce": [AWAY, "0x5"] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_setCode": [AWAY, CODE] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_setStorageAt": [AWAY, "0x0", HASH] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_setCoinbase": [AWAY] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_impersonateAccount": [AWAY] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_stopImpersonatingAccount": [AWAY] for prefix in ("anvil", "hardhat")},
    **{f"{prefix}_dropTransaction": [HASH] for prefix in ("anvil", "hardhat")},
    "evm_setAccountBalance": [AWAY, "0x5"],
    "evm_setAccountNonce": [AWAY, "0x5"],
    "evm_setAccountCode": [AWAY, CODE],
    "evm_setAccountStorageAt": [AWAY, "0x0", HASH],
}
MINING = ("anvil_mine", "hardhat_mine", "evm_mine")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    opened = open_chain(None, ChainConfig(), PyEvmBackend())
    for method, params in (("anvil_setCode", [CODED, CODE]), ("eth_sendTransaction", [transaction])):
        assert answer(opened, json.dumps({**CALL, "method": method, "params": params}).encode())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server() -> Iterator[DevnetServer]:
    with DevnetServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_logged_as_failed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR):
        yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def sound(reply: bytes | str | None) -> bool:
    """Whether `reply` is nothing, a response, or a batch of responses, as the specification wants them."""
    if reply is None:
        return True
    document = json.loads(reply)
    responses = document if isinstance(document, list) else [document]
    for response in responses:
        assert schema.faults(schema.RESPONSE, response) == [], response
        if "error" in response:
            assert response["error"]["code"] in STANDARD, response
            assert response["error"]["code"] != INTERNAL_ERROR
            assert "Traceback" not in response["error"]["message"]
    return bool(responses)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.integers(0, 2**300),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        ["0x", "0x0", "0x00", "0X1", "0xg", "1", "latest", "pending", "safe", "earliest", HOME, HASH]
    ),
    st.integers(0, 2**257).map(hex),
    st.binary(max_size=40).map(lambda data: f"0x{data.hex()}"),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


flip = st.tuples(st.integers(0, 500), st.integers(1, 255))


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be changed inside `value`."""
    yield here
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from paths(child, (*here, key))


@st.composite
def mutated_calls(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid request in which one to three things were replaced, removed or added."""
    method = draw(st.sampled_from(sorted(METHODS)))
    params: Any = copy.deepcopy(VALID.get(method, []))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(paths(params))))
        if not path:
            params = (
                [*params, draw(values)] if isinstance(params, list) and draw(st.booleans()) else draw(values)
            )
            continue
        parent = params
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.integers(0, 4)) == 0:
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(values)
    return method, params


def few_blocks(method: str, params: Any) -> Any:
    """The same parameters unless they ask for more blocks than a test has time for."""
    asked = json.dumps(params)
    return [] if method in MINING and any(len(word) > 4 for word in asked.split('"')) else params


def test_every_method_has_a_valid_request_to_begin_with(chain: Chain) -> None:
    without = {name for name in METHODS if name not in VALID}
    for method in sorted(METHODS):
        if method == "eth_sendRawTransaction":
            continue
        reply = json.loads(answer(chain, request(method, VALID.get(method, []))) or b"")
        code = reply.get("error", {}).get("code")
        assert code in (None, -32000, 3), (method, reply)
        assert method not in without or code is None, (method, reply)


@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=mutated_calls())
def test_mutated_requests_are_answered(chain: Chain, call: tuple[str, Any]) -> None:
    method, params = call
    assert sound(answer(chain, request(method, few_blocks(method, params))))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(mutated_calls(), values), max_size=6), st.data())
def test_batches_of_anything_are_answered(chain: Chain, entries: list[Any], data: st.DataObject) -> None:
    batch = []
    for entry in entries:
        if isinstance(entry, tuple):
            envelope = {**CALL, "method": entry[0], "params": few_blocks(*entry)}
            name = data.draw(st.sampled_from(["jsonrpc", "id", "method", "params", "extra"]))
            batch.append({**envelope, name: data.draw(values)} if data.draw(st.booleans()) else envelope)
        else:
            batch.append(entry)
    assert sound(answer(chain, json.dumps(batch).encode()))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        values.map(lambda value: json.dumps(value).encode()),
        st.text(max_size=50).map(lambda text: text.encode("utf-16")),
    )
)
def test_bodies_of_anything_are_answered(chain: Chain, body: bytes) -> None:
    assert sound(answer(chain, body))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(KINDS), max_size=3), rest=st.lists(values, max_size=2))
def test_subscriptions_to_anything_are_answered(chain: Chain, kinds: list[str], rest: list[Any]) -> None:
    subscriptions = Subscriptions(chain, lambda: None)
    try:
        for method in ("eth_subscribe", "eth_unsubscribe"):
            body = request(method, [*kinds[:1], *rest])
            assert sound(answer(chain, body, subscriptions.methods))
        subscriptions.activate()
        assert isinstance(subscriptions.take(), list)
    finally:
        subscriptions.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(flip, min_size=1, max_size=4), kind=st.sampled_from([0, 1, 2, 4]))
def test_signed_transactions_with_flipped_bytes_are_refused_or_taken(
    chain: Chain, flips: list[tuple[int, int]], kind: int
) -> None:
    raw = bytearray(signed(chain, kind))
    for place, change in flips:
        raw[place % len(raw)] ^= change
    assert sound(answer(chain, request("eth_sendRawTransaction", [f"0x{raw.hex()}"])))


def signed(chain: Chain, kind: int) -> bytes:
    account = dev_accounts()[3]
    fields: dict[str, Any] = {
        "chainId": 31337,
        "nonce": chain.pending_nonce(account.address),
        "gas": 90_000,
        "to": bytes.fromhex("aa" * 20),
        "value": 1,
    }
    if kind in (0, 1):
        fields["gasPrice"] = 5 * 10**9
    else:
        fields |= {"maxFeePerGas": 5 * 10**9, "maxPriorityFeePerGas": 10**9}
    if kind:
        fields["accessList"] = [{"address": AWAY, "storageKeys": [HASH]}]
    if kind == 4:
        authorization = {"chainId": 31337, "address": b"\xcc" * 20, "nonce": 0}
        fields["authorizationList"] = [Account.sign_authorization(authorization, dev_accounts()[4].key)]
    return bytes(Account.sign_transaction(fields, account.key).raw_transaction)


def request(method: str, params: Any) -> bytes:
    return json.dumps({**CALL, "method": method, "params": params}).encode()


HOSTILE: dict[str, bytes] = {
    "deep lists": b"[" * 2_000_000,
    "deep objects": b'{"a":' * 500_000,
    "deep after a string that looks like quotes in another encoding": (
        '{"∀":' + "[" * 50_000 + "]" * 50_000 + "}"
    ).encode("utf-16"),
    "a string without end": b'["' + b'\\"' * 2_000_000 + b"[" * 100,
    "many quotes": b'["' + b'""' * 1_000_000 + b"[" * 100,
    "a number of a million digits": b'{"jsonrpc":"2.0","id":'
    + b"9" * 1_000_000
    + b',"method":"eth_chainId"}',
    "a huge exponent": b'{"jsonrpc":"2.0","id":1e999999,"method":"eth_chainId"}',
    "lone surrogates": b'{"jsonrpc":"2.0","id":"\\ud800","method":"eth_chainId"}',
    "a batch of nothing": b"[" + b"0," * 999 + b"0]",
    "a batch too long": b"[" + b"0," * MAX_BATCH + b"0]",
    "a method name of a megabyte": request("x" * 1_000_000, []),
    "data of eight megabytes": request("web3_sha3", ["0x" + "00" * 4_000_000]),
    "a filter with a million addresses": request("eth_getLogs", [{"address": [AWAY] * 100_000}]),
    "typed data that contains itself": request("eth_signTypedData_v4", [HOME, typed_data]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_answered_soon(server: DevnetServer, name: str) -> None:
    reply = httpx.post(server.url, content=HOSTILE[name], timeout=20)
    assert reply.status_code == 200
    assert sound(reply.content)
    assert alive(server)


def test_a_body_that_is_too_large_or_ends_early_or_lies_about_its_length_harms_nobody(
    server: DevnetServer,
) -> None:
    parts = urlsplit(server.url)
    head = "POST / HTTP/1.1\r\nHost: x\r\n"
    for sent in (
        f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n",
        f"{head}Content-Length: 1000\r\n\r\n" + "{",
        f"{head}Content-Length: -1\r\n\r\n" + "{}",
        f"{head}Content-Length: nine\r\n\r\n" + "{}",
        f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ):
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as plain:
            plain.sendall(sent.encode("latin-1"))
            plain.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda plain=plain: plain.recv(65_536), b""))  # type: ignore[misc]
            assert b"Traceback" not in received
        assert alive(server), sent


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.one_of(st.binary(max_size=60), values, mutated_calls()), min_size=1, max_size=5))
def test_http_answers_anything(server: DevnetServer, bodies: list[Any]) -> None:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        for body in bodies:
            reply = client.post("/", content=encoded(body))
            assert reply.status_code in (200, 204)
            assert reply.status_code == 204 or sound(reply.content)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.one_of(st.binary(max_size=60), values, mutated_calls()), min_size=1, max_size=5))
def test_a_websocket_answers_any_frame(server: DevnetServer, frames: list[Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), connect(server.url.replace("http", "ws", 1), max_size=None) as link:
            for frame in frames:
                await link.send(encoded(frame))
            await link.send(json.dumps({**CALL, "id": "last"}))
            while True:
                reply = await link.recv()
                assert sound(reply)
                document = json.loads(reply)
                if isinstance(document, dict) and document["id"] == "last":
                    return

    asyncio.run(run())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.binary(min_size=1, max_size=80))
def test_a_websocket_that_breaks_its_protocol_is_closed(server: DevnetServer, sent: bytes) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), connect(server.url.replace("http", "ws", 1)) as link:
            link.transport.write(sent)
            link.transport.write_eof()
            with pytest.raises(ConnectionClosed):
                await until_closed(link.recv)

    asyncio.run(run())
    assert alive(server)


def test_a_frame_that_is_too_large_ends_the_connection_only(server: DevnetServer) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), connect(server.url.replace("http", "ws", 1)) as link:
            with pytest.raises(ConnectionClosed) as closed:
                await too_much(link)
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009

    asyncio.run(run())
    assert alive(server)


async def too_much(link: Any) -> None:
    await link.send(b" " * (MAX_BODY_BYTES + 1))
    await link.recv()


async def until_closed(receive: Callable[[], Any]) -> None:
    while True:
        await receive()


def encoded(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return request(body[0], few_blocks(*body)) if isinstance(body, tuple) else json.dumps(body).encode()


def alive(server: DevnetServer) -> bool:
    return bool(httpx.post(server.url, json=CALL, timeout=20).json()["result"] == "0x7a69")
