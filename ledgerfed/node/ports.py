"""What an agent needs from the outside, as small Protocols that the adapters satisfy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ledgerfed.ledger.chain import BlockHeader
from ledgerfed.ledger.challenges import Challenge
from ledgerfed.ledger.events import LedgerEvent
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.federation import Federation


class Ledger(Protocol):
    """The contract as a node sees it (`ledgerfed.ledger.LedgerGateway`)."""

    federation: Federation

    def block_number(self) -> int:
        """Return the number of the head block."""
        ...

    def header(self, block: int) -> BlockHeader:
        """Return the header of a block of the present branch; NotFoundError when it has none so high."""
        ...

    def read_events(self, from_block: int, to_block: int) -> Sequence[LedgerEvent]:
        """Return the events of a range of blocks, in the order of the chain."""
        ...

    def wait_for_block(self, number: int) -> int:
        """Wait until the head is at least `number`; a chain that mines on demand is asked to."""
        ...

    def seal(self, signer: Signer, round_number: int, root: bytes, n: int) -> MinedTransaction: ...
    def force(self, signer: Signer, round_number: int, leaf: bytes) -> MinedTransaction: ...
    def scores(self, signer: Signer, round_number: int, root: bytes) -> MinedTransaction: ...
    def certify(
        self,
        signer: Signer,
        round_number: int,
        manifest: bytes,
        model: bytes,
        reputations: bytes,
        signatures: Sequence[bytes],
    ) -> MinedTransaction: ...
    def abort(self, signer: Signer, round_number: int) -> MinedTransaction: ...
    def seal_leaves(
        self, signer: Signer, round_number: int, leaves: Mapping[int, bytes]
    ) -> MinedTransaction: ...
    def challenge(self, signer: Signer, challenge: Challenge) -> MinedTransaction: ...
    def open_epoch(self, signer: Signer, epoch: int, change: Change) -> MinedTransaction: ...


class Message(Protocol):
    """A message as it arrived.

    `sender` is what the transport vouches for (libp2p signs gossip). It decides whose words are kept and
    whose turn it is to propose, never what is true: statements prove themselves.
    """

    @property
    def sender(self) -> int: ...
    @property
    def data(self) -> bytes: ...


class Transport(Protocol):
    """Gossip by topic, and requests to one peer (libp2p's shape)."""

    def subscribe(self, topic: str, peer: int) -> None:
        """Let `peer` receive what others publish on a topic from now on."""
        ...

    def publish(self, topic: str, sender: int, data: bytes) -> None:
        """Hand `data` to every subscriber of the topic but the sender."""
        ...

    def receive(self, topic: str, receiver: int) -> Sequence[Message]:
        """Return and forget what has arrived for the receiver since it last looked."""
        ...

    def serve(self, peer: int, protocol: str, handler: Callable[[int, bytes], bytes]) -> None:
        """Let `peer` answer requests of a protocol with `handler(sender, data)`."""
        ...

    def request(self, peer: int, protocol: str, data: bytes, sender: int) -> bytes:
        """Return a peer's answer; NotFoundError or WaitTimeoutError when there is none."""
        ...


class Journal(Protocol):
    """Write-once notes that survive a crash: a node writes what it sends before it sends it."""

    def record(
        self, federation: Federation, index: int, round_number: int, step: str, data: bytes
    ) -> None: ...
    def recall(self, federation: Federation, index: int, round_number: int, step: str) -> bytes | None: ...


class Blobs(Protocol):
    """Content-addressed bytes, by keccak-256."""

    def put(self, data: bytes) -> bytes: ...
    def get(self, digest: bytes) -> bytes: ...
    def has(self, digest: bytes) -> bool: ...
