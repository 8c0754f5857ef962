"""Blocks that nobody asked for: one every so many seconds, or whenever it is this signer's turn."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import Event, Thread

from chain_devnet.authority import Authority
from chain_devnet.chain import Chain
from chain_devnet.peers import Peer, PeerLink
from chain_devnet.sealing import SealedChain
from ledgerfed.errors import InvalidValueError, LedgerFedError

TURN_SECONDS = 0.1
KEY_BYTES = 32

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


@dataclass(frozen=True, slots=True)
class Sealing:
    """This node's part in a chain with signers: the rules, its key if it signs, its peers' URLs."""

    authority: Authority
    key: bytes | None = None
    peers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.key is not None and len(self.key) != KEY_BYTES:
            raise InvalidValueError(f"a signer's key has {KEY_BYTES} bytes, not {len(self.key)}")
        for url in self.peers:
            Peer(url)


class SealingProducer:
    """Threads that keep a chain in step with its peers and seal when it is this node's turn."""

    def __init__(self, chain: SealedChain, peers: tuple[str, ...]) -> None:
        """Describe them; nothing runs yet.

        Raises:
            InvalidValueError: a peer's URL is none.
        """
        self._chain = chain
        self._links = [PeerLink(chain, Peer(url)) for url in peers]
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="chain-sealer", daemon=True)

    def start(self) -> None:
        """Begin to follow and to seal."""
        for link in self._links:
            link.start()
        self._thread.start()

    def stop(self) -> None:
        """Follow and seal no more; returns when a block in the making is stored."""
        self._stopped.set()
        for link in self._links:
            link.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # Whoever comes back late would seal on an old head before it has asked for the newest one.
        for link in self._links:
            link.await_first()
        while not self._stopped.wait(TURN_SECONDS):
            try:
                self._chain.seal()
            except LedgerFedError as error:
                _log.error("no block was sealed: %s; trying again", error)
