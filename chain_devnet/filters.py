"""Filters that clients install and poll: a numbered watch that is forgotten when nobody asks for it.

Source: ethereum/execution-apis (eth_newFilter and its relatives); the expiry is that of geth, five minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from chain_devnet.errors import LimitExceededError
from chain_devnet.watches import Watch
from ledgerfed.errors import NotFoundError

MAX_FILTERS = 1_000
IDLE_SECONDS = 300.0


@dataclass(slots=True)
class Filter:
    """An installed filter; `wanted` is the log filter as the client gave it, None for the other kinds."""

    watch: Watch
    wanted: object
    last_asked: float


class Filters:
    """The installed filters of a chain. They live as long as the process, and only while they are polled."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._filters: dict[int, Filter] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._filters)

    def install(self, watch: Watch, wanted: object = None) -> int:
        """Install a filter on `watch`; returns the number under which `find` has it.

        Raises:
            LimitExceededError: there are `MAX_FILTERS` already.
        """
        now = self._clock()
        self._filters = {
            number: entry for number, entry in self._filters.items() if not self._idle(entry, now)
        }
        if len(self._filters) >= MAX_FILTERS:
            raise LimitExceededError(f"there are {MAX_FILTERS} filters already; uninstall some")
        self._count += 1
        self._filters[self._count] = Filter(watch, wanted, now)
        return self._count

    def find(self, number: int) -> Filter:
        """The filter `number`, which is not idle any more.

        Raises:
            NotFoundError: never installed, uninstalled, not polled for too long, or it lost track.
        """
        now = self._clock()
        entry = self._filters.get(number)
        if entry is None or entry.watch.lost or self._idle(entry, now):
            self._filters.pop(number, None)
            raise NotFoundError(f"filter not found: {number:#x}; install it again")
        entry.last_asked = now
        return entry

    def uninstall(self, number: int) -> bool:
        """Forget the filter `number`; False if it is not installed."""
        return self._filters.pop(number, None) is not None

    def _idle(self, entry: Filter, now: float) -> bool:
        return now - entry.last_asked > IDLE_SECONDS
