"""The other nodes of a chain with signers: their blocks are pulled, and what waits here is handed to them.

Any node that answers `debug_getRawHeader` and `debug_getRawBlock` will do. A peer is trusted for nothing: its
answers are bounded, and what it says of blocks goes through `SealedChain.adopt`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from http.client import HTTPException
from threading import Event, Thread
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from chain_devnet.block import Header
from chain_devnet.errors import InvalidBlockError
from chain_devnet.importing import MAX_BLOCK_BYTES
from chain_devnet.sealing import MAX_REORGANISATION, SealedChain
from ledgerfed.errors import InvalidValueError, LedgerFedError

PULL_SECONDS = 0.2
TIMEOUT_SECONDS = 5.0
BLOCKS_AT_ONCE = 32
MAX_REPLY_BYTES = 4 * MAX_BLOCK_BYTES
TRANSACTIONS_AT_ONCE = 500

_log = logging.getLogger(__name__)


class PeerError(LedgerFedError):
    """A peer does not answer, or says what is no answer."""

    code = "peer-failed"


class Peer:
    """JSON-RPC to another node over HTTP."""

    def __init__(self, url: str) -> None:
        """Describe the peer at `url`.

        Raises:
            InvalidValueError: it is no http or https URL.
        """
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise InvalidValueError(f"{url} is no peer's URL; expected one such as http://10.0.0.2:8545")
        self.url = url

    def raw(self, method: str, positions: Sequence[int | str]) -> list[bytes]:
        """The bytes that `method` gives for each block number or tag.

        Raises:
            PeerError: no answer, or another one than bytes for each.
        """
        wanted = [hex(place) if isinstance(place, int) else place for place in positions]
        answers = self._batch([(method, [place]) for place in wanted])
        try:
            return [bytes.fromhex(entry["result"].removeprefix("0x")) for entry in answers]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise PeerError(f"{self.url} gave no bytes for {method}; is it a node of this chain?") from error

    def send(self, raws: Sequence[bytes]) -> None:
        """Hand transactions over; what the peer will not take is its affair.

        Raises:
            PeerError: no answer.
        """
        self._batch([("eth_sendRawTransaction", [f"0x{raw.hex()}"]) for raw in raws])

    def _batch(self, calls: Sequence[tuple[str, list[str]]]) -> list[dict[str, str]]:
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
            for index, (method, params) in enumerate(calls)
        ]
        request = Request(self.url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                reply = response.read(MAX_REPLY_BYTES + 1)
            answers = json.loads(reply) if len(reply) <= MAX_REPLY_BYTES else None
        except (URLError, OSError, HTTPException, ValueError) as error:
            raise PeerError(f"{self.url} does not answer: {error}") from error
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise PeerError(f"{self.url} gave no answer to each of {len(calls)} questions")
        return answers


def pull(chain: SealedChain, peer: Peer) -> bool:
    """Take over the peer's branch as far as it holds; whether the head moved.

    Raises:
        PeerError: the peer does not answer as it should.
        InvalidBlockError: it has blocks that break a rule, or another chain.
    """
    head = _header(*peer.raw("debug_getRawHeader", ["latest"]))
    if chain.knows(head.hash):
        return False
    ancestor = _common_block(chain, peer, head)
    moved = False
    first = ancestor + 1
    while first <= head.number:
        # What may replace blocks here is weighed as one branch: so many blocks outweigh all that they undo.
        count = 2 * MAX_REORGANISATION + 1 if first == ancestor + 1 else BLOCKS_AT_ONCE
        last = min(first + count - 1, head.number)
        if not chain.adopt(peer.raw("debug_getRawBlock", range(first, last + 1))):
            break
        moved, first = True, last + 1
    return moved


def _common_block(chain: SealedChain, peer: Peer, head: Header) -> int:
    highest = min(head.number, chain.head.header.number)
    if head.number == highest + 1 and head.parent_hash == chain.head.hash:
        return highest
    numbers = range(highest, max(0, highest - MAX_REORGANISATION) - 1, -1)
    for raw in peer.raw("debug_getRawHeader", numbers):
        header = _header(raw)
        if chain.knows(header.hash):
            return header.number
    raise InvalidBlockError(
        f"{peer.url} has no block in common with this chain's newest {len(numbers)}; it is another chain"
    )


def _header(raw: bytes) -> Header:
    try:
        return Header.decode(raw)
    except InvalidValueError as error:
        raise InvalidBlockError(f"a peer's header is none: {error}") from error


class PeerLink:
    """A thread that keeps this chain in step with one peer."""

    def __init__(self, chain: SealedChain, peer: Peer) -> None:
        self._chain = chain
        self._peer = peer
        self._stopped = Event()
        self._asked = Event()
        self._handed: set[bytes] = set()
        self._complaint = ""
        self._thread = Thread(target=self._run, name=f"chain-peer {peer.url}", daemon=True)

    def start(self) -> None:
        """Begin to pull."""
        self._thread.start()

    def await_first(self) -> None:
        """Return when the peer was asked once, whether it answered or not."""
        self._asked.wait(2 * TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Pull no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2 * TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                pull(self._chain, self._peer)
                self._hand_over()
                self._complaint = ""
            except LedgerFedError as error:
                self._complain(str(error))
            self._asked.set()
            self._stopped.wait(PULL_SECONDS)

    def _hand_over(self) -> None:
        waiting = {tx.hash: tx.raw for tx in self._chain.waiting}
        new = [tx_hash for tx_hash in waiting if tx_hash not in self._handed][:TRANSACTIONS_AT_ONCE]
        if new:
            self._peer.send([waiting[tx_hash] for tx_hash in new])
        self._handed = (self._handed & waiting.keys()) | set(new)

    def _complain(self, message: str) -> None:
        # A peer that is down says the same five times a second.
        if message != self._complaint:
            _log.warning("%s", message)
            self._complaint = message
