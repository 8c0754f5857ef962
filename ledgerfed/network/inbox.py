"""What has arrived and is not read yet, bounded for each sender, so that nobody crowds out another."""

from __future__ import annotations

import threading
from collections import deque
from itertools import count

from ledgerfed.errors import NotFoundError
from ledgerfed.network.message import MAX_MESSAGE_BYTES, Message

MAX_MESSAGES = 256
"""Unread messages of one sender; then its oldest go."""
MAX_BYTES = MAX_MESSAGE_BYTES
"""Unread bytes of one sender; then its oldest go."""


class Inbox:
    """The unread messages of one peer; safe to use from several threads. `arrived` is set when one comes."""

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self.arrived = threading.Event()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._numbers = count()
        self._topics: set[str] = set()
        self._senders: dict[int, deque[tuple[int, Message]]] = {}

    def subscribe(self, topic: str) -> None:
        """Keep what arrives on a topic from now on."""
        with self._lock:
            self._topics.add(topic)

    def listens_to(self, topic: str) -> bool:
        """Return whether the topic was subscribed to."""
        with self._lock:
            return topic in self._topics

    def put(self, message: Message) -> None:
        """Keep a message of a subscribed topic; the sender's oldest ones make room for it."""
        with self._lock:
            waiting = self._senders.setdefault(message.sender, deque())
            waiting.append((next(self._numbers), message))
            while len(waiting) > self._max_messages or self._too_large(waiting):
                waiting.popleft()
        self.arrived.set()

    def take(self, topic: str) -> list[Message]:
        """Return and forget the messages of a topic, in the order of arrival.

        Raises:
            NotFoundError: it was not subscribed to.
        """
        with self._lock:
            if topic not in self._topics:
                raise NotFoundError(f"the topic {topic!r} was not subscribed to")
            taken: list[tuple[int, Message]] = []
            for sender, waiting in self._senders.items():
                taken += [item for item in waiting if item[1].topic == topic]
                self._senders[sender] = deque(item for item in waiting if item[1].topic != topic)
        return [message for _, message in sorted(taken, key=lambda item: item[0])]

    def _too_large(self, waiting: deque[tuple[int, Message]]) -> bool:
        return len(waiting) > 1 and sum(len(message.data) for _, message in waiting) > self._max_bytes
