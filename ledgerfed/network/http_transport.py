"""Nodes in processes of their own, each with a front door over HTTP and addresses that all know beforehand.

Gossip is a post to every peer, a request is a post to one; both in a signed envelope (`envelope`). The rules
of what comes in:
- nothing is read from who shows no envelope of a member for this node, this federation and this session;
- a message is let in once, has a bounded size, and waits in a bounded inbox;
- a member has at most MAX_AT_ONCE messages on their way in; more are told to come again (HTTP status 429).

Confidentiality is left to TLS: give peer URLs of https:// and let a proxy before each node end it. What an
answer to a request holds is not signed: whoever asks checks it, as nodes check bytes by their hash.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from ledgerfed.errors import (
    ConflictError,
    InvalidValueError,
    LedgerFedError,
    NotFoundError,
    VerificationError,
    WaitTimeoutError,
)
from ledgerfed.network.courier import MESSAGE_PATH, SESSION_PATH, Courier, Signs
from ledgerfed.network.envelope import Envelope, Kind, read_credentials, require_authentic
from ledgerfed.network.http_server import HEAD_SECONDS, Answer, HttpServer, Request, listen
from ledgerfed.network.in_process import Handler
from ledgerfed.network.inbox import Inbox
from ledgerfed.network.message import MAX_MESSAGE_BYTES, Message
from ledgerfed.network.session import Session
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.federation import Federation, require_address
from ledgerfed.protocol.hashing import keccak

REQUEST_SECONDS = 5.0
MAX_AT_ONCE = 8
CLOSE_SECONDS = 10.0
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Peer:
    """A member and where its front door is: its 20-byte address and an HTTP URL, None when nobody knows.

    The address is VACANT where a node has left: nobody can sign as it.
    """

    address: bytes
    url: str | None

    def __post_init__(self) -> None:
        if self.address != VACANT:
            require_address("the address of a peer", self.address)
        if self.url is not None:
            require_peer_url(self.url)


class HttpTransport:
    """The network as one node sees it. Use it in a `with` statement, or `close` it.

    Args:
        federation: what the envelopes are bound to.
        index: registry index of this node.
        signer: its key.
        peers: all members by registry index, this one included.
        session: 32 random bytes, drawn anew by each run.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        request_seconds: how long an answer may take.
        head_seconds: how long a request head may take to come in.

    Raises:
        ConfigurationError: host and port cannot be used.
        InvalidValueError: the federation has no member `index`.
    """

    def __init__(
        self,
        federation: Federation,
        index: int,
        signer: Signs,
        peers: Sequence[Peer],
        session: bytes,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        request_seconds: float = REQUEST_SECONDS,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        if not 0 <= index < len(peers):
            raise InvalidValueError(f"the federation has the members 0 to {len(peers) - 1}, not {index}")
        self.inbox = Inbox()
        self._federation = federation
        self._index = index
        self._signer = signer
        self._members = tuple(peer.address for peer in peers)
        self._session = Session(session)
        self._handlers: dict[str, Handler] = {}
        self._at_once: Counter[int] = Counter()
        self._request_seconds = request_seconds
        self._server = HttpServer(self._handle, head_seconds=head_seconds)
        listener = listen(host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"peers of {index}", daemon=True)
        self._thread.start()
        self._couriers: dict[int, Courier] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._run(self._start(listener, peers))
        self.host, self.port = host, self._server.port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where this node listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        """Stop listening and sending. What is on its way may be lost."""
        if self._loop.is_closed():
            return
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)
        self._loop.close()

    def know(self, peers: Sequence[Peer]) -> None:
        """Take the members of a new epoch, by registry index: old keys are void, who joined is spoken to."""
        self._run(self._meet(peers))

    def troubles(self) -> dict[int, str]:
        """Return what is wrong with the peers that do not answer at present, by index."""
        return {index: c.trouble for index, c in list(self._couriers.items()) if c.trouble is not None}

    def wait(self, seconds: float) -> bool:
        """Wait until a message has arrived since the last wait, but no longer; return whether one has."""
        arrived = self.inbox.arrived.wait(seconds)
        self.inbox.arrived.clear()
        return arrived

    # --- gossip and requests: the interface of `InProcessTransport` -----------------------------------

    def subscribe(self, topic: str, peer: int) -> None:
        """Let this node receive what others publish on a topic from now on."""
        self._require_own(peer)
        self.inbox.subscribe(topic)

    def publish(self, topic: str, sender: int, data: bytes) -> None:
        """Put a message on its way to every peer that has an address; returns at once.

        Raises:
            InvalidValueError: the message is larger than a message may be, or of another sender.
        """
        self._require_own(sender)
        message = Message(topic, sender, data)
        digest = keccak(message.data)
        for courier in self._couriers.values():
            self._loop.call_soon_threadsafe(courier.post, topic, message.data, digest)

    def receive(self, topic: str, receiver: int) -> list[Message]:
        """Return what has arrived on a topic since it was last looked at.

        Raises:
            NotFoundError: it has not subscribed.
        """
        self._require_own(receiver)
        return self.inbox.take(topic)

    def serve(self, peer: int, protocol: str, handler: Handler) -> None:
        """Answer requests of a protocol, in place of what answered before; the handler runs in a thread."""
        self._require_own(peer)
        self._handlers[protocol] = handler

    def request(self, peer: int, protocol: str, data: bytes, sender: int) -> bytes:
        """Ask one peer and return its answer.

        Raises:
            NotFoundError: it does not speak the protocol, or has no address.
            WaitTimeoutError: it did not answer, now or a moment ago.
        """
        self._require_own(sender)
        courier = self._couriers.get(peer)
        if courier is None:
            raise NotFoundError(f"peer {peer} has no address; ask another")
        return self._run(courier.ask(protocol, data, self._request_seconds), 2 * self._request_seconds)

    # --- what comes in --------------------------------------------------------------------------------

    async def _handle(self, request: Request) -> Answer:
        if request.method == "GET" and request.path.startswith(f"{SESSION_PATH}/"):
            return self._tell_session(request.path.rpartition("/")[2])
        if (request.method, request.path) != ("POST", MESSAGE_PATH):
            return _refuse(404, "a node has GET /v1/session/<index> and POST /v1/messages")
        try:
            envelope, size = self._admit(request)
        except InvalidValueError as error:
            return _refuse(400, str(error))
        except VerificationError as error:
            return _refuse(401, str(error))
        except ConflictError as error:
            return _refuse(409, str(error), trusted=True)
        self._heard_of(envelope.sender)
        if size > MAX_MESSAGE_BYTES:
            return _refuse(413, f"a message has at most {MAX_MESSAGE_BYTES} bytes", trusted=True)
        if self._at_once[envelope.sender] >= MAX_AT_ONCE:
            return _refuse(429, f"at most {MAX_AT_ONCE} messages at once", trusted=True)
        self._at_once[envelope.sender] += 1
        try:
            return await self._take(envelope, await request.read(size))
        finally:
            self._at_once[envelope.sender] -= 1

    def _tell_session(self, sender: str) -> Answer:
        if not sender.isdecimal() or len(sender) > 7 or int(sender) >= len(self._members):
            return _refuse(404, f"the federation has the members 0 to {len(self._members) - 1}")
        counter = self._session.next_counter(int(sender))
        return Answer(200, self._session.identity + counter.to_bytes(8, "big"))

    def _admit(self, request: Request) -> tuple[Envelope, int]:
        """Return the envelope of a request and the size of its body, before that is read."""
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 18:
            raise InvalidValueError("a message needs a Content-Length")
        envelope, signature = read_credentials(request.headers.get("authorization", ""))
        require_authentic(envelope, signature, self._federation, self._members, self._index)
        self._session.admit(envelope)
        return envelope, int(length)

    async def _take(self, envelope: Envelope, data: bytes) -> Answer:
        if keccak(data) != envelope.data:
            return _refuse(400, "the body is not the one that the envelope speaks of")
        if envelope.kind is Kind.GOSSIP:
            if not self.inbox.listens_to(envelope.topic):
                return _refuse(404, f"nobody listens to the topic {envelope.topic!r} here", trusted=True)
            self.inbox.put(Message(envelope.topic, envelope.sender, data))
            return Answer(204, trusted=True)
        handler = self._handlers.get(envelope.topic)
        if handler is None:
            return _refuse(404, f"the protocol {envelope.topic!r} is not spoken here", trusted=True)
        try:
            return Answer(200, await asyncio.to_thread(handler, envelope.sender, data), trusted=True)
        except LedgerFedError as error:
            return _refuse(503, str(error), trusted=True)

    def _heard_of(self, sender: int) -> None:
        if sender in self._couriers:
            self._couriers[sender].nudge()

    # --- the loop -------------------------------------------------------------------------------------

    async def _start(self, listener: Any, peers: Sequence[Peer]) -> None:
        await self._server.start(listener)
        await self._meet(peers)

    async def _meet(self, peers: Sequence[Peer]) -> None:
        """Take the members as they are now; send to those with an address that were not known before."""
        self._members = tuple(peer.address for peer in peers)
        for index, peer in enumerate(peers):
            known = self._couriers.get(index)
            if peer.url is not None and index != self._index and (known is None or known.url != peer.url):
                if known is not None:
                    self._tasks.pop(index).cancel()
                    await known.close()
                courier = Courier(self._federation, self._index, self._signer, index, peer.url)
                self._couriers = {**self._couriers, index: courier}
                self._tasks[index] = asyncio.create_task(courier.run())

    async def _stop(self) -> None:
        await self._server.stop()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for courier in self._couriers.values():
            await courier.close()
        await self._loop.shutdown_default_executor()

    def _run(self, work: Coroutine[Any, Any, _Result], seconds: float = CLOSE_SECONDS) -> _Result:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except FutureTimeoutError as error:
            future.cancel()
            raise WaitTimeoutError(f"the network did not answer within {seconds:g} s") from error

    def _require_own(self, index: int) -> None:
        if index != self._index:
            raise InvalidValueError(f"this is the network of member {self._index}, not of {index}")


def require_peer_url(url: str) -> str:
    """Return `url` if a peer can be reached there: http or https, a host, and no more than a path.

    Raises:
        InvalidValueError: it is not such a URL.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        plain = not parts.query and not parts.fragment and parts.username is None
        if parts.scheme in ("http", "https") and parts.hostname and plain and parts.port != 0:
            return url
    raise InvalidValueError(f"{url!r} is no URL of a peer; write it as http://host:port")


def _refuse(status: int, why: str, *, trusted: bool = False) -> Answer:
    return Answer(status, f"{why}\n".encode(), "text/plain; charset=utf-8", trusted)
