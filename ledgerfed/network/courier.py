"""The way to one peer: a bounded queue of what is to be said to it, and questions with a deadline.

Rules:
- messages leave in the order in which they came, each until the peer has it, or until newer ones push it out;
- after a failure there is a pause, twice as long each time up to MAX_PAUSE;
- a question to a peer that could not be reached fails at once, until it was reached again in the background,
  so that a dead peer costs its askers no more than the first one's patience;
- a peer that refuses a message for good (it is not for it, or too large) is not told it again;
- everything has a deadline, and an answer an upper size, however slowly or much the peer sends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

import httpx

from ledgerfed.errors import NotFoundError, VerificationError, WaitTimeoutError
from ledgerfed.network.envelope import Envelope, Kind, write_credentials
from ledgerfed.network.message import MAX_MESSAGE_BYTES
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak

MAX_QUEUED = 128
MAX_QUEUED_BYTES = 2 * MAX_MESSAGE_BYTES
FIRST_PAUSE = 0.1
MAX_PAUSE = 10.0
MAX_TRIES = 12
"""How often a peer that answers may put off a message (half a minute) before it is dropped."""
CONNECT_SECONDS = 3.0
POST_SECONDS = 30.0
SESSION_PATH, MESSAGE_PATH = "/v1/session", "/v1/messages"
_SESSION_BYTES = 32
_AGAIN = (404, 408, 429, 500, 502, 503, 504)
"""Answers of a peer that is starting, or busy, or of a proxy before a peer that is down."""
_log = logging.getLogger(__name__)


class Signs(Protocol):
    """Whoever holds the key of this node."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r ‖ s ‖ v (65 bytes) over a 32-byte digest."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a peer answered: an HTTP status and a body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Item:
    """A message in the queue; `tries` counts how often the peer was there and did not take it."""

    topic: str
    data: bytes
    digest: bytes
    tries: int = 0


