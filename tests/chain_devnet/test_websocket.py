"""JSON-RPC over a websocket: every method, subscriptions, and clients that do not read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription, PendingTxSubscription
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chain_devnet import DevnetServer
from chain_devnet.rpc.subscriptions import MAX_SUBSCRIPTIONS
from chain_devnet.watches import MAX_ACCEPTED


def talk(server: DevnetServer, conversation: Callable[[ClientConnection], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), connect(ws_url(server), max_size=None) as socket:
            await conversation(socket)

    asyncio.run(run())


def ws_url(server: DevnetServer) -> str:
    return server.url.replace("http://", "ws://")


async def ask(socket: ClientConnection, method: str, *params: Any) -> Any:
    """The result of a request; notifications that come before it are lost."""
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}))
    while True:
        message = json.loads(await socket.recv())
        if message.get("id") == 7:
            return message.get("result", message.get("error"))


async def told(socket: ClientConnection) -> Any:
    message = json.loads(await socket.recv())
    assert message["method"] == "eth_subscription"
    return message["params"]["result"]


async def drained(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


def test_every_kind_of_request_is_answered_in_order(server: DevnetServer) -> None:
    async def conversation(socket: ClientConnection) -> None:
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        await socket.send(json.dumps(call))
        assert json.loads(await socket.recv())["result"] == "0x7a69"
        await socket.send(json.dumps([call, {**call, "id": 2}]).encode())
        assert [reply["id"] for reply in json.loads(await socket.recv())] == [1, 2]
        for index in range(5):
            await socket.send(json.dumps({**call, "id": index}))
        assert [json.loads(await socket.recv())["id"] for _ in range(5)] == list(range(5))
        await socket.send("{")
        assert json.loads(await socket.recv())["error"]["code"] == -32700
        await socket.send(json.dumps({"jsonrpc": "2.0", "method": "evm_mine"}))
        assert await ask(socket, "eth_blockNumber") == "0x1"

    talk(server, conversation)


def test_new_heads_are_told_in_order_and_look_like_the_blocks(server: DevnetServer, web3: Web3) -> None:
    async def conversation(socket: ClientConnection) -> None:
        name = await ask(socket, "eth_subscribe", "newHeads")
        web3.provider.make_request("anvil_mine", ["0x3"])
        heads = [await told(socket) for _ in range(3)]
        for number, head in enumerate(heads, start=1):
            block = await ask(socket, "eth_getBlockByNumber", hex(number), False)
            assert head.items() <= block.items()
            assert {"hash", "parentHash", "logsBloom", "baseFeePerGas", "timestamp"} <= head.keys()
        assert await ask(socket, "eth_unsubscribe", name) is True
        assert await ask(socket, "eth_unsubscribe", name) is False
        web3.provider.make_request("evm_mine", [])
        assert await ask(socket, "eth_blockNumber") == "0x4"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.2)

    talk(server, conversation)


def test_logs_are_told_and_taken_back_when_the_chain_is_reverted(
    server: DevnetServer, web3: Web3, contract: Any
) -> None:
    def put(value: int) -> None:
        contract.functions.put(value, "x").transact({"from": web3.eth.accounts[0]})

    async def conversation(socket: ClientConnection) -> None:
        wanted = {"address": contract.address, "topics": [None, None, [f"0x{v:064x}" for v in (1, 2, 4)]]}
        await ask(socket, "eth_subscribe", "logs", wanted)
        snapshot = await ask(socket, "evm_snapshot")
        for value in (1, 3, 2):
            await asyncio.to_thread(put, value)
        first, second = await told(socket), await told(socket)
        assert [int(log["topics"][2], 16) for log in (first, second)] == [1, 2]
        await socket.send(json.dumps({"jsonrpc": "2.0", "method": "evm_revert", "params": [snapshot]}))
        await asyncio.to_thread(put, 4)
        messages = [await told(socket) for _ in range(3)]
        assert messages[:2] == [{**second, "removed": True}, {**first, "removed": True}]
        assert (messages[2]["removed"], int(messages[2]["topics"][2], 16)) == (False, 4)

    talk(server, conversation)


@pytest.mark.parametrize("whole", [False, True])
def test_pending_transactions_are_told(server: DevnetServer, web3: Web3, whole: bool) -> None:
    async def conversation(socket: ClientConnection) -> None:
        await ask(socket, "eth_subscribe", "newPendingTransactions", *([True] if whole else []))
        sent = {"from": web3.eth.accounts[0], "to": web3.eth.accounts[1], "value": 1}
        tx_hash = (await asyncio.to_thread(web3.eth.send_transaction, sent)).to_0x_hex()
        notice = await told(socket)
        assert (notice["hash"] if whole else notice) == tx_hash

    talk(server, conversation)


def test_wrong_subscriptions_are_refused_and_http_has_none(server: DevnetServer, web3: Web3) -> None:
    async def conversation(socket: ClientConnection) -> None:
        for params in (["nothing"], [], [{}], ["logs", 5], ["logs", {"topics": 1}], ["newHeads", 1, 2]):
            assert (await ask(socket, "eth_subscribe", *params))["code"] == -32602, params
        for _ in range(MAX_SUBSCRIPTIONS):
            await ask(socket, "eth_subscribe", "newHeads")
        assert (await ask(socket, "eth_subscribe", "newHeads"))["code"] == -32005

    talk(server, conversation)
    for method in ("eth_subscribe", "eth_unsubscribe"):
        error = web3.provider.make_request(method, ["newHeads"])["error"]
        assert error["code"] == -32601
        assert "ws://" in error["message"]


def test_a_connection_that_ends_leaves_nothing_behind(server: DevnetServer) -> None:
    async def conversation(socket: ClientConnection) -> None:
        for _ in range(3):
            await ask(socket, "eth_subscribe", "newHeads")
        assert server.chain.watches.count == 3

    talk(server, conversation)
    deadline = time.monotonic() + 5
    while server.chain.watches.count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.chain.watches.count == 0


def test_no_more_connections_are_taken_than_can_be_served(
    server: DevnetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain_devnet.websocket.MAX_CONNECTIONS", 2)

    async def run() -> None:
        async with connect(ws_url(server)) as first, connect(ws_url(server)) as second:
            for socket in (first, second):
                assert await ask(socket, "eth_chainId") == "0x7a69"
            async with connect(ws_url(server)) as third:
                with pytest.raises(ConnectionClosed) as closed:
                    await third.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1013
            await first.close()
            for _ in range(100):
                async with connect(ws_url(server)) as again:
                    try:
                        assert await ask(again, "eth_chainId") == "0x7a69"
                        return
                    except ConnectionClosed:
                        await asyncio.sleep(0.05)
            raise AssertionError("a place that became free was not given away")

    asyncio.run(run())


def test_a_server_with_open_connections_stops_soon() -> None:
    server = DevnetServer()
    server.start()

    async def run() -> float:
        async with connect(ws_url(server)) as socket:
            await ask(socket, "eth_subscribe", "newHeads")
            started = time.monotonic()
            await asyncio.to_thread(server.stop)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return time.monotonic() - started

    assert asyncio.run(run()) < 4


def test_a_notification_never_comes_before_the_number_of_its_subscription(server: DevnetServer) -> None:
    async def conversation(socket: ClientConnection) -> None:
        # The batch subscribes and mines, so there is news before its reply is sent.
        batch = [
            {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]},
            {"jsonrpc": "2.0", "id": 2, "method": "anvil_mine", "params": ["0x32"]},
            *({"jsonrpc": "2.0", "id": 3, "method": "evm_snapshot", "params": []} for _ in range(900)),
        ]
        await socket.send(json.dumps(batch))
        first = json.loads(await socket.recv())
        assert isinstance(first, list)
        assert [(await told(socket))["number"] for _ in range(50)] == [hex(n) for n in range(1, 51)]

    talk(server, conversation)


def test_a_subscriber_that_lost_track_is_told_so_by_the_end_of_the_connection(
    server: DevnetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation(socket: ClientConnection) -> None:
        await ask(socket, "eth_subscribe", "newPendingTransactions")
        with server.chain.lock:
            server.chain.watches.accepted(index.to_bytes(32, "big") for index in range(MAX_ACCEPTED + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await drained(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013

    talk(server, conversation)


def test_a_client_that_does_not_read_is_disconnected_and_the_chain_goes_on() -> None:
    with DevnetServer(slow_client_seconds=0.3) as server:
        web3 = Web3(Web3.HTTPProvider(server.url))

        async def run() -> None:
            async with connect(ws_url(server), max_queue=1, ping_interval=None) as socket:
                await ask(socket, "eth_subscribe", "newHeads")
                started = time.monotonic()
                for _ in range(60):
                    await asyncio.to_thread(web3.provider.make_request, "anvil_mine", ["0x3e8"])
                assert time.monotonic() - started < 60
                deadline = time.monotonic() + 10
                while server.chain.watches.count and time.monotonic() < deadline:
                    await asyncio.sleep(0.05)
                assert server.chain.watches.count == 0
                with pytest.raises(ConnectionClosed):
                    await drained(socket)

        asyncio.run(run())
        assert web3.eth.block_number == 60_000


def test_web3_py_subscribes_over_a_websocket(server: DevnetServer, web3: Web3, contract: Any) -> None:
    async def run() -> dict[str, list[Any]]:
        seen: dict[str, list[Any]] = {"heads": [], "logs": [], "pending": []}

        async with AsyncWeb3(WebSocketProvider(ws_url(server))) as client:
            assert await client.eth.chain_id == 31337

            async def head(context: Any) -> None:
                seen["heads"].append(context.result["number"])
                if len(seen["heads"]) == 2:
                    await context.async_w3.subscription_manager.unsubscribe_all()

            async def log(context: Any) -> None:
                seen["logs"].append(context.result["data"])

            async def pending(context: Any) -> None:
                seen["pending"].append(context.result)

            await client.subscription_manager.subscribe(
                [
                    PendingTxSubscription(handler=pending),
                    LogsSubscription(address=contract.address, handler=log),
                    NewHeadsSubscription(handler=head),
                ]
            )
            handling = asyncio.create_task(client.subscription_manager.handle_subscriptions())
            for value in (1, 2):
                await client.eth.send_transaction(
                    contract.functions.put(value, "x").build_transaction(
                        {"from": web3.eth.accounts[0], "nonce": value, "gas": 200_000}
                    )
                )
                await asyncio.sleep(0.2)
            await asyncio.wait_for(handling, 10)
        return seen

    seen = asyncio.run(run())
    assert seen["heads"] == [2, 3]
    assert (len(seen["logs"]), len(seen["pending"])) == (2, 2)
