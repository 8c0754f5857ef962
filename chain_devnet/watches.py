"""What somebody has seen of the chain, so that the rest can be told: the basis of filters and subscriptions.

A watch is a place in the chain, not a queue: what is new is read from the store when it is asked for, so a
watch that nobody asks costs nothing however far the chain runs ahead. Only what a reorganisation removes must
be remembered, and that is bounded; a watch that lost track says so (`lost`) and is of no more use.

Rules: all of this runs under the chain's lock; a block is told once, and its logs once more, as removed, when
a reorganisation takes the block away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakSet

from chain_devnet.block import Block
from chain_devnet.store import ChainStore, LogFilter, StoredLog

MAX_BLOCKS_TOLD = 1_000
MAX_LOGS_TOLD = 10_000
MAX_REMOVED = 10_000
MAX_ACCEPTED = 10_000


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """A log that a watch tells, or takes back if it was `removed` with its block."""

    stored: StoredLog
    removed: bool


class BlockWatch:
    """Tells the blocks that came after the last ones told."""

    def __init__(self, store: ChainStore, head: int) -> None:
        self._store = store
        self._next = head + 1
        self.lost = False

    def take(self) -> list[Block]:
        """New blocks in order, at most `MAX_BLOCKS_TOLD`; the rest comes with the next call."""
        blocks: list[Block] = []
        while len(blocks) < MAX_BLOCKS_TOLD and (block := self._store.block(self._next)) is not None:
            blocks.append(block)
            self._next += 1
        return blocks

    def reverting(self, number: int) -> None:
        """The chain is about to forget every block after `number`."""
        self._next = min(self._next, number + 1)


class LogWatch:
    """Tells the logs of new blocks that `wanted` describes, and removed ones again."""

    def __init__(self, store: ChainStore, head: int, wanted: LogFilter) -> None:
        self._store = store
        self._wanted = wanted
        self._first = self._next = head + 1
        self._removed: list[StoredLog] = []
        self.lost = False

    def take(self) -> list[WatchedLog]:
        """Removed logs, newest first, then new ones in order.

        At most `MAX_LOGS_TOLD` new ones unless a single block has more; the rest comes with the next call.
        """
        removed, self._removed = self._removed, []
        newest = self._store.newest_number()
        if newest < self._next:
            return [WatchedLog(log, removed=True) for log in removed]
        found = self._logs(self._next, newest, MAX_LOGS_TOLD + 1)
        last = newest
        if len(found) > MAX_LOGS_TOLD:
            # Blocks are told whole; the last one may be cut off.
            last = max(found[-1].block_number - 1, found[0].block_number)
            found = self._logs(self._next, last, None)
        self._next = last + 1
        told = [WatchedLog(log, removed=True) for log in removed]
        return told + [WatchedLog(log, removed=False) for log in found]

    def reverting(self, number: int) -> None:
        """The chain is about to forget every block after `number`."""
        if self._next <= number + 1:
            return
        # Only what was told can be taken back.
        gone = self._logs(max(number + 1, self._first), self._next - 1, MAX_REMOVED + 1)
        self._removed = [*reversed(gone), *self._removed]
        self.lost = self.lost or len(self._removed) > MAX_REMOVED
        if self.lost:
            self._removed = []
        self._next = number + 1
        self._first = min(self._first, self._next)

    def _logs(self, first: int, last: int, limit: int | None) -> tuple[StoredLog, ...]:
        wanted = replace(
            self._wanted, first=max(first, self._wanted.first), last=min(last, self._wanted.last)
        )
        return self._store.logs(wanted, limit)


class PendingWatch:
    """Tells the hashes of transactions that were accepted since the last call."""

    def __init__(self, journal: AcceptedJournal) -> None:
        self._journal = journal
        self._seen = journal.count
        self.lost = False

    def take(self) -> list[bytes]:
        """Hashes in the order in which the transactions were accepted."""
        missed = self._journal.count - self._seen
        self.lost = self.lost or missed > MAX_ACCEPTED
        self._seen = self._journal.count
        return self._journal.newest(missed)

    def reverting(self, number: int) -> None:
        """Accepted transactions stay accepted."""


Watch = BlockWatch | LogWatch | PendingWatch
W = TypeVar("W", BlockWatch, LogWatch, PendingWatch)


class AcceptedJournal:
    """The newest accepted transaction hashes and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self._hashes: deque[bytes] = deque(maxlen=MAX_ACCEPTED)

    def add(self, hashes: Iterable[bytes]) -> None:
        """Note further hashes."""
        for tx_hash in hashes:
            self._hashes.append(tx_hash)
            self.count += 1

    def newest(self, count: int) -> list[bytes]:
        """The `count` newest hashes, as far as they are still known."""
        return list(self._hashes)[-count:] if count else []


class Watches:
    """All watches of a chain, and those who want to know when there is something to take."""

    def __init__(self, store: ChainStore) -> None:
        self._store = store
        self._journal = AcceptedJournal()
        self._watches: WeakSet[Watch] = WeakSet()
        self._wakers: set[Callable[[], None]] = set()

    @property
    def count(self) -> int:
        """How many watches somebody still holds."""
        return len(self._watches)

    def blocks(self) -> BlockWatch:
        """A watch for blocks from now on."""
        return self._watched(BlockWatch(self._store, self._store.newest_number()))

    def logs(self, wanted: LogFilter) -> LogWatch:
        """A watch for logs from now on; `wanted` bounds the blocks too."""
        return self._watched(LogWatch(self._store, self._store.newest_number(), wanted))

    def pending(self) -> PendingWatch:
        """A watch for accepted transactions from now on."""
        return self._watched(PendingWatch(self._journal))

    def wake(self, waker: Callable[[], None]) -> None:
        """Call `waker` whenever something may be new; it runs under the chain's lock and must not wait."""
        self._wakers.add(waker)

    def let_sleep(self, waker: Callable[[], None]) -> None:
        """Call `waker` no more."""
        self._wakers.discard(waker)

    def extended(self) -> None:
        """The chain has a new head."""
        for waker in tuple(self._wakers):
            waker()

    def reverting(self, number: int) -> None:
        """The chain is about to forget every block after `number`."""
        for watch in tuple(self._watches):
            watch.reverting(number)

    def accepted(self, hashes: Iterable[bytes]) -> None:
        """The chain has accepted transactions."""
        self._journal.add(hashes)
        self.extended()

    def _watched(self, watch: W) -> W:
        self._watches.add(watch)
        return watch