class Courier:
    """Carries messages of this node to one peer. It lives in one event loop, and is used only there."""

    def __init__(self, federation: Federation, sender: int, signer: Signs, receiver: int, url: str) -> None:
        self.receiver = receiver
        self.url = url
        self.trouble: str | None = None
        self._federation = federation
        self._sender = sender
        self._signer = signer
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._session: bytes | None = None
        self._counter = 0
        self._failures = 0
        self._silent_until = 0.0
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(POST_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
            follow_redirects=False,
        )

    def post(self, topic: str, data: bytes, digest: bytes) -> None:
        """Put a message on its way; `digest` is its keccak-256. The oldest make room for it."""
        self._queue.append(_Item(topic, data, digest))
        self._queued_bytes += len(data)
        while len(self._queue) > MAX_QUEUED or (
            len(self._queue) > 1 and self._queued_bytes > MAX_QUEUED_BYTES
        ):
            self._queued_bytes -= len(self._queue.popleft().data)
        self._wake.set()

    def nudge(self) -> None:
        """The peer has shown that it lives: do not wait for the end of the pause."""
        self._silent_until = 0.0
        self._wake.set()

    async def run(self) -> None:
        """Deliver what is posted until cancelled."""
        while True:
            self._wake.clear()
            if not self._queue and self.trouble is None:
                await self._wake.wait()
                continue
            pause = self._silent_until - asyncio.get_running_loop().time()
            if pause > 0:
                await self._sleep(pause)
                continue
            if self._queue:
                await self._deliver(self._queue[0])
            else:
                await self._probe()

    async def ask(self, protocol: str, data: bytes, seconds: float) -> bytes:
        """Return the peer's answer.

        Raises:
            NotFoundError: it does not speak the protocol.
            WaitTimeoutError: it does not answer, in time or sensibly.
        """
        if self.trouble is not None:
            raise WaitTimeoutError(f"peer {self.receiver} did not answer, {self.trouble}; ask another")
        try:
            async with asyncio.timeout(seconds):
                sent = await self._send(Kind.REQUEST, protocol, data, keccak(data))
        except (httpx.HTTPError, OSError, TimeoutError, VerificationError) as error:
            self._failed(_said(error))
            raise WaitTimeoutError(
                f"peer {self.receiver} did not answer {protocol!r}; ask another"
            ) from error
        self._reached()
        if sent.status == 404:
            raise NotFoundError(f"peer {self.receiver} does not speak {protocol!r}")
        if sent.status != 200:
            raise WaitTimeoutError(
                f"peer {self.receiver} answered {protocol!r} with HTTP status {sent.status}; ask another"
            )
        return sent.body

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _probe(self) -> None:
        """Find out whether a peer that could not be reached is there again."""
        try:
            async with asyncio.timeout(POST_SECONDS):
                await self._open_session()
        except (httpx.HTTPError, OSError, TimeoutError, VerificationError) as error:
            self._failed(_said(error))
        else:
            self._reached()

    async def _deliver(self, item: _Item) -> None:
        try:
            async with asyncio.timeout(POST_SECONDS):
                sent = await self._send(Kind.GOSSIP, item.topic, item.data, item.digest)
        except (httpx.HTTPError, OSError, TimeoutError, VerificationError) as error:
            self._failed(_said(error))
            return
        if sent.status in _AGAIN or sent.status == 409:
            self._pause()
            self._replace_first(item, replace(item, tries=item.tries + 1))
            return
        self._reached()
        if sent.status != 204:
            _log.warning(
                "peer %d refused a message on %r: HTTP status %d %s",
                self.receiver,
                item.topic,
                sent.status,
                sent.body[:200].decode("utf-8", "replace"),
            )
        self._replace_first(item, None)

    def _replace_first(self, item: _Item, other: _Item | None) -> None:
        """Put `other` in the place of the item that was tried, unless newer ones have pushed it out."""
        if not self._queue or self._queue[0] is not item:
            return
        if other is not None and other.tries < MAX_TRIES:
            self._queue[0] = other
        else:
            self._queued_bytes -= len(self._queue.popleft().data)

    async def _send(self, kind: Kind, topic: str, data: bytes, digest: bytes) -> _Sent:
        """Send in the receiver's session; when it has begun another one, once more in that."""
        if self._session is None:
            await self._open_session()
        sent = await self._exchange(kind, topic, data, digest)
        if sent.status == 409:
            await self._open_session()
            sent = await self._exchange(kind, topic, data, digest)
        return sent

    async def _exchange(self, kind: Kind, topic: str, data: bytes, digest: bytes) -> _Sent:
        session, counter = self._session, self._counter
        if session is None:
            raise VerificationError(f"no session with peer {self.receiver}")
        self._counter += 1
        envelope = Envelope(kind, topic, self._sender, self.receiver, session, counter, digest)
        signature = self._signer.sign_digest(envelope.digest(self._federation))
        headers = {"Authorization": write_credentials(envelope, signature)}
        return await self._request("POST", MESSAGE_PATH, data, headers)

    async def _open_session(self) -> None:
        """Ask where the receiver stands. A lie about it costs a refusal: the receiver knows better."""
        sent = await self._request("GET", f"{SESSION_PATH}/{self._sender}")
        if sent.status != 200 or len(sent.body) != _SESSION_BYTES + 8:
            raise VerificationError(f"it is no node of ledgerfed (HTTP status {sent.status})")
        self._session = sent.body[:_SESSION_BYTES]
        self._counter = int.from_bytes(sent.body[_SESSION_BYTES:], "big")
        if self._counter > 1 << 63:
            raise VerificationError("it counts out of range")

    async def _request(
        self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> _Sent:
        async with self._client.stream(method, path, content=data, headers=headers) as response:
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > MAX_MESSAGE_BYTES:
                    raise VerificationError(f"it answers with more than {MAX_MESSAGE_BYTES} bytes")
                parts.append(part)
            return _Sent(response.status_code, b"".join(parts))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or be woken; a message that comes meanwhile is no reason to try sooner."""
        try:
            async with asyncio.timeout(seconds):
                while self._silent_until > asyncio.get_running_loop().time():
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return

    def _failed(self, why: str) -> None:
        if self.trouble is None:
            _log.warning("peer %d at %s cannot be reached: %s; trying again", self.receiver, self.url, why)
        self.trouble = why
        self._pause()
        self._wake.set()  # whoever asked has found out; the background goes on trying

    def _pause(self) -> None:
        """Say nothing for a while, twice as long as the last time."""
        pause = min(FIRST_PAUSE * 2**self._failures, MAX_PAUSE)
        self._failures = min(self._failures + 1, 16)
        self._silent_until = asyncio.get_running_loop().time() + pause

    def _reached(self) -> None:
        if self.trouble is not None:
            _log.warning("peer %d at %s answers again", self.receiver, self.url)
        self.trouble, self._failures, self._silent_until = None, 0, 0.0


def _said(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
