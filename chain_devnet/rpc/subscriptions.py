"""eth_subscribe and eth_unsubscribe: what a lasting connection is told without asking.

Source: geth's pub/sub documentation. A subscription holds a watch, not a queue: a client that reads slowly
makes nothing pile up here, and never makes the chain wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chain_devnet.block import Block
from chain_devnet.chain import Chain
from chain_devnet.errors import LimitExceededError
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.rpc.ledger import transaction_by_hash
from chain_devnet.watches import Watch, WatchedLog
from ledgerfed.errors import InvalidValueError

MAX_SUBSCRIPTIONS = 100
KINDS = ("newHeads", "logs", "newPendingTransactions")


class SlowReaderError(Exception):
    """A subscriber fell so far behind that it could not be told everything any more."""


class Subscriptions:
    """The subscriptions of one connection. A new one tells nothing until its reply was sent (`activate`)."""

    def __init__(self, chain: Chain, notify: Callable[[], None]) -> None:
        """`notify` is called, under the chain's lock, whenever `take` may have something."""
        self._chain = chain
        self._notify = notify
        self._watches: dict[str, tuple[Watch, bool]] = {}
        self._active: frozenset[str] = frozenset()
        self._count = 0

    @property
    def methods(self) -> Mapping[str, Callable[[Sequence[object]], object]]:
        """The methods that only a lasting connection has."""
        return {"eth_subscribe": self.subscribe, "eth_unsubscribe": self.unsubscribe}

    def subscribe(self, params: Sequence[object]) -> str:
        """Begin to tell new heads, logs or pending transactions; returns the subscription's number."""
        kind, option = read.arguments(params, 1, 2)
        if len(self._watches) >= MAX_SUBSCRIPTIONS:
            raise LimitExceededError(f"this connection has {MAX_SUBSCRIPTIONS} subscriptions; end some")
        with self._chain.lock:
            watch, whole = self._watch(kind, option)
            self._chain.watches.wake(self._notify)
        self._count += 1
        name = hex(self._count)
        self._watches[name] = (watch, whole)
        return name

    def unsubscribe(self, params: Sequence[object]) -> bool:
        """End a subscription; false if there is none."""
        (name,) = read.arguments(params, 1, 1)
        return isinstance(name, str) and self._watches.pop(name, None) is not None

    def activate(self) -> None:
        """All replies were sent, so the client knows the numbers of its subscriptions."""
        self._active = frozenset(self._watches)

    def take(self) -> list[views.Json]:
        """The notifications that are due, in order within a subscription.

        Raises:
            SlowReaderError: some were lost.
        """
        notifications: list[views.Json] = []
        with self._chain.lock:
            for name in sorted(self._active & self._watches.keys(), key=lambda name: int(name, 16)):
                watch, whole = self._watches[name]
                results = [self._shown(entry, whole) for entry in watch.take()]
                if watch.lost:
                    raise SlowReaderError(f"subscription {name} fell too far behind")
                notifications += [_notification(name, result) for result in results]
        return notifications

    def close(self) -> None:
        """End all subscriptions."""
        self._watches.clear()
        with self._chain.lock:
            self._chain.watches.let_sleep(self._notify)

    def _watch(self, kind: object, option: object) -> tuple[Watch, bool]:
        watches = self._chain.watches
        if kind == "newHeads":
            return watches.blocks(), False
        if kind == "logs":
            return watches.logs(read.watched_logs(self._chain, {} if option is None else option)), False
        if kind == "newPendingTransactions":
            return watches.pending(), read.flag(option, "full transactions")
        raise InvalidValueError(f"unknown subscription; use one of {', '.join(KINDS)}")

    def _shown(self, entry: Block | WatchedLog | bytes, whole: bool) -> object:
        if isinstance(entry, Block):
            return views.header_json(entry)
        if isinstance(entry, WatchedLog):
            return views.watched_log_json(entry)
        return transaction_by_hash(self._chain, entry) if whole else views.hex_data(entry)


def _notification(name: str, result: object) -> views.Json:
    return {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": name, "result": result},
    }
