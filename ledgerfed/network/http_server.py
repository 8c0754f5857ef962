"""The front door of a node: HTTP/1.1 with a deadline on everything that a stranger could draw out.

Rules:
- a request head has HEAD_SECONDS and MAX_HEAD_BYTES; a body comes at MIN_RATE or faster; an answer is taken
  at MIN_RATE or faster; a silent connection is closed after IDLE_SECONDS;
- a body is read after the head was let in, never before, and no longer than the head said;
- when MAX_CONNECTIONS are open, the oldest of those that have shown no envelope of a member makes room.

h11 reads the protocol (RFC 9112); asyncio does the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import h11

from ledgerfed.errors import ConfigurationError

HEAD_SECONDS = 5.0
IDLE_SECONDS = 60.0
GRACE_SECONDS = 5.0
MIN_RATE = 1 << 16
"""Bytes a second, after GRACE_SECONDS."""
MAX_HEAD_BYTES = 8192
MAX_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `trusted` says that the request was a member's."""

    status: int
    body: bytes = b""
    media_type: str = "application/octet-stream"
    trusted: bool = False


@dataclass(slots=True)
class Request:
    """The head of a request, header names in lower case; `read(limit)` gives the body or raises BodyError."""

    method: str
    path: str
    headers: Mapping[str, str]
    read: Callable[[int], Awaitable[bytes]]


Handler = Callable[[Request], Awaitable[Answer]]


class BodyError(Exception):
    """The body was not what the head announced; the connection is of no more use."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


@dataclass(slots=True, eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head_seconds: float
    protocol: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    )
    trusted: bool = False

    async def next_head(self) -> h11.Request | None:
        """Return the next request head, or None when the other side is done or too slow."""
        if not self.protocol.trailing_data[0]:
            async with asyncio.timeout(IDLE_SECONDS if self.trusted else self.head_seconds):
                if not await self._more():
                    return None
        async with asyncio.timeout(self.head_seconds):
            event = await self._next_event()
        if not isinstance(event, h11.Request):
            return None
        if not {b"content-length", b"transfer-encoding"} & {name for name, _ in event.headers}:
            self.protocol.next_event()  # a request without a body has ended
        return event

    async def read_body(self, limit: int) -> bytes:
        """Return the body of the present request, of at most `limit` bytes.

        Raises:
            BodyError: it is longer, or breaks off.
            TimeoutError: it comes too slowly.
        """
        if self.protocol.their_state is h11.DONE:
            return b""
        if self.protocol.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        parts, size = [], 0
        async with asyncio.timeout(GRACE_SECONDS + limit / MIN_RATE):
            while not isinstance(event := await self._next_event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    raise BodyError(400)
                size += len(event.data)
                if size > limit:
                    raise BodyError(413)
                parts.append(bytes(event.data))
        return b"".join(parts)

    async def answer(self, answer: Answer) -> None:
        """Send an answer; the connection ends with it where the request was not read to its end."""
        headers = [("Content-Length", str(len(answer.body))), ("Content-Type", answer.media_type)]
        whole = self.protocol.their_state is h11.DONE
        if not whole:
            headers.append(("Connection", "close"))
        await self._send(h11.Response(status_code=answer.status, headers=headers))
        for start in range(0, len(answer.body), MIN_RATE):
            await self._send(h11.Data(data=answer.body[start : start + MIN_RATE]))
        await self._send(h11.EndOfMessage())

    async def _next_event(self) -> object:
        while (event := self.protocol.next_event()) is h11.NEED_DATA:
            if not await self._more():
                self.protocol.receive_data(b"")
        return event

    async def _more(self) -> bool:
        received = await self.reader.read(MIN_RATE)
        if received:
            self.protocol.receive_data(received)
        return bool(received)

    async def _send(self, event: h11.Event) -> None:
        sent = self.protocol.send(event)
        if sent:
            self.writer.write(sent)
            async with asyncio.timeout(GRACE_SECONDS + len(sent) / MIN_RATE):
                await self.writer.drain()


class HttpServer:
    """Answers requests on one socket, in the running event loop. `port` is the one that it listens on."""

    def __init__(self, handler: Handler, *, head_seconds: float = HEAD_SECONDS) -> None:
        self.port = 0
        self._handler = handler
        self._head_seconds = head_seconds
        self._connections: dict[_Connection, None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on a bound socket from now on."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=MIN_RATE)
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.writer.transport.abort()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer, self._head_seconds)
        if len(self._connections) >= MAX_CONNECTIONS and not self._make_room():
            writer.transport.abort()
            return
        self._connections[connection] = None
        try:
            await self._converse(connection)
        except (TimeoutError, OSError, h11.ProtocolError, asyncio.IncompleteReadError):
            pass  # whoever is there does not keep to the protocol; there is nothing to tell him
        finally:
            self._connections.pop(connection, None)
            with contextlib.suppress(OSError):
                writer.close()

    async def _converse(self, connection: _Connection) -> None:
        while (head := await self._head(connection)) is not None:
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
            request = Request(
                head.method.decode("ascii"), head.target.decode("latin-1"), headers, connection.read_body
            )
            try:
                answer = await self._handler(request)
            except BodyError as error:
                answer = Answer(error.status)
            except TimeoutError:
                answer = Answer(408)
            connection.trusted |= answer.trusted
            await connection.answer(answer)
            if (
                connection.protocol.our_state is not h11.DONE
                or connection.protocol.their_state is not h11.DONE
            ):
                return
            connection.protocol.start_next_cycle()

    async def _head(self, connection: _Connection) -> h11.Request | None:
        try:
            return await connection.next_head()
        except h11.RemoteProtocolError as error:
            if connection.protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await connection.answer(Answer(error.error_status_hint))
            return None

    def _make_room(self) -> bool:
        """Close the oldest connection that is no member's; return whether there was one."""
        for connection in self._connections:
            if not connection.trusted:
                del self._connections[connection]
                connection.writer.transport.abort()
                return True
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` and `port`; 0 takes a free port.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error}); give another address with --listen"
        ) from error
    listener.setblocking(False)
    return listener
