"""JSON-RPC over a websocket: requests in, answers and notifications out.

A connection that does not read what it is sent is closed; nothing is queued for it beyond one answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from chain_devnet.chain import Chain
from chain_devnet.rpc.dispatch import answer
from chain_devnet.rpc.subscriptions import SlowReaderError, Subscriptions

MAX_CONNECTIONS = 500
SEND_SECONDS = 10.0
TRY_AGAIN_LATER = 1013
INTERNAL_ERROR = 1011

_log = logging.getLogger(__name__)


class Conversations:
    """The open websocket connections to a chain, bounded in number."""

    def __init__(self, chain: Chain, send_seconds: float = SEND_SECONDS) -> None:
        """A client that takes longer than `send_seconds` to take one message is disconnected."""
        self._chain = chain
        self._send_seconds = send_seconds
        self._open = 0

    async def serve(self, websocket: WebSocket) -> None:
        """Talk until either side closes (a Starlette websocket endpoint)."""
        await websocket.accept()
        if self._open >= MAX_CONNECTIONS:
            await websocket.close(TRY_AGAIN_LATER, "too many connections")
            return
        self._open += 1
        try:
            await _Conversation(self._chain, websocket, self._send_seconds).run()
        finally:
            self._open -= 1


class _Conversation:
    """One connection: a task that answers and a task that notifies."""

    def __init__(self, chain: Chain, websocket: WebSocket, send_seconds: float) -> None:
        self._chain = chain
        self._websocket = websocket
        self._send_seconds = send_seconds
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._subscriptions = Subscriptions(chain, self._wake)

    async def run(self) -> None:
        """Answer and notify until one of them ends."""
        tasks = {asyncio.create_task(self._answer()), asyncio.create_task(self._notify())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await run_in_threadpool(self._subscriptions.close)
        for outcome in ended:
            if isinstance(outcome, (SlowReaderError, TimeoutError)):
                await self._close(TRY_AGAIN_LATER, "too slow")
            elif isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                _log.error("a websocket connection failed", exc_info=outcome)
                await self._close(INTERNAL_ERROR, "internal error; see the server's log")

    async def _close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(self._send_seconds):
                await self._websocket.close(code, reason)

    async def _answer(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            body = message.get("bytes") or b"" if text is None else text.encode()
            reply = await run_in_threadpool(answer, self._chain, body, self._subscriptions.methods)
            if reply is not None:
                await self._send(reply.decode())
            self._subscriptions.activate()
            self._news.set()

    async def _notify(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while notifications := await run_in_threadpool(self._subscriptions.take):
                for notification in notifications:
                    await self._send(json.dumps(notification, separators=(",", ":")))

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(self._send_seconds):
            await self._websocket.send_text(text)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop may have ended; then nobody listens any more
            self._loop.call_soon_threadsafe(self._news.set)
