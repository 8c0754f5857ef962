"""A network inside one process: gossip topics and requests, in an order that never varies.

Shaped like libp2p (gossipsub topics, request/response protocols), so that nodes do not notice the difference:
- a peer receives what others publish on a topic after it subscribed, its own messages excluded;
- messages of one receiver arrive in the order in which they were published, unless a fault delays them;
- nothing here is trusted: whoever receives a message checks the signatures in it.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from itertools import count

from ledgerfed.errors import NotFoundError, WaitTimeoutError
from ledgerfed.network.message import Message

Fault = Callable[[Message, int], Sequence[int]]
"""Says what happens to a message on its way to a receiver: one delay per copy that arrives.

A delay counts how many times the receiver looks in vain. (0,) delivers, () drops, (0, 0)
duplicates, (2,) delays.
"""
Handler = Callable[[int, bytes], bytes]
"""Answers a request: (sender, data) -> answer."""


def deliver(_message: Message, _receiver: int) -> Sequence[int]:
    """The fault of a network without faults."""
    return (0,)


class InProcessTransport:
    """Every peer of a federation in one process; safe to use from several threads."""

    def __init__(self, fault: Fault = deliver) -> None:
        self._fault = fault
        self._lock = threading.Lock()
        self._numbers = count()
        self._inboxes: dict[tuple[str, int], list[tuple[int, int, Message]]] = {}
        self._looks: dict[tuple[str, int], int] = {}
        self._handlers: dict[tuple[int, str], Handler] = {}

    def subscribe(self, topic: str, peer: int) -> None:
        """Let `peer` receive what others publish on a topic from now on; again changes nothing."""
        with self._lock:
            self._inboxes.setdefault((topic, peer), [])
            self._looks.setdefault((topic, peer), 0)

    def publish(self, topic: str, sender: int, data: bytes) -> None:
        """Send to every other subscriber of a topic.

        Raises:
            InvalidValueError: the message is larger than a message may be.
        """
        message = Message(topic, sender, data)
        with self._lock:
            for receiver in sorted(peer for name, peer in self._inboxes if name == topic and peer != sender):
                for delay in self._fault(message, receiver):
                    due = self._looks[topic, receiver] + delay
                    heapq.heappush(self._inboxes[topic, receiver], (due, next(self._numbers), message))

    def receive(self, topic: str, receiver: int) -> list[Message]:
        """Return what has arrived for `receiver` on a topic since it last looked.

        Raises:
            NotFoundError: it has not subscribed.
        """
        key = (topic, receiver)
        with self._lock:
            if key not in self._inboxes:
                raise NotFoundError(f"peer {receiver} has not subscribed to {topic!r}")
            inbox, now = self._inboxes[key], self._looks[key]
            self._looks[key] += 1
            arrived = []
            while inbox and inbox[0][0] <= now:
                arrived.append(heapq.heappop(inbox)[2])
            return arrived

    def serve(self, peer: int, protocol: str, handler: Handler) -> None:
        """Let `peer` answer requests of a protocol, in place of what answered before."""
        with self._lock:
            self._handlers[peer, protocol] = handler

    def request(self, peer: int, protocol: str, data: bytes, sender: int) -> bytes:
        """Ask one peer and return its answer; what its handler raises passes through.

        Raises:
            NotFoundError: the peer does not speak the protocol.
            WaitTimeoutError: the network lost the request.
        """
        message = Message(protocol, sender, data)
        with self._lock:
            handler = self._handlers.get((peer, protocol))
        if handler is None:
            raise NotFoundError(f"peer {peer} does not speak {protocol!r}")
        if not self._fault(message, peer):
            raise WaitTimeoutError(f"peer {peer} did not answer {protocol!r}; ask another")
        return handler(sender, data)
