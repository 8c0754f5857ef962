"""Interval mining: a block every so many seconds, whatever waits."""

from __future__ import annotations

import logging
from threading import Event, Thread

from chain_devnet.chain import Chain
from ledgerfed.errors import InvalidValueError, LedgerFedError

_log = logging.getLogger(__name__)


def checked_block_time(seconds: float | None) -> float | None:
    """`seconds` itself, where None stands for a block per transaction.

    Raises:
        InvalidValueError: not a positive time of at most a day.
    """
    if seconds is not None and not 0 < seconds <= 86_400:
        raise InvalidValueError(f"block time {seconds} s is out of range; use more than 0, at most 86400")
    return seconds


class IntervalProducer:
    """A thread that mines one block every `seconds`; transactions wait for it."""

    def __init__(self, chain: Chain, seconds: float) -> None:
        self._chain = chain
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="chain-producer", daemon=True)
        chain.automine = False

    def start(self) -> None:
        """Begin to mine."""
        self._thread.start()

    def stop(self) -> None:
        """Mine no more; returns when a block in the making is stored."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._chain.mine()
            except LedgerFedError as error:
                _log.error("no block was mined: %s; trying again in %s s", error, self._seconds)
